import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from skimage import data
from skimage.metrics import structural_similarity

from foveate.quality.color import Pixels, luma
from foveate.quality.saliency import StretchedMap
from foveate.quality.ssim import (
    SCALE_WEIGHTS,
    StructuralSimilarity,
    halve,
    ms_ssim,
    scale_count,
    ssim,
    ssim_s,
)

photos = hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4)))


def chelsea_and_noise(deviation: float = 12.0) -> tuple[Pixels, Pixels]:
    cat = data.chelsea()
    noise = np.random.default_rng(0).normal(0, deviation, cat.shape)
    return cat, np.clip(cat + noise, 0, 255).astype(np.uint8)


def scikit_ssim(a: NDArray[np.float64], b: NDArray[np.float64], peak: float) -> float:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, data_range=peak, **options))


@pytest.mark.parametrize("deviation", [0.6, 3.0, 12.0, 60.0])
def test_ssim_agrees_with_scikit_image(deviation: float) -> None:
    a, b = chelsea_and_noise(deviation)
    expected = scikit_ssim(luma(a).astype(np.float64), luma(b).astype(np.float64), 255)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_16_bits_agrees_with_scikit_image() -> None:
    a, b = (photo[..., :1].astype(np.uint16) * 257 for photo in chelsea_and_noise())
    expected = scikit_ssim(a[..., 0].astype(np.float64), b[..., 0].astype(np.float64), 65535)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_two_flat_photos_by_hand() -> None:
    a, b = np.full((20, 20, 1), 100, np.uint8), np.full((20, 20, 1), 150, np.uint8)
    stabilizer = 2.55**2
    expected = (2 * 100 * 150 + stabilizer) / (100**2 + 150**2 + stabilizer)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)
    assert ms_ssim(a, b) == pytest.approx(expected**1.0, abs=1e-6)


def textbook_ms_ssim(a: NDArray[Any], b: NDArray[Any], scales: int) -> float:
    """Five filterings in float64, as in the paper."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()

    def blur(plane: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(correlate1d(correlate1d(plane, taps, 0), taps, 1)[5:-5, 5:-5])

    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    result, c1, c2 = 1.0, 2.55**2, 7.65**2
    a, b = a.astype(np.float64), b.astype(np.float64)
    for scale in range(scales):
        ma, mb = blur(a), blur(b)
        va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
        value = (2 * vab + c2) / (va + vb + c2)
        if scale == scales - 1:
            value = value * (2 * ma * mb + c1) / (ma * ma + mb * mb + c1)
        result *= value.mean() ** weights[scale]
        a, b = halve(a), halve(b)
    return result


@pytest.mark.parametrize(("height", "scales"), [(300, 5), (175, 4), (87, 3), (43, 2), (21, 1)])
def test_ms_ssim_agrees_with_the_textbook_at_every_number_of_scales(height: int, scales: int) -> None:
    a, b = (photo[:height] for photo in chelsea_and_noise(25.0))
    assert scale_count(*a.shape[:2]) == scales
    expected = textbook_ms_ssim(luma(a), luma(b), scales)
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("cuts", [(1, 2, 13), (11, 100, 101), (16, 32, 299)])
@pytest.mark.parametrize("width", [451, 9])
def test_how_the_rows_are_fed_changes_no_value(cuts: tuple[int, ...], width: int) -> None:
    a, b = (luma(photo[:, :width]) for photo in chelsea_and_noise())
    height = len(a)
    weights = StretchedMap.over(np.random.default_rng(1).random((4, 5), dtype=np.float32), height, width)
    whole, parts = (StructuralSimilarity(height, width, 255, weights=weights) for _ in range(2))
    whole.add(a, b)
    for top, bottom in itertools.pairwise((0, *cuts, height)):
        parts.add(a[top:bottom], b[top:bottom])
    for measure in ("ssim", "ssim_s", "ms_ssim"):
        assert getattr(parts, measure) == pytest.approx(getattr(whole, measure), rel=1e-6)


def test_ssim_s_looks_where_the_saliency_is() -> None:
    a, b = chelsea_and_noise(30.0)
    b[:, 225:] = a[:, 225:]
    right = np.array([[0, 0, 0, 0, 1, 1]], np.float32)
    assert ssim_s(a, b, right) > 0.999
    assert ssim_s(a, b, right[:, ::-1]) < 0.6
    assert ssim_s(a, b, np.zeros((2, 2), np.float32)) == ssim(a, b)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 5000, 3), (5000, 1, 4), (10, 11, 2), (11, 10, 3), (2, 3, 1)]
)
def test_photos_smaller_than_the_window_have_a_value(shape: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(5)
    a, b = (generator.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
    assert -1 <= ssim(a, b) < 1
    assert 0 <= ms_ssim(a, b) < 1
    assert -1 <= ssim_s(a, b, np.ones((3, 4), np.float32)) < 1


def test_the_negative_of_a_photo_scores_no_better_than_nothing() -> None:
    a = np.random.default_rng(2).integers(0, 256, (60, 60, 1), dtype=np.uint8)
    assert ssim(a, 255 - a) < 0
    assert ms_ssim(a, 255 - a) == 0


@settings(deadline=None)
@given(photos)
def test_a_photo_is_exactly_like_itself(photo: Pixels) -> None:
    assert ssim(photo, photo) == 1
    assert ms_ssim(photo, photo) == 1
    assert ssim_s(photo, photo, np.ones((2, 2), np.float32)) == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(photos, st.integers(0, 2**32 - 1))
def test_both_directions_and_all_turns_measure_the_same(a: Pixels, seed: int) -> None:
    b = np.random.default_rng(seed).integers(0, 256, a.shape, dtype=np.uint8)
    assert ssim(b, a) == pytest.approx(ssim(a, b), abs=1e-5)
    assert ssim(a[::-1], b[::-1]) == pytest.approx(ssim(a, b), abs=1e-5)
    assert ssim(a.swapaxes(0, 1), b.swapaxes(0, 1)) == pytest.approx(ssim(a, b), abs=1e-5)
    assert -1.001 <= ssim(a, b) <= 1
