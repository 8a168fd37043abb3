"""Counts what a run skipped, as one sum per run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from foveate.archive.skipped import Sums, write_skipped


class SumSkipped(beam.CombineFn):  # type: ignore[misc]  # Beam is untyped
    """`Sums` → their sum."""

    def create_accumulator(self) -> Sums:
        """Nothing skipped."""
        return 0, 0, 0

    def add_input(self, sums: Sums, more: Sums) -> Sums:
        """Adds some photos."""
        return sums[0] + more[0], sums[1] + more[1], sums[2] + more[2]

    def merge_accumulators(self, parts: Iterable[Sums]) -> Sums:
        """The sums of all parts."""
        photos, before, after = 0, 0, 0
        for part in parts:
            photos, before, after = photos + part[0], before + part[1], after + part[2]
        return photos, before, after

    def extract_output(self, sums: Sums) -> Sums:
        """As they are."""
        return sums


@dataclasses.dataclass
class WriteSkipped(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`Sums` of skipped photos → one file per run, or none if nothing was skipped.

    Args:
      archive: the archive's root.
      run_id: names the run's folder.
      version: Foveate's.
    """

    archive: str
    run_id: str
    version: str

    def expand(self, sums: Any) -> Any:
        """Sums, and writes."""
        return (
            sums
            | "Sum skipped" >> beam.CombineGlobally(SumSkipped())
            | "Write skipped" >> beam.Map(write_skipped, self.archive, self.run_id, self.version)
        )
