"""Tests that any run reads back the metrics and failures tables completely."""

import dataclasses
import datetime
import math
import os
import pathlib
import typing

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from foveate.archive import tables
from foveate.archive.journal import journal_line
from foveate.archive.rows import Failure, MetricsRow
from foveate.transforms.write_failures import WriteFailures
from foveate.transforms.write_metrics import WriteMetrics

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def a_row(path: str = "trip/a.jpg", **changes: typing.Any) -> MetricsRow:
    values: dict[str, typing.Any] = dict.fromkeys(field.name for field in dataclasses.fields(MetricsRow))
    hints = typing.get_type_hints(MetricsRow)
    values |= {name: "" for name, hint in hints.items() if hint is str}
    values |= {"source_url": f"/in/{path}", "archive_url": f"/out/{path}.jp2", "relative_path": path}
    values |= {"outcome": "compressed", "source_bytes": 1000, "source_modified": 1.5}
    values |= {"archive_bytes": 250, "run_id": "r1"}
    values |= {"finished": NOON, "width": 31, "psnr_db": 38.5, "source_sha256": "ab" * 32}
    return MetricsRow(**(values | changes))


def a_failure(url: str = "/in/broken.jpg") -> Failure:
    return Failure(url, "read", "BadImage", "ends after 12 bytes", NOON.isoformat())


def test_the_schema_has_every_field_and_only_optional_ones_may_be_null() -> None:
    schema = tables.metrics_schema()
    assert schema.names == [field.name for field in dataclasses.fields(MetricsRow)]
    assert not schema.field("source_bytes").nullable
    assert schema.field("width").nullable and schema.field("width").type == pa.int64()
    assert schema.field("outcome").type == pa.string()
    assert schema.field("comcnn_used").type == pa.bool_()
    assert schema.field("finished").type == pa.timestamp("us", tz="UTC")


def test_rows_are_read_back_as_they_were_written(tmp_path: pathlib.Path) -> None:
    rows = [
        a_row("a.jpg", psnr_db=math.inf, comcnn_used=True),
        a_row("ä/ü b.png", outcome="kept", width=None),
    ]
    tables.write_metrics(rows, f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    assert [MetricsRow(**values) for values in tables.read_metrics(str(tmp_path)).to_pylist()] == rows


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    def rows() -> typing.Iterator[MetricsRow]:
        yield a_row()
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        tables.write_metrics(rows(), str(tmp_path / "0.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_tables_gives_no_rows(tmp_path: pathlib.Path) -> None:
    assert len(tables.read_metrics(str(tmp_path))) == 0
    assert len(tables.read_failures(str(tmp_path / "nowhere"))) == 0


def test_names_that_are_no_utf8_are_written_and_found_again(tmp_path: pathlib.Path) -> None:
    name = b"caf\xe9.jpg".decode(errors="surrogateescape")
    tables.write_metrics([a_row(name)], f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    (row,) = tables.read_metrics(str(tmp_path)).to_pylist()
    assert row["relative_path"] == tables.table_text(name) == r"caf\udce9.jpg"


def test_one_runs_rows_can_be_asked_for_alone(tmp_path: pathlib.Path) -> None:
    for run in ("r1", "r2"):
        row = a_row(settings_digest=run, run_id=run)
        tables.write_metrics([row], f"{tmp_path}/_foveate/metrics/run={run}/0.parquet")
    assert tables.read_metrics(str(tmp_path), "r1", ["settings_digest"]).to_pylist() == [
        {"settings_digest": "r1"}
    ]


def test_a_table_of_an_earlier_version_is_read_with_nulls_for_what_it_lacks(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "_foveate/metrics/run=r0"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"relative_path": ["a.jpg"], "gone": [1]}), folder / "0.parquet")
    (row,) = tables.read_metrics(str(tmp_path)).to_pylist()
    assert row["relative_path"] == "a.jpg" and row["psnr_db"] is None and "gone" not in row


@pytest.mark.parametrize("content", [b"", b"no parquet at all"])
def test_a_file_that_is_no_table_is_named(tmp_path: pathlib.Path, content: bytes) -> None:
    for folder, name in [("metrics", "0.parquet"), ("failures", "0.jsonl")]:
        place = tmp_path / "_foveate" / folder / "run=r1" / name
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    with pytest.raises(tables.BadTable, match=r"0\.parquet is not a metrics table"):
        tables.read_metrics(str(tmp_path))
    if content:
        with pytest.raises(tables.BadTable, match=r"0\.jsonl is not a failures table"):
            tables.read_failures(str(tmp_path))


def test_a_run_id_that_would_leave_its_folder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not '\.\./x'"):
        WriteMetrics("/out", "../x")


@pytest.mark.parametrize("folder", ["archive", "Photos [2019]"])
def test_both_tables_are_written_by_a_pipeline_and_read_back(tmp_path: pathlib.Path, folder: str) -> None:
    archive = str(tmp_path / folder)
    rows = [a_row(f"{number:02d}.jpg", ssim=number / 40) for number in range(40)]
    with TestPipeline(runner="FnApiRunner") as root:
        root | "Rows" >> beam.Create(rows) | WriteMetrics(archive, "r1", shards=3)
        root | "Failures" >> beam.Create([a_failure()]) | WriteFailures(archive, "r1")
    names = sorted(path.name for path in (tmp_path / folder).rglob("*") if path.is_file())
    assert names == ["00000.jsonl", "00000.parquet", "00001.parquet", "00002.parquet"]
    read = tables.read_metrics(archive).to_pylist()
    assert sorted((MetricsRow(**row) for row in read), key=lambda row: row.relative_path) == rows
    (failure,) = tables.read_failures(archive).to_pylist()
    assert failure == dataclasses.asdict(a_failure()) | {"run_id": "r1"}


def test_empty_collections_write_nothing(tmp_path: pathlib.Path) -> None:
    with TestPipeline(runner="FnApiRunner") as root:
        root | "Rows" >> beam.Create([]) | WriteMetrics(str(tmp_path), "r1")
        root | "Failures" >> beam.Create([]) | WriteFailures(str(tmp_path), "r1")
    assert list(tmp_path.rglob("*")) == []


def test_each_window_of_a_stream_gets_its_own_file(tmp_path: pathlib.Path) -> None:
    timed = [(0.0, a_row("a.jpg")), (1.0, a_row("b.jpg")), (100.0, a_row("c.jpg"))]
    with TestPipeline(runner="FnApiRunner") as root:
        stamped = (
            root | beam.Create(timed) | beam.MapTuple(lambda at, row: beam.window.TimestampedValue(row, at))
        )
        windowed = stamped | beam.WindowInto(beam.window.FixedWindows(60))
        windowed | WriteMetrics(str(tmp_path), "r1", shards=1)
    names = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    assert names == ["119-00000.parquet", "59-00000.parquet"]
    assert len(tables.read_metrics(str(tmp_path))) == 3


def test_a_journal_that_becomes_a_table_while_it_is_read_is_found_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "_foveate/metrics/run=r1"
    folder.mkdir(parents=True)
    (folder / "journal-1.jsonl").write_bytes(journal_line(a_row()))
    listed = tables.table_urls

    def then_the_watch_goes_on(*arguments: typing.Any) -> list[str]:
        urls = listed(*arguments)
        if (folder / "journal-1.jsonl").exists():
            tables.write_metrics([a_row()], f"{folder}/1-0.parquet")
            (folder / "journal-1.jsonl").unlink()
        return urls

    monkeypatch.setattr(tables, "table_urls", then_the_watch_goes_on)
    assert len(tables.read_metrics(str(tmp_path))) == 1


def test_a_photo_that_is_in_a_table_and_newer_in_the_journal_counts_by_both(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "_foveate/metrics/run=r1"
    folder.mkdir(parents=True)
    later = a_row(finished=NOON + datetime.timedelta(hours=1), width=99)
    tables.write_metrics([a_row(), a_row("b.jpg")], f"{folder}/1-0.parquet")
    (folder / "journal-1.jsonl").write_bytes(journal_line(later) + journal_line(a_row("b.jpg")))
    found = tables.read_metrics(str(tmp_path)).to_pylist()
    assert sorted(row["width"] for row in found) == [31, 31, 99]


def test_a_table_is_on_the_disk_before_it_has_its_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pathlib.Path("/proc/self/fd").exists():
        pytest.skip("what a descriptor stands for cannot be asked here")
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(str(pathlib.Path(f"/proc/self/fd/{fd}").readlink()))
    )
    folder = tmp_path / "_foveate/metrics/run=1"
    tables.write_metrics([a_row()], f"{folder}/0.parquet")
    assert synced[0].startswith(f"{folder}/0.parquet.partial-")
    assert synced[1:] == [str(folder), str(folder.parent), str(folder.parents[1]), str(tmp_path)]
