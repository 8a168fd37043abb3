"""Writes the findings of a verification as Parquet files."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam

from foveate.archive.findings import FILE_PREFIX, Finding, write_findings
from foveate.transforms.write_shards import SHARDS, WriteShards, keyed_values


@beam.typehints.with_input_types(Finding)
@dataclasses.dataclass
class WriteFindings(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Writes findings as Parquet below `folder`; gives the urls of the files written."""

    folder: str

    def expand(self, findings: Any) -> Any:
        """Shard, group and write."""
        keyed = findings | "Key findings by path" >> beam.Map(keyed_values, "path", SHARDS)
        return keyed | "Write shards" >> WriteShards(self.folder, ".parquet", write_findings, FILE_PREFIX)
