"""What choosing costs beside the encode that it follows: processor time by step, and memory."""

from __future__ import annotations

import ctypes
import dataclasses
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours
from benchmarks.photos import Photo, middle_quarter, mirrored_to, read_photo
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec import allocation, encoder, openjpeg, weights
from foveate.codec.allocation import Choice
from foveate.codec.encoder import Emphasis
from foveate.codec.weights import Tune
from foveate.quality.psnr import psnr

HEIGHT, WIDTH = 3000, 4000
ROUNDS = 5
GAIN_DB = 12.0
STEPS = ("parse", "weigh", "rank", "fit", "emit")
_TIME_LIMIT, _MEMORY_LIMIT = 15.0, 6.0  # percent of the encode, multiples of the raw photo

Seconds = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Case:
    """What is asked for."""

    name: str
    bits_per_pixel: float
    tune: Tune = "psnr"
    map_shape: tuple[int, int] | None = None  # height and width of the saliency map
    layers: int = 1

    @property
    def saliency(self) -> NDArray[np.float32] | None:
        """A map that favors the middle quarter, or None."""
        return None if self.map_shape is None else middle_quarter(*self.map_shape)


CASES = (
    Case("nothing favored, 1 bpp", 1.0),
    Case("nothing favored, 2 bpp", 2.0),
    Case("`--tune ssim`, 1 bpp", 1.0, "ssim"),
    Case("a map of 128 x 96, 1 bpp", 1.0, map_shape=(96, 128)),
    Case("a mask as large as the photo, `--tune ssim`, 6 layers, 1 bpp", 1.0, "ssim", (HEIGHT, WIDTH), 6),
)


@dataclasses.dataclass(frozen=True)
class Timed:
    """Medians over the rounds of a case, in seconds of processor time.

    `steps` are ours by name, "tightening" among them as a part of "fit"; `layered` is OpenJPEG's encode that
    they follow, `single` its encode of one layer of the same PSNR; `memory` is the most that the steps held
    beyond what they were given, in multiples of the raw photo.
    """

    case: Case
    steps: Seconds
    layered: float
    single: float
    memory: float

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.steps[name] for name in STEPS)


def timed(photo: Photo, case: Case, rounds: int = ROUNDS) -> Timed:
    """Times a case round by round: both encodes and the steps take turns, so that they meet the same load."""
    psnrs = encoder.layer_psnrs(photo)
    height, width, _ = photo.shape
    side = weights.block_size(height, width, case.saliency, GAIN_DB)
    data = openjpeg.encode(photo, layer_psnrs_db=psnrs, block_size=side)
    _, codestream = chosen(photo, data, case)  # compiles what is not compiled yet
    near_db = psnr(photo, openjpeg.decode(codestream).pixels)
    layered, single, steps = [], [], []
    for _ in range(rounds):
        layered.append(_seconds(lambda: openjpeg.encode(photo, layer_psnrs_db=psnrs, block_size=side)))
        single.append(_seconds(lambda: openjpeg.encode(photo, layer_psnrs_db=(near_db,))))
        steps.append(chosen(photo, data, case)[0])
    medians = {name: statistics.median(found[name] for found in steps) for name in steps[0]}
    memory = _peak_memory(photo, data, case) / photo.nbytes
    return Timed(case, medians, statistics.median(layered), statistics.median(single), memory)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def chosen(photo: Photo, data: bytes, case: Case, apart: bool = True) -> tuple[Seconds, bytes]:
    """From a codestream of many layers to the one that is kept, and the seconds of each step.

    Args:
      photo: what was encoded.
      data: its codestream, with the layers of `encoder.layer_psnrs`.
      case: what is asked for.
      apart: time the tightening once more for itself.
    """
    clock = [time.process_time()]
    stream, geometry, parts = allocation.parse_layers(data)
    clock.append(time.process_time())
    of_blocks = encoder.block_weights(stream, geometry, photo, Emphasis(case.saliency, GAIN_DB, case.tune))
    clock.append(time.process_time())
    slopes = allocation.layer_slopes(geometry, parts, encoder.layer_psnrs(photo))
    candidates = allocation.rank(stream, geometry, parts, slopes, of_blocks)
    clock.append(time.process_time())
    budget = ours.budget_of(case.bits_per_pixel, *photo.shape[:2])
    choice = allocation.fit_bytes(candidates, budget - ours.overhead(3), case.layers)
    clock.append(time.process_time())
    codestream = allocation.encode(choice)
    clock.append(time.process_time())
    seconds = dict(zip(STEPS, np.diff(clock).tolist(), strict=True))
    if apart:
        seconds["tightening"] = _seconds(lambda: allocation.tightened(Choice(candidates, choice.upto)))
    return seconds, codestream


def _peak_memory(photo: Photo, data: bytes, case: Case) -> float:
    """Bytes that the steps hold at most, beyond photo and codestream, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe()
    process = context.Process(target=_report_peak, args=(theirs,))
    process.start()
    theirs.close()
    ours_end.send((photo, data, case))
    try:
        return float(ours_end.recv())
    finally:
        process.join()


def _report_peak(pipe: Any) -> None:
    photo, data, case = pipe.recv()
    small = np.ascontiguousarray(photo[:256, :256])
    # Loads what is compiled; then what earlier work left free goes back, and the peak starts anew.
    chosen(small, openjpeg.encode(small, layer_psnrs_db=encoder.layer_psnrs(small)), case, apart=False)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak resident size starts anew
    before = _status_bytes("VmRSS")
    chosen(photo, data, case, apart=False)
    pipe.send(_status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise AssertionError(f"/proc/self/status has no {field}")
    return 1024 * int(found[1])


def giant(paths: Sequence[Path]) -> tuple[Photo, str]:
    """The largest of the photos, continued by its mirror images, and what to call it."""
    photo = max(map(read_photo, paths), key=lambda p: p.size)
    name = (
        f"a photo of {photo.shape[1]} x {photo.shape[0]} continued by its mirror images to {WIDTH} x {HEIGHT}"
    )
    return mirrored_to(photo, HEIGHT, WIDTH), name


def speed_section(cases: Sequence[Timed], photo_name: str) -> Section:
    """Time of the steps, as a share of both encodes, and memory."""
    times = Table(
        "Processor seconds, one thread",
        ("case", *STEPS, "of fit: tightening", "all", "OpenJPEG, same layers", "OpenJPEG, one layer"),
        tuple(
            (
                found.case.name,
                *(number(found.steps[name], ".3f") for name in (*STEPS, "tightening")),
                *(number(v) for v in (found.total, found.layered, found.single)),
            )
            for found in cases
        ),
    )
    shares = Table(
        "What choosing adds, and the most memory that it holds",
        ("case", "of the encode with the same layers", "of the encode with one layer", "memory, raw photos"),
        tuple(
            (
                found.case.name,
                number(found.total / found.layered, ".1%"),
                number(found.total / found.single, ".1%"),
                number(found.memory, ".1f"),
            )
            for found in cases
        ),
    )
    bars = []
    for found in cases:
        share = 100 * found.total / found.layered
        bars.append(Bar(f"time, {found.case.name}", share, _TIME_LIMIT, "% of the encode", True))
        bars.append(Bar(f"memory, {found.case.name}", found.memory, _MEMORY_LIMIT, "raw photos", True))
    text = (
        f"{photo_name[0].upper()}{photo_name[1:]}. OpenJPEG's encodes and the steps that follow take turns "
        f"in one process; medians of {ROUNDS} rounds, of processor time, to which other load on the machine "
        "adds little. Memory is what the resident size of a process of its own grows by at most, beyond the "
        "photo and the codestream that it is given."
    )
    figures = {
        "seconds": [
            {"case": f.case.name, **f.steps, "layered": f.layered, "single": f.single, "memory": f.memory}
            for f in cases
        ]
    }
    return Section("speed", "Time and memory", text, (times, shares), tuple(bars), figures)
