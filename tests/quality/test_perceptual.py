"""PSNR-HVS, PSNR-HVS-M, VIFp, FSIM and FSIMc against other programs' values, and their laws.

The expected values were made once, of the pairs of `_pairs`, with PyPI's psnr_hvsm 0.3 (both PSNRs), sewar
0.4.10 (VIFp of float luma, the authors' program in NumPy) and piq 0.8.0 (FSIM, FSIMc; where the product of
both chroma likenesses is negative it takes the magnitude, the authors' program and ours the real part).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import data

from foveate.quality.color import Pixels
from foveate.quality.fsim import feature_similarity, fsim, fsim_c, phase_congruency
from foveate.quality.hvs import psnr_hvs, psnr_hvs_m
from foveate.quality.vif import vif

MEASURES: dict[str, Callable[[Pixels, Pixels], float]] = {
    "psnr_hvs": psnr_hvs,
    "psnr_hvs_m": psnr_hvs_m,
    "vif": vif,
    "fsim": fsim,
    "fsim_c": fsim_c,
}
EXPECTED = {
    "slight noise": (42.0751224, 49.571016, 0.804050014908, 0.98955913, 0.98893506),
    "noise": (30.0810929, 33.7474595, 0.42752359694, 0.88786878, 0.88007539),
    "strong noise": (16.5572348, 18.6745859, 0.116259270928, 0.47848155, 0.45102014),
    "half the resolution": (30.5828623, 37.31454, 0.464120567806, 0.9998931, 0.99988754),
    "more contrast": (26.3208242, 26.7297714, 1.077034263599, 0.99060113, 0.99009878),
    "a small part": (30.0936263, 34.219326, 0.443059639277, 0.91069859, 0.90294792),
}
TOLERANCE = {"psnr_hvs": 1e-5, "psnr_hvs_m": 1e-5, "vif": 1e-9, "fsim": 2e-6, "fsim_c": 2e-5}
photos = hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 4)))


def _noisy(photo: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, deviation, photo.shape)
    return np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)


def _halved(photo: Pixels) -> Pixels:
    """Of half the resolution, shown at the whole size."""
    height, width, channels = photo.shape
    means = photo.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))
    halved: Pixels = np.rint(means).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    return halved


def _pairs() -> dict[str, tuple[Pixels, Pixels]]:
    cat, coffee = data.chelsea(), data.coffee()
    return {
        "slight noise": (cat, _noisy(cat, 3)),
        "noise": (cat, _noisy(cat, 12)),
        "strong noise": (cat, _noisy(cat, 60)),
        "half the resolution": (coffee, _halved(coffee)),
        "more contrast": (cat, np.clip(np.rint(cat * 1.2 - 20), 0, 255).astype(np.uint8)),
        "a small part": (cat[:171, :203], _noisy(cat, 12)[:171, :203]),
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_other_programs(name: str) -> None:
    a, b = _pairs()[name]
    for measure, expected in zip(MEASURES, EXPECTED[name], strict=True):
        tolerance = 1e-3 if (name, measure) == ("strong noise", "fsim_c") else TOLERANCE[measure]
        assert MEASURES[measure](a, b) == pytest.approx(expected, abs=tolerance), measure


@pytest.mark.parametrize("measure", MEASURES)
def test_more_noise_is_worse(measure: str) -> None:
    cat = data.chelsea()[:160, :200]
    values = [MEASURES[measure](cat, _noisy(cat, deviation)) for deviation in (0, 1, 2, 4, 8, 16, 32, 64)]
    assert all(better > worse for better, worse in itertools.pairwise(values)), values


@pytest.mark.parametrize("measure", MEASURES)
def test_sixteen_bits_measure_as_eight_and_alpha_does_not_count(measure: str) -> None:
    a, b = _pairs()["a small part"]
    expected = MEASURES[measure](a, b)
    deep = MEASURES[measure](a.astype(np.uint16) * 257, b.astype(np.uint16) * 257)
    assert deep == pytest.approx(expected, rel=1e-9)
    alpha = np.random.default_rng(1).integers(0, 256, (2, *a.shape[:2], 1), dtype=np.uint8)
    assert MEASURES[measure](np.dstack([a, alpha[0]]), np.dstack([b, alpha[1]])) == expected


@settings(deadline=None, max_examples=15)
@given(photos)
def test_an_exact_copy_has_the_most_that_there_is(photo: Pixels) -> None:
    assert psnr_hvs(photo, photo) == psnr_hvs_m(photo, photo) == math.inf
    assert vif(photo, photo) == pytest.approx(1, abs=1e-6)
    assert fsim(photo, photo) == pytest.approx(1)
    assert fsim_c(photo, photo) == pytest.approx(1)


@settings(deadline=None, max_examples=15)
@given(photos, st.integers(0, 2**32 - 1))
def test_both_directions_measure_the_same_but_for_vif(a: Pixels, seed: int) -> None:
    b = np.random.default_rng(seed).integers(0, 256, a.shape, dtype=np.uint8)
    assert psnr_hvs(b, a) == pytest.approx(psnr_hvs(a, b))
    assert psnr_hvs_m(b, a) == pytest.approx(psnr_hvs_m(a, b))
    assert feature_similarity(b, a) == feature_similarity(a, b)
    assert 0 < fsim(a, b) <= 1 + 1e-9
    assert vif(a, b) >= 0


def test_masking_forgives_noise_in_texture_but_not_next_to_an_edge() -> None:
    texture = np.random.default_rng(2).integers(40, 216, (64, 64, 1), dtype=np.uint8)
    edge = np.full((64, 64, 1), 40, np.uint8)
    edge[:, 4::8] = edge[:, 5::8] = edge[:, 6::8] = edge[:, 7::8] = 215
    forgiven = [psnr_hvs_m(a, _noisy(a, 3)) - psnr_hvs(a, _noisy(a, 3)) for a in (texture, edge)]
    assert forgiven[0] > forgiven[1] + 5


def test_where_the_original_is_flat_only_an_equal_copy_keeps_all() -> None:
    flat = np.full((50, 60, 3), 90, np.uint8)
    assert vif(flat, flat) == 1
    assert vif(flat, _noisy(flat, 5)) == 0


def test_phase_congruency_finds_an_edge_whatever_its_contrast() -> None:
    faint, strong = (
        np.where(np.arange(200) < 70, 10.0, 10.0 + step)[None].repeat(50, 0) for step in (9, 200)
    )
    of_faint, of_strong = phase_congruency(faint)[25, 45:95], phase_congruency(strong)[25, 45:95]
    assert 0 <= of_faint.min() < of_faint.max() <= 1
    assert set(np.argsort(of_faint)[-2:] + 45) == {69, 70}
    assert of_faint.max() > 2 * np.median(of_faint)
    np.testing.assert_allclose(of_faint, of_strong, atol=1e-3)


def test_unlike_photos_are_refused() -> None:
    a = np.zeros((20, 20, 3), np.uint8)
    for measure in MEASURES.values():
        with pytest.raises(ValueError, match="differ"):
            measure(a, a[:10])
