"""Makes a plan in this process: lists on several threads, and joins bucket by bucket.

Memory does not grow with the number of sources; the temporary folder (TMPDIR) does, by some 100 bytes each.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import datetime
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from foveate.archive.planning.collect import rows_schema, source_table
from foveate.archive.planning.join import UpToDate, join_bucket
from foveate.archive.planning.plan import (
    Planned,
    PlanWriter,
    Summary,
    plan_folder,
    read_part,
    write_summary,
)
from foveate.archive.planning.spool import Kind, Spool, Spooled, buckets_of
from foveate.archive.planning.tasks import (
    Asked,
    Collected,
    Expand,
    Task,
    archive_tasks,
    collect_task,
    source_tasks,
    table_tasks,
)
from foveate.storage.listing import NothingFound, nothing_in
from foveate.storage.source import SourceFile, SourcePage

_THREADS = 8
_LISTINGS = 3


def make_plan(
    asked: Asked,
    run_id: str,
    expand: Expand,
    folder: str | None = None,
    told: Callable[[int], None] | None = None,
) -> Summary:
    """Plans a run: decides what to do with every source, and writes that as a table.

    Args:
      asked: what the plan is made for.
      run_id: the run that it is for.
      expand: makes several sources of a file of several frames.
      folder: where the plan goes, and no summary beside it; None: into the archive.
      told: called now and then with the number of files listed.

    Raises:
      NothingFound: a source names nothing, or a place cannot be listed.
      BadTable: one of the archive's tables is unreadable.
    """
    told = told or _untold
    start = time.monotonic()
    planned = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as scratch:
        spooled, listed, kinds = collect_sources(asked, expand, Spool(scratch, "sources"), told)
        if asked.trust_tables:
            spooled += collect_archive(asked, scratch, told)
        rows: dict[str, int] = {}
        skipped, size = UpToDate(0, 0, 0), 0
        for bucket in buckets_of(spooled):
            writer = PlanWriter(folder or plan_folder(asked.archive, run_id), bucket)
            for found in join_bucket(
                spooled, bucket, asked.archive, asked.settings_digest, asked.weights_digest
            ):
                writer.add(found)
            writer.close()
            skipped = skipped.plus(writer.skipped)
            rows = {
                action: rows.get(action, 0) + writer.rows.get(action, 0) for action in {*rows, *writer.rows}
            }
            size += writer.to_compress_bytes
    seconds = time.monotonic() - start
    summary = Summary(run_id, request_of(asked), planned, seconds, listed, rows, size, skipped, kinds)
    if folder is None:
        write_summary(asked.archive, summary)
    return summary


def judge(sources: Iterable[SourceFile], asked: Asked) -> Iterator[Planned]:
    """The plan's rows for sources that are already listed, as in a watch; skips those up to date."""
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as scratch:
        spool = Spool(scratch, "sources")
        spool.add_table(source_table(SourcePage.of(sources)))
        if not spool.count:
            return
        spooled = spool.close() + collect_archive(asked, scratch, _untold)
        digests = asked.settings_digest, asked.weights_digest
        for number, bucket in enumerate(buckets_of(spooled)):
            writer = PlanWriter(f"{scratch}/plan-{number}", bucket)
            for found in join_bucket(spooled, bucket, asked.archive, *digests):
                writer.add(found)
            for part in writer.close():
                yield from read_part(part)


def request_of(asked: Asked) -> str:
    """A digest that is equal for runs with the same request."""
    values = [
        sorted(source.encode(errors="surrogatepass").hex() for source in asked.sources),
        sorted(asked.extensions),
        asked.settings_digest,
        asked.weights_digest,
        asked.trust_tables,
        *sorted(asked.exclude),
        *([asked.every_kind] if asked.every_kind else []),
    ]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def collect_sources(
    asked: Asked, expand: Expand, spool: Spool, told: Callable[[int], None] | None = None
) -> tuple[list[Spooled], int, dict[str, int]]:
    """Spools all sources; returns their number, and how many files were skipped for their extensions.

    Raises:
      NothingFound: a source names nothing, or a place cannot be listed.
    """
    counts, kinds = dict.fromkeys(asked.sources, 0), collections.Counter[str]()
    for task, found in _collected(source_tasks(asked), {"sources": spool}, asked, expand, told or _untold):
        counts[task.part.source] += found.count
        kinds.update(found.other_kinds)
    for source, count in counts.items():
        if not count:
            raise nothing_in(source)
    if not counts:
        raise NothingFound("no photo found")
    return spool.close(), spool.count, dict(kinds)


def collect_archive(asked: Asked, scratch: str, told: Callable[[int], None]) -> list[Spooled]:
    """Spools the rows, failures and files of an archive; no files if there are no rows.

    Raises:
      NothingFound: its store cannot be listed.
      BadTable: one of its tables is unreadable.
    """
    spooled = collect_tables(asked, scratch, told)
    if any(file.kind == "rows" for file in spooled):
        files = Spool(scratch, "files")
        for _ in _collected(archive_tasks(asked.archive), {"files": files}, asked, _no_frames, told):
            pass
        spooled += files.close()
    return spooled


def collect_tables(asked: Asked, scratch: str, told: Callable[[int], None] | None = None) -> list[Spooled]:
    """Spools the rows and failures of an archive.

    Raises:
      BadTable: one of its tables is unreadable.
    """
    return _closed(
        asked, lambda: [Spool(scratch, "rows", rows_schema()), Spool(scratch, "failures")], told or _untold
    )


def collect_rows(
    archive: str, scratch: str, schema: pa.Schema, place: Callable[[pa.ChunkedArray], np.ndarray]
) -> list[Spooled]:
    """Spools the given columns of an archive's metrics rows, by place.

    Raises:
      BadTable: one of its tables is unreadable.
    """
    asked = Asked((), frozenset(), archive, "", "")
    return _closed(asked, lambda: [Spool(scratch, "rows", schema, place=place)], _untold)


def collect_held(
    archive: str, scratch: str, place: Callable[[pa.ChunkedArray], np.ndarray]
) -> tuple[list[Spooled], int]:
    """Spools the files of an archive by place; returns their number.

    Raises:
      NothingFound: its store cannot be listed.
    """
    asked = Asked((), frozenset(), archive, "", "")
    files = Spool(scratch, "held", place=place)
    for _ in _collected(archive_tasks(archive, "held"), {"held": files}, asked, _no_frames, _untold):
        pass
    return files.close(), files.count


def _closed(asked: Asked, spools_of: Callable[[], list[Spool]], told: Callable[[int], None]) -> list[Spooled]:
    """Reads the kinds of these spools from tables."""
    for number in range(_LISTINGS):
        # What a running watch writes goes from its journal into a table, and compaction makes few of many:
        # the next listing has it there.
        spools = {spool.kind: spool for spool in spools_of()}
        tasks = [task for task in table_tasks(asked.archive) if task.kind in spools]
        with contextlib.ExitStack() as stack:
            if number < _LISTINGS - 1:
                stack.enter_context(contextlib.suppress(FileNotFoundError))
            for _ in _collected(tasks, spools, asked, _no_frames, told):
                pass
            break
    return [file for spool in spools.values() for file in spool.close()]


def _untold(count: int) -> None:
    """Reports nothing."""


def _no_frames(page: SourcePage) -> SourcePage:
    return page


def _collected(
    tasks: list[Task], spools: dict[Kind, Spool], asked: Asked, expand: Expand, told: Callable[[int], None]
) -> Iterator[tuple[Task, Collected]]:
    """Collects all tasks on several threads; yields each with its result."""
    total = 0
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as workers:

        def work(task: Task) -> tuple[Task, Collected]:
            return task, collect_task(task, spools[task.kind], asked, expand)

        waiting = {workers.submit(work, task) for task in tasks}
        try:
            for done in concurrent.futures.as_completed(waiting):
                task, found = done.result()
                total += found.count
                told(total)
                yield task, found
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
