"""Makes files that archives hold beside color photos: scans, screenshots, gray and 16-bit pictures."""

from __future__ import annotations

import io

import imagecodecs
from PIL import Image

from benchmarks.graphics import scanned_page, screenshot
from benchmarks.photos import Photo, deepened, gray

_A4_AT_300_DPI = (3508, 2480)
_SCREEN = (1440, 2560)


def other_files(photo: Photo) -> dict[str, bytes]:
    """File names and bytes, drawn or made from a photo."""
    page, deep = scanned_page(*_A4_AT_300_DPI), deepened(photo)
    return {
        "color-16-bit.png": bytes(imagecodecs.png_encode(deep, level=6)),
        "gray-16-bit.tif": bytes(imagecodecs.tiff_encode(deep[:, :, 1])),
        "gray.jpg": _saved(gray(photo)[:, :, 0], "JPEG", quality=95),
        "scan-color.tif": _saved(page, "TIFF", compression="tiff_lzw", dpi=(300, 300)),
        "scan-gray.jpg": _saved(gray(page)[:, :, 0], "JPEG", quality=92, dpi=(300, 300)),
        "scan-gray.png": _saved(gray(page)[::2, ::2, 0], "PNG", dpi=(150, 150)),
        "screenshot.png": _saved(screenshot(*_SCREEN, photo), "PNG"),
    }


def _saved(picture: Photo, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **settings)
    return file.getvalue()
