"""Tier-2 of JPEG 2000: packets to code-block contributions and back (ISO/IEC 15444-1 B.9 and B.10).

`parse` reads packet headers alone, no arithmetic decoding: which coding passes and bytes each code-block has
in each quality layer. `emit` writes packets with any choice of them. `parse(emit(x)) == x`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import packet_loops
from foveate.codec.codestream import Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout import Layout
from foveate.codec.parameters import BYPASS, TERMALL

_MAX_CELLS = 1 << 27  # layers times blocks: 2 GB of tables
_MAX_VOLUME_VISITS = 1 << 26  # precincts that the volumes of POC are tried on, in all tiles together
_VOLUME_COST = 1 << 10  # what a volume counts for beside its tile's precincts
_FAR = 1 << 30

Bytes = NDArray[np.uint8]


def _no_cuts() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Contributions:
    """What each code-block has in each layer. Arrays over (layers, blocks), and `zero_planes` over blocks."""

    body: Bytes  # what the offsets point into
    passes: NDArray[np.uint8]
    lengths: NDArray[np.int32]  # bytes
    offsets: NDArray[np.int64]
    zero_planes: NDArray[np.uint8]  # missing most significant bit-planes; 0 where a block is never included
    header_bytes: NDArray[np.int64]  # packet headers, by layer
    # Where code-blocks are coded in several codeword segments (BYPASS and TERMALL of Table A.19), the bytes
    # of block b up to each end of a segment are cuts[first_cut[b]:first_cut[b + 1]]. Else both are empty.
    cuts: NDArray[np.int64] = dataclasses.field(default_factory=_no_cuts)
    first_cut: NDArray[np.int64] = dataclasses.field(default_factory=_no_cuts)

    @functools.cached_property
    def passes_before(self) -> NDArray[np.uint8]:
        """Passes of each block in the layers before each layer: (blocks, layers + 1)."""
        return _running_sums(self.passes, np.uint8)

    @functools.cached_property
    def bytes_before(self) -> NDArray[np.int64]:
        """Bytes of each block in the layers before each layer: (blocks, layers + 1)."""
        return _running_sums(self.lengths, np.int64)


def _running_sums(table: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Sums of (layers, blocks) over the layers before each layer, and over all: (blocks, layers + 1)."""
    sums = np.zeros((table.shape[1], len(table) + 1), dtype)
    np.cumsum(table.T, axis=1, out=sums[:, 1:])
    return sums


def parse(stream: Codestream, layout: Layout) -> Contributions:
    """Reads all packet headers of a codestream.

    Each packet is visited once, and in it each of its blocks: time and memory are bounded by the packets, of
    which `lay_out` allows at most one a byte (some 150 bytes of memory each), by the table of layers and
    blocks (2^27 cells of 13 bytes, of which empty ones are never touched), by 16 bytes for each codeword
    segment that ends (3 bits of a header at least), and by 2^26 precincts to try volumes of POC on, where a
    volume counts as 2^10 more. So the worst of all headers takes some twenty seconds and 4 GB: a picture of
    2^21 empty code-blocks in 64 layers, told in 600 bytes, was measured at 1 s and 0.6 GB.

    Raises:
      BadCodestream: malformed or cut off.
      UnsupportedCodestream: more than 164 coding passes in a code-block, or more layers, blocks or volumes
        than those bounds allow.
    """
    blocks, layers = len(layout.blocks.tile), stream.max_layers
    if layers * blocks > _MAX_CELLS:
        raise UnsupportedCodestream(f"{blocks} code-blocks in {layers} layers are too many")
    _check_volumes(stream, layout)
    body, bounds = _tile_bodies(stream, layout.tiles)
    heads, head_bounds = _joined_headers(stream)
    result = Contributions(
        body=body,
        passes=np.zeros((layers, blocks), np.uint8),
        lengths=np.zeros((layers, blocks), np.int32),
        offsets=np.zeros((layers, blocks), np.int64),
        zero_planes=np.zeros(blocks, np.uint8),
        header_bytes=np.zeros(layers, np.int64),
    )
    trees = np.zeros((2, len(layout.parents)), np.int32), np.full((2, len(layout.parents)), _FAR, np.int32)
    length_bits = np.full(blocks, 3, np.uint8)
    total, taken = np.zeros(blocks, np.int32), np.zeros(blocks, np.int64)
    cuts, cut_count = np.empty((0, 2), np.int64), 0
    for tile in range(layout.tiles):
        parameters = stream.of_tile(tile)
        packed = tile in head_bounds
        status, at, cuts, cut_count = packet_loops.parse_packets(
            layout.packets(parameters.progression, parameters.layers, tile, parameters.volumes),
            layout.precincts,
            layout.precinct_bands,
            layout.parents,
            *trees,
            length_bits,
            total,
            taken,
            layout.blocks.style,
            body,
            *bounds[tile],
            heads if packed else body,
            *head_bounds.get(tile, (0, 0)),
            packed,
            parameters.sop,
            parameters.eph,
            result.passes,
            result.lengths,
            result.offsets,
            result.zero_planes,
            result.header_bytes,
            cuts,
            cut_count,
        )
        _check_status(status, at, tile)
    if not _segmented(layout):
        return result
    order = np.argsort(cuts[:cut_count, 0], kind="stable")
    first_cut = np.searchsorted(cuts[order, 0], np.arange(blocks + 1))
    return dataclasses.replace(result, cuts=cuts[order, 1], first_cut=first_cut)


def _segmented(layout: Layout) -> bool:
    """Whether any block is coded in several codeword segments."""
    return bool((layout.blocks.style & (BYPASS | TERMALL)).any())


def _check_status(status: int, at: int, tile: int) -> None:
    if status == packet_loops.CUT_OFF:
        raise BadCodestream(f"the packets of tile {tile} are cut off")
    if status == packet_loops.BAD_HEADER:
        raise BadCodestream(f"malformed packet header near byte {at} of tile {tile}")
    if status == packet_loops.TOO_MANY_PASSES:
        raise UnsupportedCodestream(
            f"a code-block of more than {packet_loops.MAX_PASSES} coding passes near byte {at} of tile {tile}"
        )


def _check_volumes(stream: Codestream, layout: Layout) -> None:
    """Refuses what would take too long to put in order: a tile of sense has a handful of volumes."""
    volumes = np.full(layout.tiles, len(stream.volumes))
    for tile, parameters in stream.tile_parameters.items():
        volumes[tile] = len(parameters.volumes)
    precincts = np.bincount(layout.precincts.tile, minlength=layout.tiles)
    if (volumes * (precincts + _VOLUME_COST)).sum() > _MAX_VOLUME_VISITS:
        raise UnsupportedCodestream(f"{volumes.sum()} progression order changes (POC) are too many")


def _tile_bodies(stream: Codestream, tiles: int) -> tuple[Bytes, NDArray[np.int64]]:
    """The packets of all tiles, each tile's in one piece; and where those begin and end, (tiles, 2)."""
    whole = np.frombuffer(stream.data, np.uint8)
    pieces: list[list[tuple[int, int]]] = [[] for _ in range(tiles)]
    for part in stream.tile_parts:
        pieces[part.tile].append((part.start, part.end))
    if all(len(p) == 1 for p in pieces):
        return whole, np.array([p[0] for p in pieces], np.int64)
    joined = np.concatenate([whole[start:end] for parts in pieces for start, end in parts])
    joined.flags.writeable = False  # like `whole`, so that the loops are compiled for one kind of array
    sizes = [sum(end - start for start, end in parts) for parts in pieces]
    return joined, _bounds(sizes)


def _joined_headers(stream: Codestream) -> tuple[Bytes, dict[int, Sequence[int]]]:
    """What PPM or PPT hold; and where each tile's part of it begins and ends, for the tiles that have one."""
    headers = stream.packed_headers
    bounds = _bounds([len(header) for header in headers.values()])
    return np.frombuffer(b"".join(headers.values()), np.uint8), dict(
        zip(headers, bounds.tolist(), strict=True)
    )


def _bounds(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Where pieces of these sizes, joined, begin and end: (pieces, 2)."""
    ends = np.cumsum(np.array(sizes, np.int64))
    return np.stack([ends - sizes, ends], 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Packets:
    """Emitted packets; a tile's layer lies at `data[bounds[tile, layer]:bounds[tile, layer + 1]]`."""

    data: bytes
    bounds: NDArray[np.int64]  # (tiles, layers + 1)


def emit(layout: Layout, parts: Contributions, upto: NDArray[np.int32], progression: str = "LRCP") -> Packets:
    """Packets with any choice of contributions, in the code-block styles of the source.

    Args:
      layout: the geometry the contributions were parsed with.
      parts: contributions to choose from.
      upto: (output layers, blocks), non-decreasing along the first axis: output layer k holds each block's
        contributions up to, not including, this input layer.
      progression: their order; only in LRCP do the layers of a tile lie one after another, and bounds between
        them mean something.
    """
    room = int(parts.lengths.sum(dtype=np.int64)) + _header_room(layout, parts, upto)
    out = np.empty(room, np.uint8)
    end, bounds = _emit_into(layout, parts, upto, progression, out, True)
    return Packets(out[:end].tobytes(), bounds)


def emitted_size(layout: Layout, parts: Contributions, upto: NDArray[np.int32]) -> int:
    """The length of what `emit` would return, in bytes, without copying any contribution."""
    room = np.empty(_header_room(layout, parts, upto), np.uint8)
    return _emit_into(layout, parts, upto, "LRCP", room, False)[0]


def _header_room(layout: Layout, parts: Contributions, upto: NDArray[np.int32]) -> int:
    """Enough bytes for the headers of any emission: generously so many for each block, packet and segment."""
    blocks = len(layout.blocks.tile)
    packets = len(upto) * (len(layout.precincts.tile) + 1)
    return 16 * packets + (64 + 8 * len(upto)) * (blocks + 1) + 5 * len(parts.cuts)


def _emit_into(
    layout: Layout,
    parts: Contributions,
    upto: NDArray[np.int32],
    progression: str,
    out: Bytes,
    copy: bool,
) -> tuple[int, NDArray[np.int64]]:
    if _segmented(layout) and not len(parts.first_cut):
        raise ValueError("code-blocks of several codeword segments, but contributions without cuts")
    upto = np.ascontiguousarray(upto, np.int32)
    bounds = np.zeros((layout.tiles, len(upto) + 1), np.int64)
    position = 0
    trees = np.zeros((2, len(layout.parents)), np.int32), np.full((2, len(layout.parents)), _FAR, np.int32)
    known = np.zeros((2, len(layout.parents)), np.bool_)
    length_bits = np.full(len(layout.blocks.tile), 3, np.uint8)
    packet_loops.plant_trees(
        layout.precinct_bands, layout.parents, trees[1], parts.passes_before, upto, parts.zero_planes
    )
    for tile in range(layout.tiles):
        status, position = packet_loops.emit_packets(
            layout.packets(progression, len(upto), tile),
            layout.precincts,
            layout.precinct_bands,
            layout.parents,
            *trees,
            known,
            length_bits,
            layout.blocks.style,
            parts.passes_before,
            parts.bytes_before,
            upto,
            parts.body,
            parts.lengths,
            parts.offsets,
            parts.zero_planes,
            parts.cuts,
            parts.first_cut,
            out,
            position,
            copy,
            bounds[tile],
        )
        if status != packet_loops.OK:
            raise AssertionError("the output buffer of the packet writer was too small")
    return position, bounds
