"""PNG files: pixels by libpng, and the chunks of metadata read and written here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    gray_if_neutral,
    reading,
    with_channels,
)
from foveate.pictures.reasons import Reason

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_METERS_PER_INCH = 0.0254
_PALETTE = 3
# Filtered photos hold few matches: on them runs alone are as small as zlib's default, and far faster.
_RUN_LENGTHS, _EVERY_FILTER = imagecodecs.PNG.STRATEGY.RLE, 0xF8
_NAMES_SHOWN = 20
_MOST_CHUNKS = 1 << 20  # writers cut gigabytes into fewer; empty ones, 12 bytes each, would take minutes
_MOST_TEXT = 1 << 26  # what a compressed profile or packet may grow to
_BT709, _UNSPECIFIED = 1, 2
_BRIGHTER_THAN_WHITE = {16: "PQ", 18: "HLG"}

Chunks = dict[bytes, list[bytes]]


def decode_png(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored, palettes and 1, 2, 4 bits made 8; raises BadPicture and NotForJpeg2000."""
    chunks = _chunks(data)
    header = chunks.get(b"IHDR", [b""])[0]
    if len(header) != 13:
        raise BadPicture("broken PNG: it has no header chunk")
    width, height, bits, color = struct.unpack_from(">IIBB", header)
    check_size(width, height, max_pixels)
    _refuse_what_jpeg2000_should_not_hold(chunks)
    with reading("PNG"):
        pixels = with_channels(imagecodecs.png_decode(data))
    if color == _PALETTE:
        pixels = gray_if_neutral(pixels)
    metadata, problems = _metadata(chunks)
    return Picture(pixels, metadata, "png", max(8, bits), problems)


def encode_png(pixels: Pixels, metadata: PhotoMetadata) -> bytes:
    """A PNG of 8 or 16 bits with iCCP, pHYs, eXIf and iTXt chunks; pixels (H, W, 1 to 4)."""
    samples = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    png = imagecodecs.png_encode(samples, level=1, strategy=_RUN_LENGTHS, filter=_EVERY_FILTER)
    after_header = len(SIGNATURE) + 12 + 13
    return b"".join((png[:after_header], _emit_metadata(metadata), png[after_header:]))


def _walk(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk's content; raises BadPicture where IEND is not reached."""
    at = len(SIGNATURE)
    kind, count = b"", 0
    while kind != b"IEND":
        if count == _MOST_CHUNKS:
            raise BadPicture(f"broken PNG: more than {_MOST_CHUNKS:,} chunks up to byte {at:,}")
        count += 1
        if at + 12 > len(data):
            raise BadPicture(f"truncated PNG: it ends at byte {len(data):,} without an end chunk")
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            raise BadPicture(f"truncated PNG: it ends at byte {len(data):,} inside a {kind!r} chunk")
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _chunks(data: bytes) -> Chunks:
    """The contents of all chunks but the pixels', by type."""
    chunks: Chunks = {}
    for kind, start, end in _walk(data):
        if kind != b"IDAT":
            chunks.setdefault(kind, []).append(data[start:end])
    return chunks


def _refuse_what_jpeg2000_should_not_hold(chunks: Chunks) -> None:
    if b"acTL" in chunks:
        raise NotForJpeg2000(Reason.ANIMATED, "an animated PNG")
    coding = chunks.get(b"cICP", [b""])[0]
    if len(coding) == 4 and coding[1] in _BRIGHTER_THAN_WHITE:
        raise NotForJpeg2000(
            Reason.HIGH_DYNAMIC_RANGE, f"a PNG in high dynamic range ({_BRIGHTER_THAN_WHITE[coding[1]]})"
        )
    if len(coding) == 4 and coding[0] not in (_BT709, _UNSPECIFIED) and b"iCCP" not in chunks:
        raise NotForJpeg2000(Reason.COLOR, f"a PNG with color primaries {coding[0]} and no ICC profile")


def _metadata(chunks: Chunks) -> tuple[PhotoMetadata, tuple[str, ...]]:
    """The metadata as stored (EXIF not yet checked), and what could not be read or carried."""
    problems = []
    icc = xmp = None
    try:
        icc = _icc(chunks)
    except (ValueError, zlib.error) as error:
        problems.append(f"the ICC profile cannot be read ({error}) and is dropped")
    try:
        xmp = _xmp(chunks)
    except (ValueError, zlib.error) as error:
        problems.append(f"the XMP packet cannot be read ({error}) and is dropped")
    names = sorted(set(_text_names(chunks)))
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        problems.append(f"text chunks are not carried over: {', '.join(names[:_NAMES_SHOWN])}{more}")
    gamma = int.from_bytes(chunks.get(b"gAMA", [b""])[0], "big")
    if gamma and abs(gamma - 45455) > 500 and not (b"iCCP" in chunks or b"sRGB" in chunks):
        problems.append(f"the gamma of {gamma / 100_000} is not carried over")
    return PhotoMetadata(icc, chunks.get(b"eXIf", [None])[0], xmp, _density(chunks)), tuple(problems)


def _icc(chunks: Chunks) -> bytes | None:
    if b"iCCP" not in chunks:
        return None
    _, rest = _cut(chunks[b"iCCP"][0])
    return _inflated(rest[1:])


def _xmp(chunks: Chunks) -> bytes | None:
    for chunk in chunks.get(b"iTXt", ()):
        keyword, rest = _cut(chunk)
        if keyword == _XMP_KEYWORD:
            compressed = rest[:1] == b"\1"
            text = _cut(_cut(rest[2:])[1])[1]
            return _inflated(text) if compressed else text
    return None


def _text_names(chunks: Chunks) -> Iterator[str]:
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        for chunk in chunks.get(kind, ()):
            keyword = chunk.split(b"\0", 1)[0]
            if keyword != _XMP_KEYWORD:
                yield keyword[:79].decode("latin-1")


def _density(chunks: Chunks) -> tuple[float, float] | None:
    """Dots per inch."""
    physical = chunks.get(b"pHYs", [b""])[0]
    if len(physical) != 9:
        return None
    across, down, unit = struct.unpack(">IIB", physical)
    return (across * _METERS_PER_INCH, down * _METERS_PER_INCH) if unit == 1 and across and down else None


def _cut(chunk: bytes) -> tuple[bytes, bytes]:
    before, zero, after = chunk.partition(b"\0")
    if not zero:
        raise ValueError("it has no name")
    return before, after


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    plain = inflater.decompress(data, _MOST_TEXT)
    if not inflater.eof:
        raise ValueError("it is cut off, or far too large")
    return plain


def _emit_metadata(metadata: PhotoMetadata) -> bytes:
    """The chunks that go between the header and the pixels."""
    emitted = b""
    if metadata.icc is not None:
        emitted += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9))
    if metadata.dpi is not None:
        across, down = (max(1, round(one / _METERS_PER_INCH)) for one in metadata.dpi)
        emitted += _chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if metadata.exif is not None:
        emitted += _chunk(b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        emitted += _chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)
    return emitted


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
