"""Tests the conditions under which a report fails: their parsing, messages and exit status 4."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from foveate.pipelines import cli
from foveate.reports.gates import BadGate, check_names, judge, parse_gate
from foveate.reports.headlines import figure_names
from tests.reports.archives import a_row, compare_archives, report_on, write_archive


@pytest.mark.parametrize(
    ("text", "figure", "comparison", "limit"),
    [
        ("psnr_s.p05 < 34", "psnr_s.p05", "<", 34.0),
        ("failed_share>1%", "failed_share", ">", 0.01),
        (" saved_share <= .25 ", "saved_share", "<=", 0.25),
        ("change.psnr.mean != -1e-3", "change.psnr.mean", "!=", -0.001),
    ],
)
def test_a_condition_is_a_figure_a_comparison_and_a_number(
    text: str, figure: str, comparison: str, limit: float
) -> None:
    gate = parse_gate(text)
    assert (gate.figure, gate.comparison) == (figure, comparison)
    assert gate.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "psnr",
        "psnr <",
        "< 3",
        "psnr = 3",
        "psnr < x",
        "psnr < nan",
        "psnr << 3",
        "a < 1; b",
        "f() < 1",
        "psnr < ３",
    ],
)
def test_anything_else_is_not_a_condition(text: str) -> None:
    with pytest.raises(BadGate, match="is not a condition"):
        parse_gate(text)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("a < 2", False),
        ("a <= 2", True),
        ("a > 1.9", True),
        ("a >= 2.1", False),
        ("a == 2", True),
        ("a != 2", False),
    ],
)
def test_a_gate_fails_where_its_condition_holds(text: str, failed: bool) -> None:
    (result,) = judge([parse_gate(text)], {"a": 2.0})
    assert result.failed is failed and result.value == 2.0


def test_a_figure_without_a_value_fails_no_gate() -> None:
    (result,) = judge([parse_gate("a != 0")], {"a": None})
    assert not result.failed and result.value is None


def test_an_unknown_figure_is_reported_along_with_the_known_ones() -> None:
    with pytest.raises(
        BadGate, match=r"no figure 'psnr_s\.p5'; nearest: .*psnr_s\.p05.*There are: sources, "
    ):
        check_names([parse_gate("psnr_s.p5 < 3")], figure_names(False))


def test_the_names_are_those_of_the_figures(tmp_path: pathlib.Path) -> None:
    archives = [write_archive(tmp_path / name, [a_row("a.jpg")]) for name in ("a", "b")]
    assert set(figure_names(False)) == set(report_on(archives[0]).figures)
    assert set(figure_names(True)) == set(compare_archives(*archives).figures)


def test_a_figure_is_the_reports_own(tmp_path: pathlib.Path) -> None:
    found = report_on(write_archive(tmp_path, [a_row("a.jpg"), a_row("b.jpg", psnr_db=38.0)]))
    assert found.figures["psnr.median"] == found.measure("psnr_db").decoded.median == 37.0
    assert (found.figures["psnr.min"], found.figures["psnr.max"], found.figures["ratio"]) == (36.0, 38.0, 4.0)
    assert found.figures["saved_share"] == dataclasses.asdict(found.sizes)["saved_share"] == 0.75


def test_a_failed_gate_is_status_4_and_an_unknown_one_2(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_archive(tmp_path, [a_row("a.jpg")])
    command = ["report", archive, "--json"]
    assert cli.main([*command, "--fail-if", "psnr.p05 < 30", "--fail-if", "failed > 0"]) == 0
    assert cli.main([*command, "--fail-if", "psnr.p05 < 30", "--fail-if", "psnr.p05 < 36.1"]) == 4
    assert "failed, since psnr.p05 < 36.1: it is 36" in capsys.readouterr().err
    assert cli.main([*command, "--fail-if", "psnr_s.p05 < 34"]) == 0
    assert "psnr_s.p05 has no value here" in capsys.readouterr().err
    assert cli.main([*command, "--fail-if", "change.failed > 0"]) == 2
    assert "there is no figure 'change.failed'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--fail-if", "eval('1')"])
    assert end.value.code == 2
