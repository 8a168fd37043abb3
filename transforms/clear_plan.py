"""Removes a plan at the end of a run whose launcher does not wait for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam

from foveate.archive.planning.plan import clear_plan


@dataclasses.dataclass
class ClearPlan(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """A tuple of a run's last outputs → nothing; waits for all of them, so they must be bounded.

    Args:
      archive: the root that the plan lies below.
      run_id: the run that it is for.
    """

    archive: str
    run_id: str

    def expand(self, ends: Any) -> Any:
        """Counts all outputs, which waits until they end, and removes the plan."""
        return (
            ends
            | "All ends" >> beam.Flatten()
            | "Wait for all" >> beam.combiners.Count.Globally()
            | "Clear" >> beam.Map(_clear, self.archive, self.run_id)
        )


def _clear(_: int, archive: str, run_id: str) -> None:
    clear_plan(archive, run_id)
