"""What ComCNN and RecCNN bring at equal bytes: `python -m benchmarks.restoration PHOTOS`.

Every photo is coded at several rates (all places alike), plainly and prepared by ComCNN, each decoded and
restored; the table gives mean PSNR and SSIM over the set. Photos must not be those the networks were trained
on.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec import allocation, jp2, noise, openjpeg
from codec.archive_record import ArchiveRecord
from codec.encoder import Emphasis, layered
from codec.metadata import PhotoMetadata
from models import comcnn, reccnn, tiling
from models.tiling import Network
from models.training.photos import load_photos
from quality.psnr import psnr
from quality.ssim import ssim
from transforms.elements import Pixels
from transforms.restore import restore_pixels

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)
VARIANTS = ("plain", "RecCNN", "ComCNN", "ComCNN + RecCNN")


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument("--every", type=int, default=1, help="only every so-manyth photo")
    parser.add_argument(
        "--weights", type=Path, default=tiling.WEIGHTS, help="folder of the networks' weights"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="bits per pixel")
    parser.add_argument("--no-comcnn", action="store_true", help="RecCNN alone, twice as fast")
    args = parser.parse_args()
    networks = (
        None if args.no_comcnn else comcnn.load(args.weights / "comcnn.weights.h5"),
        reccnn.load(args.weights / "reccnn_fast.weights.h5"),
    )
    photos = load_photos(args.photos)[: args.count : args.every]
    print(f"{len(photos)} photos, mean PSNR in dB (SSIM)")
    print(f"{'bpp':>6}" + "".join(f"{name:>24}" for name in VARIANTS))
    for rate in args.rates:
        figures = np.array([_measure(photo, rate, *networks) for photo in photos])
        means = figures.mean(0)
        worse = float(np.mean(figures[:, 1, 0] < figures[:, 0, 0]))
        cells = "".join(f"{db:16.3f} ({similar:.4f})" for db, similar in means)
        gain = f"RecCNN gains {means[1, 0] - means[0, 0]:+.3f} dB, is worse on {worse:.0%}"
        print(f"{rate:6g}{cells}   {gain}", flush=True)
    return 0


def _measure(photo: Pixels, rate: float, first: Network | None, second: Network) -> list[tuple[float, float]]:
    """(PSNR, SSIM) of each of `VARIANTS`; not a number for those with ComCNN if there is none."""
    quality = functools.partial(_quality, photo)
    plain, steps = _coded(photo, photo, rate)
    restored = restore_pixels(second, plain, steps, False)
    result = [quality(plain), quality(restored)]
    if first is None:
        return [*result, (np.nan, np.nan), (np.nan, np.nan)]
    prepared, steps = _coded(photo, tiling.run(first, photo, steps), rate)
    return [*result, quality(prepared), quality(restore_pixels(second, prepared, steps, True))]


def _quality(photo: Pixels, other: Pixels | None) -> tuple[float, float]:
    if other is None:
        raise AssertionError("a lossy file has a noise map")
    return psnr(photo, other), ssim(photo, other)


def _coded(photo: Pixels, pixels: Pixels, rate: float) -> tuple[Pixels, NDArray[np.float32]]:
    """What `pixels` decode to from a whole JP2 of at most `rate` bits per pixel, and the file's noise map."""
    height, width, channels = photo.shape
    candidates = layered(pixels, Emphasis())
    record = ArchiveRecord(source_sha256=bytes(32), settings_digest=bytes(8))
    overhead = jp2.overhead(channels, metadata=PhotoMetadata(), record=record)
    choice = allocation.fit_bytes(candidates, int(rate * height * width / 8) - overhead)
    codestream = allocation.encode(choice)
    return openjpeg.decode(codestream).pixels, noise.noise_map(*allocation.parse_layers(codestream))


if __name__ == "__main__":
    sys.exit(main())
