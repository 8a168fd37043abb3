"""HEIC files: pixels by libheif, through the extra `heic`; what is in them by `isobmff`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, gain_map, hevc, isobmff
from foveate.pictures.accounting import settle
from foveate.pictures.bits import CannotBeRead
from foveate.pictures.exif_turn import already_upright
from foveate.pictures.picture import (
    NotForJpeg2000,
    Picture,
    check_size,
    damaged,
    decoding,
    reading,
    require_size,
    stretched,
    with_channels,
)
from foveate.pictures.reasons import Reason

MISSING_EXTRA = "HEIC needs the heic extra: pip install 'foveate[heic]'"
_MODES = ("L", "LA", "RGB", "RGBA", "L;16", "LA;16", "RGB;16", "RGBA;16")


def decode_heic(data: bytes, max_pixels: int | None, *, drop_gain_map: bool = False) -> Picture:
    """The picture, cropped and turned by libheif according to the file's properties.

    Raises:
      BadPicture: it is broken.
      NotForJpeg2000: it contains more than a picture and its description, or the extra is not installed.
    """
    walked = isobmff.walk(data)
    if walked.is_cut:
        raise damaged("a HEIC", "it ends within its pixels")
    problems = settle(gain_map.dropped(walked.parts) if drop_gain_map else walked.parts, "a HEIC")
    library = _library()
    with reading("HEIC"):
        file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    width, height = file.size
    check_size(width, height, max_pixels)
    if file.mode not in _MODES:
        raise NotForJpeg2000(Reason.NOT_READ, f"a HEIC of {file.mode} pixels")
    info = file.info
    points = isobmff.code_points(data, walked)
    if points is None and "icc_profile" not in info:
        points = _points_of_codestream(data, walked)
    gray = file.mode.startswith("L")
    profile = info.get("icc_profile") or (color.of_cicp(*points, "a HEIC", gray) if points else None)
    with decoding("a HEIC"):
        pixels = with_channels(np.array(file, copy=True))  # the library frees its own with the file
    require_size(pixels, height, width, "a HEIC")
    bits = info["bit_depth"]
    if pixels.dtype == np.uint16:  # the library leaves samples in the highest bits
        pixels = stretched(pixels.astype(np.uint16, copy=False) >> np.uint16(16 - bits), bits)
    metadata = PhotoMetadata(profile, already_upright(info.get("exif")), info.get("xmp") or None)
    return Picture(pixels, metadata, "heic", bits, problems, color_by_exif=False)


def _points_of_codestream(data: bytes, walked: isobmff.IsoWalk) -> tuple[int, int] | None:
    """The color that the coded data state, for files without a color box; None without any.

    Raises:
      NotForJpeg2000: their color is unknown.
    """
    box = next((one for one in walked.properties() if one.kind == b"hvcC"), None)
    try:
        return None if box is None else hevc.code_points(data[box.start : box.end])
    except CannotBeRead as error:
        raise NotForJpeg2000(Reason.COLOR, f"a HEIC without a color box, and {error}") from error


def _library() -> Any:
    """The module of libheif; raises NotForJpeg2000 if it is not installed."""
    try:
        import pi_heif
    except ImportError as error:
        raise NotForJpeg2000(Reason.MISSING_EXTRA, MISSING_EXTRA) from error
    return pi_heif
