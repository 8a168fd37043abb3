"""Finds where coded pixels end, since decoders ignore whatever follows them.

A chunk, strip or block states how many bytes it has for pixels; the coded data may end earlier, with an end
mark or because the picture is complete.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_PIECE = 1 << 20  # bytes that are inflated at once
_MOST_BEYOND = 1 << 16  # bytes that are inflated beyond a picture, to report that there are some
_MOST_CODES = 1 << 13  # of LZW, looked at in one go
_WIDEST = 12
_CLEAR_TIFF, _BITS_TIFF = 256, 8
_ZSTD, _RUN = b"\x28\xb5\x2f\xfd", 1  # the magic number of a frame; a block of one byte again and again
_NO_RUN = 128


class Rest(NamedTuple):
    """Unused bytes: coded ones behind the end, and decoded ones beyond the picture; and what is wrong."""

    coded: int
    decoded: int
    damage: str = ""


def behind_zlib(pieces: Iterable[bytes], most: int) -> Rest:
    """How many bytes follow the end of zlib data, given in pieces, and how many decoded ones exceed `most`.

    Unfinished data have no rest and no damage here: the decoder will report them. Endless data are inflated
    only up to a limit.
    """
    inflater = zlib.decompressobj()
    decoded = coded = 0
    for piece in pieces:
        if inflater.eof:
            coded += _unless_padding(piece)
            continue
        left = piece
        while left and not inflater.eof and decoded < most + _MOST_BEYOND:
            try:
                decoded += len(inflater.decompress(left, min(_PIECE, most + _MOST_BEYOND - decoded)))
            except zlib.error as error:
                return Rest(0, 0, str(error))
            left = inflater.unconsumed_tail
        coded += _unless_padding(inflater.unused_data)
    return Rest(coded, max(0, decoded - most))


def behind_xz(data: bytes, most: int) -> Rest:
    """The same for data in the xz format, in one piece."""
    import lzma  # some builds of Python lack it

    inflater = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    decoded, left = 0, data
    try:
        while not inflater.eof and decoded < most + _MOST_BEYOND and (left or not inflater.needs_input):
            decoded += len(inflater.decompress(left, min(_PIECE, most + _MOST_BEYOND - decoded)))
            left = b""
    except lzma.LZMAError as error:
        return Rest(0, 0, str(error))
    return Rest(_unless_padding(inflater.unused_data), max(0, decoded - most))


def behind_zstd(data: bytes, most: int) -> Rest:
    """The same for a frame of Zstandard (RFC 8878): further frames count as a rest."""
    end = _end_of_zstd(data)
    if end is None:
        return Rest(0, 0, "it does not end")
    try:
        decoded = len(imagecodecs.zstd_decode(data[:end], out=most + _MOST_BEYOND))
    except imagecodecs.ZstdError as error:  # damaged, or of far more bytes
        return Rest(0, 0, str(error))
    return Rest(_unless_padding(data[end:]), max(0, decoded - most))


def _end_of_zstd(data: bytes) -> int | None:
    """Where the first frame ends; None if it does not end."""
    if len(data) < 6 or not data.startswith(_ZSTD):
        return None
    flags = data[4]
    has_one_segment = flags >> 5 & 1
    sizes = (has_one_segment, 2, 4, 8)[flags >> 6], (0, 1, 2, 4)[flags & 3]
    at, is_last = 5 + (not has_one_segment) + sum(sizes), False
    while not is_last:
        head = int.from_bytes(data[at : at + 3], "little")
        if at + 3 > len(data):
            return None
        is_last = bool(head & 1)
        at += 3 + (1 if head >> 1 & 3 == _RUN else head >> 3)
    end = at + (4 if flags & 4 else 0)
    return end if end <= len(data) else None


def behind_packbits(data: bytes, most: int) -> Rest:
    """How many bytes follow the runs (TIFF 6.0, section 9) that make `most` bytes."""
    usual = data[:-1] if data.endswith(b"\0") and len(data) % 2 == 0 else data
    for whole in dict.fromkeys((data, usual)):  # most strips end where their pixels do
        with contextlib.suppress(imagecodecs.PackbitsError):
            if len(imagecodecs.packbits_decode(whole)) == most:
                return Rest(0, 0)
    at = decoded = 0
    while decoded < most and at < len(data):
        head = data[at]
        decoded += head + 1 if head < _NO_RUN else 257 - head if head > _NO_RUN else 0
        at += head + 2 if head < _NO_RUN else 2 if head > _NO_RUN else 1
    damage = "a run reaches past them" if decoded > most else ""
    return Rest(_unless_padding(data[at:].replace(b"\x80", b"")), 0, damage)


def _unless_padding(data: bytes) -> int:
    return len(data) if data.strip(b"\0") else 0


def end_of_lzw(data: bytes, bits: int | None = None) -> int | None:
    """Where LZW codes end, in bytes, with their mark; None without one.

    Args:
      data: the codes, which begin with one that clears the table.
      bits: of a sample: codes of a GIF, the lowest bit first. None: of a TIFF, the highest bit first.
    """
    clear = _CLEAR_TIFF if bits is None else 1 << bits
    widths = _widths(clear, early=bits is None)
    ends = np.cumsum(widths)
    starts = ends - widths
    source = np.frombuffer(data + bytes(4), np.uint8).astype(np.uint32)
    at, total = int(widths[0]), 8 * len(data)
    while at < total:
        count = int(np.searchsorted(at + ends, total, "right"))
        if not count:
            return None
        codes = _codes(source, at + starts[:count], widths[:count], lowest_first=bits is not None)
        marks = np.flatnonzero((codes == clear) | (codes == clear + 1))
        if not len(marks):
            if count < len(ends):
                return None
            at += int(ends[-1])  # the table is full, and all codes have full width
            widths = np.full(_MOST_CODES, _WIDEST)
            ends = np.cumsum(widths)
            starts = ends - widths
            continue
        first = int(marks[0])
        at += int(ends[first])
        if codes[first] == clear + 1:
            return -(-at // 8)
        widths = _widths(clear, early=bits is None)
        ends = np.cumsum(widths)
        starts = ends - widths
    return None


def end_by_trial(size: int, decodes: Callable[[int], bool], slack: int) -> int:
    """The end of coded pixels that only a decoder can find: the shortest length that decodes.

    Args:
      size: of all bytes, which decode.
      decodes: whether the first bytes, up to a number, give the same picture.
      slack: unneeded bytes that an encoder may have written at the end. If the data do not decode without
        them, all bytes are needed, and nothing else is tried.
    """
    if size <= slack or not decodes(size - slack):
        return size
    enough, too_few = size - slack, 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decodes(middle) else (enough, middle)
    return enough


def _widths(clear: int, *, early: bool) -> NDArray[np.int64]:
    """Bits of each code after the table was cleared; TIFF's grow one code early (TIFF 6.0, section 13)."""
    entries = clear + 2 + np.maximum(np.arange(_MOST_CODES) - 1, 0) + early
    needed = np.floor(np.log2(entries)).astype(np.int64) + 1
    widths: NDArray[np.int64] = np.clip(needed, clear.bit_length(), _WIDEST)
    return widths


def _codes(
    source: NDArray[np.uint32], starts: NDArray[np.int64], widths: NDArray[np.int64], *, lowest_first: bool
) -> NDArray[np.int64]:
    """The codes that begin at some bits."""
    at, shift = starts >> 3, starts & 7
    order = (16, 8, 0) if not lowest_first else (0, 8, 16)
    words = np.zeros(len(at), np.int64)
    for i, move in enumerate(order):
        words |= source[at + i].astype(np.int64) << move
    moved = words >> shift if lowest_first else words >> (24 - shift - widths)
    found: NDArray[np.int64] = moved & ((1 << widths) - 1)
    return found
