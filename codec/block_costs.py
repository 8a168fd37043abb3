"""Measures on a first decode what each code-block's error costs in score, and derives weights from it.

decoded photo ─┬▶ error ────────────────────▶ wavelet ─┬▶ squares ──▶ weighted error of each block
               └▶ derivative of the score ──▶ wavelet ─┴▶ products ─▶ what it costs of the score
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.block_coder import BlockCoder
from foveate.codec.block_weights import Derivative, Window
from foveate.codec.coding import Pixels
from foveate.compiled import compiled

_PRIOR = 1.0  # of the mean of all blocks' errors, by area, added to each block's own
_MOST = 5.0  # a block's cost over its weighted error, and the other way round
_POWER, _KEPT = 0.7, 0.85  # of that ratio, and of the weights by masking
_ICT = np.array(  # G.3.1, and below its inverse
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_INVERSE_ICT = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def seen_in(
    choice: Choice, coder: BlockCoder, visible: NDArray[np.float64], derivative: Derivative
) -> NDArray[np.float64]:
    """Factors for the weights of all blocks, from what their errors cost in score in a decoded choice.

    Weights by saliency are not included: they multiply as before.

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
    return factors_of(costs, errors, visible, coder.areas)


def costs_of(
    coder: BlockCoder, decoded: Pixels, derivative: Callable[[Window], NDArray[np.float32]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cost of each block's error in points of a score, to first order, and its squared error.

    The derivative by coefficients is approximated by that by samples, through the same wavelet and times its
    squared norm, since the 9/7 is nearly orthogonal.

    Args:
      coder: of the photo.
      decoded: the decoded photo, (H, W, C).
      derivative: of the score by the decoded samples.

    Returns:
      (blocks,) points of score, below 0 if the error raises it; (blocks,) in squared samples. Both are 0
      for alpha, which scores leave out.
    """
    blocks, channels = coder.layout.blocks, coder.pixels.shape[2]
    costs, errors = np.zeros(len(blocks.tile)), np.zeros(len(blocks.tile))
    norms = np.array([band.norm for band in coder.bands], np.float32)
    coder.forget_coefficients()
    for tile in range(coder.layout.tiles):
        window = coder.window(tile)
        slopes = derivative(window)
        before, after = (np.ascontiguousarray(pixels[window]) for pixels in (coder.pixels, decoded))
        for component in range(1 if channels <= 2 else 3):
            forward, backward = _factors(component, coder.color_transform)
            places = np.flatnonzero((blocks.tile == tile) & (blocks.component == component))
            own = slice(int(places[0]), int(places[-1]) + 1)
            starts = coder.blocks.start[own] - coder.blocks.start[own.start]
            error = _mixed_difference(before, after, forward)
            of_error = coder.analyzed(error, own, np.ones_like(norms))
            _add_products(of_error, of_error, starts, errors[own])
            of_slopes = coder.analyzed(_mixed(slopes, backward), own, norms**2)
            _add_products(of_error, of_slopes, starts, costs[own])
    return -costs, errors * coder.unit_errors


def _factors(component: int, mixed: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors of the channels, from `component` or 0 on, for a component and for a derivative by it."""
    if mixed:
        return _ICT[component], np.ascontiguousarray(_INVERSE_ICT[:, component])
    alone = np.zeros(component + 1, np.float32)
    alone[component] = 1
    return alone, alone


def factors_of(
    costs: NDArray[np.float64],
    errors: NDArray[np.float64],
    visible: NDArray[np.float64],
    areas: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Factors that correct weights which count errors for more or less than they cost.

    A block's cost is noisy if its error is small, so a share of all errors, at their mean cost, is added to
    each; and the ratio is raised to a power. Weights by masking may then be weaker, which regains some of the
    PSNR that the ratio costs. On 14 training photos of 512 x 512, at 0.25 to 1 bit per
    pixel, that is 1.1 points of SSIMULACRA 2 at equal bytes for 0.09 dB; without the second power, 1.25
    points for 0.2 dB. A second round would gain a fifth of the first.

    Args:
      costs: (blocks,) of a score.
      errors: (blocks,) squared errors.
      visible: (blocks,) the weights that they have by `masking.visibility`.
      areas: (blocks,) coefficients.

    Returns:
      (blocks,) positive, with the same sum of weighted errors; all ones if errors cost nothing.
    """
    total, weighted = float(costs.sum()), errors * visible
    if not total > 0 or not weighted.any():
        return np.ones_like(costs)
    expected = weighted * (total / float(weighted.sum()))
    prior = _PRIOR * total * areas / float(areas.sum())
    ratio = (np.maximum(costs, 0) + prior) / (expected + prior)
    factors = np.clip(ratio, 1 / _MOST, _MOST) ** _POWER * visible ** (_KEPT - 1)
    return np.asarray(factors * (weighted.sum() / (weighted * factors).sum()))  # slopes keep their meaning


@compiled
def _mixed(samples, factors):  # type: ignore[no-untyped-def]
    """A plane (h, w) of float32: the first channels of (h, w, C) times factors."""
    height, width, _ = samples.shape
    plane = np.empty((height, width), np.float32)
    for row in range(height):
        for x in range(width):
            total = factors[0] * np.float32(samples[row, x, 0])
            for channel in range(1, len(factors)):
                total += factors[channel] * np.float32(samples[row, x, channel])
            plane[row, x] = total
    return plane


@compiled
def _mixed_difference(before, after, factors):  # type: ignore[no-untyped-def]
    """The same for the difference between `after` and `before`."""
    height, width, _ = before.shape
    plane = np.empty((height, width), np.float32)
    for row in range(height):
        for x in range(width):
            total = np.float32(0)
            for channel in range(len(factors)):
                change = np.int64(after[row, x, channel]) - np.int64(before[row, x, channel])
                total += factors[channel] * np.float32(change)
            plane[row, x] = total
    return plane


@compiled
def _add_products(first, second, starts, sums):  # type: ignore[no-untyped-def]
    """Adds products of coefficients to the sums of their blocks; each block begins at `starts[b]`."""
    for b in range(len(starts)):
        end = starts[b + 1] if b + 1 < len(starts) else len(first)
        total = 0.0
        for k in range(starts[b], end):
            total += np.float64(first[k]) * np.float64(second[k])
        sums[b] += total
