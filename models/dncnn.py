"""DnCNN: removes artifacts from JPEG photos (Zhang et al. 2017, "Beyond a Gaussian Denoiser").

    luminance ─▶ detail ─▶ unshuffle + conv ─▶ 8 x [conv BN ReLU conv BN +] ─▶ conv + shuffle ─▶ + ─▶ cleaned
        └───────────────────────────────────────────────────────────────────────────────────────┘

Eighteen convolutions, residual, on luminance alone; blind: one set of weights for all JPEG qualities. Unlike
the paper's it works in a domain unshuffled by two, at a quarter of the cost, has a shortcut around every two
convolutions, and sees contrast to the surroundings on the scale of artifacts instead of the luminance itself,
so that it learns in thousands of steps. Batch normalization is used in training only: in served weights it is
folded into the convolutions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import tiling
from foveate.models.tiling import WEIGHTS, Network, Pixels

SHUFFLE = 2
FEATURES, BLOCKS = 48, 8
ARTIFACT = 0.02  # about the size of a JPEG's errors, as a share of the peak value
RECEPTIVE_FIELD = 48  # pixels to each side that can change a pixel, rounded up
WEIGHTS_FILE = WEIGHTS / "dncnn.weights.h5"
_EPSILON = 1e-3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def build(normalized: bool = False) -> Any:
    """The network as a Keras model: luminance (h, w, 1) in [0, 1] -> the same, cleaned; h, w even.

    Freshly built, it changes nothing: its last layer starts at zero.

    Args:
      normalized: with batch normalization, for training; without, for serving the result of `folded`.
    """
    import keras
    from keras import layers

    from foveate.models.layers import normalized_detail, sub_pixel_convolution

    def normalization(scale: str, name: str) -> Any:
        return layers.BatchNormalization(momentum=0.9, epsilon=_EPSILON, gamma_initializer=scale, name=name)

    luminance = layers.Input((None, None, 1), name="luminance")
    detail = normalized_detail(luminance, ARTIFACT)
    x = layers.Conv2D(FEATURES, 3 * SHUFFLE, SHUFFLE, "same", name="unshuffle")(detail)
    for i in range(BLOCKS):
        y = layers.Conv2D(FEATURES, 3, padding="same", use_bias=not normalized, name=f"block{i}_a")(x)
        if normalized:
            y = normalization("ones", name=f"norm{i}_a")(y)
        y = layers.ReLU()(y)
        y = layers.Conv2D(FEATURES, 3, padding="same", use_bias=not normalized, name=f"block{i}_b")(y)
        if normalized:  # a block adds nothing at first
            y = normalization("zeros", name=f"norm{i}_b")(y)
        x = layers.Add()([x, y])
    x = sub_pixel_convolution(x, 1, SHUFFLE, name="shuffle")
    residual = layers.Rescaling(ARTIFACT)(x)
    return keras.Model(luminance, layers.Add()([luminance, residual]), name="dncnn")


def folded(trained: Any) -> Any:
    """A network without batch normalization that computes the same as a trained one with it."""
    network = build()
    for layer in network.layers:
        if not layer.get_weights():
            continue
        weights = trained.get_layer(layer.name).get_weights()
        if layer.name.startswith("block"):
            norm = trained.get_layer(layer.name.replace("block", "norm"))
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + _EPSILON)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
    return network


def load(weights: Path = WEIGHTS_FILE) -> Network:
    """The network with its shipped (or other) weights, ready for `clean`; raises like `tiling.load`."""
    return tiling.load(build, weights, RECEPTIVE_FIELD, inputs=(1,))


def clean(network: Network, pixels: Pixels, tile: int = tiling.TILE) -> Pixels:
    """A decoded JPEG without its artifacts of luminance; color differences stay as they are.

    Args:
      network: from `load`.
      pixels: (H, W, C) uint8 or uint16, C in 1..4; alpha passes through.
      tile: side of the tiles, a multiple of 8.

    Returns:
      Pixels like `pixels`, rounded and clipped to the range of their type.
    """
    height, width, channels = pixels.shape
    colors = 3 if channels >= 3 else 1
    peak = float(np.iinfo(pixels.dtype).max)
    result = pixels.copy()
    for part in tiling.tiles(height, width, tile, network.receptive_field):
        colored = pixels[part.source][..., :colors].astype(np.float32)
        luminance = (colored @ _LUMA if colors == 3 else colored[..., 0]) / peak
        change = _change(network, luminance)[part.core]
        samples = np.rint(pixels[part.target][..., :colors] + change[..., None] * peak)
        result[(*part.target, slice(colors))] = np.clip(samples, 0, peak).astype(pixels.dtype)
    return result


def _change(network: Network, luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = luminance.shape
    whole = np.pad(luminance, ((0, height % SHUFFLE), (0, width % SHUFFLE)), "edge")
    cleaned = np.asarray(network.predict(whole[None, ..., None]))[0, ..., 0]
    change: NDArray[np.float32] = (cleaned - whole)[:height, :width]
    return change
