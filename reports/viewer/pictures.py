"""Encodes pictures for a page: lossless pixels, and maps as colors to lay over them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from PIL import Image

from foveate.pictures.picture import saved
from foveate.quality.color import Pixels
from foveate.quality.local_error import CELL
from foveate.quality.overlay import as_rgb, heat
from foveate.reports.viewer.places import Cells, Place

_WEBP_SIDE = 16383  # pixels, the most that WebP holds
_WEBP_EFFORT = {"quality": 50, "method": 2}  # a quarter of the time of the default, the same bytes
_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 320, 80
_TOP_SHARE = 99.5  # per cent of a map's cells that lie below its brightest color


def lossless_uri(pixels: Pixels, icc: bytes | None) -> str:
    """Pixels (H, W, C) as a lossless data URI.

    8-bit samples are kept bit for bit; of 16 bits, the upper 8. Transparent parts are shown over mid-gray.

    Args:
      pixels: of a photo or a part of it.
      icc: their color profile, None for sRGB.
    """
    colors = as_rgb(pixels)
    if pixels.shape[2] < 3:  # WebP has no gray, and a browser would refuse a gray profile beside colors
        return _uri(Image.fromarray(np.ascontiguousarray(colors[:, :, 0])), "PNG", icc_profile=icc)
    image = Image.fromarray(colors)
    if max(image.size) > _WEBP_SIDE:
        return _uri(image, "PNG", icc_profile=icc)
    return _uri(image, "WEBP", lossless=True, icc_profile=icc, **_WEBP_EFFORT)


def thumbnail_uri(pixels: Pixels, icc: bytes | None) -> str:
    """The whole photo, small."""
    image = Image.fromarray(as_rgb(pixels))
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    profile = None if pixels.shape[2] < 3 else icc
    return _uri(image, "WEBP", quality=_THUMBNAIL_QUALITY, icc_profile=profile)


def heat_uri(cells: Cells, most: float, place: Place) -> str:
    """A map's cells in a place as colors, one pixel per cell; `most` is the value of the brightest color.

    On a square-root scale: most of a photo has small values, and some places many times the mean.
    """
    values = np.sqrt(np.clip(cells[place.cells] / max(most, 1e-9), 0, 1)).astype(np.float32)
    return _uri(Image.fromarray(heat(values)), "PNG")


def top_of(maps: list[Cells]) -> float:
    """The value of the brightest color, common to some maps."""
    return max(float(np.percentile(one, _TOP_SHARE)) for one in maps)


def cells_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a photo's map of cells."""
    return -(-height // CELL), -(-width // CELL)


def _uri(image: Image.Image, form: str, **options: Any) -> str:
    data = saved(image, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(data).decode()}"
