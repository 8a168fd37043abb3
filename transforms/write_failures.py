"""Writes the failures of a run as JSON lines."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam

from foveate.archive.rows import Failure
from foveate.archive.tables import FAILURES_FOLDER, run_folder, write_lines
from foveate.transforms.write_shards import WriteShards, keyed_values


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
