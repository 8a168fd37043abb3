"""AVIF files: brands, colors and pixels; other files of the same container are refused by name."""

from __future__ import annotations

import struct
from fractions import Fraction

import imagecodecs
import numpy as np
from PIL import _avif

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import av1, color, exif, gain_map, isobmff, xmp
from foveate.pictures.accounting import settle
from foveate.pictures.bits import CannotBeRead
from foveate.pictures.exif_turn import already_upright
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    damaged,
    decoding,
    pillow_image,
    reading,
    require_size,
    saved,
    stretched,
    turned,
    with_channels,
)
from foveate.pictures.reasons import Reason

_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)


def decode_avif(data: bytes, max_pixels: int | None, *, drop_gain_map: bool = False) -> Picture:
    """The picture, turned according to the file's properties; raises BadPicture and NotForJpeg2000."""
    _require_avif(data)
    walked = isobmff.walk(data)
    if walked.is_cut:
        raise damaged("an AVIF", "it ends within its pixels")
    with reading("AVIF"):
        # Pillow's public class would not open a file with broken EXIF, and splits up good EXIF.
        (width, height), frames, _, profile, block, turn, packet = _avif.AvifDecoder(
            data, "auto", 1
        ).get_info()
    check_size(width, height, max_pixels)
    if frames > 1:
        raise NotForJpeg2000(Reason.ANIMATED, "an AVIF sequence")
    problems = settle(gain_map.dropped(walked.parts) if drop_gain_map else walked.parts, "an AVIF")
    with decoding("an AVIF"):
        pixels = with_channels(imagecodecs.avif_decode(data))
    require_size(pixels, height, width, "an AVIF")
    bits = 8
    if pixels.dtype == np.uint16:
        box = next((one for one in walked.properties() if one.kind == b"av1C"), None)
        if box is None or box.end - box.start < 4:
            raise BadPicture("broken AVIF: it has no configuration of its decoder")
        bits = 12 if data[box.start + 2] & 0x20 else 10
        pixels = stretched(pixels.astype(np.uint16, copy=False), bits)
    if not profile:
        points = _code_points(data, walked)
        profile = color.of_cicp(*points, "an AVIF", pixels.shape[2] <= 2) if points else None
    pixels = turned(_cropped(data, walked, pixels), turn)
    packet = xmp.upright(packet) if packet else None
    metadata = PhotoMetadata(profile, already_upright(block), packet, jumbf=walked.jumbf or None)
    return Picture(pixels, metadata, "avif", bits, problems, color_by_exif=False)


def _code_points(data: bytes, walked: isobmff.IsoWalk) -> tuple[int, int] | None:
    """Code points of the color box, else of the coded picture (MIAF, ISO/IEC 23000-22, 7.3.6.4).

    Raises:
      NotForJpeg2000: they cannot be read.
    """
    points = isobmff.code_points(data, walked)
    if points is not None:
        return points
    try:
        return av1.code_points(_picture_data(data, walked))
    except CannotBeRead as error:
        raise NotForJpeg2000(Reason.COLOR, f"an AVIF whose color cannot be read ({error})") from error


def _picture_data(data: bytes, walked: isobmff.IsoWalk) -> bytes:
    """Where the coded picture begins: the start of the primary item, or of the first of its tiles."""
    numbers = [walked.primary]
    numbers += [to for kind, start, to in walked.references if kind == b"dimg" and start == walked.primary]
    for number in numbers:
        item = walked.items.get(number, isobmff.Item())
        if item.kind == b"av01" and item.extents:
            start, length = item.extents[0]
            return data[start : start + min(length or 4096, 4096)]
    return b""


def _cropped(data: bytes, walked: isobmff.IsoWalk, pixels: Pixels) -> Pixels:
    """The pixels within the clean aperture (ISO/IEC 14496-12, 12.1.4), which decoders do not apply."""
    box = next((one for one in walked.properties() if one.kind == b"clap"), None)
    if box is None:
        return pixels
    if box.end - box.start != 32:
        raise BadPicture("broken AVIF: its clean aperture is cut off")
    numbers = struct.unpack_from(">IIIIiIiI", data, box.start)
    if not all(numbers[1::2]):
        raise BadPicture("broken AVIF: its clean aperture is divided by zero")
    wide, high, right, down = (Fraction(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    left = Fraction(pixels.shape[1] - 1, 2) + right - (wide - 1) / 2
    top = Fraction(pixels.shape[0] - 1, 2) + down - (high - 1) / 2
    if any(one.denominator != 1 for one in (wide, high, left, top)):
        raise NotForJpeg2000(Reason.NOT_READ, "an AVIF that is cropped between pixels")
    x0, y0, x1, y1 = (int(one) for one in (left, top, left + wide, top + high))
    if not (0 <= x0 < x1 <= pixels.shape[1] and 0 <= y0 < y1 <= pixels.shape[0]):
        raise damaged("an AVIF", "its clean aperture reaches outside the picture")
    return with_channels(pixels[y0:y1, x0:x1])


def is_heic(data: bytes) -> bool:
    """Whether an ISO media file is a HEIC picture, by its brands."""
    first, brands = _brands(data)
    return bool(brands & _HEIC_BRANDS) and not brands & {b"avif", b"crx "} and first != b"avis"


def _brands(data: bytes) -> tuple[bytes, set[bytes]]:
    """The major brand, and all brands."""
    box = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
    return box[:4], {box[at : at + 4] for at in (0, *range(8, len(box) - 3, 4))}


def _require_avif(data: bytes) -> None:
    """Raises for ISO media files that are not AVIF pictures, by their brands."""
    first, brands = _brands(data)
    if b"crx " in brands:
        raise NotForJpeg2000(Reason.RAW, "a RAW photo")
    if first == b"avis":
        raise NotForJpeg2000(Reason.ANIMATED, "an AVIF sequence")
    if b"avif" in brands:
        if b"tmap" in brands:
            raise NotForJpeg2000(Reason.HIGH_DYNAMIC_RANGE, "an AVIF with an HDR gain map")
        return
    if brands & _HEIC_BRANDS:
        raise NotForJpeg2000(Reason.NOT_READ, "HEIC is only decoded on request (--also heic)")
    name = first.decode("latin-1").strip()
    raise NotForJpeg2000(Reason.NOT_READ, f"an ISO media file of the brand {name!r}, which is not supported")


def encode_avif(pixels: Pixels, metadata: PhotoMetadata, quality: int) -> bytes:
    """An AVIF of 8 bits, 4:4:4 (gray: 4:0:0), with ICC, EXIF and XMP; pixels (H, W, 1 to 4)."""
    gray = pixels.shape[2] == 1
    block = exif.with_resolution(metadata.exif, metadata.dpi)
    if block is not None:
        # Pillow would split up the whole block to remove its orientation, which is always 1 here.
        block = exif.with_values(block, {}, {exif.ORIENTATION}) if exif.has_orientation(block) else block
    return saved(
        pillow_image(pixels, gray=gray),
        "AVIF",
        quality=quality,
        subsampling="4:0:0" if gray else "4:4:4",
        icc_profile=metadata.icc,
        exif=block,
        xmp=metadata.xmp,
    )
