"""Which row of a photo counts: the one definition for planning, verification and reports.

A photo has a row for each run that compressed or kept it, and sometimes a "skipped" one of a run that found
it up to date. The row that describes the archived file is the newest that is not "skipped"; a "skipped" row
counts only where there is no other. A newer "skipped" row of the same file updates where its source is and
which version the stores list.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from foveate.archive.tables import read_metrics

# SQL over the metrics table: the smallest of a photo's rows is the one that describes its file.
NEWEST_FIRST = "{skipped: outcome = 'skipped', age: -epoch_us(finished), url: archive_url}"
_SEEN_LAST = "{age: -epoch_us(finished), url: archive_url}"
# Columns that a skip renews.
_SEEN = ("source_url", "source_modified", "source_checksum", "archive_version", "finished")
_ALIKE = ("outcome", "reason_code", "settings_digest", "weights_digest")  # the same in nearly all rows
_AT_ONCE = 1 << 16  # paths that are text in Python at a time


@dataclasses.dataclass(frozen=True, slots=True)
class ArchivedRow:
    """What the table says about one photo of an archive; fields as in `MetricsRow`."""

    relative_path: str
    source_url: str
    archive_url: str
    outcome: str
    reason_code: str | None
    source_bytes: int
    source_modified: float
    source_sha256: str
    source_checksum: str | None
    settings_digest: str
    weights_digest: str
    archive_bytes: int
    archive_version: str | None
    archive_sha256: str | None
    finished: datetime.datetime


@dataclasses.dataclass(frozen=True, eq=False)
class LatestRows:
    """The row that counts of every photo, over all runs of an archive, in columns: millions fit in memory.

    table: one row a photo, the columns of `ArchivedRow`.
    hashes: (rows,) int64, Python's hashes of the relative paths, in ascending order.
    order: (rows,) int64, the row of each hash.
    """

    table: pa.Table
    hashes: NDArray[np.int64]
    order: NDArray[np.int64]

    @staticmethod
    def read(archive: str) -> LatestRows:
        """Reads an archive's tables; one without tables has no rows.

        Raises:
          BadTable: a file is not a metrics table.
        """
        columns = [field.name for field in dataclasses.fields(ArchivedRow)]
        rows = read_metrics(archive, columns=columns)
        for name in _ALIKE:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, name, rows.column(name).dictionary_encode())
        table = newest_rows(rows)
        hashes = np.fromiter((hash(path) for path in _paths(table)), np.int64, len(table))
        order = np.argsort(hashes)
        return LatestRows(table, hashes[order], order)

    def __len__(self) -> int:
        return len(self.order)

    def find(self, path: str) -> int | None:
        """The row of a photo by its relative path (as `table_text` has it), None if there is none."""
        wanted = hash(path)
        for place in range(int(np.searchsorted(self.hashes, wanted)), len(self)):
            if self.hashes[place] != wanted:
                break
            row = int(self.order[place])
            if self.table.column("relative_path")[row].as_py() == path:
                return row
        return None

    def __getitem__(self, row: int) -> ArchivedRow:
        return ArchivedRow(*(column[row].as_py() for column in self.table.columns))


def newest_query(rows: str, names: Sequence[str]) -> str:
    """SQL for one row per photo: the one that counts, as this module says.

    Args:
      rows: a DuckDB table (not a view) of metrics rows; relative_path, outcome, finished, archive_url and
        archive_bytes decide.
      names: the columns wanted, all of that table.
    """
    columns = ", ".join(f"{_renewed(name) if name in _SEEN else f'counts.{name}'} AS {name}" for name in names)
    return (
        f"SELECT {columns} FROM (SELECT arg_min(rowid, {NEWEST_FIRST}) AS counting, "
        f"arg_min(rowid, {_SEEN_LAST}) AS last FROM {rows} GROUP BY relative_path) "
        f"JOIN {rows} AS counts ON counts.rowid = counting JOIN {rows} AS seen ON seen.rowid = last"
    )


def _renewed(name: str) -> str:
    same = "seen.archive_bytes = counts.archive_bytes"  # of another size, it is another file
    return f"CASE WHEN {same} THEN coalesce(seen.{name}, counts.{name}) ELSE counts.{name} END"


def newest_rows(rows: pa.Table) -> pa.Table:
    """One row per photo, the row that counts, as this module says.

    Args:
      rows: of the metrics table; relative_path, outcome, finished, archive_url and archive_bytes decide.
    """
    with duckdb.connect() as connection:
        connection.register("given", rows)
        connection.execute("CREATE TABLE rows AS FROM given")
        return connection.sql(newest_query("rows", rows.column_names)).to_arrow_table()


def _paths(table: pa.Table) -> Iterator[str]:
    column = table.column("relative_path")
    parts = (column.slice(start, _AT_ONCE).to_pylist() for start in range(0, len(table), _AT_ONCE))
    return itertools.chain.from_iterable(parts)
