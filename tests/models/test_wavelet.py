"""Tests the stand-in for the codec: it has the standard's transform, and steps follow the noise map."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import wavelet as codec_wavelet
from foveate.models import wavelet

SIZE = 64


@functools.cache
def photo() -> NDArray[np.float32]:
    """(2, 64, 64, 3): slopes, an edge off the center, grain."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    plane = 0.3 + 0.3 * y + 0.2 * (x > 0.7)
    noisy = plane[None, :, :, None] + rng.normal(0, 0.03, (2, SIZE, SIZE, 3))
    values: NDArray[np.float32] = np.clip(noisy, 0, 1).astype(np.float32)
    return values


def noise_map(step: float) -> NDArray[np.float32]:
    return np.full((2, SIZE // wavelet.CELL, SIZE // wavelet.CELL, 4), step, np.float32)


def coded(picture: NDArray[np.float32], noise: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any]:
    decoded, bits = wavelet.code(picture, noise)
    return np.asarray(decoded), np.asarray(bits)


@pytest.mark.parametrize("size", [2, 4, 6, 32, 96])
def test_synthesis_undoes_analysis_at_every_even_length(size: int) -> None:
    product = wavelet.synthesis_matrix(size) @ wavelet.analysis_matrix(size)
    np.testing.assert_allclose(product, np.eye(size), atol=2e-5)


def test_a_constant_is_only_in_the_low_band_and_keeps_its_value() -> None:
    bands = wavelet.analysis_matrix(32) @ np.full(32, 0.7)
    np.testing.assert_allclose(bands[:16], 0.7, atol=1e-6)
    np.testing.assert_allclose(bands[16:], 0, atol=1e-6)


def test_the_norms_of_the_synthesis_are_those_of_the_real_codec() -> None:
    for level, (low, high) in enumerate(wavelet.basis_norms(), 1):
        assert low == pytest.approx(codec_wavelet.basis_norm(True, level, False), rel=1e-3)
        assert high == pytest.approx(codec_wavelet.basis_norm(True, level, True), rel=1e-3)


def test_the_finest_steps_lose_almost_nothing_and_coarser_ones_more_for_fewer_bits() -> None:
    errors, bits = [], []
    for step in (1e-5, 0.02, 0.1, 0.5):
        decoded, spent = coded(photo(), noise_map(step))
        errors.append(float(np.mean((decoded - photo()) ** 2)))
        bits.append(float(spent.mean()))
    assert errors[0] < 1e-8
    assert errors == sorted(errors)
    assert bits == sorted(bits, reverse=True)


def test_the_error_of_fine_steps_is_that_of_three_uniform_quantizers() -> None:
    grain = np.random.default_rng(1).uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    step = 0.02
    decoded, _ = coded(grain, noise_map(step))
    assert np.sqrt(np.mean((decoded - grain) ** 2)) == pytest.approx(np.sqrt(3 / 12) * step, rel=0.2)


def test_a_place_with_coarser_steps_is_where_the_error_is() -> None:
    noise = noise_map(0.01)
    noise[:, :, 5:] = 0.5
    decoded, _ = coded(photo(), noise)
    error = np.abs(decoded - photo()).mean((0, 1, 3))
    assert error[48:].mean() > 4 * error[:24].mean()


def test_chroma_is_coded_by_its_own_channel() -> None:
    noise = noise_map(1e-4)
    noise[..., 3] = 0.5
    decoded, _ = coded(photo(), noise)
    luma = (decoded - photo()) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma).max() < 0.01
    assert np.abs(decoded - photo()).max() > 0.03


def gradient_along(pattern: np.ndarray[tuple[int, ...], np.dtype[np.float32]], step: float) -> float:
    """How much of a faint pattern's change arrives in the decoded picture, by the gradient."""
    import tensorflow as tf

    picture = tf.constant(np.full(pattern.shape, 0.6, np.float32) + 0.02 * pattern)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        decoded, _ = wavelet.code(picture, tf.constant(noise_map(step)))
        response = tf.reduce_sum(decoded * pattern)
    gradient = np.asarray(tape.gradient(response, picture))
    return float((gradient * pattern).sum() / (pattern**2).sum())


def test_the_gradient_is_one_beyond_the_dead_zone_and_fades_inside() -> None:
    checkers = np.indices(photo().shape[1:3]).sum(0) % 2 * 2.0 - 1
    pattern = np.broadcast_to(checkers[None, :, :, None], photo().shape).astype(np.float32)
    assert 0.9 < gradient_along(pattern, 1e-3) < 1.2
    assert gradient_along(pattern, 0.5) < 0.1
