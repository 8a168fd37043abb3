"""Plans a run on workers, for engines where only they can reach sources and archive.

list parts, read tables ─▶ spool by bucket ─▶ join each bucket ─▶ urls of the plan's parts
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from foveate.archive.planning.collect import rows_schema
from foveate.archive.planning.join import UpToDate, join_bucket
from foveate.archive.planning.plan import PlanWriter, Summary, plan_folder, write_summary
from foveate.archive.planning.planner import request_of
from foveate.archive.planning.spool import BUCKETS, Kind, Spool, Spooled
from foveate.archive.planning.tasks import (
    Asked,
    Collected,
    Task,
    archive_tasks,
    collect_task,
    source_tasks,
    table_tasks,
)
from foveate.storage.files import delete_file
from foveate.storage.listing import nothing_in
from foveate.transforms.frames import DicomFrames, expand_page
from foveate.transforms.steps import Element

SKIPPED = "skipped"
_WRITTEN = "written"
_SPENT = "spent"


@dataclasses.dataclass(frozen=True)
class _Counted:
    """What was collected of one part of a source."""

    source: str
    found: Collected


@dataclasses.dataclass(frozen=True)
class _Bucket:
    """A bucket and the spools that it is joined from."""

    number: int
    spooled: tuple[Spooled, ...]


@dataclasses.dataclass(frozen=True)
class _Written:
    """Findings of the join of a bucket."""

    rows: dict[str, int]
    bytes: int
    skipped: UpToDate


@dataclasses.dataclass
class PlanOnWorkers(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """The root → urls of the plan's parts (main output) and "skipped", a sum for each bucket.

    Args:
      asked: what the plan is made for.
      run_id: the run that it is for.
      dicom_frames: what becomes of files of several frames.
    """

    asked: Asked
    run_id: str
    dicom_frames: DicomFrames

    def expand(self, root: Any) -> Any:
        """Lists in parallel, gathers the names of what was spooled, joins in parallel."""
        folder = plan_folder(self.asked.archive, self.run_id)
        start = time.time()
        joined = (
            root
            | "Ask for a plan" >> beam.Create([self.asked]).with_output_types(Element)
            | "Cut listings" >> beam.FlatMap(_tasks).with_output_types(Element)
            | "Spread tasks" >> beam.Reshuffle()
            | "Collect"
            >> beam.ParDo(_Collect(self.asked, f"{folder}/collected", self.dicom_frames)).with_output_types(
                tuple[int, Element]
            )
            | "Gather what was spooled" >> beam.GroupByKey()
            | "Name buckets" >> beam.FlatMap(_buckets).with_output_types(Element)
            | "Spread buckets" >> beam.Reshuffle()
            | "Join"
            >> beam.FlatMap(_join, self.asked, folder)
            .with_output_types(str)
            .with_outputs(SKIPPED, _WRITTEN, _SPENT, main="parts")
        )
        (
            joined[_SPENT]
            | "Commit joins" >> beam.Reshuffle()  # a join that is repeated finds its spools
            | "Delete spools" >> beam.Map(delete_file)
        )
        (
            joined[_WRITTEN]
            | "Key sums" >> beam.Map(lambda written: (0, written)).with_output_types(tuple[int, Element])
            | "Gather sums" >> beam.GroupByKey()
            | "Write summary" >> beam.Map(_summarize, self.asked, self.run_id, start)
        )
        return joined


def _tasks(asked: Asked) -> Iterator[Task]:
    yield from source_tasks(asked)
    if asked.trust_tables and (tables := table_tasks(asked.archive)):
        yield from tables
        yield from archive_tasks(asked.archive)


class _Collect(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Collects tasks; what a bundle's tasks had is spooled together when it ends."""

    def __init__(self, asked: Asked, folder: str, frames: DicomFrames) -> None:
        self.asked, self.folder = asked, folder
        self.expand = functools.partial(expand_page, frames=frames)
        self.spools: dict[Kind, Spool] = {}

    def start_bundle(self) -> None:
        """Forgets what a bundle that did not end has spooled."""
        self.spools = {}

    def process(self, task: Task) -> Iterator[Any]:
        """One task."""
        if task.kind not in self.spools:
            schema = rows_schema() if task.kind == "rows" else None
            self.spools[task.kind] = Spool(self.folder, task.kind, schema, may_mix=False)
        found = collect_task(task, self.spools[task.kind], self.asked, self.expand)
        if task.kind == "sources":
            yield 0, _Counted(task.part.source, found)

    def finish_bundle(self) -> Iterator[Any]:
        """Writes the spools, and names their files."""
        for spool in self.spools.values():
            yield from (GlobalWindows.windowed_value((0, file)) for file in spool.close())
        self.spools = {}


def _buckets(gathered: tuple[int, Iterable[_Counted | Spooled]]) -> Iterator[_Bucket]:
    """The buckets that have sources.

    Raises:
      NothingFound: a source names nothing.
    """
    counts: dict[str, int] = {}
    failures: list[Spooled] = []
    buckets: dict[int, list[Spooled]] = {number: [] for number in range(BUCKETS)}
    for found in gathered[1]:
        if isinstance(found, _Counted):
            counts[found.source] = counts.get(found.source, 0) + found.found.count
        elif found.kind == "failures":
            failures.append(found)
        else:
            buckets[found.bucket or 0].append(found)
    for source, count in counts.items():
        if not count:
            raise nothing_in(source)
    for number, files in buckets.items():
        if any(file.kind == "sources" for file in files):
            yield _Bucket(number, (*files, *failures))


def _join(bucket: _Bucket, asked: Asked, folder: str) -> Iterator[Any]:
    writer = PlanWriter(folder, bucket.number)
    digests = asked.settings_digest, asked.weights_digest
    for found in join_bucket(bucket.spooled, bucket.number, asked.archive, *digests):
        writer.add(found)
    yield from writer.close()
    yield beam.pvalue.TaggedOutput(SKIPPED, writer.skipped)
    yield beam.pvalue.TaggedOutput(_WRITTEN, _Written(writer.rows, writer.to_compress_bytes, writer.skipped))
    for file in bucket.spooled:
        if file.kind != "failures":  # other buckets need them
            yield beam.pvalue.TaggedOutput(_SPENT, file.url)


def _summarize(gathered: tuple[int, Iterable[_Written]], asked: Asked, run_id: str, start: float) -> None:
    rows: dict[str, int] = {}
    skipped, size = UpToDate(0, 0, 0), 0
    for written in gathered[1]:
        skipped = skipped.plus(written.skipped)
        size += written.bytes
        rows = {
            action: rows.get(action, 0) + written.rows.get(action, 0) for action in {*rows, *written.rows}
        }
    planned = datetime.datetime.fromtimestamp(start, datetime.UTC)
    listed = sum(rows.values()) + skipped.photos
    write_summary(
        asked.archive,
        Summary(run_id, request_of(asked), planned, time.time() - start, listed, rows, size, skipped),
    )
