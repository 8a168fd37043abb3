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

from foveate.codec import allocation, codestream, openjpeg, weights
from foveate.codec.allocation import Candidates
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
    of_blocks = np.ones(len(layout.blocks.tile))
    if saliency is not None:
        of_blocks = weights.saliency_weights(stream, layout, saliency, gain_db)
    return allocation.rank(stream, layout, parts, allocation.layer_slopes(layout, parts, PSNRS), of_blocks)


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


@given(
    st.sampled_from(["texture", "astronaut", "camera"]),
    st.floats(-4.3, 2),
    st.floats(0, 15),
    st.sampled_from([1, 1, 2, 7]),
)
@settings(deadline=None, max_examples=40)
def test_the_budget_is_used_to_a_hundredth_and_never_exceeded(
    name: str, log_rate: float, gain_db: float, layers: int
) -> None:
    height, width = photo(name).shape[:2]
    candidates = ranked(name, middle(), gain_db)
    budget = int(2**log_rate * height * width / 8)
    choice = allocation.fit_bytes(candidates, budget, layers)
    data = allocation.encode(choice)
    assert len(data) == allocation.encoded_size(choice)
    everything = allocation.encoded_size(
        allocation.tightened(allocation.take(candidates, len(candidates), layers))
    )
    assert 0.99 * min(budget, everything) <= len(data) <= budget
    assert not openjpeg.decode(data).warnings


def test_a_budget_beyond_everything_keeps_everything() -> None:
    candidates = ranked("texture", None, 0)
    choice = allocation.fit_bytes(candidates, 1 << 40)
    assert np.array_equal(choice.upto, allocation.take(candidates, len(candidates)).upto)
    decoded = openjpeg.decode(allocation.encode(choice)).pixels
    assert np.array_equal(decoded, openjpeg.decode(candidates.stream.data).pixels)


def test_the_smallest_budget_holds_headers_alone_and_less_is_an_error() -> None:
    candidates = ranked("texture", None, 0)
    smallest = allocation.encoded_size(allocation.take(candidates, 0))
    assert len(allocation.encode(allocation.fit_bytes(candidates, smallest))) == smallest
    with pytest.raises(allocation.BudgetTooSmall, match=str(smallest)):
        allocation.fit_bytes(candidates, smallest - 1)


@pytest.mark.parametrize("shape", streams.SHAPES)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_pictures_of_every_kind_fit_their_budget(
    shape: tuple[int, int, int, int, int, bool], share: float
) -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(*shape))
    slopes = allocation.layer_slopes(layout, parts, streams.LAYERS_DB)
    of_blocks = weights.saliency_weights(stream, layout, middle(), 12)
    candidates = allocation.rank(stream, layout, parts, slopes, of_blocks)
    smallest = allocation.encoded_size(allocation.take(candidates, 0))
    budget = smallest + int(share * (len(stream.data) - smallest))
    data = allocation.encode(allocation.fit_bytes(candidates, budget))
    assert len(data) <= budget
    decoded = openjpeg.decode(data)
    assert decoded.pixels.shape == shape[:3]
    assert not decoded.warnings


def test_more_bytes_never_look_worse() -> None:
    candidates = ranked("astronaut", None, 0)
    quality = [
        psnr_db("astronaut", allocation.encode(allocation.fit_bytes(candidates, budget)))
        for budget in (2000, 5000, 12_000, 30_000, 80_000)
    ]
    assert np.all(np.diff(quality) > 1)


def test_plain_choice_is_within_a_tenth_of_a_decibel_of_the_encoder() -> None:
    for target_db in (30.0, 36.0):
        alone = openjpeg.encode(photo("astronaut"), layer_psnrs_db=(target_db,))
        candidates = ranked("astronaut", None, 0)
        ours = allocation.encode(allocation.fit_bytes(candidates, len(alone)))
        assert psnr_db("astronaut", ours) > psnr_db("astronaut", alone) - 0.1


def test_gain_buys_quality_inside_with_quality_outside() -> None:
    inside, outside = [], []
    for gain_db in (0.0, 4.0, 8.0, 12.0):
        candidates = ranked("astronaut", middle(), gain_db, 32)
        data = allocation.encode(allocation.fit_bytes(candidates, 16_384))
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
    slopes = allocation.layer_slopes(layout, parts, PSNRS)
    rng = np.random.default_rng(seed)
    light = 10 ** rng.uniform(0, 1.2, len(layout.blocks.tile))
    favored = rng.random(len(light)) < 0.3
    heavier = np.where(favored, factor * light, light)
    threshold = slopes.min() + cut * (np.ptp(slopes) + 1)

    def kept(of_blocks: NDArray[np.float64]) -> NDArray[np.int32]:
        candidates = allocation.rank(stream, layout, parts, slopes, of_blocks)
        value = slopes[candidates.layer, 0] + np.log10(of_blocks)[candidates.block]
        assert np.all(np.diff(value) <= 0)
        upto: NDArray[np.int32] = allocation.take(candidates, int((value >= threshold).sum())).upto[0]
        return upto

    before, after = kept(light), kept(heavier)
    assert (after[favored] >= before[favored]).all()
    assert np.array_equal(after[~favored], before[~favored])


def test_layers_rise_to_everything_and_an_encoder_takes_them() -> None:
    for bit_depth in range(1, 17):
        psnrs = allocation.layer_psnrs(bit_depth)
        assert len(psnrs) <= openjpeg.MAX_LAYERS
        assert psnrs[-1] == 0
        assert np.all(np.diff(psnrs[:-1]) >= 0.7)
        openjpeg.encode(np.zeros((3, 2, 1), np.uint16), layer_psnrs_db=psnrs, bit_depth=bit_depth)
    assert len(PSNRS) == 59


def test_slopes_fall_from_layer_to_layer_even_where_a_layer_is_empty() -> None:
    _, layout, parts = allocation.parse_layers(
        openjpeg.encode(np.full((40, 50, 1), 7, np.uint8), layer_psnrs_db=PSNRS)
    )
    assert np.isfinite(allocation.layer_slopes(layout, parts, PSNRS)).all()
    _, layout, parts = taken_apart("camera")
    slopes = allocation.layer_slopes(layout, parts, PSNRS)
    assert np.all(np.diff(slopes, axis=0) <= 0)
    assert slopes[0, 0] - slopes[-1, 0] > 3


def test_one_layer_alone_can_be_kept_or_left_out() -> None:
    stream, layout, parts = allocation.parse_layers(openjpeg.encode(streams.texture(97, 131, 1)))
    slopes = allocation.layer_slopes(layout, parts, (0.0,))
    candidates = allocation.rank(stream, layout, parts, slopes, np.ones(len(layout.blocks.tile)))
    data = allocation.encode(allocation.fit_bytes(candidates, 3000))
    assert 1000 < len(data) <= 3000


def prefix(data: bytes, layers: int) -> bytes:
    """What a file holds up to a layer's end, and an end-of-codestream marker: cut where tile-parts begin."""
    tiles = codestream.parse(data).size
    count = layers * tiles.tiles_across * tiles.tiles_down
    at = data.index(b"\xff\x90")
    for _ in range(count):
        at += int.from_bytes(data[at + 6 : at + 10])
    return data[:at] + b"\xff\xd9"


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_any_prefix_of_whole_layers_decodes_and_shows_the_salient_place_first(gain_db: float) -> None:
    candidates = ranked("astronaut", middle(), gain_db, 32)
    whole = allocation.encode(allocation.fit_bytes(candidates, 40_000, 6))
    inside, outside = [], []
    for layers in range(1, 7):
        data = prefix(whole, layers)
        decoded = openjpeg.decode(data)
        assert not decoded.warnings
        np.testing.assert_array_equal(decoded.pixels, openjpeg.decode(whole, layers=layers).pixels)
        inside.append(psnr_db("astronaut", data, True))
        outside.append(psnr_db("astronaut", data, False))
    assert data == whole
    assert np.all(np.diff(inside) > 0.5) and np.all(np.diff(outside) > 0.5)
    plain = ranked("astronaut", None, 0)
    if gain_db:
        for layers in (3, 4, 5):
            alone = allocation.encode(allocation.fit_bytes(plain, len(prefix(whole, layers))))
            assert inside[layers - 1] > psnr_db("astronaut", alone, True) + 0.5


def test_a_quality_is_reached_from_above_with_few_bytes_to_spare() -> None:
    candidates = ranked("astronaut", None, 0)
    choice = allocation.fit_quality(candidates, 35.0, 0.05, lambda data: psnr_db("astronaut", data), layers=2)
    assert choice is not None and len(choice.upto) == 2
    data = allocation.encode(choice)
    assert 35.0 <= psnr_db("astronaut", data) <= 35.05
    fewer = allocation.encode(allocation.fit_bytes(candidates, int(0.98 * len(data)), 2))
    assert psnr_db("astronaut", fewer) < 35.0
    assert allocation.fit_quality(candidates, 99.0, 0.05, lambda data: 98.0) is None


def test_tiles_compete_for_the_same_bytes() -> None:
    """One half flat, the other rich: at one slope for both, the rich half gets nearly all of the bytes."""
    rich = streams.texture(256, 256, 3)
    pixels = np.concatenate([rich, np.full_like(rich, 90) + rich // 16], 1)
    data = openjpeg.encode(pixels, layer_psnrs_db=PSNRS, tile_size=256)
    stream, layout, parts = allocation.parse_layers(data)
    slopes = allocation.layer_slopes(layout, parts, PSNRS)
    candidates = allocation.rank(stream, layout, parts, slopes, np.ones(len(layout.blocks.tile)))
    choice = allocation.fit_bytes(candidates, 20_000)
    one_tile = openjpeg.encode(pixels, layer_psnrs_db=PSNRS)
    stream, layout, parts = allocation.parse_layers(one_tile)
    slopes = allocation.layer_slopes(layout, parts, PSNRS)
    whole = allocation.rank(stream, layout, parts, slopes, np.ones(len(layout.blocks.tile)))

    def error(data: bytes, half: slice) -> float:
        difference = pixels[:, half].astype(float) - openjpeg.decode(data).pixels[:, half]
        return float((difference**2).mean())

    tiled, single = allocation.encode(choice), allocation.encode(allocation.fit_bytes(whole, 20_000))
    for half in (slice(0, 256), slice(256, 512)):
        assert error(tiled, half) == pytest.approx(error(single, half), rel=0.3)
