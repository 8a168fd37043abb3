"""Keeps the rows of a run in progress, so that a killed run loses none.

Tables are written when a run ends. Until then a worker notes every row that it finishes beside them, in JSON
lines: on a local disk at once, in an object store (whose objects cannot grow) once a minute and at the end of
a bundle. `read_metrics` reads the journal of a run that never came to its tables as if it were one of them.

    PCollection[MetricsRow] ─▶ DEST/_foveate/metrics/run=<id>/journal-*.jsonl ─▶ the same PCollection
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json

from foveate.archive.rows import MetricsRow
from foveate.archive.tables import JOURNAL, METRICS_FOLDER, run_folder, table_text
from foveate.storage.files import delete_file
from foveate.storage.listing import list_private


def journal_line(row: MetricsRow) -> bytes:
    """A row as a line of JSON."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = table_text(value)
        elif isinstance(value, datetime.datetime):
            values[name] = value.isoformat()
    return json.dumps(values).encode() + b"\n"


def clear_journal(archive: str, run_id: str) -> None:
    """Removes the journal of a run whose tables are written."""
    with contextlib.suppress(OSError):  # what stays is not counted twice
        for url in list_private(run_folder(archive, METRICS_FOLDER, run_id)):
            if url.rpartition("/")[2].startswith(JOURNAL):
                delete_file(url)
