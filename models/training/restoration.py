"""Trains ComCNN and RecCNN: first together through the wavelet stand-in, then RecCNN on real code streams.

Stage "joint" (Nagarsenker et al.; Jiang et al. 2017): photo → ComCNN → stand-in → RecCNN, one loss for both.
Most patches bypass ComCNN, so that RecCNN learns plain files too. Stage "codec": RecCNN alone, on what a real
encoder made at random rates; the caller supplies it, since networks know nothing of codecs here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import comcnn, reccnn, wavelet
from foveate.models.training import similarity
from foveate.models.training.fitting import dataset, fit, mean_square, track
from foveate.models.training.photos import load_photos, random_patch
from foveate.models.training.regions import CodedRegion, Coder, code_regions

COARSEST, FINEST = 0.6, 0.012  # normalised quantisation steps, as a share of the peak value
AUXILIARY = 0.25  # weight of the plain decode's own error: an archive must look right without RecCNN

REGION = 4  # patches a side of what is coded at once
REGIONS = 4_000  # that are coded before RecCNN's training begins, 0.9 MB each at patches of 96

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
    model = _joint_model(comcnn.build(), reccnn.build("fast"))
    data = _joint_batches(load_photos(photos), batch, patch, seed, prepared=3 * batch // 8)
    fit(model, data, output / "joint", steps, rate)
    model.comcnn.save_weights(output / comcnn.WEIGHTS_FILE.name)
    model.reccnn.save_weights(reccnn.weights_file("fast", output))


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
    model = _joint_model(comcnn.build(), None)
    data = _joint_batches(load_photos(photos), batch, patch, seed, prepared=batch)
    fit(model, data, output / "comcnn-alone", steps, rate)
    model.comcnn.save_weights(output / "comcnn_alone.weights.h5")


def train_on_codec(
    photos: Path,
    output: Path,
    coder: Coder,
    *,
    steps: int,
    size: str = "fast",
    loss: str = "mse",
    precision: str = "float32",
    batch: int = 16,
    patch: int = 96,
    rate: float = 1e-3,
    regions: int = REGIONS,
    seed: int = 1,
) -> None:
    """Stage "codec": trains RecCNN on what `coder` makes of regions of photos, from the weights in `output`.

    A size that has no weights there yet grows out of "fast" (see `grow`).

    Args:
      loss: one of `LOSSES`.
      precision: of the convolutions while training, see `reccnn.build`.
      regions: how many parts of photos, of four by four patches each, are coded to take patches from.
    """
    import keras

    keras.utils.set_random_seed(seed)
    network = reccnn.build(size, precision)
    start = reccnn.weights_file(size, output)
    if start.exists():
        network.load_weights(start)
    else:
        smaller = reccnn.build("fast")
        smaller.load_weights(reccnn.weights_file("fast", output))
        grow(smaller, network, np.random.default_rng(seed))
    model = _restoring_model(network, LOSSES[loss])
    coded = code_regions(load_photos(photos), coder, regions, REGION * patch, seed)
    data = _coded_batches(coded, batch, patch, seed)
    fit(model, data, output / f"codec-{size}", steps, rate)
    network.save_weights(reccnn.weights_file(size, output))


def grow(smaller: Any, larger: Any, rng: np.random.Generator) -> None:
    """Makes a new wider and deeper network compute what a trained one does (after Chen et al. 2016, Net2Net).

    New features start at random and feed no old one; new blocks start by adding nothing. So training goes on
    from where the smaller network is, and the new weights get gradients at once.
    """
    old = {layer.name: layer.get_weights() for layer in smaller.layers if layer.get_weights()}
    for layer in larger.layers:
        if not layer.get_weights():
            continue
        kernel, bias = layer.get_weights()
        if layer.name in old:
            old_kernel, old_bias = old[layer.name]
            layer.set_weights(_widened(kernel, bias, old_kernel, old_bias, rng))
        elif layer.name.endswith("_b"):
            layer.set_weights([np.zeros_like(kernel), bias])


def _widened(
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    old_kernel: NDArray[np.float32],
    old_bias: NDArray[np.float32],
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:
    inputs, outputs = old_kernel.shape[2:]
    deviation = (1.0 / np.prod(kernel.shape[:3])) ** 0.5
    kernel = rng.normal(0, deviation, kernel.shape).astype(np.float32)
    kernel[:, :, :, :outputs] = 0
    kernel[:, :, :inputs, :outputs] = old_kernel
    bias = np.concatenate([old_bias, np.zeros(len(bias) - outputs, np.float32)])
    return [kernel, bias]


def _joint_model(first: Any, second: Any) -> Any:
    import keras
    from keras import ops

    class Joint(keras.Model):  # type: ignore[misc]  # Keras is untyped
        """Photo → ComCNN (where `prefilter` is 1) → stand-in codec → RecCNN, if there is one."""

        def __init__(self) -> None:
            super().__init__()
            self.comcnn, self.reccnn = first, second
            self.gain_db = keras.metrics.Mean("gain_db")
            self.joint_gain_db = keras.metrics.Mean("joint_gain_db")

        def call(self, inputs: Any, training: bool = False) -> Any:
            photo, noise, prefilter = inputs["photo"], inputs["noise"], inputs["prefilter"]
            compact = self.comcnn([photo, noise], training=training)
            sent = photo + prefilter[:, None, None, None] * (compact - photo)
            decoded, bits = wavelet.code(sent, noise)
            flag = ops.ones_like(noise[..., :1]) * prefilter[:, None, None, None]
            restored = decoded
            if self.reccnn is not None:
                restored = self.reccnn([decoded, ops.concatenate([noise, flag], -1)], training=training)
            plain, plain_bits = wavelet.code(photo, noise)
            plain_error = mean_square(photo, plain)
            coarser, coarser_bits = wavelet.code(photo, noise * COARSER)
            slope = (mean_square(photo, coarser) - plain_error) / (plain_bits - coarser_bits + 1e-6)
            return {
                "decoded": decoded,
                "restored": restored,
                "plain_error": ops.stop_gradient(plain_error),
                # What the bits cost or save against the plain photo, as a share of its error, at the
                # codec's own rate of exchange.
                "price": ops.stop_gradient(slope / plain_error) * (bits - ops.stop_gradient(plain_bits)),
            }

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
            """Mean log error (every rate counts alike) plus the price of the bits."""
            restored = mean_square(x["photo"], y_pred["restored"])
            decoded = mean_square(x["photo"], y_pred["decoded"])
            return ops.mean(ops.log(restored) + AUXILIARY * ops.log(decoded) + y_pred["price"])

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            # Both at equal rate: bits saved count as the error they would have removed.
            restored = mean_square(x["photo"], y_pred["restored"])
            gain = ops.log(y_pred["plain_error"]) - ops.log(restored) - y_pred["price"]
            gain = gain * 10.0 / np.log(10.0)
            self.gain_db.update_state(gain, 1.0 - x["prefilter"])
            self.joint_gain_db.update_state(gain, x["prefilter"])
            results: dict[str, Any] = self.get_metrics_result()
            return results

    return Joint()


def _squared(photo: Any, restored: Any) -> Any:
    """Mean logarithm of the squared error: every rate counts alike."""
    from keras import ops

    return ops.mean(ops.log(mean_square(photo, restored)))


def _mixed(photo: Any, restored: Any) -> Any:
    """Half squared error, half 1 - MS-SSIM, each on its logarithm."""
    from keras import ops

    unlike = ops.log(1.0 - similarity.ms_ssim(photo, restored) + 1e-5)
    return 0.5 * _squared(photo, restored) + 0.5 * ops.mean(unlike)


LOSSES = {"mse": _squared, "ms-ssim": _mixed}


def _restoring_model(network: Any, loss: Callable[[Any, Any], Any]) -> Any:
    import keras

    class Restoring(keras.Model):  # type: ignore[misc]  # Keras is untyped
        """Decoded photo and its coding-noise map → RecCNN."""

        def __init__(self) -> None:
            super().__init__()
            self.reccnn = network
            self.gain_db = keras.metrics.Mean("gain_db")

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.reccnn([inputs["decoded"], inputs["noise"]], training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
            return loss(x["photo"], y_pred)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            track(self.gain_db, x["photo"], x["decoded"], y_pred)
            results: dict[str, Any] = self.get_metrics_result()
            return results

    return Restoring()


def _joint_batches(photos: list[NDArray[np.uint8]], batch: int, patch: int, seed: int, prepared: int) -> Any:
    """Photos and noise maps; the first `prepared` of each batch go through ComCNN."""

    def make(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        photo = np.stack([random_patch(photos, patch, rng) for _ in range(batch)])
        return {
            "photo": photo.astype(np.float32) / np.float32(255),
            "noise": np.stack([random_noise_map(patch // wavelet.CELL, rng) for _ in range(batch)]),
            "prefilter": (np.arange(batch) < prepared).astype(np.float32),
        }

    return dataset(make, seed)


def _coded_batches(regions: list[CodedRegion], batch: int, patch: int, seed: int) -> Any:
    """Batches of patches out of coded regions: an encoder shares bits out over photos, not patches."""
    cells = patch // wavelet.CELL

    def make(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        photo, decoded, noise = [], [], []
        for _ in range(batch):
            region = regions[rng.integers(len(regions))]
            y, x = rng.integers(region.photo.shape[0] // wavelet.CELL - cells + 1, size=2)
            window = np.s_[y * wavelet.CELL :, x * wavelet.CELL :]
            photo.append(region.photo[window][:patch, :patch])
            decoded.append(region.decoded[window][:patch, :patch])
            noise.append(region.noise[y : y + cells, x : x + cells])
        return {
            "photo": np.stack(photo).astype(np.float32) / np.float32(255),
            "decoded": np.stack(decoded).astype(np.float32) / np.float32(255),
            "noise": np.stack(noise),
        }

    return dataset(make, seed)
