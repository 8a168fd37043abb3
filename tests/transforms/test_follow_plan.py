"""Tests what happens to a plan's rows: sources, rows, numbers, failures."""

from __future__ import annotations

import dataclasses
import datetime
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive import tables
from foveate.archive.planning.join import UpToDate
from foveate.archive.planning.plan import part_urls
from foveate.archive.planning.planner import judge, make_plan
from foveate.archive.planning.tasks import Asked
from foveate.archive.rows import Failure, MetricsRow
from foveate.storage.files import stored_version
from foveate.storage.source import SourceFile
from foveate.transforms.follow_plan import ROWS, FollowPlan, settle
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES
from tests.archive.planning.test_settle import NETWORKS, SETTINGS, Archive, a_jp2
from tests.archive.planning.test_settle import archive as archive  # a fixture
from tests.photos import labels, outputs


def settled(archive: Archive, source: SourceFile, run_id: str = "r2") -> dict[str, list[Any]]:
    """The row that a run's plan has for a source, if it is planned at all."""
    run = labels(str(archive.root), run_id, SETTINGS, NETWORKS)
    asked = Asked((source.url,), frozenset({".jpg"}), run.archive, SETTINGS, NETWORKS)
    rows = list(judge([source], asked))
    return outputs(result for row in rows for result in settle(row, run, Progress()))


def test_a_source_is_passed_on_or_becomes_a_skipped_row(archive: Archive) -> None:
    known = archive.source
    other = dataclasses.replace(known, relative_path="other.jpg")
    assert settled(archive, other) == {"": [other]}
    ((tag, [row]),) = settled(archive, known).items()
    assert (tag, row.outcome, row.run_id) == (ROWS, "skipped", "r2")
    assert row.source_bytes == 7 and row.archive_bytes in (7, len(a_jp2()))
    assert row.reason == "archived already with the same settings" and row.width is None


def test_a_source_that_vanished_is_passed_on_to_be_reported(archive: Archive) -> None:
    gone = dataclasses.replace(archive.source, modified=7.0, url=f"{archive.file}.gone")
    assert settled(archive, gone) == {"": [gone]}


def test_a_source_whose_row_says_all_is_a_number_only(archive: Archive) -> None:
    (row,) = settled(archive, archive.source)[ROWS]  # the table did not know the file's version
    assert row.archive_version == stored_version(row.archive_url) != ""
    table = f"{archive.root}/_foveate/metrics/run=r2/0.parquet"
    tables.write_metrics([dataclasses.replace(row, source_url=str(archive.file))], table)
    assert settled(archive, archive.source) == {}  # a number of the plan's summary
    # A touched source gets a row, which saves the next run from reading it.
    os.utime(archive.file, (2000, 2000))
    (touched,) = settled(archive, archive.source)[ROWS]
    assert touched.source_modified == 2000


def test_a_source_that_failed_after_its_row_gets_one_that_says_it_is_well(archive: Archive) -> None:
    (values,) = tables.read_metrics(str(archive.root)).to_pylist()
    (path,) = archive.root.glob("trip*/*")
    row = MetricsRow(**(values | {"archive_version": stored_version(str(path))}))
    tables.write_metrics([row], f"{archive.root}/_foveate/metrics/run=r1/0.parquet")
    late = (row.finished + datetime.timedelta(hours=1)).isoformat()
    failure = Failure(str(archive.file), "read", "PermissionError", "not now", late)
    tables.write_failures([failure], f"{archive.root}/_foveate/failures/run=r2/0.jsonl")
    assert list(settled(archive, archive.source)) == [ROWS]


def test_a_plan_in_parts_is_followed_whole(tmp_path: Path) -> None:
    for name in ("a.jpg", "x/b.jpg", "y/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    sources = tuple(str(tmp_path / name) for name in ("a.jpg", "x", "y", "x/b.jpg"))
    run = labels(str(tmp_path / "out"), "r2", SETTINGS, NETWORKS)
    asked = Asked(sources, frozenset({".jpg"}), run.archive, SETTINGS, NETWORKS)
    summary = make_plan(asked, "r2", lambda page: page)
    assert (summary.rows, summary.skipped) == ({"compress": 2, "taken": 1}, UpToDate(0, 0, 0))
    with TestPipeline(runner="FnApiRunner") as root:
        parts = root | beam.Create(part_urls(run.archive, "r2"))
        followed = parts | FollowPlan(run, Progress())
        paths = followed.sources | "Paths" >> beam.Map(lambda source: source.relative_path)
        failed = followed[FAILURES] | "Failed" >> beam.Map(lambda failure: failure.url)
        assert_that(paths, equal_to(["a.jpg", "b.jpg"]), label="paths")
        assert_that(failed, equal_to([f"{tmp_path}/y/b.jpg"]), label="failed")
