"""A convolutional autoencoder with a rate-distortion loss, for comparison: real bytes in, real bytes out.

    photo ─▶ convolutions, down by 16 ─▶ latents x gain ─▶ round ─▶ range coder ─▶ bytes
    photo ◀─ convolutions, up by 16 ◀─ integers / gain  ◀──────────────┘

Of the family of Theis et al. 2017 ("Lossy Image Compression with Compressive Autoencoders") and Cheng et al.
2018 ("Deep Convolutional AutoEncoder-based Lossy Image Compression"): symmetric down- and up-sampling. Its
latents are coded independently, each channel by a learned density (Ballé, Laparra and Simoncelli 2017,
"End-to-end Optimized Image Compression"), here a mixture of logistics. One network serves several rates:
each has gains of its own for the latents, and densities (Cui et al. 2021, "Asymmetric Gained Deep Image
Compression").

Foveate itself does not use it. Decoding needs the same weights and, for the tables of the coder, the same
floating-point results as encoding.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.photos import Photo
from foveate.models.layers import sub_pixel_convolution
from foveate.models.reccnn import takes_bfloat16

WEIGHTS = Path(__file__).parent / "autoencoder.npz"
LOG = Path(__file__).parent / "autoencoder.csv"  # of their training
STRIDE = 16  # pixels per latent, each way
RATES = 3
LATENTS = 96  # channels
_FINE, _COARSE = 64, 96  # features at a quarter and an eighth of the resolution
_COMPONENTS = 3  # of each density
_FIRST_GAINS = (2.0, 4.0, 8.0)
_HEADER = struct.Struct(">HHB")  # height, width, number of the rate
_TAIL = 1e-7  # of a density: what lies beyond is clipped
_LARGEST = 1000  # absolute value of a coded integer

Latents = NDArray[np.int32]  # (h/16, w/16, LATENTS)


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """The three parts, Keras models.

    analysis: (batch, h, w, 3) in [0, 1] -> latents (batch, h/16, w/16, LATENTS); h, w multiples of 16.
    synthesis: the way back.
    prior: gains and densities of every rate, see `Prior`.
    """

    analysis: Any
    synthesis: Any
    prior: Any

    @property
    def variables(self) -> list[Any]:
        """All weights, in the order of the weights file."""
        return [v for part in (self.analysis, self.synthesis, self.prior) for v in part.variables]


def build(precision: str = "float32") -> Autoencoder:
    """The untrained autoencoder; `precision` of its features, see `foveate.models.reccnn.build`."""
    return Autoencoder(_analysis(precision), _synthesis(precision), _prior())


def _analysis(precision: str) -> Any:
    import keras
    from keras import layers

    policy = _policy(precision)
    convolution = functools.partial(layers.Conv2D, padding="same", dtype=policy)
    picture = layers.Input((None, None, 3))
    x = convolution(_FINE, 8, 4)(picture - 0.5)
    x = _residual_blocks(x, 1, policy)
    x = convolution(_COARSE, 4, 2)(x)
    x = _residual_blocks(x, 2, policy)
    latents = layers.Conv2D(LATENTS, 4, 2, padding="same", dtype=policy)(x)
    return keras.Model(picture, layers.Activation("linear", dtype="float32")(latents))


def _synthesis(precision: str) -> Any:
    import keras
    from keras import layers

    policy = _policy(precision)
    finer = functools.partial(sub_pixel_convolution, start="glorot_uniform", precision=policy)
    latents = layers.Input((None, None, LATENTS))
    x = finer(latents, _COARSE, 2, "up1")
    x = _residual_blocks(x, 2, policy)
    x = finer(x, _FINE, 2, "up2")
    x = _residual_blocks(x, 1, policy)
    x = layers.Activation("linear", dtype="float32")(finer(x, 3, 4, "up3"))
    return keras.Model(latents, x + 0.5)


def _policy(precision: str) -> str:
    return "mixed_bfloat16" if takes_bfloat16(precision) else "float32"


def _residual_blocks(x: Any, count: int, policy: str) -> Any:
    from keras import layers

    for _ in range(count):
        y = layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu", dtype=policy)(x)
        y = layers.Conv2D(x.shape[-1], 3, padding="same", dtype=policy)(y)
        x = layers.Add(dtype=policy)([x, y])
    return x


def _prior() -> Any:
    import keras
    from keras import ops

    class Prior(keras.Model):  # type: ignore[misc]  # Keras is untyped
        """Gains and densities of every rate, for latents (batch, h, w, LATENTS) and rates (batch,) int32."""

        def __init__(self) -> None:
            super().__init__()
            each = (RATES, LATENTS)
            components = (RATES, LATENTS, _COMPONENTS)
            add = functools.partial(self.add_weight, dtype="float32")
            first = np.log(np.repeat(_FIRST_GAINS, LATENTS)).reshape(each)
            self.log_gain = add(shape=each, name="log_gain", initializer=_constant(first))
            self.log_inverse = add(shape=each, name="log_inverse", initializer=_constant(-first))
            self.logits = add(shape=components, name="logits", initializer="zeros")
            means = np.broadcast_to(np.linspace(-1, 1, _COMPONENTS), components)
            self.means = add(shape=components, name="means", initializer=_constant(means))
            scales = np.broadcast_to(np.linspace(0, 1.5, _COMPONENTS), components)
            self.log_scales = add(shape=components, name="log_scales", initializer=_constant(scales))

        def scaled(self, latents: Any, rates: Any) -> Any:
            """Latents times the gains."""
            return latents * ops.exp(ops.take(self.log_gain, rates, 0))[:, None, None]

        def unscaled(self, integers: Any, rates: Any) -> Any:
            """The way back."""
            return integers * ops.exp(ops.take(self.log_inverse, rates, 0))[:, None, None]

        def bits(self, values: Any, rates: Any) -> Any:
            """What coding values costs, (batch,)."""
            logits, means, log_scales = (
                ops.take(array, rates, 0)[:, None, None]
                for array in (self.logits, self.means, self.log_scales)
            )
            centered = values[..., None] - means
            widths = ops.exp(-log_scales)
            # Upper and lower bound on the side where the sigmoid keeps its precision.
            sign = -ops.sign(ops.stop_gradient(centered))
            upper = ops.sigmoid(sign * (centered + 0.5) * widths)
            lower = ops.sigmoid(sign * (centered - 0.5) * widths)
            weighted = ops.softmax(logits, -1) * ops.abs(upper - lower)
            probability = ops.maximum(ops.sum(weighted, -1), 1e-9)
            return -ops.sum(ops.log(probability), (1, 2, 3)) / np.log(2.0)

    return Prior()


def _constant(values: NDArray[Any]) -> Any:
    from keras import ops

    return lambda shape, dtype=None: ops.convert_to_tensor(np.array(values, np.float32), dtype)


# Weights ------------------------------------------------------------------------------------------------


def save(autoencoder: Autoencoder, path: Path) -> None:
    """Writes all weights, halved to float16 but for those of the prior."""
    small = len(autoencoder.prior.variables)
    arrays = [np.asarray(v.numpy(), np.float32) for v in autoencoder.variables]
    halved = [array.astype(np.float16) for array in arrays[:-small]] + arrays[-small:]
    np.savez(path, **{str(i): array for i, array in enumerate(halved)})  # type: ignore[arg-type, unused-ignore]


def assign(autoencoder: Autoencoder, arrays: Sequence[NDArray[Any]]) -> None:
    """Sets all weights, in the order of `variables`."""
    for variable, array in zip(autoencoder.variables, arrays, strict=True):
        variable.assign(array.astype(np.float32))


@functools.cache
def load(path: Path = WEIGHTS) -> Autoencoder:
    """The trained autoencoder, in float32.

    Raises FileNotFoundError without weights.
    """
    autoencoder = build()
    with np.load(path) as arrays:
        assign(autoencoder, [arrays[str(i)] for i in range(len(arrays.files))])
    return autoencoder


# Photos and bytes ---------------------------------------------------------------------------------------


def encode(autoencoder: Autoencoder, photo: Photo, rate: int) -> bytes:
    """A photo (h, w, 3) uint8 as bytes.

    Args:
      autoencoder: trained.
      photo: sides below 65,536 pixels.
      rate: a number below `RATES`, the coarsest first.
    """
    height, width = photo.shape[:2]
    pads = [(0, -height % STRIDE), (0, -width % STRIDE), (0, 0)]
    padded = np.pad(photo, pads, mode="edge")[None].astype(np.float32) / 255
    latents = autoencoder.prior.scaled(autoencoder.analysis(padded, training=False), np.array([rate]))
    integers = np.rint(latents[0].numpy()).astype(np.int32)
    return _HEADER.pack(height, width, rate) + code(integers, tables(autoencoder.prior, rate))


def decode(autoencoder: Autoencoder, data: bytes) -> Photo:
    """The photo (h, w, 3) uint8 of what `encode` made."""
    height, width, rate = _HEADER.unpack_from(data)
    shape = (-(-height // STRIDE), -(-width // STRIDE), LATENTS)
    integers = decoded(data[_HEADER.size :], shape, tables(autoencoder.prior, rate))
    values = autoencoder.prior.unscaled(integers[None].astype(np.float32), np.array([rate]))
    pixels = autoencoder.synthesis(values, training=False)[0].numpy()[:height, :width]
    photo: Photo = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    return photo


# Integers and bytes -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The probabilities of the integers from `least` on."""

    least: int
    probabilities: NDArray[np.float64]


def tables(prior: Any, rate: int) -> list[Table]:
    """The densities of a rate as tables, one for each channel."""
    logits, means, log_scales = (
        np.asarray(array.numpy()[rate], np.float64) for array in (prior.logits, prior.means, prior.log_scales)
    )
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return [_table(*channel) for channel in zip(weights, means, np.exp(log_scales), strict=True)]


def _table(weights: NDArray[np.float64], means: NDArray[np.float64], scales: NDArray[np.float64]) -> Table:
    reach = scales * np.log(1 / _TAIL)
    least = max(-_LARGEST, int(np.floor((means - reach).min())))
    most = min(_LARGEST, int(np.ceil((means + reach).max())))
    edges = np.arange(least, most + 2)[:, None] - 0.5
    below = (weights / (1 + np.exp(-np.clip((edges - means) / scales, -500, 500)))).sum(-1)
    return Table(least, np.maximum(np.diff(below), 1e-12))


def code(integers: Latents, by_channel: Sequence[Table]) -> bytes:
    """Integers (h, w, channels) as bytes of a range coder; those beyond their table are clipped."""
    from constriction import stream

    encoder = stream.queue.RangeEncoder()
    for channel, table in enumerate(by_channel):
        symbols = np.clip(integers[..., channel].ravel() - table.least, 0, len(table.probabilities) - 1)
        encoder.encode(symbols.astype(np.int32), _model(table))
    return bytes(encoder.get_compressed().astype("<u4").tobytes())


def decoded(data: bytes, shape: tuple[int, int, int], by_channel: Sequence[Table]) -> Latents:
    """The inverse of `code`."""
    from constriction import stream

    decoder = stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
    count = shape[0] * shape[1]
    channels = [decoder.decode(_model(table), count) + table.least for table in by_channel]
    return np.stack(channels, -1).reshape(shape).astype(np.int32)


def _model(table: Table) -> Any:
    from constriction import stream

    return stream.model.Categorical(table.probabilities, perfect=False)
