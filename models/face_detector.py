"""The face network: finds faces that are 12 to some 100 pixels wide.

BlazeFace (Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019) in its
full-range form, a feature pyramid with one anchor per place. The arrays are MediaPipe's, Apache-2.0.

    RGB -1..1 -> stem /2 -> blocks at stride 2 -> 4 -> 8 -> 16 -> 32
                                                  |    |     |     |
                    scores, boxes <- blocks <- + <-up- + <-up- + <-up

A block is depthwise 3×3 -> 1×1 to few channels, ReLU -> depthwise 3×3 -> 1×1 to many, and its input added.
Fully convolutional: the original takes windows of 192×192; here any multiples of 32 work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.array_files import Arrays, set_layer_weights
from foveate.models.layers import depth_to_space, twice_as_fine

if TYPE_CHECKING:
    import keras

STRIDE = 32  # of the coarsest features
CELL = 4  # pixels from one place that is scored to the next
STEM_CHANNELS = 32
STAGES = ((8, 32, 2), (16, 64, 3), (32, 128, 3), (48, 192, 3), (96, 384, 4))  # narrow, wide, blocks
PYRAMID = ((48, 96, 2), (32, 64, 2), (24, 48, 1))  # likewise, coarse to fine
HEADS = {"scores": 1, "boxes": 16}  # values at each place
WINDOW = 192  # pixels: the unit of the original's boxes

Convolution = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]  # kernel and bias


def build() -> keras.Model:
    """The network: RGB (batch, H, W, 3) float32 in -1..1, H and W multiples of 32, to scores and boxes.

    "scores" is (batch, H / 4, W / 4, 1), logits. "boxes" is (batch, H / 4, W / 4, 16), in pixels: the offset
    (x, y) of a face's center from the place, its width and height, then six points of the face.
    """
    import keras
    from keras import layers

    photo = keras.Input((None, None, 3), name="photo")
    x = layers.ReLU()(_convolve(photo, "stem", STEM_CHANNELS, 3, 2))
    stages = []
    for stage, (narrow, wide, blocks) in enumerate(STAGES):
        for number in range(blocks):
            stride = 2 if stage and number == 0 else 1
            x = _block(x, f"stage{stage}_block{number}", narrow, wide, stride)
        stages.append(x)
    for level, (narrow, wide, blocks) in enumerate(PYRAMID):
        lateral = layers.ReLU()(_convolve(stages[-2 - level], f"pyramid{level}_lateral", wide, 1))
        coarser = layers.ReLU()(_convolve(x, f"pyramid{level}_coarser", wide, 1))
        x = layers.Add()([lateral, twice_as_fine(coarser)])
        for number in range(blocks):
            x = _block(x, f"pyramid{level}_block{number}", narrow, wide, 1)
    return keras.Model(photo, {name: _head(x, name, values) for name, values in HEADS.items()})


def load(arrays: Arrays) -> keras.Model:
    """`build` with the arrays of `convert`. Raises KeyError or ValueError if they do not fit."""
    network = build()
    set_layer_weights(network, arrays)
    return network


def convert(original: Sequence[Convolution]) -> dict[str, NDArray[np.floating[Any]]]:
    """Rename and transpose the original's convolutions, given in the order in which it runs them.

    Kernels have TFLite's layout: (1, h, w, channels) if depthwise, else (out, h, w, in). Raises ValueError
    unless there are as many as this network has.
    """
    result: dict[str, NDArray[np.floating[Any]]] = {}
    for name, (kernel, bias) in zip(_names(), original, strict=True):
        result[f"{name}/kernel"] = kernel.transpose(1, 2, 3, 0)
        result[f"{name}/bias"] = bias
    return result


def multiply_accumulates(height: int, width: int) -> int:
    """Multiply-accumulate operations of the network on (height, width), multiples of 32."""
    places = height * width // 4
    total = places * 27 * STEM_CHANNELS
    channels = STEM_CHANNELS
    for stage, (narrow, wide, blocks) in enumerate(STAGES):
        for number in range(blocks):
            places //= 4 if stage and number == 0 else 1
            total += places * (9 * (channels + narrow) + narrow * (channels + wide))
            channels = wide
    for level, (narrow, wide, blocks) in enumerate(PYRAMID):
        total += places * wide * channels
        places *= 4
        total += places * (wide * STAGES[-2 - level][1] + blocks * (9 * (wide + narrow) + 2 * narrow * wide))
        channels = wide
    return total + places * sum(4 * values * channels + 9 * values for values in HEADS.values())


def _names() -> Iterator[str]:
    """The convolutions in the original's order: each stage ends with a lateral one."""
    yield "stem"
    for stage, (_, _, blocks) in enumerate(STAGES):
        for number in range(blocks):
            yield from _block_names(f"stage{stage}_block{number}")
        if 0 < stage < len(STAGES) - 1:
            yield f"pyramid{len(STAGES) - 2 - stage}_lateral"
    for level, (_, _, blocks) in enumerate(PYRAMID):
        yield f"pyramid{level}_coarser"
        for number in range(blocks):
            yield from _block_names(f"pyramid{level}_block{number}")
    for head in HEADS:
        yield from (f"{head}_values", f"{head}_depthwise")


def _block_names(name: str) -> Iterator[str]:
    yield from (f"{name}_{part}" for part in ("first", "narrow", "second", "wide"))


def _block(x: Any, name: str, narrow: int, wide: int, stride: int) -> Any:
    from keras import layers

    first, reduce, second, expand = _block_names(name)
    inner = layers.ReLU()(_convolve(_depthwise(x, first, stride), reduce, narrow, 1))
    outer = _convolve(_depthwise(inner, second, 1), expand, wide, 1)
    return layers.ReLU()(outer if stride == 2 else layers.Add()([x, outer]))


def _head(x: Any, name: str, values: int) -> Any:
    """Values for four neighboring places at once, then each in its own place."""
    coarse = _depthwise(_convolve(x, f"{name}_values", 4 * values, 1), f"{name}_depthwise", 2)
    return depth_to_space(coarse, values, 2)


def _convolve(x: Any, name: str, filters: int, kernel: int, stride: int = 1) -> Any:
    from keras import layers

    return layers.Conv2D(filters, kernel, stride, name=name)(_padded(x, kernel))


def _depthwise(x: Any, name: str, stride: int) -> Any:
    from keras import layers

    if stride == 1:
        return layers.DepthwiseConv2D(3, 1, "same", name=name)(x)
    return layers.DepthwiseConv2D(3, stride, name=name)(_padded(x, 3))


def _padded(x: Any, kernel: int) -> Any:
    """Pads with zeros on all four sides, whereas TensorFlow pads strided convolutions on two."""
    from keras import layers

    return layers.ZeroPadding2D(kernel // 2)(x) if kernel > 1 else x
