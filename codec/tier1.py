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

from codec.codestream import Codestream
from codec.compiled import compiled
from codec.layout import HH, HL, Layout
from codec.packets import Contributions

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

# State of a coefficient: which neighbours are significant, which of those are negative, and its own.
_NE, _SE, _SW, _NW, _N, _E, _S, _W = (1 << i for i in range(8))
_N_MINUS, _E_MINUS, _S_MINUS, _W_MINUS = (1 << i for i in range(8, 12))
_SIGNIFICANT, _REFINED, _VISITED = 1 << 12, 1 << 13, 1 << 14
_NEIGHBOURS = 0xFF
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19
_A, _C, _CT, _BP = 0, 1, 2, 3  # registers of the decoder


def _zero_contexts() -> NDArray[np.uint8]:
    """Contexts 0 to 8 (Table D.1) by band and significant neighbours: (4, 256)."""
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


def tighten(
    stream: Codestream, layout: Layout, parts: Contributions, upto: NDArray[np.int32]
) -> Contributions:
    """The same contributions, cut as early as a decoder allows at every layer's end.

    Decodes to exactly the same coefficients, whatever layers are kept.

    Args:
      stream, layout, parts: a layered codestream, from `allocation.parse_layers`.
      upto: (blocks,) the first layer of each block that is left as it is. Each takes the time to decode.

    Returns:
      Contributions whose body holds each block's bytes in one piece; `parts` itself where a code-block style
      changes what is decoded.
    """
    parameters = (stream, *stream.tile_parameters.values())
    if any(coding.block_style for own in parameters for coding in own.coding):
        return parts
    starts = np.zeros(parts.lengths.shape[1] + 1, np.int64)
    np.cumsum(parts.lengths.sum(0, dtype=np.int64), out=starts[1:])
    body = np.empty(int(starts[-1]), np.uint8)
    lengths = np.zeros_like(parts.lengths)
    offsets = np.zeros_like(parts.offsets)
    _tighten(parts.body, parts.passes, parts.lengths, parts.offsets, layout.blocks.band, layout.blocks.box,
             np.ascontiguousarray(upto, np.int32), starts, body, lengths, offsets,
             _STATES, _ZERO_CONTEXTS, _SIGN_CONTEXTS)  # fmt: skip
    body.flags.writeable = False  # like what was parsed
    return dataclasses.replace(parts, body=body, lengths=lengths, offsets=offsets)


@compiled
def _tighten(  # type: ignore[no-untyped-def]
    source, passes, source_lengths, source_offsets, bands, boxes, upto, starts, body, lengths, offsets,
    states, zero_contexts, sign_contexts,
):  # fmt: skip
    registers, contexts = np.zeros(4, np.int64), np.zeros(_CONTEXTS, np.int32)
    longest = 0
    for b in range(len(bands)):
        longest = max(longest, (boxes[b, 2] - boxes[b, 0] + 2) * (boxes[b, 3] - boxes[b, 1] + 2))
    scratch = np.zeros(longest, np.int32)
    for b in range(len(bands)):
        position = starts[b]
        for k in range(len(passes)):
            n = source_lengths[k, b]
            body[position : position + n] = source[source_offsets[k, b] : source_offsets[k, b] + n]
            position += n
        data = body[starts[b] : starts[b + 1]]
        across, down = boxes[b, 2] - boxes[b, 0], boxes[b, 3] - boxes[b, 1]
        flags = scratch[: (across + 2) * (down + 2)]
        flags[:] = 0
        _start(registers, contexts, data)
        done, given, safe = 0, 0, 0
        for k in range(len(passes)):
            safe += source_lengths[k, b]
            end = safe
            if k < upto[b]:
                if not passes[k, b]:
                    continue
                for _ in range(passes[k, b]):
                    _decode_pass((done + 2) % 3, flags, across, down, registers, contexts, data,
                                 states, zero_contexts[bands[b]], sign_contexts)  # fmt: skip
                    done += 1
                end = min(safe, _shortest(registers, data))
            offsets[k, b] = starts[b] + given
            lengths[k, b] = max(0, end - given)
            given = max(given, end)


@compiled
def _shortest(registers, data):  # type: ignore[no-untyped-def]
    """The least number of bytes that decode up to here, extended with ones."""
    limit = registers[_A] << 16
    value, unit = registers[_C], 16 - registers[_CT]  # of the last byte read: its lowest bit's place
    last = registers[_BP]
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
def _start(registers, contexts, data):  # type: ignore[no-untyped-def]
    """INITDEC (C.3.5) and the contexts' first states (Table D.7)."""
    registers[_BP] = 0
    registers[_C] = (data[0] if len(data) else 0xFF) << 16
    _read_byte(registers, data)
    registers[_C] <<= 7
    registers[_CT] -= 7
    registers[_A] = 0x8000
    contexts[:] = 0
    contexts[0], contexts[_RUN], contexts[_UNIFORM] = 4 << 1, 3 << 1, 46 << 1


@compiled
def _read_byte(registers, data):  # type: ignore[no-untyped-def]
    """BYTEIN (C.3.4); past the end there are ones."""
    at = registers[_BP]
    here = data[at] if at < len(data) else 0xFF
    following = data[at + 1] if at + 1 < len(data) else 0xFF
    if here == 0xFF:
        if following > 0x8F:
            registers[_C] += 0xFF00
            registers[_CT] = 8
            registers[_BP] = max(at, len(data))
        else:
            registers[_BP] = at + 1
            registers[_C] += following << 9
            registers[_CT] = 7
    else:
        registers[_BP] = at + 1
        registers[_C] += following << 8
        registers[_CT] = 8


@compiled
def _decode(context, registers, contexts, data, states):  # type: ignore[no-untyped-def]
    """DECODE (C.3.2). A context is its state's index times two, plus its more probable symbol."""
    state = contexts[context] >> 1
    bit = contexts[context] & 1
    rare = states[state, 0]
    a = registers[_A] - rare
    if (registers[_C] >> 16) < rare:
        if a < rare:
            contexts[context] = states[state, 1] << 1 | bit
        else:
            contexts[context] = states[state, 2] << 1 | (bit ^ states[state, 3])
            bit ^= 1
        a = rare
    else:
        registers[_C] -= rare << 16
        if a & 0x8000:
            registers[_A] = a
            return bit
        if a < rare:
            contexts[context] = states[state, 2] << 1 | (bit ^ states[state, 3])
            bit ^= 1
        else:
            contexts[context] = states[state, 1] << 1 | bit
    while True:
        if registers[_CT] == 0:
            _read_byte(registers, data)
        a <<= 1
        registers[_C] <<= 1
        registers[_CT] -= 1
        if a & 0x8000:
            break
    registers[_A] = a
    return bit


@compiled
def _decode_pass(  # type: ignore[no-untyped-def]
    kind, flags, across, down, registers, contexts, data, states, zero_contexts, sign_contexts
):
    """Significance propagation (kind 0), magnitude refinement (1) or cleanup (2) of a block (D.3)."""
    wide = across + 2
    for top in range(0, down, 4):
        bottom = min(top + 4, down)
        for x in range(across):
            first = (top + 1) * wide + x + 1
            y = top
            if kind == 2 and bottom - top == 4:
                idle = _SIGNIFICANT | _VISITED | _NEIGHBOURS
                if not (flags[first] | flags[first + wide] | flags[first + 2 * wide]
                        | flags[first + 3 * wide]) & idle:  # fmt: skip
                    if not _decode(_RUN, registers, contexts, data, states):
                        continue
                    run = _decode(_UNIFORM, registers, contexts, data, states) << 1
                    run |= _decode(_UNIFORM, registers, contexts, data, states)
                    y = top + run
                    _decode_sign(first + run * wide, wide, flags, registers, contexts, data, states,
                                 sign_contexts)  # fmt: skip
                    y += 1
            while y < bottom:
                at = (y + 1) * wide + x + 1
                y += 1
                flag = flags[at]
                if kind == 1:
                    if flag & (_SIGNIFICANT | _VISITED) == _SIGNIFICANT:
                        context = 16 if flag & _REFINED else 15 if flag & _NEIGHBOURS else 14
                        _decode(context, registers, contexts, data, states)
                        flags[at] = flag | _REFINED
                elif kind == 0:
                    if not flag & _SIGNIFICANT and flag & _NEIGHBOURS:
                        flags[at] = flag | _VISITED
                        context = zero_contexts[flag & _NEIGHBOURS]
                        if _decode(context, registers, contexts, data, states):
                            _decode_sign(at, wide, flags, registers, contexts, data, states, sign_contexts)
                elif not flag & (_SIGNIFICANT | _VISITED):
                    context = zero_contexts[flag & _NEIGHBOURS]
                    if _decode(context, registers, contexts, data, states):
                        _decode_sign(at, wide, flags, registers, contexts, data, states, sign_contexts)
    if kind == 2:
        for at in range(len(flags)):
            flags[at] &= ~_VISITED


@compiled
def _decode_sign(at, wide, flags, registers, contexts, data, states, sign_contexts):  # type: ignore[no-untyped-def]
    """The sign of a coefficient that has become significant; tells its neighbours."""
    context = sign_contexts[(flags[at] >> 4) & 0xFF]
    minus = _decode(context & 127, registers, contexts, data, states) ^ (context >> 7)
    flags[at] |= _SIGNIFICANT
    flags[at - wide - 1] |= _SE
    flags[at - wide + 1] |= _SW
    flags[at + wide - 1] |= _NE
    flags[at + wide + 1] |= _NW
    flags[at - wide] |= _S | (_S_MINUS if minus else 0)
    flags[at + wide] |= _N | (_N_MINUS if minus else 0)
    flags[at - 1] |= _E | (_E_MINUS if minus else 0)
    flags[at + 1] |= _W | (_W_MINUS if minus else 0)
