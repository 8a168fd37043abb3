"""Tests how the newest row of every photo is found."""

import dataclasses
import datetime
import pathlib

import pyarrow as pa
import pytest

from foveate.archive import tables
from foveate.archive.journal import journal_line
from foveate.archive.newest import newest_row, newest_rows
from tests.archive.test_tables import NOON, a_row


def test_an_archive_without_tables_has_no_rows(tmp_path: pathlib.Path) -> None:
    assert newest_row(str(tmp_path), "a.jpg") is None


def test_the_newest_run_wins(tmp_path: pathlib.Path) -> None:
    later = NOON + datetime.timedelta(hours=1)
    old, new = a_row(settings_digest="old"), a_row(settings_digest="new", run_id="r2", finished=later)
    tables.write_metrics([new, a_row("b.jpg")], f"{tmp_path}/_foveate/metrics/run=r2/0.parquet")
    tables.write_metrics([old], f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    assert newest_row(str(tmp_path), "c.jpg") is None and newest_row(str(tmp_path), "b.jpg") is not None
    row = newest_row(str(tmp_path), "trip/a.jpg")
    assert row is not None
    assert (row["settings_digest"], row["finished"], row["archive_version"]) == ("new", later, None)


def test_every_row_counts_where_no_photo_has_two() -> None:
    names = [f"{number}.jpg" for number in range(5)]
    rows = [dataclasses.asdict(a_row(name)) for name in names]
    newest = newest_rows(pa.Table.from_pylist(rows, tables.metrics_schema()))
    assert sorted(newest.column("relative_path").to_pylist()) == names


def test_of_two_rows_of_one_moment_the_first_name_wins(tmp_path: pathlib.Path) -> None:
    for run, place in (("r1", "b.jp2"), ("r2", "a.jp2"), ("r3", "c.jp2")):
        row = a_row(archive_url=place, run_id=run)
        tables.write_metrics([row], f"{tmp_path}/_foveate/metrics/run={run}/0.parquet")
    row_that_counts = newest_row(str(tmp_path), "trip/a.jpg")
    assert row_that_counts is not None and row_that_counts["archive_url"] == "a.jp2"


def test_a_row_in_the_journal_of_a_killed_run_counts(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "_foveate/metrics/run=r1"
    folder.mkdir(parents=True)
    (folder / "journal-1.jsonl").write_bytes(journal_line(a_row("b.jpg")) + journal_line(a_row()))
    row = newest_row(str(tmp_path), "b.jpg")
    assert row is not None and row["relative_path"] == "b.jpg"


def test_a_bad_table_is_reported(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "_foveate/metrics/run=r1/0.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"no parquet")
    with pytest.raises(tables.BadTable):
        newest_row(str(tmp_path), "a.jpg")


def test_a_skipped_row_updates_what_was_seen_but_describes_no_file(tmp_path: pathlib.Path) -> None:
    later, latest = (NOON + datetime.timedelta(hours=hours) for hours in (1, 2))
    written = a_row(width=640, archive_bytes=70, archive_version="md5:old", source_url="/old/a.jpg")
    skipped = a_row(
        outcome="skipped", run_id="r2", finished=later, archive_bytes=70, archive_version="md5:new"
    )
    silent = a_row(outcome="skipped", run_id="r3", finished=latest, archive_bytes=70, archive_version=None)
    other = a_row(
        outcome="skipped", run_id="r4", finished=latest, archive_bytes=71, archive_version="md5:other"
    )
    for rows, outcome, version, moment in (
        ((skipped, written), "compressed", "md5:new", later),
        ((written, silent), "compressed", "md5:old", latest),
        ((other, written), "compressed", "md5:old", NOON),
        ((skipped,), "skipped", "md5:new", later),
    ):
        table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], tables.metrics_schema())
        (row,) = newest_rows(table).to_pylist()
        assert (row["outcome"], row["archive_version"], row["finished"]) == (outcome, version, moment)
        assert row["source_url"] == ("/old/a.jpg" if moment == NOON else "/in/trip/a.jpg")
        assert row["width"] == (640 if outcome == "compressed" else 31)
