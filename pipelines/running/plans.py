"""Makes the plans of runs while reporting progress, and prints them for a dry run."""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from foveate.archive.keys import ArchiveKey, stored_name
from foveate.archive.names import archive_url
from foveate.archive.planning.plan import (
    Planned,
    Summary,
    clear_plan,
    planned_runs,
    read_part,
    read_summary,
)
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.resume import OLDEST, find_plan, is_worth_it, resume_plan
from foveate.archive.planning.settle import is_up_to_date
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import table_text
from foveate.pipelines.logs import user_log
from foveate.reports.figures import bytes_text
from foveate.transforms.frames import DicomFrames, expand_page

How = Literal["auto", "new", "resume"]
_KINDS_SHOWN = 8
_SHOWN = 20  # photos that are named
_TOLD_SECONDS = 15  # between lines while places are listed
_READERS = 8
_AT_ONCE = 1000  # rows that are settled together


def add_arguments(group: argparse._ActionsContainer) -> None:
    """Adds the flags that control planning."""
    group.add_argument(
        "--force", action="store_true", help="process photos again even if they are up to date"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="list what would be processed, without writing anything"
    )
    group.add_argument(
        "--plan",
        choices=("auto", "new", "resume"),
        default="auto",
        help="after a run that was killed. resume: finish its plan without listing the sources again; new: "
        "list them again; auto: resume a plan that took over a minute to make and is less than a day old "
        "(default)",
    )


def make(asked: Asked, run_id: str, frames: DicomFrames, how: How, living: set[str]) -> Summary:
    """Makes a run's plan, or resumes that of a killed run; removes the plans of other dead runs.

    Args:
      asked: what the plan is made for.
      run_id: the run that it is for.
      frames: what to do with files of several frames.
      how: "new" makes a new plan; "resume" takes the newest plan made for the same request, if there is one;
        "auto" does so only if that plan was costly to make and is recent.
      living: the runs that are alive.

    Raises:
      NothingFound: a source names nothing.
      BadTable: one of the archive's tables is unreadable.
    """
    former = find_plan(asked, living) if how != "new" else None
    if former is not None and (how == "resume" or is_worth_it(former)):
        when = f"{former.planned:%Y-%m-%d %H:%M} UTC"
        user_log.info(
            f"Resuming the plan of run {former.run_id}, made {when}; photos added since then are left for "
            "the next run (--plan new includes them)"
        )
        summary = resume_plan(asked, former, run_id)
    else:
        if how == "resume":
            user_log.info("There is no plan to resume: listing the sources")
        summary = _made(asked, run_id, frames)
    say_what_is_left_out(summary.other_kinds)
    _remove_dead_plans(asked.archive, living | {run_id}, former)
    return summary


def _remove_dead_plans(archive: str, living: set[str], former: Summary | None) -> None:
    """Removes the plans of dead runs; in a store, an engine's job may only look dead, so only old ones."""
    for run_id in planned_runs(archive):
        if run_id not in living:
            plan = read_summary(archive, run_id)
            old = plan is not None and datetime.datetime.now(datetime.UTC) - plan.planned > OLDEST
            if "://" not in archive or old or (former is not None and former.run_id == run_id):
                clear_plan(archive, run_id)


def _made(asked: Asked, run_id: str, frames: DicomFrames, folder: str | None = None) -> Summary:
    """Like `make_plan`, logging progress every few seconds."""
    return make_plan(asked, run_id, functools.partial(expand_page, frames=frames), folder, _teller())


def say_what_is_left_out(kinds: Mapping[str, int]) -> None:
    """Logs how many files of other kinds were skipped, lest anyone take the archive for a full copy."""
    if not kinds:
        return
    commonest = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    shown = [f"{kinds[kind]:,} {kind or 'without extension'}" for kind in commonest[:_KINDS_SHOWN]]
    if len(commonest) > _KINDS_SHOWN:
        shown.append(f"{sum(kinds[kind] for kind in commonest[_KINDS_SHOWN:]):,} others")
    count = sum(kinds.values())
    files = "file" if count == 1 else "files"
    user_log.info(f"Skipped {count:,} {files} of other kinds: {', '.join(shown)}")


def _teller() -> Callable[[int], None]:
    last = time.monotonic()

    def told(count: int) -> None:
        nonlocal last
        if time.monotonic() - last > _TOLD_SECONDS:
            last = time.monotonic()
            user_log.info(f"Planning: {count:,} listed")

    return told


def dry_run(asked: Asked, run_id: str, frames: DicomFrames, key: ArchiveKey | None) -> None:
    """Prints which photos would be compressed, without writing anything.

    Raises:
      NothingFound: a source names nothing.
      BadTable: one of the archive's tables is unreadable.
    """
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as folder:
        summary = _made(asked, run_id, frames, folder)
        say_what_is_left_out(summary.other_kinds)
        parts = sorted(str(path) for path in Path(folder).glob("*.parquet"))
        rows = itertools.chain.from_iterable(map(read_part, parts))
        count, size = 0, 0
        for planned in _not_up_to_date(rows, asked):
            if count < _SHOWN:
                place = stored_name(archive_url(asked.archive, planned.source), key)
                print(f"{table_text(planned.source.url)} -> {table_text(place)}")
            count += 1
            size += planned.source.size_bytes
    if count > _SHOWN:
        print(f"... and {count - _SHOWN} more")
    taken = summary.rows.get("taken", 0)
    photos = summary.todo + summary.skipped[0]
    rest = photos - taken - count
    print(f"{count} of {photos} photos ({bytes_text(size)}) would be compressed; {rest} are up to date")
    if taken:
        print(f"{taken} cannot be compressed: other photos have their names in the archive")


def _not_up_to_date(rows: Iterable[Planned], asked: Asked) -> Iterator[Planned]:
    """The rows to compress; doubtful files are read on several threads."""

    def judge(planned: Planned) -> bool:
        return is_up_to_date(planned, asked.archive, asked.settings_digest, asked.weights_digest)

    remaining = (row for row in rows if row.action != "taken")
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        while some := list(itertools.islice(remaining, _AT_ONCE)):
            yield from (row for row, done in zip(some, readers.map(judge, some), strict=True) if not done)
