"""Cuts a smaller file out of a file, which decodes to the same pixels in a region or at a reduced size.

    main header ─▶ tiles of the region ─▶ their tile-parts (TLM, else Psot) ─▶ packets of the region (PLT)
                                                                                  │
             the same headers, those packets, an empty packet for each other one ◀┘

Nothing else of the file is read: with TLM and PLT in about four rounds of requests. Where a tile has no PLT
all of it is read, and where headers have parts that cannot be cut (PPM, PPT) or are damaged, the whole file.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, pointers, walk
from foveate.codec.codestream import COM, PLM, PPM, PPT, Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2_boxes import pack_box_head
from foveate.codec.layout import Layout, lay_out_at_most
from foveate.codec.parameters import NAMES, POC, Parameters, Size, emit_segment, parse_parameters
from foveate.codec.ranged import RangedBytes
from foveate.codec.region_blocks import blocks_of, tiles_of
from foveate.codec.regions import Region
from foveate.codec.walk import CODESTREAM_START, EOC, SOC, SOD, SOT, Span, strict

_EVERY_LAYER = 1 << 16
_SOT_BYTES, _SOD = 12, b"\xff\x93"
_POINTERS = (pointers.TLM, pointers.PLT, PLM, COM)  # not copied: what they say is no longer so, or not needed


class _CannotCut(Exception):  # noqa: N818 (never leaves this file)
    """A part of a file that can only be read with all of it."""


class Plan(NamedTuple):
    """The parts that make up a smaller file.

    pieces: bytes that are known, and stretches of the file to copy, in order.
    reads: stretches of the file that are still to be read for them.
    header_bytes: that had to be read to know this.
    requests: in how many pieces these were read.
    rounds: how often these had to be waited for.
    """

    pieces: tuple[bytes | Span, ...]
    reads: tuple[Span, ...]
    header_bytes: int = 0
    requests: int = 0
    rounds: int = 0

    @property
    def spans(self) -> list[Span]:
        """The stretches of the file, ascending."""
        return sorted(piece for piece in self.pieces if isinstance(piece, Span))

    def cost(self) -> tuple[int, int]:
        """Bytes that are read, headers and small gaps between packets included; and in how many requests."""
        read = sum(end - start for start, end in self.reads)
        return self.header_bytes + read, self.requests + len(self.reads)


class _Main(NamedTuple):
    """The main header: its parameters and segments, the codestream's place and its box, the first SOT."""

    stream: Codestream
    segments: list[tuple[int, bytes]]
    place: Span
    box: walk.BoxSpan | None
    first_part: int


class _Part(NamedTuple):
    """A tile-part that is needed: the segments of its header, and where its packets are."""

    segments: list[tuple[int, bytes]]
    packets: Span
    promised: int  # tile-parts of its tile, 0 where it does not say


class _Parts:
    """The tile-parts of one tile, each read on demand."""

    def __init__(self, data: RangedBytes, tile: int, places: list[Span]) -> None:
        self.data, self.tile, self.places = data, tile, places
        self._read: list[_Part] = []

    def upto(self, count: int) -> list[_Part]:
        """The first so many.

        Raises:
          _CannotCut: there are fewer, or they are not where they should be.
        """
        for number in range(len(self._read), count):
            if number >= len(self.places):
                raise _CannotCut
            self._read.append(self._part(number))
        return self._read[:count]

    def _part(self, number: int) -> _Part:
        place = self.places[number]
        part = next(walk.tile_parts(self.data, place.start, place.end), None)
        expected = self.tile, number, place.end
        if part is None or part.problem or (part.tile, part.number, part.end) != expected:
            raise _CannotCut
        if part.promised not in (0, len(self.places)):
            raise _CannotCut
        inner = part.segments[1:-1]  # without SOT and SOD
        segments = [(segment.marker, self.data[segment.start : segment.end]) for segment in inner]
        if any(marker == PPT for marker, _ in segments):
            raise _CannotCut
        return _Part(segments, Span(part.start, part.end), part.promised)

    @property
    def own(self) -> list[tuple[int, bytes]]:
        """The segments with parameters of the tile: its first header has them, but for more of POC."""
        found = [segment for segment in self.upto(1)[0].segments if segment[0] in NAMES]
        if any(marker == POC for marker, _ in found):
            parts = self.upto(len(self.places))
            return [segment for part in parts for segment in part.segments if segment[0] in NAMES]
        return found


def picture_size(data: RangedBytes) -> Size:
    """SIZ of a JP2 file or a bare codestream, read from its beginning.

    Raises:
      BadCodestream, UnsupportedCodestream: its main header cannot be read.
    """
    return _main_header(data).stream.size


def excerpt(
    data: RangedBytes, region: Region, *, reduce: int = 0, layers: int = 0, boxes: bool = True
) -> bytes:
    """A file that decodes to the same pixels in a region, whatever it shows elsewhere; see `plan`."""
    made = plan(data, region, reduce=reduce, layers=layers, boxes=boxes)
    spans = made.spans
    found = dict(zip(spans, data.read_spans(spans), strict=True))
    return b"".join(found[piece] if isinstance(piece, Span) else piece for piece in made.pieces)


def plan(data: RangedBytes, region: Region, *, reduce: int = 0, layers: int = 0, boxes: bool = True) -> Plan:
    """Finds out what has to be read for a region.

    Takes time and memory like `layout.lay_out`.

    Args:
      data: a JP2 file or a bare codestream.
      region: inside of the picture.
      reduce: how many of the finest resolutions to leave out.
      layers: how many quality layers to keep; 0 for all.
      boxes: whether to copy the boxes behind the codestream, which hold metadata.
    """
    try:
        pieces = tuple(_pieces(data, region, reduce, layers or _EVERY_LAYER, boxes))
    except (_CannotCut, BadCodestream, UnsupportedCodestream):
        everything = (Span(0, len(data)),)
        return Plan(everything, tuple(data.reads_for(everything)), data.fetched, data.requests, data.rounds)
    reads = data.reads_for(sorted(piece for piece in pieces if isinstance(piece, Span)))
    return Plan(pieces, tuple(reads), data.fetched, data.requests, data.rounds)


def _main_header(data: RangedBytes) -> _Main:
    place, box = Span(0, len(data)), None
    if not data.startswith(CODESTREAM_START):
        for box in strict(walk.file_boxes(data)):
            if box.kind == b"jp2c":
                place = Span(box.start, box.end)
                break
        else:
            raise BadCodestream("the JP2 file has no codestream")
    segments, first_part = codestream.main_header(data, place.start)
    stream = codestream.of_header([emit_segment(*segment) for segment in segments if segment[0] in NAMES])
    return _Main(stream, segments, place, box, first_part)


def _pieces(
    data: RangedBytes, region: Region, reduce: int, layers: int, boxes: bool
) -> Iterator[bytes | Span]:
    main = _main_header(data)
    if any(marker == PPM for marker, _ in main.segments):
        raise _CannotCut
    parts = _tile_parts(data, main, tiles_of(main.stream.size, region).tolist())
    _prefetch_headers(data, main.stream, parts.values(), reduce, layers)
    count = len(main.stream.size.components)
    own = {tile: found.own for tile, found in parts.items()}
    parameters = {tile: parse_parameters(found, count, main.stream) for tile, found in own.items() if found}
    stream = Codestream(**vars(main.stream) | {"tile_parameters": parameters})
    layout = lay_out_at_most(stream, len(data))
    needed = _precincts_of(layout, blocks_of(stream, layout, region, reduce))
    inside: list[bytes | Span] = [struct.pack(">H", SOC)]
    inside += [emit_segment(*segment) for segment in main.segments if segment[0] not in _POINTERS]
    packets = np.bincount(layout.precincts.tile, minlength=layout.tiles) * stream.layers
    for tile in range(layout.tiles):
        header = b"".join(emit_segment(*segment) for segment in own.get(tile, ()))
        body: list[bytes | Span]
        if tile in parts:
            body = _tile_packets(layout, stream.of_tile(tile), parts[tile], needed, layers)
        else:
            total = int(packets[tile])
            if stream.volumes:
                total = len(layout.packets(stream.progression, stream.layers, tile, stream.volumes))
            body = [_empty_packets(stream, 0, total)]
        sot = struct.pack(">HHHIBB", SOT, 10, tile, 14 + len(header) + _length(body), 0, 1)
        inside += [sot + header + struct.pack(">H", SOD), *body]
    inside.append(struct.pack(">H", EOC))
    if main.box is None:
        return iter(inside)
    around: list[bytes | Span] = [Span(0, main.box.offset), pack_box_head(b"jp2c", _length(inside)), *inside]
    if boxes and main.place.end < len(data):
        around.append(Span(main.place.end, len(data)))
    return iter(around)


def _length(pieces: list[bytes | Span]) -> int:
    return sum(piece.end - piece.start if isinstance(piece, Span) else len(piece) for piece in pieces)


def _tile_parts(data: RangedBytes, main: _Main, tiles: list[int]) -> dict[int, _Parts]:
    """The tile-parts of some tiles, found through TLM or else by going from one to the next."""
    listed = pointers.parse_tlm(payload for marker, payload in main.segments if marker == pointers.TLM)
    places: dict[int, list[Span]] = {tile: [] for tile in tiles}
    position = main.first_part
    for entry in listed:
        if entry.tile in places:
            places[entry.tile].append(Span(position, position + entry.length))
        position += entry.length
    if not listed:
        for part in walk.tile_parts(data, main.first_part, main.place.end):
            if part.problem:
                raise _CannotCut
            if part.tile in places:
                places[part.tile].append(Span(part.offset, part.end))
    return {tile: _Parts(data, tile, found) for tile, found in places.items()}


def _prefetch_headers(
    data: RangedBytes, stream: Codestream, parts: Collection[_Parts], reduce: int, layers: int
) -> None:
    """Fetches all at once the headers of the tile-parts that will be needed, as far as that is known."""
    places: list[Span] = []
    for found in parts:
        likely = 1
        if layers >= stream.layers and not reduce:
            likely = len(found.places)
        elif layers >= stream.layers and len(found.places) == stream.coding[0].levels + 1:  # by resolution
            likely = max(1, len(found.places) - reduce)
        places += found.places[:likely]
    data.prefetch(Span(place.start, min(place.start + _SOT_BYTES, place.end)) for place in places)
    # What a page does not hold: mostly long PLT segments, whose lengths are known now.
    data.prefetch(Span(place.start, _known_end(data, place)) for place in places)


def _known_end(data: RangedBytes, part: Span) -> int:
    """Up to where the header of a tile-part reaches at least, as far as what has been fetched of it tells."""
    position = part.start + _SOT_BYTES
    while position + 4 <= part.end and data.is_there(position, position + 4):
        if data[position : position + 2] == _SOD:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return min(position + 4, part.end)


def _precincts_of(layout: Layout, blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which precincts contain any of these blocks: (precincts,)."""
    bands = np.zeros(len(layout.precinct_bands.first_block), np.bool_)
    bands[layout.blocks.precinct_band[blocks]] = True
    precinct = np.repeat(np.arange(len(layout.precincts.tile)), layout.precincts.bands)
    needed = np.zeros(len(layout.precincts.tile), np.bool_)
    needed[precinct[bands]] = True
    return needed


def _tile_packets(
    layout: Layout, parameters: Parameters, parts: _Parts, needed: NDArray[np.bool_], layers: int
) -> list[bytes | Span]:
    """The packets of a tile: those of needed precincts up to a layer, and empty ones; or all of them."""
    sequence = layout.packets(parameters.progression, parameters.layers, parts.tile, parameters.volumes)
    keep = needed[sequence[:, 0]] & (sequence[:, 1] < layers)
    upto = int(np.flatnonzero(keep)[-1]) + 1 if keep.any() else 0
    place = _packet_places(parts, upto)
    if place is None or not upto <= len(place) <= len(sequence):
        spans = [part.packets for part in parts.upto(len(parts.places))]
        return [span for span in spans if span.end > span.start]
    keep, place = keep[:upto], place[:upto]
    changes = np.diff(keep, prepend=False) | (place[:, 0] != np.append(place[:1, 0], place[:-1, 1]))
    firsts = np.unique(np.append(0, np.flatnonzero(changes)))
    pieces: list[bytes | Span] = []
    for first, end in zip(firsts.tolist(), [*firsts[1:].tolist(), upto], strict=True):
        if first < end and keep[first]:
            pieces.append(Span(int(place[first, 0]), int(place[end - 1, 1])))
        else:
            pieces.append(_empty_packets(parameters, first, end))
    return [*pieces, _empty_packets(parameters, upto, len(sequence))]


def _packet_places(parts: _Parts, count: int) -> NDArray[np.int64] | None:
    """Where at least the first packets of a tile are, (packets, 2).

    None where PLT does not say, or not rightly. Headers of tile-parts behind them are not read.
    """
    places = np.empty((0, 2), np.int64)
    for number in range(len(parts.places)):
        if len(places) >= count:
            break
        part = parts.upto(number + 1)[-1]
        lengths = pointers.parse_plt(payload for marker, payload in part.segments if marker == pointers.PLT)
        if lengths.sum() != part.packets.end - part.packets.start:
            return None
        ends = part.packets.start + lengths.cumsum()
        places = np.concatenate([places, np.stack([ends - lengths, ends], 1)])
    return places


def _empty_packets(parameters: Parameters, first: int, end: int) -> bytes:
    """Packets without contents, number `first` to `end` of their tile (B.9, A.8)."""
    if not parameters.sop and not parameters.eph:
        return bytes(end - first)
    eph = b"\xff\x92" if parameters.eph else b""
    if not parameters.sop:
        return (b"\0" + eph) * (end - first)
    return b"".join(struct.pack(">HHHB", 0xFF91, 4, number & 0xFFFF, 0) + eph for number in range(first, end))
