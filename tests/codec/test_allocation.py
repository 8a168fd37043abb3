"""Who gets the bits: budgets are kept, and weight buys quality where it lies."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec import allocation, openjpeg
from codec.allocation import Candidates
from tests import streams

PSNRS = allocation.layer_psnrs(8)


@functools.cache
def photo(name: str) -> NDArray[np.uint8]:
    if name == "texture":
        return streams.texture(301, 437, 3)
    pixels: NDArray[np.uint8] = getattr(skimage.data, name)()
    return np.ascontiguousarray(pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels)


@functools.cache
def taken_apart(name: str, block_size: int = 64) -> tuple[Any, Any, Any]:
    data = openjpeg.encode(photo(name), layer_psnrs_db=PSNRS, block_size=block_size)
    return allocation.parse_layers(data)


def ranked(
    name: str, saliency: NDArray[np.float32] | None, gain_db: float, block_size: int = 64
) -> Candidates:
    stream, layout, parts = taken_apart(name, block_size)
    weights = np.ones(len(layout.blocks.tile))
    if saliency is not None:
        weights = allocation.saliency_weights(stream, layout, saliency, gain_db)
    return allocation.rank(stream, layout, parts, allocation.layer_slopes(parts, PSNRS), weights)


def middle(height: int = 8, width: int = 8) -> NDArray[np.float32]:
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
    return mask


def psnr_db(name: str, data: bytes, inside: bool | None = None) -> float:
    """PSNR over the picture, or inside or outside its middle quarter."""
    pixels = photo(name)
    error = (pixels.astype(float) - openjpeg.decode(data).pixels) ** 2
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    if inside is not None:
        error = error[mask if inside else ~mask]
    return float(10 * np.log10(255**2 / error.mean()))


@given(st.sampled_from(["texture", "astronaut", "camera"]), st.floats(-4.3, 2), st.floats(0, 15))
@settings(deadline=None, max_examples=40)
def test_the_budget_is_used_to_a_hundredth_and_never_exceeded(
    name: str, log_rate: float, gain_db: float
) -> None:
    height, width = photo(name).shape[:2]
    candidates = ranked(name, middle(), gain_db)
    budget = int(2**log_rate * height * width / 8)
    upto = allocation.fit_bytes(candidates, budget)
    data = allocation.encode(candidates, upto)
    assert len(data) == allocation.encoded_size(candidates, upto)
    everything = allocation.encoded_size(candidates, allocation.take(candidates, len(candidates)))
    assert 0.99 * min(budget, everything) <= len(data) <= budget
    assert not openjpeg.decode(data).warnings


def test_a_budget_beyond_everything_keeps_everything() -> None:
    candidates = ranked("texture", None, 0)
    upto = allocation.fit_bytes(candidates, 1 << 40)
    assert np.array_equal(upto, allocation.take(candidates, len(candidates)))
    decoded = openjpeg.decode(allocation.encode(candidates, upto)).pixels
    assert np.array_equal(decoded, openjpeg.decode(candidates.stream.data).pixels)


def test_the_smallest_budget_holds_headers_alone_and_less_is_an_error() -> None:
    candidates = ranked("texture", None, 0)
    smallest = allocation.encoded_size(candidates, allocation.take(candidates, 0))
    assert len(allocation.encode(candidates, allocation.fit_bytes(candidates, smallest))) == smallest
    with pytest.raises(allocation.BudgetTooSmall, match=str(smallest)):
        allocation.fit_bytes(candidates, smallest - 1)


@pytest.mark.parametrize("shape", streams.SHAPES)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_pictures_of_every_kind_fit_their_budget(
    shape: tuple[int, int, int, int, int, bool], share: float
) -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(*shape))
    slopes = allocation.layer_slopes(parts, streams.LAYERS_DB)
    weights = allocation.saliency_weights(stream, layout, middle(), 12)
    candidates = allocation.rank(stream, layout, parts, slopes, weights)
    smallest = allocation.encoded_size(candidates, allocation.take(candidates, 0))
    budget = smallest + int(share * (len(stream.data) - smallest))
    data = allocation.encode(candidates, allocation.fit_bytes(candidates, budget))
    assert len(data) <= budget
    decoded = openjpeg.decode(data)
    assert decoded.pixels.shape == shape[:3]
    assert not decoded.warnings


def test_more_bytes_never_look_worse() -> None:
    candidates = ranked("astronaut", None, 0)
    quality = [
        psnr_db("astronaut", allocation.encode(candidates, allocation.fit_bytes(candidates, budget)))
        for budget in (2000, 5000, 12_000, 30_000, 80_000)
    ]
    assert np.all(np.diff(quality) > 1)


def test_plain_choice_is_within_a_tenth_of_a_decibel_of_the_encoder() -> None:
    for target_db in (30.0, 36.0):
        alone = openjpeg.encode(photo("astronaut"), layer_psnrs_db=(target_db,))
        candidates = ranked("astronaut", None, 0)
        ours = allocation.encode(candidates, allocation.fit_bytes(candidates, len(alone)))
        assert psnr_db("astronaut", ours) > psnr_db("astronaut", alone) - 0.1


def test_gain_buys_quality_inside_with_quality_outside() -> None:
    inside, outside = [], []
    for gain_db in (0.0, 4.0, 8.0, 12.0):
        candidates = ranked("astronaut", middle(), gain_db, 32)
        data = allocation.encode(candidates, allocation.fit_bytes(candidates, 16_384))
        inside.append(psnr_db("astronaut", data, True))
        outside.append(psnr_db("astronaut", data, False))
    assert np.all(np.diff(inside) > 0)
    assert np.all(np.diff(outside) < 0)
    assert inside[-1] > inside[0] + 1.8


@given(st.integers(0, 1 << 30), st.floats(1, 50), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_more_weight_never_costs_a_block_a_layer_at_the_same_slope(
    seed: int, factor: float, cut: float
) -> None:
    stream, layout, parts = taken_apart("texture")
    slopes = allocation.layer_slopes(parts, PSNRS)
    rng = np.random.default_rng(seed)
    weights = 10 ** rng.uniform(0, 1.2, len(layout.blocks.tile))
    favoured = rng.random(len(weights)) < 0.3
    heavier = np.where(favoured, factor * weights, weights)
    threshold = slopes.min() + cut * (np.ptp(slopes) + 1)

    def kept(weights: NDArray[np.float64]) -> NDArray[np.int32]:
        candidates = allocation.rank(stream, layout, parts, slopes, weights)
        value = slopes[candidates.layer] + np.log10(weights)[candidates.block]
        assert np.all(np.diff(value) <= 0)
        return allocation.take(candidates, int((value >= threshold).sum()))

    before, after = kept(weights), kept(heavier)
    assert (after[favoured] >= before[favoured]).all()
    assert np.array_equal(after[~favoured], before[~favoured])


@given(st.integers(0, 1 << 30), st.sampled_from(["tiles and offsets", "chroma of half size", "PCRL"]))
@settings(deadline=None, max_examples=30)
def test_weights_stay_between_those_of_no_and_of_full_salience(seed: int, name: str) -> None:
    stream, layout, _ = allocation.parse_layers(streams.foreign(streams.FOREIGN[name]))
    rng = np.random.default_rng(seed)
    saliency = rng.random(rng.integers(1, 200, 2)).astype(np.float32)
    weights = allocation.saliency_weights(stream, layout, saliency, 12)
    assert weights.min() >= 10 ** (1.2 * saliency.min()) * (1 - 1e-6)
    assert weights.max() <= 10 ** (1.2 * saliency.max()) * (1 + 1e-6)


def test_a_blocks_weight_is_the_mean_over_its_place_in_the_photo() -> None:
    stream, layout, _ = taken_apart("astronaut")
    saliency = np.zeros((512, 512), np.float32)
    saliency[130:200, 300:390] = 1
    weights = allocation.saliency_weights(stream, layout, saliency, 10)
    assert weights.shape == layout.blocks.tile.shape
    for i in range(0, len(weights), 7):
        x0, y0, x1, y1 = (layout.blocks.box[i] << layout.blocks.level[i]).tolist()
        expected = (10 ** saliency[y0:y1, x0:x1].astype(float)).mean()
        assert weights[i] == pytest.approx(expected, rel=1e-9)


def test_a_map_counts_alike_at_any_resolution() -> None:
    stream, layout, _ = taken_apart("texture")
    coarse = np.array([[0, 1, 0.5], [0.2, 0, 1]], np.float32)
    fine = coarse.repeat(40, 0).repeat(30, 1)
    first = allocation.saliency_weights(stream, layout, coarse, 12)
    assert np.allclose(first, allocation.saliency_weights(stream, layout, fine, 12))


def test_layers_rise_to_everything_and_an_encoder_takes_them() -> None:
    for bit_depth in range(1, 17):
        psnrs = allocation.layer_psnrs(bit_depth)
        assert len(psnrs) <= openjpeg.MAX_LAYERS
        assert psnrs[-1] == 0
        assert np.all(np.diff(psnrs[:-1]) >= 0.7)
        openjpeg.encode(np.zeros((3, 2, 1), np.uint16), layer_psnrs_db=psnrs, bit_depth=bit_depth)
    assert len(PSNRS) == 59


def test_slopes_fall_from_layer_to_layer_even_where_a_layer_is_empty() -> None:
    _, _, parts = allocation.parse_layers(
        openjpeg.encode(np.full((40, 50, 1), 7, np.uint8), layer_psnrs_db=PSNRS)
    )
    assert np.isfinite(allocation.layer_slopes(parts, PSNRS)).all()
    _, _, parts = taken_apart("camera")
    slopes = allocation.layer_slopes(parts, PSNRS)
    assert np.all(np.diff(slopes) <= 0)
    assert slopes[0] - slopes[-1] > 3


def test_one_layer_alone_can_be_kept_or_left_out() -> None:
    stream, layout, parts = allocation.parse_layers(openjpeg.encode(streams.texture(97, 131, 1)))
    slopes = allocation.layer_slopes(parts, (0.0,))
    candidates = allocation.rank(stream, layout, parts, slopes, np.ones(len(layout.blocks.tile)))
    data = allocation.encode(candidates, allocation.fit_bytes(candidates, 3000))
    assert 1000 < len(data) <= 3000


def test_blocks_are_small_where_a_compact_place_matters_and_the_photo_is_small() -> None:
    assert allocation.block_size(512, 512, None) == 64
    assert allocation.block_size(512, 768, middle(32, 48)) == 32
    assert allocation.block_size(1365, 2048, middle(32, 48)) == 32
    assert allocation.block_size(6000, 8000, middle(32, 48)) == 64
    assert allocation.block_size(512, 768, np.full((5, 7), 0.8, np.float32)) == 64
    assert allocation.block_size(512, 768, middle(32, 48), gain_db=1) == 64
    ramp = np.linspace(0, 1, 100, dtype=np.float32)[None].repeat(80, 0)
    assert allocation.block_size(1000, 1500, ramp) == 64
    assert allocation.block_size(1, 1, np.ones((1, 1), np.float32)) == 64
