"""Measures a photo's rate-distortion curves for all codecs, and sums up the curves of many photos."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import curves, networks, ours, peers, reference, restored
from benchmarks.curves import Curve
from benchmarks.kept import Kept
from benchmarks.networks import Networks
from benchmarks.photos import Photo, read_photo
from benchmarks.restored import PLAIN, RATES, Task, Way
from foveate.codec import openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.encoder import Encoder

REFERENCE = "OpenJPEG"
TUNED = "Foveate, visual"
HOW = (
    "A photo's BD-rate is the average distance between its two curves of log bytes over the figure "
    "(piecewise cubic interpolation, PCHIP, by the `bjontegaard` package), over the range that both reach, "
    "in percent of bytes; negative is better. Means are over the BD-rates of the photos."
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which curves sections need besides OpenJPEG's and those of Foveate's plain files.

    tuned: Foveate's files of `--tune visual`.
    others: the other codecs'.
    alike, favored: files that favor nothing, and MS-ROI's map, restored by the networks.
    """

    tuned: bool = False
    others: bool = False
    alike: bool = False
    favored: bool = False


@dataclasses.dataclass(frozen=True)
class Measured:
    """A photo's pixels, and its curves by codec; their sizes are bytes of whole files.

    `favored` has those of Foveate's files that favor what MS-ROI finds.
    """

    pixels: int
    curves: Mapping[str, Curve]
    favored: Mapping[str, Curve] = dataclasses.field(default_factory=dict)


def measured(path: Path, wanted: Wanted, available: Networks, kept: Kept) -> Measured:
    """The curves of a photo."""
    photo = read_photo(path)
    saliency = networks.saliency_map(photo, kept)
    found = {REFERENCE: _reference_curve(Task(photo, saliency, False), kept)}
    every = restored.ways(available)
    found |= restored.our_curves(
        Task(photo, saliency, False), every if wanted.alike else (Way(),), available, kept
    )
    if wanted.tuned:
        found[TUNED] = _tuned_curve(Task(photo, saliency, False))
    if wanted.others:
        found |= {peer: _peer_curve(peer, Task(photo, saliency, False), kept) for peer in peers.PEERS}
    favored = {}
    if wanted.favored:
        favored = restored.our_curves(Task(photo, saliency, True), every, available, kept)
    return Measured(photo.shape[0] * photo.shape[1], found, favored)


def _reference_curve(task: Task, kept: Kept) -> Curve:
    """OpenJPEG's whole files at `RATES`."""
    judge = functools.partial(curves.fidelity, task.photo, saliency=task.saliency)

    def measure() -> Curve:
        return tuple(reference.plain(task.photo, budget, judge) for budget in _budgets(task.photo))

    name = f"{REFERENCE} {openjpeg.library_version()} {RATES} {networks.msroi_name()}"
    return kept.curve(task.photo, name, measure)


def _peer_curve(peer: str, task: Task, kept: Kept) -> Curve:
    name = f"{peer} {peers.settings()} {networks.msroi_name()}"
    return kept.curve(task.photo, name, lambda: peers.curve(peer, task.photo, task.saliency))


def _tuned_curve(task: Task) -> Curve:
    """Whole files at `RATES`, tuned for the eye, favoring no place."""
    source = Encoder(task.photo, Emphasis(tune="visual"))
    files = [ours.file_within(source, budget) for budget in _budgets(task.photo)]
    return tuple(task.point(len(data), openjpeg.decode(data).pixels) for data in files)


def _budgets(photo: Photo) -> list[int]:
    return [ours.budget_of(rate, *photo.shape[:2]) for rate in RATES]


def codecs_of(photos: Sequence[Measured]) -> list[str]:
    """The codecs that all the photos have curves for."""
    return [codec for codec in photos[0].curves if all(codec in found.curves for found in photos)]


def bd_rates(photos: Sequence[Measured], codec: str, figure: str) -> list[float]:
    """Each photo's BD-rate against OpenJPEG, in percent."""
    return [curves.bd_rate(found.curves[REFERENCE], found.curves[codec], figure) for found in photos]


def favored_instead(photos: Sequence[Measured]) -> list[Measured]:
    """The photos with Foveate's files that favor what MS-ROI finds in place of those that favor nothing."""
    return [dataclasses.replace(found, curves={**_others(found), **found.favored}) for found in photos]


def _others(found: Measured) -> dict[str, Curve]:
    return {codec: curve for codec, curve in found.curves.items() if not codec.startswith(PLAIN)}


def mean_at(
    photos: Sequence[Measured],
    codec: str,
    rate: float,
    figure: str,
    back: Callable[[float], float] = float,
) -> float:
    """The mean of a figure over all photos at so many bits per pixel, brought `back` from decibels.

    NaN if the codec's smallest file of any photo is larger. A codec that was given the rate counts as
    reaching it, even if its files end a few bytes short.
    """
    return curves.mean([back(figure_at(found, codec, rate, figure)) for found in photos])


def figure_at(found: Measured, codec: str, rate: float, figure: str) -> float:
    """The figure of one photo at so many bits per pixel."""
    curve = found.curves[codec]
    if codec in peers.PEERS:
        return curves.at_size(curve, int(rate * found.pixels / 8), figure)
    return curve[RATES.index(rate)].figures[figure]


def mean_curves(photos: Sequence[Measured], figures: Sequence[str]) -> list[dict[str, float | str]]:
    """Points of a picture: each codec's mean figures at each rate that all photos have."""
    points: list[dict[str, float | str]] = []
    for codec in codecs_of(photos):
        for rate in RATES:
            for figure in figures:
                value = mean_at(photos, codec, rate, figure)
                if not math.isnan(value):
                    points.append({"codec": codec, "bits_per_pixel": rate, "figure": figure, "value": value})
    return points
