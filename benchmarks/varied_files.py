"""JPEG 2000 files of all structures by several encoders, and what is wrong after transcoding one.

Which structures they have is left to chance, by their numbers: the same number makes the same file.
"""

from __future__ import annotations

import dataclasses
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
from foveate.codec import allocation, jp2, openjpeg
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.errors import BudgetTooSmall
from foveate.codec.metadata import PhotoMetadata

_TRIALS = 20
_PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
_SHARE = 0.5  # of a file's bytes, that it is cut to
_TOLERANCE, _STEP = 0.01, 200  # of these, and bytes that a pass of a small file may take


@dataclasses.dataclass(frozen=True)
class Varied:
    """A file, and how it was made."""

    name: str
    data: bytes


def varied(count: int, first: int = 0) -> Iterator[Varied]:
    """So many files: of four, two are OpenJPEG's (where it is installed), one Pillow's and one ours."""
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        if number % 4 < 2 and shutil.which("opj_compress"):
            yield _by_openjpeg(number, rng)
        elif number % 4 == 2:
            yield _by_pillow(number, rng)
        else:
            yield _by_us(number, rng)


def picture(rng: np.random.Generator, channels: int, bits: int) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16: waves, an edge and grain; sides from 60 to 200."""
    height, width = (int(side) for side in rng.integers(60, 200, 2))
    y, x = np.mgrid[:height, :width] / max(height, width)
    tones = rng.uniform(3, 9, channels)
    planes = [0.5 + 0.25 * np.sin(tone * x + 5 * y) + 0.15 * np.sin(70 * x * y + tone) for tone in tones]
    found = np.where((x + 0.4 * y > 0.6)[..., None], np.stack(planes, 2), 0.3)
    found += rng.uniform(0.01, 0.06) * rng.standard_normal((height, width, 1))
    peak = (1 << bits) - 1
    pixels: NDArray[Any] = np.rint(np.clip(found, 0, 1) * peak).astype(np.uint8 if bits <= 8 else np.uint16)
    return pixels


# ---------------------------------------------------------------- encoders


def _by_openjpeg(number: int, rng: np.random.Generator) -> Varied:
    bits = int(rng.choice([8, 8, 8, 12, 12, 16, 4]))
    pixels = picture(rng, int(rng.choice([1, 3, 3])), bits)
    height, width, channels = pixels.shape
    form = f"{width},{height},{channels},{bits},u"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.raw"
        source.write_bytes(pixels.transpose(2, 0, 1).astype(">u2" if bits > 8 else "u1").tobytes())
        for _ in range(_TRIALS):  # some combinations are refused
            options = _openjpeg_options(rng, pixels)
            target = Path(folder) / str(rng.choice(["out.jp2", "out.j2k"]))
            command = ["opj_compress", "-i", str(source), "-o", str(target), "-F", form, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if not done.returncode and target.exists():
                return Varied(f"{number}: opj_compress -F {form} {' '.join(options)}", target.read_bytes())
    raise RuntimeError(f"{' '.join(command)}: {done.stdout} {done.stderr}")


def _openjpeg_options(rng: np.random.Generator, pixels: NDArray[Any]) -> list[str]:
    options = ["-p", str(rng.choice(_PROGRESSIONS)), "-n", str(rng.integers(1, 7))]
    options += ["-r", str(rng.choice(["1", "4", "20,5", "30,10,2", "40,20,10,5,1"]))]
    style = int(rng.choice([0, 0, 1, 2, 4, 8, 32, 63, 5, 40]))
    block = str(rng.choice(["64,64", "32,32", "16,64", "4,256", "128,32"]))
    options += ["-M", str(style), "-b", block]
    precincts = rng.random() < 0.4
    if precincts:
        options += ["-c", str(rng.choice(["[128,128]", "[256,256],[128,128]", "[64,64],[32,32]"]))]
    if rng.random() < 0.4:
        options += ["-t", f"{rng.integers(40, 120)},{rng.integers(40, 120)}"]
        if not precincts:  # opj_compress 2.5 fails with both
            options += [["-TP", "R"], ["-TP", "L"], []][rng.integers(3)]
    if rng.random() < 0.3:
        options += ["-d", f"{rng.integers(1, 30)},{rng.integers(1, 30)}"]
    if rng.random() < 0.2 and pixels.shape[2] == 3:
        options += ["-ROI", f"c=0,U={rng.integers(1, 7)}"]
    for flag, share in (("-I", 0.4), ("-SOP", 0.3), ("-EPH", 0.3), ("-PLT", 0.2), ("-TLM", 0.2)):
        options += [flag] if rng.random() < share else []
    return options


def _by_pillow(number: int, rng: np.random.Generator) -> Varied:
    channels = int(rng.choice([1, 3, 4]))
    pixels = picture(rng, channels, 8)
    options: dict[str, Any] = {
        "progression": str(rng.choice(_PROGRESSIONS)),
        "num_resolutions": int(rng.integers(1, 7)),
        "irreversible": bool(rng.random() < 0.5),
        "quality_layers": [[1], [20, 5, 1], [8], [30, 3]][rng.integers(4)],
        "codeblock_size": [(64, 64), (32, 32), (16, 128)][rng.integers(3)],
        "no_jp2": bool(rng.random() < 0.3),
    }
    if rng.random() < 0.4:
        options["precinct_size"] = (128, 128)
    if rng.random() < 0.4:
        options["tile_size"] = (int(rng.integers(50, 150)), int(rng.integers(50, 150)))
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(stream, "JPEG2000", **options)
    return Varied(f"{number}: Pillow {options}", stream.getvalue())


def _by_us(number: int, rng: np.random.Generator) -> Varied:
    bits = int(rng.choice([8, 8, 16, 12, 1]))
    pixels = picture(rng, int(rng.integers(1, 5)), bits)
    coding = Coding(
        reversible=bool(rng.random() < 0.5) or bits == 1,
        block_size=int(rng.choice([16, 32, 64])),
        levels=int(rng.integers(1, 6)),
        tile_size=int(rng.choice([64, 96])) if rng.random() < 0.4 else None,
        bit_depth=bits,
        access=bool(rng.random() < 0.4),
    )
    encoder, layers = Encoder(pixels, coding=coding), int(rng.integers(1, 5))
    choice = encoder.whole(layers) if rng.random() < 0.5 else encoder.within(pixels.nbytes // 3, layers)
    data = jp2.wrap(allocation.encode(choice), metadata=PhotoMetadata())
    return Varied(f"{number}: {coding}, {layers} layers", data)


# ---------------------------------------------------------------- checks


def problems(made: Varied) -> Iterator[str]:
    """The mistakes of transcoding, in words; none if all is right."""
    source = openjpeg.decode(made.data)
    whole = foveate.transcode(made.data, lossless=True, access=True, tune="psnr")
    back = openjpeg.decode(whole)
    if not np.array_equal(back.pixels, source.pixels):
        yield "other pixels after --lossless --access"
    budget = int(_SHARE * len(made.data))
    try:
        cut = foveate.transcode(made.data, max_bytes=budget, tune="psnr", access=len(made.name) % 2 == 0)
    except BudgetTooSmall:
        if budget > 1000:
            yield "no room for headers"
        return
    if not min((1 - _TOLERANCE) * budget, budget - _STEP) <= len(cut) <= budget:
        yield f"{len(cut)} bytes instead of {budget}"
    for name, data in (("lossless", whole), ("cut", cut)):
        decoded = openjpeg.decode(data)
        if decoded.warnings:
            yield f"{name}: {decoded.warnings}"
        for program, told in _told(data, decoded.pixels):
            if not any(program == other for other, _ in _told(made.data, source.pixels)):
                yield f"{name}: {program}: {told}"


def _told(data: bytes, pixels: NDArray[Any]) -> Iterator[tuple[str, str]]:
    """Programs that have something to say of a file, or see other pixels."""
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
    """Whether a program says that something is wrong, rather than what it does.

    FFmpeg names RPCL, and says so where a resolution of a thin tile has no samples, and so no precincts.
    """
    harmless = ("INFO", "Progression order", "outside limits", "repeated", "Generated", "time:")
    return not any(words in line for words in harmless)
