"""Linear light, its means and XYB against their definitions in double precision."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.compiled import compiled, fused
from foveate.quality.xyb import halve, linear_light, rescaled_brightness, rescaled_xyb


@pytest.mark.parametrize("samples", [np.arange(256, dtype=np.uint8), np.arange(65536, dtype=np.uint16)])
def test_linear_light_is_that_of_srgb(samples: NDArray[Any]) -> None:
    encoded = samples / np.iinfo(samples.dtype).max
    expected = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    light = linear_light(samples[None, :, None])
    assert light.shape == (3, 1, samples.size)
    assert light[0, 0] == pytest.approx(expected, abs=6e-7)
    assert np.array_equal(light[1], light[0])
    assert np.array_equal(light[2], light[0])


def test_colors_keep_their_order_and_alpha_is_left_out() -> None:
    light = linear_light(np.array([[[255, 0, 128, 7]]], np.uint8))
    assert light[:, 0, 0] == pytest.approx([1, 0, 0.2158605], abs=1e-6)


def test_halving_repeats_an_odd_last_row_and_column() -> None:
    light = np.arange(45, dtype=np.float32).reshape(3, 3, 5)
    even = np.pad(light, [(0, 0), (0, 1), (0, 1)], mode="edge")
    assert np.array_equal(halve(light), even.reshape(3, 2, 2, 3, 2).mean(axis=(2, 4)))


def test_xyb_is_the_cube_root_of_what_cones_absorb() -> None:
    light = np.random.default_rng(0).random((3, 20, 31), np.float32) ** 4
    light[:, 0, :2] = 0, 1
    absorbed = np.array([[0.3, 0.622, 0.078], [0.23, 0.692, 0.078], [0.24342269, 0.20476744, 0.55180987]])
    cones = np.tensordot(absorbed, light, 1) + 0.0037930732552754493
    long, medium, short = np.cbrt(cones) - np.cbrt(0.0037930732552754493)
    brightness = (long + medium) / 2
    x, y, b = rescaled_xyb(light)
    assert x == pytest.approx(14 * (long - medium) / 2 + 0.42, abs=1e-5)
    assert y == pytest.approx(brightness + 0.01, abs=1e-6)
    assert b == pytest.approx(short - brightness + 0.55, abs=1e-6)
    assert y[0, :2] == pytest.approx([0.01, 0.8553], abs=1e-4)


def test_a_fused_product_and_sum_is_rounded_once() -> None:
    @compiled
    def both(a, b, c):  # type: ignore[no-untyped-def]
        return fused(a, b, c), a * b + c

    a, c = np.float32(1 + 2**-12), np.float32(-1 - 2**-11)
    assert both(a, a, c) == (2**-24, 0)


def test_brightness_alone_is_that_of_the_three_colors() -> None:
    light = np.random.default_rng(3).random((3, 7, 9)).astype(np.float32)
    np.testing.assert_array_equal(rescaled_brightness(light), rescaled_xyb(light)[1])
