"""Sums up the photos that a run skipped because they are up to date, instead of writing a row for each.

A nightly run over a million photos would else write a million rows that say nothing new.

    PCollection[(source bytes, archive bytes)] ─▶ sum ─▶ DEST/_foveate/metrics/run=<id>/skipped.json
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import itertools
import json
import re

import pyarrow as pa

from foveate.archive.tables import (
    METRICS_FOLDER,
    PARALLEL_READS,
    BadTable,
    open_whole,
    relisted,
    run_folder,
    table_urls,
)
from foveate.storage.files import read_whole

SKIPPED_FILE = "skipped.json"
SKIPPED_LINES = "skipped.jsonl"  # of several runs, when tables have been compacted

Sums = tuple[int, int, int]  # photos, their bytes, their archived files' bytes


@dataclasses.dataclass(frozen=True)
class Skipped:
    """The photos that one run skipped, summed up."""

    run_id: str
    foveate_version: str
    photos: int
    source_bytes: int
    archive_bytes: int
    finished: datetime.datetime


def skipped_schema() -> pa.Schema:
    """The columns of the result of `read_skipped`: the fields of `Skipped`."""
    texts = [pa.field(name, pa.string()) for name in ("run_id", "foveate_version")]
    counts = [pa.field(name, pa.int64()) for name in ("photos", "source_bytes", "archive_bytes")]
    return pa.schema([*texts, *counts, pa.field("finished", pa.timestamp("us", tz="UTC"))])


def write_skipped(sums: Sums, archive: str, run_id: str, version: str) -> None:
    """Writes a run's file if the run skipped anything."""
    photos, before, after = sums
    if photos:
        now = datetime.datetime.now(datetime.UTC)
        line = skipped_line(Skipped(run_id, version, photos, before, after, now))
        with open_whole(f"{run_folder(archive, METRICS_FOLDER, run_id)}/{SKIPPED_FILE}") as file:
            file.write(line)


def read_skipped(archive: str, run_id: str | None = None) -> pa.Table:
    """The photos that all runs, or one run, of an archive skipped: an Arrow table of `skipped_schema()`.

    Earlier versions wrote a row of the metrics table for each skipped photo; those stay there.

    Raises:
      BadTable: a file is not what it should be.
    """

    def read() -> list[Skipped]:
        urls = [
            url
            for url in table_urls(archive, METRICS_FOLDER, run_id)
            if re.search(rf"[/\\]({SKIPPED_FILE}|{SKIPPED_LINES})$", url)
        ]
        with concurrent.futures.ThreadPoolExecutor(PARALLEL_READS) as readers:
            return list(itertools.chain.from_iterable(readers.map(read_sums, urls)))

    of_run = [dataclasses.asdict(one) for one in relisted(read) if run_id in (None, one.run_id)]
    return pa.Table.from_pylist(of_run, schema=skipped_schema())


def read_sums(url: str) -> list[Skipped]:
    """The content of one file: a single run, or several, one per line.

    Raises:
      BadTable: it is not what it should be.
    """
    try:
        data = read_whole(url)
        lines = data.splitlines() if url.endswith(SKIPPED_LINES) else [data]
        return [_parsed(line) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise BadTable(f"{url} does not say what a run skipped: {error}") from error


def _parsed(line: bytes) -> Skipped:
    values = json.loads(line)
    values["finished"] = datetime.datetime.fromisoformat(values["finished"])
    return Skipped(**values)


def skipped_line(skipped: Skipped) -> bytes:
    """The photos that a run skipped as one line of JSON, without the newline."""
    values = dataclasses.asdict(skipped) | {"finished": skipped.finished.isoformat()}
    return json.dumps(values).encode()
