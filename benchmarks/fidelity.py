"""Rate and fidelity of all codecs, no place favoured: each photo's curves, and what they say together."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import curves, ours, peers, reference
from benchmarks.curves import Curve, Point
from benchmarks.kept import Kept
from benchmarks.photos import LARGE_PIXELS, Photo, read_photo
from benchmarks.tables import Bar, Section, Table, number
from codec import encoder, openjpeg
from codec.encoder import Emphasis
from codec.weights import Tune

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)  # bits a pixel
REFERENCE = "OpenJPEG"
OURS: dict[str, Tune] = {"Foveate, psnr": "psnr", "Foveate, ssim": "ssim"}
CODECS = (REFERENCE, *OURS, *peers.PEERS)
MEASURE_NAMES = {"psnr": "PSNR", "psnr_y": "PSNR-Y", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}


_SSIM_RATES = (0.25, 0.5, 1.0)

PLAIN_LIMIT, SSIM_LIMIT, SSIM_GOAL = 0.3, -12.0, -20.0  # percent


@dataclasses.dataclass(frozen=True)
class Measured:
    """A photo's pixels, and its curves by codec; their sizes are bytes of whole files."""

    pixels: int
    curves: Mapping[str, Curve]


_HOW = (
    "A photo's BD-rate is how far its two curves, of log bytes over the figure, are apart on average "
    "(piecewise cubic, PCHIP, the `bjontegaard` package), over the figures that both reach, in percent of "
    "bytes; negative is better. Means are over the photos' BD-rates."
)


def measured(path: Path, codecs: Sequence[str], with_peers: Collection[Path], kept: Kept) -> Measured:
    """The curves of a photo for some of `CODECS`; for peers only if the photo is among `with_peers`."""
    photo = read_photo(path)
    codecs = [codec for codec in codecs if path in with_peers or codec not in peers.PEERS]
    return Measured(photo.shape[0] * photo.shape[1], {codec: _curve(photo, codec, kept) for codec in codecs})


def _curve(photo: Photo, codec: str, kept: Kept) -> Curve:
    if codec in OURS:
        return our_curve(photo, OURS[codec])
    if codec in peers.PEERS:
        return kept.curve(photo, f"{codec} {peers.settings()}", lambda: peers.curve(codec, photo))
    name = f"OpenJPEG {openjpeg.library_version()} {RATES}"
    return kept.curve(photo, name, lambda: reference_curve(photo))


def our_curve(photo: Photo, tune: Tune) -> Curve:
    """Whole files at `RATES`, nothing salient."""
    candidates = encoder.layered(photo, Emphasis(tune=tune))
    files = [ours.file_within(candidates, budget) for budget in _budgets(photo)]
    return tuple(Point(len(f), curves.fidelity(photo, openjpeg.decode(f).pixels)) for f in files)


def reference_curve(photo: Photo) -> Curve:
    """OpenJPEG's whole files at `RATES`."""
    judge: Callable[..., curves.Figures] = functools.partial(curves.fidelity, photo)
    return tuple(reference.plain(photo, budget, judge) for budget in _budgets(photo))


def _budgets(photo: Photo) -> list[int]:
    return [ours.budget_of(rate, *photo.shape[:2]) for rate in RATES]


def plain_section(photos: Sequence[Measured]) -> Section:
    """What choosing packets costs or gains in PSNR where nothing is favoured.

    Args:
      photos: curves of each photo, of OpenJPEG and Foveate tuned for PSNR.
    """
    mine, theirs = "Foveate, psnr", REFERENCE
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
        Bar("BD-rate in PSNR, whole files", curves.mean(whole), PLAIN_LIMIT, "%", True),
        Bar("BD-rate in PSNR, codestreams", curves.mean(bare), PLAIN_LIMIT, "%", True),
        Bar("the goal, whole files", curves.mean(whole), 0.0, "%", True),
        Bar("the goal, codestreams", curves.mean(bare), 0.0, "%", True),
    )
    text = (
        "`--roi none --tune psnr`: nothing is favoured, so a file should cost no more than plain "
        f"OpenJPEG's. Foveate's boxes take {ours.overhead(3)} bytes, OpenJPEG's {reference.OVERHEAD}: the "
        f"archive record makes the difference. {_HOW}"
    )
    spread = Table(
        "BD-rate in PSNR against OpenJPEG, 0.125 to 2 bits a pixel, in percent",
        ("bytes counted", "photos", "mean", "median", "best", "worst"),
        (*_spread_rows("whole files", whole, photos), *_spread_rows("codestreams", bare, photos)),
    )
    figures = {"whole_file_percent": whole, "codestream_percent": bare}
    return Section("plain", "Nothing favoured: PSNR", text, (spread, *gains), bars, figures)


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
                for codec, bytes_ in zip((REFERENCE, "Foveate, psnr"), extra, strict=True)
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
    """The figure at a size up to a few percent beyond the curve's ends, where the line of the end goes on."""
    inside = curves.at_size(curve, size, figure)
    if not np.isnan(inside):
        return inside
    first, second = (curve[0], curve[1]) if size < curve[1].size else (curve[-1], curve[-2])
    if first.size == second.size:
        return first.figures[figure]
    slope = (second.figures[figure] - first.figures[figure]) / np.log(second.size / first.size)
    return float(first.figures[figure] + slope * np.log(size / first.size))


def ssim_section(photos: Sequence[Measured]) -> Section:
    """What tuning for MS-SSIM gains, and how far it goes towards AVIF.

    Args:
      photos: curves of each photo, of OpenJPEG and Foveate; of some, those of all peers too.
    """
    caption = f"BD-rate in MS-SSIM against OpenJPEG, and mean MS-SSIM, {len(photos)} photos"
    tables = [_ssim_table(caption, _ssim_rows(photos))]
    sampled = having_peers(photos)
    if 0 < len(sampled) < len(photos):
        caption = f"The same beside other codecs, {len(sampled)} photos"
        tables.append(_ssim_table(caption, _ssim_rows(sampled)))
    mine = bd_rates(photos, "Foveate, ssim", "ms_ssim")
    bars = (
        Bar("BD-rate in MS-SSIM, whole files", curves.mean(mine), SSIM_LIMIT, "%", True),
        Bar("the goal", curves.mean(mine), SSIM_GOAL, "%", True),
    )
    text = (
        "`--roi none --tune ssim`. BD-rates are taken over -10 log10(1 - MS-SSIM) and over the figures of "
        "OpenJPEG's files from 0.125 to 2 bits a pixel. The way to AVIF is the BD-rate over AVIF's, both as "
        f"logarithms. {_HOW}"
    )
    title = "Nothing favoured: MS-SSIM"
    return Section("ssim", title, text, tuple(tables), bars, {"percent": mine})


def _ssim_rows(photos: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A row for each codec that all the photos have."""
    codecs = [codec for codec in CODECS if photos and all(codec in found.curves for found in photos)]
    means = {codec: curves.mean(bd_rates(photos, codec, "ms_ssim")) for codec in codecs}
    rows = []
    for codec, percent in means.items():
        similar = (mean_at(photos, codec, rate, "ms_ssim", curves.similarity) for rate in _SSIM_RATES)
        way = curves.share_of_the_way(percent, means.get("AVIF", math.nan)) if percent else math.nan
        cells = (number(percent, "+.1f"), *(number(v, ".4f") for v in similar), number(way, ".0%"))
        rows.append((codec, *cells))
    return rows


def _ssim_table(caption: str, rows: Sequence[tuple[str, ...]]) -> Table:
    head = ("codec", "BD-rate, %", *(f"at {rate:g} bpp" for rate in _SSIM_RATES), "way to AVIF")
    return Table(caption, head, tuple(rows))


def having_peers(photos: Sequence[Measured]) -> list[Measured]:
    """Those photos that have every codec's curve."""
    return [found for found in photos if set(CODECS) <= set(found.curves)]


def peers_section(photos: Sequence[Measured]) -> Section:
    """All codecs against OpenJPEG in all measures, and the points of the picture, of photos that have all."""
    photos = having_peers(photos)
    rates = {
        codec: {figure: bd_rates(photos, codec, figure) for figure in curves.MEASURES} for codec in CODECS[1:]
    }
    rows = tuple(
        (codec, *(number(curves.mean(found[figure]), "+.1f") for figure in curves.MEASURES))
        for codec, found in rates.items()
    )
    head = ("codec", *(MEASURE_NAMES[figure] for figure in curves.MEASURES))
    tables = [Table(f"Mean BD-rate against OpenJPEG in percent, {len(photos)} photos", head, rows)]
    for figure, back, form in (("psnr", float, ".2f"), ("ms_ssim", curves.similarity, ".4f")):
        cells = tuple(
            (codec, *(number(mean_at(photos, codec, rate, figure, back), form) for rate in RATES))
            for codec in CODECS
        )
        title = f"Mean {MEASURE_NAMES[figure]} at equal bits per pixel"
        tables.append(Table(title, ("codec", *(f"{rate:g}" for rate in RATES)), cells))
    text = (
        f"OpenJPEG {openjpeg.library_version()}; {peers.versions()}. JPEG: optimised tables, progressive, "
        "4:2:0 or 4:4:4, whichever is better at a size; WebP: method 6; AVIF: speed 6, 4:4:4; JPEG XL: "
        "effort 7. Whole files without metadata, over ten or more quality settings, interpolated between "
        "these. SSIM and MS-SSIM are of BT.601 luma, their BD-rates over -10 log10(1 - x). A dash: the "
        f"codec's settings do not make every photo so small or so large. {_HOW}"
    )
    figures = {"percent": rates, "curves": mean_curves(photos)}
    return Section("peers", "Other codecs", text, tuple(tables), (), figures)


def bd_rates(photos: Sequence[Measured], codec: str, figure: str) -> list[float]:
    """Each photo's BD-rate against OpenJPEG, in percent."""
    return [curves.bd_rate(found.curves[REFERENCE], found.curves[codec], figure) for found in photos]


def mean_at(
    photos: Sequence[Measured],
    codec: str,
    rate: float,
    figure: str,
    back: Callable[[float], float] = float,
) -> float:
    """The mean of a figure over all photos at so many bits a pixel, brought `back` from decibels.

    NaN unless every photo has that rate within its curve; a codec that was asked for the rate has it, though
    its files end a few bytes short.
    """
    values = []
    for found in photos:
        curve = found.curves[codec]
        size = int(rate * found.pixels / 8)
        if codec in peers.PEERS:
            values.append(back(curves.at_size(curve, size, figure)))
        else:
            values.append(back(curve[RATES.index(rate)].figures[figure]))
    return curves.mean(values)


def mean_curves(photos: Sequence[Measured]) -> list[dict[str, float | str]]:
    """Points of the picture: each codec's mean PSNR and MS-SSIM in dB at each rate that all photos have."""
    points: list[dict[str, float | str]] = []
    for codec in CODECS:
        for rate in RATES:
            values = {figure: mean_at(photos, codec, rate, figure) for figure in ("psnr", "ms_ssim")}
            if not np.isnan(list(values.values())).any():
                points.append({"codec": codec, "bits_per_pixel": rate, **values})
    return points
