"""Measures the cost of reading parts of large files: bytes, time, and tiles per second of an image server.

    python -m benchmarks.parts PHOTO [--megapixels 100]

Makes a large picture from a photo and its mirror images, and files of it at half a bit per pixel: default,
`--access`, `--access` with tiles of 1024 (all with the same slope, so the same passes), and where GDAL is
installed a tiled TIFF with smaller versions (JPEG in tiles of 256). Prints what `--access` costs, the bytes
and time that a region of 512 x 512 at full size takes, and the average over random ones. If iipsrv is
installed, also prints how many tiles of 256 x 256 it serves per second, at full size and at an eighth, all
files in turn.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.image_server import ImageServer, server_program, serving
from benchmarks.photos import Photo, mirrored_to, read_photo
from foveate.codec import allocation, excerpt, jp2, openjpeg
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, window

_CODINGS = {
    "default": Coding(),
    "--access": Coding(access=True),
    "--access --tile-size 1024": Coding(access=True, tile_size=1024),
}
_TIFF = "tiled TIFF, JPEG"
_RATE = 0.5
_SIDE, _TILE = 512, 256
_TILES, _ROUNDS = 8, 3
_REDUCE = 3
_REGIONS = 40  # at random


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--megapixels", type=float, default=100.0)
    options = parser.parse_args(argv)
    height = 64 * round(np.sqrt(options.megapixels * 1e6 / 1.5) / 64)
    picture = _grown(read_photo(options.photo), height, 3 * height // 2)
    with tempfile.TemporaryDirectory() as folder:
        files = _make(picture, Path(folder))
        _print_regions(files, Region(height // 2 + 57, height // 3 + 41, _SIDE, _SIDE))
        if program := server_program():
            with serving(Path(folder), program) as server:
                _print_speed(server, files, picture)
    return 0


def _grown(photo: Photo, height: int, width: int) -> Photo:
    """The photo and its mirror images, repeated and cut to a size."""
    four = mirrored_to(photo, 2 * photo.shape[0], 2 * photo.shape[1])
    times = -(-height // four.shape[0]), -(-width // four.shape[1]), 1
    return np.ascontiguousarray(np.tile(four, times)[:height, :width])


def _make(picture: Photo, folder: Path) -> dict[str, Path]:
    """Files of the picture, by name."""
    height, width, _ = picture.shape
    part = picture[: min(height, 2048), : min(width, 3072)]
    slope = 10.0 ** Encoder(part).within(int(_RATE * part[..., 0].size / 8)).threshold
    found: dict[str, Path] = {}
    for name, coding in _CODINGS.items():
        stream = allocation.encode(Encoder(picture, coding=coding).at_slope(slope))
        found[name] = folder / f"{len(found)}.jp2"
        found[name].write_bytes(jp2.wrap(stream, metadata=PhotoMetadata()))
    sizes = {name: path.stat().st_size for name, path in found.items()}
    print(f"{width} x {height} pixels, {8 * sizes['default'] / (height * width):.2f} bits per pixel")
    for name, size in sizes.items():
        print(f"{name}: {size:,} bytes, {100 * (size / sizes['default'] - 1):+.2f} %", flush=True)
    if shutil.which("gdal_translate"):
        found[_TIFF] = _tiff(picture, folder)
    return found


def _tiff(picture: Photo, folder: Path) -> Path:
    """A tiled TIFF of JPEGs, with its smaller versions inside."""
    plain, target = folder / "plain.tif", folder / "pyramid.tif"
    Image.fromarray(picture).save(plain)
    options = (
        "TILED=YES",
        f"BLOCKXSIZE={_TILE}",
        f"BLOCKYSIZE={_TILE}",
        "COMPRESS=JPEG",
        "PHOTOMETRIC=YCBCR",
    )
    settings = [word for option in options for word in ("-co", option)]
    subprocess.run(["gdal_translate", "-q", str(plain), str(target), *settings], check=True)
    levels = ["2", "4", "8", "16", "32"]
    subprocess.run(["gdaladdo", "-q", "-r", "average", str(target), *levels], check=True)
    plain.unlink()
    return target


def _print_regions(files: dict[str, Path], region: Region) -> None:
    print(
        "| file | bytes | read | requests | rounds | to cut out, s | to decode, s "
        f"| {_REGIONS} regions, mean read | requests | smaller by 8, bytes read |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, path in files.items():
        if name == _TIFF:
            continue
        data = path.read_bytes()
        size = excerpt.picture_size(RangedBytes.of(data))
        area = window(size, region).area
        openjpeg.decode(excerpt.excerpt(RangedBytes.of(data), area), region=area)  # compiled, and in caches
        ranged = RangedBytes.of(data)
        begun = time.process_time()
        cut = excerpt.excerpt(ranged, area)
        middle = time.process_time()
        openjpeg.decode(cut, region=area)
        end = time.process_time()
        others = [_read(data, place) for place in _places(size.width, size.height)]
        mean = np.mean([(one.fetched, one.requests) for one in others], 0)
        smaller = _read(data, Region(0, 0, size.width, size.height), _REDUCE)
        took = f"{middle - begun:.2f} | {end - middle:.2f}"
        print(
            f"| {name} | {len(data):,} | {ranged.fetched:,} | {ranged.requests} | {ranged.rounds} | {took} "
            f"| {mean[0]:,.0f} | {mean[1]:.0f} | {smaller.fetched:,} |",
            flush=True,
        )


def _places(width: int, height: int) -> list[Region]:
    """Regions at random, always the same ones."""
    rng = np.random.default_rng(1)
    corners = [(int(rng.integers(width - _SIDE)), int(rng.integers(height - _SIDE))) for _ in range(_REGIONS)]
    return [Region(left, top, _SIDE, _SIDE) for left, top in corners]


def _read(data: bytes, region: Region, reduce: int = 0) -> RangedBytes:
    """A file after a region has been cut out of it."""
    ranged = RangedBytes.of(data)
    excerpt.excerpt(ranged, window(excerpt.picture_size(ranged), region).area, reduce=reduce)
    return ranged


def _print_speed(server: ImageServer, files: dict[str, Path], picture: Photo) -> None:
    """Tiles per second of each file, asked for in turn."""
    height, width, _ = picture.shape
    rng = np.random.default_rng(1)
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(_ROUNDS):
        for reduce in (0, _REDUCE):
            side = _TILE << reduce
            places = [
                (side * int(rng.integers(width // side)), side * int(rng.integers(height // side)))
                for _ in range(_TILES)
            ]
            for name, path in files.items():
                begun = time.perf_counter()
                for left, top in places:
                    server.iiif(f"{path.name}/{left},{top},{side},{side}/{_TILE},/0/default.jpg")
                seconds.setdefault((name, reduce), []).append(time.perf_counter() - begun)
    print("| file | bytes | tiles per second | at an eighth of the size |")
    print("| --- | --- | --- | --- |")
    for name, path in files.items():
        full, small = (_TILES / float(np.median(seconds[name, reduce])) for reduce in (0, _REDUCE))
        print(f"| {name} | {path.stat().st_size:,} | {full:.1f} | {small:.1f} |")


if __name__ == "__main__":
    raise SystemExit(main())
