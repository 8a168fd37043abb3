"""Splits the collecting for a plan into tasks: one part of a listing, or one file of the tables, each."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

from foveate.archive.planning import collect
from foveate.archive.planning.spool import Kind, Spool
from foveate.archive.tables import (
    FAILURES_FOLDER,
    JOURNAL,
    METRICS_FOLDER,
    table_urls,
)
from foveate.storage.listing import Part, find_pages, list_pages
from foveate.storage.parts import split_source
from foveate.storage.selection import Selection
from foveate.storage.source import SourcePage

Expand = Callable[[SourcePage], SourcePage]


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to collect: `part` of a listing, or a table file, whose url is in `part.source`."""

    kind: Kind
    form: Literal["listing", "parquet", "journal", "lines"]
    part: Part


@dataclasses.dataclass(frozen=True)
class Asked:
    """The request that a plan is made for.

    `sources` and `extensions` are as of `find_files`, `exclude` and `every_kind` as of `Selection`. Without
    `trust_tables` every source is to be done.
    """

    sources: tuple[str, ...]
    extensions: frozenset[str]
    archive: str
    settings_digest: str
    weights_digest: str
    trust_tables: bool = True
    exclude: tuple[str, ...] = ()
    every_kind: bool = False


@dataclasses.dataclass(frozen=True)
class Collected:
    """The result of a task: files or rows, and how many files were skipped for their extensions."""

    count: int
    other_kinds: Mapping[str, int]


def source_tasks(asked: Asked) -> list[Task]:
    """The parts of the sources' listings.

    Raises:
      NothingFound: one of them cannot be listed.
    """
    sources = dict.fromkeys(asked.sources)
    return [Task("sources", "listing", part) for source in sources for part in split_source(source)]


def archive_tasks(archive: str, kind: Literal["files", "held"] = "files") -> list[Task]:
    """The parts of the archive's listing."""
    return [Task(kind, "listing", part) for part in split_source(archive)]


def table_tasks(archive: str) -> list[Task]:
    """The files of the metrics and failures tables."""
    found = []
    for url in table_urls(archive, METRICS_FOLDER, None):
        if url.endswith(".parquet"):
            found.append(Task("rows", "parquet", Part(url)))
        elif url.rpartition("/")[2].startswith(JOURNAL):
            found.append(Task("rows", "journal", Part(url)))
    urls = table_urls(archive, FAILURES_FOLDER, None)
    return found + [Task("failures", "lines", Part(url)) for url in urls if url.endswith(".jsonl")]


def collect_task(task: Task, spool: Spool, asked: Asked, expand: Expand) -> Collected:
    """Collects one piece into the spool of its kind.

    Args:
      task: which piece.
      spool: of the task's kind.
      asked: what the plan is made for.
      expand: makes several sources of a file of several frames.

    Raises:
      NothingFound: a place cannot be listed.
      BadTable: a file is not the table that it should be.
      FileNotFoundError: a file of the tables is gone: another listing shows where its rows went.
    """
    count, kinds = 0, collections.Counter[str]()
    if task.form == "parquet":
        count = sum(map(spool.add_table, collect.table_rows(task.part.source, spool.given)))
    elif task.form == "journal":
        count = sum(map(spool.add_table, collect.journal_rows(task.part.source, spool.given)))
    elif task.form == "lines":
        count = spool.add(collect.failure_rows(task.part.source))
    elif task.kind == "files":
        for files in list_pages(task.part):
            count += sum(map(spool.add_table, collect.file_tables(files)))
    elif task.kind == "held":
        count = sum(map(spool.add_table, map(collect.held_table, list_pages(task.part))))
    else:
        selection = Selection(asked.extensions, asked.archive, asked.exclude, asked.every_kind)
        for page in find_pages(task.part, selection, kinds):
            count += spool.add_table(collect.source_table(expand(page)))
    return Collected(count, kinds)
