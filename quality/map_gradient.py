"""Derivatives of SSIMULACRA 2's error maps with respect to the distorted plane, in one pass.

    a, b - a ─▶ blurred: a, b - a, a² + b², (b - a)² ─▶ maps ─▶ their derivative by each of these
                                                                        │
    derivative by b ◀── chain rule ◀── blurred again, which is the adjoint of blurring ◀─┘

The recursive Gaussian is applied as the equivalent window of 9 samples, since a derivative does not need its
rounding errors. Every loop writes a single line, since the compiler only vectorizes such loops. Results do
not depend on the processor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled_without_checks, fused
from foveate.quality.color import Plane
from foveate.quality.error_maps import SSIM_CONSTANT
from foveate.quality.recursive_gaussian import DELAY, window

REACH = 2 * DELAY  # rows and columns around a sample that its derivative depends on

_REFERENCE, _CHANGE, _SQUARES, _CHANGE_SQUARED = range(4)  # what is blurred
_BY_CHANGE, _BY_SQUARES, _BY_CHANGE_SQUARED = range(3)  # derivatives, blurred again
_LINES = 9  # of a ring: the window's
_PANEL = 512  # columns at a time, so that rings stay in cache
_STRIDE = _PANEL + 2 * REACH
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_WINDOW = window()


def map_gradient(reference: Plane, distorted: Plane, factors: NDArray[np.float32]) -> Plane:
    """The derivative of a sum over error maps by each sample of the distorted plane: (h, w) float32.

    The sum is of mean * m + fourth * m**4 / 4 over all samples m of the maps: structural dissimilarity,
    ringing, blurring. Outside the planes, everything is zero, as for the maps themselves.

    Args:
      reference, distorted: (h, w), about 0 to 1.
      factors: (2, 3) `mean` and `fourth` of each map.
    """
    result = np.empty_like(distorted)
    rings = np.empty((10, _LINES, _STRIDE), np.float32)
    _pull_back(reference, distorted, factors, _WINDOW, rings, result)
    return result


@compiled_without_checks
def _pull_back(reference, distorted, factors, taps, rings, result):  # type: ignore[no-untyped-def]
    """Works panel by panel, and in a panel row by row: row r is read, r - 4 judged and r - 8 finished."""
    height, width = reference.shape
    blurred, pulled, plain, edges = rings[:4], rings[4:7], rings[7:9], rings[9]
    lines = np.empty((12, _STRIDE), np.float32)
    for left in range(0, width, _PANEL):
        count = min(_PANEL, width - left)
        rings[:] = _ZERO
        for row in range(height + REACH):
            slot = row % _LINES
            if row < height:
                _load(reference[row], distorted[row], left, lines)
                plain[0, slot] = lines[_REFERENCE]
                plain[1, slot] = lines[_CHANGE]
                for kind in range(4):
                    _blur_across(lines[kind], taps, count + REACH, blurred[kind, slot])
            else:
                blurred[:, slot] = _ZERO
            middle = row - DELAY
            at = middle % _LINES
            if 0 <= middle < height:
                for kind in range(4):
                    _blur_down(blurred[kind], slot, taps, count + REACH, lines[4 + kind])
                _judge(plain[0, at], plain[1, at], lines, factors, count + REACH, edges[at])
                for kind in range(3):
                    _clear_outside(lines[kind], left, width, count + REACH)
                    _blur_across(lines[kind], taps, count, pulled[kind, at])
            elif middle >= height:
                pulled[:, at] = _ZERO
            done = middle - DELAY
            if done >= 0:
                for kind in range(3):
                    _blur_down(pulled[kind], at, taps, count, lines[kind])
                at = done % _LINES
                target = result[done, left : left + count]
                _combine(plain[0, at], plain[1, at], edges[at], lines, target)


@compiled_without_checks
def _load(reference, distorted, left, lines):  # type: ignore[no-untyped-def]
    """Fills lines 0 to 3 with what is blurred, from 8 columns left of the panel on; zero outside."""
    width = len(reference)
    begin, end = max(0, REACH - left), min(_STRIDE, width - left + REACH)
    a, change = lines[_REFERENCE], lines[_CHANGE]
    squares, squared = lines[_SQUARES], lines[_CHANGE_SQUARED]
    a[:begin] = _ZERO
    a[end:] = _ZERO
    a[begin:end] = reference[left - REACH + begin : left - REACH + end]
    squares[:] = _ZERO
    squares[begin:end] = distorted[left - REACH + begin : left - REACH + end]
    for x in range(_STRIDE):
        change[x] = squares[x] - a[x]
    for x in range(_STRIDE):
        b = squares[x]
        squares[x] = fused(b, b, a[x] * a[x])
    for x in range(_STRIDE):
        squared[x] = change[x] * change[x]


@compiled_without_checks
def _blur_across(line, taps, count, blurred):  # type: ignore[no-untyped-def]
    """Blurs a line; place 0 of the result is place 4 of the line."""
    t0, t1, t2, t3, t4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    for x in range(count):
        total = t0 * line[x + 4]
        total = fused(t1, line[x + 3] + line[x + 5], total)
        total = fused(t2, line[x + 2] + line[x + 6], total)
        total = fused(t3, line[x + 1] + line[x + 7], total)
        blurred[x] = fused(t4, line[x] + line[x + 8], total)


@compiled_without_checks
def _blur_down(ring, slot, taps, count, blurred):  # type: ignore[no-untyped-def]
    """Blurs the nine lines of a ring, of which `slot` is the last."""
    t0, t1, t2, t3, t4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    line0, line1, line2 = ring[(slot + 1) % _LINES], ring[(slot + 2) % _LINES], ring[(slot + 3) % _LINES]
    line3, line4, line5 = ring[(slot + 4) % _LINES], ring[(slot + 5) % _LINES], ring[(slot + 6) % _LINES]
    line6, line7, line8 = ring[(slot + 7) % _LINES], ring[(slot + 8) % _LINES], ring[slot]
    for x in range(count):
        blurred[x] = fused(t1, line3[x] + line5[x], t0 * line4[x])
    for x in range(count):
        outer = fused(t4, line0[x] + line8[x], t3 * (line1[x] + line7[x]))
        blurred[x] += fused(t2, line2[x] + line6[x], outer)


@compiled_without_checks
def _judge(reference, difference, lines, factors, count, edges):  # type: ignore[no-untyped-def]
    """Replaces lines 0 to 2 by derivatives, from what is blurred in lines 4 to 7; lines 8 to 11 are room.

    With a mean m of the reference, c of the change, V of the variances and d of the change's variance, the
    map is 1 - (1 - c²) (1 - d / V).
    """
    mean, change = lines[4 + _REFERENCE], lines[4 + _CHANGE]
    squares, squared = lines[4 + _SQUARES], lines[4 + _CHANGE_SQUARED]
    inverse, share, slope, unlike = lines[8], lines[9], lines[10], lines[11]
    by_change, by_squares, by_squared = lines[_BY_CHANGE], lines[_BY_SQUARES], lines[_BY_CHANGE_SQUARED]
    for x in range(count):
        other = mean[x] + change[x]
        inverse[x] = _ONE / (squares[x] - mean[x] * mean[x] - other * other + SSIM_CONSTANT)
    for x in range(count):
        share[x] = (squared[x] - change[x] * change[x]) * inverse[x]
    for x in range(count):
        c2 = change[x] * change[x]
        unlike[x] = max(c2 + (_ONE - c2) * share[x], _ZERO)
    flat, steep = factors[0, 0], factors[1, 0]
    for x in range(count):
        u = unlike[x]
        slope[x] = flat + steep * (u * u * u) if u > _ZERO else _ZERO
    a, difference = reference[DELAY:], difference[DELAY:]
    flat_ringing, flat_blurring = factors[0, 1], factors[0, 2]
    steep_ringing, steep_blurring = factors[1, 1], factors[1, 2]
    for x in range(count):
        edge_a = a[x] - mean[x]
        edge_b = edge_a + (difference[x] - change[x])
        size = abs(edge_a)
        rescale = _ONE / (_ONE + size)
        edge = (abs(edge_b) - size) * rescale
        cube = edge * edge * edge
        ringing, blurring = flat_ringing + steep_ringing * cube, steep_blurring * cube - flat_blurring
        slope_of_edge = ringing if edge > _ZERO else blurring
        slope_of_edge = slope_of_edge if edge != _ZERO else _ZERO
        edges[x] = (slope_of_edge if edge_b > _ZERO else -slope_of_edge) * rescale
    for x in range(count):
        left_over = (_ONE - change[x] * change[x]) * inverse[x] * slope[x]
        by_squared[x] = left_over
    for x in range(count):
        by_squares[x] = -by_squared[x] * share[x]
    for x in range(count):
        c = change[x]
        kept = c * (_ONE - share[x]) * slope[x]
        by_change[x] = _TWO * (kept - c * by_squared[x] - (mean[x] + c) * by_squares[x]) - edges[x]


@compiled_without_checks
def _clear_outside(line, left, width, count):  # type: ignore[no-untyped-def]
    """Maps have no samples outside of the planes: place 0 is 4 columns left of the panel."""
    for x in range(min(count, max(0, DELAY - left))):
        line[x] = _ZERO
    for x in range(max(0, width - left + DELAY), count):
        line[x] = _ZERO


@compiled_without_checks
def _combine(reference, change, edges, lines, result):  # type: ignore[no-untyped-def]
    """The chain rule at one row of the panel, whose plain lines begin 8 columns and edges 4 to its left."""
    by_change, by_squares, by_squared = lines[_BY_CHANGE], lines[_BY_SQUARES], lines[_BY_CHANGE_SQUARED]
    a, d, edge = reference[REACH:], change[REACH:], edges[DELAY:]
    for x in range(len(result)):
        result[x] = (
            edge[x] + by_change[x] + _TWO * (a[x] + d[x]) * by_squares[x] + _TWO * d[x] * by_squared[x]
        )
