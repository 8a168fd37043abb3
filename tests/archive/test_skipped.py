"""Tests the list of skipped photos: one small file per run, however many photos."""

from __future__ import annotations

import datetime
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from foveate.archive.skipped import read_skipped, skipped_schema
from foveate.archive.tables import BadTable, read_metrics
from foveate.transforms.count_skipped import WriteSkipped


def skip(archive: Path, run_id: str, sizes: list[tuple[int, int]]) -> None:
    with TestPipeline(runner="FnApiRunner") as root:
        root | beam.Create([(1, *pair) for pair in sizes]) | WriteSkipped(str(archive), run_id, "1.0")


def test_a_run_is_summed_up_and_read_back(tmp_path: Path) -> None:
    archive = tmp_path / "Photos [2019]"
    skip(archive, "r1", [(1000, 100), (500, 50), (7, 7)])
    skip(archive, "r2", [(10, 1)])
    rows = {row["run_id"]: row for row in read_skipped(str(archive)).to_pylist()}
    assert [rows["r1"][name] for name in ("photos", "source_bytes", "archive_bytes")] == [3, 1507, 157]
    age = datetime.datetime.now(datetime.UTC) - rows["r1"]["finished"]
    assert datetime.timedelta() <= age < datetime.timedelta(minutes=5)
    assert read_skipped(str(archive), "r2").column("photos").to_pylist() == [1]
    assert len(read_metrics(str(archive))) == 0  # it is no table of photos


def test_a_run_that_skipped_nothing_leaves_nothing(tmp_path: Path) -> None:
    skip(tmp_path, "r1", [])
    assert not list(tmp_path.iterdir())
    assert read_skipped(str(tmp_path)) == skipped_schema().empty_table()


@pytest.mark.parametrize("content", ["", "[]", '{"photos": 1}', "{"])
def test_a_wrong_file_is_named(tmp_path: Path, content: str) -> None:
    place = tmp_path / "_foveate/metrics/run=r1/skipped.json"
    place.parent.mkdir(parents=True)
    place.write_text(content)
    with pytest.raises(BadTable, match=r"skipped\.json"):
        read_skipped(str(tmp_path))
