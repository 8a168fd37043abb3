"""Measures the speed of RecCNN beside OpenJPEG's decode of the same files, and its share of the peak.

For each number of cores, a separate process is pinned to as many. Decoding, restoring and measuring the
machine's peak take turns in it, so that other load affects all of them equally.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.networks import Networks
from benchmarks.photos import Photo, read_photo
from benchmarks.tables import Bar, Section, Table
from foveate.codec import openjpeg
from foveate.codec.encoder import Encoder
from foveate.codec.file import decode_file
from foveate.models import reccnn
from foveate.models.processor import multiplies_bfloat16
from foveate.models.reccnn import restore_pixels
from foveate.models.tiling import Network
from foveate.models.wavelet import CELL

RATES = ("0.5", "1", "2")  # bits per pixel of the files that are decoded
_JUDGED = "1"  # the default target of compress
ROUNDS = 3
_FASTER = ", bfloat16"
_MOST_DECODES = 8.0  # that `fast` may take, in the precision that restore chooses
_CHANNELS, _SIDE, _MATRIX = 64, 256, 2048  # of the convolution and the matrix product that show the peak


@dataclasses.dataclass(frozen=True)
class Served:
    """Times on so many cores: seconds for all photos, in the fastest round.

    decode_seconds: by bits per pixel, of `RATES`.
    restore_seconds: by network: a size of RecCNN and, where the processor multiplies bfloat16, the same with
        `_FASTER` after it; the rate makes no difference.
    peak: multiply-accumulates per second, by the faster of a large convolution and a matrix product.
    """

    cores: int
    pixels: int
    decode_seconds: dict[str, float]
    restore_seconds: dict[str, float]
    peak: float


def served(paths: Sequence[Path], available: Networks) -> list[Served]:
    """Times on one core, and on all."""
    every = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    found = []
    for cores in sorted({1, len(every)}):
        with ProcessPoolExecutor(
            1, mp_context=context, initializer=_keep_to, initargs=(every[:cores],)
        ) as pool:
            found.append(pool.submit(_timed, paths, available, cores).result())
    return found


def _keep_to(cores: Sequence[int]) -> None:
    """Pins this process, before TensorFlow starts one thread per core."""
    os.sched_setaffinity(0, cores)


def _timed(paths: Sequence[Path], available: Networks, cores: int) -> Served:
    photos = [read_photo(path) for path in paths]
    files = {rate: [_coded(photo, float(rate)) for photo in photos] for rate in RATES}
    maps = [decode_file(data).noise for data in files[_JUDGED]]

    def decode(rate: str) -> Callable[[], Any]:
        return lambda: [openjpeg.decode(data, threads=cores) for data in files[rate]]

    def restore(network: Network) -> Callable[[], Any]:
        pairs = list(zip(photos, maps, strict=True))
        return lambda: [restore_pixels(network, photo, cells, False) for photo, cells in pairs]

    works = {rate: decode(rate) for rate in RATES}
    networks = {size: available.reccnn(size) for size in available.sizes}
    if multiplies_bfloat16():
        networks |= {size + _FASTER: available.reccnn(size, "bfloat16") for size in available.sizes}
    works |= {name: restore(network) for name, network in networks.items()}
    peaks = _peak_works()
    clock = time.process_time if cores == 1 else time.perf_counter
    seconds = _quickest({**works, **{name: work for name, (work, _) in peaks.items()}}, clock)
    return Served(
        cores,
        sum(photo.shape[0] * photo.shape[1] for photo in photos),
        {rate: seconds[rate] for rate in RATES},
        {name: seconds[name] for name in networks},
        max(operations / seconds[name] for name, (_, operations) in peaks.items()),
    )


def _coded(photo: Photo, rate: float) -> bytes:
    budget = ours.budget_of(rate, *photo.shape[:2])
    return ours.file_within(Encoder(photo), budget)


def _quickest(works: dict[str, Callable[[], Any]], clock: Callable[[], float]) -> dict[str, float]:
    """The least seconds of each, taking turns, over all rounds but the first, which traces graphs."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS + 1):
        for name, work in works.items():
            start = clock()
            work()
            seconds[name].append(clock() - start)
    return {name: min(each[1:]) for name, each in seconds.items()}


def _peak_works() -> dict[str, tuple[Callable[[], Any], float]]:
    """Efficient operations and their multiply-accumulates: a convolution of 3 x 3, and a matrix product."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    picture = tf.constant(generator.random((1, _SIDE, _SIDE, _CHANNELS), dtype=np.float32))
    kernel = tf.constant(generator.random((3, 3, _CHANNELS, _CHANNELS), dtype=np.float32))
    matrix = tf.constant(generator.random((_MATRIX, _MATRIX), dtype=np.float32))

    def convolve() -> Any:
        return tf.nn.conv2d(picture, kernel, 1, "SAME").numpy()

    def multiply() -> Any:
        return tf.linalg.matmul(matrix, matrix).numpy()

    return {
        "convolution": (convolve, 9.0 * _SIDE**2 * _CHANNELS**2),
        "product": (multiply, float(_MATRIX**3)),
    }


def multiply_accumulates(network: Any) -> float:
    """Multiply-accumulates of a model per pixel: each kernel's weights once for each place of its output.

    Args:
      network: takes a picture and, if it has two inputs, a noise map.
    """
    import keras

    side = 8 * CELL
    inputs = [
        keras.Input((length, length, tensor.shape[-1]))
        for tensor, length in zip(network.inputs, (side, side // CELL), strict=False)
    ]
    sized = keras.models.clone_model(network, input_tensors=inputs if len(inputs) > 1 else inputs[0])
    convolutions = [layer for layer in sized.layers if hasattr(layer, "kernel")]
    places = [math.prod(layer.output.shape[1:3]) for layer in convolutions]
    weights = [math.prod(layer.kernel.shape) for layer in convolutions]
    return float(np.dot(weights, places)) / side**2


def serving_section(found: Sequence[Served]) -> Section:
    """Megapixels per second, time in units of a decode, and the share of the peak."""
    bars = [
        Bar(
            f"RecCNN {name}, {_cores(on)}, files of {_JUDGED} bpp",
            on.restore_seconds[name] / on.decode_seconds[_JUDGED],
            _MOST_DECODES,
            "decodes",
            True,
        )
        for on in found
        for name in _judged(on)
    ]
    peaks = ", ".join(f"{on.peak / 1e9:.0f} on {on.cores}" for on in found)
    text = (
        f"Files of `--roi none`; the fastest of {ROUNDS} rounds in which decoding, restoring and measuring "
        "the peak take turns: processor time on one core, wall time on all cores of an otherwise idle "
        "machine, where OpenJPEG has one thread per core. The peak, in GMAC per second by number of cores "
        f"({peaks}), is that of the faster of two operations: a convolution ({_CHANNELS} to {_CHANNELS} "
        f"channels, 3 x 3, {_SIDE} x {_SIDE} places) and a matrix product ({_MATRIX} x {_MATRIX}), in "
        "float32, by the same library. `restore` computes in bfloat16 where the processor multiplies it, in "
        "float32 elsewhere."
    )
    decodes = (f"decodes at {rate} bpp" for rate in RATES)
    head = ("", "megapixels per second", *decodes, "kMAC per pixel", "GMAC per second", "of the peak")
    caption = f"Speed of restoring {found[0].pixels / 1e6:.1f} megapixels"
    table = Table(caption, head, tuple(row for on in found for row in _rows(on)))
    figures = {"served": [dataclasses.asdict(on) for on in found]}
    return Section("serving", "How quickly RecCNN restores", text, (table,), tuple(bars), figures)


def _rows(on: Served) -> Iterator[tuple[str, ...]]:
    megapixels = on.pixels / 1e6
    for rate, seconds in on.decode_seconds.items():
        blank = ("–",) * (len(RATES) + 3)
        yield f"{_cores(on)}: OpenJPEG's decode, {rate} bpp", f"{megapixels / seconds:.2f}", *blank
    for name, seconds in on.restore_seconds.items():
        macs = multiply_accumulates(reccnn.build(name.removesuffix(_FASTER)))
        speed = macs * on.pixels / seconds
        yield (
            f"{_cores(on)}: RecCNN {name}",
            f"{megapixels / seconds:.2f}",
            *(f"{seconds / on.decode_seconds[rate]:.1f}" for rate in RATES),
            f"{macs / 1e3:.1f}",
            f"{speed / 1e9:.1f}",
            "–" if name.endswith(_FASTER) else f"{speed / on.peak:.0%}",
        )


def _judged(on: Served) -> list[str]:
    """RecCNN `fast` as `restore` runs it, if it was measured."""
    return [name for name in ("fast" + _FASTER, "fast") if name in on.restore_seconds][:1]


def _cores(on: Served) -> str:
    return f"{on.cores} core{'s' if on.cores > 1 else ''}"
