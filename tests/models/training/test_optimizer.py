"""Tests the optimizers: Muon on kernels with Adam on the rest, and Adam relative to the weights."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.models.training.optimizer import Optimizer, RelativeAdam, orthogonalized


def test_singular_values_come_near_to_one_and_vectors_stay() -> None:
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(2, 90, 16)))[0]
    right = np.linalg.qr(rng.normal(size=(2, 16, 16)))[0]
    values = np.geomspace(1, 0.02, 16)
    found = orthogonalized((7 * left * values @ right).astype(np.float32)).numpy()
    inner = np.swapaxes(left, 1, 2) @ found @ np.swapaxes(right, 1, 2)
    diagonal = np.diagonal(inner, axis1=1, axis2=2)
    assert diagonal.min() > 0.6 and diagonal.max() < 1.3
    np.testing.assert_allclose(inner, [np.diag(each) for each in diagonal], atol=2e-3)


def test_a_gradient_of_zeros_changes_no_kernel() -> None:
    assert not orthogonalized(np.zeros((1, 20, 16), np.float32)).numpy().any()


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e4])
def test_updates_have_the_size_of_the_rate_whatever_the_gradients_are(scale: float) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(1)
    weights = [tf.Variable(tf.zeros(shape)) for shape in ((3, 3, 16, 16), (3, 3, 3, 16), (16,))]
    gradients = [tf.constant(scale * rng.normal(size=w.shape), tf.float32) for w in weights]
    optimizer = Optimizer(weights)
    optimizer.apply(gradients, tf.constant(0.01), tf.constant(0.0))
    kernel, first, bias = (weight.numpy() for weight in weights)
    spectral = np.linalg.norm(kernel.reshape(-1, 16), 2)
    assert 0.02 < spectral < 0.05
    for weight, gradient in ((first, gradients[1]), (bias, gradients[2])):
        np.testing.assert_allclose(weight, -0.01 * np.sign(gradient), rtol=0.02)


def test_it_finds_the_least_of_a_bowl() -> None:
    import tensorflow as tf

    rng = np.random.default_rng(2)
    target = rng.normal(0, 0.1, (1, 1, 16, 16)).astype(np.float32)
    weights = [tf.Variable(tf.zeros(target.shape)), tf.Variable([1.5])]
    optimizer = Optimizer(weights)
    for step in range(300):
        gradients = [weights[0] - target, 2 * (weights[1] - 1)]
        optimizer.apply(gradients, tf.constant(0.02 * (1 - step / 300)), tf.constant(float(step)))
    np.testing.assert_allclose(weights[0], target, atol=5e-3)
    np.testing.assert_allclose(weights[1], 1, atol=0.05)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_relative_updates_have_the_size_of_the_rate_times_the_weights(scale: float) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(3)
    sizes = (1e-3, 1.0, 1e3, 0.0)
    before = [(size * rng.choice([-1, 1], (3, 5))).astype(np.float32) for size in sizes]
    weights = [tf.Variable(each) for each in before]
    gradients = [tf.constant(scale * rng.normal(size=(3, 5)), tf.float32) for _ in sizes]
    RelativeAdam(weights).apply(gradients, tf.constant(0.01), tf.constant(0.0))
    for weight, was, size, gradient in zip(weights, before, sizes, gradients, strict=True):
        moved = weight.numpy() - was
        np.testing.assert_allclose(moved, -0.01 * size * np.sign(gradient), rtol=0.02, atol=1e-9)
