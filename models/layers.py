"""Shared by ComCNN and RecCNN: how the coding-noise map enters a network, and leaves it."""

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

    Artefacts are about as large as the quantisation step, whatever that is: seen in its units, all rates look
    alike. On a logarithmic scale.
    """
    from keras import ops

    detail = _relative_detail(picture, amplitude)
    return ops.sign(detail) * ops.log1p(ops.abs(detail))


def proportional_detail(picture: Any, amplitude: Any) -> Any:
    """`normalized_detail` on another scale: proportional up to several times the error, then like its root.

    Beside the edges of a finely coded photo, errors stay large enough to be seen: a logarithm flattens them,
    and a network takes several times as long to learn.
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
    """A convolution to finer places: (batch, h, w, c) -> (batch, scale * h, scale * w, channels).

    What a transposed convolution of `kernel` strides' width computes, several times as fast (Shi et al. 2016,
    "Real-Time Single Image and Video Super-Resolution", section 3). `start` is its initializer.
    """
    from keras import layers, ops

    class DepthToSpace(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        """Features of a place, row by row, beside each other."""

        def call(self, inputs: Any) -> Any:
            batch, height, width = ops.shape(inputs)[:3]
            rows = [
                ops.reshape(row, (batch, height, width * scale, channels))
                for row in ops.split(inputs, scale, axis=-1)
            ]
            return ops.reshape(ops.stack(rows, 2), (batch, height * scale, width * scale, channels))

    outputs = channels * scale**2
    convolution = layers.Conv2D(
        outputs, kernel, padding="same", name=name, kernel_initializer=start, dtype=precision
    )
    return DepthToSpace(dtype=precision)(convolution(features))


def noise_amplitude(noise: Any) -> Any:
    """The expected size of the coding error at each pixel, (batch, 8h, 8w, 1), as a share of the peak value.

    What a network adds is multiplied by this, so that it fades to nothing where nearly nothing was lost.
    """
    from keras import layers, ops

    rms = ops.sqrt(ops.mean(ops.square(noise[..., :4]), -1, keepdims=True) / 12.0)
    return layers.UpSampling2D(CELL)(rms)
