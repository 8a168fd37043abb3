"""Converts packets to codewords and back: tier-2 of JPEG 2000 (ISO/IEC 15444-1 B.9 and B.10).

`parse` reads packet headers alone, no arithmetic decoding: how many coding passes and bytes each code-block
has up to each quality layer. `emit` writes packets with any choice of them. `parse(emit(x)) == x`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import packet_kernels
from foveate.codec.codestream import Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout import Layout
from foveate.codec.packet_kernels import Cuts, Grid, HeaderContents, Kept, TileBytes
from foveate.codec.parameters import BYPASS, TERMALL

_MAX_CELLS = 1 << 27  # layers times blocks: 2 GB of tables
_MAX_VOLUME_VISITS = 1 << 26  # precincts that the volumes of POC are tried on, in all tiles together
_VOLUME_COST = 1 << 10  # what a volume counts for beside its tile's precincts

Bytes = NDArray[np.uint8]


def _no_cuts() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Codewords:
    """The codeword of each code-block, in one piece.

    body: the bytes of all of them.
    start: (blocks,) where each begins.
    zero_planes: (blocks,) missing most significant bit-planes; 0 where a block is never included.
    cuts, first_cut: where blocks are coded in several codeword segments (BYPASS and TERMALL of Table A.19),
        the bytes of block b up to each end of a segment are cuts[first_cut[b]:first_cut[b + 1]]; else both
        are empty.
    """

    body: Bytes
    start: NDArray[np.int64]
    zero_planes: NDArray[np.uint8]
    cuts: NDArray[np.int64] = dataclasses.field(default_factory=_no_cuts)
    first_cut: NDArray[np.int64] = dataclasses.field(default_factory=_no_cuts)


class Layers(NamedTuple):
    """How much of each code-block the layers up to each one contain: tables (layers, blocks), not decreasing.

    passes: coding passes.
    sizes: bytes.
    """

    passes: NDArray[np.uint8]
    sizes: NDArray[np.int32]

    def upto(self, count: int) -> Layers:
        """The first layers."""
        return Layers(self.passes[:count], self.sizes[:count])

    def merged(self) -> Layers:
        """All of it as one layer."""
        return Layers(self.passes[-1:], self.sizes[-1:])


class Parsed(NamedTuple):
    """The contents of a codestream's packets; `header_bytes` are those of packet headers, by layer."""

    codewords: Codewords
    layers: Layers
    header_bytes: NDArray[np.int64]


def parse(stream: Codestream, layout: Layout) -> Parsed:
    """Reads all packet headers of a codestream.

    Each packet is visited once, and in it each of its blocks: time and memory are bounded by the packets, of
    which `lay_out` allows at most one per byte (some 150 bytes of memory each), by the table of layers and
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
    found = HeaderContents(
        passes=np.zeros((layers, blocks), np.uint8),
        sizes=np.zeros((layers, blocks), np.int32),
        offsets=np.zeros((layers, blocks), np.int64),
        zero_planes=np.zeros(blocks, np.uint8),
        header_bytes=np.zeros(layers, np.int64),
        length_bits=np.full(blocks, 3, np.uint8),
        total=np.zeros(blocks, np.int32),
        taken=np.zeros(blocks, np.int64),
    )
    trees = packet_kernels.new_trees(layout.parents)
    cuts = Cuts(np.empty((0, 2), np.int64), 0)
    for tile in range(layout.tiles):
        parameters = stream.of_tile(tile)
        packed = tile in head_bounds
        (start, end), (heads_start, heads_end) = bounds[tile].tolist(), head_bounds.get(tile, (0, 0))
        tile_bytes = TileBytes(
            body=body,
            start=start,
            end=end,
            heads=heads if packed else body,
            heads_start=heads_start,
            heads_end=heads_end,
            packed=packed,
            sop=parameters.sop,
            eph=parameters.eph,
        )
        sequence = layout.packets(parameters.progression, parameters.layers, tile, parameters.volumes)
        status, at, cuts = packet_kernels.parse_packets(
            sequence, _grid(layout), trees, tile_bytes, found, cuts
        )
        _check_status(status, at, tile)
    ends = np.cumsum(found.taken)
    start, joined = ends - found.taken, np.empty(int(found.taken.sum()), np.uint8)
    packet_kernels.gather(found, body, start, joined)
    np.cumsum(found.passes, axis=0, out=found.passes, dtype=np.uint8)
    np.cumsum(found.sizes, axis=0, out=found.sizes, dtype=np.int32)
    codewords = Codewords(joined, start, found.zero_planes)
    if _is_segmented(layout):
        block, size = cuts.table[: cuts.used].T
        order = np.argsort(block, kind="stable")
        first_cut = np.searchsorted(block[order], np.arange(blocks + 1))
        codewords = dataclasses.replace(codewords, cuts=size[order], first_cut=first_cut)
    return Parsed(codewords, Layers(found.passes, found.sizes), found.header_bytes)


def _grid(layout: Layout) -> Grid:
    return Grid(layout.precincts, layout.precinct_bands, layout.blocks.style)


def _is_segmented(layout: Layout) -> bool:
    """Whether any block is coded in several codeword segments."""
    return bool((layout.blocks.style & (BYPASS | TERMALL)).any())


def _check_status(status: int, at: int, tile: int) -> None:
    if status == packet_kernels.CUT_OFF:
        raise BadCodestream(f"the packets of tile {tile} are cut off")
    if status == packet_kernels.BAD_HEADER:
        raise BadCodestream(f"malformed packet header near byte {at} of tile {tile}")
    if status == packet_kernels.TOO_MANY_PASSES:
        raise UnsupportedCodestream(
            f"a code-block of over {packet_kernels.MAX_PASSES} coding passes near byte {at} of tile {tile}"
        )


def _check_volumes(stream: Codestream, layout: Layout) -> None:
    """Rejects progressions that would take too long to sort; sensible tiles have a handful of volumes."""
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
    """The contents of PPM or PPT, and where each tile's part begins and ends, for the tiles that have one."""
    headers = stream.packed_headers
    bounds = _bounds([len(header) for header in headers.values()])
    return np.frombuffer(b"".join(headers.values()), np.uint8), dict(
        zip(headers, bounds.tolist(), strict=True)
    )


def _bounds(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Where pieces of these sizes, joined, begin and end: (pieces, 2)."""
    ends = np.cumsum(np.array(sizes, np.int64))
    return np.stack([ends - sizes, ends], 1)


class TilePackets(NamedTuple):
    """The packets of a tile in order.

    sequence: (packets, 2) precinct and layer of each.
    start: where the first begins.
    ends: (packets,) where each ends.
    """

    sequence: NDArray[np.int64]
    start: int
    ends: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each packet: (packets,)."""
        return np.diff(self.ends, prepend=self.start)

    def bounds(self, layers: int) -> NDArray[np.int64]:
        """Where the first layer begins and each ends, (layers + 1,), if layers lie one after another."""
        found = np.full(layers + 1, self.start, np.int64)
        found[self.sequence[:, 1] + 1] = self.ends
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class Emitted:
    """Packets as bytes, and where each tile's are.

    In LRCP a tile's layer lies at `data[bounds[tile, layer]:bounds[tile, layer + 1]]`.
    """

    data: bytes
    tiles: tuple[TilePackets, ...]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Of each tile, where its first layer begins and each ends: (tiles, layers + 1)."""
        layers = max((int(tile.sequence[:, 1].max(initial=-1)) + 1 for tile in self.tiles), default=0)
        return np.stack([tile.bounds(layers) for tile in self.tiles])


def emit(layout: Layout, codewords: Codewords, layers: Layers, progression: str = "LRCP") -> Emitted:
    """Writes packets with a given part of each codeword, in the code-block styles of the layout.

    Args:
      layout: the geometry of the code-blocks.
      codewords: of every block, at least as long as the last layer says.
      layers: what the packets hold.
      progression: their order; only in LRCP do the layers of a tile lie one after another.
    """
    room = int(layers.sizes[-1].sum(dtype=np.int64)) + _header_room(layout, codewords, layers)
    out = np.empty(room, np.uint8)
    tiles = _emit_into(layout, codewords, layers, progression, out, True)
    return Emitted(out[: _end(tiles)].tobytes(), tiles)


def emitted_packets(
    layout: Layout, codewords: Codewords, layers: Layers, progression: str = "LRCP"
) -> tuple[TilePackets, ...]:
    """Where packets would be in the result of `emit`, without copying any codeword."""
    room = np.empty(_header_room(layout, codewords, layers), np.uint8)
    return _emit_into(layout, codewords, layers, progression, room, False)


def emitted_size(layout: Layout, codewords: Codewords, layers: Layers, progression: str = "LRCP") -> int:
    """The length of the result of `emit`, in bytes."""
    return _end(emitted_packets(layout, codewords, layers, progression))


def _end(tiles: Sequence[TilePackets]) -> int:
    return int(tiles[-1].ends[-1]) if len(tiles[-1].ends) else tiles[-1].start


def _header_room(layout: Layout, codewords: Codewords, layers: Layers) -> int:
    """An upper limit for the headers of any emission, by block, packet and segment."""
    blocks, count = len(layout.blocks.tile), len(layers.passes)
    packets = count * (len(layout.precincts.tile) + 1)
    return 16 * packets + (64 + 8 * count) * (blocks + 1) + 5 * len(codewords.cuts)


def _emit_into(
    layout: Layout, codewords: Codewords, layers: Layers, progression: str, out: Bytes, copy: bool
) -> tuple[TilePackets, ...]:
    if _is_segmented(layout) and not len(codewords.first_cut):
        raise ValueError("code-blocks of several codeword segments, but codewords without cuts")
    kept = Kept(
        np.ascontiguousarray(layers.passes, np.uint8),
        np.ascontiguousarray(layers.sizes, np.int32),
        codewords.body,
        codewords.start,
        codewords.zero_planes,
        codewords.cuts,
        codewords.first_cut,
    )
    count = len(layers.passes)
    found: list[TilePackets] = []
    position = 0
    trees = packet_kernels.new_trees(layout.parents)
    writer = packet_kernels.new_writer(out, len(layout.blocks.tile))
    packet_kernels.plant_trees(layout.precinct_bands, trees, kept)
    grid = _grid(layout)
    for tile in range(layout.tiles):
        sequence = layout.packets(progression, count, tile)
        packets = TilePackets(sequence, position, np.empty(len(sequence), np.int64))
        status, position = packet_kernels.emit_packets(
            sequence, grid, trees, kept, writer, position, copy, packets.ends
        )
        if status != packet_kernels.OK:
            raise AssertionError("the output buffer of the packet writer was too small")
        found.append(packets)
    return tuple(found)
