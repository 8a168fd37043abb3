"""What the tables of an archive say last of every photo, in columns: millions of rows fit in memory."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from foveate.archive.tables import read_metrics

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
    """The newest row of every photo over all runs of an archive.

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
          BadTable: a file is no metrics table.
        """
        columns = [field.name for field in dataclasses.fields(ArchivedRow)]
        rows = read_metrics(archive, columns=columns)
        for name in _ALIKE:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, name, rows.column(name).dictionary_encode())
        table = rows.filter(
            _newest(rows.select(["relative_path", "finished", "archive_url"]))
        ).combine_chunks()
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


def _newest(rows: pa.Table) -> pa.Array:
    """Whether each row is the newest of its path; only what decides it is sorted, to spare memory."""
    numbered = rows.append_column("row", pa.array(np.arange(len(rows))))
    with duckdb.connect() as connection:
        connection.register("numbered", numbered)
        found = connection.sql(
            "SELECT row FROM numbered QUALIFY row_number() OVER "
            "(PARTITION BY relative_path ORDER BY finished DESC, archive_url) = 1"
        )
        newest = np.zeros(len(rows), bool)
        newest[found.to_arrow_table().column("row").to_numpy()] = True
        return pa.array(newest)


def _paths(table: pa.Table) -> Iterator[str]:
    column = table.column("relative_path")
    parts = (column.slice(start, _AT_ONCE).to_pylist() for start in range(0, len(table), _AT_ONCE))
    return itertools.chain.from_iterable(parts)
