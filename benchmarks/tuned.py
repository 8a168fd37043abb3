"""What tuning for MS-SSIM gains where nothing is favored, and how far it goes towards AVIF."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks import curves
from benchmarks.fidelity import HOW, TUNED, Measured, bd_rates, codecs_of, mean_at
from benchmarks.tables import Bar, Section, Table, number

_RATES = (0.25, 0.5, 1.0)
_LIMIT, _GOAL = -12.0, -20.0  # percent


def ssim_section(photos: Sequence[Measured]) -> Section:
    """BD-rates in MS-SSIM, and the figures themselves, of all codecs.

    Args:
      photos: curves of each photo, of OpenJPEG, Foveate and AVIF among them.
    """
    mine = bd_rates(photos, TUNED, "ms_ssim")
    bars = (
        Bar("BD-rate in MS-SSIM, whole files", curves.mean(mine), _LIMIT, "%", True),
        Bar("the goal", curves.mean(mine), _GOAL, "%", True),
    )
    text = (
        "`--roi none --tune ssim`. BD-rates are taken over -10 log10(1 - MS-SSIM) and over the figures of "
        "OpenJPEG's files from 0.125 to 2 bits a pixel. The way to AVIF is the BD-rate over AVIF's, both as "
        f"logarithms. {HOW}"
    )
    head = ("codec", "BD-rate, %", *(f"at {rate:g} bpp" for rate in _RATES), "way to AVIF")
    caption = f"BD-rate in MS-SSIM against OpenJPEG, and mean MS-SSIM, {len(photos)} photos"
    table = Table(caption, head, tuple(_rows(photos)))
    return Section("ssim", "Nothing favored: MS-SSIM", text, (table,), bars, {"percent": mine})


def _rows(photos: Sequence[Measured]) -> list[tuple[str, ...]]:
    means = {codec: curves.mean(bd_rates(photos, codec, "ms_ssim")) for codec in codecs_of(photos)}
    rows = []
    for codec, percent in means.items():
        similar = (mean_at(photos, codec, rate, "ms_ssim", curves.similarity) for rate in _RATES)
        way = curves.share_of_the_way(percent, means["AVIF"]) if percent else math.nan
        cells = (number(percent, "+.1f"), *(number(v, ".4f") for v in similar), number(way, ".0%"))
        rows.append((codec, *cells))
    return rows
