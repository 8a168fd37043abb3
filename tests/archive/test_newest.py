"""Tests how the newest row of every photo is found."""

import dataclasses
import datetime
import pathlib

import numpy as np
import pyarrow as pa
import pytest

from foveate.archive import tables
from foveate.archive.newest import LatestRows, newest_rows
from tests.archive.test_tables import NOON, a_row


def test_an_archive_without_tables_has_no_rows(tmp_path: pathlib.Path) -> None:
    rows = LatestRows.read(str(tmp_path))
    assert len(rows) == 0 and rows.find("a.jpg") is None


def test_the_newest_run_wins(tmp_path: pathlib.Path) -> None:
    later = NOON + datetime.timedelta(hours=1)
    old, new = a_row(settings_digest="old"), a_row(settings_digest="new", run_id="r2", finished=later)
    tables.write_metrics([new, a_row("b.jpg")], f"{tmp_path}/_foveate/metrics/run=r2/0.parquet")
    tables.write_metrics([old], f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    rows = LatestRows.read(str(tmp_path))
    assert len(rows) == 2 and rows.find("c.jpg") is None and rows.find("b.jpg") is not None
    number = rows.find("trip/a.jpg")
    assert number is not None
    row = rows[number]
    assert (row.settings_digest, row.finished, row.archive_version) == ("new", later, None)


def test_every_row_counts_where_no_photo_has_two(tmp_path: pathlib.Path) -> None:
    names = [f"{number}.jpg" for number in range(5)]
    tables.write_metrics(map(a_row, names), f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    rows = LatestRows.read(str(tmp_path))
    found = [rows.find(name) for name in names]
    assert [number is not None and rows[number].relative_path for number in found] == names


def test_of_two_rows_of_one_moment_the_first_name_wins(tmp_path: pathlib.Path) -> None:
    for run, place in (("r1", "b.jp2"), ("r2", "a.jp2"), ("r3", "c.jp2")):
        row = a_row(archive_url=place, run_id=run)
        tables.write_metrics([row], f"{tmp_path}/_foveate/metrics/run={run}/0.parquet")
    rows = LatestRows.read(str(tmp_path))
    assert len(rows) == 1 and rows[0].archive_url == "a.jp2"


def test_paths_of_one_hash_are_told_apart(tmp_path: pathlib.Path) -> None:
    table = pa.table({"relative_path": ["a", "b", "c"]})
    hashes = np.sort(np.array([hash("b"), hash("b"), hash("b")]))
    rows = LatestRows(table, hashes, np.array([2, 0, 1]))
    assert rows.find("b") == 1 and rows.find("z") is None


def test_what_is_no_table_is_told(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "_foveate/metrics/run=r1/0.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"no parquet")
    with pytest.raises(tables.BadTable):
        LatestRows.read(str(tmp_path))


def test_a_skipped_row_renews_what_was_seen_and_describes_no_file(tmp_path: pathlib.Path) -> None:
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
