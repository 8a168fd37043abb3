"""Predicts the SSIMULACRA 2 score of a photo coded at a slope, before coding it.

From how large its coefficients are, each block's squared error at a slope can be predicted; weighted by how
visible errors are, summed by color and level, and put on a logarithmic scale, these errors say how far the
score will be from 100. The coefficients of that regression are in score_model.json, which
`python -m benchmarks.fit_scores` makes from training photos.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.codec.allocation import narrowed
from foveate.codec.dwt import FRACTION_BITS
from foveate.codec.rate_model import FIRST_SLOPE, RateModel

HERE = Path(__file__).parent
FEATURES = (
    *("1", "error", "error squared", "bits", "bits squared", "visibility", "pixels"),
    *("error times bits", "error times visibility"),
    *(f"share of level {level}" for level in range(1, 6)),
    *(f"energy of level {level}" for level in range(1, 6)),
    *("Cb", "Cr"),
)
_LEVELS = 5
_LEAST_SHARE = 0.003  # of a level in the error: below that it makes no difference
_LOST, _QUANTIZED = 2.33, 0.4  # squared error of a coefficient: of its top bit squared, and of the last plane
THRESHOLDS = (-4.0, 9.0)  # log10 of slopes between which scores are sought
_HALVINGS, _CORRECTIONS = 7, 2  # of that range, and of a line in what is left of it
_BEST_SCORE = 99.5  # what is nearer to 100 cannot be told apart


@dataclasses.dataclass(frozen=True, eq=False)
class Prospect:
    """Features that predict a photo's score; every array is (blocks,) but `counts`.

    counts: (blocks, 33) from `BlockCoder.survey`.
    areas: coefficients.
    error: squared error of one fixed-point unit of a coefficient, as a share of the squared peak.
    weights: what squared errors count for when blocks are cut.
    visible: what they count for to people: `Encoder.visibility`.
    typical: the share of contrast that goes with it.
    component, level: of each block.
    pixels: of the photo.
    peak: the largest sample.
    """

    counts: NDArray[np.float32]
    areas: NDArray[np.int64]
    error: NDArray[np.float64]
    weights: NDArray[np.float64]
    visible: NDArray[np.float64]
    typical: float
    component: NDArray[np.int32]
    level: NDArray[np.int32]
    pixels: int
    peak: int

    @functools.cached_property
    def _rates(self) -> RateModel:
        return RateModel.of(self.counts, self.error * self.weights * self.peak**2)

    def features(self, threshold: float) -> NDArray[np.float64]:
        """The regressors, as `FEATURES` names them, of a photo that is cut at a weighted slope (log10)."""
        errors = self._errors(threshold) * self.visible * self.typical / self.pixels
        levels = self._by_level(errors)
        whole = max(float(levels.sum()), 1e-12)
        shares = np.log10(levels / whole + _LEAST_SHARE)
        colors = [math.log10(1 + float(errors[self.component == color].sum()) / whole) for color in (1, 2)]
        if self.component.max(initial=0) < 2:  # gray, and alpha if there is any
            colors = [0.0, 0.0]
        rate = 8 * self._rates.bytes_at(threshold) / self.pixels
        error, bits, visibility, size = (
            math.log10(value) for value in (whole, rate + 0.01, self.typical, self.pixels)
        )
        known = (1.0, error, error**2, bits, bits**2, visibility, size, error * bits, error * visibility)
        return np.array([*known, *shares, *self._energies, *colors])

    @functools.cached_property
    def _energies(self) -> NDArray[np.float64]:
        """Squares of all luma coefficients of each level, per pixel: log10."""
        return np.asarray(np.log10(self._by_level(self._errors(math.inf)) / self.pixels + 1e-9), np.float64)

    def _by_level(self, of_blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of luma's blocks, finest level first."""
        luma = of_blocks * (self.component == 0)
        levels = np.clip(self.level, 1, _LEVELS) - 1
        return np.asarray(np.bincount(levels, luma, _LEVELS), np.float64)

    def _errors(self, threshold: float) -> NDArray[np.float64]:
        """The squared error of each block that is cut at a weighted slope, as a share of the squared peak."""
        step = self.error * 4.0**FRACTION_BITS  # squared error of a coefficient of one step
        weighted = np.maximum(FIRST_SLOPE * step * self.weights * self.peak**2, 1e-300)
        quantized = _QUANTIZED * 10.0**threshold / weighted  # in squared steps
        lost = _LOST * 4.0 ** np.arange(-1, self.counts.shape[1] - 1)
        per_coefficient = (self.counts * np.minimum(lost, quantized[:, None])).sum(1)
        counted = np.maximum(self.counts.sum(1, dtype=np.float64), 1.0)
        return np.asarray(step * per_coefficient / counted * self.areas, np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreModel:
    """The regression of log(100 - score) on `Prospect.features`."""

    coefficients: NDArray[np.float64]

    @staticmethod
    @functools.cache
    def shipped() -> ScoreModel:
        """The model that was fitted on training photos."""
        saved = json.loads((HERE / "score_model.json").read_text())["coefficients"]
        return ScoreModel(np.array([saved[name] for name in FEATURES]))

    def distance(self, prospect: Prospect, threshold: float) -> float:
        """The natural logarithm of how far the score will be from 100."""
        return float(self.coefficients @ prospect.features(threshold))

    def threshold_for(self, prospect: Prospect, distance: float) -> float:
        """The weighted slope (log10) at which the score will be so far from 100 (natural logarithm)."""
        return crossing(lambda t: self.distance(prospect, t), distance)


def crossing(distance: Callable[[float], float], wanted: float) -> float:
    """The threshold at which a rising distance has a value.

    Each distance takes a pass over all blocks, so the range is halved a few times only. Then the distance is
    taken to be straight between the ends; after two corrections this is exact to a ten-thousandth of a
    decade.
    """
    low, high = narrowed(lambda threshold: distance(threshold) < wanted, *THRESHOLDS, _HALVINGS)
    first, last = distance(low), distance(high)
    for _ in range(_CORRECTIONS):
        middle = _between(low, high, first, last, wanted)
        found = distance(middle)
        if found < wanted:
            low, first = middle, found
        else:
            high, last = middle, found
    return _between(low, high, first, last, wanted)


def _between(low: float, high: float, first: float, last: float, wanted: float) -> float:
    """Where a line from `first` at `low` to `last` at `high` has a value, clipped to these ends."""
    share = (wanted - first) / (last - first) if last > first else 1.0
    return low + min(max(share, 0.0), 1.0) * (high - low)


def distance_of(score: float) -> float:
    """The natural logarithm of a score's distance from 100, bounded for scores close to 100."""
    return math.log(100 - min(score, _BEST_SCORE))
