"""VIFp, visual information fidelity in the pixel domain (Sheikh and Bovik 2006, the multi-scale pixel form).

Measures how much of the information that an ideal observer takes from the original is still in the copy: each
place in each of four scales is a Gaussian source seen through a gain and noise, and through the eye's own
noise. It is 1 for an exact copy, and can exceed 1 for a copy with more contrast. It is not symmetric.
"""

from __future__ import annotations

import numpy as np

from foveate.quality.color import Pixels, check_pair
from foveate.quality.planes import Plane64, at_least, filtered_inside, luma_255

_WINDOWS = (17, 9, 5, 3)  # samples at each scale; the Gaussian's sigma is a fifth of them
_EYE_NOISE = 2.0  # variance, on a scale of 255
_LEAST = 1e-10  # what varies less does not vary
_LEAST_SIDE = 41  # below it the coarsest scale has no window


def vif(a: Pixels, b: Pixels) -> float:
    """VIFp of the copy `b` of `a`, of BT.601 luma on a scale of 255, not negative.

    Photos are (H, W, C) uint8 or uint16 alike; sides below 41 are extended by mirroring. If the original has
    no detail at all, 1 for an equal copy and 0 for another. ValueError for a mismatched pair.
    """
    check_pair(a, b)
    original, copy = (at_least(luma_255(photo), _LEAST_SIDE) for photo in (a, b))
    there = kept = 0.0
    for scale, window in enumerate(_WINDOWS):
        taps = _gaussian(window)
        if scale:
            original, copy = (filtered_inside(plane, taps)[::2, ::2] for plane in (original, copy))
        of_scale = _information(original, copy, taps)
        there, kept = there + of_scale[0], kept + of_scale[1]
    if there < _LEAST:
        return float(np.array_equal(a, b))
    return kept / there


def _gaussian(window: int) -> Plane64:
    taps = np.exp(-0.5 * ((np.arange(window) - window // 2) / (window / 5)) ** 2)
    normal: Plane64 = taps / taps.sum()
    return normal


def _information(original: Plane64, copy: Plane64, taps: Plane64) -> tuple[float, float]:
    """Information in one scale, and the part that the copy keeps, in units of log10."""
    mean_a, mean_b = filtered_inside(original, taps), filtered_inside(copy, taps)
    varied_a = np.maximum(filtered_inside(original * original, taps) - mean_a * mean_a, 0)
    varied_b = np.maximum(filtered_inside(copy * copy, taps) - mean_b * mean_b, 0)
    together = filtered_inside(original * copy, taps) - mean_a * mean_b
    gain = together / (varied_a + _LEAST)
    noise = varied_b - gain * together
    flat = varied_a < _LEAST
    gain[flat], noise[flat], varied_a[flat] = 0, varied_b[flat], 0
    gain[varied_b < _LEAST] = noise[varied_b < _LEAST] = 0
    inverted = gain < 0
    noise[inverted], gain[inverted] = varied_b[inverted], 0
    noise = np.maximum(noise, _LEAST)
    kept = np.log10(1 + gain**2 * varied_a / (noise + _EYE_NOISE))
    return float(np.log10(1 + varied_a / _EYE_NOISE).sum()), float(kept.sum())
