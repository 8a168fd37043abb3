"""The parameters that a picture is coded with, and checks of which pictures can be coded."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclasses.dataclass(frozen=True)
class Coding:
    """The parameters that a picture is coded with.

    reversible: 5/3 wavelet, so that all passes together are lossless, instead of 9/7.
    block_size: side of a code-block, a power of two from 4 to 64; None for 64, or 32 where `Encoder` finds
        that smaller ones pay.
    levels: wavelet decompositions; fewer where a picture's or tile's shorter side has no room for them.
    tile_size: side of square tiles in pixels, a multiple of 2^levels; None for one tile, or as many as
        `Encoder` needs to bound its memory.
    bit_depth: significant bits of the samples; None for all of their type.
    access: small precincts, so that a region's packets can be told from others (`arrangement`).
    threads: that transform and code at once.
    """

    reversible: bool = False
    block_size: int | None = None
    levels: int = 5
    tile_size: int | None = None
    bit_depth: int | None = None
    access: bool = False
    threads: int = 1


def checked_depth(pixels: Pixels, coding: Coding) -> int:
    """The bit depth of pixels that can be coded with these parameters; raises ValueError for others."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are {pixels.dtype}, not uint8 or uint16")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise ValueError(f"pixels have the shape {pixels.shape}, not (H, W, 1 to 4)")
    widest = 8 * pixels.dtype.itemsize
    depth = widest if coding.bit_depth is None else coding.bit_depth
    if not 1 <= depth <= widest:
        raise ValueError(f"a bit depth of {depth} does not fit {pixels.dtype}")
    if depth < widest and int(pixels.max()) >> depth:
        raise ValueError(f"the value {int(pixels.max())} does not fit {depth} bits")
    if coding.block_size not in (None, 4, 8, 16, 32, 64):
        raise ValueError(f"block size {coding.block_size} is not a power of two from 4 to 64")
    if coding.tile_size is not None and (coding.tile_size < 1 or coding.tile_size % (1 << coding.levels)):
        raise ValueError(f"a tile size of {coding.tile_size} is not a multiple of {1 << coding.levels}")
    return depth
