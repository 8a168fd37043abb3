"""Checks the arguments of the Python API, and explains what is wrong with them."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
SaliencyMap = NDArray[np.float32]

MOST_WEIGHT = 10
GAINS_DB = (0, 40)
MOST_THREADS = 1024


def checked_pixels(pixels: Pixels) -> Pixels:
    """A photo as a contiguous (H, W, C) array. Raises ValueError for another shape or type."""
    pixels = cast(Pixels, np.asarray(pixels))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        hint = "; channels come last" if pixels.ndim == 3 and 1 <= pixels.shape[0] <= 4 else ""
        raise ValueError(f"pixels must be (H, W) or (H, W, 1 to 4), not {pixels.shape}{hint}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be uint8 or uint16, not {pixels.dtype}")
    return cast(Pixels, np.ascontiguousarray(pixels))


def checked_map(saliency: NDArray[np.floating]) -> SaliencyMap:
    """A saliency map as float32. Raises ValueError for another shape or range."""
    found = np.asarray(saliency, np.float32)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"a saliency map must be (h, w), not {found.shape}")
    if not (found.min() >= 0 and found.max() <= 1):  # NaN is neither
        found_range = f"{found.min():g} to {found.max():g}"
        raise ValueError(f"a saliency map must lie in 0 to 1, not {found_range}; of 8 bits, divide it by 255")
    return found


def checked_file(jp2: bytes) -> bytes:
    """A file as bytes. Raises TypeError for anything but bytes."""
    if isinstance(jp2, bytearray | memoryview):
        return bytes(jp2)
    if not isinstance(jp2, bytes):
        raise TypeError(f"a file must be given as its bytes, not as {type(jp2).__name__}: read it first")
    return jp2


def checked_weights(objects: float, faces: float, writing: float) -> tuple[float, float, float]:
    """Weights of structures as floats. Raises ValueError where they are out of range."""
    weights = (float(objects), float(faces), float(writing))
    if not all(0 <= weight <= MOST_WEIGHT for weight in weights) or not any(weights):
        raise ValueError(f"weights must be from 0 to {MOST_WEIGHT}, and one above 0, not {weights}")
    return weights


def check_range(name: str, value: float, limits: tuple[float, float]) -> None:
    """Raises ValueError if an argument is outside its limits (inclusive)."""
    least, most = limits
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
