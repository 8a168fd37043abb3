"""Compares transcoding with decoding and re-encoding at equal bytes, and tries it on all structures.

    python -m benchmarks.transcoding PHOTOS [--varied 200]

Makes 9/7 files of several rates and a lossless 5/3 file of each photo, reduces each to smaller sizes both
ways, and prints processor time (one thread, the median over photos) and PSNR against the photo. The decode
that checks the result is the same for both, and is not counted. Then makes `--varied` small files with
OpenJPEG, Pillow, GDAL, FFmpeg and our encoder, of all progressions, precincts, styles and bit depths.
Transcoded without loss, each must keep its pixels; reduced to half its bytes, it must meet that within 1 %;
in both cases a region must decode to the same pixels, and other programs must read the file without a
warning. The exit status is 1 if any file fails.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import varied_files
from benchmarks.photos import Photo, photo_paths, read_photo
from foveate.codec import allocation, openjpeg
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.packet_stream import PacketStream
from foveate.codec.transcoder import Transcoder
from foveate.quality.psnr import psnr

_SOURCES = {"9/7, 3 bpp": 3.0, "9/7, 4 bpp": 4.0, "9/7, 6 bpp": 6.0, "5/3, lossless": None}
_RATES = (0.25, 0.5, 1.0, 2.0)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--varied", type=int, default=200, help="files of other structures (default: 200)")
    options = parser.parse_args(argv)
    photos = [read_photo(path) for path in photo_paths(options.photos)]
    print("| source | bpp | transcode, s | decode + code, s | times as fast | dB less |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source, rate in _SOURCES.items():
        masters = [(photo, _master(photo, rate)) for photo in photos]
        _compare(*masters[0], 0.5)  # compiled, and in caches
        for bpp in _RATES:
            print(_row(source, bpp, [_compare(*master, bpp) for master in masters]), flush=True)
    return 1 if options.varied and _try_varied(options.varied) else 0


def _compare(photo: Photo, data: bytes, bpp: float) -> tuple[float, float, float]:
    """Seconds of transcoding, and of decoding and re-encoding, and how many dB more the latter gives."""
    budget = int(bpp * photo[..., 0].size / 8)
    begun = time.process_time()
    cut = allocation.encode(Transcoder(PacketStream.parse(data)).within(budget))
    middle = time.process_time()
    anew = allocation.encode(Encoder(openjpeg.decode(data).pixels).within(budget))
    end = time.process_time()
    cut_db, anew_db = (psnr(photo, openjpeg.decode(made).pixels) for made in (cut, anew))
    return middle - begun, end - middle, anew_db - cut_db


def _master(photo: Photo, bpp: float | None) -> bytes:
    if bpp is None:
        return allocation.encode(Encoder(photo, coding=Coding(reversible=True)).whole())
    return allocation.encode(Encoder(photo).within(int(bpp * photo[..., 0].size / 8)))


def _row(source: str, bpp: float, found: list[tuple[float, float, float]]) -> str:
    ours, theirs, less = (statistics.median(column) for column in zip(*found, strict=True))
    faster = statistics.median(own[1] / own[0] for own in found)
    worst = max(own[2] for own in found)
    loss = f"{less:.2f} (at most {worst:.2f})"
    return f"| {source} | {bpp:g} | {ours:.2f} | {theirs:.2f} | {faster:.1f} | {loss} |"


def _try_varied(count: int) -> int:
    """Transcodes files of all structures; returns how many failed."""
    wrong = 0
    for name, problem in _problems(count):
        wrong += 1
        print(f"{name}: {problem}", flush=True)
    print(f"{count} files, {wrong} wrong")
    return wrong


def _problems(count: int) -> Iterator[tuple[str, str]]:
    for made in varied_files.varied(count):
        for problem in varied_files.problems(made):
            yield made.name, problem


if __name__ == "__main__":
    raise SystemExit(main())
