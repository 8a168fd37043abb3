"""Tests the allocation: budgets are kept, and weights improve quality where they are."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import openjpeg_encoder
from foveate.codec import allocation, codestream, openjpeg
from foveate.codec.allocation import Candidates
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.errors import BudgetTooSmall
from tests import streams


@functools.cache
def photo(name: str) -> NDArray[np.uint8]:
    if name == "texture":
        return streams.texture(301, 437, 3)
    pixels: NDArray[np.uint8] = getattr(skimage.data, name)()
    return np.ascontiguousarray(pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels)


def middle(height: int = 8, width: int = 8) -> NDArray[np.float32]:
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
    return mask


def coded(pixels: NDArray[np.uint8], gain_db: float = 0, block_size: int = 64) -> Candidates:
    """All passes of a photo with a weighted middle."""
    emphasis = Emphasis(middle(), gain_db)
    return Encoder(pixels, emphasis, Coding(block_size=block_size)).whole().candidates


@functools.cache
def candidates_of(name: str, gain_db: float = 0, block_size: int = 64) -> Candidates:
    return coded(photo(name), gain_db, block_size)


def fitted(candidates: Candidates, budget: int, layers: int = 1) -> bytes:
    return allocation.encode(allocation.fit_bytes(candidates, budget, layers))


def nothing(candidates: Candidates) -> int:
    return allocation.encoded_size(allocation.cut_at(candidates, np.inf))


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
    st.sampled_from([0.0, 6.0, 15.0]),
    st.sampled_from([1, 1, 2, 7]),
)
@settings(deadline=None, max_examples=40)
def test_the_budget_is_used_to_a_hundredth_and_never_exceeded(
    name: str, log_rate: float, gain_db: float, layers: int
) -> None:
    height, width = photo(name).shape[:2]
    candidates = candidates_of(name, gain_db)
    budget = int(2**log_rate * height * width / 8)
    choice = allocation.fit_bytes(candidates, budget, layers)
    data = allocation.encode(choice)
    assert len(data) == allocation.encoded_size(choice)
    everything = allocation.encoded_size(allocation.take_all(candidates, layers))
    assert 0.99 * min(budget, everything) <= len(data) <= budget
    assert not openjpeg.decode(data).warnings


def test_a_budget_beyond_everything_keeps_everything() -> None:
    candidates = candidates_of("texture")
    choice = allocation.fit_bytes(candidates, 1 << 40)
    assert np.array_equal(choice.points[-1], candidates.hulls.number)


def test_the_smallest_budget_has_room_for_headers_only_and_less_is_an_error() -> None:
    candidates = candidates_of("texture")
    smallest = nothing(candidates)
    assert len(fitted(candidates, smallest)) == smallest
    with pytest.raises(BudgetTooSmall, match=str(smallest)):
        allocation.fit_bytes(candidates, smallest - 1)


@pytest.mark.parametrize("shape", streams.SHAPES)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_pictures_of_every_kind_fit_their_budget(
    shape: tuple[int, int, int, int, int, bool], share: float
) -> None:
    height, width, channels, bits, block_size, reversible = shape
    pixels = streams.texture(height, width, channels, bits)
    coding = Coding(reversible=reversible, block_size=block_size)
    whole = Encoder(pixels, Emphasis(middle(), 12), coding).whole()
    smallest = nothing(whole.candidates)
    budget = smallest + int(share * (allocation.encoded_size(whole) - smallest))
    data = fitted(whole.candidates, budget)
    assert len(data) <= budget
    decoded = openjpeg.decode(data)
    assert decoded.pixels.shape == shape[:3]
    assert not decoded.warnings


def test_more_bytes_never_look_worse() -> None:
    candidates = candidates_of("astronaut")
    quality = [
        psnr_db("astronaut", fitted(candidates, budget)) for budget in (2000, 5000, 12_000, 30_000, 80_000)
    ]
    assert np.all(np.diff(quality) > 1)


def test_a_plain_choice_is_no_worse_than_another_encoders() -> None:
    for target_db in (30.0, 36.0):
        alone = openjpeg_encoder.encode(photo("astronaut"), psnrs_db=(target_db,))
        ours = fitted(candidates_of("astronaut"), len(alone))
        assert psnr_db("astronaut", ours) > psnr_db("astronaut", alone) - 0.02


def test_gain_buys_quality_inside_with_quality_outside() -> None:
    inside, outside = [], []
    for gain_db in (0.0, 4.0, 8.0, 12.0):
        data = fitted(candidates_of("astronaut", gain_db, 32), 16_384)
        inside.append(psnr_db("astronaut", data, True))
        outside.append(psnr_db("astronaut", data, False))
    assert np.all(np.diff(inside) > 0)
    assert np.all(np.diff(outside) < 0)
    assert inside[-1] > inside[0] + 1.8


@given(st.integers(0, 1 << 30), st.floats(1, 50), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_more_weight_never_costs_a_block_a_pass_at_the_same_slope(
    seed: int, factor: float, cut: float
) -> None:
    plain = candidates_of("texture")
    rng = np.random.default_rng(seed)
    light = 10 ** rng.uniform(0, 1.2, len(plain.log_weights))
    favored = rng.random(len(light)) < 0.3
    low, high = plain.threshold_range()
    threshold = low + cut * (high - low)

    def kept(weights: NDArray[np.float64]) -> NDArray[np.int32]:
        weighted = Candidates(plain.stream, plain.layout, plain.codewords, plain.hulls, np.log10(weights))
        return weighted.points_above(threshold)

    before, after = kept(light), kept(np.where(favored, factor * light, light))
    assert (after[favored] >= before[favored]).all()
    assert np.array_equal(after[~favored], before[~favored])


def prefix(data: bytes, layers: int) -> bytes:
    """A file cut before a tile-part, at a layer's end, with an end-of-codestream marker."""
    tiles = codestream.parse(data).size
    count = layers * tiles.tiles_across * tiles.tiles_down
    at = data.index(b"\xff\x90")
    for _ in range(count):
        at += int.from_bytes(data[at + 6 : at + 10])
    return data[:at] + b"\xff\xd9"


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_any_prefix_of_whole_layers_decodes_and_shows_the_salient_place_first(gain_db: float) -> None:
    whole = fitted(candidates_of("astronaut", gain_db, 32), 40_000, 6)
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
    if gain_db:
        plain = candidates_of("astronaut")
        for layers in (3, 4, 5):
            alone = fitted(plain, len(prefix(whole, layers)))
            assert inside[layers - 1] > psnr_db("astronaut", alone, True) + 0.5


def test_layers_are_each_about_as_long_as_all_before() -> None:
    choice = allocation.fit_bytes(candidates_of("astronaut"), 40_000, 5)
    sizes = choice.layers.sizes.sum(1)
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 2, rtol=0.05)


def test_the_gain_of_a_choice_is_the_error_it_removes() -> None:
    candidates = candidates_of("camera")
    pixels = photo("camera").astype(float)
    errors = []
    for budget in (4000, 30_000):
        choice = allocation.fit_bytes(candidates, budget)
        decoded = openjpeg.decode(allocation.encode(choice)).pixels
        errors.append((choice.gain, np.square(pixels - decoded).sum()))
    (gain, error), (more_gain, less_error) = errors
    assert more_gain - gain == pytest.approx(error - less_error, rel=0.05)


def test_tiles_compete_for_the_same_bytes() -> None:
    """One half flat, the other rich: at one slope for both, the rich half gets nearly all of the bytes."""
    rich = streams.texture(256, 256, 3)
    pixels = np.concatenate([rich, np.full_like(rich, 90) + rich // 16], 1)
    tiled = Encoder(pixels, coding=Coding(tile_size=256)).within(20_000)
    single = Encoder(pixels).within(20_000)
    assert (tiled.candidates.layout.tiles, single.candidates.layout.tiles) == (2, 1)

    def error(choice: allocation.Choice, half: slice) -> float:
        decoded = openjpeg.decode(allocation.encode(choice)).pixels
        return float(np.square(pixels[:, half].astype(float) - decoded[:, half]).mean())

    for half in (slice(0, 256), slice(256, 512)):
        assert error(tiled, half) == pytest.approx(error(single, half), rel=0.3)
