"""Archives folders of photos with the command itself, as a user would, and measures what that takes."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.photos import pixel_count
from foveate.archive.newest import newest_rows
from foveate.archive.tables import read_metrics


@dataclasses.dataclass(frozen=True)
class Archived:
    """An archive.

    rows: the metrics row of each photo, in the order of their paths; `pixels` from the source, since rows of
        kept files have no size.
    megapixels_per_core_hour: in processor time, including the start of the program; of completed runs.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]
    megapixels_per_core_hour: float

    @property
    def megapixels(self) -> float:
        """Of all photos together."""
        return float(sum(row["pixels"] for row in self.rows) / 1e6)

    @property
    def ratio(self) -> float:
        """Bytes of all sources over those of the archive's files."""
        sources, files = (sum(row[name] for row in self.rows) for name in ("source_bytes", "archive_bytes"))
        return float(sources / files)

    def compressed(self) -> list[dict[str, Any]]:
        """Rows of the photos that were not kept unchanged."""
        return [row for row in self.rows if row["outcome"] == "compressed"]


def archived(photos: Path, folder: Path, flags: Sequence[str] = ()) -> Archived:
    """Compresses what the archive lacks, and reads its table.

    Args:
      photos: a folder.
      folder: the archive's; a run that was interrupted is resumed.
      flags: of `foveate compress`.

    Raises:
      subprocess.CalledProcessError: the run failed, or photos did.
    """
    cost = folder.with_name(f"{folder.name}.cost.json")
    before = _rows(folder, photos)
    start = child_seconds()
    command = [sys.executable, "-m", "foveate", "compress", str(photos), "--output", str(folder)]
    subprocess.run([*command, "--quiet", *flags], stdin=subprocess.DEVNULL, check=True)
    seconds = child_seconds() - start
    rows = _rows(folder, photos)
    new = sum(row["pixels"] for path, row in rows.items() if path not in before) / 1e6
    taken = json.loads(cost.read_text()) if cost.exists() else {"seconds": 0.0, "megapixels": 0.0}
    if new:
        taken = {"seconds": taken["seconds"] + seconds, "megapixels": taken["megapixels"] + new}
        cost.write_text(json.dumps(taken))
    speed = 3600 * taken["megapixels"] / taken["seconds"] if taken["seconds"] else float("nan")
    return Archived(folder, tuple(rows[path] for path in sorted(rows)), speed)


def _rows(folder: Path, photos: Path) -> dict[str, dict[str, Any]]:
    found = newest_rows(read_metrics(str(folder))).to_pylist() if folder.exists() else []
    return {(path := row["relative_path"]): {**row, "pixels": pixel_count(photos / path)} for row in found}


def child_seconds() -> float:
    """Processor time of all child processes so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
