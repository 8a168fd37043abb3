"""Writes rows as a few files: gathers them by shard, and writes each shard as one file."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows, GlobalWindow, GlobalWindows

from foveate.archive.findings import Finding
from foveate.archive.rows import Failure, MetricsRow
from foveate.archive.tables import table_text, values_of

SHARDS = 4
STREAM_WINDOW_SECONDS = 60

_PACKED_TOGETHER = 2048  # rows


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
    """Packs values of a shard together: runners keep what they gather in the memory of one machine.

    A packed row takes some 400 bytes, and 4 kB as a tuple.
    """

    def __init__(self) -> None:
        self.shards: dict[int, list[tuple[Any, ...]]] = {}
        self.count = 0

    def start_bundle(self) -> None:
        """Discards whatever an unfinished bundle left behind."""
        self.shards, self.count = {}, 0

    def process(self, keyed: tuple[int, tuple[Any, ...]]) -> Iterator[tuple[int, bytes]]:
        """One row's values."""
        shard, values = keyed
        self.shards.setdefault(shard, []).append(values)
        self.count += 1
        if self.count >= _PACKED_TOGETHER:
            yield from self._take()

    def finish_bundle(self) -> Iterator[Any]:
        """The remaining rows."""
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


def keyed_values(
    row: MetricsRow | Failure | Finding, name_field: str, shards: int
) -> tuple[int, tuple[Any, ...]]:
    """A row's shard, by the field that names its photo, and its fields' values, texts as `table_text`."""
    values = values_of(row)
    return zlib.crc32(table_text(getattr(row, name_field)).encode()) % shards, values
