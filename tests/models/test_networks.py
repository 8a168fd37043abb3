"""Tests ComCNN and RecCNN as networks: their cost, and properties for any weights."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.models import comcnn, reccnn, tiling
from foveate.models.tiling import Network

BUILDERS: dict[str, tuple[Any, int, int]] = {
    "comcnn": (comcnn.build, comcnn.RECEPTIVE_FIELD, 4),
    "reccnn": (reccnn.build, reccnn.SIZES["fast"].receptive_field, 5),
    "reccnn best": (functools.partial(reccnn.build, "best"), reccnn.SIZES["best"].receptive_field, 5),
}


@functools.cache
def random_model(name: str) -> Any:
    """The network with random weights everywhere, strong enough that a wrong neighbor would show."""
    build, _, _ = BUILDERS[name]
    model = build()
    rng = np.random.default_rng(3)
    for weight in model.trainable_weights:
        deviation = (1.5 / np.prod(weight.shape[:-1])) ** 0.5 if len(weight.shape) > 1 else 0.05
        if "_b/" in weight.path:
            deviation /= 2  # else what residual blocks add up to grows with their number
        weight.assign(rng.normal(0, deviation, weight.shape).astype(np.float32))
    return model


@functools.cache
def network(name: str) -> Network:
    """`random_model`, ready for `tiling.run`."""
    import tensorflow as tf

    model = random_model(name)
    _, receptive_field, channels = BUILDERS[name]
    signature = [tf.TensorSpec((1, None, None, depth), tf.float32) for depth in (3, channels)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator, unused-ignore]
    def predict(picture: Any, noise: Any) -> Any:
        return model([picture, noise], training=False)

    return Network(predict, receptive_field, "")


def picture(height: int, width: int, channels: int = 3, bits: int = 8) -> tiling.Pixels:
    values = np.random.default_rng(height * 31 + width).integers(0, 1 << bits, (height, width, channels))
    return values.astype(np.uint8) if bits == 8 else values.astype(np.uint16)


def noise_map(name: str, height: int, width: int, scale: float = 0.3) -> NDArray[np.float32]:
    rng = np.random.default_rng(height + width)
    cells = (-(-height // 8), -(-width // 8), BUILDERS[name][2])
    return (scale * rng.uniform(0.2, 1, cells)).astype(np.float32)


def multiplications(model: Any) -> float:
    """Multiply-accumulates of all layers with a kernel, a pixel."""
    import keras

    layers = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    assert {type(layer).__name__ for layer in layers} == {"Conv2D"}
    side = 64
    channels = model.inputs[1].shape[-1]
    inputs = [
        np.zeros((1, side, side, 3), np.float32),
        np.zeros((1, side // 8, side // 8, channels), np.float32),
    ]
    values = keras.Model(model.inputs, [layer.output for layer in layers])(inputs)
    kernels = [float(np.prod(layer.kernel.shape)) for layer in layers]
    places = [float(value.shape[1] * value.shape[2]) for value in values]
    return sum(k * p for k, p in zip(kernels, places, strict=True)) / side**2


@pytest.mark.parametrize("name", BUILDERS)
def test_a_pixel_costs_no_more_than_its_budget(name: str) -> None:
    budget = {"comcnn": 12_000, "reccnn": 60_000, "reccnn best": 250_000}[name]
    assert budget / 20 < multiplications(random_model(name)) <= budget


@pytest.mark.parametrize("name", BUILDERS)
def test_a_fresh_network_changes_nothing(name: str) -> None:
    build, _, _ = BUILDERS[name]
    pixels = picture(40, 56)[None].astype(np.float32) / 255
    out = build()([pixels, noise_map(name, 40, 56)[None]], training=False)
    np.testing.assert_array_equal(out, pixels)


@pytest.mark.parametrize("name", BUILDERS)
def test_random_weights_change_a_good_deal(name: str) -> None:
    pixels = picture(40, 56)
    changed = tiling.run(network(name), pixels, noise_map(name, 40, 56))
    assert np.abs(changed.astype(int) - pixels).mean() > 2


@pytest.mark.parametrize("name", BUILDERS)
def test_two_calls_give_the_same(name: str) -> None:
    pixels, noise = picture(33, 47), noise_map(name, 33, 47)
    first = tiling.run(network(name), pixels, noise)
    np.testing.assert_array_equal(tiling.run(network(name), pixels, noise), first)


@pytest.mark.parametrize("name", BUILDERS)
def test_it_fades_to_nothing_where_nearly_nothing_was_lost(name: str) -> None:
    pixels, noise = picture(48, 96), noise_map(name, 48, 96)
    noise[:, :6] = 1e-6
    changed = tiling.run(network(name), pixels, noise)
    np.testing.assert_array_equal(changed[:, :48], pixels[:, :48])
    assert (changed[:, 48:] != pixels[:, 48:]).any()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_change_in_one_place_reaches_no_further_than_the_receptive_field(name: str) -> None:
    _, reach, _ = BUILDERS[name]
    height, width = 2 * reach + 48, 2 * reach + 64
    noise = noise_map(name, height, width)
    pixels = picture(height, width)
    other = pixels.copy()
    other[height // 2, width // 2] ^= 255
    before, after = (tiling.run(network(name), p, noise).astype(int) for p in (pixels, other))
    ys, xs = np.nonzero((before != after).any(2))
    assert len(ys) > 20
    assert max(abs(ys - height // 2).max(), abs(xs - width // 2).max()) <= reach


def test_the_flag_of_preparation_is_a_fifth_channel() -> None:
    noise = noise_map("comcnn", 16, 24)
    for used in (False, True):
        flagged = reccnn.with_prefiltered_flag(noise, used)
        assert flagged.dtype == np.float32
        np.testing.assert_array_equal(flagged[..., :4], noise)
        assert (flagged[..., 4] == used).all()


@pytest.mark.parametrize("module", [comcnn, reccnn])
def test_the_shipped_weights_load_and_name_themselves(module: Any) -> None:
    loaded = module.load()
    pixels = picture(24, 41)
    noise = np.full((3, 6, 4 if module is comcnn else 5), 0.1, np.float32)
    assert tiling.run(loaded, pixels, noise).shape == pixels.shape
    assert len(loaded.sha256) == 64


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"reccnn_fast\.weights\.h5"):
        reccnn.load(folder=tmp_path)


@pytest.mark.filterwarnings("ignore:Skipping")
def test_weights_of_the_other_network_are_refused(tmp_path: Path) -> None:
    random_model("comcnn").save_weights(reccnn.weights_file("fast", tmp_path))
    with pytest.raises(ValueError, match=r"\S"):
        reccnn.load(folder=tmp_path)


def test_a_sub_pixel_convolution_is_a_transposed_one() -> None:
    import keras

    from foveate.models.layers import sub_pixel_convolution

    rng = np.random.default_rng(3)
    features = rng.normal(size=(2, 6, 9, 4)).astype(np.float32)
    kernel, bias = rng.normal(size=(6, 6, 3, 4)), rng.normal(size=3)
    places = keras.layers.Input((None, None, 4))
    model = keras.Model(places, sub_pixel_convolution(places, 3, 2, "shuffle"))
    transposed = keras.layers.Conv2DTranspose(3, 6, 2, "same")
    transposed.build(features.shape)
    transposed.set_weights([kernel, bias])
    # Output row 2i + a takes of row i + t - 1 the kernel's row a + 4 - 2t.
    phases = [[kernel[4 + a :: -2, 4 + b :: -2][:3, :3] for b in (0, 1)] for a in (0, 1)]
    small = np.array(phases).transpose(2, 3, 5, 0, 1, 4).reshape(3, 3, 4, 12)
    model.get_layer("shuffle").set_weights([small, np.tile(bias, 4)])
    np.testing.assert_allclose(model(features), transposed(features), atol=1e-4)
