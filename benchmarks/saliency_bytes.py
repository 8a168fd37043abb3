"""Measures the share of a true mask's gain, inside it, that compression with MS-ROI's maps achieves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from benchmarks import ours
from benchmarks.curves import Figures
from benchmarks.photos import Photo
from benchmarks.saliency_baselines import Map
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder
from foveate.models import msroi
from foveate.models.training.salient_views import Pair
from foveate.quality.psnr import psnr, psnr_s

RATE = 0.5  # bits per pixel
GAIN_DB = 12.0
NONE, NETWORK, MASK = "--roi none", "--roi msroi", "--roi masks:DIR"
FIGURES = ("inside", "outside", "PSNR-S", "all over")
_SHARE = 75.0  # percent of the true mask's gain inside


@dataclasses.dataclass(frozen=True)
class Compared:
    """A photo's figures in dB by what was favored."""

    figures: dict[str, Figures]


def compared(pairs: Sequence[Pair], model: msroi.MsRoi) -> list[Compared]:
    """Files of `RATE` at equal bytes, favoring nothing, the network's map, and the mask."""
    maps = msroi.saliency_maps(model, [photo for photo, _ in pairs])
    result = []
    for saliency, (photo, mask) in zip(maps, pairs, strict=True):
        favored = {NONE: None, NETWORK: saliency, MASK: mask}
        result.append(
            Compared(
                {name: _figures(photo, coded(photo, map_), mask, saliency) for name, map_ in favored.items()}
            )
        )
    return result


def coded(photo: Photo, saliency: Map | None) -> Photo:
    """The photo decoded from a file of `RATE`, counting every byte, including the map in its record."""
    budget = ours.budget_of(RATE, *photo.shape[:2])
    source = Encoder(photo, Emphasis(saliency, GAIN_DB))
    decoded: Photo = openjpeg.decode(ours.file_within(source, budget, saliency)).pixels.astype(np.uint8)
    return decoded


def _figures(photo: Photo, decoded: Photo, mask: Map, saliency: Map) -> Figures:
    return {
        "inside": psnr_s(photo, decoded, mask),
        "outside": psnr_s(photo, decoded, 1 - mask),
        "PSNR-S": psnr_s(photo, decoded, saliency),
        "all over": psnr(photo, decoded),
    }


def bytes_section(photos: Sequence[Compared]) -> Section:
    """Means, and the share of the mask's gain."""
    means = {
        name: {
            figure: float(np.mean([photo.figures[name][figure] for photo in photos])) for figure in FIGURES
        }
        for name in (NONE, NETWORK, MASK)
    }
    gains = {name: means[name]["inside"] - means[NONE]["inside"] for name in (NETWORK, MASK)}
    share = 100 * gains[NETWORK] / gains[MASK]
    shares = [
        (photo.figures[NETWORK]["inside"] - photo.figures[NONE]["inside"])
        / (photo.figures[MASK]["inside"] - photo.figures[NONE]["inside"])
        for photo in photos
        if photo.figures[MASK]["inside"] - photo.figures[NONE]["inside"] > 0.1
    ]
    rows = tuple((name, *(number(values[figure]) for figure in FIGURES)) for name, values in means.items())
    text = (
        f"Files of {RATE:g} bits per pixel, `--roi-gain {GAIN_DB:g} --tune psnr`, counting every byte, "
        "including the embedded map. PSNR inside and outside the true mask; PSNR-S (Prakash et al. 2017) "
        f"weights errors by MS-ROI's map. The true mask gains {gains[MASK]:.2f} dB inside, MS-ROI's maps "
        f"{gains[NETWORK]:.2f} dB. The median over the photos is {100 * float(np.median(shares)):.0f} % of "
        "the true mask's gain, and a tenth of the photos is below "
        f"{100 * float(np.percentile(shares, 10)):.0f} %."
    )
    table = Table(f"Mean PSNR in dB of {len(photos)} photos", ("", *FIGURES), rows)
    bar = Bar("share of the true mask's gain inside", share, _SHARE, "%", False)
    return Section(
        "bytes",
        "What it brings in compression",
        text,
        (table,),
        (bar,),
        {"db": means, "share_percent": share},
    )
