"""Makes contact sheets: each photo, its mask, and MS-ROI's map; or photos with their maps over them.

python -m benchmarks.saliency_sheets PHOTO... --output FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.photos import Photo, read_photo
from benchmarks.saliency_baselines import Map
from benchmarks.saliency_maps import maps_of
from benchmarks.saliency_measures import weighted_f
from foveate.models import msroi
from foveate.models.training.salient_views import Pair, resized

COUNT = 10
_SIDE, _GAP = 128, 4


def main(argv: Sequence[str] | None = None) -> None:
    """Makes one sheet of photos above their maps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=190, help="of a photo in pixels: %(default)s")
    args = parser.parse_args(argv)
    photos = [read_photo(path) for path in args.photos]
    maps = msroi.saliency_maps(msroi.load(), photos)
    columns = [
        (photo, _gray(resized(map_, *photo.shape[:2]))) for photo, map_ in zip(photos, maps, strict=True)
    ]
    sheet(columns, args.side).save(args.output, quality=75, method=6)


def sheets(pairs: Sequence[Pair], model: msroi.MsRoi) -> tuple[Image.Image, Image.Image]:
    """The best ten and the worst ten by weighted F."""
    maps = maps_of(model, pairs)
    marks = [weighted_f(saliency, mask > 0.5) for saliency, (_, mask) in zip(maps, pairs, strict=True)]
    order = np.argsort(marks, kind="stable")
    best, worst = order[::-1][:COUNT], order[:COUNT]
    one, other = (
        sheet([(pairs[index][0], *map(_gray, (pairs[index][1], maps[index]))) for index in some])
        for some in (best, worst)
    )
    return one, other


def sheet(columns: Sequence[Sequence[Photo]], side: int = _SIDE) -> Image.Image:
    """Pictures in columns, each (H, W, 3) or (H, W) uint8 and scaled down to a square of `side`."""
    height = [
        max(side * c[row].shape[0] // max(c[row].shape[:2]) for c in columns)
        for row in range(len(columns[0]))
    ]
    step = side + _GAP
    picture = Image.new("RGB", (len(columns) * step - _GAP, sum(height) + _GAP * (len(height) - 1)), "white")
    for column, pictures in enumerate(columns):
        top = 0
        for each, most in zip(pictures, height, strict=True):
            image = Image.fromarray(each)
            image.thumbnail((side, side))
            picture.paste(
                image, (column * step + (side - image.width) // 2, top + (most - image.height) // 2)
            )
            top += most + _GAP
    return picture


def _gray(plane: Map) -> Photo:
    levels: Photo = np.rint(plane.clip(0, 1) * 255).astype(np.uint8)
    return levels


if __name__ == "__main__":
    main()
