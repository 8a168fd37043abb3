"""Measures whether `--quality` gives all photos the requested score, and what that gains at equal bytes."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours
from benchmarks.photos import Photo, read_photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Effort
from foveate.codec.file import Recipe, encode_file
from foveate.codec.goals import AtMost, Goal, NearScore
from foveate.quality.ssimulacra2 import ssimulacra2

SCORES = (40.0, 50.0, 60.0, 70.0, 80.0, 90.0)
_NEAR, _FAR, _PREDICTED = 2.5, 6.0, 4.0  # points off
_NEAR_SHARE, _PREDICTED_SHARE, _BIAS = 0.9, 0.8, 1.0
_SLOWER, _FAST_SLOWER = 1.6, 1.0


@dataclasses.dataclass(frozen=True)
class File:
    """One file: its bytes, its score, and the processor time that it took without measuring the result."""

    size: int
    score: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Reached:
    """Results for one photo: for each requested score, the predicted file and the corrected one."""

    pixels: int
    predicted: Mapping[float, File]
    corrected: Mapping[float, File]


def reached(path: Path) -> Reached:
    """Files of a photo for all `SCORES`."""
    photo = read_photo(path)
    measure = functools.partial(ssimulacra2, photo)
    predicted, corrected = (
        {score: _file(photo, NearScore(score, measure), effort) for score in SCORES} for effort in _EFFORTS
    )
    return Reached(photo.shape[0] * photo.shape[1], predicted, corrected)


_EFFORTS: tuple[Effort, Effort] = ("fast", "normal")


def of_rates(path: Path, rates: Sequence[float]) -> list[File]:
    """Files of a photo of so many bits per pixel each."""
    photo = read_photo(path)
    budgets = (ours.budget_of(rate, *photo.shape[:2]) for rate in rates)
    return [_file(photo, AtMost(budget), "normal") for budget in budgets]


def _file(photo: Photo, goal: Goal, effort: Effort) -> File:
    start = time.process_time()
    encoded = encode_file(photo, Recipe(goal, Emphasis(tune="visual"), effort=effort), ours.boxes())
    seconds = time.process_time() - start
    return File(len(encoded.jp2), ssimulacra2(photo, encoded.pixels), seconds)


def mean_rates(photos: Sequence[Reached]) -> list[float]:
    """The bits per pixel of all photos together, for each of `SCORES`."""
    pixels = sum(found.pixels for found in photos)
    return [8 * sum(found.corrected[score].size for found in photos) / pixels for score in SCORES]


def quality_section(photos: Sequence[Reached], others: Sequence[Sequence[File]]) -> Section:
    """How close scores come to the requested ones, and the scores of files of equal bytes.

    Args:
      photos: for each photo, what `reached` found.
      others: and `of_rates` of the `mean_rates`.
    """
    asked = np.array(SCORES)
    predicted, corrected = (
        np.array([[files[score].score for score in SCORES] for files in of_photos])
        for of_photos in ([found.predicted for found in photos], [found.corrected for found in photos])
    )
    by_rate = np.array([[file.score for file in files] for files in others])
    misses, first_misses = corrected - asked, predicted - asked
    seconds = [
        sum(file.seconds for files in of_photos for file in files)
        for of_photos in (
            [found.predicted.values() for found in photos],
            [found.corrected.values() for found in photos],
            others,
        )
    ]
    bars = (
        Bar("mean score off, any Q", float(np.abs(misses.mean(0)).max()), _BIAS, "points", True),
        Bar(f"share within {_NEAR:g} points", _share(misses, _NEAR), _NEAR_SHARE, "", False),
        Bar("the farthest off", float(np.abs(misses).max()), _FAR, "points", True),
        Bar(
            f"share within {_PREDICTED:g} points, `--effort fast`",
            *(_share(first_misses, _PREDICTED), _PREDICTED_SHARE, "", False),
        ),
        Bar("time by that of `--bpp`", seconds[1] / seconds[2], _SLOWER, "", True),
        Bar("the same, `--effort fast`", seconds[0] / seconds[2], _FAST_SLOWER, "", True),
    )
    text = (
        "`--roi none --quality Q`: SSIMULACRA 2 of each photo. Predicted: with `--effort fast`; corrected: "
        "by the scores of up to two decodes. For comparison, all photos are also encoded at the bits per "
        "pixel of the corrected files as a whole (`--bpp`). `10 %` is the tenth percentile of the photos' "
        "scores."
    )
    head = (
        *("Q", "bits per pixel", "mean, predicted", f"within {_PREDICTED:g}", "mean, corrected"),
        *(f"within {_NEAR:g}", "farthest off", "10 %", "`--bpp`: mean", "`--bpp`: 10 %"),
    )
    rows = tuple(
        (
            *(f"{score:g}", number(rate), number(predicted[:, at].mean(), ".1f")),
            *(number(_share(first_misses[:, at], _PREDICTED), ".0%"), number(corrected[:, at].mean(), ".1f")),
            *(number(_share(misses[:, at], _NEAR), ".0%"), number(np.abs(misses[:, at]).max(), ".1f")),
            *(number(np.percentile(corrected[:, at], 10), ".1f"), number(by_rate[:, at].mean(), ".1f")),
            number(np.percentile(by_rate[:, at], 10), ".1f"),
        )
        for at, (score, rate) in enumerate(zip(SCORES, mean_rates(photos), strict=True))
    )
    table = Table(f"Scores of {len(photos)} photos", head, rows)
    figures = {"misses": misses.tolist(), "predicted_misses": first_misses.tolist()}
    return Section("quality", "The same look for all photos", text, (table,), bars, figures)


def _share(misses: NDArray[np.float64], points: float) -> float:
    return float((np.abs(misses) <= points).mean())
