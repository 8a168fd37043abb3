"""Lists every box, marker segment and tile-part of a JPEG 2000 file, with its size.

For looking, not for decoding: whatever follows the rule "length, type, content" is listed, understood or not,
and where a file is broken the list ends with a sentence that says so. All lengths together are those of the
file (`Anatomy`).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Iterator

from foveate.codec import walk
from foveate.codec.errors import BadCodestream
from foveate.codec.parameters import SIZ
from foveate.codec.walk import CODESTREAM_START, EOC, SOD, SOT
from foveate.codec.wording import box_name, describe_box, describe_marker, marker_name

_SUPERBOXES = (b"jp2h", b"res ")


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
    """The parts of a file.

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
    """Lists the parts of a JP2 file or a bare codestream, as far as they can be read.

    Raises:
      BadCodestream: it is neither; the message says how it begins.
    """
    if not data:
        raise BadCodestream("the file is empty")
    problems: list[str] = []
    if data.startswith(CODESTREAM_START):
        return _with_codestream(data, (), (0, len(data)), problems)
    boxes = tuple(_described(data, walk.file_boxes(data), problems))
    first = next((box for box in boxes if box.kind == "jp2c"), None)
    if first is None:
        problems.append("the JP2 file has no codestream")
        return _with_codestream(data, boxes, None, problems)
    span = first.offset + first.head_bytes, first.offset + first.bytes
    return _with_codestream(data, boxes, span, problems)


def _described(data: bytes, found: Iterable[walk.BoxSpan], problems: list[str]) -> Iterator[Box]:
    """The same boxes with descriptions; the last one may be truncated."""
    for box in found:
        if box.problem:
            problems.append(box.problem)
        if box.end == box.offset:
            return
        content = b"" if box.kind == b"jp2c" else data[box.start : box.end]
        inside: tuple[Box, ...] = ()
        if box.kind in _SUPERBOXES:
            inside = tuple(_described(data, walk.boxes(data, box.start, box.end), problems))
        yield Box(
            kind=box_name(box.kind),
            offset=box.offset,
            head_bytes=box.start - box.offset,
            bytes=box.end - box.offset,
            holds=describe_box(box.kind, content),
            boxes=inside,
        )


def _with_codestream(
    data: bytes, boxes: tuple[Box, ...], span: tuple[int, int] | None, problems: list[str]
) -> Anatomy:
    start, end = span or (0, 0)
    codestream = _Codestream(data, start, end)
    if span is not None:
        codestream.read(problems)
    return Anatomy(
        file_bytes=len(data),
        boxes=boxes,
        unread_bytes=len(data) - (boxes[-1].offset + boxes[-1].bytes) if boxes else 0,
        codestream_offset=None if span is None else start,
        codestream_bytes=end - start,
        width=codestream.width,
        height=codestream.height,
        main_header=tuple(codestream.main_header),
        tile_parts=tuple(codestream.tile_parts),
        end=codestream.end_marker,
        trailing_bytes=end - codestream.position,
        problems=tuple(problems),
    )


class _Codestream:
    """The markers of a codestream; everything before `position` has been accounted for."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data, self.position, self.end = data, start, end
        self.width = self.height = self.components = 0
        self.main_header: list[Marker] = []
        self.tile_parts: list[TilePart] = []
        self.end_marker: Marker | None = None

    def read(self, problems: list[str]) -> None:
        if not self.data.startswith(CODESTREAM_START, self.position, self.end):
            problems.append(f"the codestream at byte {self.position} does not begin with SOC and SIZ")
            return
        problem = self.read_main_header() or self.read_tile_parts()
        if not problem and self.data[self.position : self.end][:2] != b"\xff\xd9":
            problem = f"no end-of-codestream marker at byte {self.position}: the file is cut off"
        if problem:
            problems.append(problem)
            return
        self.end_marker = Marker("EOC", self.position, 2, describe_marker(EOC, b"", 0))
        self.position += 2

    def read_main_header(self) -> str:
        """Takes the markers before the first tile-part; returns what is wrong with them, "" if nothing is."""
        for segment in walk.segments(self.data, self.position, self.end):
            if segment.problem:
                return segment.problem
            if segment.marker in (SOT, EOC):
                break
            if segment.marker == SIZ:
                self.note_size(self.data[segment.start : segment.end])
            self.main_header.append(self.marker(segment))
            self.position = segment.end
        return "" if self.width and self.height else "the main header has no SIZ of a picture"

    def read_tile_parts(self) -> str:
        """Takes the tile-parts; returns what is wrong with the last one, "" if nothing is."""
        for part in walk.tile_parts(self.data, self.position, self.end):
            if not part.segments or part.segments[-1].marker != SOD:
                return part.problem
            markers = tuple(self.marker(segment) for segment in part.segments)
            header, packets = part.start - part.offset, part.end - part.start
            self.tile_parts.append(TilePart(part.tile, part.number, part.offset, header, packets, markers))
            self.position = part.end
            if part.problem:
                return part.problem
        return ""

    def note_size(self, payload: bytes) -> None:
        if len(payload) >= 36:
            x1, y1, x0, y0 = struct.unpack_from(">4I", payload, 2)
            self.width, self.height = max(0, x1 - x0), max(0, y1 - y0)
            (self.components,) = struct.unpack_from(">H", payload, 34)

    def marker(self, segment: walk.SegmentSpan) -> Marker:
        payload = self.data[segment.start : segment.end]
        says = describe_marker(segment.marker, payload, self.components)
        return Marker(marker_name(segment.marker), segment.offset, segment.end - segment.offset, says)
