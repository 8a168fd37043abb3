"""Plots the logs of training: the gain in PSNR of validation photos, for each rate.

python -m benchmarks.training_curve training/codec-best/log.csv --output curve.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import vl_convert

from foveate.models.training.fitting import VALIDATION, read_log

_AT = "gain_db_at_"


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the plot; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="log.csv of `foveate train`")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="an SVG")
    args = parser.parse_args(argv)
    points = [point for log in args.logs for point in curve_points(log)]
    if not points:
        parser.error("no validation in these logs: train with --validation")
    args.output.write_text(curve_svg(points))
    return 0


def curve_points(log: Path) -> list[dict[str, float | str]]:
    """The gains of a log: one point per line and rate, and one for the mean of all rates."""
    return [
        {
            "run": log.parent.name,
            "cpu_hours": row["cpu_seconds"] / 3600,
            "rate": "mean" if name == VALIDATION else f"{name.removeprefix(_AT)} bpp",
            "gain_db": value,
        }
        for row in read_log(log)
        for name, value in row.items()
        if name == VALIDATION or name.startswith(_AT)
    ]


def curve_svg(points: Sequence[dict[str, float | str]]) -> str:
    """An SVG: gain over hours of processor time on a logarithmic scale, one panel per run."""
    rates = list(dict.fromkeys(str(point["rate"]) for point in points))
    base = alt.Chart(alt.Data(values=list(points))).mark_line(point=alt.OverlayMarkDef(size=12))
    lines = base.encode(
        x=alt.X("cpu_hours:Q", title="hours of processor time", scale=alt.Scale(type="log")),
        y=alt.Y("gain_db:Q", title="gain in PSNR, dB", scale=alt.Scale(zero=False)),
        color=alt.Color("rate:N", title=None, sort=rates),
    ).properties(width=420, height=360)
    chart = lines.facet(column=alt.Column("run:N", title=None)).configure(background="white")
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


if __name__ == "__main__":
    raise SystemExit(main())
