"""Measures the headline figures in about ten minutes: `python -m benchmarks.quick`, or `make bench-quick`.

Codes the example photos at equal bytes with Foveate and other codecs, archives them with default flags, and
prints each figure beside the published one (docs/benchmarks-quick.json). Exit status 1 if any is off by more
than its tolerance. `--write` saves the measured figures as those to publish.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import ours, reference
from benchmarks.archived import archived
from benchmarks.photos import Photo, photo_paths, read_photo
from benchmarks.tables import Table, number, table_text
from foveate.api import decode, restore
from foveate.codec import openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Pixels
from foveate.codec.file import Recipe, encode_file
from foveate.codec.goals import AtMost
from foveate.pictures.peers import PEERS, PeerFiles
from foveate.quality.psnr import psnr
from foveate.quality.ssimulacra2 import ssimulacra2

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "docs" / "benchmarks-quick.json"
_RATES = (0.5, 1.0)  # bits per pixel
_OTHERS = {"JPEG": "jpeg", "JPEG XL": "jpegxl", "AVIF": "avif"}
_OURS, _RESTORED, _OPENJPEG = "Foveate", "Foveate, restored by RecCNN fast", "OpenJPEG"
# By how much a figure may differ elsewhere, with other builds of codecs or other processors.
_TOLERANCES = {"SSIMULACRA 2": 0.5, "PSNR, dB": 0.1}
_OTHERS_TOLERANCES = {"SSIMULACRA 2": 2.5, "PSNR, dB": 0.5}
_ARCHIVE_TOLERANCES = {"bytes saved, %": 1.0, "photos kept": 0.0, "mean score": 0.5, "least score": 1.5}
_SPEED = "megapixels per core-hour"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A measured figure.

    tolerance: how far it may be from the published one; None if it depends on the machine.
    """

    name: str
    value: float
    tolerance: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and compares."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quick",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "photos", type=Path, nargs="?", default=ROOT / "examples" / "photos", help="default: the examples"
    )
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the figures into this JSON file")
    args = parser.parse_args(argv)
    paths = photo_paths(args.photos, args.count)
    figures = [*at_equal_bytes([_photo(path) for path in paths]), *of_archive(paths)]
    if args.write:
        args.write.write_text(json.dumps({f.name: f.value for f in figures}, indent=1) + "\n")
        return 0
    published = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    print(compared(figures, published))
    if not published:
        print(f"There is no {PUBLISHED.relative_to(ROOT)} to compare with: --write makes it")
        return 1
    verdict = judged(figures, published)
    print(verdict or "All within their tolerances")
    return 1 if verdict else 0


def _photo(path: Path) -> Photo:
    return np.array(read_photo(path))  # a copy: compiled loops have another version for read-only arrays


def is_off(figure: Figure, published: dict[str, float]) -> bool:
    """Whether a figure is too far from the published one, or not published."""
    if figure.tolerance is None:
        return False
    return not abs(figure.value - published.get(figure.name, float("nan"))) <= figure.tolerance


def judged(figures: Sequence[Figure], published: dict[str, float]) -> str:
    """Names the figures that are off; "" if none is."""
    off = [figure.name for figure in figures if is_off(figure, published)]
    return f"Off by more than their tolerance: {', '.join(off)}" if off else ""


def compared(figures: Sequence[Figure], published: dict[str, float]) -> str:
    """The figures as a table, beside the published ones."""
    rows = tuple(
        (
            figure.name,
            number(figure.value),
            number(published.get(figure.name, float("nan"))),
            "–" if figure.tolerance is None else f"± {figure.tolerance:g}",
        )
        for figure in figures
    )
    return table_text(Table("The example photos", ("figure", "measured", "published", "tolerance"), rows))


def at_equal_bytes(photos: Sequence[Photo]) -> Iterator[Figure]:
    """Means over the photos of each codec's files of at most so many bytes."""
    files = [
        {name: [PeerFiles(peer, photo) for peer in PEERS[key]] for name, key in _OTHERS.items()}
        for photo in photos
    ]
    for rate in _RATES:
        found: dict[str, list[tuple[float, float]]] = {}
        for photo, others in zip(photos, files, strict=True):
            for codec, pixels in _decoded(photo, ours.budget_of(rate, *photo.shape[:2]), others):
                found.setdefault(codec, []).append((ssimulacra2(photo, pixels), psnr(photo, pixels)))
        for codec, values in found.items():
            tolerances = _OTHERS_TOLERANCES if codec in _OTHERS else _TOLERANCES
            for measure, of_photos in zip(tolerances, zip(*values, strict=True), strict=True):
                name = f"{codec}, {rate:g} bpp: {measure}"
                yield Figure(name, statistics.fmean(of_photos), tolerances[measure])


def _decoded(photo: Photo, budget: int, others: dict[str, list[PeerFiles]]) -> Iterator[tuple[str, Pixels]]:
    """The photo decoded from each codec's file within the budget, by the codec's name."""
    for codec, peers in others.items():
        if within := [file.pixels for peer in peers if (file := peer.within(budget))]:
            yield codec, max(within, key=lambda pixels: psnr(photo, pixels))
    yield _OPENJPEG, _openjpeg_within(photo, budget)
    encoded = encode_file(photo, Recipe(AtMost(budget), Emphasis(tune="visual")), ours.boxes())
    yield _OURS, encoded.pixels
    yield _RESTORED, restore(encoded.jp2)


def _openjpeg_within(photo: Photo, budget: int) -> Pixels:
    """OpenJPEG's file of a fixed rate that fits, the first of some that are a little smaller each."""
    files = (reference.at_rate(photo, share * budget) for share in (1.0, 0.995, 0.99, 0.98, 0.95))
    return openjpeg.decode(next(data for size, data in files if size <= budget)).pixels


def of_archive(paths: Sequence[Path]) -> Iterator[Figure]:
    """Figures of an archive made with default flags."""
    with tempfile.TemporaryDirectory() as temporary:
        photos = Path(temporary) / "photos"
        photos.mkdir()
        for path in paths:
            (photos / path.name).symlink_to(path.resolve())
        found = archived(photos, Path(temporary) / "archive")
        scores = [
            ssimulacra2(
                _photo(photos / row["relative_path"]),
                decode(found.folder / f"{row['relative_path']}.jp2"),
            )
            for row in found.compressed()
        ]
    values = (
        *(100 * (1 - 1 / found.ratio), float(len(found.rows) - len(scores))),
        *(statistics.fmean(scores), min(scores)),
    )
    for (name, tolerance), value in zip(_ARCHIVE_TOLERANCES.items(), values, strict=True):
        yield Figure(f"foveate compress: {name}", value, tolerance)
    yield Figure(f"foveate compress: {_SPEED}", found.megapixels_per_core_hour, None)


if __name__ == "__main__":
    sys.exit(main())
