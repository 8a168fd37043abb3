"""The anatomy of a JPEG 2000 file: every box, marker segment and tile-part, with the bytes that it takes.

For looking, not for decoding: whatever follows the rule "length, type, content" is listed, understood or not,
and where a file is broken the list ends with a sentence that says so. All lengths together are those of the
file (`Anatomy`).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from foveate.codec.codestream import EOC, SIZ, SOC, SOD, SOT
from foveate.codec.errors import BadCodestream
from foveate.codec.wording import box_name, describe_box, describe_marker, marker_name

_CODESTREAM_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SUPERBOXES = (b"jp2h", b"res ")
_SOT_BYTES = 12


@dataclasses.dataclass(frozen=True)
class Box:
    """A box of a JP2 file (I.4).

    kind: its type, four characters.
    offset: where in the file its head begins.
    head_bytes: 8, or 16 where the length is extended.
    bytes: how much of the file it takes, head included.
    holds: in words, "" for a kind that is not known.
    boxes: those inside, where it is a superbox.
    """

    kind: str
    offset: int
    head_bytes: int
    bytes: int
    holds: str
    boxes: tuple[Box, ...] = ()


@dataclasses.dataclass(frozen=True)
class Marker:
    """A marker, with its segment if it has one (A.1.4); `bytes` counts both, `offset` is that in the file."""

    name: str
    offset: int
    bytes: int
    says: str


@dataclasses.dataclass(frozen=True)
class TilePart:
    """A tile-part (A.4.2): `header_bytes` from SOT to SOD, `markers` among them, then `packet_bytes`."""

    tile: int
    number: int
    offset: int
    header_bytes: int
    packet_bytes: int
    markers: tuple[Marker, ...]


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """What a file consists of.

    file_bytes: all of it. It is `unread_bytes` + the boxes (of a JP2 file); and the first codestream's
        `codestream_bytes` are the main header's markers + the tile-parts + those of `end` + `trailing_bytes`.
    boxes: the outermost ones in order; none for a bare codestream.
    unread_bytes: after the last box that could be read.
    codestream_offset: where the first codestream begins, None where there is none.
    width, height: of the picture on the reference grid, as SIZ has it; 0 where that cannot be read.
    main_header: from SOC to before the first SOT.
    tile_parts: in order.
    end: the EOC marker.
    trailing_bytes: of the codestream, after its end or after what could be read.
    problems: sentences about what is broken, empty for a sound file.
    """

    file_bytes: int
    boxes: tuple[Box, ...]
    unread_bytes: int
    codestream_offset: int | None
    codestream_bytes: int
    width: int
    height: int
    main_header: tuple[Marker, ...]
    tile_parts: tuple[TilePart, ...]
    end: Marker | None
    trailing_bytes: int
    problems: tuple[str, ...]


def dissect(data: bytes) -> Anatomy:
    """Takes a JP2 file or a bare codestream apart, as far as it can be read.

    Raises:
      BadCodestream: it is neither; the message says how it begins.
    """
    if not data:
        raise BadCodestream("the file is empty")
    problems: list[str] = []
    if data.startswith(_CODESTREAM_START):
        return _with_codestream(data, (), 0, (0, len(data)), problems)
    if not data.startswith(_JP2_START):
        raise BadCodestream(f"neither a JP2 file nor a codestream: it begins with {data[:12].hex(' ')}")
    boxes = tuple(_boxes(data, 0, len(data), problems))
    unread = len(data) - (boxes[-1].offset + boxes[-1].bytes)
    first = next((box for box in boxes if box.kind == "jp2c"), None)
    if first is None:
        problems.append("the JP2 file has no codestream")
        return _with_codestream(data, boxes, unread, None, problems)
    span = first.offset + first.head_bytes, first.offset + first.bytes
    return _with_codestream(data, boxes, unread, span, problems)


def _boxes(data: bytes, start: int, end: int, problems: list[str]) -> Iterator[Box]:
    """The boxes from `start` to `end`; the last one may be cut off."""
    offset = start
    while offset < end:
        head = 8
        length, kind = struct.unpack_from(">I4s", data, offset) if end - offset >= head else (0, b"")
        if length == 1:
            head = 16
            (length,) = struct.unpack_from(">Q", data, offset + 8) if end - offset >= head else (0,)
        elif length == 0:
            length = end - offset
        if end - offset < head:
            problems.append(f"the box at byte {offset} is cut off in its head")
            return
        if length < head:
            problems.append(f"the box at byte {offset} has the impossible length {length}")
            return
        missing = length - (end - offset)
        if missing > 0:
            problems.append(f"the {box_name(kind)} box at byte {offset} ends {missing:,} bytes past the end")
            length -= missing
        content = (offset + head, offset + length)
        inside = tuple(_boxes(data, *content, problems)) if kind in _SUPERBOXES else ()
        described = b"" if kind == b"jp2c" else data[slice(*content)]
        yield Box(box_name(kind), offset, head, length, describe_box(kind, described), inside)
        offset += length


def _with_codestream(
    data: bytes, boxes: tuple[Box, ...], unread: int, span: tuple[int, int] | None, problems: list[str]
) -> Anatomy:
    walk = _Walk(data, *(span or (0, 0)), problems)
    if span is not None:
        walk.read()
    return Anatomy(
        file_bytes=len(data),
        boxes=boxes,
        unread_bytes=unread,
        codestream_offset=None if span is None else span[0],
        codestream_bytes=0 if span is None else span[1] - span[0],
        width=walk.width,
        height=walk.height,
        main_header=tuple(walk.main_header),
        tile_parts=tuple(walk.tile_parts),
        end=walk.end_marker,
        trailing_bytes=walk.end - walk.position,
        problems=tuple(problems),
    )


class _Broken(Exception):  # noqa: N818
    """Nothing more can be read; the message says why."""


class _Walk:
    """One pass over a codestream, from marker to marker; `position` is how far all has been accounted for."""

    def __init__(self, data: bytes, start: int, end: int, problems: list[str]) -> None:
        self.data, self.position, self.end = data, start, end
        self.problems = problems
        self.width = self.height = self.components = 0
        self.main_header: list[Marker] = []
        self.tile_parts: list[TilePart] = []
        self.end_marker: Marker | None = None

    def read(self) -> None:
        try:
            if not self.data.startswith(_CODESTREAM_START, self.position, self.end):
                raise _Broken(f"the codestream at byte {self.position} does not begin with SOC and SIZ")
            while self.peek(self.position) != SOT:
                marker = self.marker(self.position, self.end)
                self.main_header.append(marker)
                self.position += marker.bytes
            if not self.width or not self.height:
                raise _Broken("the main header has no SIZ of a picture")
            while self.peek(self.position) == SOT:
                self.tile_part()
            if self.peek(self.position) != EOC:
                raise _Broken(f"no end-of-codestream marker at byte {self.position}: the file is cut off")
            self.end_marker = Marker("EOC", self.position, 2, describe_marker(EOC, b"", 0))
            self.position += 2
        except _Broken as broken:
            self.problems.append(str(broken))

    def peek(self, position: int) -> int:
        """The marker at a position, 0 where the codestream has ended."""
        return int.from_bytes(self.data[position : position + 2]) if position + 2 <= self.end else 0

    def marker(self, position: int, end: int) -> Marker:
        """The marker and segment at a position, which must end by `end`."""
        number = self.peek(position)
        if number < 0xFF00:
            where = "ends" if position + 2 > end else "has no marker"
            raise _Broken(f"the header {where} at byte {position}")
        if number in (SOC, SOD, EOC) or 0xFF30 <= number <= 0xFF3F:  # markers without a segment
            return Marker(marker_name(number), position, 2, describe_marker(number, b"", 0))
        length = self.peek(position + 2)
        if length < 2 or position + 2 + length > end:
            raise _Broken(f"{marker_name(number)} at byte {position}: length {length} is impossible")
        payload = self.data[position + 4 : position + 2 + length]
        self.note(number, payload)
        return Marker(
            marker_name(number), position, 2 + length, describe_marker(number, payload, self.components)
        )

    def note(self, number: int, payload: bytes) -> None:
        """Keeps what is needed to understand the rest."""
        if number == SIZ and len(payload) >= 36:
            x1, y1, x0, y0 = struct.unpack_from(">4I", payload, 2)
            self.width, self.height = max(0, x1 - x0), max(0, y1 - y0)
            (self.components,) = struct.unpack_from(">H", payload, 34)

    def tile_part(self) -> None:
        start = self.position
        if start + _SOT_BYTES > self.end:
            raise _Broken(f"the tile-part at byte {start} is cut off")
        tile, length, number = struct.unpack_from(">HIB", self.data, start + 4)
        end = start + length
        if length == 0:  # up to EOC, which padding may follow
            end = self.data.rfind(b"\xff\xd9", start + _SOT_BYTES, self.end)
            end = self.end if end < 0 else end
        markers: list[Marker] = []
        position = start
        while not markers or markers[-1].name != "SOD":
            markers.append(self.marker(position, min(end, self.end)))
            position += markers[-1].bytes
        self.position = min(end, self.end)
        header = position - start
        packets = self.position - position
        self.tile_parts.append(TilePart(tile, number, start, header, packets, tuple(markers)))
        if end > self.end:
            raise _Broken(f"the tile-part at byte {start} ends {end - self.end:,} bytes past the end")
