"""WebP files: chunks and pixels."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Mapping, Sequence

import imagecodecs
import numpy as np

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import exif, jumbf
from foveate.pictures.accounting import Kind, Known, Part, behind, part_of, printable, settle, unknown
from foveate.pictures.coded_ends import end_by_trial
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    damaged,
    decoding,
    pillow_image,
    require_size,
    saved,
    with_channels,
)
from foveate.pictures.reasons import Reason

_PIXELS = (b"VP8 ", b"VP8L", b"ALPH")
_MOST_CHUNKS = 1 << 16
_SLACK = 16  # unneeded bytes that a lossy encoder may write
_ANOTHER = Known(Kind.HOLDS_DATA, "another picture", Reason.SEVERAL_PICTURES)
CHUNKS: Mapping[bytes, Known] = {
    b"VP8X": Known(Kind.PICTURE, "canvas", most=18, once=True),
    **dict.fromkeys((b"VP8 ", b"VP8L"), Known(Kind.PICTURE, "pixels")),
    b"ALPH": Known(Kind.PICTURE, "alpha", once=True),
    **dict.fromkeys((b"ANIM", b"ANMF"), Known(Kind.HOLDS_DATA, "an animation", Reason.ANIMATED)),
    b"ICCP": Known(Kind.CARRIED, "ICC profile", once=True),
    b"EXIF": Known(Kind.CARRIED, "EXIF", once=True),
    b"XMP ": Known(Kind.CARRIED, "XMP", once=True),
    b"C2PA": Known(Kind.CARRIED, "C2PA", once=True),
}


def decode_webp(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored (orientation not applied); raises BadPicture and NotForJpeg2000."""
    chunks, parts = _walk(data)
    if b"ANIM" in chunks or b"ANMF" in chunks:
        raise NotForJpeg2000(Reason.ANIMATED, "an animated WebP")
    check_size(*_webp_size(chunks), max_pixels)
    jumb = chunks.get(b"C2PA")
    if jumb is not None and not jumbf.is_whole(jumb):
        parts.append(Part(Kind.UNKNOWN, "C2PA", 0, len(jumb), "damaged"))
        jumb = None
    # One byte per pixel before compression; lossless pixels include their alpha.
    most = 64 + math.prod(_webp_size(chunks)) if b"VP8 " in chunks else 0
    parts = [dataclasses.replace(part, most=most) if part.name == "alpha" else part for part in parts]
    problems = settle(parts, "a WebP")
    with decoding("a WebP"):
        pixels = with_channels(imagecodecs.webp_decode(data))
    width, height = _webp_size(chunks)
    require_size(pixels, height, width, "a WebP")
    problems += _rest(data, parts, pixels)
    metadata = PhotoMetadata(chunks.get(b"ICCP"), chunks.get(b"EXIF"), chunks.get(b"XMP "), jumbf=jumb)
    return Picture(pixels, metadata, "webp", 8, problems)


def _rest(data: bytes, parts: Sequence[Part], pixels: Pixels) -> tuple[str, ...]:
    """The losses behind the pixels in their chunk.

    Raises:
      NotForJpeg2000: it keeps the source.
    """
    start = next(part.start for part in parts if part.name == "pixels")
    kind, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
    content = data[start + 8 : start + 8 + size]

    def decodes(length: int) -> bool:
        chunk = kind + struct.pack("<I", length) + content[:length] + bytes(length % 2)
        try:
            alone = imagecodecs.webp_decode(b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk)
        except MemoryError:
            raise
        except Exception:  # decoders raise all kinds of exceptions on truncated data
            return False
        return np.array_equal(with_channels(alone)[:, :, :3], pixels[:, :, :3])

    end = end_by_trial(len(content), decodes, _SLACK)
    return settle([behind(content, end)], "a WebP") if end < len(content) else ()


def _walk(data: bytes) -> tuple[dict[bytes, bytes], list[Part]]:
    """The first RIFF chunk of each name, with chunks of pixels reduced to their headers; and all parts of the
    file.

    Raises NotForJpeg2000 if the file ends within its pixels, and BadPicture if within anything else.
    """
    chunks: dict[bytes, bytes] = {}
    parts = [Part(Kind.PICTURE, "RIFF header", 0, 12)]
    at = 12
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        if len(parts) > _MOST_CHUNKS:
            raise BadPicture(f"broken WebP: more than {_MOST_CHUNKS:,} chunks up to byte {at:,}")
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            where = f"it ends at byte {len(data):,} inside a {kind!r} chunk"
            if kind in _PIXELS and at + 18 < len(data):
                raise damaged("a WebP", where)
            raise BadPicture(f"truncated WebP: {where}")
        length = min(8 + size + size % 2, len(data) - at)
        if kind in (b"VP8 ", b"VP8L") and not chunks.keys().isdisjoint((b"VP8 ", b"VP8L")):
            parts.append(part_of(_ANOTHER, at, length))
        elif kind in CHUNKS:
            parts.append(part_of(CHUNKS[kind], at, length))
        else:
            parts.append(unknown("WebP chunks", at, length, printable(kind)))
        chunks.setdefault(kind, data[at + 8 : at + 8 + (10 if kind in _PIXELS else size)])
        at += 8 + size + size % 2
    if at < len(data):
        parts.append(behind(data, at))
    return chunks, parts


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
    """A WebP of 8 bits, lossless if `quality` is None, with ICC, EXIF and XMP; pixels (H, W, 1 to 4)."""
    image = pillow_image(pixels, gray=False)
    options = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    block = exif.with_resolution(metadata.exif, metadata.dpi)
    return saved(image, "WEBP", icc_profile=metadata.icc, exif=block, xmp=metadata.xmp, **options)
