"""Joins one bucket of sources with the newest rows and the archive's files, and decides what to do.

The rules for "up to date" are in `_VERDICT`; what they leave in doubt, since a file must be read, is for
`settle`.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from foveate.archive.encryption import ENDING
from foveate.archive.names import ENDINGS
from foveate.archive.newest import newest_query
from foveate.archive.planning.collect import rows_schema, source_of, source_table
from foveate.archive.planning.first import Taken, first_of_each_place
from foveate.archive.planning.spool import BUCKETS, SCHEMAS, Kind, Spooled, of_bucket
from foveate.pictures.reasons import Reason
from foveate.storage.files import read_whole
from foveate.storage.source import SourceFile, SourcePage

MEMORY = "300MB"  # of DuckDB; what does not fit goes to a temporary folder
_THREADS = 2
_AT_ONCE = 1 << 13  # rows in Python's own form

ENDING_SQL = (
    "CASE "
    + " ".join(
        f"WHEN ends_with(archive_url, relative_path || '{ending}') THEN '{ending}'" for ending in ENDINGS
    )
    + " ELSE '' END"
)
# What becomes of a source `s`, by its newest row `r`, the file `f` of that row and its last failure.
_SIGNED = "(s.checksum <> '' AND coalesce(r.source_checksum, '') <> '')"
_AS_WRITTEN = "coalesce(f.version <> '' AND f.version = r.archive_version, false)"
_FACTS = f"""
{_AS_WRITTEN} AS as_written,
coalesce(CASE WHEN {_SIGNED} THEN s.checksum = r.source_checksum
    ELSE s.modified <> 0 AND s.modified = r.source_modified AND r.source_url = s.url
    END, false) AS same_source,
coalesce(r.source_url = s.url AND r.source_modified = s.modified
    AND coalesce(r.source_checksum, '') = s.checksum AND (f.version = '' OR {_AS_WRITTEN})
    AND (b.failed IS NULL OR b.failed < r.finished), false) AS known
"""
_VERDICT = f"""
CASE
    WHEN archive_bytes IS NULL OR file_size IS DISTINCT FROM archive_bytes
        OR source_bytes IS DISTINCT FROM size
        OR reason_code IS NOT DISTINCT FROM '{Reason.MISSING_EXTRA.value}'
        OR settings_digest IS DISTINCT FROM $settings
        OR weights_digest IS DISTINCT FROM $weights THEN 'compress'
    WHEN (ending <> '' AND NOT as_written) OR NOT same_source THEN 'check'
    WHEN known THEN 'skip'
    ELSE 'renew'
END AS action
"""
_SOURCE_COLUMNS = ("url", "path", "size", "modified", "frame", "generation", "checksum", "raw")
_KNOWN_COLUMNS = ("ending", "source_sha256", "archive_bytes", "archive_sha256")
_JUDGED = f"""
CREATE TEMP TABLE judged AS SELECT *, {_VERDICT} FROM (
    SELECT {", ".join(f"s.{name}" for name in _SOURCE_COLUMNS)},
        {", ".join(f"r.{name}" for name in _KNOWN_COLUMNS)},
        r.source_bytes, r.reason_code, r.settings_digest, r.weights_digest, f.size AS file_size, {_FACTS}
    FROM once AS s
    LEFT JOIN newest AS r ON r.relative_path = s.path
    LEFT JOIN files AS f ON f.path = r.relative_path || r.ending
    LEFT JOIN failures AS b ON b.url = r.source_url)
"""
PLAN_COLUMNS = ("action", *_SOURCE_COLUMNS, *_KNOWN_COLUMNS, "as_written", "same_source", "known")


class UpToDate(NamedTuple):
    """The part of a bucket that is up to date and needs no row: photos, their bytes, their files' bytes."""

    photos: int
    source_bytes: int
    archive_bytes: int

    def plus(self, other: UpToDate) -> UpToDate:
        """Both together."""
        return UpToDate(*(one + two for one, two in zip(self, other, strict=True)))


def join_bucket(
    spooled: Sequence[Spooled], bucket: int | None, archive: str, settings: str, weights: str
) -> Iterator[UpToDate | Taken | pa.Table]:
    """Decides what to do with each source of a bucket.

    Yields what was skipped once, each source whose place another has, and tables of `PLAN_COLUMNS`.

    Args:
      spooled: all that was collected.
      bucket: which one; None for all at once.
      archive: the archive's root.
      settings: digest of the run's settings, hexadecimal.
      weights: that of its networks.
    """
    with opened(spooled, bucket, ("sources", "files", "rows", "failures")) as db:
        yield from _take_each_place_once(db, archive)
        names = [name for name in rows_schema().names if name != "place"]
        newest = newest_query("rows", names)
        db.execute(f"CREATE TEMP TABLE newest AS SELECT *, {ENDING_SQL} AS ending FROM ({newest})")
        db.execute(_JUDGED, {"settings": settings, "weights": weights})
        (counts,) = db.execute(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(archive_bytes), 0) FROM judged "
            "WHERE action = 'skip'"
        ).fetchall()
        yield UpToDate(*map(int, counts))
        todo = db.sql(f"SELECT {', '.join(PLAN_COLUMNS)} FROM judged WHERE action <> 'skip'")
        for batch in todo.to_arrow_reader(_AT_ONCE):
            yield pa.Table.from_batches([batch])


def _take_each_place_once(db: Any, archive: str) -> Iterator[Taken]:
    """Fills the table `once` with sources without repetitions; returns those whose places are taken."""
    db.execute(
        "CREATE TEMP TABLE shared AS SELECT place FROM sources GROUP BY place HAVING count(*) > 1; "
        "CREATE TEMP TABLE once AS SELECT * FROM sources ANTI JOIN shared USING (place)"
    )
    found = db.sql("SELECT * FROM sources SEMI JOIN shared USING (place) ORDER BY place")
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in found.to_arrow_reader(_AT_ONCE))
    kept: list[SourceFile] = []
    for _, group in itertools.groupby(rows, key=lambda row: row["place"]):
        for judged in first_of_each_place(map(source_of, group), archive):
            if isinstance(judged, Taken):
                yield judged
            else:
                kept.append(judged)
    if kept:
        db.register("kept", source_table(SourcePage.of(kept)))
        db.execute(f"INSERT INTO once SELECT 0 AS place, {', '.join(_SOURCE_COLUMNS)} FROM kept")
        db.unregister("kept")


@contextlib.contextmanager
def opened(
    spooled: Sequence[Spooled], bucket: int | None, kinds: Iterable[Kind], rows: pa.Schema | None = None
) -> Iterator[Any]:
    """A DuckDB connection with a table for each spooled kind of a bucket.

    Failures are of no bucket: all are there, the last one of each url. `rows`: the columns of rows, if not
    those of `rows_schema`.
    """
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as folder:
        config = {
            "memory_limit": MEMORY,
            "temp_directory": folder,
            "threads": _THREADS,
            "preserve_insertion_order": False,
        }
        with duckdb.connect(config=config) as db:
            for kind in kinds:
                wanted = of_bucket(spooled, kind, None if kind == "failures" else bucket)
                db.execute(f"CREATE TEMP TABLE {kind} AS {_query(kind, wanted, bucket, folder, rows)}")
            yield db


def _query(
    kind: Kind, files: Sequence[Spooled], bucket: int | None, folder: str, rows: pa.Schema | None
) -> str:
    if not files:
        schema = rows or rows_schema() if kind == "rows" else SCHEMAS[kind]
        return f"SELECT {', '.join(f'NULL::{_sql_type(field)} AS {field.name}' for field in schema)} LIMIT 0"
    places = ", ".join("'" + local_copy(file.url, folder).replace("'", "''") + "'" for file in files)
    read = f"read_parquet([{places}], hive_partitioning = false)"
    if kind == "failures":
        return f"SELECT url, max(failed) AS failed FROM {read} GROUP BY url"
    where = "" if bucket is None else f" WHERE (place % {BUCKETS} + {BUCKETS}) % {BUCKETS} = {bucket}"
    if kind == "files":  # an encrypted one is in two places
        read = f"(SELECT path, size, version FROM {read}{where})"
        encrypted = f"ends_with(path, '{ENDING}')"
        return f"FROM {read} WHERE NOT {encrypted} UNION ALL SELECT DISTINCT * FROM {read} WHERE {encrypted}"
    return f"FROM {read}{where}"


def local_copy(url: str, folder: str) -> str:
    """A local path of a file: its own, or that of a copy in a folder."""
    if "://" not in url:
        return url
    place = Path(folder) / url.rpartition("/")[2]
    place.write_bytes(read_whole(url))
    return str(place)


def _sql_type(field: pa.Field) -> str:
    types = {
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
        pa.bool_(): "BOOLEAN",
    }
    return types.get(field.type, "TIMESTAMPTZ")
