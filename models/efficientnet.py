"""EfficientNet-Lite0, the frozen backbone of MS-ROI, without its classifier.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), in its Lite
variant (no squeeze-and-excitation, ReLU6), pretrained on ImageNet; the arrays are Apache-2.0.

    RGB 0..255 -> (x - 127) / 128 -> stem /2 -> 16 inverted bottlenecks -> head 1x1
                                                 |      |      |      |       |
                                             stride 4 stride 8 stride 16 stride 32
                                                24      40     112     320    1280 channels

Fully convolutional; batch normalization is folded into the convolutions; padding is TensorFlow's "same".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.array_files import Arrays, set_layer_weights

if TYPE_CHECKING:
    import keras

STAGES = (  # kernel, stride, expansion, filters, repeats: table 1 of the paper
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
FEATURES = {"stride4": 2, "stride8": 4, "stride16": 10, "stride32": 15}  # the last block of each resolution
FEATURE_CHANNELS = {"stride4": 24, "stride8": 40, "stride16": 112, "stride32": 320}
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000
BATCH_NORM_EPSILON = 1e-3
STRIDE = 32


def build() -> keras.Model:
    """The network: RGB (batch, H, W, 3) float32 in 0..255, H and W multiples of 32, to a dictionary of
    features.

    Keys are those of `FEATURE_CHANNELS` and "head"; each is (batch, H / stride, W / stride, channels)
    float32.
    """
    import keras

    photo = keras.Input((None, None, 3), name="photo")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocess")(photo)
    x = _convolve(x, "stem", STEM_CHANNELS, 3, 2)
    outputs = {}
    for index, (kernel, stride, expansion, filters) in enumerate(_blocks()):
        x = _bottleneck(x, f"block{index}", kernel, stride, expansion, filters)
        outputs.update({name: x for name, last in FEATURES.items() if last == index})
    outputs["head"] = _convolve(x, "head", HEAD_CHANNELS, 1, 1)
    return keras.Model(photo, outputs, name="efficientnet_lite0")


def load(arrays: Arrays) -> keras.Model:
    """`build` with the folded arrays of `convert`. Raises KeyError or ValueError if they do not fit."""
    network = build()
    set_layer_weights(network, arrays)
    return network


def convert(original: Arrays) -> dict[str, NDArray[np.float32]]:
    """Fold and rename the original's arrays (PyTorch layout) into "layer/kernel" and "layer/bias" (Keras
    layout).

    The classifier is included as "classifier/kernel" (1280, 1000) and "classifier/bias" (1000,).
    """
    result: dict[str, NDArray[np.float32]] = {}
    for layer, convolution, norm in _original_names():
        kernel, bias = _folded(original, convolution, norm)
        result[f"{layer}/kernel"] = kernel
        result[f"{layer}/bias"] = bias
    result["classifier/kernel"] = np.asarray(original["_fc.weight"].T, np.float32)
    result["classifier/bias"] = np.asarray(original["_fc.bias"], np.float32)
    return result


def multiply_accumulates(height: int, width: int) -> int:
    """Multiply-accumulate operations of the network on a photo of (height, width), multiples of 32."""
    places = height * width // 4
    total = places * 27 * STEM_CHANNELS + height * width // STRIDE**2 * 320 * HEAD_CHANNELS
    channels = STEM_CHANNELS
    for kernel, stride, expansion, filters in _blocks():
        wide = channels * expansion
        total += places * channels * wide * (expansion != 1)
        places //= stride**2
        total += places * wide * (kernel**2 + filters)
        channels = filters
    return total


def _blocks() -> Iterator[tuple[int, int, int, int]]:
    for kernel, stride, expansion, filters, repeats in STAGES:
        for repeat in range(repeats):
            yield kernel, stride if repeat == 0 else 1, expansion, filters


def _bottleneck(x: Any, name: str, kernel: int, stride: int, expansion: int, filters: int) -> Any:
    import keras

    wide = x
    if expansion != 1:
        wide = _convolve(x, f"{name}_expand", x.shape[-1] * expansion, 1, 1)
    depthwise = keras.layers.DepthwiseConv2D(kernel, stride, "same", name=f"{name}_depthwise")
    wide = keras.layers.ReLU(6, name=f"{name}_depthwise_relu")(depthwise(wide))
    narrow = keras.layers.Conv2D(filters, 1, name=f"{name}_project")(wide)
    if stride != 1 or x.shape[-1] != filters:
        return narrow
    return keras.layers.Add(name=f"{name}_add")([narrow, x])


def _convolve(x: Any, name: str, filters: int, kernel: int, stride: int) -> Any:
    import keras

    x = keras.layers.Conv2D(filters, kernel, stride, "same", name=name)(x)
    return keras.layers.ReLU(6, name=f"{name}_relu")(x)


def _original_names() -> Iterator[tuple[str, str, str]]:
    """For every convolution: our layer, the original's convolution and its batch normalization."""
    yield "stem", "_conv_stem", "_bn0"
    yield "head", "_conv_head", "_bn1"
    for index, (_, _, expansion, _) in enumerate(_blocks()):
        parts = [("expand", "_expand_conv", "_bn0")] * (expansion != 1)
        parts += [("depthwise", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        for part, convolution, norm in parts:
            yield f"block{index}_{part}", f"_blocks.{index}.{convolution}", f"_blocks.{index}.{norm}"


def _folded(original: Arrays, convolution: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weight, bias, mean, variance = (
        original[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = original[f"{convolution}.weight"] * scale[:, None, None, None]
    order = (2, 3, 0, 1) if "depthwise" in convolution else (2, 3, 1, 0)
    return kernel.transpose(order).astype(np.float32), (bias - mean * scale).astype(np.float32)
