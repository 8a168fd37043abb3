"""Shows the progress of a local run on standard error."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import progress as bars
from rich.console import Console

from foveate.compiled import Compilations, compilations
from foveate.pipelines.logs import speaks_json, user_log
from foveate.reports.figures import bytes_text
from foveate.transforms.progress import LOST, read_progress


def summary(counts: dict[str, int], outcomes: Sequence[str]) -> str:
    """One line that accounts for every photo: "12 compressed, 1 kept, 1 failed", and the bytes."""
    parts = [f"{counts[outcome]} {outcome}" for outcome in outcomes if counts.get(outcome)]
    line = ", ".join(parts) or "nothing to do"
    before, after = counts.get("source-bytes", 0), counts.get("archive-bytes", 0)
    if before and after:
        line = f"{line}; {bytes_text(before)} became {bytes_text(after)}"
    return f"{line}; {lost_metadata(counts)}" if counts.get(LOST) else line


def lost_metadata(counts: dict[str, int]) -> str:
    """How many photos lost metadata, and what: "3 photos lost metadata: IPTC (2), preview (1)"."""
    prefix = f"{LOST}: "
    kinds = {name[len(prefix) :]: count for name, count in counts.items() if name.startswith(prefix)}
    commonest = sorted(kinds, key=lambda name: (-kinds[name], name))
    shown = [f"{name} ({kinds[name]:,})" for name in commonest[:_LOSSES_SHOWN]]
    if len(commonest) > _LOSSES_SHOWN:
        shown.append(f"{len(commonest) - _LOSSES_SHOWN} more kinds")
    photos = counts[LOST]
    return f"{photos:,} {'photo' if photos == 1 else 'photos'} lost metadata: {', '.join(shown)}"


_LOSSES_SHOWN = 5
_LINE_SECONDS = 15  # between progress lines where there is no terminal


def total_counts(file: Path) -> dict[str, int]:
    """The totals of a run from its progress file, under the names of Beam's counters."""
    sums = {"source-bytes": 0, "archive-bytes": 0}
    for line in read_progress(file)[0]:
        sums["source-bytes"] += line.source_bytes
        sums["archive-bytes"] += line.archive_bytes
        for name in (
            line.outcome,
            *([LOST] if line.lost else []),
            *(f"{LOST}: {name}" for name in line.lost),
        ):
            sums[name] = sums.get(name, 0) + line.photos
    return sums


@contextlib.contextmanager
def progress_display(file: Path, photos: int, verb: str) -> Iterator[None]:
    """Shows photos, megapixels, bytes saved and time left on standard error while the block runs."""
    if not user_log.isEnabledFor(logging.INFO):
        yield
        return
    console, stop = Console(stderr=True), threading.Event()
    with compilations() as compiled:
        tally = _Tally(file, photos, compiled)
        if console.is_terminal and not speaks_json():
            thread = threading.Thread(target=_show_bar, args=(console, stop, tally, verb), daemon=True)
        else:
            thread = threading.Thread(target=_show_lines, args=(stop, tally, verb), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Tally:
    """The totals so far; reads only the new lines of the progress file."""

    def __init__(self, file: Path, total: int, compiled: Compilations) -> None:
        self.file, self.total, self.compiled, self.start = file, total, compiled, time.monotonic()
        self.offset = self.done = self.pixels = self.worked = self.saved = self.failed = 0

    def look(self) -> str:
        """Updates the totals; returns megapixels, bytes saved, failures and time left as a text."""
        lines, self.offset = read_progress(self.file, self.offset)
        for line in lines:
            self.done += line.photos
            self.pixels += line.pixels
            self.failed += line.outcome == "failed"
            if line.outcome in ("compressed", "kept"):
                self.saved += line.source_bytes - line.archive_bytes
            if line.outcome != "skipped":
                self.worked += 1
        if self.compiled.going_on:
            return "compiling (once)"
        parts = [f"{self.pixels / 1e6:.1f} MP"]
        if self.saved:
            parts.append(f"{bytes_text(self.saved)} saved")
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.total - self.done
        if self.worked and left > 0:
            seconds = (time.monotonic() - self.start) / self.worked * left
            parts.append(f"{datetime.timedelta(seconds=round(seconds))} left")
        return ", ".join(parts)

    def figures(self) -> dict[str, int]:
        """The totals, for log collectors."""
        return {
            "photos": self.done,
            "of": self.total,
            "failed": self.failed,
            "pixels": self.pixels,
            "bytes_saved": self.saved,
        }


def _show_bar(console: Console, stop: threading.Event, tally: _Tally, verb: str) -> None:
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.completed}/{task.total} photos, {task.fields[status]}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task(verb, total=tally.total, status="starting")
        while not stop.wait(0.5):
            status = tally.look()
            bar.update(task, completed=tally.done, status=status)
        status = tally.look()
        bar.update(task, completed=tally.done, status=status)


def _show_lines(stop: threading.Event, tally: _Tally, verb: str) -> None:
    while not stop.wait(_LINE_SECONDS):
        status = tally.look()
        said = f"{verb}: {tally.done}/{tally.total} photos, {status}"
        user_log.info(said, extra={"fields": {"progress": tally.figures()}})
