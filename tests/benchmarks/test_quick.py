"""Tests that headline figures are named if they are off the published ones by more than allowed."""

from __future__ import annotations

from benchmarks import quick
from benchmarks.quick import Figure


def test_a_figure_is_off_when_it_is_farther_than_its_tolerance_or_not_published() -> None:
    published = {"score": 70.0, "speed": 4000.0}
    assert not quick.is_off(Figure("score", 70.4, 0.5), published)
    assert quick.is_off(Figure("score", 69.4, 0.5), published)
    assert quick.is_off(Figure("another", 70.0, 0.5), published)
    assert not quick.is_off(Figure("speed", 100.0, None), published)  # another machine's


def test_measured_and_published_figures_are_side_by_side() -> None:
    lines = quick.compared(
        [Figure("score", 70.4, 0.5), Figure("speed", 100.0, None)], {"score": 70.0}
    ).splitlines()
    assert lines[2].split() == ["score", "70.40", "70.00", "±", "0.5"]
    assert lines[3].split() == ["speed", "100.00", "–", "–"]


def test_wrong_values_are_named() -> None:
    figures = [Figure("score", 70.4, 0.5), Figure("PSNR", 35.0, 0.1)]
    assert quick.judged(figures, {"score": 70.0, "PSNR": 34.95}) == ""
    assert quick.judged(figures, {"score": 70.0, "PSNR": 34.5}) == "Off by more than their tolerance: PSNR"
    assert quick.judged(figures, {}).endswith("score, PSNR")
