"""Feeds sources to a compression pipeline in one of three ways, behind one interface.

batch   what a plan says                                    a run that ends by itself
round   what a watch on this machine has found             one round of many
stream  list or be notified, without end                   an engine that streams
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from foveate.archive.planning.join import UpToDate
from foveate.archive.planning.tasks import Asked
from foveate.archive.rows import Failure, RunLabels
from foveate.storage.source import SourceFile
from foveate.transforms import plan_on_workers
from foveate.transforms.arrivals import Watched, WatchSources
from foveate.transforms.count_skipped import WriteSkipped
from foveate.transforms.follow_plan import ROWS, SKIPPED, FollowPlan
from foveate.transforms.frames import DicomFrames
from foveate.transforms.notifications import ReadNotifications
from foveate.transforms.plan_on_workers import PlanOnWorkers
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES, Element, split_failures


class Fed(NamedTuple):
    """Outputs of a feed: sources spread over all workers, failures on the way, rows of skipped photos."""

    sources: Any
    failures: Any
    rows: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class PlanMade:
    """A finished plan: the urls of its parts, the number of their rows, and what needs no row."""

    parts: tuple[str, ...]
    todo: int
    skipped: UpToDate


@dataclasses.dataclass
class BatchFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Feeds the photos of a plan: a finished one, or one that workers make first.

    Args:
      plan: the plan, or what it is to be made for.
      dicom_frames: what becomes of files of several frames, where workers plan.
      run: which archive, with which settings.
      progress: counts what is skipped.
    """

    plan: PlanMade | Asked
    dicom_frames: DicomFrames
    run: RunLabels
    progress: Progress

    @property
    def todo(self) -> int | None:
        """The number of photos to process; None if workers make the plan."""
        return self.plan.todo if isinstance(self.plan, PlanMade) else None

    def expand(self, root: Any) -> Fed:
        """Plans, if need be, and follows the plan."""
        parts, skipped = self._planned(root)
        followed = parts | "Follow plan" >> FollowPlan(self.run, self.progress)
        counted = skipped | "Count skipped" >> beam.Map(self.progress.skip_all)
        sums = (counted, followed[SKIPPED]) | "All skipped" >> beam.Flatten()
        sums | "Sum up skipped" >> WriteSkipped(self.run.archive, self.run.run_id, self.run.foveate_version)
        return Fed(followed.sources, followed[FAILURES], (followed[ROWS],))

    def _planned(self, root: Any) -> tuple[Any, Any]:
        if isinstance(self.plan, PlanMade):
            parts = root | "Name parts" >> beam.Create(list(self.plan.parts)).with_output_types(str)
            return parts, root | "Known skipped" >> beam.Create([self.plan.skipped])
        planned = root | "Plan" >> PlanOnWorkers(self.plan, self.run.run_id, self.dicom_frames)
        return planned.parts, planned[plan_on_workers.SKIPPED]


@dataclasses.dataclass(frozen=True)
class Round:
    """The sources of one round of a watch, and the prefix of its tables' names.

    Photos that have not begun when the file `stop` exists are left for the next run; those that other runs
    work on are noted in the file `left`. Claims of runs that ended before `since` (seconds since 1970) are
    worth nothing; None: as for the first round.
    """

    found: tuple[SourceFile | Failure, ...]
    name: str
    stop: str
    left: str
    since: float | None = None


@dataclasses.dataclass
class RoundFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Feeds the photos of one round of a watch."""

    round: Round

    def expand(self, root: Any) -> Fed:
        """Drops the sources not yet begun when the watch is told to stop."""
        found = root | "Found" >> beam.Create(list(self.round.found)).with_output_types(Element)
        taken = split_failures(found, "found")
        sources = _spread(taken.good) | "Unless stopped" >> beam.Filter(is_running, self.round.stop)
        return Fed(sources, taken[FAILURES])


def is_running(source: SourceFile, stop: str) -> bool:
    """Whether the watch has not been told to stop."""
    return not Path(stop).exists()


@dataclasses.dataclass
class StreamFeed(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Feeds arrivals endlessly, from listings every few seconds or from a Pub/Sub subscription."""

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
    """Distributes sources over all workers: from here on, a photo stays on one of them."""
    return sources | "Spread paths" >> beam.Reshuffle()
