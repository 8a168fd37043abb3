"""Tests that scores are predicted and then corrected, for all kinds of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.quality_target import ScoreGoal, nearest_to_score
from foveate.quality.ssimulacra2 import ssimulacra2
from tests import streams


def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.astronaut()[:320, :320])


def reached(
    pixels: NDArray[Any], goal: ScoreGoal, coding: Coding | None = None, emphasis: Emphasis | None = None
) -> tuple[float, int, int]:
    """The score, the bytes, and how often something was scored."""
    scored = []

    def score_of(choice: Choice) -> float:
        scored.append(choice)
        return ssimulacra2(pixels, openjpeg.decode(allocation.encode(choice)).pixels)

    encoder = Encoder(pixels, emphasis or Emphasis(tune="visual"), coding)
    choice = nearest_to_score(encoder, goal, score_of)
    trials = len(scored)
    return score_of(choice), len(allocation.encode(choice)), trials


@pytest.mark.parametrize("score", [45.0, 70.0, 88.0])
def test_a_score_is_reached_with_two_corrections_at_most(score: float) -> None:
    found, _, trials = reached(astronaut(), ScoreGoal(score, 1.0, 2))
    assert abs(found - score) < 2.5
    assert 1 <= trials <= 3


def test_without_corrections_nothing_is_scored_and_the_score_is_near() -> None:
    found, _, trials = reached(astronaut(), ScoreGoal(70.0, 1.0, 0))
    assert abs(found - 70) < 8
    assert trials == 0


@pytest.mark.parametrize("factor", [0.85, 1.2, 1.5, 4.0])
def test_moving_to_another_slope_gives_nearly_the_file_of_that_slope(factor: float) -> None:
    encoder = Encoder(astronaut(), Emphasis(tune="visual"))
    first = encoder.at_slope(300.0)
    assert encoder.moved_to_slope(300.0).points[-1].tolist() == first.points[-1].tolist()
    moved = encoder.moved_to_slope(300.0 * factor)
    anew = Encoder(astronaut(), Emphasis(tune="visual")).at_slope(300.0 * factor)
    sizes = [len(allocation.encode(choice)) for choice in (first, moved, anew)]
    assert abs(sizes[1] / sizes[2] - 1) < 0.03
    assert abs(moved.merit(300.0 * factor) / anew.merit(300.0 * factor) - 1) < 0.002
    assert (sizes[1] > sizes[0]) == (factor < 1)


def test_a_better_score_takes_more_bytes() -> None:
    sizes = [reached(astronaut(), ScoreGoal(score, 1.0, 0))[1] for score in (30.0, 50.0, 70.0, 85.0, 95.0)]
    assert sizes == sorted(sizes)


def test_saliency_does_not_change_the_requested_score() -> None:
    saliency = np.zeros((8, 8), np.float32)
    saliency[2:5, 2:5] = 1
    found, _, _ = reached(astronaut(), ScoreGoal(70.0, 1.0, 2), emphasis=Emphasis(saliency, 12.0, "visual"))
    assert abs(found - 70) < 2.5


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_alpha_and_deep_pictures_reach_scores_too(channels: int, dtype: Any) -> None:
    pixels = streams.texture(150, 133, channels)
    if dtype == np.uint16:
        pixels = (pixels.astype(np.uint16) * 257).astype(dtype)
    found, _, _ = reached(pixels, ScoreGoal(75.0, 1.0, 2))
    assert abs(found - 75) < 4


def test_tiles_reach_the_score_of_the_whole_photo() -> None:
    found, _, _ = reached(astronaut(), ScoreGoal(70.0, 1.0, 2), Coding(tile_size=128))
    assert abs(found - 70) < 2.5


def test_threads_and_repeats_give_the_same_bytes() -> None:
    sizes = {reached(astronaut(), ScoreGoal(60.0, 1.0, 2), Coding(threads=threads)) for threads in (1, 2, 1)}
    assert len(sizes) == 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 1), (5, 3, 4)])
def test_tiny_and_flat_pictures_have_a_choice(shape: tuple[int, int, int]) -> None:
    for pixels in (streams.texture(*shape), np.full(shape, 77, np.uint8)):
        _, size, _ = reached(pixels, ScoreGoal(80.0, 1.0, 2))
        assert size > 0
