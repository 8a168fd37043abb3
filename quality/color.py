"""Selects the channels that measures compare: color channels, their luma, and the peak sample value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Plane = NDArray[np.float32]

BT601 = (0.299, 0.587, 0.114)
_RED, _GREEN, _BLUE = (np.float32(weight) for weight in BT601)
_STRIP_PIXELS = 1 << 18  # a strip's planes stay in cache


def check_pair(a: Pixels, b: Pixels) -> None:
    """Raises ValueError unless both are non-empty (H, W, C), C in 1..4, of the same shape and type."""
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
    """(H, W) float32 luma after BT.601, full range, not rounded; a gray photo's luma is its gray."""
    color = color_channels(pixels)
    if color.shape[2] == 1:
        return color[..., 0].astype(np.float32)
    return _luma_of_rgb(np.ascontiguousarray(color))  # type: ignore[no-any-return]


@compiled
def _luma_of_rgb(color):  # type: ignore[no-untyped-def]
    height, width, _ = color.shape
    result = np.empty((height, width), np.float32)
    for y in range(height):
        row, samples = result[y], color[y].reshape(-1)  # one dimension each, so that the loop is vectorized
        for x in range(width):
            red, green, blue = samples[3 * x], samples[3 * x + 1], samples[3 * x + 2]
            row[x] = _RED * np.float32(red) + _GREEN * np.float32(green) + _BLUE * np.float32(blue)
    return result


def strips(pixels: Pixels) -> Iterator[slice]:
    """Slices that cut a photo (H, W, C) into strips of whole rows, from the top down."""
    height, width, _ = pixels.shape
    step = max(16, _STRIP_PIXELS // width // 16 * 16)  # rows that halve evenly at every scale
    return (slice(top, min(top + step, height)) for top in range(0, height, step))
