"""Writes finished rows to the run's journal."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from foveate.archive.journal import journal_line
from foveate.archive.rows import MetricsRow, RunLabels
from foveate.archive.tables import JOURNAL, METRICS_FOLDER, run_folder
from foveate.storage.errors import CannotGoOn
from foveate.storage.files import write_whole

_SECONDS = 60.0  # between the objects that one worker writes


_PROCESS = uuid.uuid4().hex  # several may append at once, each to a file of its own


_appending = threading.Lock()


@dataclasses.dataclass
class KeepJournal(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`MetricsRow`s → the same, written to the run's journal.

    Args:
      run: names the archive and the run.
    """

    run: RunLabels

    def expand(self, rows: Any) -> Any:
        """Writes and passes on."""
        return rows | "Write" >> beam.ParDo(JournalWriter(self.run)).with_output_types(MetricsRow)


class JournalWriter(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Writes rows to the run's journal, and passes them on."""

    def __init__(self, run: RunLabels) -> None:
        self.archive, self.folder = run.archive, run_folder(run.archive, METRICS_FOLDER, run.run_id)
        self.lines: list[bytes] = []
        self.written = 0.0

    def process(self, row: MetricsRow) -> Iterator[MetricsRow]:
        """One row in, the same out."""
        self.lines.append(journal_line(row))
        if "://" not in self.folder or time.monotonic() - self.written > _SECONDS:
            self._write()
        yield row

    def finish_bundle(self) -> None:
        """Writes the rest."""
        self._write()

    def _write(self) -> None:
        if not self.lines:
            return
        data = b"".join(self.lines)
        if "://" in self.folder:
            write_whole(f"{self.folder}/{JOURNAL}{uuid.uuid4().hex}.jsonl", data, self.archive)
        else:
            _append(Path(self.folder) / f"{JOURNAL}{_PROCESS}.jsonl", data)
        self.lines.clear()
        self.written = time.monotonic()


def _append(file: Path, data: bytes) -> None:
    """Appends whole lines or none, since half a line would swallow the next one.

    They need not be on the disk at once. A file without a row is taken over by the next run, and a row comes
    only after its file has been brought to the disk.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _appending, file.open("ab", buffering=0) as handle:
            before = handle.tell()
            if handle.write(data) != len(data):
                handle.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise CannotGoOn(f"{file} cannot be written: {error}") from error
