"""Measures plain OpenJPEG at exactly the requested bytes, with the better of its two rate controls.

Its two controls (a fixed quality, a fixed rate) end within a percent of the requested bytes, and not always
at equally good files; so for each figure the better one counts, interpolated between files just below and
just above. Its JP2 file is counted with the few boxes that it needs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from benchmarks import openjpeg_encoder
from benchmarks.curves import Figures, Point
from foveate.codec import jp2, openjpeg
from foveate.codec.coding import Pixels
from foveate.codec.metadata import PhotoMetadata

OVERHEAD = jp2.overhead(3, metadata=PhotoMetadata())
_CLOSE = 0.03  # of log2 of the bytes
_MOST_TRIALS = 6
_FILLED = 0.98  # of the bytes wanted; less means that there is no more to code

Judge = Callable[[Pixels], Figures]  # of decoded pixels; the overall PSNR is "psnr"
File = tuple[int, bytes]  # bytes of the whole JP2 file; it, or its codestream


def plain(photo: Pixels, size: int, judge: Judge) -> Point:
    """OpenJPEG's figures at `size` bytes of the whole file, or with everything coded.

    Args:
      photo: (H, W, 3) uint8.
      size: bytes of the JP2 file.
      judge: gives the figures, in dB.
    """
    by_rate = [at_rate(photo, size * factor) for factor in (0.995, 1.005)]
    figures, reached = interpolated(by_rate, size, judge)
    if reached < _FILLED * size:
        return Point(reached, figures)
    by_quality, _ = interpolated(_around_quality(photo, size, figures["psnr"]), size, judge)
    return Point(size, {name: max(value, by_quality[name]) for name, value in figures.items()})


def at_rate(photo: Pixels, size: float) -> File:
    """OpenJPEG's file of a fixed rate, of about `size` bytes."""
    file = io.BytesIO()
    Image.fromarray(photo).save(
        file,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[photo.size / size],
        irreversible=True,
        mct=1,
        codeblock_size=(64, 64),
    )
    return len(file.getvalue()), file.getvalue()


def _around_quality(photo: Pixels, size: int, near_db: float) -> list[File]:
    """Files of fixed quality, stepping on the target until two enclose the size closely."""
    points: list[tuple[float, float]] = []  # target in dB, log2 of the bytes over those wanted
    files: list[File] = []
    target = near_db
    while len(files) < _MOST_TRIALS:
        data = openjpeg_encoder.encode(photo, psnrs_db=(target,))
        files.append((len(data) + OVERHEAD, data))
        points.append((target, math.log2(files[-1][0] / size)))
        misses = [miss for _, miss in points]
        enclosed = min(misses) <= 0 <= max(misses)
        if 0 in misses or (enclosed and sorted(map(abs, misses))[1] < _CLOSE):
            break
        target = _next_target(points)
    return files


def _next_target(points: Sequence[tuple[float, float]]) -> float:
    """Between the nearest points on both sides, a little past the size; or a step to the side without one."""
    below, above = [p for p in points if p[1] <= 0], [p for p in points if p[1] > 0]
    target, miss = points[-1]
    if not below or not above:
        return target - 5 * miss - math.copysign(0.05, miss)
    low, high = max(below, key=lambda p: p[1]), min(above, key=lambda p: p[1])
    share = -low[1] / (high[1] - low[1])
    return low[0] + share * (high[0] - low[0]) - math.copysign(0.02, miss)


def interpolated(files: Sequence[File], size: int, judge: Judge) -> tuple[Figures, int]:
    """Figures at a size, and that size.

    On the line, over log bytes, through the nearest file on each side, or the nearest two; where all files
    are of one size, those of that size.
    """
    by_distance = sorted(files, key=lambda file: abs(math.log(file[0] / size)))
    first = by_distance[0]
    across = [file for file in by_distance[1:] if (file[0] - size) * (first[0] - size) <= 0]
    second = next((file for file in across or by_distance[1:] if file[0] != first[0]), None)
    figures = judge(openjpeg.decode(first[1]).pixels)
    if second is None:
        return figures, first[0]
    share = float(np.log(size / first[0]) / np.log(second[0] / first[0]))
    others = judge(openjpeg.decode(second[1]).pixels)
    return {name: value + share * (others[name] - value) for name, value in figures.items()}, size
