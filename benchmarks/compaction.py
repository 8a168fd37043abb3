"""Compacts nightly tables while a report and a run use them: python -m benchmarks.compaction [--nights N].

Each night left a table of a few made-up rows, failures and a sum. While `foveate compact` works, one thread
counts all rows again and again, and another adds nights. Then the figures of the report are compared with
those of a copy of the tables that was never compacted. The exit status is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.report import made_up
from foveate.archive import tables
from foveate.archive.rows import Failure
from foveate.archive.skipped import write_skipped
from foveate.pipelines.report import asked_of, make_report

ROWS = 5  # a night
_WHEN = "2026-01-02T03:04:05+00:00"


def main() -> int:
    """Compacts and compares; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=10_000)
    nights = parser.parse_args().nights
    with tempfile.TemporaryDirectory(prefix="foveate-compaction-bench-") as folder:
        archive, plain = Path(folder, "archive"), Path(folder, "plain")
        made = made_up(np.arange(ROWS * nights), 0, np.random.default_rng(0))
        for night in range(nights):
            write_night(archive, night, made.slice(ROWS * night, ROWS))
        shutil.copytree(archive, plain, copy_function=os.link)
        found = compacted_beside(archive, plain, nights)
        start = time.monotonic()
        after = figures(archive)
        found["report after, s"] = round(time.monotonic() - start, 1)
        start = time.monotonic()
        before = figures(plain)
        found["report without, s"] = round(time.monotonic() - start, 1)
        found["files left"] = sum(path.is_file() for path in archive.rglob("*"))
    found["figures equal"] = are_equal(after, before)
    print(json.dumps(found))
    return 0 if found["figures equal"] and not found["wrong counts"] and found["status"] == 0 else 1


def compacted_beside(archive: Path, plain: Path, nights: int) -> dict[str, Any]:
    """Compacts an archive beside a reader and a writer, who also writes into the copy; gives the figures."""
    ended = threading.Event()
    counts: list[tuple[int, int, int]] = []
    written = [0]
    more = made_up(np.arange(ROWS * nights, ROWS * (nights + 1000)), 1, np.random.default_rng(1))

    def read() -> None:
        while not ended.is_set():
            least = written[0]
            found = tables.read_metrics(str(archive), columns=["relative_path"]).num_rows
            counts.append((ROWS * (nights + least), found, ROWS * (nights + written[0] + 1)))

    def write() -> None:
        while not ended.wait(0.5) and written[0] < 1000:
            for place in (archive, plain):
                write_night(place, nights + written[0], more.slice(ROWS * written[0], ROWS))
            written[0] += 1

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        beside = [threads.submit(work) for work in (read, write)]
        start = time.monotonic()
        try:
            status = subprocess.run(
                [sys.executable, "-m", "foveate", "compact", str(archive)], check=False
            ).returncode
        finally:
            seconds = time.monotonic() - start
            ended.set()
        for work in beside:
            work.result()
    return {
        "nights": nights,
        "status": status,
        "compaction, s": round(seconds, 1),
        "nights added meanwhile": written[0],
        "times read": len(counts),
        "wrong counts": [count for count in counts if not count[0] <= count[1] <= count[2]],
    }


def write_night(archive: Path, night: int, rows: Any) -> None:
    """The tables that one nightly run leaves."""
    run = f"n{night:06}"
    folder = archive / tables.METRICS_FOLDER / f"run={run}"
    folder.mkdir(parents=True)
    partial = folder / "partial"
    index = rows.schema.get_field_index("run_id")
    pq.write_table(rows.set_column(index, "run_id", [[run] * len(rows)]).cast(rows.schema), partial)
    partial.rename(folder / "00000.parquet")
    failed = Failure(f"/photos/broken/{night}.jpg", "read", "BadPicture", "the file ends early", _WHEN)
    tables.write_failures([failed], f"{archive}/{tables.FAILURES_FOLDER}/run={run}/00000.jsonl")
    write_skipped((night + 1, 100, 10), str(archive), run, "1.0")


def figures(archive: Path) -> dict[str, Any]:
    """All figures of the report."""
    return dict(make_report(asked_of([str(archive)], []), 0, 1.0).figures)


def are_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether figures are equal, except for the last digits of means, which are summed in any order."""
    return one.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=1e-12) if isinstance(value, float) else value == other[name]
        for name, value in one.items()
    )


if __name__ == "__main__":
    sys.exit(main())
