"""Saliency without learning, as baselines for MS-ROI.

OpenCV's contributed module has the last two; they are reimplemented here because it takes 70 MB. Over 25 of
the validation photos they correlate with OpenCV 4.11's by 0.9998 (fine-grained) and 0.87 (spectral residual,
where OpenCV's smoothing window differs from the paper's).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.photos import Photo

Map = NDArray[np.float32]

PRIOR_WIDTH = 0.25  # standard deviation of the center prior, in sides of the photo
_SPECTRUM_SIDE = 64
_SURROUNDS = (12, 24, 28, 48, 56, 112)  # pixels that a surround reaches from its center, each way


def center_prior(height: int, width: int) -> Map:
    """A Gaussian about the middle of the photo, (height, width) float32 with its peak near one."""
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / PRIOR_WIDTH for side in (height, width))
    return np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)).astype(np.float32)


def spectral_residual(photo: Photo) -> Map:
    """Spectral residual of a photo (Hou and Zhang 2007): (64, 64) in [0, 1]."""
    small = Image.fromarray(photo).convert("L").resize((_SPECTRUM_SIDE,) * 2, Image.Resampling.BOX)
    spectrum = np.fft.fft2(np.asarray(small, np.float64))
    logarithm = np.log(np.abs(spectrum) + 1e-9)
    residual = logarithm - ndimage.uniform_filter(logarithm, 3, mode="wrap")
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return _to_range(ndimage.gaussian_filter(energy, 2.5))


def fine_grained(photo: Photo) -> Map:
    """Brightness against surrounds of six sizes (Montabone and Soto 2010): (H, W) in [0, 1].

    Brighter and darker than the surround are summed apart, each brought to its own peak, and added.
    """
    gray = np.asarray(Image.fromarray(photo).convert("L"), np.float64)
    for _ in range(2):
        for axis in (0, 1):
            gray = ndimage.convolve1d(gray, (0.25, 0.5, 0.25), axis, mode="mirror")
    table = np.pad(gray, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    brighter, darker = np.zeros_like(gray), np.zeros_like(gray)
    for reach in _SURROUNDS:
        contrast = gray - _surround(gray, table, reach)
        brighter += np.maximum(contrast, 0)
        darker += np.maximum(-contrast, 0)
    total = sum(part / max(float(part.max()), 1e-9) for part in (brighter, darker))
    return np.minimum(total, 1).astype(np.float32)


def _surround(gray: NDArray[np.float64], table: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean around each pixel, without it, by the summed-area table."""
    (top, bottom), (left, right) = (
        np.clip([np.arange(side) - reach, np.arange(side) + reach + 1], 0, side) for side in gray.shape
    )
    total = table[np.ix_(bottom, right)] + table[np.ix_(top, left)]
    total -= table[np.ix_(top, right)] + table[np.ix_(bottom, left)]
    count = (bottom - top)[:, None] * (right - left)[None, :]
    around: NDArray[np.float64] = (total - gray) / np.maximum(count - 1, 1)
    return around


def _to_range(values: NDArray[np.float64]) -> Map:
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-12)).astype(np.float32)
