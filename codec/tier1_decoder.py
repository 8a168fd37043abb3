"""Decodes codewords to find each pass's bytes and gain in squared error: tier-1 of the transcoder.

    codeword ─▶ MQ decoder, raw bits ─▶ coding passes ─▶ magnitudes ─▶ squared error removed, pass by pass
                       └─▶ registers ─▶ shortest sufficient length

Blocks of all styles of Part 1 are decoded (Annexes C and D, Table A.19), to find out after which passes their
codewords may be cut; the codewords themselves stay as they are. Errors are counted against what all decoded
passes give, with the middle of the interval that a magnitude is known to lie in. A block is decoded down to
where its best remaining slope falls below a threshold: nothing below that will be kept.

As in `tier1`, one word holds a column of four coefficients (a stripe is four lines) and shows the
significance of all their neighbors, and one bit per column says which words are not empty.

All of it stays in one file (hence its length), since compiled code on disk is renewed only when its own
source file changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec import tier1
from foveate.compiled import compiled, compiled_inline, compiled_inner, leading_zeros, trailing_zeros

OK, BAD = 0, 1
MAX_PLANES = 31

_SIGNIFICANCE, _REFINEMENT, _CLEANUP = 0, 1, 2  # kinds of passes; a block begins with a cleanup pass
_BYPASS, _RESET, _TERMALL, _CAUSAL, _SYMBOLS = 1, 2, 4, 8, 32  # code-block styles (Table A.19)
_FIRST_RAW_PASS = 10
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19
_BEYOND = 64  # bytes behind the end of a codeword: further than its shortest prefix is looked for
_FIRST_STATES = tier1.first_states()

# What a pass brings at best, in squared steps of its bit-plane per byte, by kind, with a margin; a block's
# first pass. Passes of a block that were better than usual make the next ones likely to be.
_BEST_SLOPES = np.array([9.0, 5.0, 4.0])
_BEST_FIRST_SLOPE = 18.0
_EXACT = 2.0  # times these, where no error is left
_USUAL_SLOPES = np.array([4.5, 2.5, 2.0])
# What a pass removes of each coefficient, in squared steps, as long as the bits below are unknown: of one
# that becomes significant, and of one that is refined.
_NEW_GAIN, _REFINED_GAIN = 2.0, 0.25

_CROWDING = 0.5  # mean square of magnitudes that are not known yet, to what an exponential law says

# The word of a column of four coefficients. Bits 0 to 17: significance of the 3 x 6 samples in and around it,
# by lines from the upper left on. Then signs, of the sample above (18), of the four (19 + 3 i) and of the one
# below (31); which of the four have been refined (20 + 3 i), and which were visited in this bit-plane
# (21 + 3 i). So `word >> 3 i` shows coefficient i always at the same places:
_SELF, _AROUND = 1 << 4, 0x1EF
_SIGN_AT, _REFINED_AT, _VISITED_AT = 19, 20, 21
_ALL_FOUR = 0o1111  # bit 0 of each of the four

_HALF = np.int64(0x8000) << 16  # of the largest interval, as registers hold it


def _transitions() -> NDArray[np.int64]:
    """By state of a context: probability of the rarer symbol (from bit 16), next state after the likelier
    (32) and the rarer (40)."""
    mq = tier1.TABLES.mq.astype(np.int64)
    return (mq & 0xFFFF) << 16 | (mq >> 16) << 32


class Tables(NamedTuple):
    """Constant tables, passed as arguments since compiled code would copy constants into itself.

    mq: (94,) transitions of the MQ coder.
    zero: (4, 512) contexts of zero coding times two, by band and neighbors.
    signs: (256,) contexts of sign coding times two, and whether the sign is inverted.
    """

    mq: NDArray[np.int64]
    zero: NDArray[np.uint8]
    signs: NDArray[np.uint8]


TABLES = Tables(_transitions(), tier1.TABLES.zero, tier1.TABLES.signs)


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
    """The codewords: as in `packets.Codewords`, with the bytes and passes of each block."""

    body: NDArray[np.uint8]
    start: NDArray[np.int64]
    size: NDArray[np.int32]
    passes: NDArray[np.int32]
    cuts: NDArray[np.int64]
    first_cut: NDArray[np.int64]


class Passes(NamedTuple):
    """The passes of each block. Tables are (blocks, passes).

    number: of passes that were decoded.
    lengths: bytes that suffice to decode up to each pass.
    gains: squared error in the picture that each pass removes.
    energy: squared error of the block if none of it is sent.
    promise: squared error per byte that the pass after them may bring at best; 0 where there is none.
    """

    number: NDArray[np.int16]
    lengths: NDArray[np.int32]
    gains: NDArray[np.float32]
    energy: NDArray[np.float64]
    promise: NDArray[np.float64]


def no_passes(blocks: int, most: int) -> Passes:
    """Empty results for a number of blocks with at most a given number of passes each."""
    table = (blocks, max(1, most))
    return Passes(
        np.zeros(blocks, np.int16),
        np.zeros(table, np.int32),
        np.zeros(table, np.float32),
        np.zeros(blocks),
        np.full(blocks, np.inf),
    )


class _Segment(NamedTuple):
    """Where a codeword segment is read: its bytes end before `end`; registers of the decoder.

    c, a: code and interval, in units of 2^-16, both minus `d`.
    d: by how much the more probable symbols may still lower both before anything else has to be done.
    free: shifts until the next byte.
    at: of the byte that was read last.

    Of raw bits: c is the current byte, and `at` that of the next one.
    """

    c: np.int64
    a: np.int64
    d: np.int64
    free: np.int64
    at: np.int64
    end: np.int64


# ---------------------------------------------------------------- bits


@compiled_inner
def _byte(data, at, end):  # type: ignore[no-untyped-def]
    """The missing end of a codeword counts as ones (D.4.1)."""
    return np.int64(data[at]) if at < end else np.int64(0xFF)


@compiled_inner
def _byte_in(data, c, at, end):  # type: ignore[no-untyped-def]
    """BYTEIN (C.3.4): the code register with a byte more, how many bits that has, and where it is."""
    following = _byte(data, at + 1, end)
    if _byte(data, at, end) == 0xFF:
        if following > 0x8F:
            # Ones from here on; what may lie behind a marker in the midst of a codeword is not looked at.
            return c + 0xFF00, np.int64(8), at + 1 if at + 1 >= end else end + _BEYOND
        return c + (following << 9), np.int64(7), at + 1
    return c + (following << 8), np.int64(8), at + 1


@compiled_inner
def _begin(data, start, end):  # type: ignore[no-untyped-def]
    """INITDEC (C.3.5)."""
    c, free, at = _byte_in(data, _byte(data, start, end) << 16, start, end)
    c, a = c << 7, np.int64(0x8000) << 16
    d = min(c, a - _HALF)
    return _Segment(c - d, a - d, d, free - 7, at, end)


@compiled_inline
def _decide(data, context, contexts, mq, s):  # type: ignore[no-untyped-def]
    """DECODE (C.3.2): the next decision in a context, and the registers after it."""
    c, a, d, free, at, end = s
    state = contexts[context]
    entry = mq[state]
    rare = entry & 0x7FFFFFFF
    bit = np.int64(state & np.uint8(1))
    d -= rare
    if d < 0:
        a += d
        c += d
        if c < 0:
            likely = a < rare
            c += rare
            a = rare
        else:
            likely = a >= rare
        if likely:
            contexts[context] = np.uint8((entry >> 32) & 0xFF)
        else:
            contexts[context] = np.uint8(entry >> 40)
            bit ^= 1
        shift = np.int64(leading_zeros(np.uint32(a)))
        a <<= shift
        while shift > free:
            c <<= free
            shift -= free
            c, free, at = _byte_in(data, c, at, end)
        c = (c << shift) & 0xFFFFFFFF
        free -= shift
        d = min(c, a - _HALF)
        c -= d
        a -= d
    return bit, _Segment(c, a, d, free, at, end)


@compiled_inner
def _raw_bit(data, s):  # type: ignore[no-untyped-def]
    """The next bit of a segment without arithmetic coding (D.6)."""
    c, a, d, free, at, end = s
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
    return (c >> free) & 1, _Segment(c, a, d, free, at, end)


@compiled_inner
def _shortest(data, start, s):  # type: ignore[no-untyped-def]
    """The fewest bytes of a segment that suffice to decode up to the decoder's position.

    The decoder knows how far the codeword lies above the lower end of its interval. A prefix, extended with
    ones, moves the codeword; it must stay in the interval.
    """
    c, a, d, free, at, end = s
    above, limit = c + d, a + d
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
    """Memory that is reused for every block.

    words: columns of four, a stripe of them a line, with a frame all around.
    active: for each stripe (with one above and one below), 64 columns at a time (likewise), which words are
        not empty.
    magnitudes: as far as they are known, column of four after column of four, a stripe after the other.
    found: places of these in the order in which they became significant.
    contexts: states of the MQ coder's contexts.
    """

    words: NDArray[np.uint32]
    active: NDArray[np.int64]
    magnitudes: NDArray[np.int32]
    found: NDArray[np.int32]
    contexts: NDArray[np.uint8]


class _Shape(NamedTuple):
    """Of a block, and how its next pass is coded.

    lines: in samples.
    width: in samples.
    line: of words, from one stripe to the next.
    chunks: of 64 columns.
    band: LL, HL, LH or HH.
    style: of Table A.19.
    raw: whether the pass has no arithmetic coding (D.6).
    """

    lines: np.int64
    width: np.int64
    line: np.int64
    chunks: np.int64
    band: np.int64
    style: np.int64
    raw: np.bool_


@compiled_inline
def _wake(active, at, x, chunks):  # type: ignore[no-untyped-def]
    """Notes that the words of a column and of those beside it are not empty; `at` is its chunk."""
    near = (np.int64(7) << x) >> 1
    active[at] |= near
    if chunks > 1:
        active[at - 1] |= np.int64(x == 0) << 63
        active[at + 1] |= np.int64(x == 63)


@compiled_inline
def _mark(word, room, shape, stripe, chunk, x, k, sign):  # type: ignore[no-untyped-def]
    """A coefficient becomes significant: tells all neighbors, and returns its own column's word.

    `x` is its column in the chunk, `k` three times its line in the stripe.
    """
    words, active = room.words, room.active
    at = (stripe + 1) * shape.line + 1 + 64 * chunk + x
    row = (stripe + 1) * (shape.chunks + 2) + 1 + chunk
    words[at - 1] |= np.uint32(1 << (5 + k))
    words[at + 1] |= np.uint32(1 << (3 + k))
    _wake(active, row, x, shape.chunks)
    if k == 0:  # the stripe above sees it as its sixth line
        if not shape.style & _CAUSAL:  # (D.7)
            above = at - shape.line
            words[above] |= np.uint32(1 << 16 | sign << 31)
            words[above - 1] |= np.uint32(1 << 17)
            words[above + 1] |= np.uint32(1 << 15)
            _wake(active, row - shape.chunks - 2, x, shape.chunks)
    elif k == 9:  # and the one below as its first
        below = at + shape.line
        words[below] |= np.uint32(1 << 1 | sign << 18)
        words[below - 1] |= np.uint32(1 << 2)
        words[below + 1] |= np.uint32(1)
        _wake(active, row + shape.chunks + 2, x, shape.chunks)
    return word | _SELF << k | sign << (_SIGN_AT + k)


@compiled_inline
def _sign(data, word, at, k, room, tables, s):  # type: ignore[no-untyped-def]
    """A sign from the MQ decoder, by signs and significance of four neighbors (D.3.2)."""
    words = room.words
    bits = (word >> k) & 0b10101010
    bits |= (np.int64(words[at - 1]) >> (_SIGN_AT + k)) & 1
    bits |= ((np.int64(words[at + 1]) >> (_SIGN_AT + k)) & 1) << 2
    bits |= (word >> 14) & 16 if k == 0 else (word >> (12 + k)) & 16
    bits |= ((word >> (22 + k)) & 1) << 6
    coded = np.int64(tables.signs[bits])
    bit, s = _decide(data, coded >> 1, room.contexts, tables.mq, s)
    return bit ^ (coded & 1), s


@compiled_inline
def _columns(width, chunk):  # type: ignore[no-untyped-def]
    """A bit for each column of a chunk."""
    return np.int64(-1) if width - 64 * chunk >= 64 else (np.int64(1) << (width - 64 * chunk)) - 1


@compiled_inline
def _inside(height, stripe):  # type: ignore[no-untyped-def]
    """Bit 0 of each line of a stripe that the block has."""
    return np.int64(_ALL_FOUR) >> (3 * max(4 * stripe + 4 - height, 0))


@compiled_inline
def _line(k):  # type: ignore[no-untyped-def]
    """A third of 0, 3, 6 or 9."""
    return (k * 11) >> 5


@compiled_inner
def _propagate(data, plane, shape, found, room, tables, s):  # type: ignore[no-untyped-def]
    """Significance propagation (D.3.1); how many have been found, and the registers."""
    words, active, contexts, mq = room.words, room.active, room.contexts, tables.mq
    zero = tables.zero[shape.band]
    for stripe in range((shape.lines + 3) >> 2):
        inside = _inside(shape.lines, stripe)
        for chunk in range(shape.chunks):
            row = (stripe + 1) * (shape.chunks + 2) + 1 + chunk
            every = _columns(shape.width, chunk)
            left = active[row] & every
            while left:
                x = trailing_zeros(left)
                at = (stripe + 1) * shape.line + 1 + 64 * chunk + x
                word = np.int64(words[at])
                near = word & 0x3FFFF
                near |= (near >> 1) | (near >> 2)
                todo = (near | (near >> 3) | (near >> 6)) & ~(word >> 4) & inside
                if todo:
                    while todo:
                        k = trailing_zeros(todo)
                        todo &= todo - 1
                        context = np.int64(zero[(word >> k) & _AROUND]) >> 1
                        bit, s = _decide(data, context, contexts, mq, s)
                        word |= np.int64(1) << (_VISITED_AT + k)
                        if bit:
                            sign, s = _sign(data, word, at, k, room, tables, s)
                            word = _mark(word, room, shape, stripe, chunk, x, k, sign)
                            place = 4 * (stripe * shape.width + 64 * chunk + x) + _line(k)
                            room.magnitudes[place] = np.int32(1 << plane)
                            room.found[found] = np.int32(place)
                            found += 1
                            todo |= (np.int64(8) << k) & ~(word >> 4) & inside
                    words[at] = np.uint32(word)
                left = active[row] & every & (np.int64(-2) << x)
    return found, s


@compiled_inner
def _propagate_raw(data, plane, shape, found, room, s):  # type: ignore[no-untyped-def]
    """Like `_propagate`, without arithmetic coding."""
    words = room.words
    for stripe in range((shape.lines + 3) >> 2):
        inside = _inside(shape.lines, stripe)
        for column in range(shape.width):
            chunk, x = column >> 6, column & 63
            at = (stripe + 1) * shape.line + 1 + column
            word = np.int64(words[at])
            near = word & 0x3FFFF
            near |= (near >> 1) | (near >> 2)
            todo = (near | (near >> 3) | (near >> 6)) & ~(word >> 4) & inside
            while todo:
                k = trailing_zeros(todo)
                todo &= todo - 1
                bit, s = _raw_bit(data, s)
                word |= np.int64(1) << (_VISITED_AT + k)
                if bit:
                    sign, s = _raw_bit(data, s)
                    word = _mark(word, room, shape, stripe, chunk, x, k, sign)
                    place = 4 * (stripe * shape.width + column) + _line(k)
                    room.magnitudes[place] = np.int32(1 << plane)
                    room.found[found] = np.int32(place)
                    found += 1
                    todo |= (np.int64(8) << k) & ~(word >> 4) & inside
            words[at] = np.uint32(word)
    return found, s


@compiled_inner
def _refine(data, plane, shape, room, tables, s):  # type: ignore[no-untyped-def]
    """Magnitude refinement (D.3.3); how many were refined, and the registers."""
    words, active, contexts, mq = room.words, room.active, room.contexts, tables.mq
    refined = np.int64(0)
    for stripe in range((shape.lines + 3) >> 2):
        for chunk in range(shape.chunks):
            row = (stripe + 1) * (shape.chunks + 2) + 1 + chunk
            left = active[row] & _columns(shape.width, chunk)
            while left:
                x = trailing_zeros(left)
                left &= left - 1
                at = (stripe + 1) * shape.line + 1 + 64 * chunk + x
                word = np.int64(words[at])
                own = (word >> 4) & ~(word >> _VISITED_AT) & _ALL_FOUR
                todo, first = own, 4 * (stripe * shape.width + 64 * chunk + x)
                while todo:
                    k = trailing_zeros(todo)
                    todo &= todo - 1
                    here = word >> k
                    # Context 16 after the first refinement; before, 15 with significant neighbors, else 14.
                    context = 14 + max((here >> (_REFINED_AT - 1)) & 2, np.int64((here & _AROUND) != 0))
                    bit, s = _decide(data, context, contexts, mq, s)
                    room.magnitudes[first + _line(k)] |= np.int32(bit << plane)
                    refined += 1
                if own:
                    words[at] = np.uint32(word | own << _REFINED_AT)
    return refined, s


@compiled_inner
def _refine_raw(data, plane, shape, room, s):  # type: ignore[no-untyped-def]
    """Like `_refine`, without arithmetic coding."""
    words, refined = room.words, np.int64(0)
    for stripe in range((shape.lines + 3) >> 2):
        for column in range(shape.width):
            at = (stripe + 1) * shape.line + 1 + column
            word = np.int64(words[at])
            own = (word >> 4) & ~(word >> _VISITED_AT) & _ALL_FOUR
            todo, first = own, 4 * (stripe * shape.width + column)
            while todo:
                k = trailing_zeros(todo)
                todo &= todo - 1
                bit, s = _raw_bit(data, s)
                room.magnitudes[first + _line(k)] |= np.int32(bit << plane)
                refined += 1
            words[at] = np.uint32(word | own << _REFINED_AT)
    return refined, s


@compiled_inner
def _clean_up(data, plane, shape, found, room, tables, s):  # type: ignore[no-untyped-def]
    """Cleanup (D.3.4), which clears the visited marks; how many have been found, and the registers."""
    words, contexts, mq, zero = room.words, room.contexts, tables.mq, tables.zero[shape.band]
    for stripe in range((shape.lines + 3) >> 2):
        inside = _inside(shape.lines, stripe)
        for column in range(shape.width):
            at = (stripe + 1) * shape.line + 1 + column
            word = np.int64(words[at])
            todo = ~((word >> 4) | (word >> _VISITED_AT)) & inside
            known = False
            if word == 0 and inside == _ALL_FOUR:
                bit, s = _decide(data, _RUN, contexts, mq, s)
                if not bit:
                    continue
                high, s = _decide(data, _UNIFORM, contexts, mq, s)
                low, s = _decide(data, _UNIFORM, contexts, mq, s)
                todo &= np.int64(-1) << (3 * (2 * high + low))
                known = True
            while todo:
                k = trailing_zeros(todo)
                todo &= todo - 1
                if not known:
                    context = np.int64(zero[(word >> k) & _AROUND]) >> 1
                    bit, s = _decide(data, context, contexts, mq, s)
                    if not bit:
                        continue
                known = False
                sign, s = _sign(data, word, at, k, room, tables, s)
                word = _mark(word, room, shape, stripe, column >> 6, column & 63, k, sign)
                place = 4 * (stripe * shape.width + column) + _line(k)
                room.magnitudes[place] = np.int32(1 << plane)
                room.found[found] = np.int32(place)
                found += 1
            words[at] = np.uint32(word & ~(_ALL_FOUR << _VISITED_AT))
    return found, s


@compiled_inner
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
def _segment(b, codes, style, segment, start, raw):  # type: ignore[no-untyped-def]
    """The registers at the beginning of a codeword segment, and where that is."""
    size, end = np.int64(codes.size[b]), np.int64(codes.size[b])
    if style & (_BYPASS | _TERMALL):
        ends = codes.cuts[codes.first_cut[b] : codes.first_cut[b + 1]]
        start = min(ends[segment - 1], size) if segment else np.int64(0)
        end = min(max(ends[segment], start), size) if segment < len(ends) else size
    data = codes.body[codes.start[b] : codes.start[b] + size]
    if raw:
        zero = np.int64(0)
        return _Segment(zero, zero, zero, zero, start, end), start
    return _begin(data, start, end), start


@compiled
def _promise(k, plane, error, exact, better):  # type: ignore[no-untyped-def]
    """The squared error per byte that pass `k` may bring at best."""
    unit = np.float64(np.int64(1) << plane)
    best = _BEST_SLOPES[(k + 2) % 3] if k else _BEST_FIRST_SLOPE
    if exact and plane == 0:
        best *= _EXACT
    return best * better * unit * unit * error


@compiled
def _decode_pass(data, kind, plane, shape, found, room, tables, s):  # type: ignore[no-untyped-def]
    """Decodes one pass: how many coefficients are known now, how much error it removed, registers.

    The error is in squared steps of its plane, as far as it is known before the bits below are; it is
    negative where segmentation symbols are wrong.
    """
    if kind == _REFINEMENT:
        if shape.raw:
            refined, s = _refine_raw(data, plane, shape, room, s)
        else:
            refined, s = _refine(data, plane, shape, room, tables, s)
        return found, _REFINED_GAIN * refined, s
    before = found
    if kind == _CLEANUP:
        found, s = _clean_up(data, plane, shape, found, room, tables, s)
        if shape.style & _SYMBOLS:
            s, right = _check_symbols(data, room, tables, s)
            if not right:
                return found, -1.0, s
    elif shape.raw:
        found, s = _propagate_raw(data, plane, shape, found, room, s)
    else:
        found, s = _propagate(data, plane, shape, found, room, tables, s)
    return found, _NEW_GAIN * (found - before), s


@compiled
def _length_upto(data, start, is_last, raw, s):  # type: ignore[no-untyped-def]
    """The bytes that suffice up to a pass; `is_last`: of a segment that must be whole."""
    if is_last:
        return s.end
    if raw:
        return min(s.at + (1 if s.at and _byte(data, s.at - 1, s.end) == 0xFF else 0), s.end)
    return _shortest(data, start, s)


@compiled
def _decode_passes(b, blocks, codes, threshold, passes, room, tables, ends):  # type: ignore[no-untyped-def]
    """Decodes passes of a block while they may be worth it, and notes their lengths; a status.

    ends: is filled with how many coefficients were found up to each pass.
    """
    data = codes.body[codes.start[b] : codes.start[b] + codes.size[b]]
    style, planes = np.int64(blocks.style[b]), np.int64(blocks.planes[b])
    width, lines = np.int64(blocks.width[b]), np.int64(blocks.height[b])
    segmented = style & (_BYPASS | _TERMALL) != 0
    start, segment, last, found = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    s, _ = _segment(b, codes, np.int64(0), segment, start, False)
    newest, newer, new = 1.0, 1.0, 1.0
    k = np.int64(0)
    passes.promise[b] = 0.0
    while k < codes.passes[b]:
        kind, plane = (k + 2) % 3, planes - 1 - (k + 2) // 3
        promise = _promise(k, plane, blocks.error[b], blocks.exact[b], max(1.0, newest, newer, new))
        if promise < threshold and not blocks.shift[b]:
            passes.promise[b] = promise
            break
        raw = _is_raw(style, k)
        if _begins(style, k):
            s, start = _segment(b, codes, style, segment, start, raw)
            segment += 1
        before = 8 * s.at - s.free
        shape = _Shape(lines, width, width + 2, (width + 63) >> 6, np.int64(blocks.band[b]), style, raw)
        found, gain, s = _decode_pass(data, kind, plane, shape, found, room, tables, s)
        if gain < 0 and k + 1 < codes.passes[b]:  # encoders may cut the last one's short
            return BAD
        ends[k] = found
        new, newer = newer, newest
        newest = max(gain, 0.0) / (max((8 * s.at - s.free - before) / 8, 1.0) * _USUAL_SLOPES[kind])
        last = max(last, _length_upto(data, start, segmented and _begins(style, k + 1), raw, s))
        passes.lengths[b, k] = np.int32(last)
        if style & _RESET:
            room.contexts[:] = _FIRST_STATES
        k += 1
    passes.number[b] = np.int16(k)
    return OK


@compiled
def _decay(planes, count, samples, ends):  # type: ignore[no-untyped-def]
    """How much rarer larger magnitudes of a block are: the rate of an exponential law that they follow."""
    whole = (count + 2) // 3 - 1  # the last bit-plane with a cleanup pass, from the first one on
    unit = np.float64(np.int64(1) << (planes - 1 - max(whole, 0)))
    if whole < 0:  # the largest magnitude is about that
        return np.log(np.float64(samples)) / unit
    above = np.float64(ends[3 * whole - 3]) if whole else np.float64(samples)
    share = np.float64(ends[3 * whole]) / max(above, 0.5)
    return np.log(max(share, 1.0) if whole else 1 / max(share, 1 / above)) / unit


@compiled
def _mean_rest(unit, decay):  # type: ignore[no-untyped-def]
    """The mean of magnitudes beyond the multiple of a unit that is known of them."""
    x = unit * decay
    return unit * (0.5 - x / 12 if x < 0.1 else 1 / x - 1 / np.expm1(x))


@compiled
def _mean_square(unit, decay):  # type: ignore[no-untyped-def]
    """The mean square of magnitudes below a unit."""
    x = unit * decay
    if x < 0.1:
        return unit * unit / 3
    return unit * unit * (2 - (x * x + 2 * x + 2) * np.exp(-x)) / (x * x * (1 - np.exp(-x)))


@compiled
def _count_gains(b, blocks, all_passes, passes, room, ends):  # type: ignore[no-untyped-def]
    """Fills in the squared error that each pass of a decoded block removes."""
    planes, exact, shift = np.int64(blocks.planes[b]), blocks.exact[b], np.int64(blocks.shift[b])
    count, error = np.int64(passes.number[b]), blocks.error[b]
    gains = np.zeros(count, np.float64)
    energy = 0.0
    refined = count // 3  # bit-planes that were, the first one of all aside
    finest = planes - 1 - refined if refined else planes
    samples = np.int64(blocks.width[b]) * np.int64(blocks.height[b])
    first, stopped, decay = np.int64(0), count < np.int64(all_passes), _decay(planes, count, samples, ends)
    for number in range(count):
        plane = planes - 1 - (number + 2) // 3
        last = min(plane, finest)
        unit = np.float64(np.int64(1) << last)
        rest = 0.0 if exact and last == 0 else unit / 2
        if stopped and last:
            rest = _mean_rest(unit, decay) - (0.5 if exact else 0.0)
            energy += (ends[number] - first) * unit * unit / 12
        for place in room.found[first : ends[number]]:
            magnitude = np.int64(room.magnitudes[place])
            scale = 1.0
            if shift and magnitude >> shift:
                scale = 1.0 / (np.float64(np.int64(1) << shift) * np.float64(np.int64(1) << shift))
            whole = (magnitude >> last << last) + rest
            unit = np.float64(np.int64(1) << plane)
            left = whole - (unit if exact and plane == 0 else 1.5 * unit)
            gains[number] += (whole * whole - left * left) * scale
            energy += whole * whole * scale
            for q in range(plane - 1, last - 1, -1):
                before = left
                # The middle moves by half of a step, and to the step itself where that is exact.
                unit = np.float64(np.int64(1) << q)
                bit = (magnitude >> q) & 1
                left = before - bit * unit + (unit if exact and q == 0 else unit / 2)
                gains[3 * (planes - 1 - q) - 1] += (before * before - left * left) * scale
        first = ends[number]
    if stopped:
        known = np.float64(np.int64(1) << (planes - (count + 2) // 3))
        if count % 3 != 1 and count:  # most that are not small were looked at in the plane below as well
            known /= 2
        energy += _CROWDING * (samples - first) * _mean_square(known, decay)
    for k in range(count):
        passes.gains[b, k] = np.float32(gains[k] * error)
    passes.energy[b] = energy * error


@compiled
def decode_blocks(todo, blocks, codes, thresholds, passes, tables):  # type: ignore[no-untyped-def]
    """Decodes each block from its beginning as far as its passes may be worth keeping.

    Args:
      todo: numbers of blocks.
      blocks, codes: `Blocks`, `Codes`.
      thresholds: (blocks,) squared error per byte below which a pass is not decoded; 0 decodes everything.
      passes: `Passes`; entries of other blocks are not touched, so that threads may share it.
      tables: `TABLES`.

    Returns:
      -1, or the number of a block whose segmentation symbols (D.5) are wrong.
    """
    most = tier1.MAX_BLOCK_SAMPLES
    room = _Room(
        np.zeros(6 * 1026, np.uint32),
        np.zeros(3 * 1026, np.int64),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(_CONTEXTS, np.uint8),
    )
    ends = np.zeros(3 * MAX_PLANES, np.int64)
    for t in range(len(todo)):
        b = todo[t]
        if not codes.passes[b]:
            passes.promise[b] = 0.0
            continue
        width, stripes = np.int64(blocks.width[b]), (np.int64(blocks.height[b]) + 3) >> 2
        room.words[: (stripes + 2) * (width + 2)] = 0
        room.active[: (stripes + 2) * (((width + 63) >> 6) + 2)] = 0
        room.contexts[:] = _FIRST_STATES
        if _decode_passes(b, blocks, codes, thresholds[b], passes, room, tables, ends) != OK:
            return b
        _count_gains(b, blocks, codes.passes[b], passes, room, ends)
    return -1
