"""The derivative of SSIMULACRA 2 with respect to the distorted samples: where errors cost score.

The computation of the score is traced back: from its norms to every sample of the error maps, through the
maps (`map_gradient`), XYB and the halving of each scale to linear light, and from there to sRGB samples.
Apart from the norms, a derivative depends on nothing farther away than 8 samples of the coarsest scale, so
that a photo is processed window by window and strip by strip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.quality.color import Pixels, check_pair
from foveate.quality.map_gradient import REACH, map_gradient
from foveate.quality.planes import Plane64
from foveate.quality.ssimulacra2 import (
    LEAST_SIDE,
    SCALES,
    at_least,
    counted,
    derivative_by_norms,
    norms_of,
)
from foveate.quality.xyb import (
    Planes,
    add_halved_derivative,
    derivative_by_light,
    derivative_by_samples,
    halve,
    linear_light,
    rescaled_xyb,
)

Window = tuple[slice, slice]  # rows and columns, without a step

_UNIT = 1 << (SCALES - 1)  # rows and columns that halve evenly down to the coarsest scale
_HALO = REACH * _UNIT  # pixels around a window that its derivative depends on
_STRIP_PIXELS, _LEAST_STRIP = 1 << 20, 256  # of a strip
_HALVED_ROWS = 64  # an even number


def gradient_of(reference: Pixels, distorted: Pixels) -> Callable[[Window], NDArray[np.float32]]:
    """`score_gradient` of a pair as a function of the window; the norms are computed now."""
    return functools.partial(score_gradient, reference, distorted, norms_of(reference, distorted))


def score_gradient(
    reference: Pixels, distorted: Pixels, norms: Plane64, window: Window = (slice(None), slice(None))
) -> NDArray[np.float32]:
    """The derivative of the score by each sample of the distorted photo.

    Colors of scales with negligible weights (X and B - Y at full size, all at 1:32) are left out, which
    changes the derivative by less than a thousandth. It is 0 for alpha.

    Args:
      reference, distorted: as for `ssimulacra2`.
      norms: `ssimulacra2.norms_of` them.
      window: the wanted rows and columns, without a step.

    Returns:
      (h, w, C) float32, points of score per unit of a sample. It takes some 60 MB of memory more, or 21 kB
      for each pixel of the window's width plus 512 if that is more.

    Raises:
      ValueError: a mismatched pair.
    """
    check_pair(reference, distorted)
    height, width, _ = reference.shape
    (top, bottom, _), (left, right, _) = window[0].indices(height), window[1].indices(width)
    if min(height, width) < LEAST_SIDE:
        return _of_small(reference, distorted, norms)[top:bottom, left:right]
    factors = _factors(norms, height, width)
    begin = max(0, left - left % _UNIT - _HALO)
    columns = slice(begin, min(width, -(-right // _UNIT) * _UNIT + _HALO))
    reference, distorted = reference[:, columns], distorted[:, columns]
    result = np.empty((bottom - top, right - left, reference.shape[2]), np.float32)
    step = max(_LEAST_STRIP, _STRIP_PIXELS // reference.shape[1] // _UNIT * _UNIT)
    limit = min(height, -(-bottom // _UNIT) * _UNIT)
    for start in range(top - top % _UNIT, limit, step):
        end = min(start + step, limit)
        inner = slice(max(0, start - REACH), min(height, end + REACH))
        light = [linear_light(pixels[inner]) for pixels in (reference, distorted)]
        by_light = _of_scale(light, start - inner.start, end - inner.start, factors[0])
        if len(factors) > 1:
            first = max(0, start - _HALO)
            light = [_halved_light(pixels[first : end + _HALO]) for pixels in (reference, distorted)]
            coarse = _by_light(light, (start - first) // 2, (end - first + 1) // 2, factors[1:])
            add_halved_derivative(coarse, by_light)
        own, end = max(start, top), min(end, bottom)
        inside = by_light[:, own - start : end - start, left - begin : right - begin]
        pixels = distorted[own:end, left - begin : right - begin]
        result[own - top : end - top] = derivative_by_samples(pixels, inside)
    return result


def _of_small(reference: Pixels, distorted: Pixels, norms: Plane64) -> NDArray[np.float32]:
    """The derivative for a photo extended by mirroring: samples count as often as they are repeated."""
    height, width, channels = reference.shape
    larger = score_gradient(at_least(reference, LEAST_SIDE), at_least(distorted, LEAST_SIDE), norms)
    rows, columns = (
        np.pad(np.arange(length), (0, longer - length), mode="symmetric")
        for length, longer in zip((height, width), larger.shape[:2], strict=True)
    )
    result = np.zeros((height, width, channels), np.float32)
    np.add.at(result, (rows[:, None], columns), larger)
    return result


def _factors(norms: Plane64, height: int, width: int) -> NDArray[np.float32]:
    """Factors of each map, whose sample changes the score by first + second * sample³: (n, 3, 2, 3).

    Scales come first, then colors, the two factors and the maps. The 4-norm of all samples is the fourth root
    of the mean of their fourth powers.
    """
    derivative = derivative_by_norms(norms)
    for scale, colors in enumerate(counted(norms.shape[1])):
        derivative[np.setdiff1d(range(3), colors), scale] = 0
        derivative[:, scale] /= -(-height >> scale) * -(-width >> scale)
    cubes = norms[:, :, 1] ** 3
    derivative[:, :, 1] = np.divide(derivative[:, :, 1], cubes, out=np.zeros_like(cubes), where=cubes > 0)
    return derivative.swapaxes(0, 1).astype(np.float32)


def _halved_light(pixels: Pixels) -> Planes:
    """Linear light at half the size, made from a few rows at a time to save memory."""
    parts = [
        halve(linear_light(pixels[top : top + _HALVED_ROWS]))
        for top in range(0, pixels.shape[0], _HALVED_ROWS)
    ]
    return np.concatenate(parts, axis=1)


def _by_light(light: list[Planes], top: int, bottom: int, factors: NDArray[np.float32]) -> Planes:
    """The derivative by linear light in rows top to bottom - 1 of a strip: (3, bottom - top, width).

    Takes the linear light of both photos, up to the photo's edges or as far as the wanted rows depend on it.
    The derivative from coarser scales is spread over this one's samples.
    """
    first, last = max(0, top - REACH), min(light[0].shape[1], bottom + REACH)
    around = [np.ascontiguousarray(planes[:, first:last]) for planes in light]
    by_light = _of_scale(around, top - first, bottom - first, factors[0])
    if len(factors) > 1:
        halved = [halve(planes) for planes in light]
        coarse = _by_light(halved, top // 2, (bottom + 1) // 2, factors[1:])
        add_halved_derivative(coarse, by_light)
    return by_light


def _of_scale(light: list[Planes], top: int, bottom: int, factors: NDArray[np.float32]) -> Planes:
    """The same through the error maps of one scale; overwrites `light`."""
    b = rescaled_xyb(light.pop())
    a = rescaled_xyb(light.pop())
    by_xyb = np.zeros_like(b)
    for color in range(3):
        if factors[color].any():
            by_xyb[color] = map_gradient(a[color], b[color], factors[color])
    del a
    return np.ascontiguousarray(derivative_by_light(b, by_xyb)[:, top:bottom])
