"""Turns EXIF blocks along with their pictures: tags of orientation and size, and the thumbnail."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import simplejpeg

from foveate.pictures.exif import (
    EXIF_DIRECTORY,
    ORIENTATION,
    X_RESOLUTION,
    Y_RESOLUTION,
    BadExif,
    Directory,
    byte_order,
    directories,
    numbers,
    raw,
    read_directory,
    upright,
)
from foveate.pictures.exif_salvage import without_next
from foveate.pictures.picture import turned

_SIZES = ((0xA002, 0xA003), (256, 257))  # of pixels
_ACROSS_AND_DOWN = ((X_RESOLUTION, Y_RESOLUTION), (0xA20E, 0xA20F))
_THUMBNAIL_AT, _THUMBNAIL_BYTES = 513, 514
_UNSIGNED = {1: "B", 3: "H", 4: "I"}
_QUALITIES = (85, 75, 65, 50)  # the first that takes no more bytes than before


def follow(block: bytes, turn: int) -> tuple[bytes, tuple[str, ...]]:
    """The block of a picture that was turned from orientation `turn` (1 to 8) to 1; and what of it is lost.

    The block has to be valid (`exif_salvage.salvaged`).
    """
    good = bytearray(block)
    first, *others = directories(block)
    _set_number(good, first, ORIENTATION, 1)
    below = numbers(block, first, EXIF_DIRECTORY)[:1]
    if turn > 4:
        for directory in (first, *(read_directory(block, offset) for offset in below)):
            for pair in _SIZES:
                _swap_numbers(good, directory, *pair)
            for pair in _ACROSS_AND_DOWN:
                _swap_bytes(good, directory, *pair)
    if not others:
        return bytes(good), ()
    thumbnail = others[0]
    own = numbers(block, thumbnail, ORIENTATION)
    own_turn = own[0] if own and 1 <= own[0] <= 8 else turn
    _set_number(good, thumbnail, ORIENTATION, 1)
    if own_turn != 1 and not _turn_thumbnail(good, thumbnail, own_turn):
        return without_next(bytes(good)), ("thumbnail",)
    return bytes(good), ()


def without_thumbnail(block: bytes) -> bytes:
    """The block without its thumbnail and the thumbnail's bytes; raises BadExif if it is broken."""
    _, *others = directories(block)
    if not others:
        return block
    good = bytearray(without_next(block))
    start, size = (numbers(block, others[0], tag)[:1] for tag in (_THUMBNAIL_AT, _THUMBNAIL_BYTES))
    if start and size and start[0] < len(good):
        end = min(len(good), start[0] + size[0])
        if end == len(good) and not _reaches_into(others[0], start[0]):
            del good[start[0] :]
        else:
            good[start[0] : end] = bytes(end - start[0])
    return bytes(good)


def already_upright(block: bytes | None) -> bytes | None:
    """The block of a picture that its own file has turned, whatever EXIF says (AVIF, HEIC, JPEG XL)."""
    if not block:
        return None
    block = block.removeprefix(b"Exif\0\0")
    with contextlib.suppress(BadExif):  # salvaging the block will report it
        return upright(block)
    return block


def _turn_thumbnail(good: bytearray, directory: Directory, turn: int) -> bool:
    """Turns the thumbnail's pixels; False if it is not a JPEG that can be turned."""
    start, size = (
        (numbers(bytes(good), directory, tag) or (0,))[0] for tag in (_THUMBNAIL_AT, _THUMBNAIL_BYTES)
    )
    if not start or not size:
        return _THUMBNAIL_AT not in directory.fields and 273 not in directory.fields
    data = bytes(good[start : start + size])
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > 1 << 22:
            return False
        pixels = np.ascontiguousarray(turned(simplejpeg.decode_jpeg(data, "RGB"), turn))
        tries = (simplejpeg.encode_jpeg(pixels, quality, "RGB", "420") for quality in _QUALITIES)
        small = next((coded for coded in tries if len(coded) <= size), None)
        small = small or simplejpeg.encode_jpeg(pixels, _QUALITIES[-1], "RGB", "420")
    except ValueError:
        return False
    fields = directory.fields
    if any(fields[tag].type not in _UNSIGNED for tag in (_THUMBNAIL_AT, _THUMBNAIL_BYTES)):
        return False
    if start + size == len(good) and not _reaches_into(directory, start):
        del good[start:]
        good += small
    elif len(small) <= size:
        good[start : start + size] = bytes(size)
        good[start : start + len(small)] = small
    else:
        good[start : start + size] = bytes(size)
        start = len(good) + len(good) % 2
        good += bytes(len(good) % 2) + small
    if turn > 4:
        _swap_numbers(good, directory, 256, 257)
        _swap_bytes(good, directory, X_RESOLUTION, Y_RESOLUTION)
    return _set_number(good, directory, _THUMBNAIL_AT, start) and _set_number(
        good, directory, _THUMBNAIL_BYTES, len(small)
    )


def _reaches_into(directory: Directory, start: int) -> bool:
    """Whether a thumbnail's own directory overlaps its pixels."""
    return any(field.offset + field.size > start for field in directory.fields.values())


def _set_number(good: bytearray, directory: Directory, tag: int, value: int) -> bool:
    """Sets a field of one whole number; False if it is absent or too small for that."""
    field = directory.fields.get(tag)
    if field is None or field.type not in _UNSIGNED:
        return False
    form = byte_order(bytes(good[:4])) + _UNSIGNED[field.type]
    if value >> 8 * struct.calcsize(form) or field.offset + struct.calcsize(form) > len(good):
        return False
    struct.pack_into(form, good, field.offset, value)
    return True


def _swap_numbers(good: bytearray, directory: Directory, one: int, other: int) -> None:
    values = [numbers(bytes(good), directory, tag)[:1] for tag in (one, other)]
    if values[0] and values[1]:
        _set_number(good, directory, one, values[1][0])
        _set_number(good, directory, other, values[0][0])


def _swap_bytes(good: bytearray, directory: Directory, one: int, other: int) -> None:
    first, second = (raw(bytes(good), directory, tag) for tag in (one, other))
    if first and len(first) == len(second):
        for tag, value in ((one, second), (other, first)):
            at = directory.fields[tag].offset
            good[at : at + len(value)] = value
