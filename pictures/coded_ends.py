"""Finds where coded pixels end in what holds them: decoders pass over whatever stands behind.

A part with pixels has as many bytes as its chunk, strip or block says; its code may end before, with its
own mark or since the picture is full.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PIECE = 1 << 20  # bytes that are inflated at once
_MOST_BEYOND = 1 << 16  # bytes that are inflated beyond a picture, to say that there are some
_MOST_CODES = 1 << 13  # of LZW, looked at in one go
_WIDEST = 12
_CLEAR_TIFF, _BITS_TIFF = 256, 8


class Rest(NamedTuple):
    """Bytes of no use: coded ones behind the end, and decoded ones beyond the picture."""

    coded: int
    decoded: int


def behind_zlib(pieces: Iterable[bytes], most: int) -> Rest:
    """How many bytes stand behind the end of zlib's data, in pieces, and how many these hold beyond `most`.

    Broken or unfinished data have no rest: whoever decodes them will say so. Of data that go on and on, no
    more than some is inflated.
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
            except zlib.error:
                return Rest(0, 0)
            left = inflater.unconsumed_tail
        coded += _unless_padding(inflater.unused_data)
    return Rest(coded, max(0, decoded - most))


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
            at += int(ends[-1])  # the table is full, and all codes are of the widest
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
    """The end of coded pixels of which only a decoder can tell it: the shortest length that decodes.

    Args:
      size: bytes that there are, which decode.
      decodes: whether a first part of so many bytes gives the same picture.
      slack: bytes at the end that an encoder may have written in vain. If so many fewer do not decode, all
        of them are needed, and there is no other trial.
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
