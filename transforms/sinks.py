"""Writes rows for other programs: CSV files beside the tables, BigQuery.

PCollection[MetricsRow | Failure] ─▶ DEST/_foveate/metrics/run=<id>/00000.csv
                                  └▶ files in a bucket ─▶ BigQuery load job
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import math
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pyarrow as pa

from foveate.archive.rows import Failure, MetricsRow
from foveate.archive.tables import failures_schema, metrics_schema, open_whole, run_folder
from foveate.transforms.write_shards import WriteShards, keyed_values

_BIGQUERY_TYPES = {
    pa.string(): "STRING",
    pa.int64(): "INTEGER",
    pa.float64(): "FLOAT",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
}
_LOAD_SECONDS = 300  # between load jobs of a stream: a table takes 1500 a day


def columns_of(row_type: type[MetricsRow] | type[Failure]) -> pa.Schema:
    """A sink's columns: a row's fields, and of a failure its run."""
    return metrics_schema() if row_type is MetricsRow else failures_schema()


# ---------------------------------------------------------------- CSV


@dataclasses.dataclass
class WriteCsv(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Rows → one CSV file a run (of a run that watches: one a window), whole; none without rows.

    UTF-8 with a header; times in ISO 8601 UTC; nothing between commas for null, `inf` for infinity.
    """

    archive: str
    folder: str
    run_id: str
    row_type: type[MetricsRow] | type[Failure]
    part: str = ""

    def expand(self, rows: Any) -> Any:
        """Gathers all rows in one shard."""
        folder = run_folder(self.archive, self.folder, self.run_id)
        name = "relative_path" if self.row_type is MetricsRow else "url"
        write = _CsvWriter(tuple(field.name for field in dataclasses.fields(self.row_type)))
        keyed = rows | "Key rows" >> beam.Map(keyed_values, name, 1)
        return keyed | "Write file" >> WriteShards(folder, ".csv", write, self.part)


@dataclasses.dataclass(frozen=True)
class _CsvWriter:
    header: tuple[str, ...]

    def __call__(self, rows: Iterable[tuple[Any, ...]], url: str) -> None:
        with open_whole(url) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
            writer = csv.writer(text)
            writer.writerow(self.header)
            writer.writerows(tuple(_cell(value) for value in row) for row in rows)
            text.flush()
            text.detach()


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


# ---------------------------------------------------------------- BigQuery


def bigquery_schema(row_type: type[MetricsRow] | type[Failure]) -> dict[str, list[dict[str, str]]]:
    """A table's schema as BigQuery's REST API has it."""
    return {
        "fields": [
            {
                "name": field.name,
                "type": _BIGQUERY_TYPES[field.type],
                "mode": "NULLABLE" if field.nullable else "REQUIRED",
            }
            for field in columns_of(row_type)
        ]
    }


def bigquery_row(row: MetricsRow | Failure, run_id: str) -> dict[str, Any]:
    """A row as a line of JSON to load: infinities by name, which JSON numbers have none of."""
    names = [field.name for field in dataclasses.fields(row)]
    values = dict(zip(names, keyed_values(row, names[0], 1)[1], strict=True)) | {"run_id": run_id}
    for name, value in values.items():
        if isinstance(value, datetime.datetime):
            values[name] = value.astimezone(datetime.UTC).isoformat()
        elif isinstance(value, float) and not math.isfinite(value):
            values[name] = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return values


@dataclasses.dataclass
class WriteBigQuery(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Rows → a BigQuery table, made if it is not there, by load jobs: one a run, or in five minutes.

    A load job's name depends on the pipeline's, so that a retried one loads nothing twice.

    Args:
      table: "project:dataset.table".
      run_id: that of failures' rows.
      row_type: whose fields are the columns.
    """

    table: str
    run_id: str
    row_type: type[MetricsRow] | type[Failure]

    def expand(self, rows: Any) -> Any:
        """Rows as dicts, into Beam's own sink."""
        from apache_beam.io.gcp.bigquery import BigQueryDisposition, WriteToBigQuery

        write = WriteToBigQuery(
            self.table,
            schema=bigquery_schema(self.row_type),
            method=WriteToBigQuery.Method.FILE_LOADS,
            create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
            write_disposition=BigQueryDisposition.WRITE_APPEND,
            triggering_frequency=None if rows.is_bounded else _LOAD_SECONDS,
        )
        named = rows | "Name values" >> beam.Map(bigquery_row, self.run_id).with_output_types(dict[str, Any])
        return named | "Load" >> write
