"""Tests comparing archives or runs: changes are paired by photo, against the first."""

from __future__ import annotations

import json
import pathlib

import pytest

from foveate.pipelines import cli, report
from foveate.reports.staging import Subject
from tests.reports.archives import HOUR, NOON, a_kept_row, a_row, compare_archives, write_archive


def two_archives(root: pathlib.Path) -> tuple[str, str]:
    first = [a_row(f"{number}.jpg", psnr_db=30.0 + number) for number in range(6)]
    second = [
        a_row(f"{number}.jpg", psnr_db=30.0 + number + (number == 3), archive_bytes=300)
        for number in range(5)
    ]
    second += [a_kept_row("5.jpg"), a_row("new.jpg", psnr_db=90.0)]
    return write_archive(root / "x/first", first), write_archive(root / "x/second", second)


def test_changes_are_those_of_photos_that_are_in_both(tmp_path: pathlib.Path) -> None:
    found = compare_archives(*two_archives(tmp_path))
    assert found.names == ("first", "second") and found.common_photos == 6
    psnr = next(measure for measure in found.measures if measure.name == "psnr_db")
    assert psnr.mean_changes[0] is None and psnr.mean_changes[1] == pytest.approx(0.2)
    assert psnr.medians == (32.5, 33.0)
    assert found.figures["change.psnr.mean_of_photos"] == pytest.approx(0.2)
    assert found.figures["change.psnr.median"] == 0.5 and found.figures["change.kept"] == 1


def test_the_photos_that_changed_most_come_first(tmp_path: pathlib.Path) -> None:
    changed = compare_archives(*two_archives(tmp_path)).changed
    assert len(changed) == 5 and changed[0].relative_path == "3.jpg"
    assert (changed[0].change_db, changed[0].first_bytes, changed[0].last_bytes) == (1.0, 250, 300)


def test_distributions_share_their_bins(tmp_path: pathlib.Path) -> None:
    found = compare_archives(*two_archives(tmp_path))
    psnr = next(histogram for histogram in found.histograms if histogram.name == "psnr_db")
    assert [sum(counts) for counts in psnr.counts] == [6, 6]
    assert {len(counts) for counts in psnr.counts} == {len(psnr.edges) - 1}


def test_an_archive_against_itself_has_not_changed(tmp_path: pathlib.Path) -> None:
    archive, _ = two_archives(tmp_path)
    found = compare_archives(archive, archive, archive)
    assert len(found.reports) == 3 and found.common_photos == 6 and found.changed == ()
    assert {value for name, value in found.figures.items() if name.startswith("change.")} <= {0, None}


def test_runs_of_one_archive_are_compared(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [a_row("a.jpg"), a_row("a.jpg", psnr_db=35.0, run_id="r2", finished=NOON + HOUR)]
    archive = write_archive(tmp_path, rows)
    page = tmp_path / "page.html"
    assert cli.main(["report", archive, "--run", "r1", "--run", "r2", "--output", str(page)]) == 0
    out = capsys.readouterr().out
    assert "Photos in all 2: 1;" in out and "−1.00" in out
    assert "<h1><bdi>r1</bdi> · <bdi>r2</bdi>" in page.read_text(encoding="utf-8")
    assert cli.main(["report", archive, "--run", "r1", "--run", "r2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "comparison"


def test_archives_and_runs_at_once_are_wrong_usage(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", *two_archives(tmp_path), "--run", "r1"]) == 2
    assert "compare either several archives or several runs" in capsys.readouterr().err


def test_a_comparison_belongs_to_no_archive() -> None:
    assert report.default_output([Subject("/a"), Subject("/b")]) == "report.html"
