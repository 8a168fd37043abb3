"""Predicts the bytes of a picture at a slope, from its coefficients and from a sample of blocks.

A bit-plane of a block costs the entropy of who becomes significant in it, a sign for each that does, and
about a bit for each that is already; its passes have slopes from some four squared steps per byte down to
one. That is right within some tens of per cent, and after a sample of blocks has been coded within some.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from foveate.codec.allocation import narrowed
from foveate.codec.dwt import FRACTION_BITS
from foveate.codec.hulls import Hulls

_SIGNIFICANCE, _REFINEMENT = 0.80, 0.97  # bits of the model that the arithmetic coder really takes
_BEYOND = 4  # bit-planes below the step, of which nothing is known
FIRST_SLOPE = 4.5  # of a plane's first pass, in squared steps per byte; its last one's is a quarter of it
_GRID = np.linspace(0.0, 2.0, 41)  # of slopes (log10) above the one that a sample was coded down to


@dataclasses.dataclass(frozen=True, eq=False)
class RateModel:
    """Bytes of every bit-plane of every block that has any, and the weighted slope at which it begins.

    block: (planes of all blocks,) whose each is.
    size: bytes.
    log_slope: natural logarithm of the weighted slope of its first pass.
    """

    block: NDArray[np.int64]
    size: NDArray[np.float64]
    log_slope: NDArray[np.float64]

    @staticmethod
    def of(counts: NDArray[np.float32], weighted_errors: NDArray[np.float64]) -> RateModel:
        """The model of a picture.

        Args:
          counts: (blocks, 33) from `BlockCoder.survey`.
          weighted_errors: (blocks,) weighted squared error of one fixed-point unit of a coefficient.
        """
        newly = counts[:, 1:].astype(np.float64)  # highest bit in plane p, in column p
        above = newly[:, ::-1].cumsum(1)[:, ::-1]
        before = above - newly
        empty = counts.sum(1, dtype=np.float64)[:, None] - before
        share = np.clip(newly / np.maximum(empty, 1e-9), 1e-12, 1 - 1e-12)
        entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * empty
        bits = np.where(above > 0, _SIGNIFICANCE * entropy + newly + _REFINEMENT * before, 0.0)
        beyond = np.repeat(counts.sum(1, dtype=np.float64)[:, None], _BEYOND, 1)  # a bit of each
        bits = np.concatenate([beyond, bits], 1)
        block, plane = np.nonzero(bits)
        log_slope = np.log(FIRST_SLOPE * weighted_errors)[block] + (plane - _BEYOND + FRACTION_BITS) * np.log(
            4.0
        )
        return RateModel(block, bits[block, plane] / 8, log_slope)

    def only(self, blocks: NDArray[np.int64]) -> RateModel:
        """The model of some of the blocks."""
        chosen = np.isin(self.block, blocks)
        return RateModel(self.block[chosen], self.size[chosen], self.log_slope[chosen])

    def bytes_at(self, threshold: float) -> float:
        """Bytes of all blocks down to a weighted slope (log10)."""
        parts = np.clip((self.log_slope - threshold * np.log(10)) / np.log(4.0), 0, 1)
        return float((self.size * parts).sum())

    def threshold_for(self, size: float) -> float:
        """The weighted slope (log10) at which a number of bytes is used up."""
        return narrowed(lambda slope: self.bytes_at(slope) > size, -8.0, 14.0)[1]


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Some of a picture's blocks, coded down to a weighted slope (log10).

    blocks: their numbers.
    share: of the picture's coefficients that they hold.
    hulls: of all blocks; those of others are empty.
    log_weights: (blocks,) log10 of what a squared error in each counts for.
    energy: squared error of the sample if none of it is sent.
    depth: the slope.
    """

    blocks: NDArray[np.int64]
    share: float
    hulls: Hulls
    log_weights: NDArray[np.float64]
    energy: float
    depth: float

    def slope_of_bytes(self, size: float, model: RateModel) -> float:
        """The slope at which a picture takes a number of bytes, from a model corrected by the sample."""
        predicted = model.only(self.blocks)
        sizes = np.array(
            [
                model.bytes_at(slope)
                * self.hulls.bytes_above(self.log_weights, slope)
                / max(predicted.bytes_at(slope), 1.0)
                for slope in self.depth + _GRID
            ]
        )
        return self._slope_where(-np.log(np.minimum.accumulate(sizes) + 1e-9), -math.log(size))

    def slope_of_error(self, error: float) -> float:
        """The slope that leaves a picture with a given squared error."""
        left = []
        for slope in self.depth + _GRID:
            gains = self.hulls.gains_at(self.hulls.points_above(self.log_weights, slope))
            left.append(max(self.energy - gains.sum(), 1e-9) / self.share)
        return self._slope_where(np.log(np.maximum.accumulate(left)), math.log(error))

    def _slope_where(self, rising: NDArray[np.float64], value: float) -> float:
        """Where a figure that rises along the grid has a value, clipped to the grid's ends."""
        return float(np.interp(value, rising, self.depth + _GRID))
