"""Replaces many small table files with a few large ones, completely or not at all.

small tables, dead runs' journals, sums, failures ─▶ sorted by path ─▶ parts ─▶ entry of the log ─▶ deletions

Killed before the entry is there, it leaves parts that nobody reads; killed after it, files that nobody reads.
The next compaction removes both. A run that is at work keeps its files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive import leases
from foveate.archive.compactions import (
    COMPACTED,
    Compacted,
    entry_url,
    name_of,
    read_log,
    root_of,
    visible_urls,
)
from foveate.archive.planning.join import local_copy
from foveate.archive.skipped import SKIPPED_FILE, SKIPPED_LINES, read_sums, skipped_line
from foveate.archive.tables import (
    FAILURES_FOLDER,
    JOURNAL,
    METRICS_FOLDER,
    BadTable,
    metrics_schema,
    open_whole,
    read_journal,
    read_lines,
    run_folder,
)
from foveate.storage.files import delete_file, write_new
from foveate.storage.listing import list_private, list_private_files
from foveate.storage.object_store import StoredFile

SMALL_BYTES = 32 << 20  # what is larger stays as it is
ROWS_PER_PART = 500_000
QUIET_SECONDS = 600.0  # that an engine's run, which may have no lease, has not written anything in a bucket
_MEMORY = "400MB"
_AT_ONCE = 10_000  # rows


@dataclasses.dataclass(frozen=True)
class Compaction:
    """The result of a compaction: how many files replaced how many, and the number of metrics rows."""

    replaced: int
    parts: int
    rows: int


@dataclasses.dataclass(frozen=True)
class _Small:
    """The urls of the files that one compaction takes, by kind."""

    tables: list[str]
    journals: list[str]
    sums: list[str]
    failures: list[str]

    @property
    def all(self) -> list[str]:
        """All of them."""
        return [*self.tables, *self.journals, *self.sums, *self.failures]


def small_parts(archive: str) -> int:
    """How many files a compaction would replace now.

    Raises:
      OSError, ValueError: the tables cannot be listed.
    """
    return len(_small(archive, read_log(archive)).all)


def compact(archive: str) -> Compaction:
    """Compacts the tables of an archive; does nothing if there are fewer than two small files.

    Raises:
      BadTable: a file is not the table that it should be.
      OSError, BadInput, CannotGoOn: a place cannot be read or written.
    """
    name = f"compacted-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"
    with leases.held(archive, name):
        log = _tidy(archive)
        small = _small(archive, log)
        if len(small.all) < 2:
            return Compaction(0, 0, 0)
        with tempfile.TemporaryDirectory(prefix="foveate-compact-") as scratch:
            parts, rows = _write_parts(archive, name, small, scratch)
        gone = {name_of(url) for url in small.all}
        folders = (METRICS_FOLDER, FAILURES_FOLDER)
        there = {name_of(file.url) for place in folders for file in _listed(archive, place)}
        entry = Compacted(
            log.number + 1,
            (*(part for part in log.parts if part not in gone), *map(name_of, parts)),
            (log.replaced & there) | gone,
        )
        values = {"parts": entry.parts, "replaced": sorted(entry.replaced), "by": name}
        data = json.dumps(values, indent=0).encode()
        if not write_new(entry_url(archive, entry.number), data, archive):
            for part in parts:  # another compaction was first
                delete_file(part)
            return Compaction(0, 0, 0)
        _tidy(archive)
        return Compaction(len(small.all), len(parts), rows)


def keep_journal(archive: str, run_id: str) -> int:
    """Writes the rows that are only in a run's journal to tables of the run; returns their number.

    An engine may begin a run again where it lost a worker: what was done till then is up to date, and no
    other row says so.

    Raises:
      BadTable: a file is not the table that it should be.
      OSError: a place cannot be read or written.
    """
    folder = run_folder(archive, METRICS_FOLDER, run_id)
    urls = list_private(folder)
    journals = [url for url in urls if url.rpartition("/")[2].startswith(JOURNAL)]
    tables = [url for url in urls if url.endswith(".parquet")]
    rows = 0
    with tempfile.TemporaryDirectory(prefix="foveate-compact-") as scratch:
        found = _sorted_rows(archive, _Small([], journals, [], []), tables, scratch)
        for number, table in enumerate(found):
            with open_whole(f"{folder}/kept-{number:05}.parquet") as file:
                pq.write_table(table, file, compression="zstd", row_group_size=_AT_ONCE)
            rows += len(table)
    return rows


def _small(archive: str, log: Compacted) -> _Small:
    """The small files of runs that have ended, and parts that are still small."""
    folders = METRICS_FOLDER, FAILURES_FOLDER
    visible = {url for folder in folders for url in visible_urls(archive, folder, None)}
    living = leases.living_runs(archive)
    found = _Small([], [], [], [])
    files = [file for folder in folders for file in _listed(archive, folder)]
    latest: dict[str, float] = {}
    for file in files:
        run = _run_of(file.url)
        latest[run] = max(file.modified, latest.get(run, 0.0))
    for file in sorted(files, key=lambda file: file.url):
        name, run = file.url.rpartition("/")[2], _run_of(file.url)
        quiet = "://" not in archive or time.time() - latest[run] > QUIET_SECONDS
        if file.url not in visible or run in living or file.size_bytes >= SMALL_BYTES:
            continue
        if name.startswith(JOURNAL):
            if quiet:
                found.journals.append(file.url)
        elif not quiet:
            continue
        elif name.endswith(".parquet"):
            found.tables.append(file.url)
        elif name in (SKIPPED_FILE, SKIPPED_LINES):
            found.sums.append(file.url)
        elif f"/{FAILURES_FOLDER}/" in file.url and name.endswith(".jsonl"):
            found.failures.append(file.url)
    return found


def _listed(archive: str, folder: str) -> list[StoredFile]:
    return list_private_files(f"{root_of(archive)}/{folder}")


def _run_of(url: str) -> str:
    return url.rpartition("/run=")[2].partition("/")[0]


def _write_parts(archive: str, name: str, small: _Small, scratch: str) -> tuple[list[str], int]:
    """Writes all parts; returns their urls and the number of metrics rows."""
    root = root_of(archive)
    parts: list[str] = []
    rows = 0
    others = []
    if small.journals:  # large tables of their runs
        taken = {*small.tables}
        visible = visible_urls(archive, METRICS_FOLDER, None)
        others = [url for url in visible if url.endswith(".parquet") and url not in taken]
    for table in _sorted_rows(archive, small, others, scratch):
        url = f"{root}/{METRICS_FOLDER}/run={name}/{len(parts):05}.parquet"
        with open_whole(url) as file:
            pq.write_table(table, file, compression="zstd", row_group_size=_AT_ONCE)
        rows += len(table)
        parts.append(url)
    for urls, folder, file_name, lines in (
        (small.sums, METRICS_FOLDER, SKIPPED_LINES, _sum_lines),
        (small.failures, FAILURES_FOLDER, "00000.jsonl", _failure_lines),
    ):
        if urls:
            url = f"{root}/{folder}/run={name}/{file_name}"
            with open_whole(url) as file:
                for line in lines(urls):
                    file.write(line + b"\n")
            parts.append(url)
    return parts, rows


def _sum_lines(urls: Sequence[str]) -> Iterator[bytes]:
    for url in urls:
        yield from map(skipped_line, read_sums(url))


def _failure_lines(urls: Sequence[str]) -> Iterator[bytes]:
    for url in urls:
        yield from (json.dumps(line, ensure_ascii=False).encode() for line in read_lines(url))


def _sorted_rows(archive: str, small: _Small, others: Sequence[str], scratch: str) -> Iterator[pa.Table]:
    """All metrics rows by path, in batches; from a journal, only those not in a table of its run.

    `others` are tables that may be of the journals' runs, beside the small ones.
    """
    if not (small.tables or small.journals):
        return
    full = metrics_schema()
    schema = pa.schema([field.with_nullable(True) for field in full])
    config = {"memory_limit": _MEMORY, "temp_directory": scratch, "threads": 2}
    with duckdb.connect(config=config) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("no_rows", schema.empty_table())
        db.execute("CREATE TABLE shape AS FROM no_rows")
        tables = _read(small.tables, f"{scratch}/tables")
        journals = _read(_as_parquet(small.journals, schema, scratch), f"{scratch}/journals")
        known = _read(others, f"{scratch}/others")
        query = (
            f"WITH tables AS ({tables}), journals AS ({journals}), "
            f"known AS (FROM tables UNION ALL BY NAME ({known})) "
            "FROM tables UNION ALL BY NAME (SELECT j.* FROM journals AS j ANTI JOIN known AS k "
            "ON j.run_id = k.run_id AND j.relative_path = k.relative_path AND j.finished <= k.finished "
            "QUALIFY row_number() OVER (PARTITION BY run_id, relative_path ORDER BY finished DESC) = 1) "
            "ORDER BY relative_path, finished"
        )
        try:
            kept: list[pa.Table] = []
            for batch in db.sql(query).to_arrow_reader(_AT_ONCE):
                table = pa.Table.from_batches([batch])
                kept.append(table.select(schema.names).cast(schema))
                if sum(map(len, kept)) >= ROWS_PER_PART:
                    yield pa.concat_tables(kept)
                    kept = []
            if kept:
                yield pa.concat_tables(kept)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise BadTable(f"a metrics table below {archive} cannot be read: {error}") from error


def _read(urls: Sequence[str], folder: str) -> str:
    """SQL for all rows of some files, with all columns that any of them has."""
    if not urls:
        return "FROM shape"
    Path(folder).mkdir(exist_ok=True)
    places = []
    for number, url in enumerate(urls):
        own = Path(folder, str(number))
        own.mkdir()
        places.append("'" + local_copy(url, str(own)).replace("'", "''") + "'")
    read = f"read_parquet([{', '.join(places)}], union_by_name = true, hive_partitioning = false)"
    return f"FROM shape UNION ALL BY NAME (FROM {read})"


def _as_parquet(journals: Sequence[str], schema: pa.Schema, scratch: str) -> list[str]:
    """The rows of journals as Parquet files."""
    made = []
    for number, url in enumerate(journals):
        place = f"{scratch}/journal-{number}.parquet"
        with pq.ParquetWriter(place, schema) as writer:
            rows: list[dict[str, Any]] = []
            for row in read_journal(url):
                rows.append(row)
                if len(rows) >= _AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        made.append(place)
    return made


def _tidy(archive: str) -> Compacted:
    """Removes what the log no longer names: replaced files, parts of dead compactions, older entries.

    Returns the log. The order keeps another compaction's parts: it held its lease when it wrote what is
    listed, and if it has released the lease since, its entry is in the log.
    """
    listed = [file for folder in (METRICS_FOLDER, FAILURES_FOLDER) for file in _listed(archive, folder)]
    living = leases.living_runs(archive)
    log = read_log(archive)
    for file in listed:
        name, run = name_of(file.url), _run_of(file.url)
        orphan = run.startswith(COMPACTED.removeprefix("run=")) and name not in log.parts
        if name in log.replaced or (orphan and run not in living):
            _remove(file.url)
    for number in range(max(1, log.number - 20), log.number):
        with contextlib.suppress(OSError):
            delete_file(entry_url(archive, number))
    return log


def _remove(url: str) -> None:
    delete_file(url)
    if "://" not in url:
        with contextlib.suppress(OSError):  # there is more in it
            Path(url).parent.rmdir()
