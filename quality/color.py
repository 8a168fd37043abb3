"""What of a photo is measured: its color channels, their luma, and the peak of its sample type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Plane = NDArray[np.float32]

BT601 = (0.299, 0.587, 0.114)
_BAND_SAMPLES = 1 << 16  # rows are taken in bands of about this many samples, so that the work stays in cache
_STRIP_PIXELS = (
    1 << 20
)  # photos are measured in strips of about this many pixels: memory stays that of a strip


def check_pair(a: Pixels, b: Pixels) -> None:
    """Raise ValueError unless both are non-empty (H, W, C), C in 1..4, of one shape and type."""
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(f"photos differ in shape or type: {a.shape} {a.dtype} and {b.shape} {b.dtype}")
    if a.ndim != 3 or not 1 <= a.shape[2] <= 4 or a.size == 0:
        raise ValueError(f"expected non-empty (H, W, C) with C in 1..4, got {a.shape}")
    if a.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 samples, got {a.dtype}")


def peak_of(pixels: Pixels) -> int:
    """The largest value of the sample type: 255 for uint8, 65535 for uint16."""
    return int(np.iinfo(pixels.dtype).max)


def color_channels(pixels: Pixels) -> Pixels:
    """(H, W, C) without its alpha: gray of 1 or 2 channels, RGB of 3 or 4 (a view)."""
    return pixels[..., : 1 if pixels.shape[2] <= 2 else 3]


def luma(pixels: Pixels) -> Plane:
    """(H, W) float32 luma after BT.601, full range, not rounded; a gray photo's luma is its gray itself."""
    color = color_channels(pixels)
    if color.shape[2] == 1:
        return color[..., 0].astype(np.float32)
    result = np.empty(color.shape[:2], np.float32)
    for rows in bands(color.shape):
        result[rows] = color[rows].astype(np.float32) @ np.asarray(BT601, np.float32)
    return result


def strips(pixels: Pixels) -> Iterator[slice]:
    """Slices that cut a photo (H, W, C) into strips of whole rows, from the top down."""
    height, width, _ = pixels.shape
    step = max(16, _STRIP_PIXELS // width // 16 * 16)  # rows that halve evenly at every scale
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices that cut an array of `shape` into bands of whole rows."""
    step = max(1, _BAND_SAMPLES // max(1, int(np.prod(shape[1:]))))
    return (slice(top, min(top + step, shape[0])) for top in range(0, shape[0], step))
