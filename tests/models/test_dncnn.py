"""Tests DnCNN: properties for any weights, and its training on a few generated photos."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.models import dncnn
from foveate.models.tiling import Network
from foveate.models.training import dncnn as training
from foveate.models.training import fitting
from tests.streams import texture


def randomized(normalized: bool) -> Any:
    """The network with random weights and statistics everywhere."""
    model = dncnn.build(normalized)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 2, weight.shape)
        else:
            deviation = (1 / np.prod(weight.shape[:-1])) ** 0.5 if len(weight.shape) > 1 else 0.05
            value = rng.normal(0, deviation, weight.shape)
        weight.assign(value.astype(np.float32))
    return model


@functools.cache
def network() -> Network:
    model = randomized(normalized=False)
    return Network(lambda luminance: model(luminance, training=False), dncnn.RECEPTIVE_FIELD, "")


def test_a_fresh_network_changes_nothing() -> None:
    luminance = texture(40, 56, 1)[None].astype(np.float32) / 255
    np.testing.assert_array_equal(dncnn.build()(luminance, training=False), luminance)


def test_folding_the_normalization_changes_nothing() -> None:
    trained = randomized(normalized=True)
    luminance = texture(40, 56, 1)[None].astype(np.float32) / 255
    expected = trained(luminance, training=False)
    assert np.abs(expected - luminance).max() > 0.01
    change = dncnn.folded(trained)(luminance, training=False) - luminance
    np.testing.assert_allclose(change, expected - luminance, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(("height", "width"), [(97, 64), (130, 151)])
def test_tiles_give_what_the_whole_gives(height: int, width: int) -> None:
    photo = texture(height, width, 3)
    whole = dncnn.clean(network(), photo)
    tiled = dncnn.clean(network(), photo, tile=48)
    assert np.abs(whole.astype(int) - photo).max() > 2
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_color_differences_and_alpha_stay() -> None:
    photo = (texture(64, 48, 4) // 2 + 64).astype(np.uint8)
    cleaned = dncnn.clean(network(), photo)
    np.testing.assert_array_equal(cleaned[..., 3], photo[..., 3])
    change = cleaned[..., :3].astype(int) - photo[..., :3]
    inside = ((cleaned[..., :3] > 0) & (cleaned[..., :3] < 255)).all(-1)
    assert np.abs(change[inside] - change[inside][:, :1]).max() <= 1


def test_gray_and_16_bits_are_cleaned_the_same_way() -> None:
    gray = texture(32, 40, 1)
    eight = dncnn.clean(network(), gray).astype(float)
    sixteen = dncnn.clean(network(), (gray.astype(np.uint16) * 257)).astype(float) / 257
    assert np.abs(eight - sixteen).max() <= 0.6
    colored = dncnn.clean(network(), np.repeat(gray, 3, -1)).astype(float)
    assert np.abs(colored - eight).max() <= 1


@pytest.mark.slow
def test_training_writes_usable_weights_and_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(np.roll(texture(230, 240, 3), 17 * seed, 0)).save(folder / f"{seed}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "SETTLING_STEPS", 2)
        training.train(folder, tmp_path, steps=4, batch=2)
    for stage, steps in (("dncnn-normalized", 4), ("dncnn", 2)):
        assert [row["step"] for row in fitting.read_log(tmp_path / stage / "log.csv")] == [steps]
    loaded = dncnn.load(tmp_path / "dncnn.weights.h5")
    photo = training.jpeg_of(texture(61, 43, 3), 10, 2)
    assert dncnn.clean(loaded, photo).shape == photo.shape
    assert len(loaded.sha256) == 64


def test_a_jpeg_of_lower_quality_is_farther_from_the_photo() -> None:
    photo = texture(64, 64, 3)
    errors = [
        np.mean((training.jpeg_of(photo, quality, 2).astype(float) - photo) ** 2) for quality in (5, 20, 90)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.weights\.h5"):
        dncnn.load(tmp_path / "none.weights.h5")
