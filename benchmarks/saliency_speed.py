"""Compares the processor time of maps with that of the encode that follows, on one core."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import openjpeg_encoder, ours
from benchmarks.photos import Photo, mirrored_to
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec.encoder import Encoder
from foveate.models import msroi

HEIGHT, WIDTH = 1155, 1732  # two megapixels
ROUNDS = 9
_LIMIT_MS = 60.0
_ONE_LAYER_DB = 38.0
_RATE = 1.0


@dataclasses.dataclass(frozen=True)
class Timed:
    """Medians over the rounds, in milliseconds of processor time per photo."""

    maps: float
    ours: float
    single: float


def timed(
    photo: Photo, weights: Path, rounds: int = ROUNDS, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Timed:
    """Times maps in batches of 8 and OpenJPEG's encodes in turn, in a process with one core."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _to_one_core) as pool:
        return pool.apply(_timed, (mirrored_to(photo, *size), weights, rounds))


def _to_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _timed(photo: Photo, weights: Path, rounds: int) -> Timed:
    model = msroi.load(weights)
    budget = ours.budget_of(_RATE, *photo.shape[:2])
    batch = [photo] * msroi.BATCH
    msroi.saliency_maps(model, batch)  # the first call traces the network
    times: dict[str, list[float]] = {"maps": [], "ours": [], "single": []}
    for _ in range(rounds):
        times["maps"].append(_milliseconds(lambda: msroi.saliency_maps(model, batch)) / msroi.BATCH)
        times["ours"].append(_milliseconds(lambda: Encoder(photo).within(budget)))
        times["single"].append(
            _milliseconds(lambda: openjpeg_encoder.encode(photo, psnrs_db=(_ONE_LAYER_DB,)))
        )
    return Timed(**{name: statistics.median(values) for name, values in times.items()})


def _milliseconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def speed_section(found: Timed) -> Section:
    """Milliseconds, and as shares of the encodes."""
    rows = (
        (f"MS-ROI, a photo of a batch of {msroi.BATCH}", number(found.maps, ".0f"), ""),
        *(
            (name, number(encode, ".0f"), number(found.maps / encode, ".1%"))
            for name, encode in (
                (f"Foveate, {_RATE:g} bits per pixel", found.ours),
                ("OpenJPEG, one layer", found.single),
            )
        ),
    )
    text = (
        "A photo of 2 megapixels, including the time to scale it down. Maps and encodes take turns in one "
        f"process that is pinned to one core; medians of processor time over {ROUNDS} rounds."
    )
    table = Table("Milliseconds", ("", "ms", "MS-ROI's share of it"), rows)
    bar = Bar("a photo, on one core", found.maps, _LIMIT_MS, "ms", True)
    return Section("speed", "Time", text, (table,), (bar,), dataclasses.asdict(found))
