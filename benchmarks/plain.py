"""Compares PSNR with OpenJPEG's where nothing is favored."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from benchmarks import curves, ours, reference
from benchmarks.curves import Curve
from benchmarks.fidelity import HOW, REFERENCE, Measured
from benchmarks.photos import LARGE_PIXELS
from benchmarks.restored import PLAIN, RATES
from benchmarks.tables import Bar, Section, Table, number

LIMIT = 0.3  # percent


def plain_section(photos: Sequence[Measured]) -> Section:
    """Compares PSNR with OpenJPEG's where nothing is favored.

    Args:
      photos: curves of each photo, of OpenJPEG and Foveate.
    """
    mine, theirs = PLAIN, REFERENCE
    whole = [curves.bd_rate(found.curves[theirs], found.curves[mine], "psnr") for found in photos]
    bare = [
        curves.bd_rate(
            curves.without(found.curves[theirs], reference.OVERHEAD),
            curves.without(found.curves[mine], ours.overhead(3)),
            "psnr",
        )
        for found in photos
    ]
    gains = [_gain_table(photos, bare_streams) for bare_streams in (False, True)]
    bars = (
        Bar("BD-rate in PSNR, whole files", curves.mean(whole), LIMIT, "%", True),
        Bar("BD-rate in PSNR, codestreams", curves.mean(bare), LIMIT, "%", True),
        Bar("the goal, whole files", curves.mean(whole), 0.0, "%", True),
        Bar("the goal, codestreams", curves.mean(bare), 0.0, "%", True),
    )
    text = (
        "`--roi none --tune psnr`: nothing is favored, so a file should take no more bytes than "
        f"OpenJPEG's. Foveate's boxes take {ours.overhead(3)} bytes, OpenJPEG's {reference.OVERHEAD}: the "
        f"archive record makes the difference. {HOW}"
    )
    spread = Table(
        "BD-rate in PSNR against OpenJPEG, 0.125 to 2 bits per pixel, in percent",
        ("bytes counted", "photos", "mean", "median", "best", "worst"),
        (*_spread_rows("whole files", whole, photos), *_spread_rows("codestreams", bare, photos)),
    )
    figures = {"whole_file_percent": whole, "codestream_percent": bare}
    return Section("plain", "Nothing favored: PSNR", text, (spread, *gains), bars, figures)


def _spread_rows(name: str, percents: Sequence[float], photos: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Rows over all photos, the large ones and the others."""
    rows = []
    for kind, wanted in (("", (True, False)), (", a megapixel or more", (True,)), (", less", (False,))):
        pairs = zip(percents, photos, strict=True)
        values = [percent for percent, found in pairs if (found.pixels >= LARGE_PIXELS) in wanted]
        if values:
            cells = (number(f(values), "+.2f") for f in (curves.mean, statistics.median, min, max))
            rows.append((f"{name}{kind}", str(len(values)), *cells))
    return rows


def _gain_table(photos: Sequence[Measured], bare: bool) -> Table:
    """Mean PSNR at each rate, at equal bytes of whole files or of codestreams."""
    rows = []
    extra = (reference.OVERHEAD, ours.overhead(3)) if bare else (0, 0)
    for i, rate in enumerate(RATES):
        pairs = []
        for found in photos:
            theirs, mine = (
                curves.without(found.curves[codec], bytes_)
                for codec, bytes_ in zip((REFERENCE, PLAIN), extra, strict=True)
            )
            pairs.append((mine[i].figures["psnr"], _extended(theirs, mine[i].size, "psnr")))
        mine_db, theirs_db = np.array(pairs).T
        gain = mine_db - theirs_db
        cells = (mine_db.mean(), theirs_db.mean(), gain.mean(), gain.min(), gain.max())
        forms = (".3f", ".3f", "+.3f", "+.3f", "+.3f")
        rows.append((f"{rate:g}", *(number(v, form) for v, form in zip(cells, forms, strict=True))))
    head = ("bits per pixel", "Foveate", "OpenJPEG", "gain", "least", "most")
    of_what = "codestreams" if bare else "whole files"
    return Table(f"Mean PSNR in dB at equal bytes of {of_what}", head, tuple(rows))


def _extended(curve: Curve, size: float, figure: str) -> float:
    """The figure at a size, extrapolated linearly up to a few percent beyond the curve's ends."""
    inside = curves.at_size(curve, size, figure)
    if not np.isnan(inside):
        return inside
    first, second = (curve[0], curve[1]) if size < curve[1].size else (curve[-1], curve[-2])
    if first.size == second.size:
        return first.figures[figure]
    slope = (second.figures[figure] - first.figures[figure]) / np.log(second.size / first.size)
    return float(first.figures[figure] + slope * np.log(size / first.size))
