"""Holds all findings of a verification in a database on disk: counted, sorted, swapped files named."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from foveate.archive.findings import FILE_PREFIX, NO_FAULT, Finding, Kind
from foveate.archive.planning.join import MEMORY, local_copy
from foveate.archive.planning.spool import buckets_of
from foveate.archive.planning.verification import newest_spooled, opened_newest
from foveate.archive.tables import BadTable
from foveate.storage.listing import list_private

_AT_ONCE = 1 << 12
_IS_FAULT = "kind NOT IN (" + ", ".join(f"'{kind}'" for kind in sorted(NO_FAULT)) + ")"
_OWNERS = """
INSERT INTO owners SELECT coalesce(archive_sha256, source_sha256) AS sha256, relative_path || ending AS path
FROM given WHERE sha256 IN (SELECT sha256 FROM found WHERE is_fault)
"""
# A file has the bytes of another one's row, and no row of its own has them.
_NAMED = """
CREATE TABLE named AS
WITH owned AS (SELECT sha256, list(path) AS paths, min(path) AS path FROM owners GROUP BY sha256)
SELECT f.path, f.url, f.is_fault, f.sha256,
    CASE WHEN o.path IS NULL THEN f.kind ELSE 'swapped' END AS kind,
    CASE WHEN o.path IS NULL THEN f.detail ELSE 'it is the file that belongs at ' || o.path END AS detail
FROM found AS f LEFT JOIN owned AS o
    ON f.is_fault AND f.sha256 = o.sha256 AND NOT list_contains(o.paths, f.path)
"""


class FindingsDatabase:
    """The findings of one verification."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def counts(self, faults: bool) -> dict[Kind, int]:
        """The number of faults of each kind found, or of notes."""
        query = "SELECT kind, count(*) FROM named WHERE is_fault = $faults GROUP BY kind ORDER BY kind"
        return dict(self._db.execute(query, {"faults": faults}).fetchall())

    def in_order(self, most: int | None = None) -> Iterator[Finding]:
        """Up to that many findings: faults first, then by path."""
        limit = "" if most is None else f" LIMIT {most:d}"
        query = "SELECT path, url, kind, detail, sha256 FROM named ORDER BY NOT is_fault, path, kind" + limit
        for batch in self._db.sql(query).to_arrow_reader(_AT_ONCE):
            yield from (Finding(**row) for row in batch.to_pylist())


@contextlib.contextmanager
def open_findings(folder: str, archive: str) -> Iterator[FindingsDatabase]:
    """The findings in the tables below a folder.

    Raises:
      BadTable: one of the archive's tables is unreadable.
      OSError: a table cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="foveate-findings-") as scratch:
        urls = [url for url in list_private(folder) if url.rpartition("/")[2].startswith(FILE_PREFIX)]
        config = {"memory_limit": MEMORY, "temp_directory": f"{scratch}/spill", "threads": 2}
        with duckdb.connect(f"{scratch}/findings", config=config) as db:
            columns = "path VARCHAR, url VARCHAR, kind VARCHAR, detail VARCHAR, sha256 VARCHAR"
            db.execute(f"CREATE TABLE found ({columns}, is_fault BOOLEAN)")
            for url in urls:
                place = local_copy(url, scratch)
                names = "path, url, kind, detail, sha256"
                query = f"SELECT {names}, {_IS_FAULT} FROM read_parquet(?, hive_partitioning = false)"
                try:
                    db.execute(f"INSERT INTO found {query}", [place])
                except duckdb.Error as error:
                    raise BadTable(f"{url} is not a table of findings: {error}") from error
                if place != url:
                    Path(place).unlink()
            db.execute("CREATE TABLE owners (sha256 VARCHAR, path VARCHAR)")
            _find_owners(db, archive, scratch)
            db.execute(_NAMED)
            yield FindingsDatabase(db)


def _find_owners(db: Any, archive: str, scratch: str) -> None:
    """Finds the rows that have the same bytes as faulty files."""
    if not db.execute("SELECT 1 FROM found WHERE is_fault AND sha256 <> '' LIMIT 1").fetchall():
        return
    spooled = newest_spooled(archive, scratch)
    columns = "relative_path, ending, archive_sha256, source_sha256"
    for bucket in buckets_of(spooled):
        with opened_newest(spooled, bucket) as rows:
            for batch in rows.sql(f"SELECT {columns} FROM newest").to_arrow_reader(1 << 14):
                db.register("given", batch)
                db.execute(_OWNERS)
                db.unregister("given")
