"""Structural similarity on BT.601 luma: SSIM (Wang et al. 2004) and MS-SSIM (Wang et al. 2003).

Gaussian window of 11×11 samples, sigma 1.5, K1 = 0.01, K2 = 0.03, population (not sample) covariance, peak
255 or 65535 by the sample type. Only windows that lie inside the photo count; along a side shorter than 11
samples, where none does, the photo is continued by mirroring (edge sample repeated) and there is one window
per sample. So a photo of any size has a value, that of one pixel too.

With x, y the two photos, their sum u = x + y and difference v = x − y give all of it in four filterings, not
five: 2 μx μy = (μu² − μv²) / 2, μx² + μy² = (μu² + μv²) / 2, and likewise for the variances.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.colour import Pixels, Plane, bands, check_pair, luma, peak_of
from quality.saliency import resize_saliency, weighted_mean

RADIUS = 5
SIGMA = 1.5
K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


def ssim(a: Pixels, b: Pixels) -> float:
    """Mean structural similarity, at most 1, which identical photos reach; ValueError for an unlike pair."""
    check_pair(a, b)
    return weighted_mean(similarity_map(luma(a), luma(b), peak_of(a))[0], None)


def ssim_s(a: Pixels, b: Pixels, saliency: NDArray[np.float32]) -> float:
    """SSIM whose map is averaged under a saliency map (h, w), not negative, stretched over the photo.

    Each window counts with the saliency at its centre. All zero there: the same as `ssim`.
    """
    check_pair(a, b)
    similarity = similarity_map(luma(a), luma(b), peak_of(a))[0]
    return weighted_mean(similarity, at_window_centres(resize_saliency(saliency, *a.shape[:2])))


def ms_ssim(a: Pixels, b: Pixels) -> float:
    """SSIM over up to five dyadic scales, in [0, 1].

    Each scale is the 2×2 mean of the one before (an odd last row or column is dropped). Scales whose shorter
    side would be below 11 samples are left out and the weights of the others scaled to sum to one. A scale of
    negative mean similarity counts as zero.
    """
    check_pair(a, b)
    planes = luma(a), luma(b)
    return ms_ssim_of_luma(*planes, peak_of(a), similarity_map(*planes, peak_of(a)))


def ms_ssim_of_luma(a: Plane, b: Plane, peak: float, first: tuple[Plane, float]) -> float:
    """`ms_ssim` of luma planes (H, W) whose `similarity_map` at full scale is known already."""
    count = scale_count(*a.shape)
    weights = np.asarray(SCALE_WEIGHTS[:count]) / sum(SCALE_WEIGHTS[:count])
    similarity, contrast = first
    result = 1.0
    for weight in weights[:-1]:
        result *= max(contrast, 0.0) ** weight
        a, b = halve(a), halve(b)
        similarity, contrast = similarity_map(a, b, peak)
    return float(result * max(weighted_mean(similarity, None), 0.0) ** weights[-1])


def scale_count(height: int, width: int) -> int:
    """How many scales, 1 to 5, keep the shorter side at 11 samples or more."""
    windows = min(height, width) // (2 * RADIUS + 1)
    return min(max(windows.bit_length(), 1), len(SCALE_WEIGHTS))


def halve(plane: Plane) -> Plane:
    """(H, W) to (H // 2, W // 2) by the mean of 2×2 samples."""
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    rows = plane[:height:2, :width] + plane[1:height:2, :width]
    halved = rows[:, ::2] + rows[:, 1::2]
    halved *= np.float32(0.25)
    return halved


def at_window_centres(plane: Plane) -> Plane:
    """The part of a photo-sized plane (H, W) where the windows of `similarity_map` have their centres."""
    top, left = (RADIUS if side > 2 * RADIUS else 0 for side in plane.shape)
    return plane[top : plane.shape[0] - top, left : plane.shape[1] - left]


def similarity_map(a: Plane, b: Plane, peak: float) -> tuple[Plane, float]:
    """SSIM of every window of two luma planes (H, W), and the mean of its contrast-structure factor alone."""
    a, b = _continued(a), _continued(b)
    height, width = (side - 2 * RADIUS for side in a.shape)
    similarity = np.empty((height, width), np.float32)
    contrast_total = 0.0
    for rows in bands((height, width)):
        reach = slice(rows.start, rows.stop + 2 * RADIUS)
        luminance, contrast = _factors(a[reach], b[reach], np.float32(peak))
        contrast_total += float(contrast.sum(dtype=np.float64))
        np.multiply(luminance, contrast, out=similarity[rows])
    return similarity, contrast_total / similarity.size


def _continued(plane: Plane) -> Plane:
    """Mirror the sides that are too short to hold one window."""
    pads = [(0, 0) if side > 2 * RADIUS else (RADIUS, RADIUS) for side in plane.shape]
    return np.pad(plane, pads, mode="symmetric") if any(before for before, _ in pads) else plane


def _factors(a: Plane, b: Plane, peak: np.float32) -> tuple[Plane, Plane]:
    """The luminance and the contrast-structure factor of all windows inside (h, w) planes."""
    total = a + b
    total -= peak  # centred, so that float32 has digits to spare for the variances
    difference = a - b
    mean_total, mean_difference = _blur(total), _blur(difference)
    spread_total = np.maximum(_blur(total * total) - mean_total * mean_total, 0)
    spread_difference = np.maximum(_blur(difference * difference) - mean_difference * mean_difference, 0)
    mean_total += peak
    luminance = _likeness(mean_total * mean_total, mean_difference * mean_difference, 2 * (K1 * peak) ** 2)
    return luminance, _likeness(spread_total, spread_difference, 2 * (K2 * peak) ** 2)


def _likeness(total: Plane, difference: Plane, stabiliser: np.float32) -> Plane:
    numerator = total - difference
    numerator += stabiliser
    total += difference
    total += stabiliser
    numerator /= total
    return numerator


def _blur(plane: Plane) -> Plane:
    """The Gaussian window over every place where it fits: (h, w) to (h − 10, w − 10)."""
    return _blur_columns(_blur_rows(plane))


def _window() -> NDArray[np.float32]:
    taps = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
    return np.asarray(taps / (2 * taps.sum() - taps[0]), np.float32)


_TAPS = _window()  # the centre and one side


def _blur_rows(plane: Plane) -> Plane:
    count = plane.shape[0] - 2 * RADIUS
    result: Plane = plane[RADIUS : RADIUS + count] * _TAPS[0]
    for offset in range(1, RADIUS + 1):
        pair = plane[RADIUS - offset :][:count] + plane[RADIUS + offset :][:count]
        pair *= _TAPS[offset]
        result += pair
    return result


def _blur_columns(plane: Plane) -> Plane:
    count = plane.shape[1] - 2 * RADIUS
    result: Plane = plane[:, RADIUS : RADIUS + count] * _TAPS[0]
    for offset in range(1, RADIUS + 1):
        pair = plane[:, RADIUS - offset :][:, :count] + plane[:, RADIUS + offset :][:, :count]
        pair *= _TAPS[offset]
        result += pair
    return result
