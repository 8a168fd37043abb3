"""Salvages broken EXIF blocks: good parts stay in place, broken ones are unlinked."""

from __future__ import annotations

import struct

from foveate.pictures.exif import (
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    INTEROPERABILITY_DIRECTORY,
    MOST_LEVELS,
    BadExif,
    byte_order,
    first_directory,
    is_big,
    numbers,
    read_directory,
)

_NAMES = {
    EXIF_DIRECTORY: "camera settings",
    GPS_DIRECTORY: "GPS",
    INTEROPERABILITY_DIRECTORY: "interoperability",
}
_MOST_DIRECTORIES = 64


def salvaged(block: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A block without pointers to unreadable directories, and the names of what is lost.

    Every other byte stays where it is, so that maker notes survive.

    Raises:
      BadExif: the first directory cannot be read.
    """
    if is_big(block):
        raise BadExif("it is a BigTIFF structure")
    good, lost = bytearray(block), list[str]()
    seen: set[int] = set()
    at = first_directory(block)
    read_directory(block, at)
    while at:
        seen.add(at)
        _unlink_below(good, at, seen, lost, MOST_LEVELS)
        directory = read_directory(bytes(good), at)
        following = directory.next
        if following and (
            following in seen or len(seen) >= _MOST_DIRECTORIES or not _is_readable(block, following)
        ):
            _set_next(good, at, 0)
            lost.append("thumbnail")
            following = 0
        at = following
    return bytes(good), tuple(lost)


def without_next(block: bytes) -> bytes:
    """The block without the directories that follow the first: a thumbnail's."""
    good = bytearray(block)
    _set_next(good, first_directory(block), 0)
    return bytes(good)


def _unlink_below(good: bytearray, at: int, seen: set[int], lost: list[str], levels: int) -> None:
    for tag, name in _NAMES.items():
        block = bytes(good)
        directory = read_directory(block, at)
        if tag not in directory.fields:
            continue
        offset = (numbers(block, directory, tag) or (0,))[0]
        if not levels or offset in seen or not offset or not _is_readable(block, offset):
            _remove_entry(good, at, tag)
            lost.append(name)
            continue
        seen.add(offset)
        _unlink_below(good, offset, seen, lost, levels - 1)


def _is_readable(block: bytes, offset: int) -> bool:
    try:
        read_directory(block, offset)
    except BadExif:
        return False
    return True


def _remove_entry(good: bytearray, at: int, tag: int) -> None:
    """Removes a field from a directory; the following ones move up."""
    order = byte_order(bytes(good[:4]))
    (count,) = struct.unpack_from(order + "H", good, at)
    end = at + 2 + 12 * count
    for entry in range(at + 2, end, 12):
        if struct.unpack_from(order + "H", good, entry)[0] == tag:
            rest = bytes(good[entry + 12 : end + 4]).ljust(end - entry - 8, b"\0")
            good[entry : entry + len(rest)] = rest
            struct.pack_into(order + "H", good, at, count - 1)
            return


def _set_next(good: bytearray, at: int, following: int) -> None:
    order = byte_order(bytes(good[:4]))
    (count,) = struct.unpack_from(order + "H", good, at)
    place = at + 2 + 12 * count
    if place + 4 <= len(good):
        struct.pack_into(order + "I", good, place, following)
