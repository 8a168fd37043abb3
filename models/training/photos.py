"""Draws random patches from a folder of photos, the same ones for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def load_photos(folder: Path) -> list[NDArray[np.uint8]]:
    """Every photo in a folder (and below) as (H, W, 3) uint8, in order of name.

    Raises:
      FileNotFoundError: the folder holds no photo.
    """
    from PIL import Image

    suffixes = {".webp", ".png", ".jpg", ".jpeg", ".tif", ".tiff"}
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no photos (WebP, PNG, JPEG, TIFF) in {folder}")
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def random_patch(
    photos: list[NDArray[np.uint8]], size: int, rng: np.random.Generator, gray_share: float = 0.1
) -> NDArray[np.uint8]:
    """One patch (size, size, 3): photos drawn by the root of their area, turned at random, some gray."""
    areas = np.sqrt([p.shape[0] * p.shape[1] for p in photos])
    photo = photos[rng.choice(len(photos), p=areas / areas.sum())]
    photo = _at_random_scale(photo, size, rng)
    top = rng.integers(photo.shape[0] - size + 1)
    left = rng.integers(photo.shape[1] - size + 1)
    patch = np.rot90(photo[top : top + size, left : left + size], int(rng.integers(4)))
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    if rng.random() < gray_share:
        luma = patch @ np.array([0.299, 0.587, 0.114])
        patch = np.repeat(np.rint(luma).astype(np.uint8)[..., None], 3, -1)
    return np.ascontiguousarray(patch)


def _at_random_scale(photo: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Large photos are halved half of the time: detail per pixel varies in an archive as well."""
    if min(photo.shape[:2]) < 4 * size or rng.random() < 0.5:
        return photo
    height, width = photo.shape[0] // 2 * 2, photo.shape[1] // 2 * 2
    top = rng.integers(height - 2 * size + 1)
    left = rng.integers(width - 2 * size + 1)
    window = photo[top : top + 2 * size, left : left + 2 * size].astype(np.uint16)
    return ((window[::2, ::2] + window[1::2, ::2] + window[::2, 1::2] + window[1::2, 1::2] + 2) // 4).astype(
        np.uint8
    )
