"""Converts a target into a goal of the codec, for the command line and `foveate.encode` alike."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from foveate.archive.settings import Target
from foveate.codec.goals import (
    AtLeast,
    AtMost,
    AtSlope,
    Goal,
    Lossless,
    NearScore,
    decibels_of_similarity,
)
from foveate.pictures.formats import jpeg_bytes
from foveate.pictures.picture import Pixels
from foveate.quality.psnr import psnr, psnr_s
from foveate.quality.ssim import ssim
from foveate.quality.ssimulacra2 import ssimulacra2

# How far above a target the search may end.
_PSNR_TOLERANCE_DB, _SSIM_TOLERANCE = 0.05, 0.001
_PSNR_OVER_SSIM_DB = 21.0  # of usual photos: PSNR over SSIM's distance from 1 in decibels


def goal_of(
    target: Target,
    pixels: Pixels,
    saliency: NDArray[np.float32] | None,
    source_bytes: int,
    stored_overhead: int = 0,
) -> Goal:
    """The goal that the codec has to reach.

    Args:
      target: how small or how good the file has to be.
      pixels: the photo, (H, W, C) uint8 or uint16, against which quality is measured.
      saliency: (h, w) float32 in [0, 1] for "roi-psnr"; None if all places matter alike.
      source_bytes: of the photo's own file, for "ratio".
      stored_overhead: how many more bytes the file takes when stored, for example by encryption.
    """
    if target.kind == "lossless":
        return Lossless()
    if target.kind == "quality":
        return NearScore(target.value, functools.partial(ssimulacra2, pixels))
    if target.kind == "slope":
        return AtSlope(target.value)
    if target.kind == "ssim":
        decibels = decibels_of_similarity
        usual_psnr_db = _PSNR_OVER_SSIM_DB + decibels(target.value)
        measured = functools.partial(ssim, pixels)
        return AtLeast(target.value, _SSIM_TOLERANCE, measured, usual_psnr_db, decibels)
    if target.kind == "roi-psnr" and saliency is not None:
        weighted = functools.partial(psnr_s, pixels, saliency=saliency)
        return AtLeast(target.value, _PSNR_TOLERANCE_DB, weighted, target.value)
    if target.kind in ("psnr", "roi-psnr"):
        return AtLeast(target.value, _PSNR_TOLERANCE_DB, functools.partial(psnr, pixels), target.value)
    return AtMost(byte_budget(target, pixels, source_bytes) - stored_overhead)


def byte_budget(target: Target, pixels: Pixels, source_bytes: int) -> int:
    """The most bytes that a "bpp", "ratio" or "jpeg-quality" target allows the whole file to have."""
    height, width = pixels.shape[:2]
    if target.kind == "bpp":
        return int(target.value * height * width / 8)
    if target.kind == "ratio":
        return int(source_bytes / target.value)
    return jpeg_bytes(pixels, round(target.value))
