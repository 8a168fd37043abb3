"""Tests the recursive Gaussian against the equivalent finite filter."""

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from foveate.quality.recursive_gaussian import DELAY, SIGMA, RecursiveGaussian, Stack


def blurred(planes: Stack, *cuts: int) -> Stack:
    """All rows, handed over in parts."""
    count, _, width = planes.shape
    blur = RecursiveGaussian(count, width)
    below = np.zeros((count, DELAY, width), np.float32)
    parts = [blur.add(part) for part in (*np.split(planes, cuts, axis=1), below)]
    return np.concatenate(parts, axis=1)[:, DELAY:]


def window() -> Stack:
    """The response to a single sample along a row."""
    impulse = np.zeros((1, 9, 25), np.float32)
    impulse[0, 4, 12] = 1
    return np.asarray(blurred(impulse)[0].sum(axis=0)[8:17], np.float32)


def test_the_window_is_a_gaussian_of_nine_samples() -> None:
    taps = window().astype(np.float64)
    offsets = np.arange(-4, 5)
    gaussian = np.exp(-0.5 * (offsets / SIGMA) ** 2) / (SIGMA * np.sqrt(2 * np.pi))
    assert taps == pytest.approx(gaussian, abs=3e-3)
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    assert (taps * offsets**2).sum() == pytest.approx(SIGMA**2, abs=1e-5)


@pytest.mark.parametrize("shape", [(2, 40, 53), (1, 17, 8), (3, 4, 4), (1, 1, 1), (1, 5, 130), (1, 130, 5)])
def test_all_samples_are_those_of_the_finite_filter_with_zeros_around(shape: tuple[int, int, int]) -> None:
    planes = np.random.default_rng(0).random(shape, np.float32)
    taps = window().astype(np.float64)
    expected = correlate1d(planes.astype(np.float64), taps, 1, mode="constant")
    expected = correlate1d(expected, taps, 2, mode="constant")
    assert blurred(planes) == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("cuts", [(1,), (3, 4), (16, 32), (17, 18, 40), (5, 5, 44)])
def test_rows_are_blurred_the_same_however_they_arrive(cuts: tuple[int, ...]) -> None:
    planes = np.random.default_rng(1).random((2, 45, 21), np.float32)
    assert np.array_equal(blurred(planes, *cuts), blurred(planes))
