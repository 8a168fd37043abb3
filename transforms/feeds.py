"""Three ways in which sources reach a compression pipeline, behind one interface.

batch   list once ─▶ match ─▶ skip what is archived        a run that ends by itself
round   what a watch on this machine has found             one round of many
stream  list or be notified, without end                   an engine that streams
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from foveate.archive.rows import Failure, RunLabels
from foveate.storage.source import SourceFile
from foveate.transforms.arrivals import Watched, WatchSources
from foveate.transforms.count_skipped import WriteSkipped
from foveate.transforms.frames import DicomFrames
from foveate.transforms.match import MatchSources
from foveate.transforms.notifications import ReadNotifications
from foveate.transforms.progress import Progress
from foveate.transforms.skip_archived import ROWS, SIZES, SkipArchived
from foveate.transforms.steps import FAILURES, Element, split_failures


class Fed(NamedTuple):
    """Outputs of a feed: sources spread over all workers, failures on the way, rows of what was skipped."""

    sources: Any
    failures: Any
    rows: tuple[Any, ...] = ()


@dataclasses.dataclass
class BatchFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Sources as named on a command line, without those that are up to date.

    Args:
      sources, extensions: as `MatchSources` takes them.
      dicom_frames: likewise.
      run: which archive, with which settings.
      progress: counts what is skipped.
      trust_tables: whether what the tables say is up to date is skipped; else every source is worked on.
    """

    sources: tuple[str, ...]
    extensions: frozenset[str]
    dicom_frames: DicomFrames
    run: RunLabels
    progress: Progress
    trust_tables: bool

    def expand(self, root: Any) -> Fed:
        """Matches, then skips."""
        matched = root | "Match sources" >> MatchSources(
            self.sources, self.extensions, self.run.archive, self.dicom_frames
        )
        if not self.trust_tables:
            return Fed(_spread(matched.sources), matched[FAILURES])
        skip = beam.ParDo(SkipArchived(self.run)).with_outputs(ROWS, SIZES, main="sources")
        fresh = matched.sources | "Skip archived" >> skip
        rows = fresh[ROWS] | "Count skipped anew" >> beam.Map(self.progress.skip_row)
        sizes = fresh[SIZES] | "Count skipped" >> beam.Map(self.progress.skip)
        sizes | "Sum up skipped" >> WriteSkipped(self.run.archive, self.run.run_id, self.run.foveate_version)
        return Fed(_spread(fresh.sources), matched[FAILURES], (rows,))


@dataclasses.dataclass(frozen=True)
class Round:
    """The sources of one round of a watch, and the prefix of its tables' names.

    Photos that have not begun when the file `stop` exists are left for the next run.
    """

    found: tuple[SourceFile | Failure, ...]
    name: str
    stop: str


@dataclasses.dataclass
class RoundFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Findings of one round of a watch."""

    round: Round

    def expand(self, root: Any) -> Fed:
        """Drops the sources that have not begun when the watch is told to stop."""
        found = root | "Found" >> beam.Create(list(self.round.found)).with_output_types(Element)
        taken = split_failures(found, "found")
        sources = _spread(taken.good) | "Unless stopped" >> beam.Filter(is_running, self.round.stop)
        return Fed(sources, taken[FAILURES])


def is_running(source: SourceFile, stop: str) -> bool:
    """Whether the watch has not been told to stop."""
    return not Path(stop).exists()


@dataclasses.dataclass
class StreamFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """An endless feed of arrivals: from a listing every so many seconds, or a Pub/Sub subscription."""

    watched: Watched
    seconds: float
    subscription: str | None
    run_id: str

    def expand(self, root: Any) -> Fed:
        """Lists or listens."""
        arriving: Any = (
            ReadNotifications(self.watched, self.subscription)
            if self.subscription
            else WatchSources(self.watched, self.seconds, self.run_id)
        )
        found = root | "Watch" >> arriving
        return Fed(_spread(found.sources), found[FAILURES])


def _spread(sources: Any) -> Any:
    """Hands sources out over all workers: from here on a photo stays on one of them."""
    return sources | "Spread paths" >> beam.Reshuffle()
