"""How few bytes a truncated code-block needs: the arithmetic decoder, run for its registers.

An encoder that notes where a coding pass may be cut before its codeword is complete has to guess on the safe
side: OpenJPEG adds five bytes to what it has written. A decoder extends a cut codeword with ones. So the
shortest cut is the shortest prefix which, extended with ones, still lies in the coder's interval at the end
of the pass. The interval comes from decoding the block's symbols; their values are of no interest here, only
which contexts they choose (ISO/IEC 15444-1 Annexes C and D).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec.layout import HH, HL, Layout
from foveate.codec.packets import Contributions
from foveate.compiled import compiled

# Table C.2: probability of the less probable symbol, next state after the more and the less probable, switch.
_STATES = np.array(
    [
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
    ],
    np.int32,
)  # fmt: skip


def _with_symbols(states: NDArray[np.int32]) -> NDArray[np.int32]:
    """The states by index and symbol: entry 2 i + s holds probability, next state, next if rare."""
    symbol = np.tile([0, 1], len(states))
    probability, more, less, switch = states.repeat(2, 0).T
    return np.stack([probability, 2 * more + symbol, 2 * less + (symbol ^ switch)], 1).astype(np.int32)


_SYMBOL_STATES = _with_symbols(_STATES)

# State of a coefficient: which neighbors are significant, which of those are negative, and its own.
_NE, _SE, _SW, _NW, _N, _E, _S, _W = (1 << i for i in range(8))
_N_MINUS, _E_MINUS, _S_MINUS, _W_MINUS = (1 << i for i in range(8, 12))
_SIGNIFICANT, _REFINED, _VISITED = 1 << 12, 1 << 13, 1 << 14
_NEIGHBORS = 0xFF
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19


def _zero_contexts() -> NDArray[np.uint8]:
    """Contexts 0 to 8 (Table D.1) by band and significant neighbors: (4, 256)."""
    table = np.zeros((4, 256), np.uint8)
    for flags in range(256):
        h = bool(flags & _E) + bool(flags & _W)
        v = bool(flags & _N) + bool(flags & _S)
        d = sum(bool(flags & corner) for corner in (_NE, _SE, _SW, _NW))
        for band in range(4):
            table[band, flags] = _zero_context(band, h, v, d)
    return table


def _zero_context(band: int, h: int, v: int, d: int) -> int:
    if band == HH:
        if d >= 3:
            return 8
        return (0, 3, 6)[d] + min(h + v, (2, 2, 1)[d])
    if band == HL:
        h, v = v, h
    if h == 2:
        return 8
    if h == 1:
        return 7 if v else 6 if d else 5
    return v + 2 if v else min(d, 2)


def _sign_contexts() -> NDArray[np.uint8]:
    """Contexts 9 to 13 (Table D.3), 128 more where the bit is inverted, by bits 4 to 11 of a state."""
    table = np.zeros(256, np.uint8)
    for index in range(256):
        flags = index << 4

        def part(side: int, minus: int, flags: int = flags) -> int:
            return 0 if not flags & side else -1 if flags & minus else 1

        h = max(-1, min(1, part(_E, _E_MINUS) + part(_W, _W_MINUS)))
        v = max(-1, min(1, part(_N, _N_MINUS) + part(_S, _S_MINUS)))
        inverted = h < 0 or (h == 0 and v < 0)
        h, v = (-h, -v) if inverted else (h, v)
        table[index] = (10 if v else 9) if h == 0 else 12 + v
        table[index] += 128 * inverted
    return table


_ZERO_CONTEXTS, _SIGN_CONTEXTS = _zero_contexts(), _sign_contexts()


def tighten(layout: Layout, parts: Contributions, upto: NDArray[np.int32]) -> Contributions:
    """The same contributions, cut as early as a decoder allows at every layer's end.

    Decodes to exactly the same coefficients, whatever layers are kept.

    Args:
      layout, parts: of a layered codestream, from `allocation.parse_layers`.
      upto: (blocks,) the first layer of each block that is left as it is. Each takes the time to decode.

    Returns:
      Contributions whose body holds each block's bytes in one piece; `parts` itself where a code-block style
      changes what is decoded.
    """
    if layout.blocks.style.any():
        return parts
    starts = np.zeros(parts.lengths.shape[1] + 1, np.int64)
    np.cumsum(parts.lengths.sum(0, dtype=np.int64), out=starts[1:])
    body = np.empty(int(starts[-1]), np.uint8)
    lengths = np.zeros_like(parts.lengths)
    offsets = np.zeros_like(parts.offsets)
    _tighten(parts.body, parts.passes, parts.lengths, parts.offsets, layout.blocks.band, layout.blocks.box,
             np.ascontiguousarray(upto, np.int32), starts, body, lengths, offsets,
             _SYMBOL_STATES, _ZERO_CONTEXTS, _SIGN_CONTEXTS)  # fmt: skip
    body.flags.writeable = False  # like what was parsed
    return dataclasses.replace(parts, body=body, lengths=lengths, offsets=offsets)


# The decoder's registers A, C, CT and BP (C.3) travel as a tuple, so that they stay in the processor's.


@compiled
def _tighten(  # type: ignore[no-untyped-def]
    source, passes, source_lengths, source_offsets, bands, boxes, upto, starts, body, lengths, offsets,
    states, zero_contexts, sign_contexts,
):  # fmt: skip
    contexts = np.zeros(_CONTEXTS, np.int32)
    widest, highest = 0, 0
    for b in range(len(bands)):
        widest, highest = max(widest, boxes[b, 2] - boxes[b, 0]), max(highest, boxes[b, 3] - boxes[b, 1])
    scratch = np.zeros((widest + 2) * (highest + 2), np.int32)
    columns = np.zeros(((highest + 3) // 4 + 2, widest + 2), np.bool_)
    for b in range(len(bands)):
        position = starts[b]
        for k in range(len(passes)):
            n = source_lengths[k, b]
            body[position : position + n] = source[source_offsets[k, b] : source_offsets[k, b] + n]
            position += n
        data = body[starts[b] : starts[b + 1]]
        across, down = boxes[b, 2] - boxes[b, 0], boxes[b, 3] - boxes[b, 1]
        flags = scratch[: (across + 2) * (down + 2)]
        busy = columns[: (down + 3) // 4 + 2, : across + 2]
        if upto[b]:
            flags[:] = 0
            busy[:] = False
            _reset(contexts)
        registers = _start(data)
        done, given, safe = 0, 0, 0
        for k in range(len(passes)):
            safe += source_lengths[k, b]
            end = safe
            if k < upto[b]:
                if not passes[k, b]:
                    continue
                for _ in range(passes[k, b]):
                    kind = (done + 2) % 3
                    if kind == 0:
                        registers = _propagate(flags, busy, across, down, registers, contexts, data,
                                               states, zero_contexts[bands[b]], sign_contexts)  # fmt: skip
                    elif kind == 1:
                        registers = _refine(flags, busy, across, down, registers, contexts, data, states)
                    else:
                        registers = _clean_up(flags, busy, across, down, registers, contexts, data,
                                              states, zero_contexts[bands[b]], sign_contexts)  # fmt: skip
                    done += 1
                end = min(safe, _shortest(registers, data))
            offsets[k, b] = starts[b] + given
            lengths[k, b] = max(0, end - given)
            given = max(given, end)


@compiled
def _shortest(registers, data):  # type: ignore[no-untyped-def]
    """The least number of bytes that decode up to here, extended with ones."""
    a, value, count, last = registers
    limit = a << 16
    unit = 16 - count  # the place of the lowest bit of the last byte read
    if last >= len(data):
        return len(data)
    best = last + 1
    for end in range(last, 0, -1):
        # Take away the byte at `end`; what is left ends with the one before it.
        value -= data[end] << unit
        unit += 7 if data[end - 1] == 0xFF else 8
        if unit > 32:
            break
        if data[end - 1] != 0xFF and value + (1 << unit) <= limit:
            best = end
    return best


@compiled
def _reset(contexts):  # type: ignore[no-untyped-def]
    """The contexts' first states (Table D.7)."""
    contexts[:] = 0
    contexts[0], contexts[_RUN], contexts[_UNIFORM] = 4 << 1, 3 << 1, 46 << 1


@compiled
def _start(data):  # type: ignore[no-untyped-def]
    """INITDEC (C.3.5)."""
    c = np.int64(data[0] if len(data) else 0xFF) << 16
    c, count, at = _read_byte(c, np.int64(0), data)
    return np.int64(0x8000), c << 7, count - 7, at


@compiled
def _read_byte(c, at, data):  # type: ignore[no-untyped-def]
    """BYTEIN (C.3.4); past the end there are ones."""
    size = len(data)
    here = np.int64(data[at]) if at < size else np.int64(0xFF)
    following = np.int64(data[at + 1]) if at + 1 < size else np.int64(0xFF)
    if here != 0xFF:
        return c + (following << 8), np.int64(8), at + 1
    if following <= 0x8F:
        return c + (following << 9), np.int64(7), at + 1
    return c + 0xFF00, np.int64(8), max(at, np.int64(size))


@compiled
def _decode(context, registers, contexts, data, states):  # type: ignore[no-untyped-def]
    """DECODE (C.3.2): the next bit, and the registers after it."""
    a, c, count, at = registers
    state = contexts[context]
    bit = state & 1
    rare = np.int64(states[state, 0])
    a -= rare
    if (c >> 16) < rare:
        if a < rare:
            contexts[context] = states[state, 1]
        else:
            contexts[context] = states[state, 2]
            bit ^= 1
        a = rare
    else:
        c -= rare << 16
        if a & 0x8000:
            return bit, (a, c, count, at)
        if a < rare:
            contexts[context] = states[state, 2]
            bit ^= 1
        else:
            contexts[context] = states[state, 1]
    while True:
        if count == 0:
            c, count, at = _read_byte(c, at, data)
        a <<= 1
        c <<= 1
        count -= 1
        if a & 0x8000:
            return bit, (a, c, count, at)


# A column is four coefficients of a stripe, one below the other (D.1). Most columns of a coarsely coded block
# stay idle: `busy`, (stripes + 2, across + 2), says which have a significant coefficient in or next to them.


@compiled
def _propagate(  # type: ignore[no-untyped-def]
    flags, busy, across, down, registers, contexts, data, states, zero_contexts, sign_contexts
):
    """Significance propagation (D.3.1)."""
    wide = across + 2
    for top in range(0, down, 4):
        for x in range(across):
            if not busy[(top >> 2) + 1, x + 1]:
                continue
            at = (top + 1) * wide + x + 1
            for y in range(top, min(top + 4, down)):
                flag = flags[at]
                if flag & _NEIGHBORS and not flag & _SIGNIFICANT:
                    flags[at] = flag | _VISITED
                    bit, registers = _decode(
                        zero_contexts[flag & _NEIGHBORS], registers, contexts, data, states
                    )
                    if bit:
                        registers = _decode_sign(x, y, wide, flags, busy, registers, contexts, data, states,
                                                 sign_contexts)  # fmt: skip
                at += wide
    return registers


@compiled
def _refine(flags, busy, across, down, registers, contexts, data, states):  # type: ignore[no-untyped-def]
    """Magnitude refinement (D.3.3)."""
    wide = across + 2
    for top in range(0, down, 4):
        for x in range(across):
            if not busy[(top >> 2) + 1, x + 1]:
                continue
            at = (top + 1) * wide + x + 1
            for _ in range(top, min(top + 4, down)):
                flag = flags[at]
                if flag & (_SIGNIFICANT | _VISITED) == _SIGNIFICANT:
                    context = 16 if flag & _REFINED else 15 if flag & _NEIGHBORS else 14
                    _, registers = _decode(context, registers, contexts, data, states)
                    flags[at] = flag | _REFINED
                at += wide
    return registers


@compiled
def _clean_up(  # type: ignore[no-untyped-def]
    flags, busy, across, down, registers, contexts, data, states, zero_contexts, sign_contexts
):
    """Cleanup (D.3.4)."""
    wide = across + 2
    for top in range(0, down, 4):
        bottom = min(top + 4, down)
        for x in range(across):
            y = top
            if not busy[(top >> 2) + 1, x + 1] and bottom - top == 4:
                bit, registers = _decode(_RUN, registers, contexts, data, states)
                if not bit:
                    continue
                upper, registers = _decode(_UNIFORM, registers, contexts, data, states)
                lower, registers = _decode(_UNIFORM, registers, contexts, data, states)
                y += upper << 1 | lower
                registers = _decode_sign(x, y, wide, flags, busy, registers, contexts, data, states,
                                         sign_contexts)  # fmt: skip
                y += 1
            at = (y + 1) * wide + x + 1
            for below in range(y, bottom):
                flag = flags[at]
                if not flag & (_SIGNIFICANT | _VISITED):
                    bit, registers = _decode(
                        zero_contexts[flag & _NEIGHBORS], registers, contexts, data, states
                    )
                    if bit:
                        registers = _decode_sign(x, below, wide, flags, busy, registers, contexts, data,
                                                 states, sign_contexts)  # fmt: skip
                flags[at] &= ~_VISITED
                at += wide
    return registers


@compiled
def _decode_sign(  # type: ignore[no-untyped-def]
    x, y, wide, flags, busy, registers, contexts, data, states, sign_contexts
):
    """The sign of a coefficient that has become significant; tells its neighbors."""
    at = (y + 1) * wide + x + 1
    context = sign_contexts[(flags[at] >> 4) & 0xFF]
    bit, registers = _decode(context & 127, registers, contexts, data, states)
    minus = bit ^ (context >> 7)
    flags[at] |= _SIGNIFICANT
    flags[at - wide - 1] |= _SE
    flags[at - wide + 1] |= _SW
    flags[at + wide - 1] |= _NE
    flags[at + wide + 1] |= _NW
    flags[at - wide] |= _S | (_S_MINUS if minus else 0)
    flags[at + wide] |= _N | (_N_MINUS if minus else 0)
    flags[at - 1] |= _E | (_E_MINUS if minus else 0)
    flags[at + 1] |= _W | (_W_MINUS if minus else 0)
    for stripe in range(((y - 1) >> 2) + 1, ((y + 1) >> 2) + 2):
        busy[stripe, x : x + 3] = True
    return registers
