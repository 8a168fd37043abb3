"""Measures the gain of each network and of joint training: `python -m benchmarks.ablation PHOTOS --alone X`.

The ablations of Jiang et al. 2017, section IV: ComCNN alone, RecCNN alone, both trained apart, both trained
together, at equal bytes. `--alone` is a ComCNN of `foveate train comcnn-alone`. Here, every photo goes
through ComCNN, even if it does not help; compress takes the better file. RecCNN is the same in all cases: it
has also been trained on the output of ComCNN.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks import ours
from benchmarks.networks import Networks
from benchmarks.photos import Photo, photo_paths, read_photo
from benchmarks.restored import RATES, decoded
from benchmarks.tables import Section, Table, plain_text
from foveate.codec.encoder import Encoder
from foveate.models import comcnn, tiling
from foveate.models.reccnn import restore_pixels
from foveate.models.tiling import Network
from foveate.quality.psnr import psnr

WAYS = ("plain", "ComCNN alone", "RecCNN alone", "both, trained apart", "both, trained together")


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder of photos that nothing was trained on")
    parser.add_argument(
        "--alone", type=Path, required=True, help="weights of a ComCNN trained without RecCNN"
    )
    parser.add_argument("--size", default="fast", help="of RecCNN (default: %(default)s)")
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument("--every", type=int, default=1, help="only every so-manyth photo")
    args = parser.parse_args()
    available = Networks()
    networks = comcnn.load(args.alone), available.comcnn(), available.reccnn(args.size)
    photos = photo_paths(args.photos, args.count)[:: args.every]
    figures = np.array([ablated(read_photo(path), *networks) for path in photos])
    rows = [
        (f"{rate:g}", f"{plain:.2f}", *(f"{value - plain:+.3f}" for value in others))
        for rate, (plain, *others) in zip(RATES, figures.mean(0), strict=True)
    ]
    caption = f"Mean PSNR in dB, {len(photos)} photos, RecCNN {args.size}: plain, and what else brings"
    table = Table(caption, ("bits per pixel", *WAYS), tuple(rows))
    print(plain_text(Section("ablation", "What each network brings", "", (table,), (), {})))
    return 0


def ablated(photo: Photo, alone: Network, together: Network, reccnn: Network) -> list[list[float]]:
    """The PSNR of each of `WAYS` at each rate."""
    source = Encoder(photo)
    found = []
    for rate in RATES:
        budget = ours.budget_of(rate, *photo.shape[:2])
        plain = decoded(ours.file_within(source, budget))
        if plain.noise is None:
            raise AssertionError("a lossy file has a noise map")
        compact = [tiling.run(network, photo, plain.noise) for network in (alone, together)]
        by_alone, by_together = (decoded(ours.file_within(Encoder(pixels), budget)) for pixels in compact)
        pictures = [plain.decoded, by_alone.decoded]
        for coded, prefiltered in ((plain, False), (by_alone, False), (by_together, True)):
            restored = restore_pixels(reccnn, coded.decoded, coded.noise, prefiltered)
            if restored is None:
                raise AssertionError("a lossy file has a noise map")
            pictures.append(restored)
        found.append([psnr(photo, picture) for picture in pictures])
    return found


if __name__ == "__main__":
    sys.exit(main())
