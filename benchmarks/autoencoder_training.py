"""Trains the autoencoder of the benchmark: `python -m benchmarks.autoencoder_training PHOTOS --output DIR`.

The loss is bits per pixel plus squared error, weighed differently for each rate; latents are rounded, with
the gradient of the identity, on the way to the pixels (Theis et al. 2017), and get uniform noise instead
where their bits are estimated (Ballé et al. 2017). Run the same command again to resume.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import autoencoder
from benchmarks.autoencoder import Autoencoder
from benchmarks.photos import Photo
from foveate.models.training.fitting import VALIDATION, Batch, Course, Objective, fit
from foveate.models.training.photos import load_photos, random_patch
from foveate.quality.psnr import mse, psnr

PRICES = (0.0025, 0.008, 0.025)  # of a squared error of one gray level in bits per pixel, by rate
_PATCH = 128
_CROP = 192  # of the photos, kept in memory; patches are parts of these
_CROPS = 5_000
_BATCH = 9
_WATCHED = 384  # pixels a side, of the middles of the photos that choose the weights


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, and writes the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.autoencoder_training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, help="a folder of training photos")
    parser.add_argument(
        "--watch", type=Path, required=True, help="a folder of photos that choose the weights"
    )
    parser.add_argument("--output", type=Path, required=True, help="a folder for checkpoints and weights")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--precision", default="auto", help="of features: auto, float32 or bfloat16")
    args = parser.parse_args(argv)
    train(args.photos, args.watch, args.output, Course(args.steps, args.rate), args.precision)


def train(photos: Path, watch: Path, output: Path, course: Course, precision: str) -> None:
    """Trains on a folder of photos, and writes weights to `output`."""
    import keras

    keras.utils.set_random_seed(1)
    network = autoencoder.build(precision)
    watched = [_middle(photo) for photo in load_photos(watch)]
    rng = np.random.default_rng(1)
    pictures = load_photos(photos)
    crops = np.stack([random_patch(pictures, _CROP, rng) for _ in range(_CROPS)])
    del pictures
    objective = Objective([network.analysis, network.synthesis, network.prior], _measure(network))
    fit(objective, _batches(crops), output, course, 1, lambda: _watch(network, watched))
    autoencoder.save(network, output / autoencoder.WEIGHTS.name)


def _middle(photo: Photo) -> Photo:
    side = min(_WATCHED, *photo.shape[:2]) // autoencoder.STRIDE * autoencoder.STRIDE
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return photo[top : top + side, left : left + side]


def _batches(crops: NDArray[np.uint8]) -> Callable[[np.random.Generator], Batch]:
    """Patches of crops, mirrored at random, each with a rate."""

    def make(rng: np.random.Generator) -> Batch:
        patches = []
        for crop in crops[rng.integers(len(crops), size=_BATCH)]:
            top, left = rng.integers(_CROP - _PATCH + 1, size=2)
            patch = crop[top : top + _PATCH, left : left + _PATCH]
            patches.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
        rates = np.arange(_BATCH, dtype=np.int32) % autoencoder.RATES
        noise = rng.random((_BATCH, *[_PATCH // autoencoder.STRIDE] * 2, autoencoder.LATENTS), np.float32)
        return {"photo": np.stack(patches), "rates": rates, "noise": noise - np.float32(0.5)}

    return make


def _measure(network: Autoencoder) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The mean cost of a batch, and its parts."""
    from keras import ops

    def measure(batch: dict[str, Any]) -> dict[str, Any]:
        photo, rates = ops.cast(batch["photo"], "float32") / 255.0, batch["rates"]
        latents = network.prior.scaled(network.analysis(photo, training=True), rates)
        bpp = network.prior.bits(latents + batch["noise"], rates) / _PATCH**2
        rounded = latents + ops.stop_gradient(ops.round(latents) - latents)
        restored = network.synthesis(network.prior.unscaled(rounded, rates), training=True)
        error = 255.0**2 * ops.mean(ops.square(photo - restored), (1, 2, 3))
        cost = bpp + ops.take(ops.convert_to_tensor(PRICES, "float32"), rates) * error
        return {"loss": ops.mean(cost), "bpp": ops.mean(bpp), "error": ops.mean(error)}

    return measure


def _watch(network: Autoencoder, photos: Sequence[Photo]) -> dict[str, float]:
    """Mean bits per pixel and PSNR at each rate, from real bytes; the higher the less photos cost."""
    figures: dict[str, float] = {}
    cost = 0.0
    for rate, price in enumerate(PRICES):
        bits: list[float] = []
        psnrs: list[float] = []
        for photo in photos:
            data = autoencoder.encode(network, photo, rate)
            decoded = autoencoder.decode(network, data)
            bits.append(8 * len(data) / photo[..., 0].size)
            psnrs.append(psnr(photo, decoded))
            cost += (bits[-1] + price * mse(photo, decoded)) / len(photos)
        figures |= {f"bpp_{rate}": float(np.mean(bits)), f"psnr_{rate}": float(np.mean(psnrs))}
    return {**figures, VALIDATION: -cost}


if __name__ == "__main__":
    main()
