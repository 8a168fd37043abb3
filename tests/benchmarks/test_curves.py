"""Tests BD-rates and interpolation on curves with known results."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks import curves
from benchmarks.curves import Curve, Point


def _curve(sizes: tuple[float, ...] = (1000, 2000, 4000, 8000), step_db: float = 4.0) -> Curve:
    """A slightly bent curve that gains so many dB per doubling."""
    return tuple(
        Point(size, {"psnr": 25 + step_db * math.log2(size / 1000) + 0.2 * i * i})
        for i, size in enumerate(sizes)
    )


@pytest.mark.parametrize("factor", [0.8, 0.997, 1.25])
def test_a_codec_that_takes_a_share_of_the_bytes_everywhere_has_that_bd_rate(factor: float) -> None:
    other = tuple(dataclasses.replace(point, size=factor * point.size) for point in _curve())
    assert curves.bd_rate(_curve(), other, "psnr") == pytest.approx(100 * (factor - 1), abs=1e-9)


def test_a_codec_against_itself_has_a_bd_rate_of_zero() -> None:
    assert curves.bd_rate(_curve(), _curve(), "psnr") == pytest.approx(0, abs=1e-12)


def test_points_elsewhere_on_the_same_line_change_nothing() -> None:
    straight = tuple(Point(size, {"psnr": 10 * math.log10(size)}) for size in (1000, 2000, 4000, 8000))
    denser = tuple(Point(size, {"psnr": 10 * math.log10(size)}) for size in (500, 1500, 1700, 6000, 9000))
    assert curves.bd_rate(straight, denser, "psnr") == pytest.approx(0, abs=1e-9)


def test_curves_that_share_no_quality_have_no_bd_rate() -> None:
    better = tuple(Point(p.size, {"psnr": p.figures["psnr"] + 50}) for p in _curve())
    assert math.isnan(curves.bd_rate(_curve(), better, "psnr"))
    assert math.isnan(curves.bd_rate(_curve(), better[:1], "psnr"))


def test_files_no_better_than_smaller_ones_do_not_count() -> None:
    spoilt = (
        *_curve(),
        Point(5000, {"psnr": 20.0}),
        Point(2000, {"psnr": 19.0}),
        Point(9000, {"psnr": 30.0}),
    )
    assert curves.bd_rate(_curve(), spoilt, "psnr") == pytest.approx(0, abs=1e-12)


def test_a_figure_at_a_size_is_on_the_curve() -> None:
    for point in _curve():
        assert curves.at_size(_curve(), point.size, "psnr") == pytest.approx(point.figures["psnr"])
    between = curves.at_size(_curve(), 2800, "psnr")
    assert _curve()[1].figures["psnr"] < between < _curve()[2].figures["psnr"]
    assert math.isnan(curves.at_size(_curve(), 999, "psnr"))
    assert curves.at_size(_curve(), 8001, "psnr") == _curve()[-1].figures["psnr"]


def test_bytes_around_a_codestream_are_taken_off() -> None:
    assert [point.size for point in curves.without(_curve(), 85)] == [915, 1915, 3915, 7915]


@pytest.mark.parametrize("value", [0.0, 0.9, 0.9987])
def test_similarities_come_back_from_decibels(value: float) -> None:
    assert curves.similarity(curves.similarity_db(value)) == pytest.approx(value)
    assert curves.similarity_db(0.99) == pytest.approx(20)
    assert curves.similarity_db(1.0) == 90


def test_half_of_the_way_is_half_of_the_logarithm() -> None:
    assert curves.share_of_the_way(100 * (0.81**0.5 - 1), -19) == pytest.approx(0.5)
    assert curves.share_of_the_way(0, -19) == 0


def test_the_figures_of_an_exact_copy_are_the_largest() -> None:
    photo = np.arange(40 * 30 * 3, dtype=np.uint16).reshape(40, 30, 3).astype(np.uint8)
    found = curves.fidelity(photo, photo)
    best = {"psnr": math.inf, "psnr_y": math.inf, "psnr_s": math.inf, "ssim": 90, "ms_ssim": 90}
    assert found == best | {"ssimulacra2": 100}
