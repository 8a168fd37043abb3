"""Maps a codestream's blocks to a new arrangement: its headers, its geometry, and where each block goes.

Tiles, code-blocks, quantization and comments stay (those of tile-parts in the first one of their tile);
precincts change where the new ones cut no block. What the source says of profiles (Rsiz, PRF) is left out:
it is about how packets and precincts lie.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream
from foveate.codec.arrangement import access_precincts
from foveate.codec.codestream import COC, COD, Codestream
from foveate.codec.errors import BadCodestream
from foveate.codec.layout import Blocks, Layout, lay_out_at_most
from foveate.codec.packet_stream import PacketStream
from foveate.codec.packets import Codewords, Layers
from foveate.codec.parameters import PREDTERM, parse_parameters


def laid_out_anew(source: PacketStream, access: bool) -> tuple[Codestream, Layout, NDArray[np.int64]]:
    """The headers and layout of the new codestream, and which source block each of its blocks is."""
    segments = [_without_promises(segment) for segment in source.stream.header_segments]
    segments[0] = segments[0][:4] + bytes(2) + segments[0][6:]  # Rsiz
    own = {
        tile: tuple(_without_promises(segment) for segment in found)
        for tile, found in source.stream.tile_segments.items()
    }
    stream = _of_segments(source.stream, segments, own)
    blocks = source.layout.blocks
    if access:
        count = len(stream.size.components)
        changed = _of_segments(
            source.stream,
            [_with_precincts(segment, count) for segment in segments],
            {tile: tuple(_with_precincts(s, count) for s in found) for tile, found in own.items()},
        )
        layout = lay_out_at_most(changed, 1 << 40)
        order = _matching(blocks, layout.blocks)
        if order is not None:
            return changed, layout, order
    # Precincts of the source cut its blocks: others would make other blocks.
    layout = lay_out_at_most(stream, 1 << 40)
    order = _matching(blocks, layout.blocks)
    if order is None:
        raise AssertionError("the same headers give other blocks")
    return stream, layout, order


def _of_segments(stream: Codestream, segments: list[bytes], own: dict[int, tuple[bytes, ...]]) -> Codestream:
    """The same picture with other marker segments, and no packets."""
    main = codestream.of_header(segments)
    count = len(main.size.components)
    parsed = {tile: [(int.from_bytes(s[:2]), s[4:]) for s in found] for tile, found in own.items()}
    parameters = {
        tile: dataclasses.replace(parse_parameters(found, count, main), volumes=())
        for tile, found in parsed.items()
    }
    tiles = own.keys() | stream.tile_notes.keys()
    return Codestream(
        **vars(main)
        | {
            "header_segments": (*segments, *stream.notes),
            "tile_parameters": parameters,
            "tile_segments": {tile: (*own.get(tile, ()), *stream.tile_notes.get(tile, ())) for tile in tiles},
            "size": stream.size,
        }
    )


def _style_at(segment: bytes, components: int) -> int | None:
    """Where COD and COC begin to describe levels, code-blocks and precincts; None for other segments."""
    marker = int.from_bytes(segment[:2])
    if marker == COD:
        return 9
    if marker == COC:
        return 4 + (1 if components <= 256 else 2) + 1
    return None


def _without_promises(segment: bytes) -> bytes:
    """COD without the promise that codewords end predictably (D.4.2), which truncated ones do not."""
    marker = int.from_bytes(segment[:2])
    if marker not in (COD, COC):
        return segment
    at = 12 if marker == COD else _coc_style(segment)
    return segment[:at] + bytes([segment[at] & ~PREDTERM]) + segment[at + 1 :]


def _coc_style(segment: bytes) -> int:
    """Where the code-block style is in COC: its component's number takes one or two bytes."""
    length = int.from_bytes(segment[2:4])
    for number in (1, 2):
        at = 4 + number + 1
        levels = segment[at]
        precincts = levels + 1 if segment[at - 1] & 1 else 0
        if 2 + number + 1 + 5 + precincts == length:
            return at + 3
    raise BadCodestream("COC has an impossible length")


def _with_precincts(segment: bytes, components: int) -> bytes:
    """COD or COC with precincts for access."""
    at = _style_at(segment, components)
    if at is None:
        return segment
    levels, width, height = segment[at], (segment[at + 1] & 15) + 2, (segment[at + 2] & 15) + 2
    sizes = access_precincts(levels, width, height)
    flags = 4 if int.from_bytes(segment[:2]) == COD else at - 1
    head = segment[:flags] + bytes([segment[flags] | 1]) + segment[flags + 1 : at + 5]
    found = head + bytes(across | down << 4 for across, down in sizes)
    return found[:2] + (len(found) - 2).to_bytes(2) + found[4:]


def _matching(source: Blocks, wanted: Blocks) -> NDArray[np.int64] | None:
    """Which source block each of the other blocks is; None if they are not the same blocks."""

    def keys(blocks: Blocks) -> NDArray[np.int64]:
        place = [blocks.tile, blocks.component, blocks.resolution, blocks.band]
        return np.concatenate([np.stack(place, 1), blocks.box], 1)

    ours, theirs = keys(source), keys(wanted)
    if ours.shape != theirs.shape:
        return None
    first, second = np.lexsort(ours.T[::-1]), np.lexsort(theirs.T[::-1])
    if not np.array_equal(ours[first], theirs[second]):
        return None
    order = np.empty(len(first), np.int64)
    order[second] = first
    return order


def in_order(source: PacketStream, order: NDArray[np.int64]) -> tuple[Codewords, Layers]:
    """The codewords and layers of blocks in another order."""
    c = source.codewords
    cuts, first_cut = c.cuts, c.first_cut
    if len(first_cut):
        counts = np.diff(first_cut)[order]
        ends = counts.cumsum()
        index = np.repeat(first_cut[:-1][order] - (ends - counts), counts) + np.arange(int(ends[-1]))
        cuts, first_cut = c.cuts[index], np.append(0, ends)
    codewords = Codewords(c.body, c.start[order], c.zero_planes[order], cuts, first_cut)
    passes, sizes = source.layers
    return codewords, Layers(np.ascontiguousarray(passes[:, order]), np.ascontiguousarray(sizes[:, order]))
