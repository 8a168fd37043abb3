"""Tier-2 of JPEG 2000: packets to code-block contributions and back (ISO/IEC 15444-1 B.9 and B.10).

`parse` reads packet headers alone, no arithmetic decoding: which coding passes and bytes each code-block has
in each quality layer. `emit` writes packets with any choice of them. `parse(emit(x)) == x`.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.codestream import Codestream
from codec.compiled import compiled
from codec.errors import BadCodestream, UnsupportedCodestream
from codec.layout import Layout

# Code-block styles that cut a contribution into several segments, each with a length of its own (A.19).
_SEGMENTED_STYLES = {1: "selective arithmetic coding bypass", 4: "termination on each coding pass"}
_MAX_PLANES = 82  # 38 bits, 7 guard bits, and what wavelet and colour transform can add
_MAX_PASSES = 164  # of one code-block in one packet (Table B.4), and so in all of them once merged
_MAX_CELLS = 1 << 27  # layers times blocks: 2 GB of tables
_FAR = 1 << 30
_OK, _CUT_OFF, _BAD_HEADER, _NO_ROOM = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True, eq=False)
class Contributions:
    """What each code-block has in each layer. Arrays over (layers, blocks), and `zero_planes` over blocks."""

    body: NDArray[np.uint8]  # what the offsets point into
    passes: NDArray[np.uint8]
    lengths: NDArray[np.int32]  # bytes
    offsets: NDArray[np.int64]
    zero_planes: NDArray[np.uint8]  # missing most significant bit-planes; 0 where a block is never included
    header_bytes: NDArray[np.int64]  # packet headers, by layer

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

    Raises:
      BadCodestream: malformed or cut off.
      UnsupportedCodestream: a code-block style that splits contributions, or more of them than memory holds.
    """
    for coding in stream.coding:
        for style, name in _SEGMENTED_STYLES.items():
            if coding.block_style & style:
                raise UnsupportedCodestream(f"code-block style: {name}")
    body, bounds = _tile_bodies(stream, layout.tiles)
    blocks = len(layout.blocks.tile)
    shape = (stream.layers, blocks)
    if stream.layers * blocks > _MAX_CELLS:
        raise UnsupportedCodestream(f"{blocks} code-blocks in {stream.layers} layers are too many")
    result = Contributions(
        body=body,
        passes=np.zeros(shape, np.uint8),
        lengths=np.zeros(shape, np.int32),
        offsets=np.zeros(shape, np.int64),
        zero_planes=np.zeros(blocks, np.uint8),
        header_bytes=np.zeros(stream.layers, np.int64),
    )
    trees = np.zeros((2, len(layout.parents)), np.int32), np.full((2, len(layout.parents)), _FAR, np.int32)
    length_bits = np.full(blocks, 3, np.uint8)
    total = np.zeros(blocks, np.int32)
    for tile in range(layout.tiles):
        sequence = layout.packets(stream.progression, stream.layers, tile)
        status, at = _parse_packets(
            sequence,
            layout.precincts,
            layout.precinct_bands,
            layout.parents,
            *trees,
            length_bits,
            total,
            result.body,
            *bounds[tile],
            stream.sop,
            stream.eph,
            result.passes,
            result.lengths,
            result.offsets,
            result.zero_planes,
            result.header_bytes,
        )
        if status == _CUT_OFF:
            raise BadCodestream(f"the packets of tile {tile} are cut off")
        if status == _BAD_HEADER:
            raise BadCodestream(f"malformed packet header near byte {at} of tile {tile}")
    return result


def _tile_bodies(stream: Codestream, tiles: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The packets of all tiles, each tile's in one piece; and where those begin and end, (tiles, 2)."""
    whole = np.frombuffer(stream.data, np.uint8)
    pieces: list[list[tuple[int, int]]] = [[] for _ in range(tiles)]
    for part in stream.tile_parts:
        pieces[part.tile].append((part.start, part.end))
    if all(len(p) == 1 for p in pieces):
        return whole, np.array([p[0] for p in pieces], np.int64)
    arrays, bounds, position = [], np.zeros((tiles, 2), np.int64), 0
    for tile, parts in enumerate(pieces):
        bounds[tile, 0] = position
        for start, end in parts:
            arrays.append(whole[start:end])
            position += end - start
        bounds[tile, 1] = position
    joined = np.concatenate(arrays)
    joined.flags.writeable = False  # like `whole`, so that the loops are compiled for one kind of array
    return joined, bounds


@dataclasses.dataclass(frozen=True, eq=False)
class Packets:
    """Emitted packets; a tile's layer lies at `data[bounds[tile, layer]:bounds[tile, layer + 1]]`."""

    data: bytes
    bounds: NDArray[np.int64]  # (tiles, layers + 1)


def emit(layout: Layout, parts: Contributions, upto: NDArray[np.int32]) -> Packets:
    """Packets in LRCP order.

    Args:
      layout: the geometry the contributions were parsed with.
      parts: contributions to choose from.
      upto: (output layers, blocks), non-decreasing along the first axis: output layer k holds each block's
        contributions up to, not including, this input layer.
    """
    room = int(parts.lengths.sum(dtype=np.int64)) + _header_room(layout, upto)
    out = np.empty(room, np.uint8)
    end, bounds = _emit_into(layout, parts, upto, out, True)
    return Packets(out[:end].tobytes(), bounds)


def emitted_size(layout: Layout, parts: Contributions, upto: NDArray[np.int32]) -> int:
    """The length of what `emit` would return, in bytes, without copying any contribution."""
    return _emit_into(layout, parts, upto, np.empty(_header_room(layout, upto), np.uint8), False)[0]


def _header_room(layout: Layout, upto: NDArray[np.int32]) -> int:
    """Enough bytes for the headers of any emission: generously so many for each block and packet."""
    blocks = len(layout.blocks.tile)
    packets = len(upto) * (len(layout.precincts.tile) + 1)
    return 16 * packets + (32 + 8 * len(upto)) * (blocks + 1)


def _emit_into(
    layout: Layout, parts: Contributions, upto: NDArray[np.int32], out: NDArray[np.uint8], copy: bool
) -> tuple[int, NDArray[np.int64]]:
    upto = np.ascontiguousarray(upto, np.int32)
    bounds = np.zeros((layout.tiles, len(upto) + 1), np.int64)
    position = 0
    trees = np.zeros((2, len(layout.parents)), np.int32), np.full((2, len(layout.parents)), _FAR, np.int32)
    known = np.zeros((2, len(layout.parents)), np.bool_)
    length_bits = np.full(len(layout.blocks.tile), 3, np.uint8)
    _plant_trees(
        layout.precinct_bands, layout.parents, trees[1], parts.passes_before, upto, parts.zero_planes
    )
    for tile in range(layout.tiles):
        status, position = _emit_packets(
            layout.packets("LRCP", len(upto), tile),
            layout.precincts,
            layout.precinct_bands,
            layout.parents,
            *trees,
            known,
            length_bits,
            parts.passes_before,
            parts.bytes_before,
            upto,
            parts.body,
            parts.lengths,
            parts.offsets,
            parts.zero_planes,
            out,
            position,
            copy,
            bounds[tile],
        )
        if status != _OK:
            raise AssertionError("the output buffer of the packet writer was too small")
    return position, bounds


# Compiled loops. Bit readers and writers keep their state in a small array:
# [position, current byte, bits left in it, error]; after a byte 0xFF only seven bits follow (B.10.1).


@compiled
def _read_bit(data, state, end):  # type: ignore[no-untyped-def]
    if state[2] == 0:
        if state[0] >= end:
            state[3] = _CUT_OFF
            return 0
        state[2] = 7 if state[1] == 0xFF else 8
        state[1] = data[state[0]]
        state[0] += 1
    state[2] -= 1
    return (state[1] >> state[2]) & 1


@compiled
def _read_bits(data, state, end, count):  # type: ignore[no-untyped-def]
    value = 0
    for _ in range(count):
        value = value << 1 | _read_bit(data, state, end)
    return value


@compiled
def _decode_tag(data, state, end, parents, low, value, leaf, threshold, path):  # type: ignore[no-untyped-def]
    """True when the leaf's value is below the threshold (B.10.2)."""
    depth = 0
    node = leaf
    while node >= 0:
        path[depth] = node
        depth += 1
        node = parents[node]
    bound = 0
    while depth > 0:
        depth -= 1
        node = path[depth]
        bound = max(bound, low[node])
        while bound < threshold and bound < value[node]:
            if _read_bit(data, state, end):
                value[node] = bound
            elif state[3]:
                return False
            else:
                bound += 1
        low[node] = bound
    return value[leaf] < threshold


@compiled
def _read_pass_count(data, state, end):  # type: ignore[no-untyped-def]
    """Table B.4."""
    if not _read_bit(data, state, end):
        return 1
    if not _read_bit(data, state, end):
        return 2
    bits = _read_bits(data, state, end, 2)
    if bits < 3:
        return 3 + bits
    bits = _read_bits(data, state, end, 5)
    if bits < 31:
        return 6 + bits
    return 37 + _read_bits(data, state, end, 7)


@compiled
def _floor_log2(value):  # type: ignore[no-untyped-def]
    result = 0
    while value > 1:
        value >>= 1
        result += 1
    return result


@compiled
def _parse_packets(  # type: ignore[no-untyped-def]
    sequence, precincts, bands, parents, low, value, length_bits, total, data, start, end, sop, eph,
    passes, lengths, offsets, zero_planes, header_bytes,
):  # fmt: skip
    state = np.zeros(4, np.int64)
    path = np.zeros(64, np.int64)
    position = start
    for packet in range(len(sequence)):
        precinct, layer = sequence[packet, 0], sequence[packet, 1]
        if sop and position + 6 <= end and data[position] == 0xFF and data[position + 1] == 0x91:
            position += 6
        header_start = position
        state[0], state[1], state[2] = position, 0, 0
        filled = _read_bit(data, state, end)
        first = precincts.first_band[precinct]
        last = first + precincts.bands[precinct]
        if filled:
            for band in range(first, last):
                for i in range(bands.across[band] * bands.down[band]):
                    block = bands.first_block[band] + i
                    leaf = bands.first_node[band] + i
                    if total[block]:
                        here = _read_bit(data, state, end) == 1
                    else:
                        here = _decode_tag(data, state, end, parents, low[0], value[0], leaf, layer + 1, path)
                    if state[3]:
                        return state[3], position - start
                    if not here:
                        continue
                    if not total[block]:
                        planes = 0
                        while not _decode_tag(
                            data, state, end, parents, low[1], value[1], leaf, planes + 1, path
                        ):
                            planes += 1
                            if state[3] or planes > _MAX_PLANES:
                                return _BAD_HEADER, position - start
                        zero_planes[block] = planes
                    count = _read_pass_count(data, state, end)
                    while _read_bit(data, state, end):
                        length_bits[block] += 1
                        if length_bits[block] > 31:
                            return _BAD_HEADER, position - start
                    bits = length_bits[block] + _floor_log2(count)
                    if bits > 31:
                        return _BAD_HEADER, position - start
                    total[block] += count
                    if total[block] > _MAX_PASSES:
                        return _BAD_HEADER, position - start
                    passes[layer, block] = count
                    lengths[layer, block] = _read_bits(data, state, end, bits)
        if state[1] == 0xFF:
            state[0] += 1  # a header never ends in 0xFF: one stuffed byte follows
        position = state[0]
        if state[3] or position > end:
            return _CUT_OFF, position - start
        if eph and position + 2 <= end and data[position] == 0xFF and data[position + 1] == 0x92:
            position += 2
        header_bytes[layer] += position - header_start
        if filled:
            for band in range(first, last):
                for i in range(bands.across[band] * bands.down[band]):
                    block = bands.first_block[band] + i
                    if passes[layer, block]:
                        offsets[layer, block] = position
                        position += lengths[layer, block]
                        if position > end:
                            return _CUT_OFF, position - start
    return _OK, position - start


@compiled
def _write_bit(out, state, bit):  # type: ignore[no-untyped-def]
    """state: [position, current byte, bits free in it, unused]."""
    state[2] -= 1
    state[1] |= bit << state[2]
    if state[2] == 0:
        out[state[0]] = state[1]
        state[0] += 1
        state[2] = 7 if state[1] == 0xFF else 8
        state[1] = 0


@compiled
def _write_bits(out, state, value, count):  # type: ignore[no-untyped-def]
    for i in range(count - 1, -1, -1):
        _write_bit(out, state, (value >> i) & 1)


@compiled
def _finish_header(out, state):  # type: ignore[no-untyped-def]
    """Aligns to a byte; a header that ends in 0xFF gets one zero byte more."""
    after_ff = state[0] > 0 and state[2] == 7 and out[state[0] - 1] == 0xFF and state[3] < state[0]
    if state[2] < 8 and not (state[2] == 7 and after_ff):
        out[state[0]] = state[1]
        state[0] += 1
        if state[1] == 0xFF:
            out[state[0]] = 0
            state[0] += 1
    elif after_ff:
        out[state[0]] = 0
        state[0] += 1


@compiled
def _write_pass_count(out, state, count):  # type: ignore[no-untyped-def]
    """Table B.4."""
    if count == 1:
        _write_bit(out, state, 0)
    elif count == 2:
        _write_bits(out, state, 2, 2)
    elif count <= 5:
        _write_bits(out, state, 0xC | (count - 3), 4)
    elif count <= 36:
        _write_bits(out, state, 0x1E0 | (count - 6), 9)
    else:
        _write_bits(out, state, 0xFF80 | (count - 37), 16)


@compiled
def _encode_tag(out, state, parents, low, value, known, leaf, threshold, path):  # type: ignore[no-untyped-def]
    depth = 0
    node = leaf
    while node >= 0:
        path[depth] = node
        depth += 1
        node = parents[node]
    bound = 0
    while depth > 0:
        depth -= 1
        node = path[depth]
        bound = max(bound, low[node])
        while bound < threshold:
            if bound >= value[node]:
                if not known[node]:
                    _write_bit(out, state, 1)
                    known[node] = True
                break
            _write_bit(out, state, 0)
            bound += 1
        low[node] = bound


@compiled
def _plant_trees(bands, parents, value, passes_before, upto, zero_planes):  # type: ignore[no-untyped-def]
    """Fills the trees with first output layers and with zero bit-planes; inner nodes hold minima."""
    for band in range(len(bands.first_block)):
        for i in range(bands.across[band] * bands.down[band]):
            block = bands.first_block[band] + i
            for layer in range(len(upto)):
                if passes_before[block, upto[layer, block]] > 0:
                    for tree in range(2):
                        node = bands.first_node[band] + i
                        leaf_value = layer if tree == 0 else zero_planes[block]
                        while node >= 0 and value[tree, node] > leaf_value:
                            value[tree, node] = leaf_value
                            node = parents[node]
                    break


@compiled
def _emit_packets(  # type: ignore[no-untyped-def]
    sequence, precincts, bands, parents, low, value, known, length_bits, passes_before, bytes_before, upto,
    data, lengths, offsets, zero_planes, out, position, copy, bounds,
):  # fmt: skip
    state = np.zeros(4, np.int64)
    path = np.zeros(64, np.int64)
    bounds[0] = position
    for packet in range(len(sequence)):
        precinct, layer = sequence[packet, 0], sequence[packet, 1]
        first = precincts.first_band[precinct]
        last = first + precincts.bands[precinct]
        filled = False
        for band in range(first, last):
            for i in range(bands.across[band] * bands.down[band]):
                block = bands.first_block[band] + i
                before = upto[layer - 1, block] if layer else 0
                if passes_before[block, upto[layer, block]] > passes_before[block, before]:
                    filled = True
        at = position if copy else 0
        if at + 16 > len(out):
            return _NO_ROOM, position
        state[0], state[1], state[2], state[3] = at, 0, 8, at
        if not filled:
            _write_bit(out, state, 0)
            _finish_header(out, state)
            position += state[0] - at
            bounds[layer + 1] = position
            continue
        _write_bit(out, state, 1)
        for band in range(first, last):
            for i in range(bands.across[band] * bands.down[band]):
                block = bands.first_block[band] + i
                leaf = bands.first_node[band] + i
                before = upto[layer - 1, block] if layer else 0
                after = upto[layer, block]
                count = np.int64(passes_before[block, after]) - np.int64(passes_before[block, before])
                if passes_before[block, before] > 0:
                    _write_bit(out, state, 1 if count else 0)
                else:
                    _encode_tag(out, state, parents, low[0], value[0], known[0], leaf, layer + 1, path)
                if count == 0:
                    continue
                if passes_before[block, before] == 0:
                    _encode_tag(
                        out, state, parents, low[1], value[1], known[1], leaf, zero_planes[block] + 1, path
                    )
                length = bytes_before[block, after] - bytes_before[block, before]
                _write_pass_count(out, state, count)
                spare = _floor_log2(count)
                while length >> (length_bits[block] + spare):
                    _write_bit(out, state, 1)
                    length_bits[block] += 1
                _write_bit(out, state, 0)
                _write_bits(out, state, length, length_bits[block] + spare)
        _finish_header(out, state)
        position += state[0] - at
        for band in range(first, last):
            for i in range(bands.across[band] * bands.down[band]):
                block = bands.first_block[band] + i
                before = upto[layer - 1, block] if layer else 0
                if not copy:
                    position += bytes_before[block, upto[layer, block]] - bytes_before[block, before]
                    continue
                for k in range(before, upto[layer, block]):
                    n = lengths[k, block]
                    out[position : position + n] = data[offsets[k, block] : offsets[k, block] + n]
                    position += n
        bounds[layer + 1] = position
    return _OK, position
