"""What the error of each code-block costs of a score, seen in a first decode; and the weights that follow.

decoded photo ─┬▶ error ────────────────────▶ wavelet ─┬▶ squares ──▶ weighted error of each block
               └▶ derivative of the score ──▶ wavelet ─┴▶ products ─▶ what it costs of the score
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.block_coder import BlockCoder, Pixels
from foveate.codec.block_weights import Derivative, Window
from foveate.compiled import compiled

_PRIOR = 1.0  # of the mean of all blocks' errors, by area: what each is taken to have beside its own
_MOST = 5.0  # a block's cost over its weighted error, and the other way round
# Derivatives by components are the transposed inverse ICT (G.3) of those by colors. The forward ICT, which
# the coder applies, makes them of colors that were multiplied by the inverse ICT and its transpose.
_INVERSE_ICT = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
_MIXED = (_INVERSE_ICT @ _INVERSE_ICT.T).astype(np.float32)


def seen_in(
    choice: Choice, coder: BlockCoder, visible: NDArray[np.float64], derivative: Derivative
) -> NDArray[np.float64]:
    """Factors for the weights of all blocks by what their errors cost of a score, when a choice is decoded.

    Weights by saliency are no part of it: they multiply as before.

    Args:
      choice: of the photo.
      coder: of the photo.
      visible: (blocks,) the weights by `masking.visibility`.
      derivative: of the score.

    Returns:
      (blocks,) positive, around 1.
    """
    decoded = openjpeg.decode(allocation.encode(choice)).pixels
    costs, errors = costs_of(coder, decoded, derivative(decoded))
    return factors_of(costs, errors * visible, coder.areas)


def costs_of(
    coder: BlockCoder, decoded: Pixels, derivative: Callable[[Window], NDArray[np.float32]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each block's error costs of a score, to first order, and its squared error.

    The derivative by a coefficient is taken to be that by samples, through the same wavelet and times its
    squared norm: the 9/7 is nearly orthogonal.

    Args:
      coder: of the photo.
      decoded: what the photo became, (H, W, C).
      derivative: of the score by the samples of what it became.

    Returns:
      (blocks,) points of score, below 0 where the error raises it; (blocks,) in squared samples. Both are 0
      of alpha, which no score knows of.
    """
    blocks = coder.layout.blocks
    costs, errors = np.zeros(len(blocks.tile)), np.zeros(len(blocks.tile))
    norms = np.array([band.norm for band in coder.bands], np.float32)
    ones = np.ones_like(norms)
    for tile in range(coder.layout.tiles):
        window = coder.window(tile)
        first, end = np.searchsorted(blocks.tile, [tile, tile + 1])
        starts = coder.blocks.start[first:end] - coder.blocks.start[first]
        error = np.subtract(decoded[window], coder.pixels[window], dtype=np.float32)
        of_error = coder.analyzed(error, tile, ones)
        del error
        _add_products(of_error, of_error, starts, errors[first:end])
        slopes = derivative(window)
        if coder.color_transform:
            _mix(slopes, _MIXED)
        of_slopes = coder.analyzed(slopes, tile, norms**2)
        _add_products(of_error, of_slopes, starts, costs[first:end])
    colors = 1 if coder.pixels.shape[2] <= 2 else 3
    errors[blocks.component >= colors] = 0
    return -costs, errors * coder.unit_errors


def factors_of(
    costs: NDArray[np.float64], errors: NDArray[np.float64], areas: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What weights have to be multiplied with, where they count errors for more or less than they cost.

    Args:
      costs: (blocks,) of a score.
      errors: (blocks,) squared errors by their present weights.
      areas: (blocks,) coefficients.

    Returns:
      (blocks,) positive; all ones where errors as a whole do not cost anything.
    """
    total = float(costs.sum())
    if not total > 0 or not errors.any():
        return np.ones_like(costs)
    expected = errors * (total / float(errors.sum()))
    prior = _PRIOR * total * areas / float(areas.sum())
    ratio = (np.maximum(costs, 0) + prior) / (expected + prior)
    return np.asarray(np.sqrt(np.clip(ratio, 1 / _MOST, _MOST)))


@compiled
def _mix(samples, factors):  # type: ignore[no-untyped-def]
    """Multiplies the first three channels of (h, w, C) by a matrix."""
    for row in range(len(samples)):
        line = samples[row]
        for x in range(len(line)):
            red, green, blue = line[x, 0], line[x, 1], line[x, 2]
            for color in range(3):
                mixed = factors[color, 0] * red + factors[color, 1] * green
                line[x, color] = mixed + factors[color, 2] * blue


@compiled
def _add_products(first, second, starts, sums):  # type: ignore[no-untyped-def]
    """Adds products of coefficients to the sums of their blocks; each begins at `starts[b]`, one by one."""
    for b in range(len(starts)):
        end = starts[b + 1] if b + 1 < len(starts) else len(first)
        total = 0.0
        for k in range(starts[b], end):
            total += np.float64(first[k]) * np.float64(second[k])
        sums[b] += total
