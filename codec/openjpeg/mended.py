"""Prepares codestreams for OpenJPEG: checks that tiles are complete, and strips whatever surrounds them.

OpenJPEG takes the number of tile-parts that a tile promises on trust: with one too few it drops the rest of
the picture and reports success. It also refuses a whole codestream for stray bytes behind it.
"""

from __future__ import annotations

import struct

from foveate.codec import jp2, walk
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2_boxes import pack_box_head

_COD = 0xFF52
_EOC = b"\xff\xd9"
_PROMISED_AT = 11  # of SOT's marker: TNsot (A.4.2)
_MOST_PROMISED = 255
_LAYERS_FIRST = 0  # the progression LRCP (Table A.16)


def mended(data: bytes) -> bytes:
    """The file with a codestream box of the right length, no broken box behind it, and true counts.

    Raises:
        BadCodestream: the codestream has no EOC, or lacks tiles or tile-parts that it promises.
    """
    start, end = walk.codestream_span(data)
    counts = _right_counts(data, start, end)
    if not counts and _stands_well(data, end):
        return data
    codestream = bytearray(data[start:end])
    for at, count in counts:
        codestream[at - start] = count
    return around(data, bytes(codestream))


def _right_counts(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where a tile-part says a wrong number of tile-parts, and the right one."""
    position, layers, by_layers = end, 0, False
    for segment in walk.segments(data, start, end):
        position = segment.offset
        if segment.marker == _COD and segment.end - segment.start >= 4:
            by_layers = data[segment.start + 1] == _LAYERS_FIRST
            layers = int.from_bytes(data[segment.start + 2 : segment.start + 4])
    parts: dict[int, list[walk.TilePartSpan]] = {}
    for part in walk.tile_parts(data, position, end):
        if part.problem:
            raise BadCodestream(f"the codestream ends at byte {end}, too early: {part.problem}")
        there = parts.setdefault(part.tile, [])
        if part.number != len(there) % 256:
            raise BadCodestream(
                f"tile {part.tile} lacks a tile-part: number {part.number} stands where {len(there)} should"
            )
        there.append(part)
        position = part.end
    if data[position : position + 2] != _EOC or position + 2 > end:
        raise BadCodestream(f"the codestream ends at byte {end}, too early")
    _require_tiles(data, start, len(parts))
    wrong = []
    # A file of ours has a tile-part for each layer, so that it may be cut after any.
    may_be_cut = by_layers and len({len(there) for there in parts.values()}) == 1 and _is_ours(data)
    for tile, there in parts.items():
        promised = max(part.promised for part in there)
        was_cut = may_be_cut and promised == layers > len(there)
        if promised > len(there) and not was_cut and not _has_every_packet(data[start:end], layers):
            raise BadCodestream(f"only {len(there)} of {promised} tile-parts of tile {tile} are there")
        count = len(there) if len(there) <= _MOST_PROMISED else 0
        is_wrong = promised not in (0, len(there)) and not was_cut
        if is_wrong or any(part.promised not in (0, promised) for part in there):
            wrong += [(part.offset + _PROMISED_AT, count) for part in there]
    return wrong


def _has_every_packet(codestream: bytes, layers: int) -> bool:
    """Whether nothing is missing, whatever is promised: opj_compress counts wrong with -POC and -TP."""
    from foveate.codec.packet_stream import PacketStream  # compiled code, which few files need

    try:
        return PacketStream.parse(codestream).stream.layers == layers
    except (BadCodestream, UnsupportedCodestream):
        return False


def _is_ours(data: bytes) -> bool:
    """Whether a file has our record, or is a bare codestream, which cannot say."""
    if data.startswith(walk.CODESTREAM_START):
        return True
    try:
        return jp2.read_record(data) is not None
    except BadCodestream:
        return False


def _require_tiles(data: bytes, start: int, found: int) -> None:
    """Refuses a codestream without all its tiles; OpenJPEG leaves what is missing black."""
    x1, y1, _, _, width, height, x0, y0 = struct.unpack_from(">8I", data, start + 8)
    if not width or not height:
        raise BadCodestream("the codestream's tiles have no size")
    expected = -(-(x1 - x0) // width) * -(-(y1 - y0) // height)  # B-5
    if found < expected:
        raise BadCodestream(f"only {found} of {expected} tiles are there")


def _stands_well(data: bytes, end: int) -> bool:
    """Whether the boxes agree on where the codestream ends, and are whole behind it."""
    if data.startswith(walk.CODESTREAM_START):
        return end == len(data)
    found = list(walk.file_boxes(data))
    return not found[-1].problem and any(box.kind == b"jp2c" and box.end == end for box in found)


def around(data: bytes, codestream: bytes) -> bytes:
    """A codestream in place of that of a file: with the boxes before it, and none behind."""
    if data.startswith(walk.CODESTREAM_START):
        return codestream
    before = data[: walk.codestream_span(data).start]
    at = before.rfind(b"jp2c")
    return before[: at - 4] + pack_box_head(b"jp2c", len(codestream)) + codestream
