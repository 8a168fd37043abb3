"""AVIF files: brands, colors and pixels; other files of the same container are refused by name."""

from __future__ import annotations

import contextlib

import imagecodecs
import numpy as np
from PIL import _avif

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import exif
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    pillow_image,
    reading,
    saved,
    stretched,
    turned,
    with_channels,
)
from foveate.pictures.reasons import Reason

_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)


def decode_avif(data: bytes, max_pixels: int | None) -> Picture:
    """The picture, turned as the file's own properties ask; raises BadPicture and NotForJpeg2000."""
    brands = _avif_brands(data)
    with reading("AVIF"):
        # Pillow's public class would not open a file with broken EXIF, and takes sound EXIF apart.
        (width, height), frames, _, icc, block, turn, xmp = _avif.AvifDecoder(data, "auto", 1).get_info()
    check_size(width, height, max_pixels)
    if frames > 1:
        raise NotForJpeg2000(Reason.ANIMATED, "an AVIF sequence")
    _refuse_wide_avif(data, brands, bool(icc))
    with reading("AVIF"):
        pixels = with_channels(imagecodecs.avif_decode(data))
    bits = 8
    if pixels.dtype == np.uint16:
        bits = 12 if data[data.find(b"av1C") + 6] & 0x20 else 10
        pixels = stretched(pixels.astype(np.uint16, copy=False), bits)
    metadata = PhotoMetadata(icc, _already_upright(block), xmp)
    return Picture(turned(pixels, turn), metadata, "avif", bits)


def _already_upright(block: bytes | None) -> bytes | None:
    """The EXIF block with an orientation of 1: AVIF says it by its own properties, whatever EXIF says."""
    if not block:
        return None
    with contextlib.suppress(exif.BadExif):  # whoever checks the block will say so
        return exif.upright(block)
    return block


def _avif_brands(data: bytes) -> set[bytes]:
    """The brands of an ISO media file; raises for those that are not AVIF pictures."""
    box = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
    brands = {box[at : at + 4] for at in (0, *range(8, len(box) - 3, 4))}
    if b"crx " in brands:
        raise NotForJpeg2000(Reason.RAW, "a RAW photo")
    if box[:4] == b"avis":
        raise NotForJpeg2000(Reason.ANIMATED, "an AVIF sequence")
    if b"avif" in brands:
        return brands
    if brands & _HEIC_BRANDS:
        raise NotForJpeg2000(Reason.NOT_READ, "HEIC is not read")
    raise BadPicture(f"not a picture Foveate knows: an ISO media file of brand {box[:4]!r}")


def _refuse_wide_avif(data: bytes, brands: set[bytes], has_icc: bool) -> None:
    """Raises NotForJpeg2000 for gain maps, and for colors that only AVIF's own color box describes."""
    if b"tmap" in brands:
        raise NotForJpeg2000(Reason.HIGH_DYNAMIC_RANGE, "an AVIF with an HDR gain map")
    at = data.find(b"colrnclx")
    if at < 0 or at + 12 > len(data):
        return
    primaries, transfer = (
        int.from_bytes(data[at + 8 : at + 10], "big"),
        int.from_bytes(data[at + 10 : at + 12], "big"),
    )
    if transfer in (16, 18):
        raise NotForJpeg2000(Reason.HIGH_DYNAMIC_RANGE, "an AVIF in high dynamic range")
    if primaries not in (1, 2) and not has_icc:
        raise NotForJpeg2000(Reason.COLOR, f"an AVIF with color primaries {primaries} and no ICC profile")


def encode_avif(pixels: Pixels, metadata: PhotoMetadata, quality: int) -> bytes:
    """An AVIF of 8 bits, 4:4:4 (gray: 4:0:0), with ICC, EXIF and XMP; pixels (H, W, 1 to 4)."""
    gray = pixels.shape[2] == 1
    block = exif.with_resolution(metadata.exif, metadata.dpi)
    if block is not None:
        # Pillow would take the whole block apart to move its orientation, always 1 here, out of it.
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
