"""Measures the cost of decoding in isolation, against the worker and as a share of a photo's total.

    python -m benchmarks.isolation PHOTOS [--rounds 15]

Scales the folder's largest photo to two megapixels, as JPEG, PNG and JP2; decodes each in turn here and in
isolation; and compresses and restores it (one worker, with networks, and restored without RecCNN as well) to
find the total cost. Prints the processor time of both processes together, medians of wall time (which depend
on other load), and what it takes to start and keep a child. The exit status is 1 if isolation costs more than
a twentieth of a photo's processor time.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.photos import Photo, mirrored_to, photo_paths, read_photo
from foveate.archive.planning.restore_plan import NamedFile
from foveate.archive.tables import read_metrics
from foveate.codec import file
from foveate.codec.metadata import PhotoMetadata
from foveate.models import reccnn
from foveate.pictures.formats import PictureFormat, decode_picture, encode_picture
from foveate.pipelines.cli import main as foveate
from foveate.sandbox import client
from foveate.sandbox.client import Limits
from foveate.storage.source import SourceFile
from foveate.transforms.decode import Extent, decode_file
from foveate.transforms.elements import DecodedPhoto, Pixels
from foveate.transforms.run_reccnn import restore_file

_HEIGHT, _WIDTH = 1224, 1632
_MOST = 0.05  # of a photo's time
_COPIES = 4  # of a photo, whose median counts
_FORMATS: dict[str, PictureFormat] = {"photo.jpg": "jpeg", "photo.png": "png"}
_ONE_WORKER = "--direct_num_workers=1"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is decoded either way")
    options = parser.parse_args(argv)
    largest = max(map(read_photo, photo_paths(options.photos)), key=lambda photo: photo.size)
    photo = mirrored_to(largest, _HEIGHT, _WIDTH)
    begun = time.perf_counter()
    client.decode_picture(encode_picture(photo[:8, :8], PhotoMetadata(), "png"), Limits())
    print(f"the first photo waits {1000 * (time.perf_counter() - begun):.0f} ms for its child to start")
    print(f"which then takes {_resident_megabytes():.0f} MB")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        files = _make(photo, Path(folder))
        for path, wholes in files.items():
            here, there = _decode_times(path.read_bytes(), path.suffix == ".jp2", options.rounds)
            print(f"{path.suffix[1:]:4}  here {here}  isolated {there}")
            for name, seconds in wholes.items():
                share = (there.processor - here.processor) / seconds
                worst = max(worst, share)
                print(f"      {100 * share:5.2f} % of {1000 * seconds:.0f} ms, {name}")
    print(f"a child that has read archives too keeps {_resident_megabytes():.0f} MB")
    return 1 if worst > _MOST else 0


@dataclasses.dataclass(frozen=True)
class Taken:
    """Median seconds of wall time and of processor time."""

    clock: float
    processor: float

    def __str__(self) -> str:
        return f"{1000 * self.clock:.1f} ms, processor {1000 * self.processor:.1f} ms"


def _make(photo: Photo, folder: Path) -> dict[Path, dict[str, float]]:
    """The files to decode, each with the seconds that such a photo takes from reading to writing."""
    sources, archive = folder / "sources", folder / "archive"
    sources.mkdir()
    for name, file_format in _FORMATS.items():
        data = encode_picture(photo, PhotoMetadata(), file_format)
        for copy in range(_COPIES):
            (sources / f"{copy}-{name}").write_bytes(data)
    if foveate(["compress", str(sources), "--output", str(archive), _ONE_WORKER]):
        raise RuntimeError("the photos were not compressed")
    seconds: dict[Path, dict[str, float]] = {}
    for name in _FORMATS:
        rows = [row for row in read_metrics(str(archive)).to_pylist() if row["relative_path"].endswith(name)]
        steps = ("read_seconds", "saliency_seconds", "encode_seconds", "measure_seconds")
        median = statistics.median(sum(row[step] for step in steps) for row in rows)
        seconds[sources / f"0-{name}"] = {"compressed": median}
    path, network = archive / "0-photo.png.jp2", reccnn.load()
    seconds[path] = {
        "restored": _restore_seconds(path, lambda file: restore_file(network, file).pixels),
        "restored without RecCNN": _restore_seconds(path, lambda file: file.pixels),
    }
    return seconds


def _restore_seconds(path: Path, restored: Callable[[DecodedPhoto], Pixels]) -> float:
    """Processor time that an archive file takes, from reading to the bytes of a PNG."""
    element = NamedFile(SourceFile(str(path), path.name, path.stat().st_size, 0.0), "photo.png")
    taken = []
    for _ in range(_COPIES):
        begun = _processor_seconds()
        (file,) = decode_file(element, Extent(Limits()))
        encode_picture(restored(file), file.metadata, "png")
        taken.append(_processor_seconds() - begun)
    return statistics.median(taken)


def _decode_times(data: bytes, is_jpeg2000: bool, rounds: int) -> tuple[Taken, Taken]:
    """Times decoding here and in isolation, one after the other in every round."""
    limits = Limits()
    ways: tuple[Callable[[], object], ...] = (
        (
            lambda: file.decode_file(data),
            lambda: client.decode_archive(data, limits),
        )
        if is_jpeg2000
        else (lambda: decode_picture(data), lambda: client.decode_picture(data, limits))
    )
    for way in ways:  # what is loaded at first
        way()
    clocks: tuple[list[float], ...] = ([], [])
    processors: tuple[list[float], ...] = ([], [])
    for _ in range(rounds):
        for way, clock, processor in zip(ways, clocks, processors, strict=True):
            begun, used = time.perf_counter(), _processor_seconds()
            way()
            clock.append(time.perf_counter() - begun)
            processor.append(_processor_seconds() - used)
    here, there = map(Taken, map(statistics.median, clocks), map(statistics.median, processors))
    return here, there


def _processor_seconds() -> float:
    """Processor time used so far by this process and the child that decodes for it."""
    child = 0
    for pid in client.idle_processes()[-1:]:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            child += int(task.read_text().split()[0])  # nanoseconds
    return time.process_time() + child / 1e9


def _resident_megabytes() -> float:
    """The memory of the idle child; 0 if the system does not tell."""
    child = client.idle_processes()[-1]
    status = Path(f"/proc/{child}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    raise SystemExit(main())
