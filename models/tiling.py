"""Runs a network over photos of any size and kind: tiles with a halo, so that memory stays bounded.

A tile overlaps its neighbours by the network's receptive field, so the result equals that of the whole photo
at once to rounding.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quiet import quiet_import
from models.wavelet import CELL

WEIGHTS = Path(__file__).parent / "weights"
TILE = 1024  # pixels a side, without the halo; a multiple of CELL

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclasses.dataclass(frozen=True)
class Network:
    """A loaded network: pictures (1, h, w, 3), noise maps (1, h/8, w/8, c) in, pictures out, all float32."""

    predict: Callable[[NDArray[np.float32], NDArray[np.float32]], Any]
    receptive_field: int  # pixels to each side, a multiple of CELL
    sha256: str  # of the weights file


def load(build: Callable[[], Any], weights: Path, receptive_field: int, channels: int = 4) -> Network:
    """Builds a network and loads its weights, ready to serve.

    Raises FileNotFoundError for missing weights, ValueError for weights of another network.
    """
    with quiet_import():
        import keras  # noqa: F401  (its backend is what prints)
        import tensorflow as tf

    digest = weights_sha256(weights)
    model = build()
    model.load_weights(weights)
    signature = [tf.TensorSpec((1, None, None, depth), tf.float32) for depth in (3, channels)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator, unused-ignore]  # TensorFlow is untyped
    def predict(picture: Any, noise: Any) -> Any:
        return model([picture, noise], training=False)

    return Network(predict, receptive_field, digest)


def weights_sha256(path: Path) -> str:
    """The SHA-256 of a weights file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(network: Network, pixels: Pixels, noise: NDArray[np.float32], tile: int = TILE) -> Pixels:
    """What the network makes of a photo.

    Args:
      network: from `load`.
      pixels: (H, W, C) uint8 or uint16, C in 1..4; alpha passes through, gray stays gray.
      noise: the network's noise map, (ceil(H/8), ceil(W/8), c) float32.
      tile: side of the tiles, a multiple of 8.

    Returns:
      Pixels like `pixels`, rounded and clipped to the range of their type.
    """
    height, width, channels = pixels.shape
    colors = 3 if channels >= 3 else 1
    result = pixels.copy()
    peak = float(np.iinfo(pixels.dtype).max)
    halo = network.receptive_field
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y0, x0, y1, x1 = max(0, top - halo), max(0, left - halo), bottom + halo, right + halo
            picture = _whole_cells(pixels[y0:y1, x0:x1, :colors].astype(np.float32) / peak)
            cells = noise[y0 // CELL : y0 // CELL + picture.shape[0] // CELL,
                          x0 // CELL : x0 // CELL + picture.shape[1] // CELL]  # fmt: skip
            colored = np.broadcast_to(picture, (*picture.shape[:2], 3))
            out = np.asarray(network.predict(colored[None], cells[None]))[0]
            out = out[top - y0 : bottom - y0, left - x0 : right - x0]
            if colors == 1:
                out = out.mean(-1, keepdims=True)
            samples = np.clip(np.rint(out * peak), 0, peak).astype(pixels.dtype)
            result[top:bottom, left:right, :colors] = samples
    return result


def _whole_cells(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture continued to whole cells, at its lower and right edge."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, -height % CELL), (0, -width % CELL), (0, 0)), "edge")
