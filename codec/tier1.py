"""Codes code-blocks pass by pass, stopping early and resuming: tier-1 of the encoder (Annexes C and D).

    coefficients ─▶ coding pass ─▶ decisions (context, bit) ─▶ MQ coder ─▶ codeword
                        │                                        └─▶ registers ─▶ shortest sufficient length
                        └─▶ how much squared error the pass removes

A block is coded down to the bit-plane where its best remaining slope, over its weight, falls below a
threshold, and can be resumed from there: 19 contexts and five registers are all that has to be kept, since
the flags follow from the coefficients. Coding on gives exactly what coding in one go would have given.

The state of coefficients is held as in other fast coders: one word for a column of four (a stripe is four
lines), which also shows the significance of all their neighbors. Beside it, one bit a column says which
columns have anything significant in or next to them, and for each bit-plane which columns have a coefficient
whose highest bit lies there, so that empty columns cost next to nothing.

All of it stays in one file (hence its length), since compiled code that is kept on disk is renewed only when
its own file changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec.dwt import FRACTION_BITS, SIGN_BIT
from foveate.compiled import compiled, leading_zeros, trailing_zeros

MAX_BLOCK_SAMPLES = 4096
MAX_PLANES = SIGN_BIT - FRACTION_BITS

_SIGNIFICANCE, _REFINEMENT, _CLEANUP = 0, 1, 2  # kinds of passes; a block begins with a cleanup pass
# What a pass brings at best, in squared steps of its bit-plane per byte, by kind: measured, and exceeded by
# few passes of photos. A block stops where even that, with some margin, is below its threshold. Blocks of
# drawings (a sixth of their coefficients is exactly nothing) have patterns that may cost next to nothing.
_BEST_SLOPES = np.array([4.5, 2.5, 2.0])
_MARGIN, _DRAWN_MARGIN, _DRAWN = 2.0, 16.0, 6
_BEST_FIRST_SLOPE = 9.0  # likewise of a block's first pass, in which many coefficients may cost little
# Of a pattern of coefficients: squared steps that each of them brings, bytes before the first, bits of each.
_PATTERN_GAIN, _PATTERN_BYTES, _PATTERN_BITS = 3.0, 3.0, 1 / 6

# Table C.2: probability of the less probable symbol, next state after the more and the less probable, switch.
_STATES = (
    (0x5601, 1, 1, 1), (0x3401, 2, 6, 0), (0x1801, 3, 9, 0), (0x0AC1, 4, 12, 0),
    (0x0521, 5, 29, 0), (0x0221, 38, 33, 0), (0x5601, 7, 6, 1), (0x5401, 8, 14, 0),
    (0x4801, 9, 14, 0), (0x3801, 10, 14, 0), (0x3001, 11, 17, 0), (0x2401, 12, 18, 0),
    (0x1C01, 13, 20, 0), (0x1601, 29, 21, 0), (0x5601, 15, 14, 1), (0x5401, 16, 14, 0),
    (0x5101, 17, 15, 0), (0x4801, 18, 16, 0), (0x3801, 19, 17, 0), (0x3401, 20, 18, 0),
    (0x3001, 21, 19, 0), (0x2801, 22, 19, 0), (0x2401, 23, 20, 0), (0x2201, 24, 21, 0),
    (0x1C01, 25, 22, 0), (0x1801, 26, 23, 0), (0x1601, 27, 24, 0), (0x1401, 28, 25, 0),
    (0x1201, 29, 26, 0), (0x1101, 30, 27, 0), (0x0AC1, 31, 28, 0), (0x09C1, 32, 29, 0),
    (0x08A1, 33, 30, 0), (0x0521, 34, 31, 0), (0x0441, 35, 32, 0), (0x02A1, 36, 33, 0),
    (0x0221, 37, 34, 0), (0x0141, 38, 35, 0), (0x0111, 39, 36, 0), (0x0085, 40, 37, 0),
    (0x0049, 41, 38, 0), (0x0025, 42, 39, 0), (0x0015, 43, 40, 0), (0x0009, 44, 41, 0),
    (0x0005, 45, 42, 0), (0x0001, 45, 43, 0), (0x5601, 46, 46, 0),
)  # fmt: skip
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19
_FIRST_STATES = np.zeros(_CONTEXTS, np.uint8)
# Table D.7; the lowest bit is the likelier symbol.
_FIRST_STATES[[0, _RUN, _UNIFORM]] = 4 << 1, 3 << 1, 46 << 1

# The word of a column of four coefficients. Bits 0 to 17: significance of the 3 x 6 samples in and around it,
# by lines from the upper left on. Then signs, of the sample below (18), of the four (19 + 3 i) and of the one
# above (31); which of the four have been refined (20 + 3 i), and which were visited in this bit-plane
# (21 + 3 i). So `word >> 3 i` shows coefficient i always at the same places:
_SELF, _AROUND = 1 << 4, 0x1EF
_SIGN_AT, _REFINED_AT, _VISITED_AT = 19, 20, 21
_ALL_FOUR = 0o1111  # bit 0 of each of the four

_IN_RUN = 9  # entry of `least` after those of the contexts of zero coding
# Passes of a block in which none is left out, since contexts have not learned yet what its bits cost.
_FIRST_PASSES = 3
_LEAST_RETURN = 0.7  # share of the price of its bits that a coefficient must bring


def first_states() -> NDArray[np.uint8]:
    """The states of the MQ coder's contexts at the beginning of a block (Table D.7), for decoders."""
    return _FIRST_STATES.copy()


def _more_bits() -> NDArray[np.float64]:
    """How many bits a one takes more than a zero, by 2 * state + likelier symbol."""
    table = np.zeros(2 * len(_STATES))
    for state, (probability, *_) in enumerate(_STATES):
        rare = min(probability / (0.75 * 65536), 0.5)
        table[2 * state] = np.log2((1 - rare) / rare)
        table[2 * state + 1] = -table[2 * state]
    return table


def _transitions() -> NDArray[np.uint32]:
    """By 2 * state + likelier symbol: probability, next entry after the likelier (16), the other (24)."""
    table = np.zeros(2 * len(_STATES), np.uint32)
    for state, (probability, more, less, switch) in enumerate(_STATES):
        for symbol in (0, 1):
            following = 2 * more + symbol, 2 * less + (symbol ^ switch)
            table[2 * state + symbol] = probability | following[0] << 16 | following[1] << 24
    return table


def _zero_context(band: int, h: int, v: int, d: int) -> int:
    """Table D.1, by how many neighbors beside, above and below, and across are significant."""
    if band == 3:
        if d >= 3:
            return 8
        return (0, 3, 6)[d] + min(h + v, (2, 2, 1)[d])
    if band == 1:
        h, v = v, h
    if h == 2:
        return 8
    if h == 1:
        return 7 if v else 6 if d else 5
    return v + 2 if v else min(d, 2)


def _zero_contexts() -> NDArray[np.uint8]:
    """Contexts 0 to 8, times two, by band and the nine bits around a coefficient: (4, 512)."""
    table = np.zeros((4, 512), np.uint8)
    for bits in range(512):
        b = [bits >> k & 1 for k in range(9)]
        beside, upright, across = b[3] + b[5], b[1] + b[7], b[0] + b[2] + b[6] + b[8]
        for band in range(4):
            table[band, bits] = 2 * _zero_context(band, beside, upright, across)
    return table


def _sign_contexts() -> NDArray[np.uint8]:
    """Contexts 9 to 13 (Table D.3), times two, and 1 where the sign is inverted.

    By eight bits: significant to the north, west, east, south (1, 3, 5, 7), negative there (4, 0, 2, 6).
    """
    table = np.zeros(256, np.uint8)
    for bits in range(256):

        def part(significant: int, negative: int, bits: int = bits) -> int:
            return 0 if not bits >> significant & 1 else -1 if bits >> negative & 1 else 1

        h = max(-1, min(1, part(3, 0) + part(5, 2)))
        v = max(-1, min(1, part(1, 4) + part(7, 6)))
        inverted = h < 0 or (h == 0 and v < 0)
        h, v = (-h, -v) if inverted else (h, v)
        context = (10 if v else 9) if h == 0 else 12 + v
        table[bits] = 2 * context + inverted
    return table


class Tables(NamedTuple):
    """Constant tables, passed along since constants of compiled code are copied into it.

    mq: (94,) transitions of the MQ coder.
    zero: (4, 512) contexts of zero coding, by band and neighbors.
    signs: (256,) contexts of sign coding.
    more_bits: (94,) how many bits a one takes more than a zero, by state.
    """

    mq: NDArray[np.uint32]
    zero: NDArray[np.uint8]
    signs: NDArray[np.uint8]
    more_bits: NDArray[np.float64]


class Blocks(NamedTuple):
    """The code-blocks to code; one entry per block.

    start: where its samples begin in the coefficients.
    width, height: in samples; at most 4096 of them.
    band: LL, HL, LH or HH.
    error: squared error in the picture of one squared fixed-point unit of a coefficient.
    """

    start: NDArray[np.int64]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    band: NDArray[np.int32]
    error: NDArray[np.float64]


class Rule(NamedTuple):
    """When bytes are worth spending, in squared error per byte; one entry per code-block.

    thresholds: passes below are not coded; 0 codes everything.
    prices: what a coefficient must bring to become significant, for the bits that this takes; else it is left
        out, and its magnitude becomes the largest one that is nothing in that bit-plane. 0 leaves out none;
        in drawings none is left out at any price, since their patterns make it cheap.
    exact: whether the last bit-plane leaves no error (5/3); for all blocks.
    """

    thresholds: NDArray[np.float64]
    prices: NDArray[np.float64]
    exact: bool


class Coefficients(NamedTuple):
    """Quantized coefficients of some blocks.

    values: sign in the highest bit, magnitude with fraction bits below.
    offset: those of block b begin at blocks.start[b] - offset.
    """

    values: NDArray[np.uint32]
    offset: int


class Passes(NamedTuple):
    """The coded passes of each block, and the state needed to resume. Tables are (blocks, passes).

    planes: magnitude bit-planes of the block's largest coefficient, -1 where the block has not begun.
    number: of passes coded.
    lengths: bytes that suffice to decode up to each pass.
    gains: squared error in the picture that each pass removes.
    energy: squared error of the block if none of it is sent.
    start: where the codeword begins in the body.
    size: bytes of it there.
    margin: how much better than usual a pass may still be expected to be.
    recent: how much better than usual the last three passes were, newest first.
    contexts: states of the MQ coder's contexts.
    c, a, free, last, at: its registers after each pass: code, interval, shifts until the next byte, the value
        of the byte written last, and its place.
    """

    planes: NDArray[np.int16]
    number: NDArray[np.int16]
    lengths: NDArray[np.int32]
    gains: NDArray[np.float32]
    energy: NDArray[np.float64]
    start: NDArray[np.int64]
    size: NDArray[np.int32]
    margin: NDArray[np.float32]
    recent: NDArray[np.float64]
    contexts: NDArray[np.uint8]
    c: NDArray[np.uint32]
    a: NDArray[np.uint16]
    free: NDArray[np.uint8]
    last: NDArray[np.uint8]
    at: NDArray[np.int32]


def no_passes(blocks: int, planes: int) -> Passes:
    """Room for so many blocks of at most so many bit-planes, nothing coded."""
    most = max(1, 3 * planes - 2)
    table = (blocks, most)
    return Passes(
        planes=np.full(blocks, -1, np.int16),
        number=np.zeros(blocks, np.int16),
        lengths=np.zeros(table, np.int32),
        gains=np.zeros(table, np.float32),
        energy=np.zeros(blocks, np.float64),
        start=np.zeros(blocks, np.int64),
        size=np.zeros(blocks, np.int32),
        margin=np.ones(blocks, np.float32),
        recent=np.ones((blocks, 3)),
        contexts=np.zeros((blocks, _CONTEXTS), np.uint8),
        c=np.zeros(table, np.uint32),
        a=np.zeros(table, np.uint16),
        free=np.zeros(table, np.uint8),
        last=np.zeros(table, np.uint8),
        at=np.zeros(table, np.int32),
    )


# ---------------------------------------------------------------- the MQ coder (C.2)


@compiled
def _code(decisions, count, contexts, registers, out, mq):  # type: ignore[no-untyped-def]
    """Codes decisions, each a context times two and a bit; returns the registers.

    `out[0]` stands before the codeword, to take a carry that never comes.
    """
    c, a, free, at = registers
    for k in range(count):
        decision = decisions[k]
        context = decision >> np.uint8(1)
        state = contexts[context]
        entry = mq[state]
        rare = entry & np.uint32(0xFFFF)
        a -= rare
        if ((np.uint32(state) ^ np.uint32(decision)) & np.uint32(1)) == np.uint32(0):
            if a & np.uint32(0x8000):
                c += rare
                continue
            if a < rare:
                a = rare
            else:
                c += rare
            contexts[context] = np.uint8((entry >> np.uint32(16)) & np.uint32(0xFF))
        else:
            if a < rare:
                c += rare
            else:
                a = rare
            contexts[context] = np.uint8(entry >> np.uint32(24))
        shift = leading_zeros(a) - np.uint32(16)
        while shift >= free:
            a <<= free
            c <<= free
            shift -= free
            c, free, at = _put_byte(c, at, out)
        a <<= shift
        c <<= shift
        free -= shift
    return c, a, free, at


@compiled
def _put_byte(c, at, out):  # type: ignore[no-untyped-def]
    """BYTEOUT (C.2.7): the code register's upper bits go out; after 0xFF, seven of them."""
    stuffed = out[at] == 0xFF
    if not stuffed and c & np.uint32(0x8000000):
        out[at] += np.uint8(1)
        stuffed = out[at] == 0xFF
        if stuffed:
            c &= np.uint32(0x7FFFFFF)
    at += 1
    if stuffed:
        out[at] = np.uint8((c >> np.uint32(20)) & np.uint32(0xFF))
        return c & np.uint32(0xFFFFF), np.uint32(7), at
    out[at] = np.uint8((c >> np.uint32(19)) & np.uint32(0xFF))
    return c & np.uint32(0x7FFFF), np.uint32(8), at


@compiled
def _flush(registers, out):  # type: ignore[no-untyped-def]
    """Writes what the registers hold (C.2.9); they stay, so that coding may go on. The last byte's place."""
    c, a, free, at = registers
    top = c + a
    c |= np.uint32(0xFFFF)
    if c >= top:
        c -= np.uint32(0x8000)
    c <<= free
    c, free, at = _put_byte(c, at, out)
    c <<= free
    c, free, at = _put_byte(c, at, out)
    return at


@compiled
def _shortest(c, a, free, last, at, out, end):  # type: ignore[no-untyped-def]
    """The least bytes of out[1 : end + 1] that decode up to a pass, by the registers after it.

    A decoder extends what is missing with ones. So the prefix must, so extended, lie in the coder's interval
    [c, c + a) at the end of the pass.
    """
    limit = np.int64(c) + np.int64(a)
    unit = 27 - np.int64(free)
    value = (np.int64(out[at]) - np.int64(last)) << unit  # a carry since then
    n = at
    while n < end:
        if (n == 0 or out[n] != 0xFF) and value + (np.int64(1) << unit) <= limit:
            break
        n += 1
        unit -= 7 if out[n - 1] == 0xFF else 8
        if unit < 0:  # cannot be: the interval has sixteen bits
            return end
        value += np.int64(out[n]) << unit
    while n > 0 and out[n] == 0xFF:  # no codeword ends so
        n -= 1
    return n


# ---------------------------------------------------------------- the coding passes (D.3)


class _Scratch(NamedTuple):
    """Memory for one block after the other.

    words: columns of four, a stripe of them a line, with a frame all around.
    active: for each stripe (with one above and one below), the columns whose words are not zero.
    tops: [stripe, plane] the columns with a coefficient whose highest bit lies in that plane.
    decisions: of one pass.
    columns: a word for each column.
    out: the codeword, from out[1] on.
    least: the least magnitude that pays to become significant, by context; the last one in a run.
    """

    words: NDArray[np.uint32]
    active: NDArray[np.int64]
    tops: NDArray[np.int64]
    decisions: NDArray[np.uint8]
    columns: NDArray[np.uint32]
    out: NDArray[np.uint8]
    least: NDArray[np.int64]


@compiled
def _mark(word, words, active, line, stripe, x, i, sign):  # type: ignore[no-untyped-def]
    """Coefficient `i` of column `x` becomes significant: tells all neighbors, and returns its own word."""
    k, at = 3 * i, (stripe + 1) * line + 1 + x
    words[at - 1] |= np.uint32(1) << np.uint32(5 + k)
    words[at + 1] |= np.uint32(1) << np.uint32(3 + k)
    near = (np.int64(7) << x) >> 1
    active[stripe + 1] |= near
    if i == 0:  # the stripe above sees it as its sixth line
        words[at - line] |= np.uint32(1 << 16 | sign << 31)
        words[at - line - 1] |= np.uint32(1 << 17)
        words[at - line + 1] |= np.uint32(1 << 15)
        active[stripe] |= near
    elif i == 3:  # and the one below as its first
        words[at + line] |= np.uint32(1 << 1 | sign << 18)
        words[at + line - 1] |= np.uint32(1 << 2)
        words[at + line + 1] |= np.uint32(1)
        active[stripe + 2] |= near
    return word | _SELF << k | sign << (_SIGN_AT + k)


@compiled
def _sign_decision(word, words, at, i, sign, signs):  # type: ignore[no-untyped-def]
    """The decision that codes a sign, from the signs and significance of four neighbors (D.3.2)."""
    k = 3 * i
    bits = (word >> k) & 0b10101010
    bits |= (np.int64(words[at - 1]) >> (_SIGN_AT + k)) & 1
    bits |= ((np.int64(words[at + 1]) >> (_SIGN_AT + k)) & 1) << 2
    bits |= (word >> 14) & 16 if i == 0 else (word >> (12 + k)) & 16
    bits |= ((word >> (22 + k)) & 1) << 6
    return np.uint8(np.int64(signs[bits]) ^ sign)


@compiled
def _leave_out(samples, sample, plane):  # type: ignore[no-untyped-def]
    """A magnitude becomes the largest one below a bit-plane."""
    samples[sample] = (samples[sample] & np.uint32(1 << SIGN_BIT)) | np.uint32((1 << plane) - 1)


@compiled
def _leave_out_run(scratch, samples, sample, width, stripe, x, plane):  # type: ignore[no-untyped-def]
    """Leaves out what becomes significant in an empty column, if none of it is worth that."""
    for i in range(4):
        if np.int64(samples[sample + i * width] & np.uint32(0x7FFFFFFF)) >= scratch.least[_IN_RUN]:
            return
    column = np.int64(1) << x
    if scratch.tops[stripe, plane] & column:
        for i in range(4):
            if (np.int64(samples[sample + i * width]) >> plane) & 1:
                _leave_out(samples, sample + i * width, plane)
        scratch.tops[stripe, plane] &= ~column
        scratch.tops[stripe, plane - 1] |= column


@compiled
def _set_least(least, contexts, plane, price, bits):  # type: ignore[no-untyped-def]
    """The magnitudes from which on a coefficient removes more squared error than its bits cost.

    Args:
      least: is filled.
      contexts: states of the MQ coder's contexts.
      plane: bit-plane, with fraction bits.
      price: squared error, in fixed-point units, that a bit must bring.
      bits: of `Tables`, `more_bits`.
    """
    middle = 1.5 * np.float64(np.int64(1) << plane)  # what a decoder takes
    for k in range(_IN_RUN + 1):
        cost = 1.0 + (bits[contexts[k]] if k < _IN_RUN else bits[contexts[_RUN]] + 2.0)
        # Removes m^2 - (m - middle)^2 = middle (2 m - middle).
        worth = (_LEAST_RETURN * price * cost / middle + middle) / 2
        least[k] = np.int64(min(max(worth, 0.0), 2.0 ** (plane + 1) - 1))


@compiled
def _propagate(scratch, samples, width, height, plane, zero, signs):  # type: ignore[no-untyped-def]
    """Significance propagation (D.3.1): decisions, coefficients that became significant, their magnitudes."""
    words, active, decisions, least = scratch.words, scratch.active, scratch.decisions, scratch.least
    line, every = width + 2, _columns(width)
    n, found, total = 0, 0, np.int64(0)
    for stripe in range((height + 3) >> 2):
        lines = min(4, height - 4 * stripe)
        left = active[stripe + 1] & every
        while left:
            x = trailing_zeros(left)
            at = (stripe + 1) * line + 1 + x
            word = np.int64(words[at])
            near = word & 0x3FFFF
            near |= (near >> 1) | (near >> 2)
            if (near | (near >> 3) | (near >> 6)) & ~(word >> 4) & _ALL_FOUR:
                sample = 4 * stripe * width + x
                for i in range(lines):
                    here = word >> (3 * i)
                    magnitude = np.int64(samples[sample])
                    takes_part = np.int64((here & _AROUND) != 0) & ~(here >> 4)
                    bit = (magnitude >> plane) & takes_part
                    context = zero[here & _AROUND]
                    if bit and (magnitude & 0x7FFFFFFF) < least[context >> 1]:
                        _leave_out(samples, sample, plane)
                        bit = np.int64(0)
                    decisions[n] = np.uint8(context | bit)
                    n += takes_part
                    word |= takes_part << (_VISITED_AT + 3 * i)
                    if bit:
                        sign = magnitude >> SIGN_BIT
                        decisions[n] = _sign_decision(word, words, at, i, sign, signs)
                        n += 1
                        word = _mark(word, words, active, line, stripe, x, i, sign)
                        found += 1
                        total += magnitude & 0x7FFFFFFF
                    sample += width
                words[at] = np.uint32(word)
            if x >= 63:
                break
            left = active[stripe + 1] & every & (np.int64(-2) << x)
    return n, found, total


@compiled
def _refine(scratch, samples, width, height, plane):  # type: ignore[no-untyped-def]
    """Magnitude refinement (D.3.3): decisions, ones among them, what magnitudes have from this plane down.

    The remainders are summed separately for zeros and for ones.
    """
    words, active, decisions = scratch.words, scratch.active, scratch.decisions
    line, every = width + 2, _columns(width)
    n, ones, rest_of_all, rest_of_ones = 0, 0, np.int64(0), np.int64(0)
    mask = (np.int64(2) << plane) - 1
    for stripe in range((height + 3) >> 2):
        left = active[stripe + 1] & every
        while left:
            x = trailing_zeros(left)
            left &= left - 1
            at = (stripe + 1) * line + 1 + x
            word = np.int64(words[at])
            refined = (word >> 4) & ~(word >> _VISITED_AT) & _ALL_FOUR
            if refined:
                sample = 4 * stripe * width + x
                for i in range(4):
                    k = 3 * i
                    takes_part = (refined >> k) & 1
                    here = word >> k
                    # Context 16 after the first refinement; before, 15 with significant neighbors, else 14.
                    context = 28 + max((here >> (_REFINED_AT - 2)) & 4, np.int64((here & _AROUND) != 0) << 1)
                    magnitude = np.int64(samples[sample])
                    bit = (magnitude >> plane) & takes_part
                    rest = magnitude & mask & -takes_part
                    ones += bit
                    rest_of_ones += rest & -bit
                    rest_of_all += rest
                    decisions[n] = np.uint8(context | bit)
                    n += takes_part
                    word |= takes_part << (_REFINED_AT + k)
                    sample += width
                words[at] = np.uint32(word)
    return n, ones, rest_of_all - rest_of_ones, rest_of_ones


@compiled
def _clean_up(scratch, samples, width, height, plane, zero, signs):  # type: ignore[no-untyped-def]
    """Cleanup (D.3.4), which forgets who was visited; returns like `_propagate`."""
    words, active, tops, decisions = scratch.words, scratch.active, scratch.tops, scratch.decisions
    least = scratch.least
    line, every = width + 2, _columns(width)
    n, found, total = 0, 0, np.int64(0)
    for stripe in range((height + 3) >> 2):
        lines = min(4, height - 4 * stripe)
        begin = 0
        while begin < width:
            # Columns without neighbors or own bits are one decision each: "run", all zeros.
            busy = every if lines < 4 else (active[stripe + 1] | tops[stripe, plane]) & every
            busy &= np.int64(-1) << begin
            x = trailing_zeros(busy) if busy else np.int64(width)
            for k in range(n, n + x - begin):
                decisions[k] = _RUN << 1
            n += x - begin
            if x >= width:
                break
            begin = x + 1
            at = (stripe + 1) * line + 1 + x
            word = np.int64(words[at])
            sample = 4 * stripe * width + x
            i = 0
            if word == 0 and lines == 4:
                if least[_IN_RUN]:
                    _leave_out_run(scratch, samples, sample, width, stripe, x, plane)
                if not (tops[stripe, plane] >> x) & 1:
                    decisions[n] = _RUN << 1
                    n += 1
                    continue
                while not (np.int64(samples[sample]) >> plane) & 1:
                    i += 1
                    sample += width
                sign = np.int64(samples[sample]) >> SIGN_BIT
                decisions[n] = _RUN << 1 | 1
                decisions[n + 1] = np.uint8(_UNIFORM << 1 | i >> 1)
                decisions[n + 2] = np.uint8(_UNIFORM << 1 | i & 1)
                decisions[n + 3] = _sign_decision(word, words, at, i, sign, signs)
                n += 4
                word = _mark(word, words, active, line, stripe, x, i, sign)
                found += 1
                total += np.int64(samples[sample]) & 0x7FFFFFFF
                i += 1
                sample += width
            if ((word >> 4) | (word >> _VISITED_AT)) & _ALL_FOUR != _ALL_FOUR:
                while i < lines:
                    here = word >> (3 * i)
                    magnitude = np.int64(samples[sample])
                    takes_part = np.int64((here & (1 << _VISITED_AT | _SELF)) == 0)
                    bit = (magnitude >> plane) & takes_part
                    context = zero[here & _AROUND]
                    if bit and (magnitude & 0x7FFFFFFF) < least[context >> 1]:
                        _leave_out(samples, sample, plane)
                        bit = np.int64(0)
                    decisions[n] = np.uint8(context | bit)
                    n += takes_part
                    if bit:
                        sign = magnitude >> SIGN_BIT
                        decisions[n] = _sign_decision(word, words, at, i, sign, signs)
                        n += 1
                        word = _mark(word, words, active, line, stripe, x, i, sign)
                        found += 1
                        total += magnitude & 0x7FFFFFFF
                    i += 1
                    sample += width
            words[at] = np.uint32(word & ~(_ALL_FOUR << _VISITED_AT))
    return n, found, total


@compiled
def _columns(width):  # type: ignore[no-untyped-def]
    """A bit for each column of a block."""
    return np.int64(-1) if width >= 64 else (np.int64(1) << width) - 1


@compiled
def _rebuild(scratch, samples, width, height, plane):  # type: ignore[no-untyped-def]
    """The words as the cleanup pass of a plane leaves them: they follow from the coefficients."""
    words, active = scratch.words, scratch.active
    line = width + 2
    for stripe in range((height + 3) >> 2):
        for x in range(width):
            at = (stripe + 1) * line + 1 + x
            for i in range(min(4, height - 4 * stripe)):
                magnitude = np.int64(samples[(4 * stripe + i) * width + x])
                known = (magnitude & 0x7FFFFFFF) >> plane
                if known:
                    word = np.int64(words[at])
                    word = _mark(word, words, active, line, stripe, x, i, magnitude >> SIGN_BIT)
                    words[at] = np.uint32(word | np.int64(known > 1) << (_REFINED_AT + 3 * i))


# ---------------------------------------------------------------- code-blocks


@compiled
def _survey(samples, width, height, tops, columns):  # type: ignore[no-untyped-def]
    """Fills `tops`; returns the union of all magnitudes, the sum of their squares, and how many are nothing.

    `columns` is room for a word for each column.
    """
    union, squares, zeros = np.uint32(0), 0.0, np.int64(0)
    tops[:] = 0
    for stripe in range((height + 3) >> 2):
        columns[:width] = 0
        for y in range(4 * stripe, min(4 * stripe + 4, height)):
            line = samples[y * width : (y + 1) * width]
            of_line = np.uint64(0)  # whole numbers, which add up in any order: so the loop is vectorized
            for x in range(width):
                magnitude = line[x] & np.uint32(0x7FFFFFFF)
                columns[x] |= magnitude
                zeros += np.int64(magnitude == np.uint32(0))
                of_line += np.uint64(magnitude) * np.uint64(magnitude)
            squares += np.float64(of_line)
        for x in range(width):
            column = columns[x]
            union |= column
            if column >> np.uint32(FRACTION_BITS):
                tops[stripe, 31 - np.int64(leading_zeros(column))] |= np.int64(1) << x
    return union, squares, zeros


@compiled
def _first_pass_at_best(samples, planes):  # type: ignore[no-untyped-def]
    """How much better than the best usual one a first pass may be, if its coefficients are a pattern."""
    least = np.uint32(1) << np.uint32(planes - 1 + FRACTION_BITS)
    found = np.int64(0)
    for k in range(len(samples)):
        found += np.int64((samples[k] & np.uint32(0x7FFFFFFF)) >= least)
    return _PATTERN_GAIN * found / (_PATTERN_BYTES + _PATTERN_BITS / 8 * found) / _BEST_FIRST_SLOPE


@compiled
def _gain(kind, plane, exact, counts):  # type: ignore[no-untyped-def]
    """The squared error, in fixed-point units, that a pass removes; `counts` is what the pass returned.

    A decoder takes the middle of the interval that a magnitude is known to lie in; with the 5/3 transform
    and no bit-plane left it knows the magnitude itself.
    """
    unit = np.float64(np.int64(1) << plane)
    if kind == _REFINEMENT:
        n, ones, rest_of_zeros, rest_of_ones = counts
        if exact:
            return (n - ones) * unit * unit
        return (
            unit
            / 2
            * ((2.0 * rest_of_ones - 2.5 * unit * ones) + (1.5 * unit * (n - ones) - 2.0 * rest_of_zeros))
        )
    _, found, total, _ = counts
    if exact:
        return found * unit * unit
    return 1.5 * unit * (2.0 * total - found * 1.5 * unit)


@compiled
def _next_pass(done, planes):  # type: ignore[no-untyped-def]
    """Kind and bit-plane (with fraction bits) of the pass after `done` ones."""
    return (done + 2) % 3, planes - 1 - (done + 2) // 3 + FRACTION_BITS


@compiled
def _is_worth_it(done, b, passes, error, threshold):  # type: ignore[no-untyped-def]
    """Whether the pass after `done` ones may bring more squared error per byte than the threshold."""
    kind, plane = _next_pass(done, np.int64(passes.planes[b]))
    unit = np.float64(np.int64(1) << plane)
    recent = passes.recent[b]
    better = max(1.0, max(recent[0], max(recent[1], recent[2])))
    best = _BEST_SLOPES[kind] if done else _BEST_FIRST_SLOPE
    return best * passes.margin[b] * better * unit * unit * error >= threshold


@compiled
def _load_state(b, samples, blocks, scratch, passes, old_body, tables):  # type: ignore[no-untyped-def]
    """Brings a block that was coded in part to where it stopped: codeword, words, registers."""
    width, height = np.int64(blocks.width[b]), np.int64(blocks.height[b])
    done = np.int64(passes.number[b])
    size = passes.size[b]
    scratch.out[1 : size + 1] = old_body[passes.start[b] : passes.start[b] + size]
    at = passes.at[b, done - 1]
    scratch.out[at] = passes.last[b, done - 1]
    kind, plane = _next_pass(done, np.int64(passes.planes[b]))
    _rebuild(scratch, samples, width, height, plane + 1)
    if kind > _SIGNIFICANCE:  # within a plane: what its first passes do to the words
        _propagate(scratch, samples, width, height, plane, tables.zero[blocks.band[b]], tables.signs)
    if kind > _REFINEMENT:
        _refine(scratch, samples, width, height, plane)
    k = done - 1
    return passes.c[b, k], np.uint32(passes.a[b, k]), np.uint32(passes.free[b, k]), np.int64(at)


@compiled
def _code_passes(b, samples, blocks, rule, scratch, passes, registers, tables):  # type: ignore[no-untyped-def]
    """Codes passes of a block until none is worth it any more; returns the registers."""
    zero, signs = tables.zero[blocks.band[b]], tables.signs
    width, height = np.int64(blocks.width[b]), np.int64(blocks.height[b])
    planes = np.int64(passes.planes[b])
    contexts, recent = passes.contexts[b], passes.recent[b]
    decisions, out = scratch.decisions, scratch.out
    error = blocks.error[b]
    k = np.int64(passes.number[b])
    while k < 3 * planes - 2:
        kind, plane = _next_pass(k, planes)
        if not _is_worth_it(k, b, passes, error, rule.thresholds[b]):
            break
        if rule.prices[b] > 0 and k >= _FIRST_PASSES and passes.margin[b] == _MARGIN:
            _set_least(scratch.least, contexts, plane, rule.prices[b] / (8 * error), tables.more_bits)
        if kind == _REFINEMENT:
            counts = _refine(scratch, samples, width, height, plane)
        elif kind == _SIGNIFICANCE:
            n, found, total = _propagate(scratch, samples, width, height, plane, zero, signs)
            counts = n, found, total, np.int64(0)
        else:
            n, found, total = _clean_up(scratch, samples, width, height, plane, zero, signs)
            counts = n, found, total, np.int64(0)
        before = 8 * registers[3] - np.int64(registers[2])
        registers = _code(decisions, counts[0], contexts, registers, out, tables.mq)
        c, a, free, at = registers
        gain = _gain(kind, plane, rule.exact and plane == FRACTION_BITS, counts)
        passes.gains[b, k] = np.float32(gain * error)
        passes.c[b, k], passes.a[b, k], passes.free[b, k] = c, np.uint16(a), np.uint8(free)
        passes.at[b, k], passes.last[b, k] = np.int32(at), out[at]
        k += 1
        spent = max(np.float64(8 * at - np.int64(free) - before) / 8, 1.0)
        unit = np.float64(np.int64(1) << plane)
        recent[2], recent[1] = recent[1], recent[0]
        recent[0] = gain / (spent * unit * unit * _BEST_SLOPES[kind])
    passes.number[b] = np.int16(k)
    return registers


@compiled
def _grown(body, used, more):  # type: ignore[no-untyped-def]
    """The body, with room for `more` bytes beyond those used."""
    if used + more <= len(body):
        return body
    larger = np.empty(2 * len(body) + more, np.uint8)
    larger[:used] = body[:used]
    return larger


@compiled
def code_blocks(todo, coefficients, blocks, rule, passes, old_body, body, tables):  # type: ignore[no-untyped-def]
    """Codes blocks until no pass of theirs is worth it, from where each was left.

    Args:
      todo: numbers of blocks.
      coefficients: `Coefficients` of all of them.
      blocks: `Blocks`.
      rule: `Rule`. Where it leaves out coefficients, those in `coefficients` change with it.
      passes: `Passes`; entries of other blocks are not touched, so that threads may share it.
      old_body: where the codewords of blocks that have begun lie.
      body: room for the codewords of this call; it grows.
      tables: `TABLES`.

    Returns:
      The body and how many bytes of it are used. `passes.start` then refers to it for all of `todo`.
    """
    scratch = _Scratch(
        np.zeros(18 * 66 * 8, np.uint32),
        np.zeros(1026, np.int64),
        np.zeros((1024, 32), np.int64),
        np.empty(4 * MAX_BLOCK_SAMPLES + 16, np.uint8),
        np.empty(64, np.uint32),
        np.empty(1 << 17, np.uint8),
        np.zeros(10, np.int64),
    )
    used = np.int64(0)
    for t in range(len(todo)):
        b = todo[t]
        width, height = np.int64(blocks.width[b]), np.int64(blocks.height[b])
        first = blocks.start[b] - coefficients.offset
        samples = coefficients.values[first : first + width * height]
        done = np.int64(passes.number[b])
        if done:
            more = done < 3 * np.int64(passes.planes[b]) - 2
            if not (more and _is_worth_it(done, b, passes, blocks.error[b], rule.thresholds[b])):
                size = np.int64(passes.size[b])
                body = _grown(body, used, size)
                body[used : used + size] = old_body[passes.start[b] : passes.start[b] + size]
                passes.start[b] = used
                used += size
                continue
        stripes = (height + 3) >> 2
        scratch.words[: (stripes + 2) * (width + 2)] = 0
        scratch.active[: stripes + 2] = 0
        union, energy, zeros = _survey(samples, width, height, scratch.tops[:stripes], scratch.columns)
        scratch.out[0] = 0
        scratch.least[:] = 0
        if done:
            registers = _load_state(b, samples, blocks, scratch, passes, old_body, tables)
        else:
            planes = 0
            while union >> np.uint32(planes + FRACTION_BITS):
                planes += 1
            passes.planes[b] = np.int16(planes)
            passes.energy[b] = energy * blocks.error[b]
            passes.margin[b] = _MARGIN
            if _DRAWN * zeros >= width * height and planes:
                passes.margin[b] = _DRAWN_MARGIN
                passes.recent[b, 0] = _first_pass_at_best(samples, planes) / _DRAWN_MARGIN
            passes.contexts[b] = _FIRST_STATES
            registers = np.uint32(0), np.uint32(0x8000), np.uint32(12), np.int64(0)
            passes.start[b] = used
        registers = _code_passes(b, samples, blocks, rule, scratch, passes, registers, tables)
        count = np.int64(passes.number[b])
        if count == 0:
            continue
        end = _flush(registers, scratch.out)
        for k in range(count):
            passes.lengths[b, k] = _shortest(
                passes.c[b, k], passes.a[b, k], passes.free[b, k], passes.last[b, k],
                np.int64(passes.at[b, k]), scratch.out, end,
            )  # fmt: skip
        body = _grown(body, used, end)
        body[used : used + end] = scratch.out[1 : end + 1]
        passes.start[b], passes.size[b] = used, np.int32(end)
        used += end
    return body, used


TABLES = Tables(_transitions(), _zero_contexts(), _sign_contexts(), _more_bits())


@compiled
def count_tops(coefficients, blocks, stride, counts):  # type: ignore[no-untyped-def]
    """How many magnitudes of each block have their highest bit in each plane, from every `stride`-th line.

    Args:
      coefficients, blocks: as `code_blocks` takes them.
      stride: of blocks with 16 lines or more; smaller ones are counted whole.
      counts: (blocks, 33) float32; entry p + 1 is of plane p, without fraction bits, entry 0 of zeros.
    """
    values = coefficients.values
    for b in range(len(blocks.start)):
        width, height = np.int64(blocks.width[b]), np.int64(blocks.height[b])
        first = blocks.start[b] - coefficients.offset
        if first < 0 or first >= len(values):
            continue
        step = stride if height >= 16 else 1
        lines = 0
        for y in range(step >> 1 if height > step else 0, height, step):
            lines += 1
            for at in range(first + y * width, first + (y + 1) * width):
                magnitude = (values[at] & np.uint32(0x7FFFFFFF)) >> np.uint32(FRACTION_BITS)
                top = 0 if magnitude == 0 else 32 - np.int64(leading_zeros(magnitude))
                counts[b, top] += np.float32(1)
        counts[b] *= np.float32(height / max(lines, 1))
