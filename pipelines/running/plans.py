"""Plans of runs as a person sees them: made with a word now and then, shown without running."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from foveate.archive.keys import ArchiveKey, stored_name
from foveate.archive.places import archive_url
from foveate.archive.planning.plan import Planned, Summary, read_part
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.settle import is_up_to_date
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import table_text
from foveate.pipelines.logs import user_log
from foveate.transforms.frames import DicomFrames, expand_frames

_SHOWN = 20  # photos that are named
_TOLD_SECONDS = 15  # between lines while places are listed
_READERS = 8
_AT_ONCE = 1000  # rows that are settled together


def make(asked: Asked, run_id: str, frames: DicomFrames, folder: str | None = None) -> Summary:
    """`make_plan`, with a line on standard error now and then."""
    return make_plan(asked, run_id, functools.partial(expand_frames, frames=frames), folder, _teller())


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
      BadTable: one of the archive's tables is none.
    """
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as folder:
        summary = make(asked, run_id, frames, folder)
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
    photos = summary.todo + summary.skipped[0]
    print(f"{count} of {photos} photos ({size / 1e6:.1f} MB) would be compressed, the rest are up to date")
    if taken := summary.rows.get("taken"):
        print(f"{taken} cannot be: other photos have their places in the archive")


def _not_up_to_date(rows: Iterable[Planned], asked: Asked) -> Iterator[Planned]:
    """The rows that are to be compressed; what is in doubt is read on several threads."""

    def judge(planned: Planned) -> bool:
        return is_up_to_date(planned, asked.archive, asked.settings_digest, asked.weights_digest)

    remaining = (row for row in rows if row.action != "taken")
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        while some := list(itertools.islice(remaining, _AT_ONCE)):
            yield from (row for row, done in zip(some, readers.map(judge, some), strict=True) if not done)
