"""Names the figures for `--fail-if`: `psnr_s.p05`, `saved_share`, `failed`."""

from __future__ import annotations

import dataclasses

from foveate.reports.contents import MEASURES, Accounting, Comparison, Report, Sizes, Statistics

_SHORT = {"compression_ratio": "ratio", "bits_per_pixel": "bpp"}
_STATISTICS = tuple(field.name for field in dataclasses.fields(Statistics))
_MONEY = ("before_per_month", "after_per_month", "saved_per_month", "saved_per_year")


def short_name(column: str) -> str:
    """How a measure is called in a condition: its column without the unit, `ratio` and `bpp`."""
    return _SHORT.get(column, column.removesuffix("_db"))


def report_figures(report: Report) -> dict[str, float | None]:
    """All figures of a report by name; None for figures without a value."""
    figures: dict[str, float | None] = dict(dataclasses.asdict(report.accounting))
    ends = report.accounting
    figures["failed_share"] = ends.failed / ends.sources if ends.sources else None
    figures["lost_metadata"] = report.lost_metadata
    figures |= dataclasses.asdict(report.sizes)
    figures |= {f"cost.{name}": getattr(report.cost, name) for name in _MONEY}
    for measure in report.measures:
        name = short_name(measure.name)
        twins = [(name, measure.decoded)]
        if measure.reconstructed is not None:
            twins.append((f"rec_{name}", measure.reconstructed))
            figures[f"{name}.mean_gain"] = measure.mean_gain
        for prefix, statistics in twins:
            figures |= {f"{prefix}.{key}": getattr(statistics, key) for key in _STATISTICS}
    return figures


def comparison_figures(comparison: Comparison) -> dict[str, float | None]:
    """The figures of the last report, and under `change.`, their differences from the first report."""
    first, last = comparison.reports[0].figures, comparison.reports[-1].figures
    changes = {
        f"change.{name}": None if value is None or before is None else value - before
        for name, value in last.items()
        for before in (first[name],)
    }
    means = {
        f"change.{short_name(measure.name)}.mean_of_photos": measure.mean_changes[-1]
        for measure in comparison.measures
    }
    return {**last, **changes, **means}


def figure_names(comparing: bool) -> tuple[str, ...]:
    """The names of all figures, of a report or of a comparison."""
    names = [field.name for field in dataclasses.fields(Accounting)]
    names += ["failed_share", "lost_metadata", *(field.name for field in dataclasses.fields(Sizes))]
    names += [f"cost.{name}" for name in _MONEY]
    for column, (_, _, twin) in MEASURES.items():
        name = short_name(column)
        names += [f"{name}.{key}" for key in _STATISTICS]
        if twin:
            names += [f"rec_{name}.{key}" for key in _STATISTICS] + [f"{name}.mean_gain"]
    if not comparing:
        return tuple(names)
    means = [f"change.{short_name(column)}.mean_of_photos" for column in MEASURES]
    return (*names, *(f"change.{name}" for name in names), *means)
