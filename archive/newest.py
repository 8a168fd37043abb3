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
from collections.abc import Iterator

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
    """The table's entry for one photo of an archive; fields as in `MetricsRow`."""

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


def newest_rows(rows: pa.Table) -> pa.Table:
    """One row per photo, in the order of the first run that has it: the row that counts, as this module says.

    Only the columns that decide are sorted, to spare memory.

    Args:
      rows: of the metrics table; relative_path, outcome, finished, archive_url and archive_bytes decide.
    """
    deciding = ["relative_path", "outcome", "finished", "archive_url"]
    numbered = rows.select(deciding).append_column("row", pa.array(np.arange(len(rows))))
    with duckdb.connect() as connection:
        connection.register("numbered", numbered)
        found = connection.sql(
            f"SELECT arg_min(row, {NEWEST_FIRST}) AS counts, arg_min(row, {_SEEN_LAST}) AS seen "
            "FROM numbered GROUP BY relative_path ORDER BY counts"
        ).to_arrow_table()
    counts, seen = (found.column(name).to_numpy() for name in ("counts", "seen"))
    sizes = rows.column("archive_bytes").to_numpy()
    seen = np.where(sizes[seen] == sizes[counts], seen, counts)  # of another size, it is another file
    newest = rows.take(pa.array(counts)).combine_chunks()
    for name in set(_SEEN) & set(rows.column_names):
        place = rows.schema.get_field_index(name)
        renewed = pc.coalesce(rows.column(name).take(pa.array(seen)), newest.column(name))
        newest = newest.set_column(place, rows.schema.field(place), renewed)
    return newest.combine_chunks()


def _paths(table: pa.Table) -> Iterator[str]:
    column = table.column("relative_path")
    parts = (column.slice(start, _AT_ONCE).to_pylist() for start in range(0, len(table), _AT_ONCE))
    return itertools.chain.from_iterable(parts)
