"""Loads an archive's tables into DuckDB, one row per photo, on disk if memory is too small.

    DEST/_foveate/metrics/**.parquet ─▶ links, or copies of remote ones ─┐
    DEST/_foveate/metrics/**/journal-* ──────────────────────────────────┴▶ photos (latest state), written
    DEST/_foveate/failures/**.jsonl ───────────────────────────────────────▶ failures_at, failed

Parquet is read by DuckDB itself, column by column: no rows pass through Python.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.newest import NEWEST_FIRST
from foveate.archive.skipped import read_skipped
from foveate.archive.tables import (
    FAILURES_FOLDER,
    JOURNAL,
    METRICS_FOLDER,
    PARALLEL_READS,
    BadTable,
    journal_rows,
    metrics_schema,
    read_failures,
    relisted,
    table_urls,
)
from foveate.reports.contents import PhotoFigures, is_measure
from foveate.storage.files import read_whole

MEMORY = "1GB"  # of DuckDB; what does not fit goes to the temporary folder
_SECONDS = tuple(name for name in metrics_schema().names if name.endswith("_seconds"))
STEPS = tuple(name.removesuffix("_seconds") for name in _SECONDS)
PHOTO_COLUMNS = tuple(field.name for field in dataclasses.fields(PhotoFigures))  # some made in `photos` here
_OF_RUNS = ("settings_digest", "weights_digest", "foveate_version", "run_id", "finished")
_WANTED = {*PHOTO_COLUMNS, *_SECONDS, *_OF_RUNS, "metadata_lost", "source_modified", "taken"}
REPORT_COLUMNS = tuple(name for name in metrics_schema().names if name in _WANTED or is_measure(name))

_NEWEST = f"""
CREATE TABLE newest AS
SELECT unnest(arg_min({{part: part, place: place}}, {{newest: {NEWEST_FIRST}, part: part, place: place}})),
    epoch_us(max(finished)) AS last_seen
FROM rows GROUP BY relative_path
"""
_PHOTOS = f"""
CREATE TABLE photos AS
SELECT rows.* EXCLUDE (part, place, finished), make_timestamp(epoch_us(finished)) AS finished, last_seen,
    CASE WHEN contains(relative_path, '/') THEN split_part(relative_path, '/', 1) ELSE '' END AS folder,
    CASE WHEN taken IS NOT NULL THEN left(taken, 7) WHEN source_modified > 0
        THEN strftime(make_timestamp((source_modified * 1e6)::BIGINT), '%Y-%m') ELSE '' END AS month,
    coalesce(psnr_s_db, psnr_db) AS score,
    CASE WHEN (SELECT bool_and(ssimulacra2 IS NOT NULL) FROM rows JOIN newest USING (part, place)
        WHERE outcome = 'compressed') THEN ssimulacra2 ELSE score END AS rank,
    {" + ".join(f"coalesce({name}, 0)" for name in _SECONDS)} AS seconds
FROM rows JOIN newest USING (part, place)
"""
_FAILED = """
CREATE TABLE failed AS
SELECT * FROM failures_at
WHERE NOT EXISTS (SELECT 1 FROM photos WHERE source_url = url AND last_seen >= epoch_us(failed_at))
QUALIFY row_number() OVER (PARTITION BY url ORDER BY failed_at DESC, run_id DESC) = 1
"""
_WRITTEN = """
CREATE TABLE written AS
SELECT run_id, outcome, foveate_version AS version, count(*) AS photos,
    make_timestamp(epoch_us(max(finished))) AS time
FROM rows GROUP BY ALL
UNION ALL SELECT run_id, 'skipped', foveate_version, photos, make_timestamp(epoch_us(finished)) FROM skipped
UNION ALL SELECT run_id, 'failed', NULL, count(*), max(failed_at) FROM failures_at GROUP BY run_id
"""


class NoTables(ValueError):  # noqa: N818
    """There is no archive, or not this run of it; the message says what exists."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """The subject of a report: an archive, and a run of it or, if None, the latest state of all runs."""

    archive_url: str
    run_id: str | None = None


@contextlib.contextmanager
def staged(asked: Sequence[Subject]) -> Iterator[Any]:
    """A DuckDB connection whose schemas `r0`, `r1`, ... hold the tables of the subjects, in this order.

    photos: one row a photo, its latest state: `REPORT_COLUMNS`, `folder`, `month` ("YYYY-MM", when it was
        taken, or else when the file was changed; "" if neither is known), `score` (PSNR-S, else PSNR), `rank`
        (SSIMULACRA 2 if all compressed photos have it, else `score`), `seconds` of all steps, `last_seen`.
        Photos that failed after their newest row are left out.
    failed: the last failure of each photo whose latest outcome is a failure.
    skipped: for each run, how many up-to-date photos it skipped without a row for each.
    written: for each run, outcome and version, how many rows it wrote, and when it ended.

    Everything is removed at the end of the block.

    Raises:
      NoTables: there are none.
      BadTable: a file is not the table it should be.
      ValueError: an invalid run id, or a URL that Beam does not know.
      OSError: a file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="foveate-report-") as folder:
        place = pathlib.Path(folder)
        settings = {"memory_limit": MEMORY, "temp_directory": folder, "preserve_insertion_order": False}
        with duckdb.connect(str(place / "report.duckdb"), config=settings) as db:
            for number, one in enumerate(asked):
                parts = place / f"parts{number}"
                parts.mkdir()
                db.execute(f"CREATE SCHEMA r{number}; USE r{number}")
                _load(db, one, parts)
            yield db


def _load(db: Any, asked: Subject, parts: pathlib.Path) -> None:
    schema = _nullable_schema()

    def fetched() -> tuple[list[str], list[str], set[str], pa.Table]:
        urls = table_urls(asked.archive_url, METRICS_FOLDER, asked.run_id)
        tables = [url for url in urls if url.endswith(".parquet")]
        journals = [url for url in urls if url.rpartition("/")[2].startswith(JOURNAL)]
        for part in parts.iterdir():  # of an attempt before
            part.unlink()
        with concurrent.futures.ThreadPoolExecutor(PARALLEL_READS) as readers:
            numbers = range(len(tables))
            columns = set().union(*readers.map(lambda number: _fetch(tables[number], number, parts), numbers))
        return tables, journals, columns, journal_rows(journals, tables, schema)

    tables, journals, columns, journal = relisted(fetched)
    failures = read_failures(asked.archive_url, asked.run_id)
    skipped = read_skipped(asked.archive_url, asked.run_id)
    if not (tables or journals or len(failures) or len(skipped)):
        raise NoTables(_nothing_there(asked))
    db.register("journal", journal)
    db.register("skipped_sums", skipped)
    times = [_utc(text.as_py()) for text in failures.column("time")]
    db.register("failures", failures.append_column("failed_at", pa.array(times, pa.timestamp("us"))))
    try:
        of_run = "" if asked.run_id is None else f" WHERE run_id = '{asked.run_id}'"
        db.execute(f"CREATE TEMP VIEW rows AS SELECT * FROM ({_rows_query(parts, columns)}){of_run}")
        db.execute("CREATE TABLE skipped AS FROM skipped_sums; CREATE TABLE failures_at AS FROM failures")
        for statement in (_NEWEST, _PHOTOS, _FAILED, _WRITTEN):
            db.execute(statement)
        db.execute("DELETE FROM photos WHERE source_url IN (SELECT url FROM failed); DROP TABLE newest")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:  # the footers were read, so a page is broken
        raise BadTable(f"a metrics table below {asked.archive_url} cannot be read: {error}") from error
    finally:
        db.execute("DROP VIEW IF EXISTS rows")
    unknown = db.execute("SELECT DISTINCT outcome FROM photos").fetchall()
    if strange := {outcome for (outcome,) in unknown} - {"compressed", "kept", "skipped"}:
        raise BadTable(f"the metrics table has unknown outcomes: {', '.join(sorted(map(str, strange)))}")


def _fetch(url: str, number: int, parts: pathlib.Path) -> set[str]:
    """Links a table under a number, since DuckDB treats names as patterns; returns its columns."""
    place = parts / f"{number}.parquet"
    local = pathlib.Path(url).absolute()
    if "://" in url:
        place.write_bytes(read_whole(url))
    else:
        try:
            place.hardlink_to(local)  # it stays whole while it is read, even if compaction removes it
        except FileNotFoundError:
            raise
        except OSError:  # another disk
            place.symlink_to(local)
    try:
        return set(pq.read_schema(place).names)
    except (pa.ArrowException, OSError) as error:
        raise BadTable(f"{url} is not a metrics table: {error}") from error


def _rows_query(parts: pathlib.Path, present: set[str]) -> str:
    """All rows of tables and journals, each with its part's number and its position in the part."""
    schema = _nullable_schema()
    sql_types = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN"}
    types = {field.name: sql_types.get(field.type, "TIMESTAMPTZ") for field in schema}
    older = ", ".join(
        f"{name}::{kind} AS {name}" if name in present else f"NULL::{kind} AS {name}"
        for name, kind in types.items()
    )
    journal = f"SELECT -1 AS part, row_number() OVER () AS place, {', '.join(types)} FROM journal"
    if not present:
        return journal
    pattern = str(parts / "*.parquet").replace("'", "''")
    return (
        f"SELECT parse_filename(filename, true)::INTEGER AS part, file_row_number AS place, {older} FROM "
        f"read_parquet('{pattern}', union_by_name=true, hive_partitioning=false, filename=true, "
        f"file_row_number=true) UNION ALL {journal}"
    )


def _nullable_schema() -> pa.Schema:
    full = metrics_schema()
    return pa.schema([full.field(name).with_nullable(True) for name in REPORT_COLUMNS])


def _utc(text: str) -> datetime.datetime:
    """An ISO 8601 time as UTC without a zone; unreadable times count as long ago."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime(1970, 1, 1)
    return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time


def _nothing_there(asked: Subject) -> str:
    archive = asked.archive_url
    if asked.run_id:
        folders = (METRICS_FOLDER, FAILURES_FOLDER)
        urls = [url for folder in folders for url in table_urls(archive, folder, None)]
        parts = itertools.chain.from_iterable(url.replace(os.sep, "/").split("/") for url in urls)
        if runs := {part.removeprefix("run=") for part in parts if part.startswith("run=")}:
            return f"{archive} has no run {asked.run_id!r}; it has {', '.join(sorted(runs))}"
    return (
        f"there are no tables below {archive.rstrip('/')}/_foveate/; "
        "name the folder that `foveate compress --output` wrote to"
    )
