"""Finds the slope that gives a photo a score: predicts it, then corrects it by measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from foveate.codec.allocation import Choice
from foveate.codec.encoder import Encoder
from foveate.codec.score_model import Prospect, ScoreModel, crossing, distance_of

_MOST_DRIFT = 0.4  # of the model's residual per decade of slope, when extrapolated from two trials


@dataclasses.dataclass(frozen=True)
class ScoreGoal:
    """A score to approach.

    tolerance: how far a file may be from the score, in points.
    corrections: how often the slope may be corrected; with 0, nothing is decoded or scored.
    """

    score: float
    tolerance: float
    corrections: int


def nearest_to_score(
    encoder: Encoder, goal: ScoreGoal, score_of: Callable[[Choice], float], layers: int = 1
) -> Choice:
    """The choice nearest to a score: the predicted one, or one of its corrections.

    All blocks are cut at one weighted slope, so the weights decide where a photo's bytes go.

    Args:
      encoder: of the photo.
      goal: the score to approach.
      score_of: the score of what a choice decodes to, at most 100.
      layers: output layers.
    """
    prospect, model = prospect_of(encoder), ScoreModel.shipped()
    wanted = distance_of(goal.score)
    threshold = model.threshold_for(prospect, wanted)
    nearest: tuple[float, Choice] | None = None
    residuals: list[tuple[float, float]] = []  # of trials: threshold, and distance beyond the model's
    for trial in range(goal.corrections + 1):
        cut = encoder.moved_to_slope if trial else encoder.at_slope
        choice = cut(10.0**threshold, layers)
        if not goal.corrections:
            return choice
        score = score_of(choice)
        if nearest is None or abs(score - goal.score) < nearest[0]:
            nearest = abs(score - goal.score), choice
        if nearest[0] <= goal.tolerance or trial == goal.corrections:
            break
        residuals.append((threshold, distance_of(score) - model.distance(prospect, threshold)))
        threshold = _corrected(prospect, model, residuals, wanted)
    assert nearest is not None
    return nearest[1]


def prospect_of(encoder: Encoder) -> Prospect:
    """Features that predict a photo's score before anything is coded."""
    coder = encoder.coder
    coder.restart(1.0)
    blocks, peak = coder.layout.blocks, (1 << coder.bit_depth) - 1
    visible, typical = encoder.visibility
    return Prospect(
        counts=coder.survey(),
        areas=coder.areas,
        error=coder.blocks.error / peak**2,
        weights=encoder.weights,
        visible=visible,
        typical=typical,
        component=blocks.component,
        level=blocks.level,
        pixels=coder.pixels[..., 0].size,
        peak=peak,
    )


def _corrected(
    prospect: Prospect, model: ScoreModel, residuals: list[tuple[float, float]], wanted: float
) -> float:
    """The threshold at which the model, corrected by a line through its residuals, gives a distance."""
    (t1, r1), drift = residuals[-1], 0.0
    if len(residuals) > 1 and residuals[-2][0] != t1:
        t0, r0 = residuals[-2]
        drift = min(max((r1 - r0) / (t1 - t0), -_MOST_DRIFT), _MOST_DRIFT)

    def distance(threshold: float) -> float:
        return model.distance(prospect, threshold) + r1 + drift * (threshold - t1)

    return crossing(distance, wanted)
