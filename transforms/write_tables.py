"""Writes metrics rows, failures and findings as table files, a few per run."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import FixedWindows, GlobalWindow, GlobalWindows

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
_PACKED_TOGETHER = 2048  # rows


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
        shards: at most this many files per window (none if there are no rows).
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
        pack = beam.ParDo(_PackBundle()) if keyed.windowing.is_default() else beam.Map(_packed_alone)
        packed = keyed | "Pack values" >> pack.with_output_types(tuple[int, bytes])
        grouped = packed | "Gather shards" >> beam.GroupByKey()
        return grouped | "Write files" >> beam.Map(
            _write_shard, self.folder, self.suffix, self.write, self.part
        ).with_output_types(str)


class _PackBundle(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Packs values of a shard together: runners keep what they gather, on one machine in memory.

    A packed row takes some 400 bytes, and 4 kB as a tuple.
    """

    def __init__(self) -> None:
        self.shards: dict[int, list[tuple[Any, ...]]] = {}
        self.count = 0

    def start_bundle(self) -> None:
        """Forgets what a bundle that did not end has left."""
        self.shards, self.count = {}, 0

    def process(self, keyed: tuple[int, tuple[Any, ...]]) -> Iterator[tuple[int, bytes]]:
        """One row's values."""
        shard, values = keyed
        self.shards.setdefault(shard, []).append(values)
        self.count += 1
        if self.count >= _PACKED_TOGETHER:
            yield from self._take()

    def finish_bundle(self) -> Iterator[Any]:
        """What is left."""
        return map(GlobalWindows.windowed_value, self._take())

    def _take(self) -> Iterator[tuple[int, bytes]]:
        taken, self.shards, self.count = self.shards, {}, 0
        for shard, rows in taken.items():
            yield shard, _pack(rows)


def _packed_alone(keyed: tuple[int, tuple[Any, ...]]) -> tuple[int, bytes]:
    return keyed[0], _pack([keyed[1]])


def _pack(rows: list[tuple[Any, ...]]) -> bytes:
    return zlib.compress(pickle.dumps(rows), 1)


def _unpack(packed: bytes) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = pickle.loads(zlib.decompress(packed))
    return rows


def _write_shard(
    packed_shard: tuple[int, Iterable[bytes]],
    folder: str,
    suffix: str,
    write: Callable[[Iterable[tuple[Any, ...]], str], None],
    part: str,
    window: Any = beam.DoFn.WindowParam,
    pane: Any = beam.DoFn.PaneInfoParam,
) -> str:
    shard, packed = packed_shard
    name = f"{part}-{shard:05d}" if part else f"{shard:05d}"
    if not isinstance(window, GlobalWindow):
        name = f"{window.max_timestamp().micros // 1_000_000}-{name}"
    if pane.index > 0:
        name = f"{name}-{pane.index}"
    url = f"{folder}/{name}{suffix}"
    write(itertools.chain.from_iterable(map(_unpack, packed)), url)
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
