"""Makes JPEG 2000 files of all structures, and finds what is wrong after transcoding one.

Structures are random, seeded by a file's number: the same number gives the same file.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import foveate
from benchmarks.varied_encoders import MAKERS, Varied, by_pillow
from foveate.codec import codestream, jp2, openjpeg
from foveate.codec.errors import BudgetTooSmall

_SHARE = 0.5  # of a codestream's bytes, to which it is reduced
_TOLERANCE, _STEP = 0.01, 200  # of that size, and the bytes that one pass of a small file may take
_SIDE = 40  # of a region
_FINE_LEVELS = 8  # of 16 bits, by which OpenJPEG's rounding may differ in a region


def varied(count: int, first: int = 0) -> Iterator[Varied]:
    """So many files, by each of `MAKERS` in turn; by Pillow if a program is not installed."""
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        made = MAKERS[number % len(MAKERS)](number, rng)
        yield made or by_pillow(number, rng)


def problems(made: Varied) -> Iterator[str]:
    """The mistakes of transcoding, in words; none if all is right."""
    source = openjpeg.decode(made.data)
    whole = foveate.transcode(made.data, lossless=True, access=True, tune="psnr")
    back = openjpeg.decode(whole)
    if not np.array_equal(back.pixels, source.pixels):
        yield "other pixels after --lossless --access"
    budget = len(made.data) - int((1 - _SHARE) * len(jp2.parse(made.data).codestream))
    try:
        cut = foveate.transcode(made.data, max_bytes=budget, tune="psnr", access=len(made.name) % 2 == 0)
    except BudgetTooSmall:
        if budget > 1000:
            yield "no room for headers"
        return
    if not min((1 - _TOLERANCE) * budget, budget - _STEP) <= len(cut) <= budget:
        yield f"{len(cut)} bytes instead of {budget}"
    for name, data in (("lossless", whole), ("cut", cut)):
        yield from _other_regions(name, data, source.bit_depth)
        decoded = openjpeg.decode(data)
        if decoded.warnings:
            yield f"{name}: {decoded.warnings}"
        for program, told in _told(data, decoded.pixels):
            if not any(program == other for other, _ in _told(made.data, source.pixels)):
                yield f"{name}: {program}: {told}"


def _other_regions(name: str, data: bytes, bits: int) -> Iterator[str]:
    """Regions that differ from the whole picture, beyond the rounding of the 9/7 wavelet at their edges."""
    whole = foveate.decode(data).astype(int)
    left, top = (int(np.random.default_rng(len(data)).integers(side)) for side in whole.shape[1::-1])
    part = foveate.decode(data, region=(left, top, _SIDE, _SIDE))
    expected = whole[top : top + _SIDE, left : left + _SIDE]
    level = np.iinfo(part.dtype).max // ((1 << bits) - 1)
    tolerance = level if bits <= 12 else _FINE_LEVELS * level
    if codestream.parse(jp2.parse(data).codestream).reversible:
        tolerance = 0
    if part.shape != expected.shape or np.abs(part - expected).max() > tolerance:
        yield f"{name}: another picture in a region at {left}, {top}"


def _told(data: bytes, pixels: NDArray[Any]) -> Iterator[tuple[str, str]]:
    """Programs that complain about a file, or decode other pixels."""
    suffix = ".jp2" if data[4:8] == b"jP  " else ".j2k"
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / f"in{suffix}", Path(folder) / "out.raw"
        path.write_bytes(data)
        for command in (
            ["opj_decompress", "-i", str(path), "-o", str(target)],
            ["ffmpeg", "-v", "warning", "-c:v", "jpeg2000", "-i", str(path), "-f", "rawvideo", str(target)],
        ):
            target.unlink(missing_ok=True)
            if shutil.which(command[0]):
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
                said = [line for line in (done.stdout + done.stderr).splitlines() if _is_complaint(line)]
                if done.returncode or said:
                    yield command[0], " ".join(said)[:200]
                elif command[0] == "ffmpeg" and pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
                    seen = np.frombuffer(target.read_bytes(), np.uint8)
                    if seen.size == pixels.size and _differ(seen.reshape(pixels.shape), pixels):
                        yield "ffmpeg", "other pixels"
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3, 4):
        with Image.open(io.BytesIO(data)) as image:
            if _differ(np.asarray(image).reshape(pixels.shape), pixels):
                yield "Pillow", "other pixels"


def _differ(seen: NDArray[Any], pixels: NDArray[Any]) -> bool:
    return bool(np.abs(seen.astype(int) - pixels).max() > 1)


def _is_complaint(line: str) -> bool:
    """Whether a program's message is a complaint rather than information.

    FFmpeg mentions RPCL, and resolutions of thin tiles that have no samples and so no precincts.
    """
    harmless = ("INFO", "Progression order", "outside limits", "repeated", "Generated", "time:")
    return not any(words in line for words in harmless)
