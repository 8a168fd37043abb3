"""Finds bytes in the strips and tiles of a TIFF that decoders ignore."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foveate.pictures import exif, jpeg_parts
from foveate.pictures.accounting import Kind, Part, is_padding, unknown
from foveate.pictures.coded_ends import (
    Rest,
    behind_packbits,
    behind_xz,
    behind_zlib,
    behind_zstd,
    end_of_lzw,
)
from foveate.pictures.exif import Directory
from foveate.pictures.picture import BadPicture, NotForJpeg2000, damaged
from foveate.pictures.reasons import Reason
from foveate.pictures.tiff_parts import STRIP_BYTES, STRIP_OFFSETS, TILE_BYTES, TILE_OFFSETS

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER = 256, 257, 258, 259, 266
_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_NONE, _LZW, _JPEG = 1, 5, 7
_JFIF = "JFIF resolution"  # the TIFF has its own
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NAME = "bytes after the coded pixels"


def rest_of_strips(data: bytes, directory: Directory) -> Iterator[Part]:
    """The bytes after the pixels in the strips and tiles of a directory, as unknown parts.

    Handles uncompressed, deflated, LZW, PackBits, xz, Zstandard and JPEG data.

    Raises:
      NotForJpeg2000: strips overlap, so that a few bytes may stand for many; or data fail a checksum that
        libtiff does not reach.
    """

    def number(tag: int, default: int) -> int:
        return (exif.numbers(data, directory, tag) or (default,))[0]

    compression = number(_COMPRESSION, _NONE)
    is_reversed = number(_FILL_ORDER, 1) == 2 and compression != _JPEG
    places, sizes = _places(data, directory)
    if sum(max(0, end - start) for start, end in places) > len(data):
        raise NotForJpeg2000(Reason.NOT_READ, "a TIFF whose strips or tiles overlap")
    for (start, end), most in zip(places, sizes, strict=True):
        strip = data[start:end].translate(_REVERSED) if is_reversed else data[start:end]
        if compression == _NONE:
            yield from _rest(strip, most)
        elif compression in _COUNTED:
            yield from _counted(_COUNTED[compression](strip, most))
        elif compression == _LZW and strip[:1] != b"\0":  # by its first code, of today's kind
            ends = end_of_lzw(strip)
            yield from _rest(strip, len(strip) if ends is None else ends)
        elif compression == _JPEG:
            yield from _beside_jpeg(strip)


def _behind_deflate(strip: bytes, most: int) -> Rest:
    return behind_zlib([strip], most)


_COUNTED: dict[int, Callable[[bytes, int], Rest]] = {
    8: _behind_deflate,
    32946: _behind_deflate,
    32773: behind_packbits,
    34925: behind_xz,
    50000: behind_zstd,
}


def _counted(rest: Rest) -> Iterator[Part]:
    if rest.damage:
        raise damaged("a TIFF", f"its pixels: {rest.damage}")
    if rest.coded:
        yield unknown(_NAME, 0, rest.coded)
    if rest.decoded:
        yield unknown("samples beyond the picture", 0, rest.decoded)


def _places(data: bytes, directory: Directory) -> tuple[list[tuple[int, int]], list[int]]:
    """Where strips or tiles begin and end, and how many bytes the pixels of each have."""

    def numbers(tag: int) -> tuple[int, ...]:
        return exif.numbers(data, directory, tag)

    width, height, bits, samples, planar = (
        (numbers(tag) or (1,))[0] for tag in (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANAR)
    )
    row_samples = 1 if planar == 2 else samples
    if TILE_OFFSETS in directory.fields:
        offsets, lengths = numbers(TILE_OFFSETS), numbers(TILE_BYTES)
        across, down = ((numbers(tag) or (0,))[0] for tag in (_TILE_WIDTH, _TILE_HEIGHT))
        rows = [down] * len(offsets)
    else:
        offsets, lengths, across = numbers(STRIP_OFFSETS), numbers(STRIP_BYTES), width
        in_strip = min(max(1, (numbers(_ROWS_PER_STRIP) or (height,))[0]), height)
        strips = -(-height // in_strip)
        rows = [min(in_strip, height - in_strip * (index % strips)) for index in range(len(offsets))]
    bytes_of_row = -(-across * row_samples * bits // 8)
    places = [
        (start, min(start + length, len(data))) for start, length in zip(offsets, lengths, strict=False)
    ]
    return places, [down * bytes_of_row for down in rows[: len(places)]]


def _rest(strip: bytes, end: int) -> Iterator[Part]:
    if end < len(strip) and not is_padding(strip, end, len(strip)):
        yield unknown(_NAME, end, len(strip) - end)


def _beside_jpeg(strip: bytes) -> Iterator[Part]:
    """The parts of JPEG data beside their picture, where no reader looks for metadata."""
    try:
        parts = jpeg_parts.walk(strip).parts
    except (BadPicture, NotForJpeg2000):
        return  # the decoder will report it
    size = sum(part.length for part in parts if part.kind is not Kind.PICTURE and part.name != _JFIF)
    if size:
        yield unknown("metadata within coded pixels", 0, size)
