"""Converts samples to planes for perceptual measures: float64 on a scale of 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from foveate.quality.color import BT601, Pixels, color_channels, peak_of

Plane64 = NDArray[np.float64]


def colors_255(pixels: Pixels) -> Plane64:
    """(H, W, 1 or 3) float64 color on a scale of 255; alpha is left out."""
    colors: Plane64 = color_channels(pixels).astype(np.float64) * (255 / peak_of(pixels))
    return colors


def luma_255(pixels: Pixels) -> Plane64:
    """(H, W) float64 BT.601 luma on a scale of 255, not rounded; a gray photo's luma is its gray."""
    colors = colors_255(pixels)
    return colors[..., 0] if colors.shape[2] == 1 else colors @ np.asarray(BT601)


def at_least(plane: Plane64, side: int) -> Plane64:
    """The plane, with sides shorter than `side` extended by mirroring (edge sample repeated)."""
    pads = [(0, max(0, side - length)) for length in plane.shape]
    return np.pad(plane, pads, mode="symmetric") if any(after for _, after in pads) else plane


def filtered_inside(plane: Plane64, taps: Plane64) -> Plane64:
    """A symmetric window, of an odd number of taps along both axes, over every place where it fits."""
    radius = len(taps) // 2
    across = correlate1d(plane, taps, 1)[:, radius : plane.shape[1] - radius]
    inside: Plane64 = correlate1d(across, taps, 0)[radius : plane.shape[0] - radius]
    return inside
