"""Tests the rows of a running run: a killed run loses no figures, and none is counted twice."""

from __future__ import annotations

import math
import resource
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive import tables
from foveate.archive.journal import clear_journal
from foveate.archive.rows import MetricsRow
from foveate.storage.errors import CannotGoOn
from foveate.transforms.keep_journal import JournalWriter, KeepJournal, _append
from foveate.transforms.write_metrics import WriteMetrics
from tests.archive.test_tables import a_row
from tests.photos import labels


def note(archive: Path, *rows: MetricsRow, run_id: str = "r1") -> Path:
    journal = JournalWriter(labels(str(archive), run_id))
    assert [list(journal.process(row)) for row in rows] == [[row] for row in rows]
    (file,) = (archive / tables.METRICS_FOLDER / f"run={run_id}").glob(f"{tables.JOURNAL}*")
    return file


def read(archive: Path, run_id: str | None = None) -> list[MetricsRow]:
    return [MetricsRow(**row) for row in tables.read_metrics(str(archive), run_id).to_pylist()]


def test_rows_are_there_as_soon_as_they_are_noted(tmp_path: Path) -> None:
    rows = [
        a_row("a.jpg", psnr_db=math.inf, comcnn_used=True, archive_version="changed:1.25"),
        a_row("ä/ü b.png", outcome="kept", width=None),
    ]
    note(tmp_path, *rows)
    assert read(tmp_path) == read(tmp_path, "r1") == rows
    assert tables.read_metrics(str(tmp_path), columns=["width"]).to_pylist() == [
        {"width": 31},
        {"width": None},
    ]
    assert read(tmp_path, "r2") == []


def test_a_row_that_is_also_in_its_runs_tables_counts_once(tmp_path: Path) -> None:
    note(tmp_path, a_row("a.jpg"), a_row("b.jpg"))
    tables.write_metrics([a_row("a.jpg", width=77)], f"{tmp_path}/_foveate/metrics/run=r1/00000.parquet")
    note(tmp_path, a_row("a.jpg", run_id="r2"), run_id="r2")
    found = sorted((row.run_id, row.relative_path, row.width) for row in read(tmp_path))
    assert found == [("r1", "a.jpg", 77), ("r1", "b.jpg", 31), ("r2", "a.jpg", 31)]


def test_a_bundle_that_was_repeated_leaves_its_last_row(tmp_path: Path) -> None:
    note(tmp_path, a_row("a.jpg", width=1), a_row("a.jpg", width=2))
    assert [row.width for row in read(tmp_path)] == [2]


def test_a_truncated_line_is_ignored_and_any_other_bad_line_is_reported(tmp_path: Path) -> None:
    file = note(tmp_path, a_row("a.jpg"), a_row("b.jpg"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert [row.relative_path for row in read(tmp_path)] == ["a.jpg"]
    file.write_bytes(b"no row\n" + whole)
    with pytest.raises(tables.BadTable, match=r"not a journal of metrics, line 1"):
        read(tmp_path)


def test_names_that_are_no_utf8_are_noted(tmp_path: Path) -> None:
    note(tmp_path, a_row(b"caf\xe9.jpg".decode(errors="surrogateescape")))
    assert [row.relative_path for row in read(tmp_path)] == [r"caf\udce9.jpg"]


def test_a_run_that_ended_has_tables_only(tmp_path: Path) -> None:
    rows = [a_row(f"{number}.jpg") for number in range(3)]
    other = note(tmp_path, a_row("z.jpg", run_id="r2"), run_id="r2")
    with TestPipeline(runner="FnApiRunner") as pipeline:
        kept = pipeline | beam.Create(rows) | KeepJournal(labels(str(tmp_path)))
        kept | WriteMetrics(str(tmp_path), "r1", shards=1)
        names = kept | beam.Map(lambda row: row.relative_path)
        assert_that(names, equal_to(["0.jpg", "1.jpg", "2.jpg"]))
    assert len(list(tmp_path.rglob(f"{tables.JOURNAL}*"))) == 2
    clear_journal(str(tmp_path), "r1")
    assert list(tmp_path.rglob(f"{tables.JOURNAL}*")) == [other]
    assert sorted(row.relative_path for row in read(tmp_path)) == ["0.jpg", "1.jpg", "2.jpg", "z.jpg"]
    clear_journal(str(tmp_path / "nowhere"), "r1")


def test_a_hole_that_a_power_cut_left_is_passed_over(tmp_path: Path) -> None:
    file = note(tmp_path, a_row("a.jpg"), a_row("b.jpg"), a_row("c.jpg"))
    first, second, third = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + bytes(len(second) // 2) + second[len(second) // 2 :] + third)
    assert [row.relative_path for row in read(tmp_path)] == ["a.jpg", "c.jpg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_journal_that_cannot_be_written_ends_the_run_with_a_sentence() -> None:
    with pytest.raises(CannotGoOn, match=r"cannot be written: .*No space left on device"):
        _append(Path("/dev/full"), b"a row\n")


def test_half_a_line_is_taken_back_where_a_disk_is_full(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        _append(tmp_path / "journal", b"1" * 79 + b"\n")
        with pytest.raises(CannotGoOn):
            _append(tmp_path / "journal", b"2" * 79 + b"\n")
        _append(tmp_path / "journal", b"3" * 9 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "journal").read_bytes() == b"1" * 79 + b"\n" + b"3" * 9 + b"\n"
