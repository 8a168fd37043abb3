"""Selects the row that describes a photo: the one definition for planning, verification and reports.

A photo has a row for each run that compressed or kept it, and sometimes a "skipped" one of a run that found
it up to date. The row that describes the archived file is the newest that is not "skipped"; a "skipped" row
counts only where there is no other. A newer "skipped" row of the same file updates where its source is and
which version the stores list.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from foveate.archive.tables import read_metrics

# SQL over the metrics table: the smallest of a photo's rows is the one that describes its file.
NEWEST_FIRST = "{skipped: outcome = 'skipped', age: -epoch_us(finished), url: archive_url}"
_SEEN_LAST = "{age: -epoch_us(finished), url: archive_url}"
# Columns that a skip renews.
_SEEN = ("source_url", "source_modified", "source_checksum", "archive_version", "finished")


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


def newest_query(rows: str, names: Sequence[str]) -> str:
    """SQL for one row per photo: the one that describes it, as this module defines.

    Args:
      rows: a DuckDB table (not a view) of metrics rows; relative_path, outcome, finished, archive_url and
        archive_bytes decide.
      names: the columns wanted, all of that table.
    """
    columns = ", ".join(
        f"{_renewed(name) if name in _SEEN else f'counts.{name}'} AS {name}" for name in names
    )
    return (
        f"SELECT {columns} FROM (SELECT arg_min(rowid, {NEWEST_FIRST}) AS counting, "
        f"arg_min(rowid, {_SEEN_LAST}) AS last FROM {rows} GROUP BY relative_path) "
        f"JOIN {rows} AS counts ON counts.rowid = counting JOIN {rows} AS seen ON seen.rowid = last"
    )


def _renewed(name: str) -> str:
    same = "seen.archive_bytes = counts.archive_bytes"  # of another size, it is another file
    return f"CASE WHEN {same} THEN coalesce(seen.{name}, counts.{name}) ELSE counts.{name} END"


def newest_rows(rows: pa.Table) -> pa.Table:
    """One row per photo: the one that describes it, as this module defines.

    Args:
      rows: of the metrics table; relative_path, outcome, finished, archive_url and archive_bytes decide.
    """
    with duckdb.connect() as connection:
        connection.register("given", rows)
        connection.execute("CREATE TABLE rows AS FROM given")
        return connection.sql(newest_query("rows", rows.column_names)).to_arrow_table()


def newest_row(archive: str, path: str) -> dict[str, Any] | None:
    """The row that describes one photo, by `ArchivedRow`'s columns; None if it has no row.

    Reads all tables, one after the other, and holds this photo's rows only.

    Args:
      archive: the archive's root.
      path: the photo's relative path, as `table_text` has it.

    Raises:
      BadTable: one of the tables is unreadable.
    """
    columns = [field.name for field in dataclasses.fields(ArchivedRow)]
    found: list[dict[str, Any]] = newest_rows(read_metrics(archive, columns=columns, path=path)).to_pylist()
    return found[0] if found else None
