"""Measures Butteraugli's distance of Foveate's files from their photos, against OpenJPEG at equal bytes.

Butteraugli (Alakuijala et al. 2017, "Guetzli: perceptually guided JPEG encoder") estimates where people
notice a difference. No Python package has it; the program comes from `cargo install butteraugli-cli`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import ours, reference
from benchmarks.curves import Curve, Figures
from benchmarks.kept import Kept
from benchmarks.photos import Photo, read_photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import openjpeg
from foveate.codec.block_weights import Emphasis, Tune
from foveate.codec.coding import Pixels
from foveate.codec.encoder import Encoder
from foveate.quality.psnr import psnr

PROGRAM = "butteraugli"
RATES = (0.25, 0.5, 1.0, 2.0)  # bits per pixel
NORMS = {"largest": "largest", "norm": "3-norm"}  # of the distance over all places
TUNES: tuple[Tune, ...] = ("psnr", "visual")

Distances = Mapping[str, Mapping[float, Figures]]  # by codec and bits per pixel


def is_available() -> bool:
    """Whether the program is installed."""
    return shutil.which(PROGRAM) is not None


def distances(path: Path, kept: Kept) -> Distances:
    """The distances of a photo's files at `RATES`; 0 is identical, 1 hardly visible."""
    photo = read_photo(path)
    judge = _judge(photo)
    budgets = {rate: ours.budget_of(rate, *photo.shape[:2]) for rate in RATES}

    def plain() -> Curve:
        return tuple(reference.plain(photo, budget, judge) for budget in budgets.values())

    points = kept.curve(photo, f"OpenJPEG {openjpeg.library_version()} {PROGRAM} {RATES}", plain)
    found = {"OpenJPEG": {rate: _positive(p.figures) for rate, p in zip(RATES, points, strict=True)}}
    for tune in TUNES:
        encoder = Encoder(photo, Emphasis(tune=tune))
        files = {rate: ours.file_within(encoder, budget) for rate, budget in budgets.items()}
        found[f"Foveate, {tune}"] = {
            rate: _positive(judge(openjpeg.decode(data).pixels)) for rate, data in files.items()
        }
    return found


def _judge(photo: Photo) -> Callable[[Pixels], Figures]:
    """Figures for `reference.plain`, of which more is better: PSNR, and distances below 0."""

    def figures(decoded: Pixels) -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder, name)) for name in ("photo.png", "decoded.png")]
            for pixels, path in zip((photo, decoded), paths, strict=True):
                Image.fromarray(pixels).save(path, compress_level=0)
            done = subprocess.run([PROGRAM, "--json", *paths], capture_output=True, check=True)
        found = json.loads(done.stdout)
        return {"psnr": psnr(photo, decoded), "largest": -found["score"], "norm": -found["pnorm_3"]}

    return figures


def _positive(figures: Mapping[str, float]) -> Figures:
    return {name: -figures[name] for name in NORMS}


def butteraugli_section(photos: Sequence[Distances]) -> Section:
    """Mean distances of all codecs at equal bytes."""
    means = {
        codec: {
            norm: np.mean([[p[codec][rate][norm] for rate in RATES] for p in photos], 0) for norm in NORMS
        }
        for codec in photos[0]
    }
    tables = tuple(_table(means, norm, len(photos)) for norm in NORMS)
    mine, theirs = means["Foveate, visual"], means["OpenJPEG"]
    bars = tuple(
        Bar(
            f"Butteraugli over OpenJPEG's, {name}, {rate:g} bpp",
            float(mine[norm][at] / theirs[norm][at]),
            1.0,
            "x",
            True,
        )
        for norm, name in NORMS.items()
        for at, rate in enumerate(RATES)
    )
    text = (
        "`--roi none`. Butteraugli's distance of a file from its photo, as the largest of all places and as "
        "the 3-norm over them: 0 is identical, 1 hardly visible; less is better. Measured by the program "
        "`butteraugli` of the Rust package `butteraugli-cli` 0.9, at 80 nits."
    )
    figures = {codec: {norm: values.tolist() for norm, values in of.items()} for codec, of in means.items()}
    return Section("butteraugli", "Nothing favored: Butteraugli", text, tables, bars, figures)


def _table(means: Mapping[str, Mapping[str, NDArray[np.float64]]], norm: str, count: int) -> Table:
    head = ("codec", *(f"at {rate:g} bpp" for rate in RATES))
    rows = tuple((codec, *(number(value, ".2f") for value in of[norm])) for codec, of in means.items())
    return Table(f"Mean Butteraugli distance, {NORMS[norm]}, {count} photos", head, rows)
