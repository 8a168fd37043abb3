"""Measures what whole runs save on cameras' JPEGs and other files, by default and at `--psnr 38`."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.archived import Archived, archived
from benchmarks.curves import Curve, Point
from benchmarks.kept import Kept
from benchmarks.photos import Photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.api import decode
from foveate.quality.ssimulacra2 import ssimulacra2

SETS = {
    "camera": "JPEGs as cameras write them",
    "published": "published photos",
    "other": "scans, screenshots, gray, 16 bits",
}
_COLOR = (3, 8)  # channels and bits of photos that are scored here: others keep their table's score
_LEAST_RATIO = 3.0
_PSNR_DB = 38.0


@dataclasses.dataclass(frozen=True)
class CameraSet:
    """A folder's archives.

    scores: SSIMULACRA 2 of the compressed color photos, against their sources.
    """

    name: str
    default: Archived
    at_psnr: Archived | None
    scores: tuple[float, ...]


def camera_sets(folder: Path, kept: Kept) -> list[CameraSet]:
    """Archives the sets that `benchmarks.photo_set` makes, in the folder of `kept`.

    Raises:
      ValueError: there is no folder to keep archives in, or no photos.
    """
    if kept.folder is None:
        raise ValueError("the section camera writes archives: say where with --keep FOLDER")
    found = [name for name in SETS if (folder / name).is_dir()]
    if not found:
        raise ValueError(f"{folder} has none of {', '.join(SETS)}: python -m benchmarks.photo_set makes them")
    sets = []
    for name in found:
        place = kept.folder / "archives"
        place.mkdir(parents=True, exist_ok=True)
        default = archived(folder / name, place / name)
        at_psnr = (
            archived(folder / name, place / f"{name}-psnr", (f"--psnr={_PSNR_DB:g}", "--reccnn=off"))
            if name != "other"
            else None
        )
        sets.append(CameraSet(name, default, at_psnr, tuple(_scores(folder / name, default, kept))))
    return sets


def _scores(photos: Path, archive: Archived, kept: Kept) -> list[float]:
    scores = []
    for row in archive.compressed():
        if (row["channels"], row["bit_depth"]) == _COLOR:
            with Image.open(photos / row["relative_path"]) as image:
                photo = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            file = archive.folder / f"{row['relative_path']}.jp2"
            measure = functools.partial(_score, photo, file)
            (point,) = kept.curve(photo, f"score of {row['archive_sha256']}", measure)
            scores.append(point.figures["score"])
    return scores


def _score(photo: Photo, file: Path) -> Curve:
    return (Point(file.stat().st_size, {"score": ssimulacra2(photo, decode(file))}),)


def camera_section(sets: Sequence[CameraSet]) -> Section:
    """Bytes saved, photos kept, scores and speed at the default quality; ratio and PSNR at `--psnr 38`."""
    rows, psnr_rows, figures = [], [], {}
    for found in sets:
        default = found.default
        compressed = default.compressed()
        saved = 1 - 1 / default.ratio
        kept_share = 1 - len(compressed) / len(default.rows)
        mean, worst = (
            (statistics.fmean(found.scores), min(found.scores)) if found.scores else (float("nan"),) * 2
        )
        figures[found.name] = {
            "photos": len(default.rows),
            "megapixels": default.megapixels,
            "saved_share": saved,
            "kept_share": kept_share,
            "mean_score": mean,
            "worst_score": worst,
            "megapixels_per_core_hour": default.megapixels_per_core_hour,
        }
        rows.append(
            (
                *(SETS[found.name], str(len(default.rows)), number(default.megapixels, ".0f")),
                *(number(100 * saved, ".1f"), number(100 * kept_share, ".0f")),
                *(number(mean, ".1f"), number(worst, ".1f")),
                number(default.megapixels_per_core_hour, ",.0f"),
            )
        )
        if found.at_psnr:
            reached = [row["psnr_db"] for row in found.at_psnr.compressed()]
            similar = [row["ssim"] for row in found.at_psnr.compressed()]
            figures[found.name] |= {"psnr_ratio": found.at_psnr.ratio}
            psnr_rows.append(
                (
                    *(SETS[found.name], number(found.at_psnr.ratio), number(statistics.fmean(reached))),
                    *(number(min(reached)), number(statistics.fmean(similar), ".4f")),
                )
            )
    head = ("files", "photos", "megapixels", "bytes saved, %", "kept, %")
    scored = ("mean SSIMULACRA 2", "worst", "megapixels per core-hour")
    tables = (
        Table("`foveate compress` with its default flags", (*head, *scored), tuple(rows)),
        Table(
            f"`--psnr {_PSNR_DB:g}`",
            ("files", "source bytes over archive bytes", "mean PSNR", "least PSNR", "mean SSIM"),
            tuple(psnr_rows),
        ),
    )
    bars = tuple(
        Bar(f"ratio at --psnr {_PSNR_DB:g}, {SETS[found.name]}", found.at_psnr.ratio, _LEAST_RATIO, "", False)
        for found in sets
        if found.at_psnr and found.name == "camera"
    )
    return Section("camera", "Whole runs on cameras' files", _TEXT, tables, bars, figures)


_TEXT = (
    "Measured by `python -m benchmarks ... --only camera --cameras build/photos` on [the "
    "photos](photos.md) that `make photos` fetches and generates. Each set is archived by the command "
    "itself: files that would save less than 5 % are kept unchanged and counted as they are. Scores "
    "compare compressed color photos with their sources, which contain noise and JPEG artifacts. Time is "
    "the processor time of all processes, including the start of the program and the measures."
)
