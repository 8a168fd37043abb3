"""Layers shared by ComCNN and RecCNN: how the coding-noise map enters a network."""

from __future__ import annotations

from typing import Any

from foveate.models.wavelet import CELL

SURROUNDINGS = 9  # pixels each way
_KNEE, _SCALE = 16.0, 0.5  # of `proportional_detail`, the first in units of the expected error


def noise_features(noise: Any, scale: int) -> Any:
    """The coding-noise map (batch, h, w, c) on a logarithmic scale, at one cell per `scale` pixels."""
    from keras import layers, ops

    logarithm = ops.log2(1.0 + 255.0 * noise) / 8.0
    return layers.UpSampling2D(CELL // scale)(logarithm) if scale < CELL else logarithm


def normalized_detail(picture: Any, amplitude: Any) -> Any:
    """Contrast to the surroundings in units of the expected coding error: (batch, h, w, 3).

    Artifacts are about as large as the quantization step, so that in units of the step, all rates look alike.
    The scale is logarithmic.
    """
    from keras import ops

    detail = _relative_detail(picture, amplitude)
    return ops.sign(detail) * ops.log1p(ops.abs(detail))


def proportional_detail(picture: Any, amplitude: Any) -> Any:
    """`normalized_detail` on another scale: linear up to several times the error, then like the square root.

    Beside edges in finely coded photos, errors remain visible: a logarithm would flatten them, and training
    would take several times as long.
    """
    from keras import ops

    detail = _relative_detail(picture, amplitude)
    return _SCALE * detail * ops.rsqrt(1.0 + ops.abs(detail) / _KNEE)


def _relative_detail(picture: Any, amplitude: Any) -> Any:
    from keras import layers

    across = layers.AveragePooling2D((1, SURROUNDINGS), 1, "same")(picture)
    mean = layers.AveragePooling2D((SURROUNDINGS, 1), 1, "same")(across)
    return (picture - mean) / (amplitude + 1e-4)


def sub_pixel_convolution(
    features: Any,
    channels: int,
    scale: int,
    name: str,
    *,
    kernel: int = 3,
    start: str = "zeros",
    precision: str = "float32",
) -> Any:
    """A convolution to a finer grid: (batch, h, w, c) -> (batch, scale * h, scale * w, channels).

    Computes the same as a transposed convolution `kernel` strides wide, several times as fast (Shi et al.
    2016, "Real-Time Single Image and Video Super-Resolution", section 3). `start` is its initializer.
    """
    from keras import layers

    outputs = channels * scale**2
    convolution = layers.Conv2D(
        outputs, kernel, padding="same", name=name, kernel_initializer=start, dtype=precision
    )
    return depth_to_space(convolution(features), channels, scale, precision)


def depth_to_space(features: Any, channels: int, scale: int, precision: str = "float32") -> Any:
    """Features of a place, row by row, beside each other: (batch, h, w, scale² * channels) -> (batch, scale *
    h, scale * w, channels).
    """
    from keras import layers, ops

    class DepthToSpace(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any) -> Any:
            batch, height, width = ops.shape(inputs)[:3]
            rows = [
                ops.reshape(row, (batch, height, width * scale, channels))
                for row in ops.split(inputs, scale, axis=-1)
            ]
            return ops.reshape(ops.stack(rows, 2), (batch, height * scale, width * scale, channels))

    return DepthToSpace(dtype=precision)(features)


def twice_as_fine(features: Any) -> Any:
    """Features scaled up by two with bilinear interpolation: (batch, h, w, c) -> (batch, 2h, 2w, c).

    Keras's own layer cannot do this if height and width are not known beforehand.
    """
    from keras import layers, ops

    class TwiceAsFine(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any) -> Any:
            return _interleaved(_interleaved(inputs, 1), 2)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape[0], shape[1] and 2 * shape[1], shape[2] and 2 * shape[2], shape[3]

    def _interleaved(x: Any, axis: int) -> Any:
        first, last = ops.take(x, [0], axis), ops.take(x, [-1], axis)
        rest = [slice(None)] * axis
        before = ops.concatenate([first, x[(*rest, slice(None, -1))]], axis)
        after = ops.concatenate([x[(*rest, slice(1, None))], last], axis)
        pairs = ops.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        shape = list(ops.shape(x))
        shape[axis] = 2 * shape[axis]
        return ops.reshape(pairs, shape)

    return TwiceAsFine()(features)


def noise_amplitude(noise: Any) -> Any:
    """The expected size of the coding error at each pixel, (batch, 8h, 8w, 1), as a share of the peak value.

    The output of a network is multiplied by this, so that it vanishes where almost nothing was lost.
    """
    from keras import layers, ops

    rms = ops.sqrt(ops.mean(ops.square(noise[..., :4]), -1, keepdims=True) / 12.0)
    return layers.UpSampling2D(CELL)(rms)
