"""Computes all measures of a photo at once, strip by strip, sharing work."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.quality.color import Pixels, check_pair, luma, peak_of, strips
from foveate.quality.psnr import decibels, luma_errors, squared_errors
from foveate.quality.saliency import StretchedMap, WeightedMean
from foveate.quality.ssim import StructuralSimilarity
from foveate.quality.ssimulacra2 import ssimulacra2


@dataclasses.dataclass(frozen=True)
class Measures:
    """How close a decoded photo is to its original.

    `mse` is in squared sample units; ratios are in dB, infinite if nothing was lost; SSIM is at most 1.
    `psnr_s_db` and `ssim_s` are weighted by the saliency map and equal the plain ones if there is none.
    `ssimulacra2` is a score of at most 100, None if it was not asked for.
    """

    mse: float
    psnr_db: float
    psnr_y_db: float
    ssim: float
    ms_ssim: float
    psnr_s_db: float
    ssim_s: float
    ssimulacra2: float | None = None


def measure(
    original: Pixels, decoded: Pixels, saliency: NDArray[np.float32] | None, *, scored: bool = False
) -> Measures:
    """Every measure of `decoded` against `original`, (H, W, C) uint8 or uint16 alike, C in 1..4.

    `saliency` is (h, w), not negative, and is stretched over the photo; None means equal weights. Works strip
    by strip: besides the photos, it takes some 50 MB, however large they are. `scored` adds SSIMULACRA 2,
    which takes about ten times as long as all the others. Raises ValueError for a mismatched pair or an
    invalid map.
    """
    check_pair(original, decoded)
    height, width, _ = original.shape
    weights = None if saliency is None else StretchedMap.over(saliency, height, width)
    peak = peak_of(original)
    error, luma_error = WeightedMean(), WeightedMean()
    structure = StructuralSimilarity(height, width, peak, weights=weights)
    for rows in strips(original):
        strip = original[rows], decoded[rows]
        error.add(squared_errors(*strip), None if weights is None else weights.rows(rows))
        planes = luma(strip[0]), luma(strip[1])
        luma_error.add(luma_errors(*planes), None)
        structure.add(*planes)
    return Measures(
        mse=error.plain,
        psnr_db=decibels(error.plain, peak),
        psnr_y_db=decibels(luma_error.plain, peak),
        ssim=structure.ssim,
        ms_ssim=structure.ms_ssim,
        psnr_s_db=decibels(error.weighted, peak),
        ssim_s=structure.ssim_s,
        ssimulacra2=ssimulacra2(original, decoded) if scored else None,
    )
