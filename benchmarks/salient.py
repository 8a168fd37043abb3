"""Measures what favoring a place gains there and costs elsewhere, at equal bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours, reference
from benchmarks.curves import Curve, Figures
from benchmarks.kept import Kept
from benchmarks.photos import LARGE_PIXELS, Photo, middle_quarter, read_photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.coding import Pixels
from foveate.codec.encoder import Encoder
from foveate.quality.psnr import psnr, psnr_s

RATE = 0.5  # bits per pixel
GAIN_DB = 12.0
FIGURES = ("inside", "outside", "weighted", "psnr")
LARGE, SMALL = "large", "small"

_LARGE_INSIDE, _LARGE_OUTSIDE, _SMALL_INSIDE = 2.5, -2.5, 1.8  # dB over OpenJPEG


@dataclasses.dataclass(frozen=True)
class Compared:
    """A photo's figures in dB: Foveate's and OpenJPEG's."""

    kind: str
    ours: Figures
    theirs: Figures


def judge(photo: Photo, mask: NDArray[np.float32], gain_db: float) -> Callable[[Pixels], Figures]:
    """PSNR inside the mask, outside it, weighted (errors inside count so many decibels more), and overall."""
    weight = np.float32(10) ** (np.float32(gain_db / 10) * mask)

    def figures(decoded: Pixels) -> Figures:
        maps = {"inside": mask, "outside": 1 - mask, "weighted": weight}
        return {
            **{name: psnr_s(photo, decoded, map_) for name, map_ in maps.items()},
            "psnr": psnr(photo, decoded),
        }

    return figures


def compared(path: Path, kept: Kept) -> Compared:
    """A photo with its middle quarter favored, compared with OpenJPEG, which favors nothing."""
    photo = read_photo(path)
    height, width, _ = photo.shape
    mask = middle_quarter(height, width)
    figures = judge(photo, mask, GAIN_DB)
    budget = ours.budget_of(RATE, height, width)
    data = ours.file_within(Encoder(photo, Emphasis(mask, GAIN_DB)), budget, mask)

    def plain() -> Curve:
        return (reference.plain(photo, budget, figures),)

    name = f"OpenJPEG {openjpeg.library_version()} middle quarter {GAIN_DB} {budget}"
    (theirs,) = kept.curve(photo, name, plain)
    kind = LARGE if height * width >= LARGE_PIXELS else SMALL
    return Compared(kind, figures(openjpeg.decode(data).pixels), dict(theirs.figures))


def salient_section(photos: Sequence[Compared]) -> Section:
    """Inside, outside, weighted and overall, for large photos and small ones."""
    tables, bars, gains = [], [], {}
    for kind, name in ((LARGE, "a megapixel or more"), (SMALL, "less than a megapixel")):
        of_kind = [found for found in photos if found.kind == kind]
        if not of_kind:
            continue
        mine, theirs = (
            {figure: float(np.mean([side[figure] for side in sides])) for figure in FIGURES}
            for sides in ([found.ours for found in of_kind], [found.theirs for found in of_kind])
        )
        gain = {figure: mine[figure] - theirs[figure] for figure in FIGURES}
        rows = [
            (label, *(number(values[figure], form) for figure in FIGURES))
            for label, values, form in (
                ("Foveate", mine, ".2f"), ("OpenJPEG", theirs, ".2f"), ("gain", gain, "+.2f"),
            )
        ]  # fmt: skip
        head = ("", "inside", "outside", "weighted", "all over")
        tables.append(Table(f"Mean PSNR in dB of {len(of_kind)} photos of {name}", head, tuple(rows)))
        bars += _bars(kind, gain)
        gains[kind] = gain
    text = (
        f"The mask covers the middle quarter of each photo; `--roi-gain {GAIN_DB:g} --bpp {RATE:g} --tune "
        f"psnr`. The weighted PSNR counts errors inside the mask {GAIN_DB:g} dB more. Foveate's files "
        "contain the mask in their record."
    )
    return Section("salient", "A quarter favored", text, tuple(tables), tuple(bars), {"gain_db": gains})


def _bars(kind: str, gain: Figures) -> list[Bar]:
    if kind == SMALL:
        return [Bar("inside, less than a megapixel", gain["inside"], _SMALL_INSIDE, "dB", False)]
    return [
        Bar("inside, a megapixel or more", gain["inside"], _LARGE_INSIDE, "dB", False),
        Bar("outside, a megapixel or more", gain["outside"], _LARGE_OUTSIDE, "dB", False),
    ]
