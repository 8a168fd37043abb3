"""What an error counts for in each code-block: by saliency over its footprint, by what hides it."""

from __future__ import annotations

import functools
import tracemalloc
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import allocation, codestream, openjpeg, wavelet, weights
from foveate.codec.block_coder import BlockCoder, Coding
from foveate.codec.codestream import Codestream
from foveate.codec.emphasis import Emphasis
from foveate.codec.encoder import Encoder
from foveate.codec.layout import Layout, lay_out
from foveate.quality.ssim import ms_ssim
from tests import streams


def laid_out(pixels: NDArray[Any]) -> tuple[Codestream, Layout]:
    coder = BlockCoder(pixels, Coding())
    return coder.stream, coder.layout


@functools.cache
def taken_apart(height: int = 301, width: int = 437, channels: int = 3) -> tuple[Codestream, Layout]:
    return laid_out(streams.texture(height, width, channels))


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
    found = weights.saliency_weights(stream, layout, saliency, 12)
    assert found.min() >= 10 ** (1.02 * saliency.min()) * (1 - 1e-6)
    assert found.max() <= 10 ** (1.02 * saliency.max()) * (1 + 1e-6)


def test_a_map_larger_than_a_tiny_photo_takes_the_room_of_the_map() -> None:
    saliency = np.linspace(0, 1, 700 * 900, dtype=np.float32).reshape(700, 900)
    for height, width in ((1, 1), (1, 300), (3, 2)):
        stream, layout = taken_apart(height, width, 1)
        tracemalloc.start()
        found = weights.saliency_weights(stream, layout, saliency, 12)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * saliency.nbytes
        assert found.min() >= 1
    stream, layout = taken_apart(1, 1, 1)
    mean = np.mean(10 ** (1.2 * saliency.astype(np.float64))) ** 0.85
    assert weights.saliency_weights(stream, layout, saliency, 12) == pytest.approx(mean, rel=1e-3)


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
    found = weights.saliency_weights(stream, layout, saliency, 6)
    assert found.shape == layout.blocks.tile.shape
    for i in range(len(found)):
        energy = energy_of(layout.blocks.level[i], layout.blocks.band[i], layout.blocks.box[i], (512, 512))
        expected = (energy * 10 ** (0.6 * saliency.astype(float))).sum() / energy.sum()
        assert found[i] == pytest.approx(expected**0.85, rel=0.01)


def test_a_map_counts_alike_at_any_resolution() -> None:
    stream, layout = taken_apart()
    coarse = np.array([[0, 1, 0.5], [0.2, 0, 1]], np.float32)
    fine = coarse.repeat(40, 0).repeat(30, 1)
    first = weights.saliency_weights(stream, layout, coarse, 12)
    assert np.allclose(first, weights.saliency_weights(stream, layout, fine, 12))


def test_blocks_are_small_where_a_compact_place_matters_and_the_photo_is_small() -> None:
    assert weights.block_size(512, 512, None) == 64
    assert weights.block_size(512, 768, middle(32, 48)) == 32
    assert weights.block_size(700, 1024, middle(32, 48)) == 32
    assert weights.block_size(1365, 2048, middle(32, 48)) == 64
    assert weights.block_size(6000, 8000, middle(32, 48)) == 64
    assert weights.block_size(512, 768, np.full((5, 7), 0.8, np.float32)) == 64
    assert weights.block_size(512, 768, middle(32, 48), gain_db=1) == 64
    ramp = np.linspace(0, 1, 100, dtype=np.float32)[None].repeat(80, 0)
    assert weights.block_size(1000, 1500, ramp) == 64
    assert weights.block_size(1, 1, np.ones((1, 1), np.float32)) == 64


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_tuning_for_ssim_raises_it_at_the_same_bytes(name: str) -> None:
    pixels = np.ascontiguousarray(getattr(skimage.data, name)()[:384, :384])
    similarity = []
    tunes: tuple[weights.Tune, ...] = ("psnr", "ssim")
    for tune in tunes:
        choice = Encoder(pixels, Emphasis(tune=tune)).within(384 * 384 // 16)
        data = allocation.encode(choice)
        similarity.append(ms_ssim(pixels, openjpeg.decode(data).pixels))
    assert 1 - similarity[1] < 0.8 * (1 - similarity[0])


def test_errors_count_less_where_contrast_hides_them_and_in_color() -> None:
    pixels = np.full((256, 512, 3), 128, np.uint8)
    pixels[:, 256:] = np.random.default_rng(0).integers(0, 256, (256, 256, 3))
    stream, layout = laid_out(pixels)
    found = weights.ssim_weights(stream, layout, pixels)
    blocks = layout.blocks
    luma = (blocks.component == 0) & (blocks.level == 1) & (blocks.band == 1)
    flat, rich = luma & (blocks.box[:, 2] <= 128), luma & (blocks.box[:, 0] >= 128)
    assert found[flat].min() > 4 * found[rich].max()
    assert np.exp(np.log(found[blocks.component == 0]).mean()) == pytest.approx(1)
    assert (found[blocks.component > 0] == 0.25).all()


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_and_alpha_change_no_weight_of_luma(channels: int, dtype: Any) -> None:
    pixels = streams.texture(180, 133, channels)
    found = []
    for samples in (pixels, (pixels.astype(np.uint16) * 257).astype(dtype) if dtype == np.uint16 else pixels):
        stream, layout = laid_out(samples)
        found.append(weights.ssim_weights(stream, layout, samples))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)
    if channels != 1:
        assert (found[0][layout.blocks.component == channels - 1] == 1).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 1), (5, 3, 4)])
def test_tiny_photos_have_weights_too(shape: tuple[int, int, int]) -> None:
    pixels = streams.texture(*shape)
    stream, layout = laid_out(pixels)
    found = weights.ssim_weights(stream, layout, pixels)
    assert np.isfinite(found).all() and (found > 0).all()


def test_a_mask_finer_than_any_block_counts_as_its_average() -> None:
    stream, layout = taken_apart(301, 437)
    coarse = np.random.default_rng(3).random((26, 37)).astype(np.float32)
    fine = coarse.repeat(12, 0).repeat(12, 1)  # 312 x 444: finer than the photo
    expected = weights.saliency_weights(stream, layout, coarse, 12)
    np.testing.assert_allclose(weights.saliency_weights(stream, layout, fine, 12), expected, rtol=0.03)
    assert weights.block_size(301, 437, fine) == weights.block_size(301, 437, coarse)
