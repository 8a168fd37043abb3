"""Distributes listings over buckets of Parquet files, so that each bucket can be joined on its own.

Sources, archived files and rows of one photo share a place, and so a bucket. A process that gathers few rows
of a kind writes them as one file that belongs to all buckets.

    rows in any order ─▶ FOLDER/<kind>-<bucket>-<unique>.parquet
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.planning.places import places_of
from foveate.storage.files import write_whole

BUCKETS = 128
Kind = Literal["sources", "files", "held", "rows", "failures", "watched", "seen", "forgotten"]
_AT_ONCE = 1 << 14  # rows in Python's own form
_A_TURN = 1 << 9  # rows that a thread adds at a time
_MOST_BYTES = 40 << 20  # in Arrow's form, before they are written
_TIME = pa.timestamp("us", tz="UTC")
_KEY = pa.field("key", pa.string())

SCHEMAS: dict[Kind, pa.Schema] = {
    "sources": pa.schema(
        {
            "place": pa.int64(),
            "url": pa.string(),
            "path": pa.string(),
            "size": pa.int64(),
            "modified": pa.float64(),
            "frame": pa.int64(),
            "generation": pa.string(),
            "checksum": pa.string(),
            "raw": pa.binary(),  # url and path where they are not UTF-8, as `emit_names` has them
        }
    ),
    "files": pa.schema(
        {"place": pa.int64(), "path": pa.string(), "size": pa.int64(), "version": pa.string()}
    ),
    "held": pa.schema(  # an archive's files once more, as verification takes them
        {
            "place": pa.int64(),
            "path": pa.string(),
            "size": pa.int64(),
            "version": pa.string(),
            "raw": pa.binary(),  # the path where it is not UTF-8
        }
    ),
    "failures": pa.schema({"place": pa.int64(), "url": pa.string(), "failed": _TIME}),
    "watched": pa.schema(
        {
            "place": pa.int64(),
            "number": pa.int64(),
            "file": pa.string(),
            "rests": pa.bool_(),
            "url": pa.string(),
            "path": pa.string(),
            "size": pa.int64(),
            "modified": pa.float64(),
            "generation": pa.string(),
            "checksum": pa.string(),
            "raw": pa.binary(),
        }
    ),
    "seen": pa.schema(
        {
            "place": pa.int64(),
            "file": pa.string(),
            "path": pa.string(),
            "size": pa.int64(),
            "modified": pa.float64(),
            "generation": pa.string(),
            "checksum": pa.string(),
            "waiting": pa.bool_(),
        }
    ),
    "forgotten": pa.schema({"place": pa.int64(), "file": pa.string(), "path": pa.string()}),
}


@dataclasses.dataclass(frozen=True)
class Spooled:
    """A spooled file: its kind and its bucket (None: mixed)."""

    kind: Kind
    bucket: int | None
    url: str


class Spool:
    """Takes rows of one kind from any thread; `close` returns the files with them.

    Rows and tables that it is given have a path as "key" where the files have its "place".

    Args:
      folder: where files are written.
      kind: of what; see `SCHEMAS`.
      schema: the columns of a kind that is not among these; the first is "place".
      may_mix: whether a few rows may share one file for all buckets.
      place: makes numbers of paths, alike for those whose rows are to be in one bucket.
    """

    def __init__(
        self,
        folder: str,
        kind: Kind,
        schema: pa.Schema | None = None,
        *,
        may_mix: bool = True,
        place: Callable[[pa.ChunkedArray], np.ndarray] = places_of,
    ) -> None:
        self.folder, self.kind, self.may_mix, self.place = folder, kind, may_mix, place
        self.schema = schema or SCHEMAS[kind]
        self.given = pa.schema([_KEY, *list(self.schema)[1:]])
        self._rows: list[tuple[Any, ...]] = []
        self._placeless: list[pa.Table] = []
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._written: list[Spooled] = []
        self._lock = threading.Lock()
        self.count = 0

    def add(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Adds rows, each a tuple of the columns of `given`; returns their number."""
        remaining, count = iter(rows), 0
        while some := list(itertools.islice(remaining, _A_TURN)):
            with self._lock:
                self._rows += some
                count += len(some)
                if len(self._rows) >= _AT_ONCE:
                    self._convert()
        return count

    def add_table(self, table: pa.Table) -> int:
        """Adds a table of the columns of `given`; returns its number of rows."""
        with self._lock:
            self._keep(table)
        return len(table)

    def close(self) -> list[Spooled]:
        """Writes the rest; returns all files."""
        with self._lock:
            self._convert()
            self._find_places()
            mixed = self.may_mix and not self._written
            self._write(mixed)
            return self._written

    def _convert(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(values, kind) for values, kind in zip(columns, self.given.types, strict=True)]
            self._rows = []
            self._keep(pa.Table.from_arrays(arrays, schema=self.given))

    def _keep(self, table: pa.Table) -> None:
        self.count += len(table)
        self._placeless.append(table)
        if sum(map(len, self._placeless)) >= _AT_ONCE:
            self._find_places()
        if self._bytes >= _MOST_BYTES:
            self._write(False)

    def _find_places(self) -> None:
        if not self._placeless:
            return
        table = pa.concat_tables(self._placeless)
        self._placeless = []
        places = pa.array(self.place(table.column("key")), pa.int64())
        table = pa.Table.from_arrays([places, *table.columns[1:]], schema=self.schema)
        self._tables.append(table)
        self._bytes += table.nbytes

    def _write(self, mixed: bool) -> None:
        if not self._tables:
            return
        table = pa.concat_tables(self._tables).combine_chunks()
        self._tables, self._bytes = [], 0
        if mixed:
            self._put(table, None)
            return
        buckets = table.column("place").to_numpy() % BUCKETS
        order = np.argsort(buckets, kind="stable")
        table = table.take(pa.array(order))
        bounds = np.searchsorted(buckets[order], np.arange(BUCKETS + 1))
        for bucket, (start, end) in enumerate(itertools.pairwise(bounds)):
            if end > start:
                self._put(table.slice(start, end - start), bucket)
        del table
        pa.default_memory_pool().release_unused()

    def _put(self, table: pa.Table, bucket: int | None) -> None:
        name = "any" if bucket is None else f"{bucket:04}"
        url = f"{self.folder}/{self.kind}-{name}-{uuid.uuid4().hex[:12]}.parquet"
        put_parquet(table, url)
        self._written.append(Spooled(self.kind, bucket, url))


def put_parquet(table: pa.Table, url: str) -> None:
    """Writes a table whole; on a local disk without syncing, since it can be made again."""
    whole = io.BytesIO()
    pq.write_table(  # most strings differ, and nobody looks for ranges of values
        table, whole, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False
    )
    if "://" in url:
        write_whole(url, whole.getvalue(), url)
    else:
        place = Path(url)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name}.partial-{uuid.uuid4().hex}")
        part.write_bytes(whole.getvalue())
        part.replace(place)


def of_bucket(spooled: Sequence[Spooled], kind: Kind, bucket: int | None) -> list[Spooled]:
    """The files that may have rows of a kind and a bucket, or of all buckets for None."""
    return [
        file for file in spooled if file.kind == kind and (bucket is None or file.bucket in (None, bucket))
    ]


def buckets_of(spooled: Sequence[Spooled]) -> list[int | None]:
    """The buckets to join, or a single None if every file is mixed."""
    if all(file.bucket is None for file in spooled):
        return [None]
    return list(range(BUCKETS))
