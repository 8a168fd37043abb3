from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from foveate.models.training import perception
from foveate.quality.ssimulacra2 import ssimulacra2
from tests.streams import texture


def batch(*pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack(pictures).astype(np.float32) / np.float32(255)


def distorted(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The photo with noise, blurred, with coarser samples and with another brightness."""
    noisy = photo + np.random.default_rng(0).normal(0, 8, photo.shape)
    blurred = (photo.astype(float) + np.roll(photo, 1, 0) + np.roll(photo, 1, 1)) / 3
    return [
        np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        for picture in (noisy, blurred, photo // 24 * 24 + 12, photo * 0.9)
    ]


def test_the_loss_agrees_with_the_measure() -> None:
    photo = texture(128, 160, 3)
    others = distorted(photo)
    lost = perception.lost_points(batch(*[photo] * len(others)), batch(*others))
    measured = [100 - ssimulacra2(photo, other) for other in others]
    np.testing.assert_allclose(np.array(lost), measured, atol=0.8)


def test_the_gradient_is_finite_for_flat_and_equal_patches() -> None:
    flat = np.full((64, 64, 3), 200, np.uint8)
    photo = tf.constant(batch(texture(64, 64, 3), flat, flat * 0))
    other = tf.Variable(photo)
    with tf.GradientTape() as tape:
        lost = perception.lost_points(photo, other)
    assert np.isfinite(tape.gradient(lost, other)).all() and float(tf.reduce_max(lost)) < 1


def test_patches_too_small_for_its_scales_are_refused() -> None:
    small = batch(texture(63, 96, 3))
    with pytest.raises(ValueError, match="64 pixels per side"):
        perception.lost_points(small, small)
