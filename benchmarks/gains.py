"""Measures the networks' gain over the plain decode of the same bytes, by rate and photo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import curves
from benchmarks.codecs import BEST, bd_table, mean_table
from benchmarks.curves import MEASURES, SIMILARITIES
from benchmarks.fidelity import HOW, REFERENCE, Measured, codecs_of, favored_instead, mean_at, mean_curves
from benchmarks.restored import PLAIN, RATES, Way
from benchmarks.salient import GAIN_DB
from benchmarks.tables import Bar, Section, Table, number

_GAINS_DB = {0.125: 0.5, 0.25: 0.5, 0.5: 0.4, 1.0: 0.25}  # of `best`, by bits per pixel
_SHARE_OF_FAST = 0.7  # of these
_WORST_DB = -0.02  # on any photo
_SALIENT_RATE, _SALIENT_GAIN_DB = 0.5, 3.0


def gains_section(photos: Sequence[Measured]) -> Section:
    """Gains where nothing is favored.

    Args:
      photos: curves of each photo, with networks and without.
    """
    measures = tuple(figure for figure in MEASURES if figure != "psnr_s")
    found = _networks(photos)
    worst = {way: [min(_changes(photos, way, rate, "psnr")) for rate in RATES] for way in found}
    bars = [*_gain_bars(photos), *_worst_bars(photos)]
    text = (
        "`--roi none`: the mean change from the plain decode of Foveate's file of the same size. `worst` "
        "is the photo that gains least or loses most when the archive is restored: compress measures what "
        "RecCNN will do, and marks files that are better without it (`marked` is their share); `unmarked` "
        "would be the worst without these marks."
    )
    tables = (_gain_table(photos, measures),)
    return Section("gains", "What the networks bring", text, tables, tuple(bars), {"worst_db": worst})


def favored_section(photos: Sequence[Measured]) -> Section:
    """All codecs and the networks' gains in PSNR-S, with Foveate's files favoring what MS-ROI finds.

    Args:
      photos: curves of each photo, those of favored files among them.
    """
    photos = favored_instead(photos)
    bars = []
    for way in _networks(photos) if BEST not in codecs_of(photos) else [BEST]:
        mine, theirs = (mean_at(photos, codec, _SALIENT_RATE, "psnr_s") for codec in (way, REFERENCE))
        what = f"PSNR-S over OpenJPEG's, {_SALIENT_RATE:g} bpp, {way}"
        bars.append(Bar(what, mine - theirs, _SALIENT_GAIN_DB, "dB", False))
    text = (
        f"`--roi msroi --roi-gain {GAIN_DB:g}`: Foveate's files favor what MS-ROI finds, and contain its "
        "map. PSNR-S weights errors by that map; the other figures weight all places equally, and so show "
        f"what favoring costs. Here, compress marks files by PSNR-S. {HOW}"
    )
    tables = (
        mean_table(photos, "psnr_s"),
        bd_table(photos, tuple(MEASURES)),
        _gain_table(photos, ("psnr_s", "psnr")),
    )
    figures = {"curves": mean_curves(photos, ("psnr_s",))}
    return Section("favored", "All codecs, MS-ROI's map favored", text, tables, tuple(bars), figures)


def _networks(photos: Sequence[Measured]) -> list[str]:
    """The ways with a network."""
    return [codec for codec in codecs_of(photos) if codec.startswith(f"{PLAIN} +")]


def _gain_table(photos: Sequence[Measured], measures: Sequence[str]) -> Table:
    """A row for each way and rate."""
    rows = [
        (way, f"{rate:g}", *_gain_cells(photos, way, rate, measures))
        for way in _networks(photos)
        for rate in RATES
    ]
    caption = f"Mean change against the plain decode, {len(photos)} photos (PSNRs in dB)"
    head = ("", "bits per pixel", *(MEASURES[figure] for figure in measures))
    first = MEASURES[measures[0]]
    return Table(caption, (*head, f"worst {first}", "marked", "unmarked PSNR"), tuple(rows))


def _gain_cells(photos: Sequence[Measured], way: str, rate: float, measures: Sequence[str]) -> Iterator[str]:
    at = RATES.index(rate)
    for figure in measures:
        form = "+.4f" if figure in SIMILARITIES else "+.3f"
        yield number(curves.mean(_changes(photos, way, rate, figure)), form)
    yield number(min(_changes(photos, way, rate, measures[0])), "+.3f")
    restored = [found.curves[way][at].figures for found in photos]
    yield number(curves.mean([figures["marked"] for figures in restored]), ".0%")
    plain = [found.curves[PLAIN][at].figures["psnr"] for found in photos]
    unmarked = [figures["unmarked"] for figures in restored]
    yield number(float(np.min(np.subtract(unmarked, plain))), "+.3f")


def _changes(photos: Sequence[Measured], way: str, rate: float, figure: str) -> list[float]:
    """Each photo's change; similarities are not in dB here."""
    back = curves.similarity if figure in SIMILARITIES else float
    at = RATES.index(rate)
    return [
        back(found.curves[way][at].figures[figure]) - back(found.curves[PLAIN][at].figures[figure])
        for found in photos
    ]


def _gain_bars(photos: Sequence[Measured]) -> Iterator[Bar]:
    for size, share in (("best", 1.0), ("fast", _SHARE_OF_FAST)):
        way = Way(size).name
        if way in codecs_of(photos):
            for rate, least_db in _GAINS_DB.items():
                gain = curves.mean(_changes(photos, way, rate, "psnr"))
                yield Bar(f"gain in PSNR, {rate:g} bpp, {way}", gain, share * least_db, "dB", False)


def _worst_bars(photos: Sequence[Measured]) -> Iterator[Bar]:
    for way in _networks(photos):
        worst = min(min(_changes(photos, way, rate, "psnr")) for rate in RATES)
        yield Bar(f"worst change of PSNR on any photo at any rate, {way}", worst, _WORST_DB, "dB", False)
