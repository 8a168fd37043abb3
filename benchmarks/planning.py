"""Plans work on sources of which a thousandth is new: python -m benchmarks.planning COUNT FOLDER [--bucket].

Sources and archive are listed from `benchmarks.generated_store` by the real client; the tables are real files
in FOLDER. Prints the plan, and this process's time and highest memory. With --bucket, nothing is listed: only
one of the buckets for so many sources is joined, the only step whose memory could grow with them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import functools
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.generated_store import etag_of, name_of, size_of
from foveate.archive.planning import planner, spool, tasks
from foveate.archive.planning.collect import file_tables, rows_schema, source_table
from foveate.archive.planning.join import join_bucket
from foveate.archive.planning.places import places_of
from foveate.archive.planning.plan import PlanWriter
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.spool import BUCKETS, Spool, Spooled
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import METRICS_FOLDER, metrics_schema
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.storage.listing import ListedPage
from foveate.storage.source import SourcePage
from foveate.transforms.frames import expand_page
from tests import servers

SETTINGS, WEIGHTS = "5e" * 8, "3e" * 8
_ROWS = 200_000  # a file
_PAGE = 1000
_DATE = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def write_tables(folder: str, count: int) -> None:
    """The rows of runs that have compressed all but each thousandth source."""
    for start in range(0, count, _ROWS):
        place = Path(folder, METRICS_FOLDER, f"run=r{start:09}")
        place.mkdir(parents=True)
        table = rows_of(range(start, min(count, start + _ROWS)))
        pq.write_table(table, place / "0.parquet", compression="zstd")


def rows_of(numbers: range) -> pa.Table:
    """The metrics rows of those sources that are not new."""
    schema = metrics_schema()
    known = [number for number in numbers if number % 1000]
    names = [name_of(number) for number in known]
    values = {
        "source_url": [f"s3://photos/in/{name}" for name in names],
        "archive_url": [f"s3://archive/{name}.jp2" for name in names],
        "relative_path": names,
        "source_bytes": [size_of(number) for number in known],
        "archive_bytes": [size_of(number) // 4 for number in known],
        "source_checksum": [f"etag:{etag_of(number)}" for number in known],
        "archive_version": [f"etag:{etag_of(-number)}" for number in known],
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
        else pa.repeat(_scalar(alike.get(field.name), field), len(known))
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _scalar(value: object, field: pa.Field) -> pa.Scalar:
    """A value of a column's type; without one, null if allowed, or else zero or empty."""
    if value is None and not field.nullable:
        return pa.scalar("" if pa.types.is_string(field.type) else 0).cast(field.type)
    return pa.scalar(value, field.type)


def spool_bucket(folder: str, count: int) -> list[Spooled]:
    """Spools one bucket of a plan of so many sources: as many files, of as many rows, as it would have."""
    spools = [
        Spool(folder, kind, rows_schema() if kind == "rows" else None, may_mix=False, place=_one_bucket)
        for kind in ("sources", "files", "rows")
    ]
    sources, files, rows = spools
    # A bucket has its share of what is written at a time.
    share = {name: getattr(spool, name) // BUCKETS for name in ("_MOST_BYTES", "_AT_ONCE")}
    with mock.patch.multiple(spool, **share):
        for start in range(0, count // BUCKETS, _PAGE):
            numbers = range(start, min(start + _PAGE, count // BUCKETS))
            sources.add_table(source_table(_listed(numbers)))
            known = [number for number in numbers if number % 1000]
            names = [f"{name_of(number)}.jp2" for number in known]
            sizes, versions = zip(*((size_of(n) // 4, f"etag:{etag_of(-n)}") for n in known), strict=True)
            for table in file_tables(ListedPage(names, sizes, versions)):
                files.add_table(table)
            table = rows_of(numbers)
            table = table.append_column("key", table.column("relative_path"))
            rows.add_table(table.select(rows.given.names).cast(rows.given))
        return [file for one in spools for file in one.close()]


def _listed(numbers: range) -> SourcePage:
    """Some of the store's sources."""
    names = [name_of(number) for number in numbers]
    return SourcePage(
        [f"s3://photos/in/{name}" for name in names],
        names,
        [size_of(number) for number in numbers],
        [_DATE.timestamp()] * len(names),
        [0] * len(names),
        [""] * len(names),
        [f"etag:{etag_of(number)}" for number in numbers],
    )


def _one_bucket(paths: pa.ChunkedArray) -> np.ndarray:
    """The places of paths, as if all of them were in the first bucket."""
    return places_of(paths) // BUCKETS * BUCKETS


def join_one(folder: str, count: int) -> int:
    """Joins one of the buckets for so many sources; returns the exit status."""
    shutil.rmtree(f"{folder}/spooled", ignore_errors=True)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        spooled = elsewhere.submit(spool_bucket, f"{folder}/spooled", count).result()
    everything = [
        Spooled(file.kind, bucket, f"{file.url}{bucket}" if bucket else file.url)
        for bucket in range(BUCKETS)
        for file in spooled
    ]
    before = time.process_time()
    writer = PlanWriter(f"{folder}/plan-{time.time_ns()}", 0)
    for found in join_bucket(everything, 0, "s3://archive", SETTINGS, WEIGHTS):
        writer.add(found)
    writer.close()
    listed = count // BUCKETS
    _say(time.process_time() - before, listed, {
        "files": len(everything), "plan": writer.rows, "up to date": writer.skipped.photos,
    })  # fmt: skip
    return 0 if writer.rows == {"compress": len(range(0, listed, 1000))} else 1


def plan_all(folder: str, count: int) -> int:
    """Plans; the exit status."""
    if not Path(folder, METRICS_FOLDER).exists():
        writing = multiprocessing.get_context("spawn").Process(target=write_tables, args=(folder, count))
        writing.start()  # in a separate process, whose memory does not count
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
    _say(time.process_time() - before, count, {
        "listed": summary.listed,
        "plan": summary.rows,
        "up to date": summary.skipped.photos,
        "s": round(time.monotonic() - start, 1),
    })  # fmt: skip
    return 0 if summary.rows == {"compress": len(range(0, count, 1000))} else 1


def _say(used: float, count: int, figures: dict[str, Any]) -> None:
    figures |= {
        "CPU s": round(used, 1),
        "CPU us a source": round(1e6 * used / count, 1),
        "highest, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(figures))


def main() -> int:
    """Plans; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, metavar="COUNT")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--bucket", action="store_true", help="join one bucket of those of so many sources")
    args = parser.parse_args()
    return (join_one if args.bucket else plan_all)(args.folder, args.count)


if __name__ == "__main__":
    sys.exit(main())
