"""Tests the encoder: every target is met, even after wrong guesses; giants are tiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import openjpeg_encoder
from foveate.codec import allocation, openjpeg, tile_sizes
from foveate.codec.allocation import Choice
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding
from foveate.codec.encoder import Effort, Encoder
from foveate.codec.errors import BadCodestream
from foveate.codec.packet_stream import PacketStream
from foveate.codec.quality_search import QualityGoal
from tests import streams

EFFORTS: tuple[Effort, Effort] = ("normal", "best")


def photo() -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = skimage.data.astronaut()[:384, :400]
    return np.ascontiguousarray(pixels)


def psnr_db(pixels: NDArray[Any], choice: Choice) -> float:
    error = np.square(pixels.astype(float) - openjpeg.decode(allocation.encode(choice)).pixels).mean()
    peak = np.iinfo(pixels.dtype).max
    return float(10 * np.log10(peak**2 / error)) if error else np.inf


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_tiles_are_neither_large_nor_slivers(height: int, width: int) -> None:
    side = tile_sizes.tile_side(height, width)
    if side is None:
        assert height * width <= 2 * 4096**2
        return
    assert 2048 < side <= 4096 and side % 64 == 0
    for length in (height, width):
        if length > side:
            assert (length - 1) % side + 1 >= side // 16


def test_the_usual_sizes_of_giants_are_cut_evenly() -> None:
    for height, width in ((12_500, 16_000), (8000, 8000), (10_000, 20_000), (11_648, 8736)):
        side = tile_sizes.tile_side(height, width)
        assert side is not None
        assert all((length - 1) % side + 1 >= side / 2 for length in (height, width))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (67, 45)])
def test_all_of_a_reversible_encode_is_the_picture(
    channels: int, dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, int]
) -> None:
    scale = 1 if dtype == np.uint8 else 257
    pixels: Any = (streams.texture(*shape, channels).astype(np.uint16) * scale).astype(dtype)
    for layers in (1, 5):
        choice = Encoder(pixels, Emphasis(tune="visual"), Coding(reversible=True)).whole(layers)
        decoded = openjpeg.decode(allocation.encode(choice))
        assert not decoded.warnings
        np.testing.assert_array_equal(decoded.pixels, pixels)


@given(st.integers(0, 1 << 30), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_lossless_keeps_passes_that_remove_no_error(value: int, layers: int) -> None:
    """A decoder that reconstructs at another point of an interval than ours must also find every bit."""
    rng = np.random.default_rng(value)
    pixels = rng.choice(rng.integers(0, 256, 2), (20, 30, 1)).astype(np.uint8)
    choice = Encoder(pixels, coding=Coding(reversible=True, levels=0)).whole(layers)
    planes = choice.candidates.layout.blocks.planes - choice.candidates.codewords.zero_planes.astype(int)
    expected = np.where(planes > 0, 3 * planes - 2, 0)
    assert np.array_equal(choice.layers.passes[-1], expected)


def test_lossless_costs_no_more_than_another_encoders() -> None:
    pixels = streams.texture(300, 400, 3)
    ours = allocation.encode(Encoder(pixels, coding=Coding(reversible=True)).whole())
    assert len(ours) <= 1.002 * len(openjpeg_encoder.encode(pixels, reversible=True))


@given(st.floats(-5, 2.5), st.sampled_from([1, 3]), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_stopping_early_costs_nothing(log_rate: float, layers: int, kind: int) -> None:
    """Compared with a choice from all passes: nearly the same bytes, and the same quality."""
    pixels = (
        photo(),
        streams.texture(301, 437, 1),
        streams.texture(70, 90, 4),
        np.kron(streams.texture(40, 50, 3) // 128 * 255, np.ones((6, 6, 1), np.uint8)),
    )[kind]
    height, width, _ = pixels.shape
    whole = Encoder(pixels).whole()
    budget = max(400, int(2**log_rate * height * width / 8))
    reference = allocation.fit_bytes(whole.candidates, budget, layers)
    choice = Encoder(pixels).within(budget, layers)
    assert len(choice.points) == layers
    size = allocation.encoded_size(choice)
    assert size <= budget
    assert size >= min(0.99 * budget, allocation.encoded_size(reference) - 16)
    # Of pictures as small as these, a sample may mislead.
    assert psnr_db(pixels, choice) > psnr_db(pixels, reference) - 0.1


@pytest.mark.parametrize("wrong_by", [-2.0, -0.9, 0.9, 2.0, 5.0])
def test_a_wrong_first_guess_ends_as_a_right_one_does(
    monkeypatch: pytest.MonkeyPatch, wrong_by: float
) -> None:
    pixels, budget = photo(), 12_000
    right = Encoder(pixels).within(budget)
    predicted = Encoder._predicted
    monkeypatch.setattr(Encoder, "_predicted", lambda self, budget: predicted(self, budget) + wrong_by)
    wrong = Encoder(pixels).within(budget)
    assert abs(allocation.encoded_size(wrong) - allocation.encoded_size(right)) <= 8
    assert psnr_db(pixels, wrong) == pytest.approx(psnr_db(pixels, right), abs=0.02)
    whole = allocation.fit_bytes(Encoder(pixels).whole().candidates, budget)
    assert psnr_db(pixels, wrong) > psnr_db(pixels, whole) - 0.003


@pytest.mark.parametrize("tile_size", [None, 128])
@pytest.mark.parametrize("effort", ["normal", "best"])
def test_what_comes_of_a_target_does_not_depend_on_those_before(
    tile_size: int | None, effort: Effort
) -> None:
    pixels, coding = photo(), Coding(tile_size=tile_size)
    reused = Encoder(pixels, coding=coding, effort=effort)
    reused.whole()
    for budget in (12_000, 40_000, 3000, 12_000):
        anew = Encoder(pixels, coding=coding, effort=effort).within(budget)
        again = reused.within(budget)
        assert allocation.encode(again) == allocation.encode(anew)
    anew = Encoder(pixels, coding=coding, effort=effort).at_slope(700.0)
    assert allocation.encode(reused.at_slope(700.0)) == allocation.encode(anew)


def test_threads_change_no_byte() -> None:
    pixels = streams.texture(300, 400, 3)
    saliency = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    emphasis = Emphasis(saliency, 12.0, "visual")
    made = [
        allocation.encode(Encoder(pixels, emphasis, Coding(threads=threads)).within(20_000, 2))
        for threads in (1, 2, 4)
    ]
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("budget", [6000, 20_000, 60_000])
def test_effort_buys_quality(budget: int) -> None:
    pixels = photo()
    normal, best = (Encoder(pixels, effort=effort).within(budget) for effort in EFFORTS)
    assert psnr_db(pixels, best) >= psnr_db(pixels, normal) - 0.005
    assert allocation.encoded_size(best) <= budget


def test_leaving_out_what_costs_more_than_it_brings_buys_quality() -> None:
    pixels, gains = photo(), []
    for budget in (6000, 12_000, 24_000, 48_000):
        whole = allocation.fit_bytes(Encoder(pixels).whole().candidates, budget)
        gains.append(psnr_db(pixels, Encoder(pixels).within(budget)) - psnr_db(pixels, whole))
    assert min(gains) >= -0.001
    assert np.mean(gains) > 0.015


def test_one_slope_for_all_is_what_a_byte_brings_at_the_margin() -> None:
    pixels = photo()
    sizes, errors = [], []
    slopes = (2000.0, 1900.0)
    for slope in slopes:
        choice = Encoder(pixels).at_slope(slope)
        sizes.append(allocation.encoded_size(choice))
        decoded = openjpeg.decode(allocation.encode(choice)).pixels
        errors.append(np.square(pixels.astype(float) - decoded).sum())
    assert slopes[1] * 0.6 < (errors[0] - errors[1]) / (sizes[1] - sizes[0]) < slopes[0] * 1.6


@pytest.mark.parametrize("target", [26.0, 35.0, 44.0])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_quality_is_reached_from_above_with_few_bytes_to_spare(target: float, layers: int) -> None:
    pixels = photo()
    trials = []

    def quality(choice: Choice) -> float:
        trials.append(psnr_db(pixels, choice))
        return trials[-1]

    choice = Encoder(pixels).of_quality(QualityGoal(target, 0.05, target), quality, layers)
    assert choice is not None and len(choice.points) == layers
    assert target <= psnr_db(pixels, choice) <= target + 0.05
    assert len(trials) <= 4
    size = allocation.encoded_size(choice)
    assert psnr_db(pixels, Encoder(pixels).within(int(0.98 * size), layers)) < target


def test_effort_makes_files_of_a_quality_smaller() -> None:
    pixels, sizes = photo(), []
    for effort in EFFORTS:
        source = Encoder(pixels, effort=effort)
        choice = source.of_quality(QualityGoal(34.0, 0.05, 34.0), lambda c: psnr_db(pixels, c))
        assert choice is not None and psnr_db(pixels, choice) >= 34.0
        sizes.append(allocation.encoded_size(choice))
    assert sizes[1] <= 1.001 * sizes[0]


def test_a_quality_out_of_reach_gives_no_choice() -> None:
    assert Encoder(photo()).of_quality(QualityGoal(99.0, 0.05, 40.0), lambda choice: 98.0) is None


def test_a_quality_that_goes_up_and_down_ends_all_the_same() -> None:
    values = iter([40.0, 30.0, 40.0, 30.0, 36.0] * 9)
    choice = Encoder(photo()).of_quality(QualityGoal(35.0, 0.05, 35.0), lambda choice: next(values))
    assert choice is not None


def test_a_giants_tiles_compete_with_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", 128 * 128)
    monkeypatch.setattr(tile_sizes, "_LARGEST_TILE", 256)
    pixels = streams.texture(400, 600, 3)
    saliency = np.zeros((4, 6), np.float32)
    saliency[:2, :3] = 1
    choice = Encoder(pixels, Emphasis(saliency, 12.0, "visual")).within(15_000, 3)
    assert choice.candidates.layout.tiles == 6
    data = allocation.encode(choice)
    assert 14_850 <= len(data) <= 15_000
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    error = ((pixels.astype(float) - decoded.pixels) ** 2).mean(2)
    assert 3 * error[:200, :300].mean() < error[200:].mean()


@pytest.mark.parametrize("largest_tile", [4096, 128])
def test_a_stream_cut_where_a_layer_ends_is_read_like_one_of_fewer_layers(
    monkeypatch: pytest.MonkeyPatch, largest_tile: int
) -> None:
    monkeypatch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", largest_tile**2)
    monkeypatch.setattr(tile_sizes, "_LARGEST_TILE", largest_tile)
    data = allocation.encode(Encoder(streams.texture(150, 230, 3)).within(9000, 4))
    whole = PacketStream.parse(data)
    assert whole.layout.tiles == (1 if largest_tile == 4096 else 4)
    for layers in (1, 2, 3):
        end = whole.stream.tile_parts[layers * whole.layout.tiles - 1].end
        cut = data[:end] + b"\xff\xd9"
        left = PacketStream.parse(cut)
        assert left.stream.layers == left.stream.max_layers == layers
        np.testing.assert_array_equal(left.layers.passes, whole.layers.passes[:layers])
        np.testing.assert_array_equal(left.layers.sizes, whole.layers.sizes[:layers])
        np.testing.assert_array_equal(
            openjpeg.decode(cut).pixels, openjpeg.decode(data, layers=layers).pixels
        )


def test_a_stream_cut_inside_a_layer_of_tiles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_sizes, "_MOST_IN_ONE_TILE", 128 * 128)
    monkeypatch.setattr(tile_sizes, "_LARGEST_TILE", 128)
    data = allocation.encode(Encoder(streams.texture(150, 230, 3)).within(9000, 4))
    end = PacketStream.parse(data).stream.tile_parts[5].end
    with pytest.raises(BadCodestream, match="cut off"):
        PacketStream.parse(data[:end] + b"\xff\xd9")
