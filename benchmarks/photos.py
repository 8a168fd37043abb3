"""The photos that benchmarks run on, and pictures that are made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.quality.color import BT601

LARGE_PIXELS = 1_000_000  # photos of at least so many count as large

Photo = NDArray[np.uint8]


def photo_paths(folder: Path, count: int | None = None) -> list[Path]:
    """The files of a folder in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_file())[:count]


def read_photo(path: Path) -> Photo:
    """(H, W, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def pixel_count(path: Path) -> int:
    """A photo's pixels, by its header."""
    with Image.open(path) as image:
        return image.width * image.height


def middle_quarter(height: int, width: int) -> NDArray[np.float32]:
    """A mask over the middle half of each side: 1 inside, 0 outside."""
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return mask


def mirrored_to(photo: Photo, height: int, width: int) -> Photo:
    """A photo extended by its mirror images to a size, or cropped to it."""
    pads = [(0, max(0, height - photo.shape[0])), (0, max(0, width - photo.shape[1])), (0, 0)]
    return np.ascontiguousarray(np.pad(photo, pads, mode="symmetric")[:height, :width])


def gray(photo: Photo) -> Photo:
    """BT.601 luma, (H, W, 1)."""
    luma: Photo = np.rint(photo @ np.asarray(BT601)).astype(np.uint8)[:, :, None]
    return luma


def with_alpha(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The picture cut out along an ellipse that touches its sides, with a soft edge of some 16 pixels."""
    height, width, _ = picture.shape
    rows, columns = (np.abs(np.linspace(-1, 1, side)) for side in (height, width))
    outside = (np.hypot(rows[:, None], columns) - 1) * min(height, width) / 2
    peak = np.iinfo(picture.dtype).max
    alpha = np.rint(np.clip(0.5 - outside / 16, 0, 1) * peak).astype(picture.dtype)
    result: NDArray[np.uint8] | NDArray[np.uint16] = np.dstack([picture, alpha])
    return result


def deepened(photo: Photo) -> NDArray[np.uint16]:
    """A 16-bit picture of half the size: 2 x 2 samples averaged in linear light (sRGB: IEC 61966-2-1).

    The samples thus use all their values, and their lower bits are mostly noise, as in a camera's files.
    """
    height, width, channels = (photo.shape[0] // 2, photo.shape[1] // 2, photo.shape[2])
    coded = np.arange(256) / 255
    curve = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    light = curve[photo[: 2 * height, : 2 * width]].reshape(height, 2, width, 2, channels).mean((1, 3))
    samples = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    deep: NDArray[np.uint16] = np.rint(np.clip(samples, 0, 1) * 65535).astype(np.uint16)
    return deep
