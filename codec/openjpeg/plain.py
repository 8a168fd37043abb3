"""Rewrites codestreams in a form that OpenJPEG reads: packets in order, no tiles without samples.

OpenJPEG (2.5) takes a progression change that names component 0 for all 256 (A.6.6) for none, and so drops
packets without a word; it refuses packed packet headers whose segments are numbered or cut in other legal
ways than its own; and of some legal packet headers it says that EPH is missing. `codec.packets` reads all of
them. What comes out holds the same codewords in the simplest order: LRCP, a tile-part for each tile.

It also refuses tiles in which no component has a sample, as sub-sampling may leave them (B.3). Of extensions
it passes over those that it does not know, and decodes to other pixels.
"""

from __future__ import annotations

import struct

from foveate.codec import walk
from foveate.codec.codestream import POC, PPM, PPT, NewTilePart, emit
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.openjpeg.mended import around

_UNUSUAL = (POC, PPM, PPT)
_RGN = 0xFF5E
_EXTENSIONS = {  # of ISO/IEC 15444-2 (Table A.2) and 15444-8
    0xFF5A: "QPD",
    0xFF5B: "QPC",
    0xFF65: "SEC",
    0xFF70: "DCO",
    0xFF71: "VMS",
    0xFF72: "DFS",
    0xFF73: "ADS",
    0xFF74: "MCT",
    0xFF75: "MCC",
    0xFF76: "NLT",
    0xFF77: "MCO",
    0xFF78: "CBD",
    0xFF79: "ATK",
    0xFF94: "INSEC",
}
_MOST_COMPONENTS = 4  # that are decoded at all


def is_unusual(data: bytes) -> bool:
    """Whether a file or codestream has progression changes or packed packet headers.

    Raises:
        BadCodestream: there is no codestream.
        UnsupportedCodestream: it uses an extension that changes its pixels.
    """
    start, end = walk.codestream_span(data)
    position, found = end, set[int]()
    for segment in walk.segments(data, start, end):
        position = segment.offset
        found.add(segment.marker)
        _require_part_1(data, segment)
    for part in walk.tile_parts(data, position, end):
        for segment in part.segments:
            found.add(segment.marker)
            _require_part_1(data, segment)
    return not found.isdisjoint(_UNUSUAL)


def _require_part_1(data: bytes, segment: walk.SegmentSpan) -> None:
    name = _EXTENSIONS.get(segment.marker)
    if name is not None:
        raise UnsupportedCodestream(f"the codestream has {name}, an unsupported extension of JPEG 2000")
    if segment.marker == _RGN and segment.end - segment.start in (3, 4) and data[segment.end - 2]:
        raise UnsupportedCodestream("the codestream has regions of a kind that is not supported")


def plain(data: bytes) -> bytes:
    """The same file with its packets in LRCP order, one tile-part for each tile, no packed headers.

    Raises:
        BadCodestream: malformed or cut off.
        UnsupportedCodestream: as `packets.parse`.
    """
    from foveate.codec import packets  # compiled code, which most files do not need
    from foveate.codec.packet_stream import PacketStream

    start, end = walk.codestream_span(data)
    source = PacketStream.parse(data[start:end])
    emitted = packets.emit(source.layout, source.codewords, source.layers)
    bounds = emitted.bounds[:, [0, -1]].tolist()
    parts = [
        NewTilePart(tile, emitted.data[first:last])
        for tile, (first, last) in enumerate(bounds)
        if first < last  # a tile without samples has no packet
    ]
    return around(data, emit(source.stream, len(source.layers.passes), parts))


def without_empty_tiles(data: bytes) -> bytes:
    """The same file without the tile-parts of tiles in which no component has a sample.

    Raises:
        BadCodestream: there is no codestream.
    """
    start, end = walk.codestream_span(data)
    x1, y1, x0, y0, width, height, tile_x0, tile_y0, count = struct.unpack_from(">8IH", data, start + 8)
    if not 1 <= count <= _MOST_COMPONENTS:
        return data
    steps = [(data[at + 1], data[at + 2]) for at in range(start + 42, start + 42 + 3 * count, 3)]
    if any(step == (1, 1) or 0 in step for step in steps):
        return data
    across = -(-(x1 - tile_x0) // width)
    if across < 1:
        return data  # the decoder will say so

    def is_empty(tile: int) -> bool:
        left, top = tile_x0 + tile % across * width, tile_y0 + tile // across * height
        spans = (max(left, x0), min(left + width, x1)), (max(top, y0), min(top + height, y1))
        return not any(
            all(has_samples(*span, step) for span, step in zip(spans, own, strict=True)) for own in steps
        )

    position = end
    for segment in walk.segments(data, start, end):
        position = segment.offset
    parts = list(walk.tile_parts(data, position, end))
    kept = [part for part in parts if not is_empty(part.tile)]
    if len(kept) == len(parts):
        return data
    pieces = [data[start:position], *(data[part.offset : part.end] for part in kept), b"\xff\xd9"]
    return around(data, b"".join(pieces))


def has_samples(start: int, end: int, step: int) -> bool:
    """Whether a component has samples in a stretch of the reference grid (B-12)."""
    return -(-start // step) < -(-end // step)
