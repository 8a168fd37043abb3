"""Measures DnCNN on JPEGs: `python -m benchmarks.cleaning PHOTOS`.

Every photo is compressed by libjpeg at several qualities and cleaned; the table gives mean PSNR and SSIM of
the luminance over the set, as the literature does. Photos must not be those the network was trained on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.models import dncnn
from foveate.models.tiling import WEIGHTS, Network
from foveate.models.training.dncnn import jpeg_of
from foveate.models.training.photos import load_photos
from foveate.quality.psnr import psnr_y
from foveate.quality.ssim import ssim

QUALITIES = (5, 10, 20, 40, 75, 90)
_HALVED_BOTH_WAYS = 2  # 4:2:0, as most JPEGs are


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only every so-manyth photo")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the network's weights")
    parser.add_argument("--qualities", type=int, nargs="+", default=QUALITIES)
    args = parser.parse_args()
    network = dncnn.load(args.weights / "dncnn.weights.h5")
    photos = load_photos(args.photos)[:: args.every]
    print(f"{len(photos)} photos, luminance: PSNR in dB (SSIM)")
    print(f"{'quality':>8}{'JPEG':>18}{'DnCNN':>18}{'gain':>9}   worse on   least gain")
    for quality in args.qualities:
        figures = np.array([_measure(network, photo, quality) for photo in photos])
        (before, before_ssim), (after, after_ssim) = figures.mean(0)
        gains = figures[:, 1, 0] - figures[:, 0, 0]
        print(
            f"{quality:>8}{before:10.2f} ({before_ssim:.4f}){after:9.2f} ({after_ssim:.4f})"
            f"{gains.mean():+9.3f}{np.mean(gains < 0):11.0%}{gains.min():+13.3f}",
            flush=True,
        )
    return 0


def _measure(network: Network, photo: NDArray[np.uint8], quality: int) -> list[tuple[float, float]]:
    """(PSNR, SSIM) of the JPEG and of DnCNN's output."""
    decoded = jpeg_of(photo, quality, _HALVED_BOTH_WAYS)
    cleaned = dncnn.clean(network, decoded)
    return [(psnr_y(photo, other), ssim(photo, other)) for other in (decoded, cleaned)]


if __name__ == "__main__":
    sys.exit(main())
