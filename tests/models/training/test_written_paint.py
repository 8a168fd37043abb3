"""Lines placed on pictures and painted: where they end up, and how much they stand out."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.models.training.written_paint import LUMA, Placed, board, ink_color, painted, placed, warped
from foveate.models.training.written_strips import Strip


def solid(height: int, width: int) -> Strip:
    """A strip whose left half is ink, with the core of a line all along its middle."""
    layers = Strip(*(np.zeros((height, width), np.uint8) for _ in range(3)))
    layers.ink[:, : width // 2] = layers.region[:] = 255
    layers.cores[height // 3 : -height // 3] = 255
    return layers


def test_a_small_strip_is_on_the_picture_whole_at_any_angle() -> None:
    generator = np.random.default_rng(0)
    for _ in range(40):
        layers = placed(solid(12, 30), 96, generator)
        assert 0.6 * 360 < layers.region.sum() < 1.5 * 360
        assert 0.25 < layers.ink.sum() / layers.region.sum() < 0.75
        assert layers.region[layers.cores > 0.9].min() == pytest.approx(1)
        assert not layers.region[[0, -1]].any() and not layers.region[:, [0, -1]].any()


def test_the_middle_of_a_strip_that_is_too_long_is_seen() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        assert placed(solid(20, 900), 96, generator).region.max() == 1


def test_what_is_warped_stays_together() -> None:
    generator = np.random.default_rng(2)
    flat = placed(solid(20, 60), 96, generator)
    for _ in range(10):
        bent = warped(flat, 10.0, generator)
        assert 0.7 < bent.region.sum() / flat.region.sum() < 1.4
        assert (bent.region[bent.cores > 0.9] > 0.5).all()


def test_ink_differs_from_its_ground() -> None:
    generator = np.random.default_rng(3)
    for _ in range(100):
        ground = generator.uniform(0, 255, 3).astype(np.float32)
        assert abs((ink_color(ground, generator) - ground) @ LUMA) > 25


def test_paint_stays_near_its_ink() -> None:
    generator = np.random.default_rng(4)
    ink = np.zeros((64, 64), np.float32)
    ink[20:30, 20:40] = 1
    for _ in range(30):
        ground = board(64, generator.integers(0, 255, (9, 8, 3)).astype(np.uint8), generator)
        result, left = painted(ground, Placed(ink, ink, ink), 12.0, generator)
        assert result.shape == ground.shape and result.dtype == np.float32
        assert (left <= ink).all() and left.max() > 0.2
        np.testing.assert_array_equal(result[:10], ground[:10])
