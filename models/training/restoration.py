"""Trains ComCNN and RecCNN: first together through the wavelet stand-in, then RecCNN on real streams.

Stage "joint" (Nagarsenker et al.; Jiang et al. 2017): photo → ComCNN → stand-in → RecCNN, one loss for both.
Most patches bypass ComCNN, so that RecCNN learns plain files too. Stage "codec": RecCNN alone, on what a real
encoder made at random rates; the caller supplies it, since networks know nothing of codecs here.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import comcnn, reccnn, wavelet
from foveate.models.training import perception, similarity
from foveate.models.training.fitting import (
    VALIDATION,
    Batch,
    Course,
    Objective,
    fit,
    gain_db,
    mean_square,
)
from foveate.models.training.photos import load_photos, random_patch
from foveate.models.training.regions import CodedRegion, Coder, code_regions

COARSEST, FINEST = 0.6, 0.012  # normalized quantization steps, as a share of the peak value
AUXILIARY = 0.25  # weight of the plain decode's own error: an archive must look right without RecCNN

REGION_SIDE = 384  # pixels of what is coded at once: an encoder shares bits out over photos, not patches
REGIONS = 4_000  # coded before RecCNN's training begins, 0.9 MB each

Loss = Callable[[Any, Any, Any], Any]  # (photo, restored, error of the decoded region) -> (batch,)

_NEGLIGIBLE = 3e-6  # a mean squared error as a share of the peak's square: 55 dB
_POINTS = 15.0  # of SSIMULACRA 2 that weigh as much as the whole error of the decoded photo
COARSER = 1.19  # by how much the step is varied to find what a bit is worth


def random_noise_map(cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A coding-noise map (cells, cells, 4) as region-weighted files have them, of a random rate and gain."""
    step = np.exp(rng.uniform(np.log(FINEST), np.log(COARSEST)))
    decibels = np.zeros((cells, cells, 1))
    if rng.random() < 0.6:
        ramp = np.linspace(-1, 1, cells)
        y, x = np.meshgrid(ramp, ramp, indexing="ij")
        direction = rng.normal(size=2)
        steepness = rng.uniform(1, 12)
        across = direction[0] * y + direction[1] * x + rng.uniform(-1, 1)
        soft = 1 / (1 + np.exp(-steepness * across))
        decibels = rng.uniform(0, 15) * soft[..., None]
    # Bit-planes end at whole powers of two, not where λ would.
    jitter = rng.uniform(-2.5, 2.5, size=(1, 1, 4))
    missing = rng.random(4) < np.array([0.15, 0.05, 0.0, 0.15])  # whole octaves left out at low rates
    steps = step * 10 ** (-(decibels + jitter) / 20) * np.where(missing, 2.0, 1.0)
    noise: NDArray[np.float32] = np.clip(steps, FINEST / 4, 1.0).astype(np.float32)
    return noise


def train_joint(
    photos: Path,
    output: Path,
    *,
    steps: int,
    batch: int = 16,
    patch: int = 96,
    rate: float = 1e-3,
    seed: int = 0,
) -> None:
    """Stage "joint": writes both networks' weights to `output`; resumes what it finds there."""
    import keras

    keras.utils.set_random_seed(seed)
    first, second = comcnn.build(), reccnn.build("fast")
    make = _joint_batches(load_photos(photos), batch, patch, prefiltered=3 * batch // 8)
    fit(_joint_objective(first, second), make, output / "joint", Course(steps, rate), seed)
    first.save_weights(output / comcnn.WEIGHTS_FILE.name)
    second.save_weights(reccnn.weights_file("fast", output))


def train_comcnn_alone(
    photos: Path,
    output: Path,
    *,
    steps: int,
    batch: int = 16,
    patch: int = 96,
    rate: float = 1e-3,
    seed: int = 0,
) -> None:
    """ComCNN for files that nothing restores, to compare: writes `comcnn_alone.weights.h5` to `output`."""
    import keras

    keras.utils.set_random_seed(seed)
    network = comcnn.build()
    make = _joint_batches(load_photos(photos), batch, patch, prefiltered=batch)
    fit(_joint_objective(network, None), make, output / "comcnn-alone", Course(steps, rate), seed)
    network.save_weights(output / "comcnn_alone.weights.h5")


@dataclasses.dataclass(frozen=True)
class PatchSource:
    """Where RecCNN's patches come from.

    coder: what to code with.
    origin: says which photos and which coder, see `code_regions`.
    regions: how many parts of photos are coded; 0.9 MB each on disk.
    side: of each, in pixels.
    folder: where they are kept, or None for a folder of the training's output.
    """

    coder: Coder
    origin: str
    regions: int = REGIONS
    side: int = REGION_SIDE
    folder: Path | None = None


def train_on_codec(
    photos: Path,
    output: Path,
    coding: PatchSource,
    *,
    steps: int,
    size: str = "fast",
    loss: str = "mse",
    precision: str = "float32",
    batch: int = 16,
    patch: int = 96,
    rate: float = 1e-3,
    seed: int = 1,
    validation: Mapping[float, Sequence[CodedRegion]] | None = None,
) -> None:
    """Stage "codec": trains RecCNN on coded regions of photos, from the weights in `output` if there are any.

    Args:
      loss: one of `LOSSES`.
      precision: of the features while training, see `reccnn.build`.
      validation: regions by bits per pixel, which choose the weights to keep.
    """
    import keras

    keras.utils.set_random_seed(seed)
    network = reccnn.build(size, precision)
    start = reccnn.weights_file(size, output)
    if start.exists():
        network.load_weights(start)
    regions = code_regions(
        functools.partial(load_photos, photos),
        coding.coder,
        coding.folder or output / "regions",
        count=coding.regions,
        size=coding.side,
        seed=seed,
        origin=coding.origin,
    )
    fit(
        _codec_objective(network, LOSSES[loss]),
        functools.partial(regions.batch, batch, patch),
        output / f"codec-{size}",
        Course(steps, rate),
        seed,
        functools.partial(validation_gains, network, validation) if validation else None,
    )
    network.save_weights(start)


def validation_gains(network: Any, validation: Mapping[float, Sequence[CodedRegion]]) -> dict[str, float]:
    """PSNR that RecCNN adds to coded regions, in dB: the mean at each rate, and over all."""
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def restore(decoded: Any, noise: Any) -> Any:
        return network([decoded, noise], training=False)

    gains = {}
    for rate, regions in validation.items():
        each = []
        for region in regions:
            restored = restore(region.decoded[None] / np.float32(255), region.noise[None])[0].numpy()
            pixels = np.rint(255 * np.clip(restored, 0, 1))
            each.append(_psnr_db(region.photo, pixels) - _psnr_db(region.photo, region.decoded))
        gains[f"gain_db_at_{rate:g}"] = float(np.mean(each))
    return {**gains, VALIDATION: float(np.mean(list(gains.values())))}


def _psnr_db(photo: NDArray[np.uint8], other: NDArray[Any]) -> float:
    error = float(np.mean(np.square(photo - other.astype(np.float32))))
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def _joint_objective(first: Any, second: Any) -> Objective:
    """Photo → ComCNN (where `prefilter` is 1) → stand-in codec → RecCNN, if there is one.

    The loss is the mean log error, so that every rate counts alike, plus the price of the bits.
    """
    from keras import ops

    def measure(batch: dict[str, Any]) -> dict[str, Any]:
        photo, noise, prefilter = batch["photo"], batch["noise"], batch["prefilter"]
        compact = first([photo, noise], training=True)
        sent = photo + prefilter[:, None, None, None] * (compact - photo)
        decoded, bits = wavelet.code(sent, noise)
        flag = ops.ones_like(noise[..., :1]) * prefilter[:, None, None, None]
        restored = decoded
        if second is not None:
            restored = second([decoded, ops.concatenate([noise, flag], -1)], training=True)
        plain_error, plain_bits, slope = _plainly_coded(photo, noise)
        # What the bits cost or save against the plain photo, as a share of its error, at the codec's own rate
        # of exchange.
        price = slope / plain_error * (bits - plain_bits)
        restored_error = mean_square(photo, restored)
        decoded_error = mean_square(photo, decoded)
        loss = ops.log(restored_error) + AUXILIARY * ops.log(decoded_error) + price
        # Both at equal rate: bits saved count as the error they would have removed.
        gain = 10.0 / np.log(10.0) * (ops.log(plain_error) - ops.log(restored_error) - price)
        return {
            "loss": ops.mean(loss),
            "gain_db": ops.sum(gain * (1 - prefilter)) / ops.maximum(ops.sum(1 - prefilter), 1),
            "joint_gain_db": ops.sum(gain * prefilter) / ops.maximum(ops.sum(prefilter), 1),
        }

    return Objective([first] if second is None else [first, second], measure)


def _plainly_coded(photo: Any, noise: Any) -> tuple[Any, Any, Any]:
    """The error and bits of photos as they are, and the error a bit removes, without gradients: (batch,)."""
    from keras import ops

    plain, bits = wavelet.code(photo, noise)
    error = mean_square(photo, plain)
    coarser, coarser_bits = wavelet.code(photo, noise * COARSER)
    slope = (mean_square(photo, coarser) - error) / (bits - coarser_bits + 1e-6)
    return ops.stop_gradient(error), ops.stop_gradient(bits), ops.stop_gradient(slope)


def _codec_objective(network: Any, loss: Loss) -> Objective:
    """Decoded photo and its coding-noise map → RecCNN."""
    from keras import ops

    def measure(batch: dict[str, Any]) -> dict[str, Any]:
        photo, decoded = (ops.cast(batch[name], "float32") / 255.0 for name in ("photo", "decoded"))
        restored = network([decoded, batch["noise"]], training=True)
        return {
            "loss": ops.mean(loss(photo, restored, batch["error"])),
            "gain_db": ops.mean(gain_db(photo, decoded, restored)),
        }

    return Objective([network], measure)


def _logarithmic(photo: Any, restored: Any, error: Any) -> Any:
    """The logarithm of the squared error: every patch counts alike."""
    from keras import ops

    return ops.log(mean_square(photo, restored))


def _relative(photo: Any, restored: Any, error: Any) -> Any:
    """The squared error as a share of the decoded region's: every photo and rate counts alike.

    As in the PSNR of a whole photo, places with larger errors count for more. Regions that were coded nearly
    without loss count for little: nothing can be restored there.
    """
    return mean_square(photo, restored) / (error + _NEGLIGIBLE)


def _mixed(photo: Any, restored: Any, error: Any) -> Any:
    """Half squared error, half 1 - MS-SSIM, each on its logarithm."""
    from keras import ops

    unlike = ops.log(ops.maximum(1.0 - similarity.ms_ssim(photo, restored), 0.0) + 1e-5)
    return 0.5 * _logarithmic(photo, restored, error) + 0.5 * unlike


def _perceptual(photo: Any, restored: Any, error: Any) -> Any:
    """The relative squared error, plus what the patch lacks to 100 points of SSIMULACRA 2."""
    return _relative(photo, restored, error) + perception.lost_points(photo, restored) / _POINTS


LOSSES: dict[str, Loss] = {
    "mse": _logarithmic,
    "relative": _relative,
    "ms-ssim": _mixed,
    "ssimulacra2": _perceptual,
}


def _joint_batches(
    photos: list[NDArray[np.uint8]], batch: int, patch: int, prefiltered: int
) -> Callable[[np.random.Generator], Batch]:
    """Photos and noise maps; the first `prefiltered` of each batch go through ComCNN."""

    def make(rng: np.random.Generator) -> Batch:
        photo = np.stack([random_patch(photos, patch, rng) for _ in range(batch)])
        return {
            "photo": photo.astype(np.float32) / np.float32(255),
            "noise": np.stack([random_noise_map(patch // wavelet.CELL, rng) for _ in range(batch)]),
            "prefilter": (np.arange(batch) < prefiltered).astype(np.float32),
        }

    return make
