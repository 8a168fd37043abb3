"""Tests how targets become goals of the codec."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.archive.settings import Target
from foveate.codec.goals import AtLeast, AtMost, AtSlope, Lossless, NearScore
from foveate.goals import byte_budget, goal_of
from foveate.pictures.formats import jpeg_bytes
from foveate.quality.psnr import psnr, psnr_s
from foveate.quality.ssim import ssim
from tests.streams import texture

PIXELS = texture(61, 83, 3)
WORSE = np.clip(PIXELS.astype(int) + 9, 0, 255).astype(np.uint8)
MASK = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


def test_a_quality_is_measured_by_ssimulacra2() -> None:
    goal = goal_of(Target("quality", 70.0), PIXELS, None, 1000)
    assert isinstance(goal, NearScore)
    assert goal.value == 70 and goal.measure(PIXELS) == 100


def test_budgets_are_in_whole_bytes() -> None:
    assert byte_budget(Target("bpp", 0.5), PIXELS, 1000) == 61 * 83 // 16
    assert byte_budget(Target("ratio", 3), PIXELS, 1000) == 333
    assert byte_budget(Target("jpeg-quality", 50), PIXELS, 1000) == jpeg_bytes(PIXELS, 50)


def test_what_storing_takes_is_spared_from_the_budget() -> None:
    assert goal_of(Target("bpp", 0.5), PIXELS, None, 1000, 40) == AtMost(61 * 83 // 16 - 40)


def test_lossless_and_slope_measure_nothing() -> None:
    assert goal_of(Target("lossless", 0), PIXELS, MASK, 1000) == Lossless()
    assert goal_of(Target("slope", 70), PIXELS, MASK, 1000) == AtSlope(70)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("psnr", 34.0, psnr(PIXELS, WORSE)),
        ("ssim", 0.9, ssim(PIXELS, WORSE)),
        ("roi-psnr", 34.0, psnr_s(PIXELS, WORSE, saliency=MASK)),
    ],
)
def test_qualities_are_measured_against_the_photo(kind: str, value: float, expected: float) -> None:
    goal = goal_of(Target(kind, value), PIXELS, MASK, 1000)  # type: ignore[arg-type]
    assert isinstance(goal, AtLeast) and goal.value == value
    assert goal.measure(WORSE) == expected


def test_without_a_map_all_places_count_the_same() -> None:
    goal = goal_of(Target("roi-psnr", 34), PIXELS, None, 1000)
    assert isinstance(goal, AtLeast) and goal.measure(WORSE) == psnr(PIXELS, WORSE)
