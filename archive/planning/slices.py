"""Cuts a plan into slices, so that only a few names are shuffled to workers instead of rows."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.tables import BadTable
from foveate.storage.files import read_whole

_MOST = 32  # rows of a slice: photos that one worker does one after the other
_LEAST_SLICES = 64  # of a part, so that few photos are spread, too
_PARTS_KEPT = 4


@dataclasses.dataclass(frozen=True)
class Slice:
    """Some rows of a part: from `start` up to, but not including, `end`."""

    url: str
    start: int
    end: int


def cut_part(url: str) -> Iterator[Slice]:
    """The slices of a part of a plan, in order; one row each if there are few.

    Raises:
      BadTable: it is not such a file.
    """
    count = len(_part(url))
    step = max(1, min(_MOST, count // _LEAST_SLICES))
    for start in range(0, count, step):
        yield Slice(url, start, min(start + step, count))


def rows_of(part: Slice) -> list[dict[str, Any]]:
    """The rows of a slice; keeps its part in memory for the slices that follow.

    Raises:
      BadTable: the part is unreadable.
    """
    rows: list[dict[str, Any]] = _part(part.url).slice(part.start, part.end - part.start).to_pylist()
    return rows


@functools.lru_cache(_PARTS_KEPT)
def _part(url: str) -> pa.Table:
    try:
        place: Any = io.BytesIO(read_whole(url)) if "://" in url else url
        with pq.ParquetFile(place) as file:
            return file.read()
    except pa.ArrowException as error:
        raise BadTable(f"{url} is not a part of a plan: {error}") from error
