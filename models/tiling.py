"""Runs a network over photos of any size, in tiles with a halo to bound memory.

A tile overlaps its neighbors by the network's receptive field, so that the result equals that of the whole
photo, up to rounding.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.quiet import quiet_import
from foveate.models.wavelet import CELL

WEIGHTS = Path(__file__).parent / "weights"
TILE = 1024  # pixels a side, without the halo; a multiple of CELL

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class BadWeights(ValueError):  # noqa: N818
    """A file that does not contain weights for the network being loaded."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A loaded network: float32 arrays (1, h, w, c) in, one (1, h, w, c) out."""

    predict: Callable[..., Any]
    receptive_field: int  # pixels to each side that can change a pixel, a multiple of CELL
    sha256: str  # of the weights file


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of a photo: what to read (with the halo), what to write, and where that lies in the former."""

    source: tuple[slice, slice]
    target: tuple[slice, slice]
    core: tuple[slice, slice]


def load(
    build: Callable[[], Any], weights: Path, receptive_field: int, inputs: tuple[int, ...] = (3, 4)
) -> Network:
    """Builds a network and loads its weights, ready to serve.

    Args:
      build: returns the Keras model.
      weights: the file.
      receptive_field: see `Network`.
      inputs: channels of each of the model's inputs.

    Raises FileNotFoundError for missing weights, BadWeights for those of another network.
    """
    with quiet_import():
        import keras  # noqa: F401  (its backend is what prints)
        import tensorflow as tf

    digest = weights_sha256(weights)
    model = build()
    try:
        model.load_weights(weights)
    except (ValueError, OSError) as error:
        raise BadWeights(f"{weights} does not hold this network's weights: {error}") from error
    signature = [tf.TensorSpec((1, None, None, depth), tf.float32) for depth in inputs]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator, unused-ignore]  # TensorFlow is untyped
    def predict(*arrays: Any) -> Any:
        return model(list(arrays) if len(arrays) > 1 else arrays[0], training=False)

    return Network(predict, receptive_field, digest)


def weights_sha256(path: Path) -> str:
    """The SHA-256 of a weights file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(network: Network, pixels: Pixels, noise: NDArray[np.float32], tile: int = TILE) -> Pixels:
    """The network's result for a photo.

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
    for part in tiles(height, width, tile, network.receptive_field):
        picture = _whole_cells(pixels[part.source][..., :colors].astype(np.float32) / peak)
        top, left = (along.start // CELL for along in part.source)
        cells = noise[top : top + picture.shape[0] // CELL, left : left + picture.shape[1] // CELL]
        colored = np.broadcast_to(picture, (*picture.shape[:2], 3))
        out = np.asarray(network.predict(colored[None], cells[None]))[0][part.core]
        if colors == 1:
            out = out.mean(-1, keepdims=True)
        samples = np.clip(np.rint(out * peak), 0, peak).astype(pixels.dtype)
        result[(*part.target, slice(colors))] = samples
    return result


def run_window(
    network: Network, pixels: Pixels, noise: NDArray[np.float32], window: tuple[slice, slice]
) -> Pixels:
    """The network's result for a part of a photo: as by `run`, up to rounding.

    Args:
      network: from `load`.
      pixels, noise: of the whole photo, as for `run`.
      window: rows and columns, with a start and a stop inside of the photo.
    """
    halo = network.receptive_field
    starts = [max(0, (along.start - halo) // CELL * CELL) for along in window]
    seen = tuple(slice(start, along.stop + halo) for start, along in zip(starts, window, strict=True))
    cells = tuple(slice(along.start // CELL, -(-along.stop // CELL)) for along in seen)
    result = run(network, pixels[seen], noise[cells])
    rows, columns = (
        slice(along.start - start, along.stop - start) for along, start in zip(window, starts, strict=True)
    )
    return result[rows, columns]


def tiles(height: int, width: int, tile: int, halo: int) -> Iterator[Tile]:
    """Cuts a photo into tiles of at most `tile` pixels a side that overlap by `halo` pixels, row by row."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y0, x0 = max(0, top - halo), max(0, left - halo)
            y1, x1 = min(bottom + halo, height), min(right + halo, width)
            yield Tile(
                source=(slice(y0, y1), slice(x0, x1)),
                target=(slice(top, bottom), slice(left, right)),
                core=(slice(top - y0, bottom - y0), slice(left - x0, right - x0)),
            )


def _whole_cells(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture extended to whole cells at its lower and right edges."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, -height % CELL), (0, -width % CELL), (0, 0)), "edge")
