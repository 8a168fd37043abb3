"""Where each code-block's codeword may be cut: the convex hull of its passes' bytes and gains.

All in one file, since compiled code that is kept on disk is renewed only when its own file changes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled

_NOTHING = 1e-12  # squared error
_LEAST_BYTES = 0.5  # what a first point without a byte of its own is reckoned to cost


class Hulls(NamedTuple):
    """The truncation points of each block, each better per byte than the next. Tables are (blocks, points).

    number: of points of each block.
    passes, sizes: coding passes and bytes up to each point.
    slopes: log10 of the squared error per byte that it took to come here from the point before.
    gains: squared error removed up to each point.
    """

    number: NDArray[np.int32]
    passes: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    slopes: NDArray[np.float32]
    gains: NDArray[np.float64]

    def points_above(self, log_weights: NDArray[np.float64], threshold: float) -> NDArray[np.int32]:
        """How many points of each block have a weighted slope of at least a threshold (both log10)."""
        points = np.empty(len(self.number), np.int32)
        _points_above(self.number, self.slopes, log_weights, threshold, points)
        return points

    def bytes_above(self, log_weights: NDArray[np.float64], threshold: float) -> int:
        """The bytes of all blocks, each cut at a weighted slope (log10)."""
        return int(_bytes_above(self.number, self.sizes, self.slopes, log_weights, threshold))

    def gains_at(self, points: NDArray[np.int32]) -> NDArray[np.float64]:
        """Squared error that each block's first so many points remove: (blocks,)."""
        gains = self.gains[np.arange(len(points)), np.maximum(points - 1, 0)]
        return np.where(points > 0, gains, 0.0)


class CodedPasses(Protocol):
    """The passes of blocks: how many, and tables (blocks, passes) of bytes and gains."""

    @property
    def number(self) -> NDArray[np.int16]:
        """Of passes."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Bytes up to each."""

    @property
    def gains(self) -> NDArray[np.float32]:
        """Squared error that each removes."""


def hulls_of(passes: CodedPasses, *, with_last: bool = False) -> Hulls:
    """The truncation points of all blocks.

    Args:
      passes: what was coded of each block.
      with_last: let the last pass be a point, even if it removes no error: a lossless
        codestream has every pass.
    """
    blocks, most = len(passes.number), max(1, int(passes.number.max(initial=0)))
    found = Hulls(
        np.zeros(blocks, np.int32),
        np.zeros((blocks, most), np.uint8),
        np.zeros((blocks, most), np.int32),
        np.zeros((blocks, most), np.float32),
        np.zeros((blocks, most), np.float64),
    )
    _find_hulls(passes.number, passes.gains, passes.lengths, with_last, found)
    points = max(1, int(found.number.max(initial=0)))
    tables = (np.ascontiguousarray(table[:, :points]) for table in found[1:])
    return Hulls._make((found.number, *tables))


@compiled
def _find_hulls(counts, gains, lengths, with_last, found):  # type: ignore[no-untyped-def]
    stack = np.empty(256, np.int64)  # passes that are on the hull so far
    total = np.empty(257, np.float64)
    for b in range(len(counts)):
        top = 0
        total[0] = 0.0
        for k in range(counts[b]):
            total[k + 1] = total[k] + gains[b, k]
            size, gain = lengths[b, k], total[k + 1]
            while top:
                last = stack[top - 1]
                size_before, gain_before = 0, 0.0
                if top > 1:
                    size_before, gain_before = lengths[b, stack[top - 2]], total[stack[top - 2] + 1]
                if gain <= total[last + 1]:
                    break
                more = size - lengths[b, last]
                of_last = max(np.float64(lengths[b, last] - size_before), _LEAST_BYTES)
                # The last point goes if this one costs no more, or is at least as steep from the one before.
                if more > 0 and (gain - total[last + 1]) * of_last < (total[last + 1] - gain_before) * more:
                    break
                top -= 1
            if (top and gain > total[stack[top - 1] + 1]) or (not top and gain > 0):
                stack[top] = k
                top += 1
        if with_last and counts[b] and (not top or stack[top - 1] != counts[b] - 1):
            stack[top] = counts[b] - 1
            top += 1
        size_before, gain_before = 0, 0.0
        for j in range(top):
            k = stack[j]
            found.passes[b, j], found.sizes[b, j] = k + 1, lengths[b, k]
            found.gains[b, j] = total[k + 1]
            bytes_more = max(np.float64(lengths[b, k] - size_before), _LEAST_BYTES)
            found.slopes[b, j] = np.log10(max(total[k + 1] - gain_before, _NOTHING) / bytes_more)
            size_before, gain_before = lengths[b, k], total[k + 1]
        found.number[b] = top


@compiled
def _count_above(slopes, count, least):  # type: ignore[no-untyped-def]
    """How many of a block's first `count` slopes, which only get flatter, are at least `least`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if slopes[middle] >= least:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _points_above(count, slopes, log_weights, threshold, points):  # type: ignore[no-untyped-def]
    for b in range(len(count)):
        points[b] = _count_above(slopes[b], count[b], threshold - log_weights[b])


@compiled
def _bytes_above(count, sizes, slopes, log_weights, threshold):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for b in range(len(count)):
        points = _count_above(slopes[b], count[b], threshold - log_weights[b])
        if points:
            total += sizes[b, points - 1]
    return total


@compiled
def fill(order_block, order_point, sizes, points, room):  # type: ignore[no-untyped-def]
    """Takes points in an order while they fit into so many bytes; each only after the ones before it.

    A contribution also costs bits of a packet header: a byte is reckoned for it, three for a block's first.
    """
    points = points.copy()
    for i in range(len(order_block)):
        b, j = order_block[i], order_point[i]
        if points[b] != j:
            continue
        before = sizes[b, j - 1] if j else 0
        cost = sizes[b, j] - before + (1 if j else 3)
        if cost <= room:
            points[b] = j + 1
            room -= cost
        if room < 4:
            break
    return points
