"""All measures of one photo at once, sharing their work."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from quality.colour import Pixels, luma, peak_of
from quality.psnr import decibels, luma_mse, squared_errors
from quality.saliency import resize_saliency, weighted_mean
from quality.ssim import at_window_centres, ms_ssim_of_luma, similarity_map


@dataclasses.dataclass(frozen=True)
class Measures:
    """How close a decoded photo is to its original.

    `mse` is in squared sample units; ratios are in dB, infinite where nothing was lost; SSIM is at most 1.
    The last two are weighted by the saliency map and equal the plain ones where there is none.
    """

    mse: float
    psnr_db: float
    psnr_y_db: float
    ssim: float
    ms_ssim: float
    psnr_s_db: float
    ssim_s: float


def measure(original: Pixels, decoded: Pixels, saliency: NDArray[np.float32] | None) -> Measures:
    """Every measure of `decoded` against `original`, (H, W, C) uint8 or uint16 alike, C in 1..4.

    `saliency` is (h, w), not negative, and is stretched over the photo; None is the same as all alike. Takes
    about 20 bytes of memory a pixel beyond the photos. Raises ValueError for an unlike pair or an
    impossible map.
    """
    errors = squared_errors(original, decoded)
    weights = None if saliency is None else resize_saliency(saliency, *errors.shape)
    peak = peak_of(original)
    error, weighted_error = weighted_mean(errors, None), weighted_mean(errors, weights)
    del errors
    planes = luma(original), luma(decoded)
    first = similarity_map(*planes, peak)
    return Measures(
        mse=error,
        psnr_db=decibels(error, peak),
        psnr_y_db=decibels(luma_mse(*planes), peak),
        ssim=weighted_mean(first[0], None),
        ms_ssim=ms_ssim_of_luma(*planes, peak, first),
        psnr_s_db=decibels(weighted_error, peak),
        ssim_s=weighted_mean(first[0], None if weights is None else at_window_centres(weights)),
    )
