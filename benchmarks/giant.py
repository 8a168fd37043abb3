"""Measures a giant: time and memory of compressing and restoring 200 megapixels, and whether tiles show.

    python -m benchmarks.giant PHOTOS

A mosaic of enlarged photos, blended and grained so that nothing in it is smooth, is written in each format
and processed by the real command line with RecCNN. Memory is sampled over all its processes together. Linux
only.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.codec import codestream, jp2, openjpeg
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.formats import PictureFormat, Pixels, decode_picture, encode_picture, extension

_FORMATS: tuple[PictureFormat, ...] = ("png", "jpeg", "tiff")
_CELLS = 4  # photos along each side of the mosaic
_GRAIN = 2.5  # standard deviation, in levels of 255
_NEAR, _APART = 8, (32, 64)  # pixels from a tile's edge whose errors are compared
_SAMPLE_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one command: wall time in seconds, and its processes' peak of resident memory in bytes."""

    seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s {self.peak_bytes / 2**30:6.2f} GiB"


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--width", type=int, default=16_000)
    parser.add_argument("--height", type=int, default=12_500)
    parser.add_argument("--formats", nargs="+", choices=_FORMATS, default=_FORMATS)
    parser.add_argument("--keep", type=Path, help="a folder for all files, which stay there")
    parser.add_argument("flags", nargs="*", help="for `foveate compress`, after --", default=["--bpp", "0.5"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foveate-giant-") as folder:
        work = args.keep or Path(folder)
        for name in args.formats:
            source = work / name / f"giant{extension(name)}"
            if not source.exists():
                source.parent.mkdir(parents=True, exist_ok=True)
                giant = mosaic(sorted(args.photos.iterdir()), args.height, args.width)
                source.write_bytes(encode_picture(giant, PhotoMetadata(), name))
                del giant
            _report(source, work / f"{name}-archive", work / f"{name}-restored", args.flags)
    return 0


def _report(source: Path, archive: Path, restored: Path, flags: list[str]) -> None:
    compressing = cost(["compress", str(source), "--output", str(archive), "--force", *flags])
    restoring = cost(["restore", str(archive), "--output", str(restored), "--format", "png"])
    data = (archive / f"{source.name}.jp2").read_bytes()
    original, again = (_read(path) for path in (source, restored / f"{source.stem}.png"))
    size = codestream.parse(jp2.parse(data).codestream).size
    bits = 8 * len(data) / (size.width * size.height)
    print(f"{source.suffix[1:]}, {source.stat().st_size / 1e6:.0f} MB, to {bits:.3f} bits per pixel")
    print(f"  compress {compressing}")
    print(f"  restore  {restoring}")
    print(
        f"  tiles of {size.tile_width} x {size.tile_height}; error near their edges over that farther away:"
    )
    for name, pixels in (("decoded", openjpeg.decode(data).pixels), ("restored", again)):
        across, down = edge_ratios(original, pixels, size.tile_width, size.tile_height)
        print(f"    {name:9} {across:.3f} across, {down:.3f} down", flush=True)


def _read(path: Path) -> Pixels:
    return decode_picture(path.read_bytes()).pixels


def mosaic(paths: list[Path], height: int, width: int) -> Pixels:
    """A picture (height, width, 3) of enlarged photos, each blended with another, larger one."""
    rng = np.random.default_rng(5)
    result: Pixels = np.empty((height, width, 3), np.uint8)
    rows, columns = (np.linspace(0, side, _CELLS + 1).astype(int) for side in (height, width))
    for number in range(_CELLS**2):
        i, j = divmod(number, _CELLS)
        cell = result[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        size = cell.shape[1], cell.shape[0]
        first, second = (Image.open(paths[(number + off) % len(paths)]).convert("RGB") for off in (0, 7))
        part = (0, 0, second.width / 2, second.height / 2)
        fine = np.asarray(first.resize(size, Image.Resampling.BICUBIC), np.int16)
        coarse = np.asarray(second.resize(size, Image.Resampling.BILINEAR, part), np.int16)
        grain = rng.normal(0, _GRAIN, (*cell.shape[:2], 1)).round().astype(np.int16)
        cell[...] = np.clip((3 * fine + coarse) // 4 + grain, 0, 255)
    return result


def edge_ratios(original: Pixels, decoded: Pixels, tile_width: int, tile_height: int) -> tuple[float, float]:
    """Squared error within 8 pixels of inner tile edges, divided by that at 32 to 64 pixels from them.

    First for edges between columns of tiles, then between rows; NaN if there are none.
    """
    return (
        _ratio(original.swapaxes(0, 1), decoded.swapaxes(0, 1), tile_width),
        _ratio(original, decoded, tile_height),
    )


def _ratio(original: Pixels, decoded: Pixels, side: int) -> float:
    near, apart = [], []
    for edge in range(side, len(original) - _APART[1], side):
        for direction in (-1, 1):
            near.append(_error(original, decoded, edge, direction, (0, _NEAR)))
            apart.append(_error(original, decoded, edge, direction, _APART))
    return float(np.mean(near) / np.mean(apart)) if near else float("nan")


def _error(original: Pixels, decoded: Pixels, edge: int, direction: int, reach: tuple[int, int]) -> float:
    start, stop = sorted(edge + direction * distance for distance in reach)
    difference = original[start:stop].astype(np.float32) - decoded[start:stop]
    return float(np.square(difference).mean(dtype=np.float64))


def cost(arguments: list[str]) -> Cost:
    """Runs `foveate` with the arguments; raises CalledProcessError if it fails."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-m", "foveate", *arguments])
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(_SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Cost(time.perf_counter() - start, peak)


def _resident(root: int) -> int:
    """Resident bytes of a process and all that it started, shared pages counted each time."""
    total = 0
    pending = [root]
    while pending:
        folder = Path("/proc") / str(pending.pop())
        try:
            total += int((folder / "statm").read_text().split()[1]) * 4096
            for task in (folder / "task").iterdir():
                pending += map(int, (task / "children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
    return total


if __name__ == "__main__":
    sys.exit(main())
