"""Plans a verification: joins the tables with one listing of the archive, bucket by bucket.

listing, tables ─▶ spool ─▶ joined ─▶ FOLDER/<bucket>-<number>.parquet: a row for each file to look at, and
each finding that needs no look
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import io
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.expected import Check, Expected, size_mismatch
from foveate.archive.findings import Finding, Kind
from foveate.archive.names import is_jpeg2000
from foveate.archive.newest import newest_query
from foveate.archive.planning.collect import schema_of_rows
from foveate.archive.planning.join import ENDING_SQL, opened
from foveate.archive.planning.places import held_places
from foveate.archive.planning.planner import collect_held, collect_rows
from foveate.archive.planning.spool import Spooled, buckets_of, put_parquet
from foveate.archive.tables import BadTable, metrics_schema, open_whole
from foveate.storage.files import join, read_whole, stored_version
from foveate.storage.listing import find_file

_AT_ONCE = 1 << 13
_SUMS = "checks.json"
_MOST_PER_PART, _LEAST_PER_PART, _PARTS = 20_000, 16, 256
_SPARE = 1000  # photos to measure again whose sources may be gone
_KNOWN = [field.name for field in dataclasses.fields(Expected) if field.name != "ending"]
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),  # "" for an archive that is a single file
        ("raw", pa.binary()),
        ("size", pa.int64()),
        ("recheck", pa.bool_()),
        ("kind", pa.string()),  # of a finding; null: the file is to be looked at
        ("detail", pa.string()),
        ("ending", pa.string()),
        *((name, metrics_schema().field(name).type) for name in _KNOWN),
    ]
)
# Of two rows that may be a file's the one whose own name is shorter counts.
_MATCHED = """
CREATE TEMP TABLE matched AS
SELECT f.path AS file, f.raw, f.size, f.version, n.*
FROM held AS f LEFT JOIN newest AS n ON f.path = n.relative_path || n.ending
QUALIFY row_number() OVER (PARTITION BY f.path, f.raw ORDER BY length(n.ending) DESC) = 1
"""
_FORMER = f"""
CREATE TEMP TABLE former AS
SELECT DISTINCT relative_path || {ENDING_SQL} AS file FROM rows
EXCEPT SELECT relative_path || ending FROM newest
"""
_FILES = """
SELECT m.*, former.file IS NOT NULL AS stale FROM matched AS m LEFT JOIN former USING (file)
"""
# What a listing tells can only be of these.
_SUSPECT = """
WHERE m.relative_path IS NULL OR m.size <> m.archive_bytes OR m.version IS DISTINCT FROM m.archive_version
"""
_MISSING = """
SELECT relative_path || ending AS file FROM newest ANTI JOIN matched USING (relative_path)
"""
_SUMS_OF = """
SELECT (SELECT coalesce(sum(size), 0) FROM held), (SELECT count(*) FROM newest)
"""
_LOTS = """
SELECT random() AS lot, relative_path, source_url FROM newest
WHERE outcome = 'compressed' AND psnr_db IS NOT NULL AND ends_with(source_url, relative_path)
ORDER BY lot LIMIT $count
"""  # a frame is not a whole file: its path is longer


@dataclasses.dataclass(frozen=True)
class Checks:
    """The scope of a verification: the urls of its parts, and the number and bytes of its files.

    rows: how many photos the metrics table has.
    """

    parts: tuple[str, ...]
    files: int
    bytes: int
    rows: int


def write_sums(checks: Checks, folder: str) -> None:
    """Writes the totals of a plan to a folder, for the process that started the run."""
    with open_whole(f"{folder}/{_SUMS}") as file:
        file.write(json.dumps(dataclasses.asdict(checks) | {"parts": []}).encode())


def read_sums(folder: str) -> Checks:
    """The totals that `write_sums` has written, without the parts.

    Raises:
      OSError: it has not.
    """
    return Checks(**json.loads(read_whole(f"{folder}/{_SUMS}")))


def plan_checks(archive: str, quick: bool, recheck: int, folder: str) -> Checks:
    """Writes a row for every file to read, and for each fault that a listing shows.

    Where there are no tables at all, every JPEG 2000 file is to be held against its own record alone.

    Args:
      archive: the archive's root, or one file.
      quick: compare sizes and the checksums of listings only, and read no file.
      recheck: how many photos to measure again, at random.
      folder: where the rows go.

    Raises:
      BadTable: a table is unreadable.
      NothingFound: the archive's store cannot be listed.
    """
    single = find_file(archive)
    if single is not None:
        row = {"path": "", "size": single.size_bytes, "recheck": False}
        return Checks((_put([row], f"{folder}/any-00000.parquet"),), 1, single.size_bytes, 0)
    with tempfile.TemporaryDirectory(prefix="foveate-verify-") as scratch:
        spooled = newest_spooled(archive, scratch)
        has_rows = bool(spooled)
        again = _to_measure_again(spooled, recheck) if recheck else frozenset[str]()
        held, count = collect_held(archive, scratch, held_places)
        spooled += held
        at_once = max(_LEAST_PER_PART, min(_MOST_PER_PART, -(-count // _PARTS)))
        parts, size, rows = [], 0, 0
        for bucket in buckets_of(spooled):
            with opened_newest(spooled, bucket, held=True) as db:
                db.execute(_MATCHED)
                db.execute(_FORMER)
                ((some_bytes, some_rows),) = db.execute(_SUMS_OF).fetchall()
                size, rows = size + int(some_bytes), rows + int(some_rows)
                planned = _planned(db, quick, has_rows, again)
                name = "any" if bucket is None else f"{bucket:04}"
                for number in itertools.count():
                    some = list(itertools.islice(planned, at_once))
                    if not some:
                        break
                    parts.append(_put(some, f"{folder}/{name}-{number:05}.parquet"))
    return Checks(tuple(parts), count, size, rows)


def newest_spooled(archive: str, scratch: str) -> list[Spooled]:
    """The rows of an archive's tables, spooled for `opened_newest`."""
    return collect_rows(archive, scratch, _rows_schema(), held_places)


def _rows_schema() -> pa.Schema:
    return schema_of_rows([*_KNOWN, "archive_url", "finished"])


@contextlib.contextmanager
def opened_newest(spooled: Sequence[Spooled], bucket: int | None, *, held: bool = False) -> Iterator[Any]:
    """A DuckDB connection with tables of a bucket: `rows`, their `newest` with `ending`, and `held`."""
    schema = _rows_schema()
    with opened(spooled, bucket, ("rows", "held") if held else ("rows",), schema) as db:
        newest = newest_query("rows", [name for name in schema.names if name != "place"])
        db.execute(f"CREATE TEMP TABLE newest AS SELECT *, {ENDING_SQL} AS ending FROM ({newest})")
        yield db


def _to_measure_again(spooled: Sequence[Spooled], count: int) -> frozenset[str]:
    """The paths of that many randomly chosen compressed photos whose sources still exist."""
    lots: list[tuple[float, str, str]] = []
    for bucket in buckets_of(spooled):
        with opened_newest(spooled, bucket) as db:
            found = db.execute(_LOTS, {"count": count + _SPARE}).fetchall()
        lots = heapq.nsmallest(count + _SPARE, [*lots, *found])
    there = (path for _, path, url in lots if stored_version(url))
    return frozenset(itertools.islice(there, count))


def _planned(db: Any, quick: bool, has_rows: bool, again: frozenset[str]) -> Iterator[dict[str, Any]]:
    for row in _rows_of(db.sql(_FILES + _SUSPECT if quick else _FILES)):
        known = row["relative_path"] is not None
        found = row | {"path": row["file"], "recheck": row["relative_path"] in again, "kind": None}
        if not known and has_rows:
            yield found | _of_nobody(row["stale"])
        elif not quick and (known or is_jpeg2000(row["file"])):
            yield found
        elif known and (finding := _by_listing(row)):
            yield found | finding
    for row in _rows_of(db.sql(_MISSING)):
        detail = "the file of this row does not exist"
        yield {"path": row["file"], "kind": "missing", "detail": detail}


def _rows_of(result: Any) -> Iterator[dict[str, Any]]:
    for batch in result.to_arrow_reader(_AT_ONCE):
        yield from batch.to_pylist()


def _of_nobody(stale: bool) -> dict[str, str]:
    if stale:
        detail = "left over: a later run stored the photo under another name. This file can be deleted"
        return {"kind": "stale", "detail": detail}
    return {"kind": "untracked", "detail": "not in the metrics table"}


def _by_listing(row: dict[str, Any]) -> dict[str, str] | None:
    if row["size"] != row["archive_bytes"]:
        kind: Kind = "truncated" if row["size"] < row["archive_bytes"] else "changed"
        return {"kind": kind, "detail": size_mismatch(row["size"], row["archive_bytes"])}
    if _store_disagrees(row["version"], row["archive_version"]):
        return {"kind": "changed", "detail": "the store's checksum differs from the one in its row"}
    return None


def _store_disagrees(listed: str, noted: str | None) -> bool:
    """Whether two checksums of one kind differ; a local file's time of change is not a checksum."""
    kinds = {text.partition(":")[0] for text in (listed, noted or "")}
    return len(kinds) == 1 and kinds <= {"md5", "crc32c", "etag"} and listed != noted


def _put(rows: Sequence[dict[str, Any]], url: str) -> str:
    put_parquet(pa.Table.from_pylist(rows, schema=_SCHEMA), url)
    return url


def read_checks(url: str, archive: str) -> Iterator[Check | Finding]:
    """The content of one part.

    Raises:
      BadTable: it is not such a file.
    """
    try:
        place: Any = io.BytesIO(read_whole(url)) if "://" in url else url
        with pq.ParquetFile(place) as file:
            for batch in file.iter_batches(1 << 10):
                for row in batch.to_pylist():
                    yield _read(row, archive)
    except (pa.ArrowException, KeyError) as error:
        raise BadTable(f"{url} is not a part of a verification's plan: {error}") from error


def _read(row: dict[str, Any], archive: str) -> Check | Finding:
    path = row["path"] if row["raw"] is None else row["raw"].decode(errors="surrogatepass")
    path, url = (path, join(archive, path)) if path else (archive.rpartition("/")[2], archive)
    if row["kind"] is not None:
        return Finding(path, url, row["kind"], row["detail"])
    known = None
    if row["relative_path"] is not None:
        known = Expected(**{field.name: row[field.name] for field in dataclasses.fields(Expected)})
    return Check(path, url, row["size"], known, bool(row["recheck"]))
