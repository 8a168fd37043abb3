"""Trains DnCNN on JPEGs of random quality (Zhang et al. 2017, section III: one model, qualities 5 to 99)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.models import dncnn
from foveate.models.training.fitting import dataset, fit, mean_square, track
from foveate.models.training.photos import load_photos, random_patch

# From, up to: in the coarse there is much to mend. Those above 75 are never cleaned, but teach it restraint.
QUALITIES = ((5, 41), (41, 91))
QUALITY_SHARES = (0.55, 0.45)
REGION = 4  # patches a side of what is compressed at once
PATCHES_PER_REGION = 8
# Squared error below which there is little to mend, or flat patches would rule: of the stage with
# normalisation, which would else learn nothing for fear of harm, and of the one without, which learns to
# leave fine JPEGs alone.
NEGLIGIBLE = (2e-4, 1e-5)
SETTLING_STEPS = 60  # batches from which normalisation learns the statistics of the averaged weights
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

    First with batch normalisation, then, folded into the convolutions, without.

    Args:
      photos: a folder of photos without JPEG artefacts of their own.
      steps: batches of the first stage; the second has half as many.
      batch: patches in one.
      patch: pixels a side, even.
      rate: highest learning rate.
    """
    import keras

    keras.utils.set_random_seed(seed)
    loaded = load_photos(photos)
    normalized = output / "dncnn_normalized.weights.h5"
    if not normalized.exists():
        model = _cleaning_model(dncnn.build(normalized=True), NEGLIGIBLE[0])
        data = _batches(loaded, batch, patch, seed)
        fit(model, data, output / "dncnn-normalized", steps, rate)
        for step in range(SETTLING_STEPS):
            model(data[step][0], training=True)
        dncnn.folded(model.dncnn).save_weights(normalized)
    network = dncnn.build()
    network.load_weights(normalized)
    model = _cleaning_model(network, NEGLIGIBLE[1])
    data = _batches(loaded, batch, patch, seed + 1)
    fit(model, data, output / "dncnn", max(1, round(SECOND_SHARE * steps)), 0.3 * rate)
    network.save_weights(output / "dncnn.weights.h5")


def jpeg_of(photo: NDArray[np.uint8], quality: int, subsampling: int) -> NDArray[np.uint8]:
    """A photo (h, w, 3) through JPEG; `subsampling` of colour as Pillow counts: 0 none, 1 across, 2 both."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file).convert("RGB"))


def _batches(photos: list[NDArray[np.uint8]], batch: int, patch: int, seed: int) -> Any:
    def make(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
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

    return dataset(make, seed)


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) to (h, w, 1) in [0, 1]."""
    plane: NDArray[np.float32] = (pixels.astype(np.float32) @ _LUMA / np.float32(255))[..., None]
    return plane


def _cleaning_model(network: Any, negligible: float) -> Any:
    import keras
    from keras import ops

    class Cleaning(keras.Model):  # type: ignore[misc]  # Keras is untyped
        """Decoded JPEG → DnCNN."""

        def __init__(self) -> None:
            super().__init__()
            self.dncnn = network
            self.gain_db = keras.metrics.Mean("gain_db")

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.dncnn(inputs["decoded"], training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
            """Mean logarithm of the squared error: what is coarse does not drown what is finer."""
            return ops.mean(ops.log(mean_square(x["photo"], y_pred) + negligible))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            track(self.gain_db, x["photo"], x["decoded"], y_pred)
            results: dict[str, Any] = self.get_metrics_result()
            return results

    return Cleaning()
