"""ComCNN: makes a photo cheaper to code (Nagarsenker et al., "Encoder"; Jiang et al. 2017, section III-A).

    photo (h, w, 3) ──▶ conv ReLU ─▶ conv ReLU ─▶ conv ─▶ x σ ─▶ + ─▶ compact photo
    noise map (h/8, w/8, 4) ─┘            noise map ──────┘    └─ photo

Three convolutions, residual, at full resolution: a pre-filter that removes what would cost bits and RecCNN
can restore. It reads the coding-noise map that the photo is about to get, so it fades out at high rates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import tiling
from foveate.models.tiling import WEIGHTS, Network

SHUFFLE = 2
RECEPTIVE_FIELD = 16  # pixels to each side that can change a pixel, rounded up to whole cells
FEATURES = 32
WEIGHTS_FILE = WEIGHTS / "comcnn.weights.h5"
# Mean normalized steps between which these weights help on average: by 0.01 dB, after restoring with `fast`,
# on 60 training photos at 0.125 to 1 bits per pixel. Coarser files lose (0.03 dB).
_HELPS_FROM, _HELPS_TO = 0.03, 0.15


def build() -> Any:
    """The network as a Keras model: ((h, w, 3) in [0, 1], (h/8, w/8, 4)) -> (h, w, 3); h, w multiples of 8.

    Freshly built, it changes nothing: its last layer starts at zero.
    """
    import keras
    from keras import layers

    from foveate.models.layers import (
        noise_amplitude,
        noise_features,
        normalized_detail,
        sub_pixel_convolution,
    )

    picture = layers.Input((None, None, 3), name="picture")
    noise = layers.Input((None, None, 4), name="noise")
    amplitude = noise_amplitude(noise)
    detail = normalized_detail(picture, amplitude)
    x = layers.Conv2D(FEATURES, 3 * SHUFFLE, SHUFFLE, "same", name="unshuffle")(detail)
    y = layers.Conv2D(FEATURES, 3, padding="same", name="noise_in")(noise_features(noise, SHUFFLE))
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2D(FEATURES, 3, padding="same", activation="relu", name="middle")(x)
    x = sub_pixel_convolution(x, 3, SHUFFLE, name="shuffle")
    compact = layers.Add()([picture, layers.Multiply()([x, amplitude])])
    return keras.Model([picture, noise], compact, name="comcnn")


def helps(noise: NDArray[np.float32]) -> bool:
    """Whether prefiltering is worth it for a photo whose plain file has this coding-noise map, (h, w, 4)."""
    return _HELPS_FROM <= float(noise.mean()) <= _HELPS_TO


def load(weights: Path = WEIGHTS_FILE) -> Network:
    """The network with its shipped (or other) weights, ready for `tiling.run`; raises like `tiling.load`."""
    return tiling.load(build, weights, RECEPTIVE_FIELD)
