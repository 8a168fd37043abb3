"""The plot of training logs: every rate of every run, and their mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import training_curve

LOG = """step,cpu_seconds,loss,gain_db_at_0.25,gain_db_at_1,validation_gain_db
1000,360,-5.1,0.2,0.1,0.15
2000,720,-5.2,0.4,0.2,0.3
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "codec-best").mkdir()
    path = tmp_path / "codec-best" / "log.csv"
    path.write_text(LOG)
    return path


def test_every_rate_and_the_mean_are_a_line(log: Path) -> None:
    points = training_curve.curve_points(log)
    assert [(point["rate"], point["gain_db"]) for point in points[3:]] == [
        ("0.25 bpp", 0.4),
        ("1 bpp", 0.2),
        ("mean", 0.3),
    ]
    assert {point["run"] for point in points} == {"codec-best"} and points[0]["cpu_hours"] == 0.1


def test_the_plot_names_run_and_rates(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "curve.svg"
    assert training_curve.main([str(log), "--output", str(output)]) == 0
    drawn = output.read_text()
    assert all(text in drawn for text in ("codec-best", "0.25 bpp", "1 bpp", "mean"))


def test_a_log_without_validation_is_an_error(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text("step,cpu_seconds,loss\n1000,360,-5.1\n")
    with pytest.raises(SystemExit):
        training_curve.main([str(log), "--output", "never.svg"])
    assert "--validation" in capsys.readouterr().err
