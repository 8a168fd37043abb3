"""Walks over boxes and marker segments, valid or broken (ISO/IEC 15444-1 A.1 and I.4).

Whatever follows the rule "length, type, content" is found, understood or not. Where a file is broken, the
last thing found says why, and the walk ends: whoever lists what is there shows the sentence, whoever decodes
raises it (`strict`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from foveate.codec.errors import BadCodestream

SOC, SOT, SOD, EOC = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9
CODESTREAM_START = b"\xff\x4f\xff\x51"
JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"

_SOT, _EOC = b"\xff\x90", b"\xff\xd9"
_SOT_BYTES = 12
_MOST_BOXES = 1 << 12  # side by side: no photo has that many, and walking through millions takes minutes


class Readable(Protocol):
    """Bytes, or something that is read like them on demand (`ranged.RangedBytes`)."""

    def __len__(self) -> int: ...

    def __getitem__(self, span: slice, /) -> bytes: ...

    def startswith(self, prefix: bytes, start: int = ..., end: int = ..., /) -> bool:
        """Like that of `bytes`."""

    def find(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int:
        """Like that of `bytes`."""

    def rfind(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int:
        """Like that of `bytes`."""


class _Walked(Protocol):
    @property
    def problem(self) -> str: ...


_Found = TypeVar("_Found", bound=_Walked)


def strict(found: Iterable[_Found]) -> Iterator[_Found]:
    """The same items, but raises BadCodestream for a broken one."""
    for one in found:
        if one.problem:
            raise BadCodestream(one.problem)
        yield one


class BoxSpan(NamedTuple):
    """A box (I.4): its head at `offset`, its content from `start` to `end`; cut to what there is of it.

    One whose head cannot be read ends where it begins.
    """

    kind: bytes
    offset: int
    start: int
    end: int
    problem: str = ""


def boxes(data: Readable, start: int, end: int) -> Iterator[BoxSpan]:
    """The boxes from `start` to `end`, one after the other."""
    offset, count = start, 0
    while offset < end:
        if count == _MOST_BOXES:
            yield BoxSpan(b"", offset, offset, offset, f"more than {_MOST_BOXES} boxes up to byte {offset}")
            return
        head, count = 8, count + 1
        length, kind = struct.unpack(">I4s", data[offset : offset + 8]) if end - offset >= head else (0, b"")
        if length == 1:
            head = 16
            (length,) = struct.unpack(">Q", data[offset + 8 : offset + 16]) if end - offset >= head else (0,)
        elif length == 0:  # up to the end of the file
            length = end - offset
        if end - offset < head:
            yield BoxSpan(kind, offset, offset, offset, f"the box at byte {offset} is cut off in its head")
            return
        if length < head:
            problem = f"the box at byte {offset} has the impossible length {length}"
            yield BoxSpan(kind, offset, offset, offset, problem)
            return
        missing = length - (end - offset)
        problem = f"the box at byte {offset} ends {missing:,} bytes past the end" if missing > 0 else ""
        yield BoxSpan(kind, offset, offset + head, min(offset + length, end), problem)
        offset += length


class SegmentSpan(NamedTuple):
    """A marker at `offset`, and its segment if it has one (A.1.4): its payload from `start` to `end`.

    One that cannot be read ends where it begins.
    """

    marker: int
    offset: int
    start: int
    end: int
    problem: str = ""


def segments(data: Readable, position: int, end: int) -> Iterator[SegmentSpan]:
    """Markers with their segments from a position up to and including SOT, SOD or EOC."""
    while True:
        marker = int.from_bytes(data[position : position + 2]) if position + 2 <= end else 0
        length = int.from_bytes(data[position + 2 : position + 4]) if position + 4 <= end else 0
        alone = marker in (SOC, SOD, EOC) or 0xFF30 <= marker <= 0xFF3F  # without a segment (A.1.1)
        problem = ""
        if position + 2 > end or (position + 4 > end and not alone):
            problem = f"cut off at byte {end} inside a header"
        elif marker < 0xFF01:
            problem = f"no marker segment at byte {position} of a header: 0x{marker:04x}"
        elif not alone and (length < 2 or position + 2 + length > end):
            problem = f"marker 0x{marker:04x} at byte {position}: length {length} is impossible"
        if problem:
            yield SegmentSpan(marker, position, position, position, problem)
            return
        start, stop = (position + 2, position + 2) if alone else (position + 4, position + 2 + length)
        yield SegmentSpan(marker, position, start, stop)
        if marker in (SOT, SOD, EOC):
            return
        position = stop


class TilePartSpan(NamedTuple):
    """A tile-part (A.4.2): its header from `offset`, its packets from `start` to `end`; clipped to the data.

    promised: how many tile-parts the tile has, 0 where it does not say.
    segments: of its header, SOT and SOD included.
    """

    tile: int
    number: int
    promised: int
    offset: int
    start: int
    end: int
    segments: tuple[SegmentSpan, ...]
    problem: str = ""


def tile_parts(data: Readable, position: int, end: int) -> Iterator[TilePartSpan]:
    """Follows Psot from tile-part to tile-part, as long as there is an SOT."""
    while position + 2 <= end and data[position : position + 2] == _SOT:
        if position + _SOT_BYTES > end:
            problem = f"the tile-part at byte {position} is cut off"
            yield TilePartSpan(0, 0, 0, position, position, position, (), problem)
            return
        tile, length, number, promised = struct.unpack(">HIBB", data[position + 4 : position + 12])
        stop, problem = _end_of_tile_part(data, position, length, end)
        header = [SegmentSpan(SOT, position, position + 4, position + _SOT_BYTES)]
        header += segments(data, position + _SOT_BYTES, stop)
        last = header[-1]
        problem = problem or last.problem
        if not problem and last.marker != SOD:
            problem = f"no marker segment at byte {last.offset} of a header: 0x{last.marker:04x}"
        yield TilePartSpan(tile, number, promised, position, last.end, stop, tuple(header), problem)
        if problem:
            return
        position = stop


def _end_of_tile_part(data: Readable, position: int, length: int, end: int) -> tuple[int, str]:
    """Where a tile-part of a given length ends within the data, and what is wrong with that."""
    if length == 0:  # up to EOC, which padding may follow
        stop = data.rfind(_EOC, position + _SOT_BYTES, end)
        return (end, "no end-of-codestream marker: the file is cut off") if stop < 0 else (stop, "")
    stop = position + length
    if length >= _SOT_BYTES + 2 and stop <= end:
        return stop, ""
    problem = f"the tile-part at byte {position} has length {length}, {end - position} are left"
    return min(max(stop, position + _SOT_BYTES), end), problem


class Span(NamedTuple):
    """Bytes from `start` to before `end`."""

    start: int
    end: int


def codestream_span(data: Readable) -> Span:
    """Where the first codestream begins and ends in a JP2 file, or in a bare codestream.

    A whole codestream is found whatever stands around it: bytes after its end do not belong to it, and where
    the length of its box is wrong, or boxes before it are broken, its own markers say where it is.

    Raises:
        BadCodestream: there is no codestream.
    """
    start, end = _codestream_place(data)
    if not data.startswith(CODESTREAM_START, start):
        raise BadCodestream(f"the codestream at byte {start} does not begin with SOC and SIZ")
    if data.startswith(_EOC, end - 2):
        return Span(start, end)
    return Span(
        start, _end_of_codestream(data, start, end) or _end_of_codestream(data, start, len(data)) or end
    )


def _codestream_place(data: Readable) -> tuple[int, int]:
    """Where a codestream's content begins and ends according to the boxes."""
    if data.startswith(CODESTREAM_START):
        return 0, len(data)
    for box in file_boxes(data):
        if box.kind == b"jp2c":
            return box.start, box.end
        if box.problem:
            found = data.find(b"jp2c" + CODESTREAM_START)
            if found < 0:
                raise BadCodestream(box.problem)
            return found + 4, len(data)
    raise BadCodestream("the JP2 file has no codestream")


def _end_of_codestream(data: Readable, start: int, end: int) -> int | None:
    """Where a codestream from `start` ends according to its own markers; None if its end is missing."""
    position = start
    for segment in segments(data, start, end):
        position = segment.offset
    for part in tile_parts(data, position, end):
        if part.problem:
            return None
        position = part.end
    return position + 2 if data.startswith(_EOC, position, end) else None


def file_boxes(data: Readable) -> Iterator[BoxSpan]:
    """The outermost boxes of a JP2 file.

    Raises:
        BadCodestream: it does not begin like one.
    """
    if not data.startswith(JP2_START):
        start = data[:12].hex(" ") or "nothing"
        raise BadCodestream(f"neither a JP2 file nor a codestream: it begins with {start}")
    return boxes(data, 0, len(data))
