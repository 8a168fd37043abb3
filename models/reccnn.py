"""RecCNN: brings a decoded photo back (Nagarsenker et al., "Decoder"; Jiang et al. 2017, section III-B).

    decoded (h, w, 3) ──▶ unshuffle + conv ─▶ 9 x [conv ReLU conv +] ─▶ conv + shuffle ─▶ x σ ─▶ + ─▶ restored
    noise map (h/8, w/8, 4) ─┘                                              noise map ────┘    └─ decoded

Twenty convolutions, residual, in a domain unshuffled by two. Beside the picture it reads the coding-noise map: how
coarsely each place was quantised, from the packet headers of the very file. What it adds is scaled by that map.
"""

from __future__ import annotations

from typing import Any

SHUFFLE = 2
RECEPTIVE_FIELD = 20 * SHUFFLE + 8  # pixels to each side that can change a pixel, rounded up to whole cells
SIZES = {"fast": (32, 9)}  # name: features, residual blocks


def build(size: str = "fast") -> Any:
    """The network as a Keras model: ((h, w, 3) in [0, 1], (h/8, w/8, 4)) -> (h, w, 3); h, w multiples of 8.

    Built anew it changes nothing: its last layer starts at zero.
    """
    import keras
    from keras import layers

    from models.layers import noise_amplitude, noise_features

    features, blocks = SIZES[size]
    picture = layers.Input((None, None, 3), name="picture")
    noise = layers.Input((None, None, 4), name="noise")
    # A convolution of three strides' width is pixel-unshuffle followed by a 3 x 3 convolution.
    x = layers.Conv2D(features, 3 * SHUFFLE, SHUFFLE, "same", name="unshuffle")(picture)
    x = layers.Add()([x, layers.Conv2D(features, 3, padding="same", name="noise_in")(noise_features(noise, SHUFFLE))])
    for i in range(blocks):
        y = layers.Conv2D(features, 3, padding="same", activation="relu", name=f"block{i}_a")(x)
        y = layers.Conv2D(features, 3, padding="same", name=f"block{i}_b")(y)
        x = layers.Add()([x, y])
    x = layers.Conv2DTranspose(
        3, 3 * SHUFFLE, SHUFFLE, "same", name="shuffle", kernel_initializer="zeros", dtype="float32"
    )(x)
    restored = layers.Add(dtype="float32")([picture, layers.Multiply(dtype="float32")([x, noise_amplitude(noise)])])
    return keras.Model([picture, noise], restored, name=f"reccnn_{size}")
