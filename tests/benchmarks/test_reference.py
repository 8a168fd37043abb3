"""Tests OpenJPEG's figures at exactly the requested bytes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from benchmarks import openjpeg_encoder, reference
from benchmarks.curves import fidelity
from foveate.codec import openjpeg
from tests import streams

PHOTO = streams.texture(150, 170, 3)
JUDGE = functools.partial(fidelity, PHOTO)


def _of_quality(psnr_db: float) -> tuple[int, bytes]:
    data = openjpeg_encoder.encode(PHOTO, psnrs_db=(psnr_db,))
    return len(data) + reference.OVERHEAD, data


def test_at_the_size_of_a_file_its_own_figures_count() -> None:
    small, large = _of_quality(28), _of_quality(32)
    figures, size = reference.interpolated([small, large], small[0], JUDGE)
    assert size == small[0]
    assert figures == pytest.approx(JUDGE(openjpeg.decode(small[1]).pixels))


def test_between_two_files_figures_lie_between_theirs() -> None:
    files = [_of_quality(psnr) for psnr in (26, 28, 32)]
    size = (files[1][0] + files[2][0]) // 2
    figures, _ = reference.interpolated(files, size, JUDGE)
    low, high = (JUDGE(openjpeg.decode(data).pixels) for _, data in files[1:])
    assert all(low[name] < value < high[name] for name, value in figures.items())


def test_a_file_of_exactly_the_size_is_enough() -> None:
    size, data = _of_quality(30)
    assert reference._around_quality(PHOTO, size, 30) == [(size, data)]


def test_the_better_of_both_rate_controls_counts() -> None:
    size = 4000
    point = reference.plain(PHOTO, size, JUDGE)
    assert point.size == size
    by_rate, _ = reference.interpolated(
        [reference.at_rate(PHOTO, size * factor) for factor in (0.995, 1.005)], size, JUDGE
    )
    assert all(point.figures[name] >= value for name, value in by_rate.items())
    smaller, larger = (reference.plain(PHOTO, other, JUDGE).figures for other in (3000, 5000))
    assert all(smaller[name] < value < larger[name] for name, value in point.figures.items())


def test_where_there_is_no_more_to_code_the_size_is_that_of_the_file() -> None:
    photo = np.full((64, 96, 3), 120, np.uint8)
    photo[20:40, 30:70] = 60
    point = reference.plain(photo, 50_000, functools.partial(fidelity, photo))
    assert point.size < 5000
