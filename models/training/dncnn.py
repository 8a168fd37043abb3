"""Trains DnCNN on JPEGs of random quality (Zhang et al. 2017, section III: one model, qualities 5 to 99)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.models import dncnn
from foveate.models.training.fitting import Batch, Course, Objective, fit, gain_db, mean_square
from foveate.models.training.photos import load_photos, random_patch

# From, up to: in the coarse there is much to mend. Those above 75 are never cleaned, but teach it restraint.
QUALITIES = ((5, 41), (41, 91))
QUALITY_SHARES = (0.55, 0.45)
REGION = 4  # patches a side of what is compressed at once
PATCHES_PER_REGION = 8
# Squared error below which there is little to mend, or flat patches would rule: of the stage with
# normalization, which would else learn nothing for fear of harm, and of the one without, which learns to
# leave fine JPEGs alone.
NEGLIGIBLE = (2e-4, 1e-5)
SETTLING_STEPS = 60  # batches from which normalization learns the statistics of the averaged weights
SECOND_SHARE = 0.5  # of the first stage's steps; of its learning rate, 0.3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def train(
    photos: Path,
    output: Path,
    *,
    steps: int,
    batch: int = 32,
    patch: int = 50,
    rate: float = 1e-3,
    seed: int = 0,
) -> None:
    """Writes `dncnn.weights.h5` to `output`; resumes what it finds there.

    First with batch normalization, then, folded into the convolutions, without.

    Args:
      photos: a folder of photos without JPEG artifacts of their own.
      steps: batches of the first stage; the second has half as many.
      batch: patches in one.
      patch: pixels a side, even.
      rate: highest learning rate.
    """
    import keras

    keras.utils.set_random_seed(seed)
    make = _batches(load_photos(photos), batch, patch)
    normalized = output / "dncnn_normalized.weights.h5"
    if not normalized.exists():
        network = dncnn.build(normalized=True)
        objective = _objective(network, NEGLIGIBLE[0])
        fit(objective, make, output / "dncnn-normalized", Course(steps, rate), seed)
        for step in range(SETTLING_STEPS):
            network(make(np.random.default_rng([seed, step]))["decoded"], training=True)
        dncnn.folded(network).save_weights(normalized)
    network = dncnn.build()
    network.load_weights(normalized)
    course = Course(max(1, round(SECOND_SHARE * steps)), 0.3 * rate)
    fit(_objective(network, NEGLIGIBLE[1]), make, output / "dncnn", course, seed + 1)
    network.save_weights(output / "dncnn.weights.h5")


def jpeg_of(photo: NDArray[np.uint8], quality: int, subsampling: int) -> NDArray[np.uint8]:
    """A photo (h, w, 3) through JPEG; `subsampling` of color as Pillow counts: 0 none, 1 across, 2 both."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file).convert("RGB"))


def _batches(
    photos: list[NDArray[np.uint8]], batch: int, patch: int
) -> Callable[[np.random.Generator], Batch]:
    def make(rng: np.random.Generator) -> Batch:
        pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        while len(pairs) < batch:
            region = random_patch(photos, REGION * patch, rng)
            low, high = QUALITIES[rng.choice(len(QUALITIES), p=QUALITY_SHARES)]
            decoded = jpeg_of(region, int(rng.integers(low, high)), int(rng.choice([0, 2])))
            for _ in range(min(PATCHES_PER_REGION, batch - len(pairs))):
                y, x = rng.integers((REGION - 1) * patch + 1, size=2)
                window = np.s_[y : y + patch, x : x + patch]
                pairs.append((_luminance(region[window]), _luminance(decoded[window])))
        return {
            "photo": np.stack([photo for photo, _ in pairs]),
            "decoded": np.stack([decoded for _, decoded in pairs]),
        }

    return make


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) to (h, w, 1) in [0, 1]."""
    plane: NDArray[np.float32] = (pixels.astype(np.float32) @ _LUMA / np.float32(255))[..., None]
    return plane


def _objective(network: Any, negligible: float) -> Objective:
    """Decoded JPEG → DnCNN; the loss is the mean log error, so that fine patches count as well."""
    from keras import ops

    def measure(batch: dict[str, Any]) -> dict[str, Any]:
        photo, decoded = batch["photo"], batch["decoded"]
        cleaned = network(decoded, training=True)
        return {
            "loss": ops.mean(ops.log(mean_square(photo, cleaned) + negligible)),
            "gain_db": ops.mean(gain_db(photo, decoded, cleaned)),
        }

    return Objective([network], measure)
