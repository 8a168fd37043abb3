"""OpenJPEG's own encoder, to compare with, through Pillow and imagecodecs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import imagecodecs
import numpy as np
from PIL import Image

from foveate.codec.coding import Pixels


def encode(pixels: Pixels, *, psnrs_db: Sequence[float] = (0.0,), reversible: bool = False) -> bytes:
    """A codestream with one quality layer for each target in decibels, by Pillow; 0 is for everything coded.

    Args:
      pixels: (H, W, C) uint8; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
      psnrs_db: increasing, at most 100; 0 only as the last.
      reversible: 5/3 wavelet instead of 9/7.
    """
    out = io.BytesIO()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.save(
        out,
        "JPEG2000",
        no_jp2=True,
        quality_mode="dB",
        quality_layers=list(psnrs_db),
        irreversible=not reversible,
        mct=int(pixels.shape[2] >= 3),
        num_resolutions=min(6, min(pixels.shape[:2]).bit_length()),
        codeblock_size=(64, 64),
    )
    return out.getvalue()


def encode_lossless(pixels: Pixels) -> bytes:
    """A lossless codestream of (H, W, C) uint8 or uint16 pixels; the latter by imagecodecs.

    imagecodecs leaves out the color transform where there is alpha.
    """
    if pixels.dtype == np.uint8:
        return encode(pixels, reversible=True)
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, numthreads=1))
