"""The goals that a file may be made for: no loss, a number of bytes, a slope, or a quality."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from foveate.codec.coding import Pixels


@dataclasses.dataclass(frozen=True)
class Lossless:
    """Keep every bit."""


@dataclasses.dataclass(frozen=True)
class AtMost:
    """As good as possible within a number of bytes, including all boxes."""

    bytes: int


@dataclasses.dataclass(frozen=True)
class AtSlope:
    """Truncate every code-block where one more byte would gain less than `slope`.

    That is squared error of samples from 0 to 255, summed over the channels, weighted as the emphasis says.
    """

    slope: float

    def of_samples(self, peak: int) -> float:
        """The slope for samples from 0 to `peak`."""
        return self.slope * peak**2 / 255**2


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """As small as a quality allows; lossless if nothing else is good enough.

    value: the least quality.
    tolerance: how far above it the file may end.
    measure: the quality of decoded pixels.
    decibels: a quality in decibels, or a unit like them: ten of them are a tenth of the error.
    usual_psnr_db: the PSNR of usual photos of that quality, which is tried first.
    """

    value: float
    tolerance: float
    measure: Callable[[Pixels], float]
    usual_psnr_db: float
    decibels: Callable[[float], float] = float


@dataclasses.dataclass(frozen=True)
class NearScore:
    """As close to a score as a predicted slope comes, corrected at most twice; with effort "fast", never.

    value: the score, of at most 100.
    measure: the score of decoded pixels.
    """

    value: float
    measure: Callable[[Pixels], float]


Goal = Lossless | AtMost | AtSlope | AtLeast | NearScore


def decibels_of_similarity(similarity: float) -> float:
    """A similarity in (-inf, 1] in decibels, by its distance from 1."""
    return -10 * math.log10(max(1 - similarity, 1e-9))
