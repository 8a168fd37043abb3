"""Compiled loops of `codec.packets`, which read and write bits, tag trees and packets (B.10).

All in one file (hence its length), since compiled code that is kept on disk is renewed only when its own file
changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec.layout import PrecinctBands, Precincts
from foveate.codec.parameters import BYPASS, TERMALL
from foveate.compiled import compiled

OK, CUT_OFF, BAD_HEADER, TOO_MANY_PASSES, NO_ROOM = range(5)
MAX_PASSES = 164  # of one code-block in one packet (Table B.4), and so in all of them once merged
_MAX_PLANES = 255
_SEGMENTED = BYPASS | TERMALL  # code-block styles that cut a contribution into several segments
_FIRST_RAW_PASS = 10
_NEVER = 1 << 30  # in a tag tree of first layers


class TagTree(NamedTuple):
    """Both tag trees of all precinct bands, a node after the other (B.10.2).

    parents: of each node, -1 at a root; the same for both.
    low: (2, nodes) what each node's value is known to reach; first layers, then zero bit-planes.
    value: (2, nodes) its value, as far as it is known to a reader.
    known: (2, nodes) whether a reader has been told it exactly.
    path: room for the nodes from a leaf to its root.
    """

    parents: NDArray[np.int64]
    low: NDArray[np.int32]
    value: NDArray[np.int32]
    known: NDArray[np.bool_]
    path: NDArray[np.int64]


def new_trees(parents: NDArray[np.int64]) -> TagTree:
    """Trees of which nothing is known."""
    shape = (2, len(parents))
    return TagTree(
        parents,
        low=np.zeros(shape, np.int32),
        value=np.full(shape, _NEVER, np.int32),
        known=np.zeros(shape, np.bool_),
        path=np.zeros(64, np.int64),
    )


class Grid(NamedTuple):
    """Where code-blocks are, as packets see them."""

    precincts: Precincts
    bands: PrecinctBands
    style: NDArray[np.int32]  # of each block (Table A.19)


class TileBytes(NamedTuple):
    """The bytes of one tile's packets, and of their headers where these stand elsewhere (PPM, PPT)."""

    body: NDArray[np.uint8]
    start: int
    end: int
    heads: NDArray[np.uint8]
    heads_start: int
    heads_end: int
    packed: bool
    sop: bool
    eph: bool


class HeaderContents(NamedTuple):
    """The contents of packet headers. Tables are (layers, blocks).

    passes, sizes: of each contribution, in bytes.
    offsets: where its bytes are.
    zero_planes: missing most significant bit-planes of each block.
    header_bytes: of each layer.
    length_bits, total, taken: of each block, while reading: Lblock, passes and bytes so far.
    """

    passes: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    zero_planes: NDArray[np.uint8]
    header_bytes: NDArray[np.int64]
    length_bits: NDArray[np.uint8]
    total: NDArray[np.int32]
    taken: NDArray[np.int64]


class Kept(NamedTuple):
    """The parts of each block to write. Tables are (layers, blocks), and count from the block's beginning.

    passes, sizes: passes and bytes up to each layer's end.
    body, start: codewords, and where each block's begins.
    zero_planes: as in `HeaderContents`.
    cuts, first_cut: as in `codec.packets.Codewords`.
    """

    passes: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    body: NDArray[np.uint8]
    start: NDArray[np.int64]
    zero_planes: NDArray[np.uint8]
    cuts: NDArray[np.int64]
    first_cut: NDArray[np.int64]


class Cuts(NamedTuple):
    """A list of (block, its bytes) wherever a codeword segment ends: `used` rows of a table that grows."""

    table: NDArray[np.int64]
    used: int


class Writer(NamedTuple):
    """Where packets are written.

    out: their bytes.
    state: of the bit writer.
    length_bits: Lblock of each block.
    runs: room for the codeword segments of one contribution: passes, bytes.
    """

    out: NDArray[np.uint8]
    state: NDArray[np.int64]
    length_bits: NDArray[np.uint8]
    runs: NDArray[np.int64]


def new_writer(out: NDArray[np.uint8], blocks: int) -> Writer:
    """A writer of packets of so many blocks, at the beginning of `out`."""
    return Writer(
        out,
        state=np.zeros(4, np.int64),
        length_bits=np.full(blocks, 3, np.uint8),
        runs=np.zeros((MAX_PASSES + 92, 2), np.int64),
    )


class _Place(NamedTuple):
    """A block as a packet comes by: its number, its leaf in the tag trees, the packet's layer."""

    block: int
    leaf: int
    layer: int


# Bit readers and writers keep their state in a small array:
# [position, current byte, bits left in it, error]; after a byte 0xFF only seven bits follow (B.10.1).


@compiled
def _read_bit(data, state, end):  # type: ignore[no-untyped-def]
    at, byte, left, error = state
    if left == 0:
        if at >= end:
            return 0, (at, byte, left, CUT_OFF)
        left = 7 if byte == 0xFF else 8
        byte = np.int64(data[at])
        at += 1
    left -= 1
    return (byte >> left) & 1, (at, byte, left, error)


@compiled
def _read_bits(data, state, end, count):  # type: ignore[no-untyped-def]
    value = 0
    for _ in range(count):
        bit, state = _read_bit(data, state, end)
        value = value << 1 | bit
    return value, state


@compiled
def _is_known(parents, low, leaf, threshold):  # type: ignore[no-untyped-def]
    """Whether a leaf of a tag tree is known to reach a threshold: no bit says so again."""
    while leaf >= 0 and low[leaf] < threshold:
        leaf = parents[leaf]
    return leaf >= 0


@compiled
def _climb(parents, leaf, path):  # type: ignore[no-untyped-def]
    """Fills `path` with the nodes from a leaf of a tag tree to its root, and returns how many these are."""
    depth = 0
    while leaf >= 0:
        path[depth] = leaf
        depth += 1
        leaf = parents[leaf]
    return depth


@compiled
def _decode_tag(data, state, end, trees, tree, leaf, threshold):  # type: ignore[no-untyped-def]
    """Whether the leaf's value is below the threshold (B.10.2), and the reader's state."""
    low, value, path = trees.low[tree], trees.value[tree], trees.path
    depth = _climb(trees.parents, leaf, path)
    bound = 0
    while depth > 0:
        depth -= 1
        node = path[depth]
        bound = max(bound, low[node])
        while bound < threshold and bound < value[node]:
            bit, state = _read_bit(data, state, end)
            if bit:
                value[node] = bound
            elif state[3]:
                return False, state
            else:
                bound += 1
        low[node] = bound
    return value[leaf] < threshold, state


@compiled
def _read_pass_count(data, state, end):  # type: ignore[no-untyped-def]
    """Table B.4."""
    bit, state = _read_bit(data, state, end)
    if not bit:
        return 1, state
    bit, state = _read_bit(data, state, end)
    if not bit:
        return 2, state
    bits, state = _read_bits(data, state, end, 2)
    if bits < 3:
        return 3 + bits, state
    bits, state = _read_bits(data, state, end, 5)
    if bits < 31:
        return 6 + bits, state
    bits, state = _read_bits(data, state, end, 7)
    return 37 + bits, state


@compiled
def _floor_log2(value):  # type: ignore[no-untyped-def]
    result = 0
    while value > 1:
        value >>= 1
        result += 1
    return result


@compiled
def _run(style, first, count):  # type: ignore[no-untyped-def]
    """How many of `count` passes, the first being number `first` of its block, lie in one codeword segment.

    A segment ends with every pass (TERMALL), or with the tenth and then with each second and third pass of a
    bit-plane (BYPASS; Table D.9), or not before the block does.
    """
    if style & TERMALL:
        return 1
    if style & BYPASS:
        if first < _FIRST_RAW_PASS:
            return min(count, _FIRST_RAW_PASS - first)
        return min(count, 2 if first % 3 == 1 else 1)
    return count


@compiled
def _ends(style, passes):  # type: ignore[no-untyped-def]
    """How many codeword segments have ended after so many passes, the block's end left aside."""
    if style & TERMALL:
        return passes
    if passes < _FIRST_RAW_PASS:
        return 0
    since = passes - _FIRST_RAW_PASS + 1
    return since // 3 * 2 + (1 if since % 3 else 0)


@compiled
def _with_cut(cuts, block, size):  # type: ignore[no-untyped-def]
    """The cuts with one more, in twice the room where there is none."""
    table, count = cuts.table, cuts.used
    if count == len(table):
        grown = np.empty((2 * count + 64, 2), np.int64)
        grown[:count] = table
        table = grown
    table[count, 0], table[count, 1] = block, size
    return Cuts(table, count + 1)


@compiled
def parse_packets(sequence, grid, trees, tile, found, cuts):  # type: ignore[no-untyped-def]
    """Reads the packets of a tile, and enters in `found` what their headers say.

    Returns a status, where it stopped, and the cuts with those of these packets.
    """
    # Taken out of their tuples once: in the loops that would count references each time.
    first_band, band_count, first_block = (
        grid.precincts.first_band,
        grid.precincts.bands,
        grid.bands.first_block,
    )
    across, down, body = grid.bands.across, grid.bands.down, tile.body
    passes, sizes, offsets = found.passes, found.sizes, found.offsets
    position, end = np.int64(tile.start), np.int64(tile.end)
    head, heads_end = np.int64(tile.heads_start), np.int64(tile.heads_end)
    for number in range(len(sequence)):
        precinct, layer = sequence[number, 0], sequence[number, 1]
        if tile.sop and position + 6 <= end and body[position] == 0xFF and body[position + 1] == 0x91:
            position += 6
        if not tile.packed:
            head, heads_end = position, end
        first, last = first_band[precinct], first_band[precinct] + band_count[precinct]
        packet, span = (layer, first, last), (head, heads_end, end - position)
        status, filled, after, cuts = _parse_header(packet, span, grid, trees, tile, found, cuts)
        if status != OK:
            return status, position - tile.start, cuts
        found.header_bytes[layer] += after - head
        head = after
        if not tile.packed:
            position = after
        if not filled:
            continue
        for band in range(first, last):
            for i in range(across[band] * down[band]):
                block = first_block[band] + i
                if passes[layer, block]:
                    offsets[layer, block] = position
                    position += sizes[layer, block]
                    if position > end:
                        return CUT_OFF, position - tile.start, cuts
    return OK, position - tile.start, cuts


@compiled
def _parse_header(packet, span, grid, trees, tile, found, cuts):  # type: ignore[no-untyped-def]
    """Reads the header of one packet: a status, whether it has any contribution, where it ends, and the cuts.

    Args:
      packet: its layer, its first precinct band, and the first that is no longer its own.
      span: where the header begins, where headers end, and the bytes that are left for contributions.
      grid, trees, tile, found, cuts: as `parse_packets` takes them.
    """
    layer, first, last = packet
    head, heads_end, room = span
    heads = tile.heads
    first_block, first_node = grid.bands.first_block, grid.bands.first_node
    across, down = grid.bands.across, grid.bands.down
    filled, state = _read_bit(heads, (head, np.int64(0), np.int64(0), OK), heads_end)
    if filled:
        for band in range(first, last):
            for i in range(across[band] * down[band]):
                place = _Place(first_block[band] + i, first_node[band] + i, layer)
                style = grid.style[place.block]
                status, state, cuts = _parse_block(
                    place, style, room, state, (heads, heads_end), trees, found, cuts
                )
                if status != OK:
                    return status, filled, head, cuts
    head = state[0]
    if state[1] == 0xFF:
        head += 1  # a header never ends in 0xFF: one stuffed byte follows
    if state[3] or head > heads_end:
        return CUT_OFF, filled, head, cuts
    if tile.eph and head + 2 <= heads_end and heads[head] == 0xFF and heads[head + 1] == 0x92:
        head += 2
    return OK, filled, head, cuts


@compiled
def _parse_block(place, style, room, state, headers, trees, found, cuts):  # type: ignore[no-untyped-def]
    """Reads a packet header's entry for one block: a status, the reader's state after it, and the cuts.

    Args:
      place: the block.
      style: its code-block style (Table A.19).
      room: the bytes that are left for its contribution.
      state: of the bit reader.
      headers: the bytes that it reads, and where they end.
      trees, found, cuts: as `parse_packets` takes them.
    """
    block, leaf, layer = place
    heads, heads_end = headers
    total, length_bits = found.total, found.length_bits
    if total[block]:
        bit, state = _read_bit(heads, state, heads_end)
        here = bit == 1
    elif _is_known(trees.parents, trees.low[0], leaf, layer + 1):
        return OK, state, cuts
    else:
        here, state = _decode_tag(heads, state, heads_end, trees, 0, leaf, layer + 1)
    if state[3] or not here:
        return state[3], state, cuts
    if not total[block]:
        planes, below = 0, False
        while not below:
            below, state = _decode_tag(heads, state, heads_end, trees, 1, leaf, planes + 1)
            planes += 1
            if state[3] or planes > _MAX_PLANES + 1:
                return BAD_HEADER, state, cuts
        found.zero_planes[block] = planes - 1
    count, state = _read_pass_count(heads, state, heads_end)
    longer, state = _read_bit(heads, state, heads_end)
    while longer:
        length_bits[block] += 1
        if length_bits[block] > 31:
            return BAD_HEADER, state, cuts
        longer, state = _read_bit(heads, state, heads_end)
    if total[block] + count > MAX_PASSES:
        return TOO_MANY_PASSES, state, cuts
    size, left = 0, count
    while left:
        run = _run(style, total[block], left)
        bits = length_bits[block] + _floor_log2(run)
        if bits > 31:
            return BAD_HEADER, state, cuts
        part, state = _read_bits(heads, state, heads_end, bits)
        size += part
        total[block] += run
        left -= run
        if style & _SEGMENTED and _run(style, total[block] - 1, 2) == 1:
            cuts = _with_cut(cuts, block, found.taken[block] + size)
    if size > room:
        return CUT_OFF, state, cuts
    found.taken[block] += size
    found.passes[layer, block] = count
    found.sizes[layer, block] = size
    return OK, state, cuts


@compiled
def gather(found, body, start, joined):  # type: ignore[no-untyped-def]
    """Copies the contributions of each block one after another, from `start[block]` of `joined` on."""
    sizes, offsets = found.sizes, found.offsets
    for block in range(len(start)):
        at = start[block]
        for layer in range(len(sizes)):
            n = sizes[layer, block]
            if n:
                joined[at : at + n] = body[offsets[layer, block] : offsets[layer, block] + n]
                at += n


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
def _encode_tag(out, state, trees, tree, leaf, threshold):  # type: ignore[no-untyped-def]
    """Says whether the leaf's value is below the threshold, as far as that is not known (B.10.2)."""
    low, value, known, path = trees.low[tree], trees.value[tree], trees.known[tree], trees.path
    depth = _climb(trees.parents, leaf, path)
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
def _segments(style, before, after, size_before, size_after, ends, runs):  # type: ignore[no-untyped-def]
    """Cuts passes `before` to `after` of a block at the ends of codeword segments.

    Fills `runs` with the passes and bytes of each, and returns how many these are. `ends` are the block's
    bytes up to each end of a segment.
    """
    number = 0
    while before < after:
        run = _run(style, before, after - before)
        size = size_after
        if before + run < after:
            size = ends[_ends(style, before + run) - 1]
        runs[number, 0], runs[number, 1] = run, size - size_before
        before, size_before = before + run, size
        number += 1
    return number


@compiled
def plant_trees(bands, trees, kept):  # type: ignore[no-untyped-def]
    """Fills the trees with first layers and with zero bit-planes; inner nodes hold minima."""
    parents, value = trees.parents, trees.value
    for band in range(len(bands.first_block)):
        for i in range(bands.across[band] * bands.down[band]):
            block = bands.first_block[band] + i
            for layer in range(len(kept.passes)):
                if kept.passes[layer, block] > 0:
                    for tree in range(2):
                        node = bands.first_node[band] + i
                        leaf_value = layer if tree == 0 else kept.zero_planes[block]
                        while node >= 0 and value[tree, node] > leaf_value:
                            value[tree, node] = leaf_value
                            node = parents[node]
                    break


@compiled
def emit_packets(sequence, grid, trees, kept, writer, position, copy, ends):  # type: ignore[no-untyped-def]
    """Writes the packets of a tile; without `copy` only headers, each over the one before, to learn sizes.

    Returns a status, and the position after the packets as if all were written; `ends` gets where each
    packet ends.
    """
    first_band, band_count, first_block = (
        grid.precincts.first_band,
        grid.precincts.bands,
        grid.bands.first_block,
    )
    across, down = grid.bands.across, grid.bands.down
    sizes, body, start = kept.sizes, kept.body, kept.start
    out, state = writer.out, writer.state
    for number in range(len(sequence)):
        precinct, layer = sequence[number, 0], sequence[number, 1]
        first, last = first_band[precinct], first_band[precinct] + band_count[precinct]
        at = position if copy else 0
        if at + 16 > len(out):
            return NO_ROOM, position
        state[0], state[1], state[2], state[3] = at, 0, 8, at
        filled = _is_filled(layer, first, last, grid, kept)
        _write_bit(out, state, 1 if filled else 0)
        if filled:
            for band in range(first, last):
                for i in range(across[band] * down[band]):
                    place = _Place(first_block[band] + i, grid.bands.first_node[band] + i, layer)
                    _emit_block(place, grid.style[place.block], trees, kept, writer)
        _finish_header(out, state)
        position += state[0] - at
        if filled:
            for band in range(first, last):
                for block in range(first_block[band], first_block[band] + across[band] * down[band]):
                    before = sizes[layer - 1, block] if layer else 0
                    n = sizes[layer, block] - before
                    if copy and n:
                        begin = start[block] + before
                        out[position : position + n] = body[begin : begin + n]
                    position += n
        ends[number] = position
    return OK, position


@compiled
def _is_filled(layer, first, last, grid, kept):  # type: ignore[no-untyped-def]
    """Whether any block of a packet has passes in it."""
    for band in range(first, last):
        begin = grid.bands.first_block[band]
        for block in range(begin, begin + grid.bands.across[band] * grid.bands.down[band]):
            before = kept.passes[layer - 1, block] if layer else 0
            if kept.passes[layer, block] > before:
                return True
    return False


@compiled
def _emit_block(place, style, trees, kept, writer):  # type: ignore[no-untyped-def]
    """Writes a packet header's entry for one block, whose code-block style is `style` (Table A.19)."""
    block, leaf, layer = place
    out, state, length_bits, runs = writer.out, writer.state, writer.length_bits, writer.runs
    begun = np.int64(kept.passes[layer - 1, block]) if layer else np.int64(0)
    count = np.int64(kept.passes[layer, block]) - begun
    if begun > 0:
        _write_bit(out, state, 1 if count else 0)
    else:
        _encode_tag(out, state, trees, 0, leaf, layer + 1)
    if count == 0:
        return
    if begun == 0:
        _encode_tag(out, state, trees, 1, leaf, np.int64(kept.zero_planes[block]) + 1)
    size_before = np.int64(kept.sizes[layer - 1, block]) if layer else np.int64(0)
    size = np.int64(kept.sizes[layer, block])
    number = 1
    runs[0, 0], runs[0, 1] = count, size - size_before
    if style & _SEGMENTED:
        ends = kept.cuts[kept.first_cut[block] : kept.first_cut[block + 1]]
        number = _segments(style, begun, begun + count, size_before, size, ends, runs)
    _write_pass_count(out, state, count)
    for k in range(number):
        while runs[k, 1] >> (length_bits[block] + _floor_log2(runs[k, 0])):
            _write_bit(out, state, 1)
            length_bits[block] += 1
    _write_bit(out, state, 0)
    for k in range(number):
        _write_bits(out, state, runs[k, 1], length_bits[block] + _floor_log2(runs[k, 0]))
