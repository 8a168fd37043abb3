"""Plans work on sources of which a thousandth is new: python -m benchmarks.planning COUNT FOLDER.

Sources and archive are listed from `benchmarks.generated_store` by the real client; the tables are real files
in FOLDER. Prints the plan, and this process's time and highest memory.
"""

from __future__ import annotations

import datetime
import functools
import json
import multiprocessing
import resource
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.generated_store import etag_of, name_of, size_of
from foveate.archive.planning import planner, tasks
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import METRICS_FOLDER, metrics_schema
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.transforms.frames import expand_page
from tests import servers

SETTINGS, WEIGHTS = "5e" * 8, "3e" * 8
_ROWS = 200_000  # a file
_DATE = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def write_tables(folder: str, count: int) -> None:
    """The rows of runs that have compressed all but each thousandth source."""
    schema = metrics_schema()
    for start in range(0, count, _ROWS):
        numbers = [number for number in range(start, min(count, start + _ROWS)) if number % 1000]
        size = len(numbers)
        names = [name_of(number) for number in numbers]
        values = {
            "source_url": [f"s3://photos/in/{name}" for name in names],
            "archive_url": [f"s3://archive/{name}.jp2" for name in names],
            "relative_path": names,
            "source_bytes": [size_of(number) for number in numbers],
            "archive_bytes": [size_of(number) // 4 for number in numbers],
            "source_checksum": [f"etag:{etag_of(number)}" for number in numbers],
            "archive_version": [f"etag:{etag_of(-number)}" for number in numbers],
        }
        alike = {
            "outcome": "compressed",
            "source_modified": _DATE.timestamp(),
            "source_sha256": "ab" * 32,
            "settings_digest": SETTINGS,
            "weights_digest": WEIGHTS,
            "finished": _DATE,
        }
        columns = [
            pa.array(values[field.name], field.type)
            if field.name in values
            else pa.repeat(_scalar(alike.get(field.name), field), size)
            for field in schema
        ]
        place = Path(folder, METRICS_FOLDER, f"run=r{start:09}")
        place.mkdir(parents=True)
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), place / "0.parquet", compression="zstd")


def _scalar(value: object, field: pa.Field) -> pa.Scalar:
    """A value of a column's type; where there is none, a null if there may be one, else zero or nothing."""
    if value is None and not field.nullable:
        return pa.scalar("" if pa.types.is_string(field.type) else 0).cast(field.type)
    return pa.scalar(value, field.type)


def main() -> int:
    """Plans; the exit status."""
    count, folder = int(sys.argv[1]), sys.argv[2]
    if not Path(folder, METRICS_FOLDER).exists():
        writing = multiprocessing.get_context("spawn").Process(target=write_tables, args=(folder, count))
        writing.start()  # elsewhere: its memory is not the plan's
        writing.join()
    port = servers.free_port()
    command = [sys.executable, "-m", "benchmarks.generated_store", str(port), str(count)]
    with subprocess.Popen(command) as server:
        try:
            servers.wait_for(port)
            set_up_filesystems((f"--s3_endpoint_url=http://{servers.HOST}:{port}", *servers.S3_FLAGS))
            asked = Asked(("s3://photos/in",), frozenset({".jpg"}), "s3://archive", SETTINGS, WEIGHTS)
            expand = functools.partial(expand_page, frames="keep")
            before, start = time.process_time(), time.monotonic()
            with mock.patch.object(planner, "table_tasks", lambda archive: tasks.table_tasks(folder)):
                summary = make_plan(asked, "r", expand, f"{folder}/plan-{time.time_ns()}")
        finally:
            server.kill()
    used = time.process_time() - before
    print(
        json.dumps(
            {
                "listed": summary.listed,
                "plan": summary.rows,
                "up to date": summary.skipped.photos,
                "CPU s": round(used, 1),
                "CPU us a source": round(1e6 * used / count, 1),
                "s": round(time.monotonic() - start, 1),
                "highest, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )
    return 0 if summary.rows == {"compress": len(range(0, count, 1000))} else 1


if __name__ == "__main__":
    sys.exit(main())
