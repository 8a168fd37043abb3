"""A map's mean over a block goes by where the block's own coefficients have energy."""

from __future__ import annotations

import numpy as np
import pytest
from foveate.codec.energy_means import energy_means
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec.block_coder import BlockCoder
from foveate.codec.coding import Coding, Pixels
from foveate.codec.footprints import box_means, footprints, summed
from tests import streams


def means_of(
    pixels: Pixels, values: NDArray[np.float64], coding: Coding | None = None
) -> NDArray[np.float64]:
    coder = BlockCoder(pixels, coding or Coding())
    assert coder.contents is not None
    return energy_means(coder.contents, coder.layout, values, *pixels.shape[:2])


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 4), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=30)
def test_means_stay_between_the_least_and_the_largest_value(
    height: int, width: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random(rng.integers(1, 60, 2)) + 0.5
    for reversible in (False, True):
        coding = Coding(reversible=reversible, block_size=8)
        found = means_of(streams.texture(height, width, channels), values, coding)
        assert found.min() >= values.min() * (1 - 1e-9) and found.max() <= values.max() * (1 + 1e-9)


def test_of_noise_they_are_those_over_the_footprints() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (512, 512, 1), np.uint8)
    ramp = np.linspace(1, 2, 64)
    values = ramp[:, None] * ramp
    coder = BlockCoder(noise, Coding())
    expected = box_means(summed(values), footprints(coder.stream, coder.layout).T, 512, 512)
    level = coder.layout.blocks.level
    np.testing.assert_allclose(means_of(noise, values)[level <= 2], expected[level <= 2], rtol=0.03)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_half_of_a_block_that_is_flat_has_no_say(kind: type[np.unsignedinteger]) -> None:
    picture = np.full((256, 256, 1), 100, np.int64)
    picture[:, :64, 0] += np.random.default_rng(5).integers(-20, 21, (256, 64))
    pixels: Pixels = (picture * (257 if kind is np.uint16 else 1)).astype(kind)
    values = np.ones((32, 32))
    values[:, 8:] = 10.0
    coder = BlockCoder(pixels, Coding())
    blocks = coder.layout.blocks
    left = (blocks.level == 1) & (blocks.box[:, 0] == 0)  # 128 pixels wide, of which 64 are textured
    assert means_of(pixels, values)[left].max() < 1.6
    assert box_means(summed(values), footprints(coder.stream, coder.layout).T, 256, 256)[left].min() > 5


def test_a_picture_of_several_tiles_has_no_coefficients_at_hand() -> None:
    assert BlockCoder(streams.texture(300, 300, 1), Coding(tile_size=128)).contents is None
