"""Tests how saliency weights errors: by the mean of the map where each block's energy is."""

from __future__ import annotations

import functools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import codestream, wavelet
from foveate.codec.block_coder import BlockCoder
from foveate.codec.codestream import Codestream
from foveate.codec.coding import Coding
from foveate.codec.layout import Layout, lay_out
from foveate.codec.saliency_weights import block_size, saliency_weights
from tests import streams


@functools.cache
def taken_apart(height: int = 301, width: int = 437, channels: int = 3) -> tuple[Codestream, Layout]:
    coder = BlockCoder(streams.texture(height, width, channels), Coding())
    return coder.stream, coder.layout


def middle(height: int = 8, width: int = 8) -> NDArray[np.float32]:
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
    return mask


@given(st.integers(0, 1 << 30), st.sampled_from(["tiles and offsets", "chroma of half size", "PCRL"]))
@settings(deadline=None, max_examples=30)
def test_weights_stay_between_those_of_no_and_of_full_salience(seed: int, name: str) -> None:
    stream = codestream.parse(streams.foreign(streams.FOREIGN[name]))
    layout = lay_out(stream)
    rng = np.random.default_rng(seed)
    saliency = rng.random(rng.integers(1, 200, 2)).astype(np.float32)
    found = saliency_weights(stream, layout, saliency, 12)
    assert found.min() >= 10 ** (1.02 * saliency.min()) * (1 - 1e-6)
    assert found.max() <= 10 ** (1.02 * saliency.max()) * (1 + 1e-6)


def test_a_map_larger_than_a_tiny_photo_takes_the_room_of_the_map() -> None:
    saliency = np.linspace(0, 1, 700 * 900, dtype=np.float32).reshape(700, 900)
    for height, width in ((1, 1), (1, 300), (3, 2)):
        stream, layout = taken_apart(height, width, 1)
        tracemalloc.start()
        found = saliency_weights(stream, layout, saliency, 12)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * saliency.nbytes
        assert found.min() >= 1
    stream, layout = taken_apart(1, 1, 1)
    mean = np.mean(10 ** (1.2 * saliency.astype(np.float64))) ** 0.85
    assert saliency_weights(stream, layout, saliency, 12) == pytest.approx(mean, rel=1e-3)


def energy_of(level: int, band: int, box: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Where the energy of a block's basis functions lies: (H, W), from one row and one column."""
    along = []
    for axis, side in ((1, shape[0]), (0, shape[1])):
        high = bool(band >> axis & 1)
        function = wavelet.basis(True, level, high) ** 2
        line = np.zeros(side + 4 * len(function) + (2 << level))
        for index in range(box[axis], box[axis + 2]):
            middle_at = (index << level) + (high << level - 1) + 2 * len(function)
            line[middle_at - len(function) // 2 :][: len(function)] += function
        along.append(line[2 * len(function) :][:side])
    return along[0][:, None] * along[1]


def test_a_blocks_weight_is_the_mean_over_where_its_energy_lies() -> None:
    stream, layout = taken_apart(512, 512, 1)
    ramp = np.linspace(0, 1, 512, dtype=np.float32)
    saliency = np.asarray((ramp[:, None] + ramp) / 2, np.float32)
    found = saliency_weights(stream, layout, saliency, 6)
    assert found.shape == layout.blocks.tile.shape
    for i in range(len(found)):
        energy = energy_of(layout.blocks.level[i], layout.blocks.band[i], layout.blocks.box[i], (512, 512))
        expected = (energy * 10 ** (0.6 * saliency.astype(float))).sum() / energy.sum()
        assert found[i] == pytest.approx(expected**0.85, rel=0.01)


def test_a_map_has_the_same_effect_at_any_resolution() -> None:
    stream, layout = taken_apart()
    coarse = np.array([[0, 1, 0.5], [0.2, 0, 1]], np.float32)
    fine = coarse.repeat(40, 0).repeat(30, 1)
    first = saliency_weights(stream, layout, coarse, 12)
    assert np.allclose(first, saliency_weights(stream, layout, fine, 12))


def test_blocks_are_small_where_a_compact_place_matters_and_the_photo_is_small() -> None:
    assert block_size(512, 512, None) == 64
    assert block_size(512, 768, middle(32, 48)) == 32
    assert block_size(700, 1024, middle(32, 48)) == 32
    assert block_size(1365, 2048, middle(32, 48)) == 64
    assert block_size(6000, 8000, middle(32, 48)) == 64
    assert block_size(512, 768, np.full((5, 7), 0.8, np.float32)) == 64
    assert block_size(512, 768, middle(32, 48), gain_db=1) == 64
    ramp = np.linspace(0, 1, 100, dtype=np.float32)[None].repeat(80, 0)
    assert block_size(1000, 1500, ramp) == 64
    assert block_size(1, 1, np.ones((1, 1), np.float32)) == 64


def test_a_mask_finer_than_any_block_counts_as_its_average() -> None:
    stream, layout = taken_apart(301, 437)
    coarse = np.random.default_rng(3).random((26, 37)).astype(np.float32)
    fine = coarse.repeat(12, 0).repeat(12, 1)  # 312 x 444: finer than the photo
    expected = saliency_weights(stream, layout, coarse, 12)
    np.testing.assert_allclose(saliency_weights(stream, layout, fine, 12), expected, rtol=0.03)
    assert block_size(301, 437, fine) == block_size(301, 437, coarse)
