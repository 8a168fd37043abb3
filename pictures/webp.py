"""WebP files: chunks and pixels."""

from __future__ import annotations

import imagecodecs

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
    with_channels,
)
from foveate.pictures.reasons import Reason


def decode_webp(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored (orientation not applied); raises BadPicture and NotForJpeg2000."""
    chunks = _webp_chunks(data)
    if b"ANIM" in chunks or b"ANMF" in chunks:
        raise NotForJpeg2000(Reason.ANIMATED, "an animated WebP")
    check_size(*_webp_size(chunks), max_pixels)
    with reading("WebP"):
        pixels = with_channels(imagecodecs.webp_decode(data))
    metadata = PhotoMetadata(chunks.get(b"ICCP"), chunks.get(b"EXIF"), chunks.get(b"XMP "))
    return Picture(pixels, metadata, "webp", 8)


def _webp_chunks(data: bytes) -> dict[bytes, bytes]:
    """The RIFF chunks by name, those of pixels cut to their headers; raises BadPicture where they run out."""
    chunks: dict[bytes, bytes] = {}
    at = 12
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise BadPicture(f"truncated WebP: it ends at byte {len(data):,} inside a {kind!r} chunk")
        chunks.setdefault(kind, data[at + 8 : at + 8 + (10 if kind in (b"VP8 ", b"VP8L", b"ALPH") else size)])
        at += 8 + size + size % 2
    return chunks


def _webp_size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """(width, height)."""
    extended, lossy, lossless = (chunks.get(kind, b"") for kind in (b"VP8X", b"VP8 ", b"VP8L"))
    if len(extended) >= 10:
        return 1 + int.from_bytes(extended[4:7], "little"), 1 + int.from_bytes(extended[7:10], "little")
    if len(lossy) == 10:
        return (int.from_bytes(lossy[6:8], "little") & 0x3FFF, int.from_bytes(lossy[8:10], "little") & 0x3FFF)
    if len(lossless) >= 5:
        bits = int.from_bytes(lossless[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise BadPicture("broken WebP: it has no picture in it")


def encode_webp(pixels: Pixels, metadata: PhotoMetadata, quality: int | None) -> bytes:
    """A WebP of 8 bits, lossless where `quality` is None, with ICC, EXIF and XMP; pixels (H, W, 1 to 4)."""
    image = pillow_image(pixels, gray=False)
    options = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    block = exif.with_resolution(metadata.exif, metadata.dpi)
    return saved(image, "WEBP", icc_profile=metadata.icc, exif=block, xmp=metadata.xmp, **options)
