"""RecCNN: restores a decoded photo (Nagarsenker et al., "Decoder"; Jiang et al. 2017, section III-B).

    decoded (h, w, 3) ──▶ unshuffle + conv ─▶ blocks ─┬───────────────────▶ + ─▶ blocks ─▶ conv + shuffle
    noise map (h/8, w/8, 5) ─┘                        └▶ half ─▶ blocks ─▶ up                    │
                                                                                          noise map ─▶ x σ
                                   block: conv ReLU conv +                                       │
                                                                     restored ◀── decoded + ◀────┘

Residual blocks (He et al. 2016) in a domain unshuffled by two, half of them at half its resolution, where
they see twice as far (Ronneberger et al. 2015, "U-Net"). Besides the picture, the network reads the
coding-noise map: how coarsely each place was quantized, according to the file's packet headers. Its output is
scaled by that map. A fifth channel of the map says whether ComCNN prefiltered the photo
(`with_prefiltered_flag`).
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import tiling
from foveate.models.processor import multiplies_bfloat16
from foveate.models.tiling import WEIGHTS, Network, Pixels

SHUFFLE = 2
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a RecCNN.

    features: channels; twice as many at half resolution.
    blocks: before halving, at half resolution, and after.
    receptive_field: pixels to each side that can change a pixel, rounded up to whole cells.
    """

    features: int
    blocks: tuple[int, int, int]
    receptive_field: int


SIZES = {"fast": Size(32, (1, 2, 1), 40), "best": Size(64, (3, 6, 3), 88)}


def build(size: str = "fast", precision: str = "float32") -> Any:
    """The network as a Keras model: ((h, w, 3) in [0, 1], (h/8, w/8, 5)) -> (h, w, 3); h, w multiples of 8.

    Freshly built, it changes nothing: its last layer starts at zero.

    Args:
      size: one of `SIZES`.
      precision: of the features, one of `PRECISIONS`; weights, input and output are float32.
    """
    import keras
    from keras import layers

    from foveate.models.layers import (
        noise_amplitude,
        noise_features,
        proportional_detail,
        sub_pixel_convolution,
    )

    features, blocks = SIZES[size].features, SIZES[size].blocks
    policy = "mixed_bfloat16" if takes_bfloat16(precision) else "float32"
    convolution = functools.partial(layers.Conv2D, padding="same", dtype=policy)
    add = layers.Add(dtype=policy)  # otherwise sums of bfloat16 features would be cast to float32 and back

    def residual_blocks(x: Any, count: int, name: str) -> Any:
        for i in range(count):
            y = convolution(x.shape[-1], 3, activation="relu", name=f"{name}{i}_a")(x)
            y = convolution(x.shape[-1], 3, name=f"{name}{i}_b")(y)
            x = add([x, y])
        return x

    picture = layers.Input((None, None, 3), name="picture")
    noise = layers.Input((None, None, 5), name="noise")
    amplitude = noise_amplitude(noise)
    detail = proportional_detail(picture, amplitude)
    # A convolution three strides wide equals pixel-unshuffle followed by a 3 x 3 convolution.
    x = convolution(features, 3 * SHUFFLE, SHUFFLE, name="unshuffle")(detail)
    x = add([x, convolution(features, 3, name="noise_in")(noise_features(noise, SHUFFLE))])
    x = residual_blocks(x, blocks[0], "before")
    y = convolution(2 * features, 2, 2, name="half")(x)
    y = residual_blocks(y, blocks[1], "coarse")
    y = sub_pixel_convolution(y, features, 2, name="up", kernel=1, start="glorot_uniform", precision=policy)
    x = residual_blocks(add([x, y]), blocks[2], "after")
    x = sub_pixel_convolution(x, 3, SHUFFLE, name="shuffle", precision=policy)
    restored = layers.Add()([picture, layers.Multiply()([x, amplitude])])
    return keras.Model([picture, noise], restored, name=f"reccnn_{size}")


def takes_bfloat16(precision: str) -> bool:
    """Whether features are computed in bfloat16: with "auto", if that is several times as fast.

    Raises:
      ValueError: not one of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16())


def weights_file(size: str, folder: Path = WEIGHTS) -> Path:
    """The weights file of a size, in the shipped folder or another."""
    return folder / f"reccnn_{size}.weights.h5"


def with_prefiltered_flag(noise: NDArray[np.float32], prefiltered: bool) -> NDArray[np.float32]:
    """The coding-noise map (h, w, 4) with a fifth channel that says whether ComCNN prefiltered the photo."""
    flag = np.full((*noise.shape[:-1], 1), float(prefiltered), np.float32)
    return np.concatenate([noise, flag], -1)


def load(size: str = "fast", folder: Path = WEIGHTS, precision: str = "float32") -> Network:
    """The network with its shipped (or other) weights, ready for `tiling.run`; raises like `tiling.load`.

    Features in bfloat16 are two to five times as fast on processors with AVX-512 BF16 or AMX, and change a
    few pixels by one level.
    """
    build_size = functools.partial(build, size, precision)
    return tiling.load(build_size, weights_file(size, folder), SIZES[size].receptive_field, (3, 5))


def restore_pixels(
    network: Network, pixels: Pixels, noise: NDArray[np.float32] | None, prefiltered: bool
) -> Pixels | None:
    """Decoded pixels restored by RecCNN; None without a noise map."""
    if noise is None:
        return None
    return tiling.run(network, pixels, with_prefiltered_flag(noise, prefiltered))


def restore_window(
    network: Network,
    pixels: Pixels,
    noise: NDArray[np.float32],
    window: tuple[slice, slice],
    *,
    prefiltered: bool,
) -> Pixels:
    """A window of decoded pixels restored by RecCNN; `pixels` and `noise` are of the whole photo."""
    return tiling.run_window(network, pixels, with_prefiltered_flag(noise, prefiltered), window)
