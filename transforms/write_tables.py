"""Writes metrics rows, failures and findings as table files, a few per run."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import FixedWindows, GlobalWindow

from foveate.archive.findings import FILE_PREFIX, Finding, write_table
from foveate.archive.rows import Failure, MetricsRow
from foveate.archive.tables import (
    FAILURES_FOLDER,
    METRICS_FOLDER,
    run_folder,
    table_text,
    values_of,
    write_lines,
    write_parquet,
)

SHARDS = 4
_ROWS_PER_SHARD = 100_000
_MOST_SHARDS = 1024
_SHARDS_OF_UNKNOWN = 32


STREAM_WINDOW_SECONDS = 60


def shards_for(rows: int | None) -> int:
    """How many files a run's rows are written into, at most; None: their number is not known yet."""
    if rows is None:
        return _SHARDS_OF_UNKNOWN
    return min(_MOST_SHARDS, max(SHARDS, -(-rows // _ROWS_PER_SHARD)))


@beam.typehints.with_input_types(MetricsRow)
@dataclasses.dataclass
class WriteMetrics(beam.PTransform):  # type: ignore[misc]
    """Write metrics rows as Parquet below `archive_url`; gives the urls of the files written.

    Args:
        archive_url: the archive's root, local or of any filesystem Beam knows.
        run_id: names the run's folder: letters, digits, `.`, `_`, `-`.
        shards: at most so many files a window (none for no rows).
        part: how the files' names begin, where a run writes several times.

    A stream is written once a minute of event time, unless it comes windowed already.
    """

    archive_url: str
    run_id: str
    shards: int = SHARDS
    part: str = ""

    def __post_init__(self) -> None:
        run_folder(self.archive_url, METRICS_FOLDER, self.run_id)

    def expand(self, rows: Any) -> Any:
        """Shard, group and write."""
        folder = run_folder(self.archive_url, METRICS_FOLDER, self.run_id)
        keyed = rows | "Key rows by photo" >> beam.Map(keyed_values, "relative_path", self.shards)
        return keyed | "Write shards" >> WriteShards(folder, ".parquet", write_parquet, self.part)


@beam.typehints.with_input_types(Failure)
@dataclasses.dataclass
class WriteFailures(beam.PTransform):  # type: ignore[misc]
    """Write failures as JSON lines below `archive_url`; gives the files' urls. Fields: `WriteMetrics`."""

    archive_url: str
    run_id: str
    shards: int = 1
    part: str = ""

    def __post_init__(self) -> None:
        run_folder(self.archive_url, FAILURES_FOLDER, self.run_id)

    def expand(self, failures: Any) -> Any:
        """Shard, group and write."""
        folder = run_folder(self.archive_url, FAILURES_FOLDER, self.run_id)
        keyed = failures | "Key failures by photo" >> beam.Map(keyed_values, "url", self.shards)
        return keyed | "Write shards" >> WriteShards(folder, ".jsonl", write_lines, self.part)


@dataclasses.dataclass
class WriteShards(beam.PTransform):  # type: ignore[misc]
    """Gather each window's values, as `keyed_values` gives them, by shard and write one file each."""

    folder: str
    suffix: str
    write: Callable[[Iterable[tuple[Any, ...]], str], None]
    part: str = ""

    def expand(self, keyed: Any) -> Any:
        """Cuts a stream into windows, gathers shards, writes."""
        if not keyed.is_bounded and keyed.windowing.is_default():
            keyed |= "Cut the stream" >> beam.WindowInto(FixedWindows(STREAM_WINDOW_SECONDS))
        grouped = keyed | "Gather shards" >> beam.GroupByKey()
        return grouped | "Write files" >> beam.Map(
            _write_shard, self.folder, self.suffix, self.write, self.part
        ).with_output_types(str)


def _write_shard(
    shard_rows: tuple[int, Iterable[tuple[Any, ...]]],
    folder: str,
    suffix: str,
    write: Callable[[Iterable[tuple[Any, ...]], str], None],
    part: str,
    window: Any = beam.DoFn.WindowParam,
    pane: Any = beam.DoFn.PaneInfoParam,
) -> str:
    shard, rows = shard_rows
    name = f"{part}-{shard:05d}" if part else f"{shard:05d}"
    if not isinstance(window, GlobalWindow):
        name = f"{window.max_timestamp().micros // 1_000_000}-{name}"
    if pane.index > 0:
        name = f"{name}-{pane.index}"
    url = f"{folder}/{name}{suffix}"
    write(rows, url)
    return url


def keyed_values(row: MetricsRow | Failure, name_field: str, shards: int) -> tuple[int, tuple[Any, ...]]:
    """A row's shard, by the field that names its photo, and its fields' values, texts as `table_text`."""
    values = values_of(row)
    return zlib.crc32(table_text(getattr(row, name_field)).encode()) % shards, values


_SHARDS = 4


_SCHEMA = pa.schema(
    [pa.field(field.name, pa.string(), nullable=False) for field in dataclasses.fields(Finding)]
)


@beam.typehints.with_input_types(Finding)
@dataclasses.dataclass
class WriteFindings(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Writes findings as Parquet below `folder`; gives the urls of the files written."""

    folder: str

    def expand(self, findings: Any) -> Any:
        """Shard, group and write."""
        keyed = findings | "Key findings by path" >> beam.Map(_keyed)
        return (
            keyed
            | "Gather shards" >> beam.GroupByKey()
            | "Write files" >> beam.Map(write_findings, self.folder)
        )


def _keyed(finding: Finding) -> tuple[int, tuple[str, ...]]:
    values = tuple(table_text(text) for text in dataclasses.astuple(finding))
    return zlib.crc32(values[0].encode()) % _SHARDS, values


def write_findings(shard: tuple[int, Iterable[tuple[str, ...]]], folder: str) -> str:
    """Writes the values of one shard's findings as a file, by path; its url."""
    url = f"{folder}/{FILE_PREFIX}{shard[0]:05d}.parquet"
    columns = [list(column) for column in zip(*sorted(shard[1]), strict=True)] or [[] for _ in _SCHEMA]
    write_table(
        pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], schema=_SCHEMA), url
    )
    return url
