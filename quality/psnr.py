"""Squared error, PSNR and its variants.

Photos are (H, W, C) uint8 or uint16 of equal shape and type, C in 1..4. Alpha (the second of two channels,
the fourth of four) is left out: the color of transparent pixels does not matter, and a lossless alpha would
improve the figures for color. `peak` is 255 or 65535 by the sample type unless given. Identical photos have
an infinite ratio.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled
from foveate.quality.color import Pixels, Plane, check_pair, color_channels, luma, peak_of, strips
from foveate.quality.saliency import StretchedMap, WeightedMean

_COLORS = np.float32(3)


def mse(a: Pixels, b: Pixels) -> float:
    """Mean squared error over all color channels, in squared units; ValueError for a mismatched pair."""
    return _mean_error(a, b, None).plain


def psnr(a: Pixels, b: Pixels, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio over all color channels, in dB."""
    return decibels(mse(a, b), peak or peak_of(a))


def alpha_error(a: Pixels, b: Pixels) -> float | None:
    """The largest error of the alpha channel on a scale of 255; None for photos without one."""
    check_pair(a, b)
    if a.shape[2] % 2:
        return None
    return float(np.abs(a[:, :, -1].astype(np.int32) - b[:, :, -1]).max() * 255 / peak_of(a))


def psnr_y(a: Pixels, b: Pixels, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio of the BT.601 luma, in dB."""
    check_pair(a, b)
    mean = WeightedMean()
    for rows in strips(a):
        mean.add(luma_errors(luma(a[rows]), luma(b[rows])), None)
    return decibels(mean.plain, peak or peak_of(a))


def psnr_s(a: Pixels, b: Pixels, saliency: NDArray[np.float32], peak: float | None = None) -> float:
    """PSNR-S of Prakash et al. 2017 in dB: 10 log10(peak² / (Σ s e² / Σ s)), over all color channels.

    `saliency` is (h, w), not negative; it is stretched over the photo. If all are zero, the same as `psnr`.
    """
    return decibels(_mean_error(a, b, saliency).weighted, peak or peak_of(a))


def _mean_error(a: Pixels, b: Pixels, saliency: NDArray[np.float32] | None) -> WeightedMean:
    check_pair(a, b)
    height, width, _ = a.shape
    weights = None if saliency is None else StretchedMap.over(saliency, height, width)
    mean = WeightedMean()
    for rows in strips(a):
        mean.add(squared_errors(a[rows], b[rows]), None if weights is None else weights.rows(rows))
    return mean


def squared_errors(a: Pixels, b: Pixels) -> Plane:
    """(H, W) float32: squared error of each pixel of a matching pair, averaged over its color channels."""
    a, b = color_channels(a), color_channels(b)
    if a.shape[2] == 1:
        return luma_errors(a[..., 0].astype(np.float32), b[..., 0].astype(np.float32))
    return _errors_of_rgb(np.ascontiguousarray(a), np.ascontiguousarray(b))  # type: ignore[no-any-return]


@compiled
def _errors_of_rgb(a, b):  # type: ignore[no-untyped-def]
    height, width, _ = a.shape
    result = np.empty((height, width), np.float32)
    for y in range(height):
        row, of_a, of_b = result[y], a[y].reshape(-1), b[y].reshape(-1)
        for x in range(width):
            red = np.float32(of_a[3 * x]) - np.float32(of_b[3 * x])
            green = np.float32(of_a[3 * x + 1]) - np.float32(of_b[3 * x + 1])
            blue = np.float32(of_a[3 * x + 2]) - np.float32(of_b[3 * x + 2])
            row[x] = (red * red + green * green + blue * blue) / _COLORS
    return result


def luma_errors(a: Plane, b: Plane) -> Plane:
    """(H, W) float32: squared error of two luma planes."""
    difference: Plane = a - b
    difference *= difference
    return difference


def decibels(mean_squared_error: float, peak: float) -> float:
    """10 log10(peak² / error); infinite for no error."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(peak * peak / mean_squared_error)
