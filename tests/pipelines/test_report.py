"""The figures of a report: one photo, one outcome, and nothing lost between the tables and the JSON."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from foveate.archive import tables
from foveate.archive.journal import journal_line
from foveate.archive.rows import Failure, MetricsRow
from foveate.archive.skipped import write_skipped
from foveate.pipelines import report
from foveate.reports import contents, figures
from foveate.reports.staging import REPORT_COLUMNS, Subject
from foveate.reports.terminal import print_report
from tests.reports.archives import (
    HOUR,
    NOON,
    a_failure,
    a_kept_row,
    a_row,
    report_on,
    write_archive,
    write_made_up,
)


def report_of(
    root: pathlib.Path, rows: list[MetricsRow], failures: list[Failure] | None = None
) -> contents.Report:
    return report_on(write_archive(root, rows, failures or []))


def run_report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    status = report.run(parser.parse_args(arguments))
    return status, *capsys.readouterr()


def test_sources_are_compressed_and_kept_and_skipped_and_failed(tmp_path: pathlib.Path) -> None:
    skipped = a_kept_row("d.jpg", outcome="skipped", reason="up to date", archive_bytes=400)
    rows = [a_row("a.jpg"), a_row("b.jpg"), a_kept_row("c.gif"), skipped]
    found = report_of(tmp_path, rows, [a_failure("/in/e.jpg"), a_failure("/in/e.jpg", "again")])
    assert found.accounting == contents.Accounting(sources=5, compressed=2, kept=1, skipped=1, failed=1)
    assert found.sizes == contents.Sizes(4000, 1900, 2100, 0.525, 4000 / 1900)
    assert [(reason.outcome, reason.reason, reason.photos) for reason in found.reasons] == [
        ("kept", "animation", 1),
        ("skipped", "up to date", 1),
    ]


def test_what_was_skipped_without_rows_counts_in_its_run_and_not_twice_over_all(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg"), a_row("b.jpg")], [])
    write_skipped((2, 2000, 500), archive, "r2", "1.0")
    found = report_of(tmp_path, [])
    assert found.accounting == contents.Accounting(2, compressed=2, kept=0, skipped=0, failed=0)
    assert [(run.run_id, run.compressed, run.skipped) for run in found.runs] == [("r2", 0, 2), ("r1", 2, 0)]
    status, said, _ = run_report(capsys, archive, "--run", "r2", "--json")
    figures = json.loads(said)
    assert status == 0 and figures["reasons"][0]["photos"] == 2
    assert figures["accounting"] == {"sources": 2, "compressed": 0, "kept": 0, "skipped": 2, "failed": 0}
    assert figures["sizes"]["before_bytes"] == 2000 and figures["sizes"]["after_bytes"] == 500


def test_a_skipped_photo_has_the_figures_of_the_run_that_compressed_it(tmp_path: pathlib.Path) -> None:
    skipped = a_kept_row("a.jpg", outcome="skipped", run_id="r2", finished=NOON + HOUR)
    found = report_of(tmp_path, [a_row("a.jpg"), skipped])
    assert found.accounting == contents.Accounting(1, compressed=1, kept=0, skipped=0, failed=0)
    assert found.sizes.after_bytes == 250
    assert [(run.run_id, run.compressed, run.skipped) for run in found.runs] == [("r2", 0, 1), ("r1", 1, 0)]


def test_the_newest_of_several_runs_counts(tmp_path: pathlib.Path) -> None:
    again = a_row("a.jpg", psnr_db=40.0, run_id="r2", finished=NOON + HOUR)
    assert report_of(tmp_path, [a_row("a.jpg"), again]).measure("psnr_db").decoded.mean == 40.0


@pytest.mark.parametrize(("hours", "failed"), [(1, 1), (-1, 0)])
def test_a_photo_counts_as_failed_only_if_it_failed_last(
    tmp_path: pathlib.Path, hours: int, failed: int
) -> None:
    found = report_of(tmp_path, [a_row("a.jpg")], [a_failure("/in/a.jpg", time=NOON + hours * HOUR)])
    assert (found.accounting.sources, found.accounting.failed) == (1, failed)


def test_lossless_photos_are_counted_and_left_out_of_the_mean(tmp_path: pathlib.Path) -> None:
    lossless = a_row("b.jpg", psnr_db=math.inf, rec_psnr_db=math.inf)
    found = report_of(tmp_path, [a_row("a.jpg"), lossless]).measure("psnr_db")
    assert (found.decoded.photos, found.decoded.lossless, found.decoded.mean) == (2, 1, 36.0)
    assert found.mean_gain == 0.5


def test_quantiles_are_those_of_the_compressed_photos(tmp_path: pathlib.Path) -> None:
    rows = [a_row(f"{number}.jpg", psnr_db=30.0 + number) for number in range(21)]
    found = report_of(tmp_path, [*rows, a_kept_row("k.gif")]).measure("psnr_db").decoded
    assert (found.p05, found.median, found.p95) == (31.0, 40.0, 49.0)


def test_photos_are_grouped_by_top_folder_and_by_format(tmp_path: pathlib.Path) -> None:
    rows = [a_row("trip/x/a.jpg"), a_row("trip/b.jpg"), a_row("c.png", source_format="png")]
    found = report_of(tmp_path, rows)
    assert [(group.name, group.photos) for group in found.folders] == [("trip", 2), ("", 1)]
    assert [(group.name, group.photos) for group in found.formats] == [("jpeg", 2), ("png", 1)]


def test_failures_are_grouped_with_examples(tmp_path: pathlib.Path) -> None:
    found = report_of(tmp_path, [a_row("a.jpg")], [a_failure(f"/in/{number}.jpg") for number in range(9)])
    (group,) = found.failures
    assert (group.step, group.error_type, group.photos, len(group.examples)) == ("read", "BadImage", 9, 3)
    assert group.examples[0] == contents.FailureExample("/in/0.jpg", "ends early")


def test_a_step_has_its_speed_in_megapixels_a_second(tmp_path: pathlib.Path) -> None:
    (step,) = report_of(tmp_path, [a_row("a.jpg"), a_row("b.jpg")]).steps
    assert step == contents.Step("encode", 2, 0.5, 0.25, 2.0)


def test_histograms_count_every_finite_value_once(tmp_path: pathlib.Path) -> None:
    rows = [a_row(f"{n}.jpg", psnr_db=20.0 + n % 17, compression_ratio=1.5 ** (n % 9)) for n in range(300)]
    found = {histogram.name: histogram for histogram in report_of(tmp_path, rows).histograms}
    for name in ("psnr_db", "compression_ratio"):
        assert sum(found[name].decoded) == 300
        assert len(found[name].edges) == len(found[name].decoded) + 1
    assert "psnr_y_db" not in found


@pytest.mark.parametrize("photos", [1, 2, 5, 6, 7, 40])
def test_the_gallery_goes_from_worst_to_best_and_shows_no_photo_twice(
    tmp_path: pathlib.Path, photos: int
) -> None:
    rows = [a_row(f"{number:02d}.jpg", psnr_db=30.0 + number) for number in range(photos)]
    chosen = report_of(tmp_path, rows).gallery
    names = [each.photo.relative_path for each in chosen]
    assert len(names) == min(photos, 6) and names == sorted(set(names))
    assert names[0] == "00.jpg" and names[-1] in (f"{photos - 1:02d}.jpg", "00.jpg")


def test_the_scatter_is_a_sample_that_stays_the_same(tmp_path: pathlib.Path) -> None:
    archive = write_made_up(tmp_path, 2100)
    first, second = (report_on(archive).scatter for _ in range(2))
    assert len(first) == 2000 and first == second


def test_outcomes_that_nobody_knows_are_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(tables.BadTable, match="unknown outcomes: lost"):
        report_of(tmp_path, [a_row("a.jpg", outcome="lost")])


def test_an_empty_table_gives_an_empty_report(tmp_path: pathlib.Path) -> None:
    tables.write_metrics([], f"{tmp_path}/_foveate/metrics/run=r1/0.parquet")
    none = report_of(tmp_path, [])
    assert none.accounting.sources == 0 and none.histograms == () and none.sizes.saved_share is None


def test_json_goes_to_stdout_alone_with_infinities_as_null(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg", psnr_db=math.inf)], [])
    status, out, err = run_report(capsys, archive, "--json")
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (status, err) == (0, "")
    assert found["gallery"] == [] and found["archive_url"] == archive
    assert set(found) == {field.name for field in dataclasses.fields(contents.Report)}
    assert found["last_finished"] == "2026-03-01T12:00:00+00:00"
    assert not (tmp_path / "_foveate/report.html").exists()


def test_one_run_is_reported_on_its_own(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = a_row("b.jpg", run_id="r2", finished=NOON + HOUR)
    archive = write_archive(tmp_path, [a_row("a.jpg"), later], [])
    status, out, _ = run_report(capsys, archive, "--json", "--run", "r2")
    assert status == 0 and json.loads(out)["accounting"]["sources"] == 1


def test_the_page_is_written_into_a_local_archive(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_report(capsys, write_archive(tmp_path, [a_row("a.jpg")], []))
    page = tmp_path / "_foveate/report.html"
    assert status == 0 and "1 sources = 1 compressed" in out and str(page) in err
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "there are no tables below"),
        (["--run", "r9"], "has no run 'r9'; it has r1"),
        (["--run", "../x"], "a run id has letters"),
        (["--output", "/dev/null/report.html"], "cannot be written"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg")], []) if arguments else str(tmp_path / "nowhere")
    status, _, err = run_report(capsys, archive, *arguments)
    assert status == 2 and sentence in err


def test_a_remote_archives_page_is_written_here() -> None:
    assert report.default_output([Subject("gs://photos/archive")]) == "report.html"
    assert report.default_output([Subject("/photos/archive")], encrypted=True) == "report.html"
    assert (
        report.default_output([Subject("file:///photos/archive")]) == "/photos/archive/_foveate/report.html"
    )


def test_the_terminal_obeys_no_name(tmp_path: pathlib.Path) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    print_report(report_of(tmp_path, [a_row("[red]\x1b[2Jx/a.jpg")]), console)
    text = console.export_text()
    assert "[red]\ufffd[2Jx" in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_999, "1.00 MB"),
        (12_345_678, "12.3 MB"),
        (None, "–"),
    ],
)
def test_bytes_are_written_with_three_figures(count: int | None, text: str) -> None:
    assert figures.bytes_text(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.456, "+0.46"), (-0.456, "−0.46"), (0.001, "0.00"), (None, "–")]
)
def test_gains_have_their_sign(value: float | None, text: str) -> None:
    assert figures.gain_text(value, "dB") == text


def test_photos_are_grouped_by_camera_and_by_month(tmp_path: pathlib.Path) -> None:
    rows = [
        a_row("a.jpg", camera="X100V", taken="2019-12-31T23:59:59"),
        a_row("b.jpg", camera="X100V", source_modified=1_700_000_000.0),
        a_row("c.jpg", source_modified=0.0),
    ]
    found = report_of(tmp_path, rows)
    assert [(group.name, group.photos) for group in found.cameras] == [("X100V", 2), ("", 1)]
    assert [group.name for group in found.months] == ["", "2019-12", "2023-11"]
    assert (found.cameras_total, found.months_total) == (2, 3)


def test_the_slowest_photos_come_first_with_the_seconds_of_all_steps(tmp_path: pathlib.Path) -> None:
    rows = [a_row(f"{number}.jpg", encode_seconds=float(number), read_seconds=0.5) for number in range(12)]
    slowest = report_of(tmp_path, rows).slowest
    assert [(photo.relative_path, photo.seconds) for photo in slowest[:2]] == [
        ("11.jpg", 11.5),
        ("10.jpg", 10.5),
    ]
    assert len(slowest) == 10


def test_bytes_cost_what_the_price_says(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"source_bytes": 8_000_000_000, "archive_bytes": 2_000_000_000}
    archive = write_archive(tmp_path, [a_row("a.jpg", **sizes)])
    _, out, _ = run_report(capsys, archive, "--json", "--price", "0.5")
    assert json.loads(out)["cost"] == {
        "price_per_gb_month": 0.5,
        "before_per_month": 4.0,
        "after_per_month": 1.0,
        "saved_per_month": 3.0,
        "saved_per_year": 36.0,
    }


def test_tables_of_earlier_versions_lack_columns(tmp_path: pathlib.Path) -> None:
    archive = write_archive(tmp_path, [a_row("new.jpg", camera="X100V", finished=NOON + HOUR)])
    older = tmp_path / "_foveate/metrics/run=r0/0.parquet"
    tables.write_metrics([a_row("old.jpg"), a_row("new.jpg")], str(older))
    there = pq.read_table(older, partitioning=None)
    pq.write_table(there.drop_columns(["camera", "taken", "source_generation"]), older)
    found = report_on(archive)
    assert found.accounting.compressed == 2
    assert [(group.name, group.photos) for group in found.cameras] == [("", 1), ("X100V", 1)]


def test_a_killed_runs_journal_counts_and_no_row_twice(tmp_path: pathlib.Path) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg")])
    lines = [journal_line(a_row(name, run_id="r2", psnr_db=math.inf)) for name in ("b.jpg", "c.jpg")]
    journal = tmp_path / "_foveate/metrics/run=r2/journal-1.jsonl"
    journal.parent.mkdir()
    journal.write_bytes(b"".join(lines) + lines[0][:40])
    found = report_on(archive)
    assert found.accounting.compressed == 3
    assert found.measure("psnr_db").decoded.lossless == 2
    assert [(run.run_id, run.compressed) for run in found.runs] == [("r1", 1), ("r2", 2)]


@pytest.mark.parametrize("name", ["Photos [2019]", "what?*", "it's {a}", "run=x"])
def test_an_archives_name_is_no_pattern(tmp_path: pathlib.Path, name: str) -> None:
    assert report_of(tmp_path / name, [a_row("a.jpg")]).accounting.compressed == 1


def test_a_table_whose_pages_are_broken_is_named(tmp_path: pathlib.Path) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg")])
    place = tmp_path / "_foveate/metrics/run=r1/0.parquet"
    data = place.read_bytes()
    place.write_bytes(data[:4] + bytes(400) + data[404:])
    with pytest.raises(tables.BadTable, match=f"below {tmp_path}"):
        report_on(archive)


def test_reading_something_that_is_not_a_table_is_wrong_usage(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "_foveate/metrics/run=r1/0.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"PAR1")
    status, _, err = run_report(capsys, str(tmp_path))
    assert status == 2 and "is not a metrics table" in err


def test_the_report_asks_for_columns_that_exist() -> None:
    names = tables.metrics_schema().names
    assert isinstance(tables.metrics_schema(), pa.Schema) and set(REPORT_COLUMNS) <= set(names)
