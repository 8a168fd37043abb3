"""PSNR-HVS (Egiazarian et al. 2006) and PSNR-HVS-M (Ponomarenko et al. 2007): visible errors of 8×8 DCTs.

Errors of coefficients are weighted by the eye's sensitivity to their frequency; PSNR-HVS-M first subtracts
what the block's contrast hides. Both use BT.601 luma on a scale of 255, and adjacent whole blocks of 8×8
samples from the upper left corner, as in the authors' program.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from scipy.fft import dctn

from foveate.quality.color import Pixels, check_pair
from foveate.quality.planes import Plane64, at_least, luma_255
from foveate.quality.psnr import decibels

SIDE = 8
_BAND_BLOCKS = 4096  # per band of blocks, so that the work stays in cache

# JPEG's luminance table (ITU-T T.81, table K.1): both papers take their weights from it.
_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float64,
)
_SENSITIVITY = 25.73509 / _STEPS  # a table whose mean square is that of no weighting at all, nearly
_MASKING = (10 / _STEPS) ** 2
_MASKING[0, 0] = 0  # a block's mean hides nothing
_STRENGTH = 32  # of the masking, 2007: contrast over 16 · 64, under the root


@dataclasses.dataclass(frozen=True)
class HvsRatios:
    """Both ratios in dB, infinite if nothing visible was lost."""

    psnr_hvs_db: float
    psnr_hvs_m_db: float


def psnr_hvs(a: Pixels, b: Pixels) -> float:
    """PSNR-HVS in dB; ValueError for a mismatched pair."""
    return hvs_ratios(a, b).psnr_hvs_db


def psnr_hvs_m(a: Pixels, b: Pixels) -> float:
    """PSNR-HVS-M in dB; ValueError for a mismatched pair."""
    return hvs_ratios(a, b).psnr_hvs_m_db


def hvs_ratios(a: Pixels, b: Pixels) -> HvsRatios:
    """Both ratios of a pair (H, W, C) uint8 or uint16 alike; sides below 8 are extended by mirroring."""
    check_pair(a, b)
    seen = hidden = 0.0
    count = 0
    for blocks_a, blocks_b in zip(_blocks(a), _blocks(b), strict=True):
        spectrum_a, spectrum_b = (dctn(blocks, axes=(1, 2), norm="ortho") for blocks in (blocks_a, blocks_b))
        error = np.abs(spectrum_a - spectrum_b)
        mask = np.maximum(_mask(blocks_a, spectrum_a), _mask(blocks_b, spectrum_b))
        threshold = np.divide(mask[:, None, None], _MASKING, out=np.zeros_like(error), where=_MASKING > 0)
        seen += float(((error * _SENSITIVITY) ** 2).sum())
        hidden += float(((np.maximum(error - threshold, 0) * _SENSITIVITY) ** 2).sum())
        count += error.size
    return HvsRatios(decibels(seen / count, 255), decibels(hidden / count, 255))


def _blocks(pixels: Pixels) -> Iterator[Plane64]:
    """(n, 8, 8) luma blocks, in bands of whole rows of blocks."""
    plane = at_least(luma_255(pixels), SIDE)
    down, across = (length // SIDE for length in plane.shape)
    step = max(1, _BAND_BLOCKS // across)
    for top in range(0, down, step):
        rows = min(step, down - top)
        band = plane[top * SIDE : (top + rows) * SIDE, : across * SIDE]
        blocks = band.reshape(rows, SIDE, across, SIDE).swapaxes(1, 2)
        yield blocks.reshape(-1, SIDE, SIDE)


def _mask(blocks: Plane64, spectrum: Plane64) -> Plane64:
    """(n,) how much each block hides: the root of its weighted energy, reduced if it has an edge.

    A block whose quarters vary much less than the whole contains an edge, beside which errors are visible.
    """
    energy = (spectrum**2 * _MASKING).sum((1, 2))
    quarters = blocks.reshape(-1, 2, SIDE // 2, 2, SIDE // 2)
    whole = _variation(blocks, (1, 2))
    parts = _variation(quarters, (2, 4)).sum((1, 2))
    evenness = np.divide(parts, whole, out=np.zeros_like(whole), where=whole > 0)
    mask: Plane64 = np.sqrt(energy * evenness) / _STRENGTH
    return mask


def _variation(samples: Plane64, axes: tuple[int, int]) -> Plane64:
    """The unbiased variance along two axes times the number of samples, as in the authors' program."""
    count = math.prod(samples.shape[axis] for axis in axes)
    varied: Plane64 = samples.var(axis=axes, ddof=1) * count
    return varied
