"""Writes metrics rows as Parquet files, a few per run."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam

from foveate.archive.rows import MetricsRow
from foveate.archive.tables import METRICS_FOLDER, run_folder, write_parquet
from foveate.transforms.write_shards import SHARDS, WriteShards, keyed_values

_ROWS_PER_SHARD = 100_000
_MOST_SHARDS = 1024
_SHARDS_OF_UNKNOWN = 32


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
