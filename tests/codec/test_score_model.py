"""The predicted score falls with the slope, and the shipped model has a coefficient for each feature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import skimage.data

from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder
from foveate.codec.quality_target import prospect_of
from foveate.codec.score_model import FEATURES, Prospect, ScoreModel, distance_of


def prospect(name: str) -> Prospect:
    pixels = getattr(skimage.data, name)()[:256, :256]
    return prospect_of(Encoder(np.ascontiguousarray(pixels), Emphasis(tune="visual")))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_the_predicted_score_falls_as_the_slope_rises(name: str) -> None:
    found = prospect(name)
    distances = [ScoreModel.shipped().distance(found, t) for t in np.arange(0.5, 4.5, 0.25)]
    assert all(a < b for a, b in itertools.pairwise(distances))


@pytest.mark.parametrize("score", [30.0, 60.0, 90.0])
def test_the_threshold_for_a_score_is_where_it_is_predicted(score: float) -> None:
    found, model = prospect("coffee"), ScoreModel.shipped()
    threshold = model.threshold_for(found, distance_of(score))
    assert 100 - math.exp(model.distance(found, threshold)) == pytest.approx(score, abs=0.1)


def test_the_predicted_error_is_the_real_one_within_four_tenths() -> None:
    pixels = np.ascontiguousarray(skimage.data.coffee()[:256, :256])
    encoder = Encoder(pixels)
    found = prospect_of(encoder)
    for threshold in (2.0, 3.0):
        predicted = found._errors(threshold).sum() * 255**2
        choice = encoder.at_slope(10**threshold)
        real = encoder.coder.passes.energy.sum() - choice.gain
        assert math.isclose(predicted, real, rel_tol=0.4)


def test_scores_near_to_a_hundred_have_a_distance_too() -> None:
    assert distance_of(100.0) == distance_of(99.9) == math.log(0.5)
    assert distance_of(-20.0) == math.log(120)


def test_the_shipped_model_has_a_coefficient_for_each_feature() -> None:
    assert ScoreModel.shipped().coefficients.shape == (len(FEATURES),)
    assert np.isfinite(ScoreModel.shipped().coefficients).all()
