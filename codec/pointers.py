"""Reads and writes the markers that locate tile-parts and packets: TLM, PLT (ISO/IEC 15444-1 A.7).

TLM in the main header lists the lengths of all tile-parts, PLT in the header of a tile-part those of its
packets. Both halves of each are here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec.errors import BadCodestream
from foveate.codec.parameters import emit_segment

TLM, PLT = 0xFF55, 0xFF58
_MOST_PAYLOAD = 0xFFFF - 2
_MOST_SEGMENTS = 256  # Ztlm and Zplt are single bytes
_TLM_HEAD, _PLT_HEAD = 2, 1  # bytes before the first entry
_ENTRY = 6  # bytes of an entry of TLM as it is written here: two for the tile, four for the length
_LENGTH_BITS = 7  # of a packet's length in each byte of PLT


class TilePartLength(NamedTuple):
    """An entry of TLM: a tile-part's tile and its length in bytes, SOT included."""

    tile: int
    length: int


def emit_tlm(parts: Sequence[TilePartLength]) -> bytes:
    """The TLM segments of these tile-parts; b"" where 256 segments cannot hold them."""
    per_segment = (_MOST_PAYLOAD - _TLM_HEAD) // _ENTRY
    pieces = [parts[first : first + per_segment] for first in range(0, len(parts), per_segment)]
    if len(pieces) > _MOST_SEGMENTS:
        return b""
    # Stlm: tiles in two bytes (ST = 2), lengths in four (SP = 1).
    return b"".join(
        emit_segment(TLM, struct.pack(">BB", number, 0x60) + b"".join(struct.pack(">HI", *p) for p in piece))
        for number, piece in enumerate(pieces)
    )


def tlm_bytes(parts: int) -> int:
    """The length of the result of `emit_tlm` for a number of tile-parts."""
    per_segment = (_MOST_PAYLOAD - _TLM_HEAD) // _ENTRY
    segments = -(-parts // per_segment)
    return segments * (4 + _TLM_HEAD) + parts * _ENTRY if segments <= _MOST_SEGMENTS else 0


def parse_tlm(segments: Iterable[bytes]) -> tuple[TilePartLength, ...]:
    """The tile-parts that the payloads of TLM segments list, in order.

    Raises:
      BadCodestream: a segment is malformed, or two share an index.
    """
    pieces = _in_order(segments, "TLM", _TLM_HEAD)
    found: list[TilePartLength] = []
    for payload in pieces:
        tile_bytes, long = payload[0] >> 4 & 3, payload[0] >> 6 & 1
        if tile_bytes == 3:
            raise BadCodestream("TLM: tiles in three bytes are not defined")
        entry = struct.Struct(">" + ("", "B", "H")[tile_bytes] + "HI"[long])
        if (len(payload) - 1) % entry.size:
            raise BadCodestream(f"TLM of {len(payload) - 1} bytes, not of entries of {entry.size}")
        for values in entry.iter_unpack(payload[1:]):  # without tiles: one part for each, in order
            found.append(TilePartLength(values[0] if tile_bytes else len(found), values[-1]))
    return tuple(found)


def emit_plt(lengths: NDArray[np.int64]) -> bytes:
    """The PLT segments of packets of these lengths; b"" where 256 segments cannot hold them."""
    digits, counts = _digits(lengths)
    ends = counts.cumsum()
    pieces: list[bytes] = []
    first = at = 0
    while first < len(counts):
        last = int(np.searchsorted(ends, at + _MOST_PAYLOAD - _PLT_HEAD, "right"))
        end = int(ends[last - 1])
        if len(pieces) == _MOST_SEGMENTS:
            return b""
        pieces.append(emit_segment(PLT, bytes([len(pieces)]) + digits[at:end].tobytes()))
        first, at = last, end
    return b"".join(pieces)


def _digits(lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Lengths in seven bits per byte, highest first, all but the last marked; and bytes per length."""
    counts = digit_counts(lengths)
    which = np.repeat(np.arange(len(lengths)), counts)
    behind = np.repeat(counts.cumsum(), counts) - 1 - np.arange(len(which))  # digits after this one
    digits = (lengths[which] >> (_LENGTH_BITS * behind) & 0x7F) | np.where(behind > 0, 0x80, 0)
    return digits.astype(np.uint8), counts


def digit_counts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bytes of PLT each of these lengths takes."""
    counts = np.ones(len(lengths), np.int64)
    for digits in range(1, 5):
        counts += lengths >> (_LENGTH_BITS * digits) > 0
    return counts


def parse_plt(segments: Iterable[bytes]) -> NDArray[np.int64]:
    """The packets' lengths in the payloads of a tile-part's PLT segments, in order.

    Raises:
      BadCodestream: a segment is malformed, or two share an index.
    """
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for payload in _in_order(segments, "PLT", _PLT_HEAD):
        digits = np.frombuffer(payload, np.uint8).astype(np.int64)
        ends = np.flatnonzero(digits < 0x80)
        if len(digits) and (not len(ends) or ends[-1] != len(digits) - 1):
            raise BadCodestream("PLT ends within a packet's length")
        counts = np.diff(ends, prepend=-1)
        if (counts > 5).any():
            raise BadCodestream("PLT: a packet's length has more than 35 bits")
        behind = np.repeat(ends, counts) - np.arange(len(digits))
        values = (digits & 0x7F) << (_LENGTH_BITS * behind)
        found.append(np.add.reduceat(values, ends - counts + 1) if len(ends) else found[0])
    return np.concatenate(found)


def _in_order(segments: Iterable[bytes], name: str, least: int) -> list[bytes]:
    """Payloads sorted by their index (Ztlm, Zplt), without the index."""
    pieces = sorted((payload[:1], payload[1:]) for payload in segments)
    indices = [index for index, _ in pieces]
    if any(len(rest) + 1 < least for _, rest in pieces) or len(set(indices)) < len(indices) or b"" in indices:
        raise BadCodestream(f"{name} without an index of its own")
    return [rest for _, rest in pieces]
