"""The derivative of error maps against differences of their sums in double precision."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from foveate.quality.map_gradient import map_gradient
from foveate.quality.recursive_gaussian import window

Plane64 = NDArray[np.float64]
FACTORS = np.array([[1.0, 0.3, 0.7], [40.0, 30.0, 60.0]], np.float32)


def blurred(plane: Plane64) -> Plane64:
    half = window().astype(np.float64)
    taps = np.concatenate((half[:0:-1], half))
    across = correlate1d(plane, taps, 1, mode="constant")
    return np.asarray(correlate1d(across, taps, 0, mode="constant"))


def summed(a: Plane64, b: Plane64, factors: NDArray[np.float32]) -> float:
    mean_a, mean_b = blurred(a), blurred(b)
    variances = blurred(a * a) - mean_a**2 + blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    similarity = (1 - (mean_a - mean_b) ** 2) * (2 * covariance + 0.0009) / (variances + 0.0009)
    edges = (abs(b - mean_b) - abs(a - mean_a)) / (1 + abs(a - mean_a))
    maps = np.stack([np.maximum(1 - similarity, 0), np.maximum(edges, 0), np.maximum(-edges, 0)])
    return float((factors[0] * maps.sum((1, 2)) + factors[1] / 4 * (maps**4).sum((1, 2))).sum())


def planes(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(height * 1000 + width)
    a = rng.random((height, width), np.float32)
    return a, a + 0.1 * rng.standard_normal((height, width), np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (12, 1), (3, 5), (11, 19)])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_each_sample_has_the_derivative_that_a_small_change_shows(shape: tuple[int, int], kind: int) -> None:
    a, b = planes(*shape)
    factors = np.zeros((2, 3), np.float32)
    factors[:, kind] = FACTORS[:, kind]
    expected, step = np.empty(shape), 1e-6
    for at in np.ndindex(*shape):
        change = np.zeros(shape)
        change[at] = step
        more, less = (summed(a.astype(float), b + sign * change, factors) for sign in (1, -1))
        expected[at] = (more - less) / (2 * step)
    found = map_gradient(a, b, factors)
    assert found == pytest.approx(expected, abs=2e-4 * np.abs(expected).max() + 1e-6)


@pytest.mark.parametrize("width", [511, 512, 513, 520, 1030])
def test_wide_planes_are_worked_on_in_panels_that_do_not_show(width: int) -> None:
    a, b = planes(24, width)
    whole = map_gradient(a, b, FACTORS)
    for left in (0, 300, width - 40):
        around = slice(max(0, left - 8), left + 48)
        part = map_gradient(a[:, around].copy(), b[:, around].copy(), FACTORS)
        inside = slice(left - around.start, left - around.start + 40)
        assert np.array_equal(part[:, inside], whole[:, left : left + 40])


def test_equal_planes_have_no_error_to_lose() -> None:
    a, _ = planes(20, 30)
    assert not map_gradient(a, a, FACTORS).any()
    flat = np.full((20, 30), 0.5, np.float32)
    assert np.isfinite(map_gradient(flat, flat + np.float32(0.1), FACTORS)).all()
