"""Measures the processor time of whole runs of the command per megapixel, for several settings.

Each command runs on one photo and on nine; the difference is the cost of eight photos without the start of
the program. One of the eight is measured in full, as `compress` does with one in eight.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.archived import child_seconds
from benchmarks.kept import Kept
from benchmarks.photos import photo_paths, pixel_count
from benchmarks.tables import Section, Table, number
from foveate.archive.in_sample import is_in_sample

COMMANDS = (
    "compress",
    "compress --reccnn off",
    "compress --roi none --reccnn off",
    "compress --bpp 1 --roi none --reccnn off",
    "restore",
)
_MORE = 8  # photos by which the two runs differ
_SET = "camera"


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of a command for the photos by which its two runs differ.

    seconds: of processor time, of all processes.
    start_seconds: of the run of one photo.
    """

    command: str
    megapixels: float
    seconds: float
    start_seconds: float

    @property
    def megapixels_per_core_hour(self) -> float:
        """Without the start."""
        return 3600 * self.megapixels / self.seconds


def chosen(paths: Sequence[Path]) -> list[Path]:
    """One photo, and up to eight more, one of which is measured in full if possible."""
    full = [path for path in paths if is_in_sample(hashlib.sha256(path.read_bytes()).hexdigest())]
    others = [path for path in paths if path not in full]
    return [*others[:_MORE], *full[:1]]


def costs(cameras: Path, kept: Kept) -> list[Cost]:
    """Runs each command twice, in the folder of `kept`.

    Args:
      cameras: the folder that `benchmarks.photo_set` makes.
      kept: commands that were measured there are not run again.

    Raises:
      ValueError: there is no folder to keep archives in, or no photos.
      subprocess.CalledProcessError: a run failed.
    """
    if kept.folder is None or not (cameras / _SET).is_dir():
        raise ValueError("the section runs writes archives and needs photos: --keep FOLDER --cameras FOLDER")
    photos = chosen(photo_paths(cameras / _SET))
    place = kept.folder / "runs"
    for name, files in (("one", photos[:1]), ("all", photos)):
        (place / name).mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, place / name / path.name)
    subprocess.run([sys.executable, "-m", "foveate.compile"], stdin=subprocess.DEVNULL, check=True)
    megapixels = sum(pixel_count(path) for path in photos[1:]) / 1e6
    return [_cost(command, place, megapixels) for command in COMMANDS]


def _cost(command: str, place: Path, megapixels: float) -> Cost:
    record = place / f"{command.replace(' ', '')}.json"
    if record.exists():
        return Cost(**json.loads(record.read_text()))
    one, every = (_seconds(command, place, name) for name in ("one", "all"))
    cost = Cost(command, megapixels, every - one, one)
    record.write_text(json.dumps(dataclasses.asdict(cost)))
    return cost


def _seconds(command: str, place: Path, photos: str) -> float:
    """Processor seconds of a command on a folder; restore takes the archive of the first command."""
    name, *flags = command.split()
    source = place / photos if name == "compress" else place / f"{photos}-{COMMANDS[0]}"
    output = place / f"{photos}-{command.replace(' ', '')}"
    shutil.rmtree(output, ignore_errors=True)
    start = child_seconds()
    run = [sys.executable, "-m", "foveate", name, str(source), "--output", str(output), "--quiet", *flags]
    subprocess.run(run, stdin=subprocess.DEVNULL, check=True)
    return child_seconds() - start


def runs_section(found: Sequence[Cost]) -> Section:
    """Megapixels per core-hour of each command."""
    rows = tuple(
        (
            f"`{cost.command}`",
            number(cost.megapixels_per_core_hour, ",.0f"),
            number(cost.start_seconds, ".1f"),
        )
        for cost in found
    )
    head = ("command", "megapixels per core-hour", "seconds for one photo, the start included")
    text = (
        f"Processor time of all processes for {found[0].megapixels:.0f} megapixels of camera JPEGs ([the "
        "photos](photos.md)): the difference between runs on nine photos and on one, which excludes the "
        "start of the program. Reading, checking, measuring and writing are included; one of the eight "
        "photos is measured in full, as in any run. One run each, on two cores shared with other work; a "
        "busy machine takes more processor time for the same work than an idle one."
    )
    table = Table("Processor time of whole runs", head, rows)
    return Section(
        "runs", "What whole runs take", text, (table,), (), {"runs": list(map(dataclasses.asdict, found))}
    )
