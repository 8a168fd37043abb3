"""Tests the text network: its shapes, and that folding the original's arrays changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foveate.models import text_detector, writing
from foveate.models.array_files import read_arrays, write_arrays
from foveate.models.text_detector import BLOCKS, LEVELS


class Original:
    """Random arrays under the original's names, in its layout (out, in, h, w)."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.arrays: dict[str, Any] = {}

    def convolution(self, number: int, *shape: int, bias: bool = True) -> None:
        spread = 1 / np.sqrt(np.prod(shape[1:]))
        self.arrays[f"conv2d_{number}.w_0"] = self.generator.normal(0, spread, shape)
        if bias:
            self.arrays[f"conv2d_{number}.b_0"] = self.generator.normal(0, 0.1, shape[0])

    def squeeze(self, number: int, channels: int) -> None:
        self.convolution(number, channels // 4, channels, 1, 1)
        self.convolution(number + 1, channels, channels // 4, 1, 1)

    def between(self, name: str, channels: int, **parts: tuple[float, float]) -> None:
        for part, (low, high) in parts.items():
            self.arrays[f"{name}.{part}"] = self.generator.uniform(low, high, channels)


NORM: Any = {"w_0": (0.5, 1.5), "b_0": (-0.1, 0.1), "w_1": (-0.1, 0.1), "w_2": (0.5, 1.5)}
AFFINE: Any = {"w_0": (0.5, 1.5), "w_1": (-0.1, 0.1)}


def original() -> dict[str, Any]:
    """All of the original's arrays."""
    made = Original()
    made.convolution(0, 16, 3, 3, 3, bias=False)
    made.between("batch_norm2d_0", 16, **NORM)
    before, squeezes = 16, [96, 107]
    for index, block in enumerate(BLOCKS):
        made.convolution(394 + 2 * index, before, 1, block.kernel, block.kernel)
        made.convolution(395 + 2 * index, block.channels, before, 1, 1)
        for number in (2 * index, 2 * index + 1):
            made.between(f"mobile_one_block_{number}", 1, **AFFINE)
            made.between(f"whswish_b_{number + 1}", 1, **AFFINE)
        if block.squeeze:
            made.squeeze(squeezes.pop(0), before)
        before = block.channels
    for level, (index, channels) in enumerate(LEVELS.items()):
        made.convolution(131 + level, channels, BLOCKS[index].channels, 1, 1)
        made.convolution(135 + 6 * level, 96, channels, 1, 1, bias=False)
        made.convolution(138 + 6 * level, 24, 96, 3, 3, bias=False)
        made.squeeze(136 + 6 * level, 96)
        made.squeeze(139 + 6 * level, 24)
    made.convolution(159, 24, 96, 3, 3, bias=False)
    for number, channels in ((0, 24), (1, 1)):
        made.between(f"batch_norm_{number}", 24, **NORM)
        made.arrays[f"conv2d_transpose_{number}.w_0"] = made.generator.normal(0, 0.2, (24, channels, 2, 2))
        made.arrays[f"conv2d_transpose_{number}.b_0"] = made.generator.normal(0, 0.1, channels)
    return {name: array.astype(np.float32) for name, array in made.arrays.items()}


def transposed(x: Any, kernel: Any) -> Any:
    """A transposed convolution of 2×2 with stride 2, by its definition: (h, w, in) to (2h, 2w, out)."""
    rows, columns, _ = x.shape
    result = np.zeros((2 * rows, 2 * columns, kernel.shape[1]))
    for y in range(2):
        for column in range(2):
            result[y::2, column::2] = x @ kernel[:, :, y, column]
    return result


def test_every_array_of_a_layer_is_there() -> None:
    arrays = text_detector.convert(original())
    network = text_detector.load(arrays)
    names = {f"{layer.name}/{weight.name}" for layer in network.layers for weight in layer.weights}
    assert names == set(arrays)


def test_a_place_has_its_pixels_in_quarters() -> None:
    network = text_detector.build()
    assert network(np.zeros((1, 64, 96, 3), np.float32)).shape == (1, 16, 24, 16)


def test_the_head_is_two_transposed_convolutions() -> None:
    arrays = original()
    converted = text_detector.convert(arrays)
    place = np.random.default_rng(1).normal(size=(1, 1, 24))
    scale = arrays["batch_norm_1.w_0"] / np.sqrt(
        arrays["batch_norm_1.w_2"] + text_detector.BATCH_NORM_EPSILON
    )
    fine = transposed(place, arrays["conv2d_transpose_0.w_0"]) + arrays["conv2d_transpose_0.b_0"]
    fine = np.maximum((fine - arrays["batch_norm_1.w_1"]) * scale + arrays["batch_norm_1.b_0"], 0)
    expected = transposed(fine, arrays["conv2d_transpose_1.w_0"])[..., 0] + arrays["conv2d_transpose_1.b_0"]
    quarters = np.maximum(place @ converted["quarters/kernel"][0, 0] + converted["quarters/bias"], 0)
    pixels = (quarters @ converted["pixels/kernel"][0, 0] + converted["pixels/bias"]).reshape(2, 2, 2, 2)
    np.testing.assert_allclose(pixels.transpose(0, 2, 1, 3).reshape(4, 4), expected, atol=1e-5)


def test_a_missing_array_is_named(tmp_path: Any) -> None:
    with pytest.raises(KeyError, match="conv2d_0"):
        text_detector.convert({})
    arrays = read_arrays(writing.WEIGHTS)
    arrays.pop("block3_pointwise_affine/scale")
    write_arrays(tmp_path / "writing.npz", arrays)
    with pytest.raises(ValueError, match="block3_pointwise_affine/scale"):
        writing.load(tmp_path / "writing.npz")
