"""Blurs rows as they arrive with the recursive Gaussian of SSIMULACRA 2.

Three cosines, cut to a window of 9 samples, add up to a Gaussian of sigma 1.5 (Charalampidis 2016, "Recursive
implementation of the Gaussian filter using truncated cosine functions"). Each of them is a recursion

    out[n] = gain * (in[n - 6] + in[n + 4]) + turn * out[n - 1] - out[n - 2]

which never forgets its float32 rounding errors, and the score of a nearly perfect photo depends on them. So
the order of operations is that of the reference program (libjxl 0.11) on a processor with fused multiply-add:
along rows four outputs together, straight from the two before them; down columns one at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled, fused

SIGMA = 1.5
DELAY = 4  # samples needed after a blurred one
_REACH = 6  # and before it
_MARGIN = _REACH + DELAY  # a recursion starts 4 outputs early, with nothing but zeros before
LANES = 16  # rows blurred side by side
_SINGLY, _TOGETHER = 8, 4  # outputs of a row: so many first are computed singly, the next ones by fours

Stack = NDArray[np.float32]  # (planes, h, width)


class RecursiveGaussian:
    """Blurs planes of one width, all at once, as their rows arrive from the top down.

    Outside the planes all samples are zero. Holds 64 bytes per plane and pixel of width.
    """

    def __init__(self, planes: int, width: int) -> None:
        self._recent = np.zeros((planes, _MARGIN, width), np.float32)  # rows, blurred along themselves
        self._states = np.zeros((planes, 2, 3, width), np.float32)  # the last two outputs of each recursion

    def add(self, planes: Stack) -> Stack:
        """Takes the next rows (planes, h, width) and returns as many blurred ones, from 4 rows higher.

        The very first 4 therefore lie above the planes. Only whole groups of 16 rows are blurred at full
        speed.
        """
        count, height, width = planes.shape
        rows = np.empty((count, _MARGIN + height, width), np.float32)
        rows[:, :_MARGIN] = self._recent
        _blur_across(planes, _FACTORS, rows[:, _MARGIN:])
        blurred = np.empty_like(planes)
        _blur_down(rows, _GAINS, _TURNS, self._states, blurred)
        self._recent = rows[:, height:].copy()
        return blurred


def _cosines() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights and the frequencies of the three cosines.

    The weights are the Gaussian's spectrum, changed as little as possible so that the window has a sum of
    exactly 1 and a variance of exactly sigma² (equations 52 to 56).
    """
    radius = DELAY + 1
    offsets = np.arange(-DELAY, DELAY + 1)
    frequencies = np.array([1, 3, 5]) * math.pi / (2 * radius)
    weights = np.exp(-0.5 * (SIGMA * frequencies) ** 2) / radius
    moments = np.stack([np.ones_like(offsets), offsets**2]) @ np.cos(np.outer(offsets, frequencies))
    weights += np.linalg.pinv(moments) @ (np.array([1, SIGMA**2]) - moments @ weights)
    return weights, frequencies


def window() -> NDArray[np.float32]:
    """The middle and one side of the window of 9 samples that is equivalent to the recursions: (5,)."""
    weights, frequencies = _cosines()
    return np.asarray(np.cos(np.outer(np.arange(DELAY + 1), frequencies)) @ weights, np.float32)


def _recursions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The gain and the turn of each of the three recursions."""
    weights, frequencies = _cosines()
    return -weights * np.cos(frequencies * _REACH), 2 * np.cos(frequencies)


def _unrolled(gains: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float32]:
    """Factors (3 recursions, 12) of four outputs together: on their inputs, on out[n - 1] and on out[n - 2].

    A change of an output changes the following ones by powers[0], powers[1] and so on.
    """
    powers = [np.ones_like(turns), turns]
    while len(powers) <= _TOGETHER:
        powers.append(turns * powers[-1] - powers[-2])
    on_inputs = [gains * power for power in powers[:-1]]
    return np.stack([*on_inputs, *powers[1:], *(-power for power in powers[:-1])], axis=1).astype(np.float32)


_GAINS64, _TURNS64 = _recursions()
_FACTORS = _unrolled(_GAINS64, _TURNS64)
_GAINS, _TURNS = np.asarray(_GAINS64, np.float32), np.asarray(_TURNS64, np.float32)


@compiled
def _blur_across(planes, factors, blurred):  # type: ignore[no-untyped-def]
    """Blurs each row of planes (n, h, w) along itself, 16 rows side by side.

    `strip` has a slot of 16 samples for each column: the inputs from slot 14 on, and the outputs from slot 4
    on, where the inputs are no longer needed. All other slots are zero at first.
    """
    count, height, width = planes.shape
    strip = np.empty((DELAY + _MARGIN + width + DELAY) * LANES, np.float32)
    for plane in range(count):
        for top in range(0, height, LANES):
            strip[:] = 0
            _turn(planes[plane, top : top + LANES], strip[(DELAY + _MARGIN) * LANES :])
            _recur_across(strip, width, factors)
            _turn_back(strip[DELAY * LANES :], blurred[plane, top : top + LANES])


@compiled
def _turn(rows, slots):  # type: ignore[no-untyped-def]
    """Copies up to 16 rows (h, w) into slots, one per column; square by square, to stay in cache."""
    height, width = rows.shape
    for start in range(0, width, LANES):
        square = slots[start * LANES :]
        for lane in range(height):
            row = rows[lane, start : start + LANES]
            for column in range(len(row)):
                square[column * LANES + lane] = row[column]


@compiled
def _turn_back(slots, rows):  # type: ignore[no-untyped-def]
    """Copies slots, one per column, into up to 16 rows (h, w)."""
    height, width = rows.shape
    for start in range(0, width, LANES):
        square = slots[start * LANES :]
        for lane in range(height):
            row = rows[lane, start : start + LANES]
            for column in range(len(row)):
                row[column] = square[column * LANES + lane]


@compiled
def _recur_across(strip, width, factors):  # type: ignore[no-untyped-def]
    """Blurs a strip in place; outputs 0 to 7 and those past the last whole four are computed singly."""
    first, second, third = _as_tuple(factors[0]), _as_tuple(factors[1]), _as_tuple(factors[2])
    states = np.zeros(6 * LANES, np.float32)
    slot = 0
    while slot < DELAY + min(_SINGLY, width):
        _one_output(strip[slot * LANES :], first, second, third, states)
        slot += 1
    while slot < width - _TOGETHER + 1:
        _four_outputs(strip[slot * LANES :], first, second, third, states)
        slot += _TOGETHER
    while slot < DELAY + width:
        _one_output(strip[slot * LANES :], first, second, third, states)
        slot += 1


@compiled
def _as_tuple(f):  # type: ignore[no-untyped-def]
    """A recursion's 12 factors, as constants: an array might change while outputs are written."""
    return f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11]


@compiled
def _one_output(slots, first, second, third, states):  # type: ignore[no-untyped-def]
    """Computes slot 0 from inputs in slots 4 and 14, and moves the states (last, then older outputs) on."""
    for lane in range(LANES):
        total = slots[4 * LANES + lane] + slots[14 * LANES + lane]
        last0, last1, last2 = states[lane], states[LANES + lane], states[2 * LANES + lane]
        out0 = fused(first[4], last0, first[0] * total - states[3 * LANES + lane])
        out1 = fused(second[4], last1, second[0] * total - states[4 * LANES + lane])
        out2 = fused(third[4], last2, third[0] * total - states[5 * LANES + lane])
        states[lane], states[LANES + lane], states[2 * LANES + lane] = out0, out1, out2
        states[3 * LANES + lane], states[4 * LANES + lane], states[5 * LANES + lane] = last0, last1, last2
        slots[lane] = out0 + (out1 + out2)


@compiled
def _four_outputs(slots, first, second, third, states):  # type: ignore[no-untyped-def]
    """Computes slots 0 to 3 from inputs in slots 4 to 7 and 14 to 17, and moves the states on."""
    for lane in range(LANES):
        in0 = slots[4 * LANES + lane] + slots[14 * LANES + lane]
        in1 = slots[5 * LANES + lane] + slots[15 * LANES + lane]
        in2 = slots[6 * LANES + lane] + slots[16 * LANES + lane]
        in3 = slots[7 * LANES + lane] + slots[17 * LANES + lane]
        last0, last1, last2 = states[lane], states[LANES + lane], states[2 * LANES + lane]
        older0, older1 = states[3 * LANES + lane], states[4 * LANES + lane]
        older2 = states[5 * LANES + lane]
        p0, p1, p2, p3 = _recur_four(in0, in1, in2, in3, last0, older0, first)
        q0, q1, q2, q3 = _recur_four(in0, in1, in2, in3, last1, older1, second)
        r0, r1, r2, r3 = _recur_four(in0, in1, in2, in3, last2, older2, third)
        states[lane], states[LANES + lane], states[2 * LANES + lane] = p3, q3, r3
        states[3 * LANES + lane], states[4 * LANES + lane], states[5 * LANES + lane] = p2, q2, r2
        slots[lane], slots[LANES + lane] = p0 + (q0 + r0), p1 + (q1 + r1)
        slots[2 * LANES + lane], slots[3 * LANES + lane] = p2 + (q2 + r2), p3 + (q3 + r3)


@compiled
def _recur_four(in0, in1, in2, in3, last, older, factors):  # type: ignore[no-untyped-def]
    """Four outputs of one recursion from four inputs and the two outputs before."""
    g0, g1, g2, g3, a0, a1, a2, a3, b0, b1, b2, b3 = factors
    out0 = g0 * in0
    out1 = fused(g0, in1, g1 * in0)
    out2 = fused(g0, in2, fused(g1, in1, g2 * in0))
    out3 = fused(g0, in3, fused(g1, in2, fused(g2, in1, g3 * in0)))
    out0 = fused(a0, last, fused(b0, older, out0))
    out1 = fused(a1, last, fused(b1, older, out1))
    out2 = fused(a2, last, fused(b2, older, out2))
    out3 = fused(a3, last, fused(b3, older, out3))
    return out0, out1, out2, out3


@compiled
def _blur_down(rows, gains, turns, states, blurred):  # type: ignore[no-untyped-def]
    """Blurs planes (n, 10 + h, w) down their columns to (n, h, w), and moves the states (n, 2, 3, w) on."""
    count, height, width = blurred.shape
    for plane in range(count):
        last0, last1, last2 = states[plane, 0, 0], states[plane, 0, 1], states[plane, 0, 2]
        older0, older1, older2 = states[plane, 1, 0], states[plane, 1, 1], states[plane, 1, 2]
        for row in range(height):
            early, late, result = rows[plane, row], rows[plane, row + _MARGIN], blurred[plane, row]
            for column in range(width):
                total = early[column] + late[column]
                out0 = fused(gains[0], total, fused(turns[0], last0[column], -older0[column]))
                out1 = fused(gains[1], total, fused(turns[1], last1[column], -older1[column]))
                out2 = fused(gains[2], total, fused(turns[2], last2[column], -older2[column]))
                older0[column], older1[column], older2[column] = last0[column], last1[column], last2[column]
                last0[column], last1[column], last2[column] = out0, out1, out2
                result[column] = out0 + (out1 + out2)
