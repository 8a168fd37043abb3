"""Reports progress: workers on this machine append a line per photo to a file that a display reads.

A file works for threads and processes alike. Runs elsewhere have Beam's counters, counted here as well.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from apache_beam.metrics import Metrics

from foveate.archive.losses import loss_names
from foveate.archive.planning.join import UpToDate
from foveate.archive.rows import Failure, MetricsRow
from foveate.transforms.steps import NAMESPACE

LOST = "lost metadata"
"""The counter of photos that lost some of their metadata; those of each kind have its name behind a colon."""


class ProgressLine(NamedTuple):
    """One photo, or several that were skipped.

    How it ended, its pixels, its source's and its file's bytes, what metadata it lost, and how many they are.
    """

    outcome: str
    pixels: int
    source_bytes: int
    archive_bytes: int
    lost: Sequence[str] = ()
    photos: int = 1


@dataclasses.dataclass(frozen=True)
class Progress:
    """Counts photos by outcome; `file` is where lines go, None for none."""

    file: str | None = None

    def add(self, row: MetricsRow) -> None:
        """Counts one finished photo."""
        Metrics.counter(NAMESPACE, row.outcome).inc()
        Metrics.counter(NAMESPACE, "source-bytes").inc(row.source_bytes)
        Metrics.counter(NAMESPACE, "archive-bytes").inc(row.archive_bytes)
        pixels = (row.width or 0) * (row.height or 0)
        for name, value in _distributed(row).items():
            Metrics.distribution(NAMESPACE, name).update(value)
        lost = loss_names(row.metadata_lost)
        for name in (LOST, *(f"{LOST}: {name}" for name in lost)) if lost else ():
            Metrics.counter(NAMESPACE, name).inc()
        self._append(row.outcome, pixels, row.source_bytes, row.archive_bytes, lost)

    def count(self, outcome: str, pixels: int, source_bytes: int) -> None:
        """Counts one photo that makes no row."""
        Metrics.counter(NAMESPACE, outcome).inc()
        self._append(outcome, pixels, source_bytes, 0)

    def fail(self, failure: Failure) -> Failure:
        """Counts one failure, and passes it on."""
        Metrics.counter(NAMESPACE, "failed").inc()
        self._append("failed", 0, 0, 0)
        return failure

    def skip_all(self, skipped: UpToDate) -> UpToDate:
        """Counts what a plan has skipped, and passes it on."""
        Metrics.counter(NAMESPACE, "skipped").inc(skipped.photos)
        Metrics.counter(NAMESPACE, "source-bytes").inc(skipped.source_bytes)
        Metrics.counter(NAMESPACE, "archive-bytes").inc(skipped.archive_bytes)
        if skipped.photos:
            self._append("skipped", 0, skipped.source_bytes, skipped.archive_bytes, photos=skipped.photos)
        return skipped

    def skip_row(self, row: MetricsRow) -> MetricsRow:
        """Counts one skipped photo whose row says something new, and passes it on."""
        self.skip_all(UpToDate(1, row.source_bytes, row.archive_bytes))
        return row

    def _append(
        self,
        outcome: str,
        pixels: int,
        source_bytes: int,
        archive_bytes: int,
        lost: tuple[str, ...] = (),
        photos: int = 1,
    ) -> None:
        if self.file is None:
            return
        more = [lost, photos] if lost or photos != 1 else []
        line = json.dumps([outcome, pixels, source_bytes, archive_bytes, *more]) + "\n"
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())  # one write of one line: whole even among processes
        finally:
            os.close(descriptor)


def _distributed(row: MetricsRow) -> dict[str, int]:
    """The distributions that consoles show, in whole numbers: units are in the names."""
    values = {
        "bpp-thousandths": (row.bits_per_pixel, 1000),
        "psnr-db-hundredths": (row.psnr_db if math.isfinite(row.psnr_db or 0) else None, 100),
        "encode-milliseconds": (row.encode_seconds, 1000),
        "kilopixels": ((row.width or 0) * (row.height or 0) or None, 1e-3),
    }
    return {name: round(value * scale) for name, (value, scale) in values.items() if value is not None}


def read_progress(file: Path, start: int = 0) -> tuple[list[ProgressLine], int]:
    """The whole lines from a byte on, and where they end."""
    if not file.exists():
        return [], start
    with file.open("rb") as handle:
        handle.seek(start)
        whole = handle.read().rpartition(b"\n")[0]
    lines = whole.split(b"\n") if whole else []
    return [ProgressLine(*json.loads(line)) for line in lines], start + len(whole) + bool(lines)
