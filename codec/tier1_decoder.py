"""Tier-1 of a transcoder: what each coding pass of a codeword takes, and the squared error that it removes.

    codeword ─▶ MQ decoder, raw bits ─▶ coding passes ─▶ magnitudes ─▶ squared error removed, pass by pass
                       └─▶ registers ─▶ shortest sufficient length

Blocks of all styles of Part 1 are decoded (Annexes C and D, Table A.19), to find out after which passes their
codewords may be cut; the codewords themselves stay as they are. Errors are counted against what all decoded
passes give, with the middle of the interval that a magnitude is known to lie in.

All of it stays in one file, since compiled code that is kept on disk is renewed only when its own file
changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import tier1
from foveate.compiled import compiled

OK, BAD = 0, 1
MAX_PLANES = 31

_BYPASS, _RESET, _TERMALL, _CAUSAL, _SYMBOLS = 1, 2, 4, 8, 32  # code-block styles (Table A.19)
_FIRST_RAW_PASS = 10
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19
_BEYOND = 64  # bytes behind the end of a codeword: further than its shortest prefix is looked for
_FIRST_STATES = tier1.first_states()

# The flags of a coefficient. Bits 0 to 8: significance of the nine around and at it, by lines. Then whether
# the ones above, to the left, to the right and below are negative; whether it was visited in this bit-plane,
# and refined before.
_SELF, _AROUND = 1 << 4, 0x1EF
_NORTH, _WEST, _EAST, _SOUTH = 9, 10, 11, 12
_VISITED, _REFINED = 1 << 13, 1 << 14
_BELOW = 0x1C0 | 1 << _SOUTH


class Blocks(NamedTuple):
    """Code-blocks to decode; one entry per block.

    width, height: in samples; at most 4096 of them.
    band: LL, HL, LH or HH.
    planes: magnitude bit-planes that are coded.
    style: of Table A.19.
    shift: bit-planes that a region of interest is raised by (Annex H), else 0.
    error: squared error in the picture of one squared quantization step of a coefficient.
    exact: whether the last bit-plane leaves no error (5/3).
    """

    width: NDArray[np.int32]
    height: NDArray[np.int32]
    band: NDArray[np.int32]
    planes: NDArray[np.int32]
    style: NDArray[np.int32]
    shift: NDArray[np.int32]
    error: NDArray[np.float64]
    exact: NDArray[np.bool_]


class Codes(NamedTuple):
    """The codewords: as in `packets.Codewords`, with the bytes of each block."""

    body: NDArray[np.uint8]
    start: NDArray[np.int64]
    size: NDArray[np.int32]
    cuts: NDArray[np.int64]
    first_cut: NDArray[np.int64]


class Passes(NamedTuple):
    """The passes of each block. Tables are (blocks, passes).

    number: of passes that were decoded.
    lengths: bytes that suffice to decode up to each pass.
    gains: squared error in the picture that each pass removes.
    energy: squared error of the block if none of it is sent.
    """

    number: NDArray[np.int16]
    lengths: NDArray[np.int32]
    gains: NDArray[np.float32]
    energy: NDArray[np.float64]


def no_passes(blocks: int, most: int) -> Passes:
    """Room for so many blocks of at most so many passes, nothing decoded."""
    table = (blocks, max(1, most))
    return Passes(
        np.zeros(blocks, np.int16), np.zeros(table, np.int32), np.zeros(table, np.float32), np.zeros(blocks)
    )


class _Segment(NamedTuple):
    """Where a codeword segment is read: its bytes end before `end`; registers of the decoder.

    c, a: code and interval; of raw bits, the current byte and nothing.
    free: shifts until the next byte.
    at: of the byte that was read last; of raw bits, of the next one.
    """

    c: np.int64
    a: np.int64
    free: np.int64
    at: np.int64
    end: np.int64


# ---------------------------------------------------------------- bits


@compiled
def _byte(data, at, end):  # type: ignore[no-untyped-def]
    """The missing end of a codeword counts as ones (D.4.1)."""
    return np.int64(data[at]) if at < end else np.int64(0xFF)


@compiled
def _byte_in(data, c, at, end):  # type: ignore[no-untyped-def]
    """BYTEIN (C.3.4): the code register with a byte more, how many bits that has, and where it is."""
    following = _byte(data, at + 1, end)
    if _byte(data, at, end) == 0xFF:
        if following > 0x8F:
            # Ones from here on; what may lie behind a marker in the midst of a codeword is not looked at.
            return c + 0xFF00, np.int64(8), at + 1 if at + 1 >= end else end + _BEYOND
        return c + (following << 9), np.int64(7), at + 1
    return c + (following << 8), np.int64(8), at + 1


@compiled
def _begin(data, start, end):  # type: ignore[no-untyped-def]
    """INITDEC (C.3.5)."""
    c, free, at = _byte_in(data, _byte(data, start, end) << 16, start, end)
    return _Segment(c << 7, np.int64(0x8000), free - 7, at, end)


@compiled
def _decide(data, context, contexts, mq, s):  # type: ignore[no-untyped-def]
    """DECODE (C.3.2): the next decision in a context, and the registers after it."""
    c, a, free, at, end = s
    state = contexts[context]
    entry = np.int64(mq[state])
    bit = np.int64(state & np.uint8(1))
    rare = entry & 0xFFFF
    a -= rare
    if c >> 16 < rare:
        likely = a < rare
        a = rare
    else:
        c -= rare << 16
        if a & 0x8000:
            return bit, _Segment(c, a, free, at, end)
        likely = a >= rare
    if likely:
        contexts[context] = np.uint8((entry >> 16) & 0xFF)
    else:
        contexts[context] = np.uint8(entry >> 24)
        bit ^= 1
    while a < 0x8000:
        if free == 0:
            c, free, at = _byte_in(data, c, at, end)
        a <<= 1
        c = (c << 1) & 0xFFFFFFFF
        free -= 1
    return bit, _Segment(c, a, free, at, end)


@compiled
def _raw_bit(data, s):  # type: ignore[no-untyped-def]
    """The next bit of a segment without arithmetic coding (D.6)."""
    c, a, free, at, end = s
    if free == 0:
        free = np.int64(8)
        if c == 0xFF:
            if _byte(data, at, end) > 0x8F:
                at -= 1  # stays: ones to the end
                c = np.int64(0xFF)
            else:
                c, free = _byte(data, at, end), np.int64(7)
        else:
            c = _byte(data, at, end)
        at += 1
    free -= 1
    return (c >> free) & 1, _Segment(c, a, free, at, end)


@compiled
def _shortest(data, start, s):  # type: ignore[no-untyped-def]
    """The least bytes of a segment that decode up to where its decoder stands.

    The decoder knows how far the codeword lies above the lower end of its interval. A prefix, extended with
    ones, moves the codeword; it must stay in the interval.
    """
    c, a, free, at, end = s
    above, limit = c, a << 16
    n = at + 1  # bytes up to here have been read; `unit` is the place of the last of them
    unit = 16 - free
    stuffed = n < end and _byte(data, at, end) == 0xFF and _byte(data, n, end) <= 0x8F
    following = unit - (7 if stuffed else 8)
    best = min(n, end)
    while n > start:
        moved = above + (np.int64(1) << (following + 8)) if following + 8 >= 0 else above
        if not 0 < moved <= limit:
            break
        if n <= end and (n == start or _byte(data, n - 1, end) != 0xFF):
            best = n
        # Without the byte before.
        above -= _byte(data, n - 1, end) << unit
        n -= 1
        following = unit
        before = n > start and _byte(data, n - 1, end) == 0xFF and n < end and _byte(data, n, end) <= 0x8F
        unit += 7 if before else 8
        if unit > 40:
            break
    while best > start and _byte(data, best - 1, end) == 0xFF:  # no codeword ends so
        best -= 1
    return best


# ---------------------------------------------------------------- coding passes (D.3)


class _Room(NamedTuple):
    """Memory for one block after the other.

    flags: of its coefficients, with a frame all around.
    magnitudes: as far as they are known.
    born: the pass in which each became significant.
    contexts: states of the MQ coder's contexts.
    """

    flags: NDArray[np.int32]
    magnitudes: NDArray[np.int64]
    born: NDArray[np.int16]
    contexts: NDArray[np.uint8]


@compiled
def _mark(flags, at, line, sign):  # type: ignore[no-untyped-def]
    """A coefficient becomes significant: tells its neighbors."""
    flags[at] |= _SELF
    flags[at - line - 1] |= 1 << 8
    flags[at - line] |= 1 << 7 | sign << _SOUTH
    flags[at - line + 1] |= 1 << 6
    flags[at - 1] |= 1 << 5 | sign << _EAST
    flags[at + 1] |= 1 << 3 | sign << _WEST
    flags[at + line - 1] |= 1 << 2
    flags[at + line] |= 1 << 1 | sign << _NORTH
    flags[at + line + 1] |= 1


@compiled
def _seen(flag, y, causal):  # type: ignore[no-untyped-def]
    """The flags of a coefficient; with causal contexts, without what lies in the next stripe (D.7)."""
    return flag & ~_BELOW if causal and y & 3 == 3 else flag


@compiled
def _sign(data, seen, room, tables, s):  # type: ignore[no-untyped-def]
    """A sign from the MQ decoder (D.3.2)."""
    bits = seen & 0b10101010
    bits |= (
        (seen >> _NORTH & 1) << 4 | seen >> _WEST & 1 | (seen >> _EAST & 1) << 2 | (seen >> _SOUTH & 1) << 6
    )
    coded = np.int64(tables.signs[bits])
    bit, s = _decide(data, coded >> 1, room.contexts, tables.mq, s)
    return bit ^ (coded & 1), s


@compiled
def _propagate(data, number, plane, shape, room, tables, s, raw):  # type: ignore[no-untyped-def]
    """Significance propagation (D.3.1)."""
    width, height, band, style = shape
    flags, line, causal = room.flags, width + 2, style & _CAUSAL != 0
    for top in range(0, height, 4):
        for x in range(width):
            for y in range(top, min(top + 4, height)):
                at = (y + 1) * line + x + 1
                seen = _seen(flags[at], y, causal)
                if seen & _SELF or not seen & _AROUND:
                    continue
                if raw:
                    bit, s = _raw_bit(data, s)
                else:
                    context = np.int64(tables.zero[band, seen & 511]) >> 1
                    bit, s = _decide(data, context, room.contexts, tables.mq, s)
                if bit:
                    if raw:
                        sign, s = _raw_bit(data, s)
                    else:
                        sign, s = _sign(data, seen, room, tables, s)
                    _mark(flags, at, line, sign)
                    room.magnitudes[y * width + x] = np.int64(1) << plane
                    room.born[y * width + x] = number
                flags[at] |= _VISITED
    return s


@compiled
def _refine(data, plane, shape, room, tables, s, raw):  # type: ignore[no-untyped-def]
    """Magnitude refinement (D.3.3)."""
    width, height, _, style = shape
    flags, line, causal = room.flags, width + 2, style & _CAUSAL != 0
    for top in range(0, height, 4):
        for x in range(width):
            for y in range(top, min(top + 4, height)):
                at = (y + 1) * line + x + 1
                flag = flags[at]
                if flag & (_SELF | _VISITED) != _SELF:
                    continue
                if raw:
                    bit, s = _raw_bit(data, s)
                else:
                    context = np.int64(14)
                    if flag & _REFINED:
                        context = np.int64(16)
                    elif _seen(flag, y, causal) & _AROUND:
                        context = np.int64(15)
                    bit, s = _decide(data, context, room.contexts, tables.mq, s)
                room.magnitudes[y * width + x] |= bit << plane
                flags[at] = flag | _REFINED
    return s


@compiled
def _clean_up(data, number, plane, shape, room, tables, s):  # type: ignore[no-untyped-def]
    """Cleanup (D.3.4), which forgets who was visited."""
    width, height, band, style = shape
    flags, contexts, mq, line = room.flags, room.contexts, tables.mq, width + 2
    causal = style & _CAUSAL != 0
    for top in range(0, height, 4):
        lines = min(4, height - top)
        for x in range(width):
            at = (top + 1) * line + x + 1
            first, partial = 0, False
            if lines == 4:
                union = flags[at] | flags[at + line] | flags[at + 2 * line]
                union |= _seen(flags[at + 3 * line], 3, causal)
                if not union & (_SELF | _AROUND | _VISITED):
                    bit, s = _decide(data, _RUN, contexts, mq, s)
                    if not bit:
                        continue
                    high, s = _decide(data, _UNIFORM, contexts, mq, s)
                    low, s = _decide(data, _UNIFORM, contexts, mq, s)
                    first, partial = 2 * high + low, True
            for i in range(first, lines):
                y = top + i
                at = (y + 1) * line + x + 1
                seen = _seen(flags[at], y, causal)
                if not (partial and i == first):
                    if seen & (_SELF | _VISITED):
                        continue
                    context = np.int64(tables.zero[band, seen & 511]) >> 1
                    bit, s = _decide(data, context, contexts, mq, s)
                    if not bit:
                        continue
                sign, s = _sign(data, seen, room, tables, s)
                _mark(flags, at, line, sign)
                room.magnitudes[y * width + x] = np.int64(1) << plane
                room.born[y * width + x] = number
    for at in range((height + 2) * line):
        flags[at] &= ~_VISITED
    return s


@compiled
def _check_symbols(data, room, tables, s):  # type: ignore[no-untyped-def]
    """The registers after the four symbols that may end a cleanup pass, and whether these are right (D.5)."""
    symbol = 0
    for _ in range(4):
        bit, s = _decide(data, _UNIFORM, room.contexts, tables.mq, s)
        symbol = symbol << 1 | bit
    return s, symbol == 10


# ---------------------------------------------------------------- code-blocks


@compiled
def _is_raw(style, k):  # type: ignore[no-untyped-def]
    return style & _BYPASS != 0 and k >= _FIRST_RAW_PASS and (k + 2) % 3 != 2


@compiled
def _begins(style, k):  # type: ignore[no-untyped-def]
    """Whether a codeword segment begins with pass `k` (Table D.9)."""
    if k == 0 or style & _TERMALL:
        return True
    return style & _BYPASS != 0 and k >= _FIRST_RAW_PASS and (k + 2) % 3 != 1


@compiled
def _decode_passes(b, blocks, codes, count, passes, room, tables):  # type: ignore[no-untyped-def]
    """Decodes the first `count` passes of a block, and notes their lengths; a status."""
    data = codes.body[codes.start[b] : codes.start[b] + codes.size[b]]
    style, planes, size = np.int64(blocks.style[b]), np.int64(blocks.planes[b]), np.int64(codes.size[b])
    shape = np.int64(blocks.width[b]), np.int64(blocks.height[b]), np.int64(blocks.band[b]), style
    segmented = style & (_BYPASS | _TERMALL) != 0
    start, segment, last = np.int64(0), 0, np.int64(0)
    s = _begin(data, np.int64(0), size)
    for k in range(count):
        kind, plane = (k + 2) % 3, planes - 1 - (k + 2) // 3
        raw = _is_raw(style, k)
        if _begins(style, k):
            end = size
            if segmented:
                ends = codes.cuts[codes.first_cut[b] : codes.first_cut[b + 1]]
                start = min(ends[segment - 1], size) if segment else np.int64(0)
                end = min(max(ends[segment], start), size) if segment < len(ends) else size
                segment += 1
            if raw:
                s = _Segment(np.int64(0), np.int64(0), np.int64(0), start, end)
            else:
                s = _begin(data, start, end)
        if kind == 0:
            s = _propagate(data, k, plane, shape, room, tables, s, raw)
        elif kind == 1:
            s = _refine(data, plane, shape, room, tables, s, raw)
        else:
            s = _clean_up(data, k, plane, shape, room, tables, s)
            if style & _SYMBOLS:
                s, right = _check_symbols(data, room, tables, s)
                if not right:
                    return BAD
        if segmented and _begins(style, k + 1):
            length = s.end
        elif raw:
            length = min(s.at + (1 if s.at and _byte(data, s.at - 1, s.end) == 0xFF else 0), s.end)
        else:
            length = _shortest(data, start, s)
        last = max(last, length)
        passes.lengths[b, k] = np.int32(last)
        if style & _RESET:
            room.contexts[:] = _FIRST_STATES
    return OK


@compiled
def _value(magnitude, q, exact):  # type: ignore[no-untyped-def]
    """The magnitude that a decoder assumes if bit-planes from q on are known."""
    known = np.float64((magnitude >> q) << q)
    return known if exact and q == 0 else known + np.float64(np.int64(1) << q) / 2


@compiled
def _count_gains(b, blocks, count, passes, room):  # type: ignore[no-untyped-def]
    """Fills in the squared error that each pass of a decoded block removes."""
    planes, exact, shift = np.int64(blocks.planes[b]), blocks.exact[b], np.int64(blocks.shift[b])
    samples = np.int64(blocks.width[b]) * np.int64(blocks.height[b])
    gains = np.zeros(count, np.float64)
    energy = 0.0
    refined = count // 3  # bit-planes that were, the first one of all aside
    finest = planes - 1 - refined if refined else planes
    for sample in range(samples):
        magnitude = room.magnitudes[sample]
        if not magnitude:
            continue
        number = np.int64(room.born[sample])
        plane = planes - 1 - (number + 2) // 3
        last = min(plane, finest)
        scale = 1.0
        if shift and magnitude >> shift:
            scale = 1.0 / (np.float64(np.int64(1) << shift) * np.float64(np.int64(1) << shift))
        whole = _value(magnitude, last, exact)
        left = whole - _value(magnitude, plane, exact)
        gains[number] += (whole * whole - left * left) * scale
        energy += whole * whole * scale
        for q in range(plane - 1, last - 1, -1):
            before, left = left, whole - _value(magnitude, q, exact)
            gains[3 * (planes - 1 - q) - 1] += (before * before - left * left) * scale
    for k in range(count):
        passes.gains[b, k] = np.float32(gains[k] * blocks.error[b])
    passes.energy[b] = energy * blocks.error[b]


@compiled
def decode_blocks(todo, blocks, codes, counts, passes, tables):  # type: ignore[no-untyped-def]
    """Decodes blocks as far as asked for.

    Args:
      todo: numbers of blocks.
      blocks, codes: `Blocks`, `Codes`.
      counts: (blocks,) how many passes of each to decode; at most as many as its codeword has.
      passes: `Passes`; entries of other blocks are not touched, so that threads may share it.
      tables: `tier1.TABLES`.

    Returns:
      -1, or the number of a block whose segmentation symbols (D.5) are wrong.
    """
    room = _Room(
        np.zeros(6 * 1026, np.int32),
        np.zeros(tier1.MAX_BLOCK_SAMPLES, np.int64),
        np.zeros(tier1.MAX_BLOCK_SAMPLES, np.int16),
        np.zeros(_CONTEXTS, np.uint8),
    )
    for t in range(len(todo)):
        b = todo[t]
        count = np.int64(counts[b])
        if not count:
            continue
        samples = np.int64(blocks.width[b]) * np.int64(blocks.height[b])
        room.flags[:] = 0
        room.magnitudes[:samples] = 0
        room.contexts[:] = _FIRST_STATES
        if _decode_passes(b, blocks, codes, count, passes, room, tables) != OK:
            return b
        _count_gains(b, blocks, count, passes, room)
        passes.number[b] = np.int16(count)
    return -1
