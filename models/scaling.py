"""Scales photos of any kind to the input of the networks that find structures: RGB, 8 bits, no alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

_BAND_PIXELS = 1 << 22  # a photo is scaled down in bands of about this many pixels
_GRAY = 127  # alpha blends into this, which means nothing to the networks


def check_pixels(pixels: Pixels) -> None:
    """Raises ValueError unless `pixels` is non-empty (H, W, C), C in 1..4, of 8 or 16 bits."""
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
        raise ValueError(f"expected non-empty (H, W, C) with C in 1..4, got {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 samples, got {pixels.dtype}")


def scaled(pixels: Pixels, rows: int, columns: int) -> NDArray[np.uint8]:
    """A photo (H, W, C) scaled down by area averaging, or up: (rows, columns, 3) uint8.

    Gray becomes RGB; alpha blends into mid-gray.
    """
    from PIL import Image

    check_pixels(pixels)
    height, width = pixels.shape[:2]
    # Whole blocks first, as Pillow's `reducing_gap=2.0` would: fast, and still twice the size asked for.
    across, down = max(1, width // columns // 2), max(1, height // rows // 2)
    part = (0, 0, width / across, height / down)
    return _rgb(_reduced(pixels, across, down).resize((columns, rows), Image.Resampling.BILINEAR, part))


def reduced(pixels: Pixels, factor: int) -> NDArray[np.uint8]:
    """The means of blocks of factor × factor samples: (ceil(H / factor), ceil(W / factor), 3) uint8."""
    check_pixels(pixels)
    return _rgb(_reduced(pixels, factor, factor))


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode]).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (_GRAY, _GRAY, _GRAY, 255)), image)
    return np.asarray(_in_mode(image, "RGB"))


def _reduced(pixels: Pixels, across: int, down: int) -> Image.Image:
    """The means of blocks of `across` by `down` samples, band by band; alpha premultiplied."""
    from PIL import Image

    height, width, channels = pixels.shape
    mode = ("L", "La", "RGB", "RGBa")[channels - 1]
    result = Image.new(mode, (-(-width // across), -(-height // down)))
    step = max(1, _BAND_PIXELS // (width * down)) * down
    for top in range(0, height, step):
        band = pixels[top : top + step]
        eight = band if band.dtype == np.uint8 else (band >> 8).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(eight[..., 0] if channels == 1 else eight))
        result.paste(_in_mode(image, mode).reduce((across, down)), (0, top // down))
    return result


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in a mode of Pillow's, which would copy one that is in it."""
    return image if image.mode == mode else image.convert(mode)
