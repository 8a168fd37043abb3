"""The text network: finds lines of print or handwriting whose letters are at least some 6 pixels high.

The detector of PP-OCRv4 (PaddleOCR, 2023): PP-LCNetV3 as the backbone, a feature pyramid with residual
squeeze-and-excitation, and the head of Liao et al., "Real-Time Scene Text Detection with Differentiable
Binarization" (2020), without its threshold branch, which is only needed in training. The arrays are
Apache-2.0.

    RGB 0..255 -> stem /2 -> blocks at stride 2 -> 4 -> 8 -> 16 -> 32
                                                   |    |     |     |
                                                   + <- + <-- + <-- +      96 channels each
                                                   |    |     |     |
                                    3×3 to 24 each, all at stride 4
                                                   |
                                                3×3 -> a place's 4×4 pixels

A block is depthwise k×k -> (squeeze-and-excitation) -> 1×1, hard swish with a learned scale and offset after
each. Fully convolutional, except that squeeze-and-excitation sees the whole input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.models.array_files import Arrays, set_layer_weights

if TYPE_CHECKING:
    import keras

STRIDE = 32  # of the coarsest features
CELL = 4  # pixels each way of a place
STEM_CHANNELS = 16
BATCH_NORM_EPSILON = 1e-5
PYRAMID_CHANNELS, MERGED_CHANNELS = 96, 24
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet's photos, in 0..255


class Block(NamedTuple):
    """A block of the backbone: its depthwise kernel and stride, output channels, and whether it squeezes."""

    kernel: int
    stride: int
    channels: int
    squeeze: bool = False


BLOCKS = (
    Block(3, 1, 32),
    *(Block(3, 2, 48), Block(3, 1, 48)),
    *(Block(3, 2, 96), Block(3, 1, 96)),
    *(Block(3, 2, 192), *(Block(5, 1, 192),) * 4),
    *(Block(5, 2, 384, True), Block(5, 1, 384, True), *(Block(5, 1, 384),) * 2),
)
LEVELS = {2: 12, 4: 18, 9: 42, 13: 360}  # the last block of each resolution, and its output channels


def build() -> keras.Model:
    """The network: RGB (batch, H, W, 3) float32 in 0..255, H and W multiples of 32, to probabilities.

    (batch, H / 4, W / 4, 16) in 0..1: whether each of a place's 4×4 pixels is within a line of writing. They
    are ordered in 2×2 quarters of 2×2 pixels, row by row.
    """
    import keras
    from keras import layers

    photo = keras.Input((None, None, 3), name="photo")
    # The original's photos are BGR, and so are its means: blue is what it takes ImageNet's red for.
    scale = [1 / deviation for deviation in DEVIATION[::-1]]
    offset = [-mean / deviation for mean, deviation in zip(MEAN[::-1], DEVIATION[::-1], strict=True)]
    x = _convolve(layers.Rescaling(scale, offset)(photo), "stem", STEM_CHANNELS, 3, stride=2)
    levels: list[Any] = []
    for index, block in enumerate(BLOCKS):
        x = _block(x, f"block{index}", block)
        if index in LEVELS:
            levels.append(_convolve(x, f"level{len(levels)}", LEVELS[index]))
    return keras.Model(photo, _head(_pyramid(levels)), name="text_detector")


def load(arrays: Arrays) -> keras.Model:
    """`build` with the arrays of `convert`. Raises KeyError or ValueError if they do not fit."""
    network = build()
    set_layer_weights(network, arrays)
    return network


def _pyramid(levels: list[Any]) -> Any:
    """The levels from fine to coarse, each with the coarser ones added, side by side at stride 4."""
    from keras import layers

    lateral = [
        _squeezed(_convolve(level, f"lateral{index}", PYRAMID_CHANNELS), f"lateral{index}", residual=True)
        for index, level in enumerate(levels)
    ]
    for index in reversed(range(len(levels) - 1)):
        lateral[index] = layers.Add()([lateral[index], layers.UpSampling2D(2)(lateral[index + 1])])
    merged = []
    for index, level in enumerate(lateral):
        narrow = _squeezed(
            _convolve(level, f"merge{index}", MERGED_CHANNELS, 3), f"merge{index}", residual=True
        )
        merged.append(layers.UpSampling2D(2**index)(narrow) if index else narrow)
    return layers.Concatenate()(merged[::-1])


def _head(x: Any) -> Any:
    """Two transposed convolutions of 2×2 with stride 2: a place's pixels depend on that place only."""
    from keras import layers

    x = layers.ReLU()(_convolve(x, "head", MERGED_CHANNELS, 3))
    x = layers.ReLU()(_convolve(x, "quarters", 4 * MERGED_CHANNELS))
    return layers.Activation("sigmoid")(_convolve(x, "pixels", CELL**2))


def _block(x: Any, name: str, block: Block) -> Any:
    from keras import layers

    depthwise = f"{name}_depthwise"
    pad = block.kernel // 2
    if block.stride == 2:  # TensorFlow pads strided convolutions differently on opposite sides
        padded = layers.ZeroPadding2D(pad)(x)
        x = layers.DepthwiseConv2D(block.kernel, 2, name=depthwise)(padded)
    else:
        x = layers.DepthwiseConv2D(block.kernel, padding="same", name=depthwise)(x)
        x = _activated(x, depthwise, affine=block.squeeze)
    if block.squeeze:
        x = _squeezed(x, name, residual=False)
    return _activated(_convolve(x, f"{name}_pointwise", block.channels), f"{name}_pointwise", affine=True)


def _activated(x: Any, name: str, affine: bool) -> Any:
    """Hard swish, six times as large; then an affine function if no convolution can absorb it."""
    from keras import layers, ops

    class Swish(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any) -> Any:
            return inputs * ops.relu6(inputs + 3.0)

    class Affine(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def build(self, _: Any) -> None:
            self.scale = self.add_weight(shape=(), name="scale")
            self.offset = self.add_weight(shape=(), name="offset")

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale + self.offset

    x = Swish()(x)
    return Affine(name=f"{name}_affine")(x) if affine else x


def _squeezed(x: Any, name: str, residual: bool) -> Any:
    """Squeeze-and-excitation (Hu et al. 2018); `residual` adds what it is applied to."""
    from keras import layers

    channels = x.shape[-1]
    narrow = _convolve(layers.GlobalAveragePooling2D(keepdims=True)(x), f"{name}_squeeze", channels // 4)
    share = layers.ReLU(1.0)(_convolve(layers.ReLU()(narrow), f"{name}_excite", channels))
    scaled = layers.Multiply()([x, share])
    return layers.Add()([x, scaled]) if residual else scaled


def _convolve(x: Any, name: str, filters: int, kernel: int = 1, stride: int = 1) -> Any:
    from keras import layers

    if stride == 1:
        return layers.Conv2D(filters, kernel, padding="same", name=name)(x)
    return layers.Conv2D(filters, kernel, stride, name=name)(layers.ZeroPadding2D(kernel // 2)(x))


# ---------------------------------------------------------------- the original's arrays


def convert(original: Arrays) -> dict[str, NDArray[np.float32]]:
    """Fold and rename the original's arrays (ONNX layout) into "layer/kernel", "layer/bias" and so on.

    Batch normalizations, scales and offsets are folded into adjacent convolutions where that only changes the
    last bits. Raises KeyError for a missing array.
    """
    result = dict(_converted(original))
    return {name: np.asarray(array, np.float32) for name, array in result.items()}


def _converted(original: Arrays) -> Iterator[tuple[str, NDArray[Any]]]:
    kernel = _kernel(original["conv2d_0.w_0"])[:, :, ::-1]  # BGR
    yield from _named("stem", *_normalized(kernel, 0.0, original, "batch_norm2d_0"))
    for index, block in enumerate(BLOCKS):
        yield from _converted_block(original, f"block{index}", 2 * index, block)
    for level in range(len(LEVELS)):
        yield from _plain(original, f"level{level}", 131 + level)
        lateral, merge = 135 + 6 * level, 138 + 6 * level
        for name, first in ((f"lateral{level}", lateral), (f"merge{level}", merge)):
            yield from _plain(original, name, first)
            yield from _converted_squeeze(original, name, first + 1, slope=0.2)
    kernel = _kernel(original["conv2d_159.w_0"])
    yield from _named("head", *_normalized(kernel, 0.0, original, "batch_norm_0"))
    # A transposed convolution of 2×2 with stride 2: (in, out, 2, 2) is 1×1 to each of four quarters.
    up = original["conv2d_transpose_0.w_0"].transpose(2, 3, 0, 1)
    bias = original["conv2d_transpose_0.b_0"].reshape(-1)
    up, bias = _normalized(up, bias, original, "batch_norm_1")
    channels = up.shape[-1]
    quarters = up.reshape(4, channels, channels).transpose(1, 0, 2).reshape(1, 1, channels, 4 * channels)
    yield from _named("quarters", quarters, np.tile(bias, 4))
    each = original["conv2d_transpose_1.w_0"].reshape(channels, 4)  # what a quarter's pixels are made of
    pixels = np.kron(np.eye(4), each)[None, None]
    yield from _named("pixels", pixels, np.repeat(original["conv2d_transpose_1.b_0"].reshape(-1), CELL**2))


def _converted_block(
    original: Arrays, name: str, index: int, block: Block
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Both of a block's convolutions; `index` is the first one's."""
    kernel, bias = _scaled(original, index)
    yield from _named(f"{name}_depthwise", kernel.transpose(0, 1, 3, 2), bias)
    kernel, bias = _scaled(original, index + 1)
    if block.stride == 1:
        scale, offset = _affine(original, index)
        if block.squeeze:
            yield from _named_affine(f"{name}_depthwise", scale, offset)
        else:
            bias = bias + offset * kernel.sum((0, 1, 2))
            kernel = kernel * scale
    if block.squeeze:
        first = 96 if block.stride == 2 else 107
        yield from _converted_squeeze(original, name, first, slope=1 / 6)
    yield from _named(f"{name}_pointwise", kernel, bias)
    yield from _named_affine(f"{name}_pointwise", *_affine(original, index + 1))


def _scaled(original: Arrays, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A convolution of the backbone, with the scale and offset that follow it."""
    scale, offset = (original[f"mobile_one_block_{index}.{part}"].item() for part in ("w_0", "w_1"))
    kernel, bias = (original[f"conv2d_{394 + index}.{part}"] for part in ("w_0", "b_0"))
    return _kernel(kernel) * scale, bias.reshape(-1) * scale + offset


def _affine(original: Arrays, index: int) -> tuple[float, float]:
    """The scale after a backbone convolution's activation, which is six times as large here."""
    scale, offset = (original[f"whswish_b_{index + 1}.{part}"].item() for part in ("w_0", "w_1"))
    return scale / 6, offset


def _converted_squeeze(
    original: Arrays, name: str, first: int, slope: float
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Two convolutions; the slope and offset of the hard sigmoid after them are folded into the second."""
    yield from _plain(original, f"{name}_squeeze", first)
    kernel, bias = (original[f"conv2d_{first + 1}.{part}"] for part in ("w_0", "b_0"))
    yield from _named(f"{name}_excite", _kernel(kernel) * slope, bias.reshape(-1) * slope + 0.5)


def _plain(original: Arrays, name: str, number: int) -> Iterator[tuple[str, NDArray[Any]]]:
    kernel = _kernel(original[f"conv2d_{number}.w_0"])
    bias = original.get(f"conv2d_{number}.b_0", np.zeros(kernel.shape[-1]))
    yield from _named(name, kernel, bias.reshape(-1))


def _normalized(
    kernel: NDArray[Any], bias: Any, original: Arrays, norm: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    weight, shift, mean, variance = (
        original[f"{norm}.{part}"].astype(np.float64) for part in ("w_0", "b_0", "w_1", "w_2")
    )
    scale = weight / np.sqrt(variance + BATCH_NORM_EPSILON)
    return kernel * scale, shift + (bias - mean) * scale


def _kernel(array: NDArray[Any]) -> NDArray[np.float64]:
    """From (out, in, h, w) to (h, w, in, out)."""
    return array.astype(np.float64).transpose(2, 3, 1, 0)


def _named(name: str, kernel: NDArray[Any], bias: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    yield f"{name}/kernel", kernel
    yield f"{name}/bias", bias


def _named_affine(name: str, scale: float, offset: float) -> Iterator[tuple[str, NDArray[Any]]]:
    yield f"{name}_affine/scale", np.asarray(scale)
    yield f"{name}_affine/offset", np.asarray(offset)
