"""Decides which coding passes a file keeps: rate-distortion optimization with weighted errors.

Each code-block may be cut after any of its coding passes. On the convex hull of bytes and squared error every
step has a slope, and steps only get flatter. The allocation that is optimal for weighted squared error
(Taubman's PCRD, 15444-1 Annex J.14) multiplies slopes by the weight of errors in their block, and cuts every
block of all tiles and components where its weighted slope falls below one threshold. The weights come from
`block_weights`; `saliency_weights` decides how much more a salient block counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.codec import arrangement, hulls, noise
from foveate.codec.codestream import Codestream
from foveate.codec.errors import BudgetTooSmall
from foveate.codec.hulls import Hulls
from foveate.codec.layout import Layout
from foveate.codec.packets import Codewords, Layers

_LAYER_RATIO = 2.0  # of the bytes of an output layer and those before it, to those of the ones before
_LEFT_TO_FILL = 0.0005  # of the bytes: what later steps may use is not searched for more exactly
FILL_RANGE = 0.6  # of log10 slope below the threshold: steps that are tried for the last bytes
_HEADER_TRIALS = 6
_HEADER_BYTES_PER_BLOCK = 1.5


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """A coded picture, and the points at which each of its blocks can be truncated.

    log_weights: (blocks,) log10 of what a squared error in each block counts for.
    access: whether its files are arranged for reading parts of them (`arrangement`).
    """

    stream: Codestream
    layout: Layout
    codewords: Codewords
    hulls: Hulls
    log_weights: NDArray[np.float64]
    access: bool = False

    @property
    def every_point(self) -> NDArray[np.int32]:
        """All points on the hulls."""
        return self.hulls.number

    def points_above(self, threshold: float) -> NDArray[np.int32]:
        """How many points of each block have a weighted slope (log10) of at least a threshold."""
        return self.hulls.points_above(self.log_weights, threshold)

    def bytes_above(self, threshold: float) -> int:
        """The bytes of code-blocks truncated at a weighted slope (log10)."""
        return self.hulls.bytes_above(self.log_weights, threshold)

    def threshold_range(self) -> tuple[float, float]:
        """Weighted slopes (log10) below and above all those of a picture; (0, 0) if there are none."""
        inside = np.arange(self.hulls.slopes.shape[1]) < self.hulls.number[:, None]
        weighted = (self.hulls.slopes + self.log_weights[:, None])[inside]
        if not len(weighted):
            return 0.0, 0.0
        return float(weighted.min()) - 1e-3, float(weighted.max()) + 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """The truncation points of each block, in one or more output layers.

    points: (output layers, blocks), not decreasing along the first axis.
    threshold: weighted slope (log10) at which blocks are cut, except for the steps that fill the last bytes.
    """

    candidates: Candidates
    points: NDArray[np.int32]
    threshold: float

    @property
    def layers(self) -> Layers:
        """Passes and bytes of each block up to each output layer."""
        h = self.candidates.hulls
        every, last = np.arange(len(h.number)), np.maximum(self.points - 1, 0)
        some = self.points > 0
        passes = np.where(some, h.passes[every, last], 0).astype(np.uint8)
        return Layers(passes, np.where(some, h.sizes[every, last], 0).astype(np.int32))

    @property
    def noise_map(self) -> NDArray[np.float32]:
        """`noise.noise_map` of what is kept."""
        c = self.candidates
        return noise.noise_map(c.stream, c.layout, c.codewords.zero_planes, self.layers.passes[-1])

    @property
    def body_bytes(self) -> int:
        """Bytes of code-blocks, without packet headers."""
        return int(self.layers.sizes[-1].sum(dtype=np.int64))

    @property
    def gain(self) -> float:
        """Unweighted squared error that all kept passes remove."""
        return float(self.gains.sum())

    def merit(self, slope: float) -> float:
        """Weighted squared error that all kept passes remove, minus the cost of all bytes at a slope."""
        removed = float((self.gains * 10**self.candidates.log_weights).sum())
        return removed - slope * encoded_size(self)

    @property
    def gains(self) -> NDArray[np.float64]:
        """Squared error that the kept passes of each block remove: (blocks,)."""
        return self.candidates.hulls.gains_at(self.points[-1])


def cut_at(candidates: Candidates, threshold: float, layers: int = 1) -> Choice:
    """Truncates every block at one weighted slope (log10)."""
    return _layered(candidates, candidates.points_above(threshold), threshold, layers)


def take_all(candidates: Candidates, layers: int = 1) -> Choice:
    """Keeps everything on the hulls, in a number of output layers."""
    return _layered(candidates, candidates.every_point, -np.inf, layers)


def _layered(candidates: Candidates, points: NDArray[np.int32], threshold: float, layers: int) -> Choice:
    """Divides what is kept into output layers, each with as many bytes as all before it."""
    if layers == 1:
        return Choice(candidates, points[None], threshold)
    whole = Choice(candidates, points[None], threshold).body_bytes
    cuts = np.empty((layers, len(points)), np.int32)
    for k in range(layers - 1):
        slope = _threshold_for(candidates, whole * _LAYER_RATIO ** (k + 1 - layers))
        cuts[k] = np.minimum(candidates.points_above(slope), points)
    cuts[-1] = points
    return Choice(candidates, cuts, threshold)


def _threshold_for(candidates: Candidates, size: float) -> float:
    """The lowest weighted slope at which code-blocks fit into a number of bytes."""
    low, high = candidates.threshold_range()
    if candidates.bytes_above(low) <= size:
        return low
    return narrowed(lambda slope: candidates.bytes_above(slope) > size, low, high)[1]


def narrowed(
    is_below: Callable[[float], bool], low: float, high: float, halvings: int = 40
) -> tuple[float, float]:
    """Halves a range of thresholds several times, keeping `is_below` true at its lower end only."""
    for _ in range(halvings):
        middle = (low + high) / 2
        if is_below(middle):
            low = middle
        else:
            high = middle
    return low, high


def fit_bytes(candidates: Candidates, budget: int, layers: int = 1) -> Choice:
    """The best choice whose codestream is at most `budget` bytes.

    First every block is cut at the slope where the bytes run out; then come the next steps that still fit.

    Raises:
      BudgetTooSmall: headers and empty packets alone take more.
    """
    best = cut_at(candidates, np.inf, layers)
    smallest = encoded_size(best)
    if smallest > budget:
        raise BudgetTooSmall(f"{budget} bytes asked for, but an empty codestream takes {smallest}")
    overhead, left = smallest, budget - smallest
    overhead += min(left // 4, int(_HEADER_BYTES_PER_BLOCK * np.count_nonzero(candidates.hulls.number)))
    for _ in range(_HEADER_TRIALS):
        # Headers change little from one threshold to the next: aim as if they did not.
        choice = cut_at(candidates, _threshold_for(candidates, budget - overhead), layers)
        size = encoded_size(choice)
        overhead = size - choice.body_bytes
        if size > budget:
            overhead += 1
        elif choice.threshold <= best.threshold:
            best = choice
            if budget - size <= _LEFT_TO_FILL * budget or np.array_equal(
                choice.points[-1], candidates.every_point
            ):
                break
    return _filled(best, budget)


def _filled(choice: Choice, budget: int) -> Choice:
    """Adds steps past the threshold while bytes are left; what their headers cost shows only afterwards."""
    candidates = choice.candidates
    order = _next_steps(choice)
    reserve = 0
    for _ in range(8):
        room = budget - encoded_size(choice) - reserve
        if room <= 0:
            break
        points = hulls.fill(*order, candidates.hulls.sizes, choice.points[-1], room)
        if np.array_equal(points, choice.points[-1]):
            break
        more = _layered(candidates, points, choice.threshold, len(choice.points))
        excess = encoded_size(more) - budget
        if excess <= 0:
            choice, reserve = more, 0
        else:
            reserve += excess
    return choice


def _next_steps(choice: Choice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks and points of the next steps, steepest first."""
    candidates, points = choice.candidates, choice.points[-1]
    h = candidates.hulls
    weighted = h.slopes + candidates.log_weights[:, None]
    at = np.arange(h.slopes.shape[1])
    eligible = (at >= points[:, None]) & (at < h.number[:, None])
    if np.isfinite(choice.threshold):
        eligible &= weighted >= choice.threshold - FILL_RANGE
    block, point = np.nonzero(eligible)
    order = np.argsort(-weighted[block, point], kind="stable")
    return block[order], point[order]


def encoded_size(choice: Choice) -> int:
    """The length of the codestream that `encode` would return, in bytes."""
    c = choice.candidates
    return arrangement.arranged_size(c.stream, c.layout, c.codewords, choice.layers, access=c.access)


def encode(choice: Choice) -> bytes:
    """The standard codestream of a choice, arranged for access if its candidates say so."""
    c = choice.candidates
    return arrangement.arranged(c.stream, c.layout, c.codewords, choice.layers, access=c.access)
