"""Stores a run's plan: a table in the archive with a row for each source that is not simply skipped.

DEST/_foveate/plans/run=<id>/<bucket>-<number>.parquet, and plan.json when all of them are there
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.planning.collect import columns_of, source_of
from foveate.archive.planning.first import Taken
from foveate.archive.planning.join import UpToDate
from foveate.archive.planning.slices import Slice, rows_of
from foveate.archive.planning.spool import put_parquet
from foveate.archive.tables import BadTable, open_whole, run_folder, table_text
from foveate.storage.files import delete_file, read_if_there, read_whole
from foveate.storage.listing import list_private
from foveate.storage.source import SourceFile

PLANS_FOLDER = "_foveate/plans"
SUMMARY = "plan.json"
ROWS_PER_PART = 20_000

Action = Literal[
    "compress",  # it is new, or something of it has changed
    "check",  # files must be read to know whether it is up to date
    "renew",  # it is up to date, but a new row has something to say
    "taken",  # another source has its place
]
_SCHEMA = pa.schema(
    {
        "action": pa.string(),
        "url": pa.string(),
        "path": pa.string(),
        "size": pa.int64(),
        "modified": pa.float64(),
        "frame": pa.int64(),
        "generation": pa.string(),
        "checksum": pa.string(),
        "raw": pa.binary(),
        "ending": pa.string(),
        "source_sha256": pa.string(),
        "archive_bytes": pa.int64(),
        "archive_sha256": pa.string(),
        "as_written": pa.bool_(),
        "same_source": pa.bool_(),
        "known": pa.bool_(),
        "detail": pa.string(),
    }
)


@dataclasses.dataclass(frozen=True)
class Former:
    """What tables and listings say about the file that an earlier run made of a source.

    ending: what its name has more than the source's.
    as_written: whether the listing shows the version that the row has.
    same_source: whether the source is known to be the same without reading it.
    known: whether the row says all that there is to say, if it is up to date.
    """

    ending: str
    source_sha256: str
    archive_bytes: int
    archive_sha256: str | None
    as_written: bool
    same_source: bool
    known: bool


@dataclasses.dataclass(frozen=True)
class Planned:
    """A row of a plan: a source, what to do with it, and what the archive has of it (None: nothing)."""

    source: SourceFile
    action: Action
    former: Former | None = None
    detail: str = ""  # of a source whose place is taken: the sentence


@dataclasses.dataclass(frozen=True)
class Summary:
    """The totals of a plan; the fields of plan.json.

    `request` is alike for runs that ask for the same; `skipped` counts what is up to date and has no row;
    `other_kinds` counts files beside the photos that are not taken for their endings.
    """

    run_id: str
    request: str
    planned: datetime.datetime
    seconds: float
    listed: int
    rows: dict[str, int]  # by action
    to_compress_bytes: int
    skipped: UpToDate
    other_kinds: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def todo(self) -> int:
        """How many rows it has."""
        return sum(self.rows.values())


def plan_folder(archive: str, run_id: str) -> str:
    """The folder of a run's plan."""
    return run_folder(archive, PLANS_FOLDER, run_id)


class PlanWriter:
    """Writes the parts of one bucket, under names that depend only on the bucket and their order.

    Args:
      folder: where they go.
      bucket: which one; None: of all.
      first: the number of the first part.
    """

    def __init__(self, folder: str, bucket: int | None, first: int = 0) -> None:
        self.first = first
        self.folder, self.name = folder, "any" if bucket is None else f"{bucket:04}"
        self.parts: list[str] = []
        self.rows: dict[str, int] = {}
        self.to_compress_bytes = 0
        self.skipped = UpToDate(0, 0, 0)
        self._tables: list[pa.Table] = []

    def add(self, found: UpToDate | Taken | pa.Table) -> None:
        """Adds the results of a join."""
        if isinstance(found, UpToDate):
            self.skipped = self.skipped.plus(found)
        elif isinstance(found, Taken):
            self._keep(pa.Table.from_pylist([_taken_row(found)], schema=_SCHEMA))
        else:
            if "detail" not in found.column_names:
                found = found.append_column("detail", pa.array([""] * len(found), pa.string()))
            self._keep(found.select(_SCHEMA.names).cast(_SCHEMA))

    def close(self) -> list[str]:
        """Writes the rest; returns the urls of all parts."""
        if self._tables:
            self._write()
        return self.parts

    def _keep(self, table: pa.Table) -> None:
        for action in table.column("action").value_counts().to_pylist():
            self.rows[action["values"]] = self.rows.get(action["values"], 0) + action["counts"]
        compress = table.filter(pa.compute.equal(table.column("action"), "compress"))
        self.to_compress_bytes += pa.compute.sum(compress.column("size")).as_py() or 0
        self._tables.append(table)
        if sum(map(len, self._tables)) >= ROWS_PER_PART:
            self._write()

    def _write(self) -> None:
        url = f"{self.folder}/{self.name}-{self.first + len(self.parts):05}.parquet"
        put_parquet(pa.concat_tables(self._tables), url)
        self._tables = []
        self.parts.append(url)


def _taken_row(taken: Taken) -> dict[str, Any]:
    return {
        "action": "taken",
        **columns_of(taken.source),
        "detail": table_text(str(taken.error)),
    }


def read_part(url: str) -> Iterator[Planned]:
    """The rows of one part of a plan.

    Raises:
      BadTable: it is not such a file.
    """
    try:
        place: Any = io.BytesIO(read_whole(url)) if "://" in url else url
        with pq.ParquetFile(place) as file:
            for batch in file.iter_batches(1 << 12):
                yield from map(_planned, batch.to_pylist())
    except (pa.ArrowException, KeyError) as error:
        raise BadTable(f"{url} is not a part of a plan: {error}") from error


def read_slice(part: Slice) -> Iterator[Planned]:
    """The rows of a slice of a part of a plan.

    Raises:
      BadTable: the part is unreadable.
    """
    try:
        yield from map(_planned, rows_of(part))
    except KeyError as error:
        raise BadTable(f"{part.url} is not a part of a plan: there is no {error}") from error


def _planned(row: dict[str, Any]) -> Planned:
    former = None
    if row["ending"] is not None and row["source_sha256"] is not None:
        names = [field.name for field in dataclasses.fields(Former)]
        former = Former(**{name: row[name] for name in names})
    return Planned(source_of(row), row["action"], former, row["detail"])


def write_summary(archive: str, summary: Summary) -> None:
    """Writes the summary, which makes a plan complete."""
    values = dataclasses.asdict(summary) | {"planned": summary.planned.isoformat()}
    with open_whole(f"{plan_folder(archive, summary.run_id)}/{SUMMARY}") as file:
        file.write(json.dumps(values, indent=1).encode())


def read_summary(archive: str, run_id: str) -> Summary | None:
    """The totals of a run's plan; None if there is no plan, or an incomplete one.

    Raises:
      BadTable: it is not what it should be.
    """
    url = f"{plan_folder(archive, run_id)}/{SUMMARY}"
    data = read_if_there(url)
    if data is None:
        return None
    try:
        values = json.loads(data)
        values["planned"] = datetime.datetime.fromisoformat(values["planned"])
        values["skipped"] = UpToDate(*values["skipped"])
        return Summary(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise BadTable(f"{url} is not a plan: {error}") from error


def part_urls(archive: str, run_id: str) -> list[str]:
    """The urls of all parts of a run's plan."""
    return [url for url in list_private(plan_folder(archive, run_id)) if url.endswith(".parquet")]


def planned_runs(archive: str) -> list[str]:
    """The ids of the runs that have left a plan, in order."""
    urls = list_private(f"{archive.rstrip('/')}/{PLANS_FOLDER}")
    return sorted({url.rpartition("/run=")[2].partition("/")[0] for url in urls if "/run=" in url})


def clear_plan(archive: str, run_id: str) -> None:
    """Removes the plan of a run that has ended, summary first, so that the rest no longer counts as one."""
    folder = plan_folder(archive, run_id)
    if "://" not in folder:
        Path(folder, SUMMARY).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # there are others
            Path(folder).parent.rmdir()
        return
    with contextlib.suppress(OSError):  # what stays is taken for no plan, and removed by a later run
        for url in sorted(list_private(folder), key=lambda url: not url.endswith(SUMMARY)):
            delete_file(url)
