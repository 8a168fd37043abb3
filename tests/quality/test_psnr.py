import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from foveate.quality.color import Pixels
from foveate.quality.psnr import alpha_error, mse, psnr, psnr_s, psnr_y

shapes = st.tuples(st.integers(1, 17), st.integers(1, 17), st.integers(1, 4))
pairs = st.tuples(shapes, st.sampled_from([np.uint8, np.uint16])).flatmap(
    lambda chosen: st.tuples(hnp.arrays(chosen[1], chosen[0]), hnp.arrays(chosen[1], chosen[0]))
)


def noisy_pair(shape: tuple[int, int, int], dtype: Any = np.uint8) -> tuple[Pixels, Pixels]:
    generator = np.random.default_rng(0)
    high = np.iinfo(dtype).max + 1
    a, b = (generator.integers(0, high, shape).astype(dtype) for _ in range(2))
    return a, b


def test_mse_of_one_wrong_channel_is_shared_among_all_three() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[1, 0, 2] = 6
    assert mse(a, b) == 36 / 12


def test_psnr_of_an_error_of_one_everywhere_is_the_peak_in_decibels() -> None:
    a = np.full((3, 5, 1), 9, np.uint8)
    assert psnr(a, a + np.uint8(1)) == pytest.approx(20 * math.log10(255))
    assert psnr(a, a + np.uint8(1), peak=1) == 0
    deep = a.astype(np.uint16)
    assert psnr(deep, deep + np.uint16(1)) == pytest.approx(20 * math.log10(65535))


def test_psnr_y_weighs_the_channels_by_bt601() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    b = a + np.array([0, 10, 0], np.uint8)
    assert psnr_y(a, b) == pytest.approx(20 * math.log10(255 / 5.87), abs=1e-5)


def test_psnr_s_counts_the_errors_where_the_saliency_is() -> None:
    a = np.zeros((2, 4, 1), np.uint8)
    b = a.copy()
    b[:, :2] = 10
    left = np.array([[1, 1, 0, 0]], np.float32)
    assert psnr_s(a, b, left) == pytest.approx(20 * math.log10(25.5))
    assert psnr_s(a, b, left[:, ::-1]) == math.inf
    assert psnr_s(a, b, 3 * left + 1) == pytest.approx(10 * math.log10(255**2 / (100 * 16 / 20)))


def test_a_saliency_of_zero_is_the_same_as_none() -> None:
    a, b = noisy_pair((13, 9, 3))
    assert psnr_s(a, b, np.zeros((4, 4), np.float32)) == psnr(a, b)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_agree_with_scikit_image(dtype: Any, channels: int) -> None:
    a, b = noisy_pair((211, 307, channels), dtype)
    assert mse(a, b) == pytest.approx(mean_squared_error(a, b), rel=1e-6)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-5)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_not_measured(channels: int) -> None:
    a, b = noisy_pair((8, 8, channels))
    other = b.copy()
    other[..., -1] ^= 255
    assert mse(a, b) == mse(a, other) == mse(a[..., :-1], b[..., :-1])


def test_unlike_photos_are_refused_in_a_sentence() -> None:
    a, b = noisy_pair((8, 8, 3))
    for left, right in ((a, b[:4]), (a, b.astype(np.uint16)), (a[..., 0], b[..., 0]), (a[:0], b[:0])):
        with pytest.raises(ValueError, match=r"differ|expected"):
            mse(left, right)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        mse(*(cast(Pixels, photo.astype(np.float32)) for photo in (a, b)))


def test_an_impossible_saliency_map_is_refused() -> None:
    a, b = noisy_pair((8, 8, 3))
    for saliency in (-np.ones((2, 2)), np.full((2, 2), np.nan), np.ones((2, 2, 1)), np.ones((0, 2))):
        with pytest.raises(ValueError, match="saliency map"):
            psnr_s(a, b, saliency.astype(np.float32))


@given(pairs)
def test_both_directions_measure_the_same(pair: tuple[Pixels, Pixels]) -> None:
    a, b = pair
    assert mse(a, b) == mse(b, a) >= 0
    assert psnr_y(a, b) == psnr_y(b, a)


@given(pairs)
def test_a_photo_against_itself_is_infinitely_good(pair: tuple[Pixels, Pixels]) -> None:
    a, _ = pair
    assert psnr(a, a) == psnr_y(a, a) == psnr_s(a, a, np.ones((3, 3), np.float32)) == math.inf


@given(pairs, st.floats(0.125, 8, width=32))
def test_a_flat_saliency_is_the_plain_measure(pair: tuple[Pixels, Pixels], level: float) -> None:
    a, b = pair
    flat = psnr_s(a, b, np.full((2, 3), level, np.float32))
    assert flat == pytest.approx(psnr(a, b), abs=1e-4)


@pytest.mark.parametrize(("channels", "expected"), [(1, None), (3, None), (2, 100.0), (4, 100.0)])
@pytest.mark.parametrize("deep", [False, True])
def test_the_largest_error_of_alpha_is_on_a_scale_of_255(
    channels: int, expected: float | None, deep: bool
) -> None:
    scale, kind = (257, np.uint16) if deep else (1, np.uint8)
    a = np.full((9, 7, channels), 200 * scale, kind)
    b = a.copy()
    b[3, 4] = 100 * scale
    assert alpha_error(a, b) == expected
