"""The compiled loops of `codec.packets`: bits, tag trees and packets, read and written (B.10).

All in one file, since compiled code that is kept on disk is renewed only when its own file changes.
"""

from __future__ import annotations

import numpy as np

from foveate.codec.parameters import BYPASS, TERMALL
from foveate.compiled import compiled

OK, CUT_OFF, BAD_HEADER, TOO_MANY_PASSES, NO_ROOM = range(5)
MAX_PASSES = 164  # of one code-block in one packet (Table B.4), and so in all of them once merged
_MAX_PLANES = 255
_SEGMENTED = BYPASS | TERMALL  # code-block styles that cut a contribution into several segments
_FIRST_RAW_PASS = 10

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
def _decode_tag(data, state, end, parents, low, value, leaf, threshold, path):  # type: ignore[no-untyped-def]
    """Whether the leaf's value is below the threshold (B.10.2), and the reader's state."""
    depth = _climb(parents, leaf, path)
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
def _with_cut(cuts, count, block, size):  # type: ignore[no-untyped-def]
    """The list of cuts with one more at `count`, in twice the room where there is none."""
    if count == len(cuts):
        grown = np.empty((2 * count + 64, 2), np.int64)
        grown[:count] = cuts
        cuts = grown
    cuts[count, 0], cuts[count, 1] = block, size
    return cuts


@compiled
def parse_packets(  # type: ignore[no-untyped-def]
    sequence, precincts, bands, parents, low, value, length_bits, total, taken, style, data, start, end,
    heads, head, heads_end, packed, sop, eph, passes, lengths, offsets, zero_planes, header_bytes,
    cuts, count_cuts,
):  # fmt: skip
    """Reads the packets of a tile, and enters what their headers say from `passes` on.

    `total` and `taken` are passes and bytes of each block so far; `cuts` lists (block, its bytes) wherever a
    codeword segment ends. Returns a status, where it stopped, and the list of cuts with its length.
    """
    # Taken out of their tuples once: in the loops that would count references each time.
    first_block, first_node = bands.first_block, bands.first_node
    across, down, first_band, band_count = bands.across, bands.down, precincts.first_band, precincts.bands
    low_first, low_planes, value_first, value_planes = low[0], low[1], value[0], value[1]
    path = np.zeros(64, np.int64)
    position, head, heads_end = np.int64(start), np.int64(head), np.int64(heads_end)
    for packet in range(len(sequence)):
        precinct, layer = sequence[packet, 0], sequence[packet, 1]
        if sop and position + 6 <= end and data[position] == 0xFF and data[position + 1] == 0x91:
            position += 6
        if not packed:
            head, heads_end = position, end
        header_start = head
        filled, state = _read_bit(heads, (head, np.int64(0), np.int64(0), OK), heads_end)
        first = first_band[precinct]
        last = first + band_count[precinct]
        if filled:
            for band in range(first, last):
                for i in range(across[band] * down[band]):
                    block = first_block[band] + i
                    leaf = first_node[band] + i
                    if total[block]:
                        bit, state = _read_bit(heads, state, heads_end)
                        here = bit == 1
                    elif _is_known(parents, low_first, leaf, layer + 1):
                        continue
                    else:
                        here, state = _decode_tag(
                            heads, state, heads_end, parents, low_first, value_first, leaf, layer + 1, path
                        )
                    if state[3]:
                        return state[3], position - start, cuts, count_cuts
                    if not here:
                        continue
                    if not total[block]:
                        planes = 0
                        below = False
                        while not below:
                            below, state = _decode_tag(
                                heads,
                                state,
                                heads_end,
                                parents,
                                low_planes,
                                value_planes,
                                leaf,
                                planes + 1,
                                path,
                            )
                            planes += 1
                            if state[3] or planes > _MAX_PLANES + 1:
                                return BAD_HEADER, position - start, cuts, count_cuts
                        planes -= 1
                        zero_planes[block] = planes
                    count, state = _read_pass_count(heads, state, heads_end)
                    longer, state = _read_bit(heads, state, heads_end)
                    while longer:
                        length_bits[block] += 1
                        if length_bits[block] > 31:
                            return BAD_HEADER, position - start, cuts, count_cuts
                        longer, state = _read_bit(heads, state, heads_end)
                    if total[block] + count > MAX_PASSES:
                        return TOO_MANY_PASSES, position - start, cuts, count_cuts
                    size, left = 0, count
                    while left:
                        run = _run(style[block], total[block], left)
                        bits = length_bits[block] + _floor_log2(run)
                        if bits > 31:
                            return BAD_HEADER, position - start, cuts, count_cuts
                        part, state = _read_bits(heads, state, heads_end, bits)
                        size += part
                        total[block] += run
                        left -= run
                        if style[block] & _SEGMENTED and _run(style[block], total[block] - 1, 2) == 1:
                            cuts = _with_cut(cuts, count_cuts, block, taken[block] + size)
                            count_cuts += 1
                    if size > end - position:
                        return CUT_OFF, position - start, cuts, count_cuts
                    if style[block] & _SEGMENTED:
                        taken[block] += size
                    passes[layer, block] = count
                    lengths[layer, block] = size
        head = state[0]
        if state[1] == 0xFF:
            head += 1  # a header never ends in 0xFF: one stuffed byte follows
        if state[3] or head > heads_end:
            return CUT_OFF, position - start, cuts, count_cuts
        if eph and head + 2 <= heads_end and heads[head] == 0xFF and heads[head + 1] == 0x92:
            head += 2
        header_bytes[layer] += head - header_start
        if not packed:
            position = head
        if filled:
            for band in range(first, last):
                for i in range(across[band] * down[band]):
                    block = first_block[band] + i
                    if passes[layer, block]:
                        offsets[layer, block] = position
                        position += lengths[layer, block]
                        if position > end:
                            return CUT_OFF, position - start, cuts, count_cuts
    return OK, position - start, cuts, count_cuts


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
    depth = _climb(parents, leaf, path)
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
def plant_trees(bands, parents, value, passes_before, upto, zero_planes):  # type: ignore[no-untyped-def]
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
def emit_packets(  # type: ignore[no-untyped-def]
    sequence, precincts, bands, parents, low, value, known, length_bits, style, passes_before, bytes_before,
    upto, data, lengths, offsets, zero_planes, cuts, first_cut, out, position, copy, bounds,
):  # fmt: skip
    """Writes the packets of a tile; without `copy` only headers, each over the one before, to learn sizes.

    Returns a status, and the position after the packets as if all were written.
    """
    state = np.zeros(4, np.int64)
    path = np.zeros(64, np.int64)
    runs = np.zeros((MAX_PASSES + 92, 2), np.int64)
    bounds[:] = position
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
            return NO_ROOM, position
        state[0], state[1], state[2], state[3] = at, 0, 8, at
        _write_bit(out, state, 1 if filled else 0)
        if filled:
            for band in range(first, last):
                for i in range(bands.across[band] * bands.down[band]):
                    block = bands.first_block[band] + i
                    leaf = bands.first_node[band] + i
                    before = upto[layer - 1, block] if layer else 0
                    after = upto[layer, block]
                    begun = np.int64(passes_before[block, before])
                    count = np.int64(passes_before[block, after]) - begun
                    if begun > 0:
                        _write_bit(out, state, 1 if count else 0)
                    else:
                        _encode_tag(out, state, parents, low[0], value[0], known[0], leaf, layer + 1, path)
                    if count == 0:
                        continue
                    if begun == 0:
                        _encode_tag(
                            out,
                            state,
                            parents,
                            low[1],
                            value[1],
                            known[1],
                            leaf,
                            zero_planes[block] + 1,
                            path,
                        )
                    size, size_before = bytes_before[block, after], bytes_before[block, before]
                    number = 1
                    runs[0, 0], runs[0, 1] = count, size - size_before
                    if style[block] & _SEGMENTED:
                        ends = cuts[first_cut[block] : first_cut[block + 1]]
                        number = _segments(style[block], begun, begun + count, size_before, size, ends, runs)
                    _write_pass_count(out, state, count)
                    for k in range(number):
                        while runs[k, 1] >> (length_bits[block] + _floor_log2(runs[k, 0])):
                            _write_bit(out, state, 1)
                            length_bits[block] += 1
                    _write_bit(out, state, 0)
                    for k in range(number):
                        _write_bits(out, state, runs[k, 1], length_bits[block] + _floor_log2(runs[k, 0]))
        _finish_header(out, state)
        position += state[0] - at
        if filled:
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
    return OK, position
