"""Compares all codecs with OpenJPEG in all measures, with and without networks, favoring nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import curves, peers
from benchmarks.curves import MEASURES, SIMILARITIES
from benchmarks.fidelity import HOW, REFERENCE, Measured, bd_rates, codecs_of, mean_at, mean_curves
from benchmarks.restored import RATES, Way
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import openjpeg

BEST = Way("best").name
PLAIN_MEASURES = tuple(figure for figure in MEASURES if figure != "psnr_s")
_LIMIT, _GOAL = -12.0, -20.0  # percent
_AVIF_RATES = (0.25, 0.5, 1.0)


def codecs_section(photos: Sequence[Measured]) -> Section:
    """BD-rates and means of every codec that all the photos have."""
    found = codecs_of(photos)
    percents = bd_table(photos, PLAIN_MEASURES)
    tables = [percents, *(mean_table(photos, figure) for figure in PLAIN_MEASURES)]
    text = (
        f"`--roi none`. OpenJPEG {openjpeg.library_version()}; {peers.versions()}. JPEG: optimized tables, "
        "progressive, 4:2:0 or 4:4:4, whichever is better at a size; WebP: method 6; AVIF: speed 6, 4:4:4; "
        "JPEG XL: effort 7. Each codec encodes whole files without metadata at ten or more quality "
        "settings, and figures are interpolated between them; if even its best setting takes fewer bytes, "
        "that setting counts. A dash means that the codec cannot make every photo that small. RecCNN "
        "restores all files except those marked as better without it; ComCNN prefilters photos where that "
        "gives the better file. SSIM and MS-SSIM are computed on BT.601 luma, and their BD-rates over -10 "
        f"log10(1 - x). {HOW}"
    )
    figures = {
        "percent": {
            codec: {figure: bd_rates(photos, codec, figure) for figure in PLAIN_MEASURES}
            for codec in found
            if codec != REFERENCE
        },
        "curves": mean_curves(photos, ("ssimulacra2", "psnr", "ms_ssim")),
    }
    title = "All codecs, nothing favored"
    return Section("codecs", title, text, tuple(tables), tuple(_bars(photos)), figures)


def bd_table(photos: Sequence[Measured], measures: Sequence[str]) -> Table:
    """Each codec's mean BD-rate against OpenJPEG in some measures."""
    rows = []
    for codec in codecs_of(photos):
        if codec != REFERENCE:
            means = (curves.mean(bd_rates(photos, codec, figure)) for figure in measures)
            rows.append((codec, *(number(value, "+.1f") for value in means)))
    caption = f"Mean BD-rate against OpenJPEG in percent, {len(photos)} photos"
    return Table(caption, ("codec", *(MEASURES[figure] for figure in measures)), tuple(rows))


def mean_table(photos: Sequence[Measured], figure: str) -> Table:
    """Each codec's mean figure at each rate."""
    back: Callable[[float], float] = curves.similarity if figure in SIMILARITIES else float
    form = ".4f" if figure in SIMILARITIES else ".2f"
    rows = [
        (codec, *(number(mean_at(photos, codec, rate, figure, back), form) for rate in RATES))
        for codec in codecs_of(photos)
    ]
    caption = f"Mean {MEASURES[figure]} at equal bits per pixel, {len(photos)} photos"
    return Table(caption, ("codec", *(f"{rate:g}" for rate in RATES)), tuple(rows))


def _bars(photos: Sequence[Measured]) -> list[Bar]:
    """Bars for the larger RecCNN, if it was measured."""
    if BEST not in codecs_of(photos):
        return []
    percent = curves.mean(bd_rates(photos, BEST, "psnr"))
    bars = [
        Bar(f"BD-rate in PSNR, {BEST}", percent, _LIMIT, "%", True),
        Bar("the goal", percent, _GOAL, "%", True),
    ]
    for rate in _AVIF_RATES:
        mine, avif = (mean_at(photos, codec, rate, "psnr") for codec in (BEST, "AVIF"))
        bars.append(Bar(f"mean PSNR over AVIF's, {rate:g} bpp, {BEST}", mine - avif, 0.0, "dB", False))
    return bars
