"""From pixels to region-weighted JPEG 2000 codestreams: one encode, then the choice among its packets."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, openjpeg, weights
from foveate.codec.allocation import Candidates
from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.weights import Pixels, Tune

_LARGEST_TILE = 4096  # pixels of a side; OpenJPEG needs some 35 bytes of memory a pixel of a tile
_MOST_IN_ONE_TILE = 2 * _LARGEST_TILE**2
_TILE_UNIT = 64  # pixels


@dataclasses.dataclass(frozen=True, eq=False)
class Emphasis:
    """What errors count for.

    saliency: (h, w) float32 in [0, 1], stretched over the photo, or None.
    gain_db: how many decibels of squared error a salience of 1 is worth over one of 0.
    tune: "psnr" for squared error as it is, "ssim" for what it takes from MS-SSIM.
    """

    saliency: NDArray[np.float32] | None = None
    gain_db: float = 0.0
    tune: Tune = "psnr"

    @property
    def by_place(self) -> bool:
        """Whether saliency has a say."""
        return self.saliency is not None and self.gain_db > 0


def layered(pixels: Pixels, emphasis: Emphasis, *, reversible: bool = False) -> Candidates:
    """Encodes a photo once with many layers, and ranks everything in them by weighted slope.

    Photos of more than 33 megapixels are coded in tiles of up to 4096 x 4096, so that memory
    stays near that of one; the ranking is over all of them.

    Args:
      pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
      emphasis: what errors count for.
      reversible: 5/3 wavelet, so that all candidates together are lossless, instead of 9/7.

    Raises:
      openjpeg.OpenjpegError: the library failed.
    """
    height, width, _ = pixels.shape
    block_size = weights.block_size(
        height, width, emphasis.saliency if emphasis.by_place else None, emphasis.gain_db
    )
    psnrs = layer_psnrs(pixels)
    codestream = openjpeg.encode(
        pixels,
        layer_psnrs_db=psnrs,
        block_size=block_size,
        reversible=reversible,
        tile_size=tile_side(height, width),
    )
    stream, geometry, parts = allocation.parse_layers(codestream)
    of_blocks = block_weights(stream, geometry, pixels, emphasis)
    slopes = allocation.layer_slopes(geometry, parts, psnrs)
    return allocation.rank(stream, geometry, parts, slopes, of_blocks)


def block_weights(
    stream: Codestream, geometry: Layout, pixels: Pixels, emphasis: Emphasis
) -> NDArray[np.float64]:
    """What a squared error counts for in each code-block of a photo's codestream: (blocks,), positive."""
    of_blocks = np.ones(len(geometry.blocks.tile))
    if emphasis.tune == "ssim":
        of_blocks *= weights.ssim_weights(stream, geometry, pixels)
    if emphasis.by_place and emphasis.saliency is not None:
        of_blocks *= weights.saliency_weights(stream, geometry, emphasis.saliency, emphasis.gain_db)
    return of_blocks


def layer_psnrs(pixels: Pixels) -> tuple[float, ...]:
    """The quality layers to encode: few for tiny photos, whose empty packets outgrow OpenJPEG's buffer."""
    psnrs = allocation.layer_psnrs(8 * pixels.dtype.itemsize)
    height, width, channels = pixels.shape
    packets_per_layer = channels * min(6, min(height, width).bit_length())
    most = max(1, pixels.nbytes // (8 * packets_per_layer))
    return psnrs[:: -math.ceil(len(psnrs) / most)][::-1]


def tile_side(height: int, width: int) -> int | None:
    """The side of square tiles for a photo; None for a single tile.

    The largest side that leaves no tile with less than half of it, else the one whose least tile is largest.
    """
    if height * width <= _MOST_IN_ONE_TILE:
        return None
    sides = range(_LARGEST_TILE, _LARGEST_TILE // 2, -_TILE_UNIT)

    def least(side: int) -> int:
        return min((length - 1) % side + 1 for length in (height, width) if length > side)

    return next((side for side in sides if 2 * least(side) >= side), max(sides, key=least))
