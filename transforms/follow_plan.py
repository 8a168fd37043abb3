"""Reads a run's plan and settles its doubtful cases: gives sources to process, failures and rows.

parts ─▶ slices ─▶ spread over all workers ─▶ rows of the plan ─▶ sources, failures, rows, sums of the skipped
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.planning.join import UpToDate
from foveate.archive.planning.plan import Planned, read_slice
from foveate.archive.planning.settle import is_up_to_date, skipped_row
from foveate.archive.planning.slices import cut_part
from foveate.archive.rows import MetricsRow, RunLabels
from foveate.storage.errors import BadInput
from foveate.storage.source import SourceFile
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES, Element, failure

ROWS = "rows"
SKIPPED = "skipped"


@dataclasses.dataclass
class FollowPlan(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Urls of a plan's parts → `SourceFile`s (main output), "failures", "rows", and "skipped" sums.

    Names of slices of the plan are all that is shuffled: from here on a photo stays on one worker.

    Args:
      run: which archive, with which settings; None: all that is planned is to be done.
      progress: counts what is skipped.
    """

    run: RunLabels | None
    progress: Progress

    def expand(self, parts: Any) -> Any:
        """Cuts parts in parallel, and reads and settles their slices in parallel."""
        return (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Cut parts" >> beam.FlatMap(cut_part).with_output_types(Element)
            | "Spread slices" >> beam.Reshuffle()
            | "Read slices" >> beam.FlatMap(read_slice).with_output_types(Element)
            | "Settle doubts"
            >> beam.FlatMap(settle, self.run, self.progress)
            .with_output_types(SourceFile)
            .with_outputs(FAILURES, ROWS, SKIPPED, main="sources")
        )


def settle(planned: Planned, run: RunLabels | None, progress: Progress) -> Iterator[Any]:
    """A row of a plan as its source, or as its failure, its row or its size under their tags."""
    if planned.action == "taken":
        error = BadInput(planned.detail)
        yield beam.pvalue.TaggedOutput(FAILURES, failure(planned.source.url, "match", error))
    elif run is None or not is_up_to_date(planned, run.archive, run.settings_digest, run.weights_digest):
        yield planned.source
    elif planned.former is not None and planned.former.known:
        skipped = UpToDate(1, planned.source.size_bytes, planned.former.archive_bytes)
        yield beam.pvalue.TaggedOutput(SKIPPED, progress.skip_all(skipped))
    else:
        row: MetricsRow = progress.skip_row(skipped_row(planned, run))
        yield beam.pvalue.TaggedOutput(ROWS, row)
