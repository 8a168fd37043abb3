"""Tests what errors cost in score, and that weights based on it look better at the same bytes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.block_coder import BlockCoder
from foveate.codec.block_costs import costs_of, factors_of
from foveate.codec.block_weights import Derivative, Emphasis
from foveate.codec.coding import Coding
from foveate.codec.encoder import Effort, Encoder
from foveate.codec.quality_search import QualityGoal
from foveate.codec.quality_target import ScoreGoal, nearest_to_score
from foveate.quality.psnr import psnr
from foveate.quality.score_gradient import gradient_of
from foveate.quality.ssimulacra2 import ssimulacra2
from tests import streams

BUDGET = 3000


def photo(channels: int = 3) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = skimage.data.astronaut()[:240, 100:356]
    return np.ascontiguousarray(pixels[..., :channels])


def watched(pixels: NDArray[Any], saliency: NDArray[np.float32] | None = None) -> Emphasis:
    return Emphasis(saliency, 20.0, "visual", functools.partial(gradient_of, pixels))


def decoded(choice: Choice) -> NDArray[Any]:
    return openjpeg.decode(allocation.encode(choice)).pixels


def squared(reference: NDArray[Any], colors: int) -> Derivative:
    """The derivative of minus the squared error of the first channels: a block's error costs it twice."""

    def of(back: NDArray[Any]) -> Any:
        slopes = -2 * (back.astype(np.float32) - reference)
        slopes[..., colors:] = 0
        return lambda window: slopes[window].copy()

    return of


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("tile_size", [None, 128])
def test_a_squared_error_costs_each_block_what_it_has_of_it(channels: int, tile_size: int | None) -> None:
    pixels = streams.texture(150, 203, channels)
    back = np.clip(pixels // 16 * 16 + 8, 0, 255).astype(np.uint8)
    coder, colors = BlockCoder(pixels, Coding(tile_size=tile_size)), 1 if channels < 3 else 3
    costs, errors = costs_of(coder, back, squared(pixels, colors)(back))
    whole = np.square(back.astype(float) - pixels)[..., :colors].sum()
    assert costs.sum() == pytest.approx(2 * whole, rel=0.1)
    colored = coder.layout.blocks.component < colors
    assert not errors[~colored].any() and not costs[~colored].any()
    if channels < 3:
        assert costs == pytest.approx(2 * errors, rel=1e-4)


def test_a_cost_is_found_where_and_in_the_band_in_which_it_is() -> None:
    pixels = np.full((256, 256, 1), 128, np.uint8)
    back = pixels.copy()
    back[40:60:2, 40:60] += 9  # fine lines across
    coder = BlockCoder(pixels, Coding())
    costs, _ = costs_of(coder, back, squared(pixels, 1)(back))
    blocks = coder.layout.blocks
    first = np.flatnonzero((blocks.level == 1) & (blocks.band == 2) & (blocks.box[:, :2] == 0).all(axis=1))
    assert costs[first].sum() > 0.4 * costs.sum()
    assert costs[blocks.box[:, 0] >= 64].max() < 1e-3 * costs.max()


def test_weights_follow_what_errors_cost() -> None:
    errors, areas, ones = np.array([2.0, 2.0, 2.0, 4.0, 0.0]), np.full(5, 64), np.ones(5)
    assert factors_of(3 * errors, errors, ones, areas) == pytest.approx(ones)
    changed = factors_of(np.array([8.0, 2.0, -9.0, 4.0, 1.0]), errors, ones, areas)
    assert changed[0] > 1.2 * changed[1] > 1.2 * changed[2] > 0
    assert (changed * errors).sum() == pytest.approx(errors.sum())
    extreme = factors_of(np.array([1e9, 0, 0, 0, 0]), errors, ones, areas)
    assert extreme.max() / extreme.min() < 25


def test_weights_by_masking_count_for_less_where_costs_are_known() -> None:
    errors, visible = np.full(4, 3.0), np.array([0.25, 1.0, 1.0, 4.0])
    factors = factors_of(errors * visible, errors, visible, np.full(4, 64))
    assert 1 < factors[0] / factors[3] < 2 and factors[1] == factors[2]


@pytest.mark.parametrize("costs", [np.zeros(3), np.array([1.0, -4.0, 2.0])])
def test_weights_stay_where_errors_cost_nothing(costs: NDArray[np.float64]) -> None:
    ones, areas = np.ones(3), np.full(3, 64)
    assert factors_of(costs, ones, ones, areas).tolist() == [1, 1, 1]
    assert factors_of(ones, np.zeros(3), ones, areas).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("channels", "tile_size"), [(1, None), (3, None), (3, 128)])
def test_a_second_look_makes_a_photo_look_better_at_the_same_bytes(
    channels: int, tile_size: int | None
) -> None:
    pixels, coding = photo(channels), Coding(tile_size=tile_size)
    blind = Encoder(pixels, Emphasis(tune="visual"), coding, "best").within(BUDGET)
    seen = Encoder(pixels, watched(pixels), coding, "best").within(BUDGET)
    assert allocation.encoded_size(seen) <= BUDGET
    assert ssimulacra2(pixels, decoded(seen)) > ssimulacra2(pixels, decoded(blind)) + 0.1


@pytest.mark.parametrize("effort", ["fast", "normal"])
def test_only_the_best_effort_looks_again(effort: Effort) -> None:
    pixels = photo()
    blind = Encoder(pixels, Emphasis(tune="visual"), effort=effort).within(BUDGET)
    seen = Encoder(pixels, watched(pixels), effort=effort).within(BUDGET)
    assert allocation.encode(seen) == allocation.encode(blind)
    for_psnr = Emphasis(derivative=watched(pixels).derivative)
    assert allocation.encode(Encoder(pixels, for_psnr, effort="best").within(BUDGET)) == allocation.encode(
        Encoder(pixels, effort="best").within(BUDGET)
    )


def test_other_targets_are_met_with_the_weights_of_a_second_look() -> None:
    pixels = photo()
    source, blind = (Encoder(pixels, e, effort="best") for e in (watched(pixels), Emphasis(tune="visual")))
    goal = QualityGoal(30.0, 0.05, 30.0)
    choice = source.of_quality(goal, lambda c: psnr(pixels, decoded(c)))
    assert choice is not None and psnr(pixels, decoded(choice)) >= 30.0
    looks = [encoder.at_slope(700.0) for encoder in (source, blind)]
    assert not np.array_equal(looks[0].candidates.log_weights, looks[1].candidates.log_weights)
    sizes = [allocation.encoded_size(look) for look in looks]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_a_score_is_met_with_the_weights_of_a_second_look() -> None:
    pixels = photo()
    source = Encoder(pixels, watched(pixels), effort="best")
    goal = ScoreGoal(70.0, 2.0, 2)
    choice = nearest_to_score(source, goal, lambda choice: ssimulacra2(pixels, decoded(choice)))
    assert ssimulacra2(pixels, decoded(choice)) == pytest.approx(70, abs=3)


def test_saliency_multiplies_as_before() -> None:
    pixels = photo()
    saliency = np.zeros((4, 4), np.float32)
    saliency[1:3, 1:3] = 1
    inside = slice(70, 170), slice(80, 176)
    errors = []
    for emphasis in (watched(pixels), watched(pixels, saliency)):
        back = decoded(Encoder(pixels, emphasis, effort="best").within(BUDGET)).astype(float)
        errors.append(np.square(back[inside] - pixels[inside]).mean())
    assert errors[1] < 0.9 * errors[0]


def test_a_second_look_is_forgotten_and_the_same_for_any_number_of_threads() -> None:
    pixels = photo()
    reused = Encoder(pixels, watched(pixels), Coding(threads=3), "best")
    weights = reused.weights
    for budget in (9000, BUDGET):
        anew = Encoder(pixels, watched(pixels), effort="best").within(budget)
        assert allocation.encode(reused.within(budget)) == allocation.encode(anew)
    assert np.array_equal(reused.weights, weights)
