"""Orders a codestream's packets and tile-parts, for progressive viewing or for reading in parts.

By layer: LRCP, a tile-part for each layer of each tile, those of the first layer first. What stands before
any layer's first tile-part is, with an end-of-codestream marker, a codestream of the layers before it.

For access: RPCL, a tile-part for each resolution of each tile, those of the coarsest first, with TLM and PLT.
Whoever wants a region or a smaller size finds the packets of that without reading others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foveate.codec import codestream, packets
from foveate.codec.codestream import Codestream, NewTilePart
from foveate.codec.layout import Layout
from foveate.codec.packets import Codewords, Layers, TilePackets

_BY_LAYER, _FOR_ACCESS = "LRCP", "RPCL"
_COARSEST, _OTHERS, _FINEST = 6, 7, 8  # log2 of the sides of precincts for access


class _Part(NamedTuple):
    """A tile-part to write: its tile, and where its packets are among the tile's."""

    tile: int
    first: int
    end: int


def arranged(
    stream: Codestream, layout: Layout, codewords: Codewords, layers: Layers, *, access: bool = False
) -> bytes:
    """Writes a codestream with these layers, ordered by layer or for access.

    Args:
      stream: where the marker segments of its headers are taken from.
      layout, codewords: its code-blocks.
      layers: what of them it holds.
      access: whether it is for reading parts of it.
    """
    emitted = packets.emit(layout, codewords, layers, _FOR_ACCESS if access else _BY_LAYER)
    count = len(layers.passes)
    if not access:
        bounds = [tile.bounds(count) for tile in emitted.tiles]
        parts = [
            NewTilePart(tile, emitted.data[bounds[tile][layer] : bounds[tile][layer + 1]])
            for layer in range(count)
            for tile in range(layout.tiles)
        ]
        return codestream.emit(stream, count, parts)
    parts = []
    for part in _by_resolution(layout, emitted.tiles):
        tile = emitted.tiles[part.tile]
        start = tile.ends[part.first - 1] if part.first else tile.start
        end = tile.ends[part.end - 1] if part.end else tile.start
        parts.append(NewTilePart(part.tile, emitted.data[start:end], tile.lengths[part.first : part.end]))
    return codestream.emit(stream, count, parts, _FOR_ACCESS)


def arranged_size(
    stream: Codestream, layout: Layout, codewords: Codewords, layers: Layers, *, access: bool = False
) -> int:
    """The length of the result of `arranged`, in bytes, without copying any codeword."""
    tiles = packets.emitted_packets(layout, codewords, layers, _FOR_ACCESS if access else _BY_LAYER)
    size = int(tiles[-1].ends[-1]) if len(tiles[-1].ends) else tiles[-1].start
    if not access:
        return size + codestream.emitted_overhead(stream, layout.tiles * len(layers.passes))
    parts = _by_resolution(layout, tiles)
    lengths = [tiles[part.tile].lengths[part.first : part.end] for part in parts]
    return size + codestream.emitted_overhead(stream, len(parts), lengths)


def _by_resolution(layout: Layout, tiles: tuple[TilePackets, ...]) -> list[_Part]:
    """Tile-parts for packets in RPCL order, the coarsest resolution of all tiles first."""
    found: list[tuple[int, _Part]] = []
    for number, tile in enumerate(tiles):
        resolution = layout.precincts.resolution[tile.sequence[:, 0]]
        if not len(resolution):  # even a tile without packets needs a tile-part
            found.append((0, _Part(number, 0, 0)))
            continue
        starts = np.flatnonzero(np.diff(resolution, prepend=-1))
        ends = np.append(starts[1:], len(resolution))
        found += [
            (int(resolution[first]), _Part(number, first, end))
            for first, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
    return [part for _, part in sorted(found, key=lambda entry: (entry[0], entry[1].tile))]


def access_precincts(
    levels: int, block_width_log2: int = 6, block_height_log2: int = 6
) -> tuple[tuple[int, int], ...]:
    """Precincts for access, coarsest resolution first: 64 x 64, then 128, and 256 in the two finest, as log2.

    In the coarser resolutions, which hold most bytes of a region, a precinct is not larger than it needs to
    be for blocks of 64; in the fine ones, which are most precincts, each byte that one takes would be felt.

    They are larger where code-blocks of these sizes would not fit: precincts must not cut blocks.
    """
    sizes = [_COARSEST, *(_OTHERS,) * max(0, levels - 2), *(_FINEST,) * min(levels, 2)]
    return tuple(
        (max(size, block_width_log2 + (number > 0)), max(size, block_height_log2 + (number > 0)))
        for number, size in enumerate(sizes)
    )
