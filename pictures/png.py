"""PNG files: pixels by libpng, and the chunks of metadata read (`png_parts`) and written here."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator, Mapping

import imagecodecs
import numpy as np

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, photoshop
from foveate.pictures.accounting import Part, settle, unknown
from foveate.pictures.coded_ends import behind_zlib
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    damaged,
    decoding,
    gray_if_neutral,
    require_size,
    with_channels,
)
from foveate.pictures.png_parts import (
    LONGEST_KEYWORD,
    METERS_PER_INCH,
    SIGNATURE,
    XMP_KEYWORD,
    Chunk,
    PngWalk,
    cut,
    inflated,
    is_intact,
    metadata_of,
    walk,
)
from foveate.pictures.reasons import Reason

_PALETTE, _GRAYS = 3, (0, 4)
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Where each pass of an interlaced picture begins, and its steps (PNG, 8.2).
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
# Filtered photos have few matches: coding only runs gives files as small as zlib's default, much faster.
_RUN_LENGTHS, _EVERY_FILTER = imagecodecs.PNG.STRATEGY.RLE, 0xF8
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_COLOR_CHUNKS = {b"sRGB", b"cICP", b"gAMA", b"cHRM"}


def decode_png(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored; palettes and 1 to 4 bits become 8. Raises BadPicture and NotForJpeg2000."""
    walked = walk(data)
    header = walked.chunks[0] if walked.chunks else Chunk(b"", 0, 0)
    if header.kind == b"CgBI":
        raise NotForJpeg2000(Reason.NOT_READ, "a PNG in Apple's own form (CgBI)")
    if header.kind != b"IHDR" or header.end - header.start != 13:
        raise BadPicture("broken PNG: it has no header chunk")
    width, height, bits, kind = struct.unpack_from(">IIBB", data, header.start)
    check_size(width, height, max_pixels)
    contents: dict[bytes, list[bytes]] = {}
    for chunk in walked.chunks:
        if chunk.kind != b"IDAT":
            contents.setdefault(chunk.kind, []).append(data[chunk.start : chunk.end])
    if b"acTL" in contents:
        raise NotForJpeg2000(Reason.ANIMATED, "an animated PNG")
    metadata, lost = metadata_of(contents)
    problems = settle([*walked.parts, *lost, *_rest(data, walked)], "a PNG")
    profile, more = _profile(contents, kind in _GRAYS)
    pixels = _pixels(data, walked)
    require_size(pixels, height, width, "a PNG")
    if kind == _PALETTE:
        pixels = gray_if_neutral(pixels)
    metadata = dataclasses.replace(metadata, icc=profile or metadata.icc)
    stated = not _COLOR_CHUNKS.isdisjoint(contents)
    return Picture(pixels, metadata, "png", max(8, bits), (*problems, *more), color_by_exif=not stated)


def _rest(data: bytes, walked: PngWalk) -> Iterator[Part]:
    """The bytes in chunks of pixels that decoders ignore."""
    header = walked.chunks[0]
    width, height, bits, kind = struct.unpack_from(">IIBB", data, header.start)
    interlaced = data[header.end - 1] == 1
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _ADAM7]
    bits_of_pixel = bits * _SAMPLES.get(kind, 1)
    most = sum(down * (1 + -(-across * bits_of_pixel // 8)) for across, down in sizes if across > 0)
    pieces = (data[chunk.start : chunk.end] for chunk in walked.chunks if chunk.kind == b"IDAT")
    rest = behind_zlib(pieces, most)
    if rest.coded:
        yield unknown("bytes after the coded pixels", 0, rest.coded)
    if rest.decoded:
        yield unknown("samples beyond the picture", 0, rest.decoded)


def _pixels(data: bytes, walked: PngWalk) -> Pixels:
    """The samples; raises NotForJpeg2000 if some are damaged, BadPicture if there are none."""
    has_pixels = any(chunk.kind == b"IDAT" and chunk.end > chunk.start for chunk in walked.chunks)
    if not has_pixels:
        raise BadPicture(f"broken PNG: {walked.problem or 'it has no pixels'}")
    for chunk in walked.chunks:
        if chunk.kind in _OF_PIXELS and not is_intact(data, chunk):
            name = chunk.kind.decode()
            raise damaged("a PNG", f"the checksum of an {name} chunk is wrong")
    if walked.problem:
        raise damaged("a PNG", walked.problem)
    with decoding("a PNG"):
        return with_channels(imagecodecs.png_decode(data))


def _profile(contents: Mapping[bytes, list[bytes]], gray: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """The color profile, embedded or derived from other chunks; and what is left out.

    Raises:
      NotForJpeg2000: the embedded one cannot be read, so the picture's color is unknown.
    """
    made = color.of_png_chunks(contents, gray)
    if b"iCCP" not in contents:
        return made, ()
    if color.has_coding(contents):
        return made, ("ICC profile: left out, since cICP counts for more",)
    try:
        return inflated(cut(contents[b"iCCP"][0])[1][1:]), ()
    except (ValueError, zlib.error) as error:
        raise NotForJpeg2000(Reason.COLOR, f"a PNG whose color profile cannot be read ({error})") from error


def encode_png(pixels: Pixels, metadata: PhotoMetadata) -> bytes:
    """A PNG of 8 or 16 bits with iCCP, pHYs, eXIf and iTXt chunks; pixels (H, W, 1 to 4)."""
    samples = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    png = imagecodecs.png_encode(samples, level=1, strategy=_RUN_LENGTHS, filter=_EVERY_FILTER)
    after_header = len(SIGNATURE) + 12 + 13
    return b"".join((png[:after_header], _emit_metadata(metadata), png[after_header:]))


def _emit_metadata(metadata: PhotoMetadata) -> bytes:
    """The chunks that go between the header and the pixels."""
    emitted = b""
    if metadata.icc is not None:
        emitted += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9))
    if metadata.dpi is not None:
        across, down = (max(1, round(one / METERS_PER_INCH)) for one in metadata.dpi)
        emitted += _chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if metadata.exif is not None:
        emitted += _chunk(b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        emitted += _chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)
    resources = photoshop.joined(metadata.iptc, metadata.photoshop)
    if resources:
        emitted += _chunk(
            b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(_as_hexadecimal(resources), 9)
        )
    if metadata.jumbf is not None:
        emitted += _chunk(b"caBX", metadata.jumbf)
    for keyword, text in metadata.texts:
        name = keyword.encode("latin-1", "replace")[:LONGEST_KEYWORD] or b"Comment"
        emitted += _chunk(b"iTXt", name + b"\0\0\0\0\0" + text.encode())
    return emitted


def _as_hexadecimal(profile: bytes) -> bytes:
    """A profile as ImageMagick writes it, which ExifTool and others read."""
    digits = profile.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\niptc\n{len(profile):8}\n{lines}\n".encode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
