"""Searches for the smallest file that reaches a quality, guided by the remaining squared error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from foveate.codec.allocation import Choice
from foveate.codec.coding import Pixels

Quality = Callable[[Choice], float]  # of what a choice decodes to, in a goal's unit

_FEWER_DECIBELS = 6.0  # to try, where no error is left
_MOST_RATE = 4.0  # of decibels reached to those predicted, and the other way round


@dataclasses.dataclass(frozen=True)
class QualityGoal:
    """A quality to reach, in decibels or a similar unit: ten of them are a tenth of the error.

    tolerance: by how much it may be exceeded.
    psnr_db: the PSNR that usual photos have then, to begin with.
    """

    decibels: float
    tolerance: float
    psnr_db: float


class Search:
    """Looks for the coarsest choice that reaches a goal, from trials and the predictions for them."""

    def __init__(self, goal: QualityGoal) -> None:
        self.goal = goal
        self.best: Choice | None = None  # the coarsest that reached it
        self.missed: Choice | None = None  # the finest that did not
        self.excess: list[tuple[float, float]] = []  # of all trials: decibels predicted, and beyond the goal
        self.is_over = False

    def note(self, choice: Choice, predicted: float, reached: float) -> bool:
        """Takes a trial's outcome; returns whether it reached the goal."""
        excess = reached - self.goal.decibels
        self.excess.append((predicted, excess))
        if excess < 0:
            if self.missed is None or choice.threshold < self.missed.threshold:
                self.missed = choice
        elif self.best is None or choice.threshold > self.best.threshold:
            self.best = choice
        self.is_over = 0 <= excess <= self.goal.tolerance
        return excess >= 0

    def is_known(self, choice: Choice) -> bool:
        """Whether a trial would tell nothing new: nothing lies between the best and a miss."""
        ends = [other for other in (self.best, self.missed) if other is not None]
        return any(np.array_equal(choice.points[-1], other.points[-1]) for other in ends)

    def next_prediction(self) -> float:
        """The prediction that should lead to the middle of the tolerance."""
        aim = self.goal.tolerance / 2
        finite = [trial for trial in self.excess if math.isfinite(trial[1])]
        if not finite:
            return self.excess[-1][0] - _FEWER_DECIBELS
        below = [trial for trial in finite if trial[1] < 0]
        above = [trial for trial in finite if trial[1] >= 0]
        if below and above:
            (x0, y0), (x1, y1) = max(below), min(above)
            return x0 + (x1 - x0) * min(max((aim - y0) / max(y1 - y0, 1e-9), 0.1), 0.9)
        x1, y1 = finite[-1]
        x0, y0 = finite[-2] if len(finite) > 1 else (x1 - 1, y1 - 1)
        rate = (y1 - y0) / (x1 - x0) if x1 != x0 else 1.0
        return x1 + (aim - y1) / min(max(rate, 1 / _MOST_RATE), _MOST_RATE)


def decibels_at(psnr_db: float, pixels: Pixels, bit_depth: int) -> float:
    """-10 log10 of all squared errors of a photo (H, W, C) at a PSNR; alpha is left out."""
    height, width, channels = pixels.shape
    samples = height * width * (channels - (channels + 1) % 2)
    peak = (1 << bit_depth) - 1
    return psnr_db - 10 * math.log10(samples * peak**2)
