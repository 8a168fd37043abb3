"""Compares our encoder with OpenJPEG's: processor time by stage, memory, threads, and loss by early stop."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import graphics, openjpeg_encoder
from benchmarks.photos import Photo, mirrored_to, read_photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import allocation, openjpeg
from foveate.codec.allocation import Choice
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.quality.psnr import psnr

SIZES = {"0.25 MP": (500, 500), "2 MP": (1155, 1732), "12 MP": (3000, 4000), "50 MP": (5792, 8688)}
ROUNDS = 5
RATES = (0.25, 0.5, 1.0, 2.0)  # bits per pixel
LOSSLESS, SLOPE = "lossless", "--slope 1000"
LAYERED, SINGLE, OURS = "OpenJPEG, 59 layers", "OpenJPEG, one layer", "Foveate"
STAGES = ("lay out", "transform", "survey", "code and choose", "emit")
_STAGED_RATE = 0.5
_THREADS = (1, 2, 4)
# The layers that earlier versions of Foveate chose from, for 8-bit photos, in decibels.
_MANY_LAYERS = (*(17 + 0.75 * k for k in range(58)), 0.0)
_WRONG_BY = math.log10(8)  # error of a first guess of the slope, as a factor

Seconds = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Timed:
    """One picture's medians over the rounds, in seconds of processor time.

    by_target: the time of each encoder, for each target.
    stages: the time of our encoder's stages at half a bit per pixel.
    memory: our encoder's peak in bytes per pixel, without the picture.
    threads: seconds of wall time by number of threads.
    """

    name: str
    pixels: int
    by_target: dict[str, Seconds]
    stages: Seconds
    memory: float
    threads: dict[int, float]


@dataclasses.dataclass(frozen=True)
class Stopped:
    """The loss from early stop and from wrong guesses, in dB of PSNR against a choice from all passes."""

    name: str
    rate: float
    early: float
    too_low: float
    too_high: float


def pictures(paths: Sequence[Path], sizes: Sequence[str] = tuple(SIZES)) -> dict[str, Photo]:
    """The largest photo at each size, extended by its mirror images; a scan and a screenshot."""
    photo = max(map(read_photo, paths), key=lambda p: p.size)
    found = {f"photo, {name}": mirrored_to(photo, *SIZES[name]) for name in sizes}
    side = SIZES["2 MP"] if "2 MP" in sizes else SIZES["0.25 MP"]
    return {
        **found,
        "scan of text": graphics.scanned_page(*side),
        "screenshot": graphics.screenshot(*side, photo),
    }


# Times ----------------------------------------------------------------------------------------------


def timed(name: str, photo: Photo, rounds: int = ROUNDS) -> Timed:
    """Times all encoders and targets for a picture; encoders take turns, so that they see the same load."""
    by_target = {}
    for target, ways in _ways(photo).items():
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, work in ways.items():
                seconds[way].append(_seconds(work))
        by_target[target] = {way: statistics.median(found) for way, found in seconds.items()}
    stages = [_stages(photo) for _ in range(rounds)]
    return Timed(
        name,
        photo.shape[0] * photo.shape[1],
        by_target,
        {stage: statistics.median(found[stage] for found in stages) for stage in STAGES},
        _peak_memory(photo) / (photo.shape[0] * photo.shape[1]),
        {count: min(_clock(photo, count) for _ in range(rounds)) for count in _THREADS},
    )


def _ways(photo: Photo) -> dict[str, dict[str, Callable[[], Any]]]:
    """The call of each encoder for each target."""
    ways: dict[str, dict[str, Callable[[], Any]]] = {}
    for rate in RATES:
        near_db = psnr(photo, openjpeg.decode(_encoded(photo, rate)).pixels)
        ways[f"{rate:g} bpp"] = {
            LAYERED: functools.partial(openjpeg_encoder.encode, photo, psnrs_db=_MANY_LAYERS),
            SINGLE: functools.partial(openjpeg_encoder.encode, photo, psnrs_db=(near_db,)),
            OURS: functools.partial(_encoded, photo, rate),
        }
    ways[SLOPE] = {OURS: lambda: allocation.encode(Encoder(photo).at_slope(1000.0))}
    ways[LOSSLESS] = {
        SINGLE: lambda: openjpeg_encoder.encode(photo, reversible=True),
        OURS: lambda: allocation.encode(Encoder(photo, coding=Coding(reversible=True)).whole()),
    }
    return ways


def _budget(photo: Photo, rate: float) -> int:
    return int(rate * photo.shape[0] * photo.shape[1] / 8)


def _encoded(photo: Photo, rate: float, threads: int = 1) -> bytes:
    return allocation.encode(Encoder(photo, coding=Coding(threads=threads)).within(_budget(photo, rate)))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _clock(photo: Photo, threads: int) -> float:
    start = time.perf_counter()
    _encoded(photo, _STAGED_RATE, threads)
    return time.perf_counter() - start


def _stages(photo: Photo) -> Seconds:
    """Seconds of each stage of one encode."""
    budget = _budget(photo, _STAGED_RATE)
    source: list[Encoder] = []
    found = {"lay out": _seconds(lambda: source.append(Encoder(photo)))}
    coder = source[0].coder
    found["transform"] = _seconds(coder.transform)
    found["survey"] = _seconds(coder.survey)
    choice: list[Choice] = []
    found["code and choose"] = _seconds(lambda: choice.append(source[0].within(budget))) - found["survey"]
    found["emit"] = _seconds(lambda: allocation.encode(choice[0]))
    return found


# Memory ---------------------------------------------------------------------------------------------


def _peak_memory(photo: Photo) -> float:
    """The peak memory of an encode beyond the photo, in bytes, in a separate process."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe()
    process = context.Process(target=_report_peak, args=(theirs,))
    process.start()
    theirs.close()
    ours_end.send(photo)
    try:
        return float(ours_end.recv())
    finally:
        process.join()


def _report_peak(pipe: Any) -> None:
    photo = pipe.recv()
    _encoded(np.ascontiguousarray(photo[:256, :256]), _STAGED_RATE)  # loads the compiled loops
    ctypes.CDLL(None).malloc_trim(0)  # memory freed by earlier work is returned
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak resident size starts anew
    before = _status_bytes("VmRSS")
    _encoded(photo, _STAGED_RATE)
    pipe.send(_status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise AssertionError(f"/proc/self/status has no {field}")
    return 1024 * int(found[1])


# Early stop -----------------------------------------------------------------------------------------


class _Misled(Encoder):
    """An encoder that guesses the slope wrong by a fixed factor."""

    wrong_by = 0.0

    def _predicted(self, budget: int) -> float:
        return super()._predicted(budget) + self.wrong_by


def stopped(name: str, photo: Photo) -> list[Stopped]:
    """Measures the loss from early stop at each rate."""
    whole = Encoder(photo).whole().candidates
    found = []
    for rate in RATES:
        budget = _budget(photo, rate)
        reference = _psnr(photo, allocation.fit_bytes(whole, budget))

        def cost(wrong_by: float, reference: float = reference, budget: int = budget) -> float:
            source = _Misled(photo)
            source.wrong_by = wrong_by
            return _loss(reference, _psnr(photo, source.within(budget)))

        found.append(Stopped(name, rate, cost(0.0), cost(-_WRONG_BY), cost(_WRONG_BY)))
    return found


def _psnr(photo: Photo, choice: Choice) -> float:
    return psnr(photo, openjpeg.decode(allocation.encode(choice)).pixels)


def _loss(reference: float, reached: float) -> float:
    return 0.0 if reference == reached else reference - reached


# The section ----------------------------------------------------------------------------------------


def encoding_section(found: Sequence[Timed], losses: Sequence[Stopped]) -> Section:
    """Times, stages, memory, threads, and the cost of stopping early."""
    text = (
        f"From pixels to a codestream on one thread: medians of processor time over {ROUNDS} rounds in "
        "which the encoders take turns. Earlier versions of Foveate chose from the "
        f"{len(_MANY_LAYERS)} quality layers of an OpenJPEG file. The photo is the largest in the folder, "
        "extended by its mirror images; the scan and the screenshot are drawn by the program. Memory is the "
        "most by which the resident size of a separate process grows beyond the picture. Threads are "
        "measured in wall time: on a machine with other load, as here, those two columns say little."
    )
    return Section(
        "encode",
        "Encoding",
        text,
        (_times(found), _stage_shares(found), _early_stop(losses)),
        tuple(_bars(found, losses)),
        {"timed": [dataclasses.asdict(f) for f in found], "stopped": [dataclasses.asdict(s) for s in losses]},
    )


def _times(found: Sequence[Timed]) -> Table:
    rows = []
    for picture in found:
        for target, seconds in picture.by_target.items():
            mine = seconds[OURS]
            rates = [picture.pixels / seconds[way] / 1e6 if way in seconds else math.nan for way in _COLUMNS]
            times = [seconds[way] / mine if way in seconds else math.nan for way in (LAYERED, SINGLE)]
            cells = [number(value, ".1f") for value in (*rates, *times)]
            rows.append((picture.name, target, *cells))
    head = ("picture", "target", *_COLUMNS, "times as fast as 59 layers", "as one layer")
    return Table("Megapixels per second of processor time", head, tuple(rows))


_COLUMNS = (LAYERED, SINGLE, OURS)


def _stage_shares(found: Sequence[Timed]) -> Table:
    rows = []
    for picture in found:
        total = sum(picture.stages.values())
        shares = (number(picture.stages[stage] / total, ".0%") for stage in STAGES)
        one = picture.threads[_THREADS[0]]
        speeds = (number(one / picture.threads[count], ".2f") for count in _THREADS[1:])
        rows.append((picture.name, *shares, number(picture.memory, ".1f"), *speeds))
    threads = (f"{count} threads, times as fast" for count in _THREADS[1:])
    head = ("picture", *STAGES, "bytes per pixel", *threads)
    return Table(f"Shares of the stages at {_STAGED_RATE:g} bpp, memory, threads", head, tuple(rows))


def _early_stop(losses: Sequence[Stopped]) -> Table:
    rows = tuple(
        (loss.name, f"{loss.rate:g}", *(number(v, "+.4f") for v in (loss.early, loss.too_low, loss.too_high)))
        for loss in losses
    )
    head = ("picture", "bpp", "stopped early", "first guess 8 times too low", "8 times too high")
    return Table("dB of PSNR below a choice from all passes, at equal bytes", head, rows)


def _bars(found: Sequence[Timed], losses: Sequence[Stopped]) -> list[Bar]:
    bars = []
    for picture in found:
        for target, seconds in picture.by_target.items():
            if SINGLE in seconds:
                limit = 1.2 if target == LOSSLESS else 1.0
                share = seconds[OURS] / seconds[SINGLE]
                bars.append(Bar(f"time, {picture.name}, {target}", share, limit, "of one layer's", True))
        bars.append(Bar(f"memory, {picture.name}", picture.memory, 20, "bytes per pixel", True))
    large = next((p for p in found if "12 MP" in p.name), None)
    if large is not None:
        for target, limit in (("0.5 bpp", 4.0), ("2 bpp", 2.0)):
            seconds = large.by_target[target]
            bars.append(Bar(f"{large.name}, {target}", seconds[LAYERED] / seconds[OURS], limit, "x", False))
    bars.append(Bar("early stop, worst", max(loss.early for loss in losses), 0.005, "dB", True))
    wrong = max(max(loss.too_low, loss.too_high) for loss in losses)
    bars.append(Bar("a wrong guess, worst", wrong, 0.003, "dB", True))
    return bars
