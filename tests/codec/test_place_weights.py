"""Tests that a map's mean over a block is weighted by energy, and that unneeded coefficients are dropped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.block_coder import BlockCoder
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding, Pixels
from foveate.codec.encoder import Encoder
from foveate.codec.footprints import box_means, footprints, summed
from foveate.codec.place_weights import WeightMap, energy_means, leave_out
from tests import streams


def means_of(
    pixels: Pixels, values: NDArray[np.float64], coding: Coding | None = None
) -> NDArray[np.float64]:
    coder = BlockCoder(pixels, coding or Coding())
    assert coder.contents is not None
    return energy_means(coder.contents, coder.layout, WeightMap(values, *pixels.shape[:2]))


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


def half_salient(side: int = 256) -> tuple[Pixels, NDArray[np.float32]]:
    """A texture, and a mask of its left three eighths, which ends within blocks of every level."""
    mask = np.zeros((side // 8, side // 8), np.float32)
    mask[:, : 3 * side // 64] = 1
    return streams.texture(side, side, 1), mask


def test_only_coefficients_worth_less_next_to_a_salient_place_are_dropped() -> None:
    pixels, mask = half_salient()
    coder = BlockCoder(pixels, Coding())
    weights = WeightMap(10.0 ** mask.astype(np.float64), 256, 256)
    contents = coder.contents
    assert contents is not None
    means = energy_means(contents, coder.layout, weights)
    before = contents.coefficients.values.copy()
    price = 50.0
    leave_out(contents, coder.layout, weights, means, np.full(len(means), price))
    after = contents.coefficients.values
    changed = np.flatnonzero(before != after)
    assert len(changed) and not after[changed].any()
    b = int(np.flatnonzero((coder.layout.blocks.level == 1) & (coder.layout.blocks.box[:, 0] == 0))[0])
    start, width = int(coder.blocks.start[b]), int(coder.blocks.width[b])
    block = slice(start, start + width * int(coder.blocks.height[b]))
    old, new = before[block].reshape(-1, width), after[block].reshape(-1, width)
    assert np.array_equal(old[:, :48], new[:, :48])  # 96 pixels: salient
    gone = old[:, 49:][new[:, 49:] == 0] & np.uint32(0x7FFFFFFF)
    stayed = new[:, 49:][new[:, 49:] > 0] & np.uint32(0x7FFFFFFF)
    assert 0 < gone.max() < stayed.min()


def test_places_of_one_weight_lose_nothing() -> None:
    coder = BlockCoder(streams.texture(100, 140, 3), Coding())
    contents = coder.contents
    assert contents is not None
    weights = WeightMap(np.full((3, 4), 2.5), 100, 140)
    before = contents.coefficients.values.copy()
    count = len(coder.areas)
    means = energy_means(contents, coder.layout, weights)
    leave_out(contents, coder.layout, weights, means * (1 - 1e-12), np.full(count, 1e9))
    assert np.array_equal(before, contents.coefficients.values)


def test_what_was_left_out_is_back_for_the_next_target() -> None:
    pixels, mask = half_salient()
    emphasis = Emphasis(mask, 12.0)
    first = allocation.encode(Encoder(pixels, emphasis, Coding(block_size=64)).within(3000))
    again = Encoder(pixels, emphasis, Coding(block_size=64))
    again.within(900)
    assert allocation.encode(again.within(3000)) == first
    lossless = Encoder(pixels, emphasis, Coding(reversible=True))
    lossless.within(900)
    assert np.array_equal(openjpeg.decode(allocation.encode(lossless.whole())).pixels, pixels)


def test_the_salient_part_of_a_block_gains_more_than_its_rest_loses_by_weight() -> None:
    pixels, mask = half_salient(512)
    stretched = mask.repeat(8, 0).repeat(8, 1)
    error: dict[bool, float] = {}
    for by_place in (False, True):
        encoder = Encoder(pixels, Emphasis(mask, 12.0), Coding(block_size=64))
        if not by_place:
            encoder.__dict__["_places"] = None
        decoded = openjpeg.decode(allocation.encode(encoder.within(12_000))).pixels
        squared = (decoded[..., 0].astype(float) - pixels[..., 0]) ** 2
        error[by_place] = float((squared * 10 ** (1.2 * stretched)).mean())
    assert error[True] < 0.985 * error[False]
