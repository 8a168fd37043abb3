"""Compares two or more reports: figures, shared histograms, and the photos that changed most."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from foveate.reports.aggregate import binned
from foveate.reports.contents import (
    FORMAT_VERSION,
    MEASURES,
    ChangedPhoto,
    ComparedHistogram,
    ComparedMeasure,
    Comparison,
    Report,
)
from foveate.reports.headlines import comparison_figures

CHANGED_SHOWN = 20


def compare(db: Any, reports: Sequence[Report]) -> Comparison:
    """The reports that are compared, and how they differ.

    Args:
        db: a connection from `staged`, with the reports' tables in its schemas r0, r1, ... in order.
        reports: two or more.
    """
    schemas = [f"r{number}" for number in range(len(reports))]
    comparison = Comparison(
        kind="comparison",
        format_version=FORMAT_VERSION,
        names=_names(reports),
        reports=tuple(reports),
        common_photos=_common(db, schemas),
        measures=tuple(_measure(db, name, reports) for name in MEASURES),
        histograms=tuple(found for name in MEASURES if (found := _histogram(db, name, schemas))),
        changed=_changed(db, schemas[-1]),
        figures={},
    )
    return dataclasses.replace(comparison, figures=comparison_figures(comparison))


def _names(reports: Sequence[Report]) -> tuple[str, ...]:
    """Names that distinguish the reports: their runs, or else the differing ends of their archives' urls."""
    if len({report.archive_url for report in reports}) == 1:
        return tuple(report.run_id or "all runs" for report in reports)
    parts = [report.archive_url.rstrip("/").split("/") for report in reports]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(ends):
            return tuple(ends)
    return tuple(f"{number + 1}: {report.archive_url}" for number, report in enumerate(reports))


def _common(db: Any, schemas: Sequence[str]) -> int:
    joined = f"{schemas[0]}.photos " + " ".join(
        f"JOIN {schema}.photos AS {schema}_photos USING (relative_path)" for schema in schemas[1:]
    )
    return int(db.execute(f"SELECT count(*) FROM {joined}").fetchone()[0])


def _pairs(schema: str) -> str:
    """The photos compressed in the first report and in that of `schema`."""
    return (
        f"r0.photos AS a JOIN {schema}.photos AS b USING (relative_path) "
        "WHERE a.outcome = 'compressed' AND b.outcome = 'compressed'"
    )


def _measure(db: Any, name: str, reports: Sequence[Report]) -> ComparedMeasure:
    label, unit, _ = MEASURES[name]
    changes: list[float | None] = [None]
    for number in range(1, len(reports)):
        finite = f"isfinite(a.{name}) AND isfinite(b.{name})"
        query = f"SELECT avg(b.{name} - a.{name}) FROM {_pairs(f'r{number}')} AND {finite}"
        changes.append(db.execute(query).fetchone()[0])
    medians = tuple(report.measure(name).decoded.median for report in reports)
    return ComparedMeasure(name, label, unit, medians, tuple(changes))


def _histogram(db: Any, name: str, schemas: Sequence[str]) -> ComparedHistogram | None:
    label, unit, _ = MEASURES[name]
    found = binned(db, name, [(f"{schema}.photos", name) for schema in schemas])
    return None if found is None else ComparedHistogram(name, label, unit, found[0], tuple(found[1]))


def _changed(db: Any, last: str) -> tuple[ChangedPhoto, ...]:
    query = f"""
        SELECT relative_path, a.archive_bytes, b.archive_bytes, a.score, b.score, b.score - a.score AS change
        FROM {_pairs(last)} AND isfinite(a.score) AND isfinite(b.score)
            AND (a.score <> b.score OR a.archive_bytes <> b.archive_bytes)
        ORDER BY abs(change) DESC, abs(b.archive_bytes - a.archive_bytes) DESC, relative_path
        LIMIT {CHANGED_SHOWN}"""
    return tuple(ChangedPhoto(*values) for values in db.execute(query).fetchall())
