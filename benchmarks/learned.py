"""Compares the convolutional autoencoder with other codecs at equal bytes, and says what its coding takes."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import autoencoder, curves, fidelity
from benchmarks.curves import MEASURES, SIMILARITIES, Curve, Point
from benchmarks.fidelity import HOW, REFERENCE, Measured, Wanted
from benchmarks.kept import Kept
from benchmarks.networks import Networks
from benchmarks.photos import Photo, read_photo
from benchmarks.restored import PLAIN
from benchmarks.tables import Section, Table, number
from foveate.models.tiling import weights_sha256
from foveate.models.training.fitting import read_log

NAME = "autoencoder"
_BESIDE = ("JPEG", REFERENCE, PLAIN, "AVIF")
_MEASURES = ("psnr", "ms_ssim", "ssimulacra2")
_SECONDS = ("encode_seconds", "decode_seconds")


def compared(path: Path, available: Networks, kept: Kept) -> Measured:
    """The autoencoder's curve of a photo, beside those of other codecs; its points also say `_SECONDS`."""
    found = fidelity.measured(path, Wanted(others=True), available, kept)
    photo = read_photo(path)
    name = f"{NAME} {weights_sha256(autoencoder.WEIGHTS)} float32"
    mine = kept.curve(photo, name, functools.partial(_curve, photo))
    return dataclasses.replace(
        found, curves={NAME: mine, **{codec: found.curves[codec] for codec in _BESIDE}}
    )


def _curve(photo: Photo) -> Curve:
    network = autoencoder.load()
    points = []
    for rate in range(autoencoder.RATES):
        start = time.process_time()
        data = autoencoder.encode(network, photo, rate)
        middle = time.process_time()
        decoded = autoencoder.decode(network, data)
        seconds = dict(zip(_SECONDS, (middle - start, time.process_time() - middle), strict=True))
        points.append(Point(len(data), {**curves.fidelity(photo, decoded), **seconds}))
    return tuple(points)


def learned_section(photos: Sequence[Measured]) -> Section:
    """Each codec at the autoencoder's bytes, photo by photo."""
    reached = [[p for p in photos if _all_reach(p, rate)] for rate in _rates()]
    rates = [
        curves.mean([8 * p.curves[NAME][rate].size / p.pixels for p in reached[rate]]) for rate in _rates()
    ]
    means = {
        figure: {
            codec: [
                curves.mean([_shown(_figure(p, codec, rate, figure), figure) for p in reached[rate]])
                for rate in _rates()
            ]
            for codec in (NAME, *_BESIDE)
        }
        for figure in _MEASURES
    }
    percents = {figure: _bd_rates(photos, figure) for figure in _MEASURES}
    seconds = [
        curves.mean([1e6 * point.figures[part] / p.pixels for p in photos for point in p.curves[NAME]])
        for part in _SECONDS
    ]
    text = (
        "A small convolutional autoencoder of the kind that surveys set beside JPEG 2000: three rates of one "
        f"network, real bytes of a range coder (`constriction`). {_training()} Every other codec is taken at "
        "the bytes of the autoencoder's file of each photo, if its smallest file is no larger; Foveate's "
        "files are plain, of `--roi none --tune psnr`. The autoencoder encodes in "
        f"{seconds[0]:.2f} and decodes in {seconds[1]:.2f} seconds of processor time per megapixel. {HOW}"
    )
    heads = [f"{rate:.2f} bpp, {len(of)} photos" for rate, of in zip(rates, reached, strict=True)]
    figures = {"bits_per_pixel": rates, "means": means, "bd_rates": percents, "seconds": seconds}
    tables = (
        _bd_table(percents),
        *(_table(figure, means[figure], heads) for figure in _MEASURES),
    )
    return Section("learned", "Nothing favored: an autoencoder", text, tables, (), figures)


def _training() -> str:
    """How long it was trained, by its log."""
    last = read_log(autoencoder.LOG)[-1]
    return (
        f"It was trained for {last['step']:,.0f} steps of nine patches, {last['cpu_seconds'] / 60:.0f} "
        "minutes of one core; published ones are larger and train for days on a graphics card, so it says "
        "little about what they reach."
    )


def _rates() -> range:
    return range(autoencoder.RATES)


def _all_reach(photo: Measured, rate: int) -> bool:
    """Whether all codecs have files as small as the autoencoder's."""
    return not any(math.isnan(_figure(photo, codec, rate, _MEASURES[0])) for codec in _BESIDE)


def _figure(photo: Measured, codec: str, rate: int, figure: str) -> float:
    point = photo.curves[NAME][rate]
    if codec == NAME:
        return point.figures[figure]
    return curves.at_size(photo.curves[codec], point.size, figure)


def _shown(value: float, figure: str) -> float:
    """A figure as tables show it: similarities not in decibels."""
    return curves.similarity(value) if figure in SIMILARITIES else value


def _bd_rates(photos: Sequence[Measured], figure: str) -> list[float]:
    """BD-rates of the photos on which both curves have some range in common."""
    every = (curves.bd_rate(p.curves[REFERENCE], p.curves[NAME], figure) for p in photos)
    return [percent for percent in every if not math.isnan(percent)]


def _bd_table(percents: Mapping[str, Sequence[float]]) -> Table:
    rows = tuple(
        (MEASURES[figure], str(len(of_photos)), number(curves.mean(of_photos), "+.1f"))
        for figure, of_photos in percents.items()
    )
    caption = "BD-rate of the autoencoder against OpenJPEG, over photos whose curves have a range in common"
    return Table(caption, ("measure", "photos", "mean, %"), rows)


def _table(figure: str, means: dict[str, list[float]], heads: Sequence[str]) -> Table:
    form = ".4f" if figure in SIMILARITIES else ".2f"
    rows = tuple((codec, *(number(value, form) for value in values)) for codec, values in means.items())
    return Table(f"Mean {MEASURES[figure]} at the bytes of the autoencoder's files", ("codec", *heads), rows)
