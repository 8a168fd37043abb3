"""Computes the figures of a report from staged tables, in DuckDB.

    photos, failed, written ─▶ counts, statistics, histograms, samples

Nothing here grows with the number of photos: a report contains aggregates and samples.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Sequence
from typing import Any

from foveate.archive.losses import BETWEEN
from foveate.reports.contents import (
    FORMAT_VERSION,
    LOGARITHMIC,
    MEASURES,
    Accounting,
    Cost,
    FailureExample,
    FailureGroup,
    GalleryKind,
    GalleryPhoto,
    Group,
    Histogram,
    Loss,
    Measure,
    PhotoFigures,
    Reason,
    Report,
    Run,
    ScatterPoint,
    Sizes,
    Statistics,
    Step,
)
from foveate.reports.headlines import report_figures
from foveate.reports.staging import PHOTO_COLUMNS, STEPS, Subject

PRICE_PER_GB_MONTH = 0.02  # of standard storage in object stores, about, in US dollars (2026)
GROUPS_SHOWN = 30
MONTHS_SHOWN = 120
REASONS_SHOWN = 30
EXAMPLES_SHOWN = 3
RUNS_SHOWN = 20
WORST_SHOWN = 20
SLOWEST_SHOWN = 10
SCATTER_POINTS = 2000
HISTOGRAM_BINS = 40
BYTES_IN_GB = 1e9
UP_TO_DATE = "archived already with the same settings"

_ABOUT = """
SELECT min(finished), max(finished), list_sort(list(DISTINCT foveate_version)),
    list_sort(list(DISTINCT settings_digest)), list_sort(list(DISTINCT weights_digest)),
    sum(width::DOUBLE * height) / 1e6
FROM photos
"""
_REASONS = f"""
SELECT outcome, reason, sum(photos)::BIGINT AS photos, sum(source_bytes)::BIGINT FROM (
    SELECT outcome, reason, 1 AS photos, source_bytes FROM photos WHERE outcome IN ('kept', 'skipped')
    UNION ALL SELECT 'skipped', '{UP_TO_DATE}', photos, source_bytes FROM alone)
GROUP BY outcome, reason
"""
_LOSSES = f"""
SELECT relative_path, split_part(loss, ': ', 1) AS name,
    substr(loss, length(split_part(loss, ': ', 1)) + 3) AS details
FROM (SELECT relative_path, unnest(string_split(metadata_lost, '{BETWEEN}')) AS loss FROM photos
    WHERE coalesce(metadata_lost, '') <> '')
"""
_RUNS = """
SELECT run_id, max(time) AS ended, list_sort(list(DISTINCT version) FILTER (version IS NOT NULL)) AS versions,
    coalesce(sum(photos) FILTER (outcome = 'compressed'), 0)::BIGINT AS compressed,
    coalesce(sum(photos) FILTER (outcome = 'kept'), 0)::BIGINT AS kept,
    coalesce(sum(photos) FILTER (outcome = 'skipped'), 0)::BIGINT AS skipped,
    coalesce(sum(photos) FILTER (outcome = 'failed'), 0)::BIGINT AS failed
FROM written GROUP BY run_id
"""


def aggregate(
    db: Any,
    schema: str,
    asked: Subject,
    gallery_photos: int = 6,
    price_per_gb_month: float = PRICE_PER_GB_MONTH,
) -> Report:
    """The figures of an archive or a run.

    Args:
        db: a connection from `staged`.
        schema: of the tables.
        asked: the subject, as named in the report.
        gallery_photos: how many photos to choose for the gallery.
        price_per_gb_month: the price of 10^9 bytes per month.
    """
    db.execute(f"USE {schema}")
    # A run's own account has what it left alone; an archive's has those photos' rows of earlier runs.
    db.execute(f"CREATE OR REPLACE VIEW alone AS SELECT * FROM skipped WHERE {asked.run_id is not None}")
    first, last, versions, settings, weights, megapixels = _one(db, _ABOUT)
    sizes = _sizes(db)
    report = Report(
        kind="report",
        format_version=FORMAT_VERSION,
        archive_url=asked.archive_url,
        run_id=asked.run_id,
        first_finished=_aware(first),
        last_finished=_aware(last),
        versions=tuple(versions or ()),
        settings_digests=tuple(settings or ()),
        weights_digests=tuple(weights or ()),
        megapixels=megapixels or 0.0,
        accounting=_accounting(db),
        sizes=sizes,
        cost=_cost(sizes, price_per_gb_month),
        measures=tuple(_measure(db, name) for name in MEASURES),
        folders=_groups(db, "folder", f"photos DESC, name LIMIT {GROUPS_SHOWN}"),
        folders_total=_distinct(db, "folder"),
        cameras=_groups(db, "coalesce(camera, '')", f"photos DESC, name LIMIT {GROUPS_SHOWN}"),
        cameras_total=_distinct(db, "coalesce(camera, '')"),
        formats=_groups(db, "source_format", f"photos DESC, name LIMIT {GROUPS_SHOWN}"),
        formats_total=_distinct(db, "source_format"),
        months=_groups(db, "month", f"name DESC LIMIT {MONTHS_SHOWN}")[::-1],
        months_total=_distinct(db, "month"),
        reasons=_reasons(db),
        reasons_total=_count(db, f"SELECT count(*) FROM ({_REASONS})"),
        lost_metadata=_count(db, "SELECT count(*) FROM photos WHERE coalesce(metadata_lost, '') <> ''"),
        losses=_losses(db),
        losses_total=_count(db, f"SELECT count(DISTINCT name) FROM ({_LOSSES})"),
        failures=_failure_groups(db),
        failures_total=_count(db, "SELECT count(DISTINCT (step, error_type)) FROM failed"),
        steps=tuple(step for name in STEPS if (step := _step(db, name))),
        runs=_runs(db),
        runs_total=_count(db, f"SELECT count(*) FROM ({_RUNS})"),
        histograms=tuple(found for name in MEASURES if (found := _histogram(db, name))),
        scatter=_scatter(db),
        worst=_photos(db, "rank IS NOT NULL", "rank", WORST_SHOWN),
        slowest=_photos(db, "seconds > 0", "seconds DESC", SLOWEST_SHOWN),
        gallery=_gallery(db, gallery_photos),
        figures={},
    )
    return dataclasses.replace(report, figures=report_figures(report))


# ---------------------------------------------------------------- queries


def _one(db: Any, query: str) -> tuple[Any, ...]:
    return tuple(db.execute(query).fetchone())


def _all(db: Any, query: str) -> list[tuple[Any, ...]]:
    return list(db.execute(query).fetchall())


def _count(db: Any, query: str) -> int:
    return int(_one(db, query)[0])


def _distinct(db: Any, expression: str) -> int:
    return _count(db, f"SELECT count(DISTINCT {expression}) FROM photos")


def _aware(time: datetime.datetime | None) -> datetime.datetime | None:
    return time.replace(tzinfo=datetime.UTC) if time else None


# ---------------------------------------------------------------- the figures


def _accounting(db: Any) -> Accounting:
    counts = dict(_all(db, "SELECT outcome, count(*) FROM photos GROUP BY outcome"))
    ends = {name: counts.get(name, 0) for name in ("compressed", "kept", "skipped")}
    ends["skipped"] += _count(db, "SELECT coalesce(sum(photos), 0) FROM alone")
    failed = _count(db, "SELECT count(*) FROM failed")
    return Accounting(sources=sum(ends.values()) + failed, failed=failed, **ends)


def _sizes(db: Any) -> Sizes:
    before, after = _one(
        db,
        "SELECT coalesce(sum(source_bytes), 0)::BIGINT, coalesce(sum(archive_bytes), 0)::BIGINT FROM "
        "(SELECT source_bytes, archive_bytes FROM photos UNION ALL "
        "SELECT source_bytes, archive_bytes FROM alone)",
    )
    return Sizes(
        before_bytes=before,
        after_bytes=after,
        saved_bytes=before - after,
        saved_share=(before - after) / before if before else None,
        ratio=before / after if after else None,
    )


def _cost(sizes: Sizes, price: float) -> Cost:
    before, after = (price * count / BYTES_IN_GB for count in (sizes.before_bytes, sizes.after_bytes))
    return Cost(price, before, after, before - after, 12 * (before - after))


def _statistics(db: Any, column: str) -> Statistics:
    finite = f"FILTER (isfinite({column}))"
    query = f"""
        SELECT count({column}) FILTER (NOT isnan({column})), count(*) FILTER (isinf({column})),
            avg({column}) {finite}, quantile_cont({column}, [0.05, 0.5, 0.95]) {finite},
            min({column}) {finite}, max({column}) {finite}
        FROM photos WHERE outcome = 'compressed'"""
    photos, lossless, mean, quantiles, low, high = _one(db, query)
    p05, median, p95 = quantiles or (None, None, None)
    return Statistics(photos, lossless, mean, median, p05, p95, low, high)


def _measure(db: Any, name: str) -> Measure:
    label, unit, twin = MEASURES[name]
    if not twin:
        return Measure(name, label, unit, _statistics(db, name), None, None)
    both = f"outcome = 'compressed' AND isfinite({name}) AND isfinite(rec_{name})"
    (gain,) = _one(db, f"SELECT avg(rec_{name} - {name}) FROM photos WHERE {both}")
    return Measure(name, label, unit, _statistics(db, name), _statistics(db, f"rec_{name}"), gain)


def _groups(db: Any, expression: str, order: str) -> tuple[Group, ...]:
    measures = (
        *("compression_ratio", "bits_per_pixel", "psnr_db", "rec_psnr_db", "psnr_s_db", "ssim"),
        "ssimulacra2",
    )
    means = ", ".join(f"avg({m}) FILTER (outcome = 'compressed' AND isfinite({m}))" for m in measures)
    query = f"""
        SELECT {expression} AS name, count(*) AS photos, count(*) FILTER (outcome = 'compressed'),
            count(*) FILTER (outcome = 'kept'), sum(source_bytes)::BIGINT, sum(archive_bytes)::BIGINT, {means}
        FROM photos GROUP BY name ORDER BY {order}"""
    return tuple(Group(*values) for values in _all(db, query))


def _reasons(db: Any) -> tuple[Reason, ...]:
    rows = _all(db, f"{_REASONS} ORDER BY photos DESC, outcome, reason LIMIT {REASONS_SHOWN}")
    return tuple(Reason(*values) for values in rows)


def _losses(db: Any) -> tuple[Loss, ...]:
    query = f"""
        SELECT name, count(DISTINCT relative_path) AS photos, min(relative_path),
            arg_min(details, relative_path)
        FROM ({_LOSSES}) GROUP BY name ORDER BY photos DESC, name LIMIT {REASONS_SHOWN}"""
    return tuple(Loss(*values) for values in _all(db, query))


def _failure_groups(db: Any) -> tuple[FailureGroup, ...]:
    query = f"""
        SELECT step, error_type, count(*) AS photos,
            arg_min({{url: url, message: message}}, url, {EXAMPLES_SHOWN})
        FROM failed GROUP BY ALL ORDER BY photos DESC, step, error_type LIMIT {REASONS_SHOWN}"""
    return tuple(
        FailureGroup(step, kind, photos, tuple(FailureExample(**example) for example in examples))
        for step, kind, photos, examples in _all(db, query)
    )


def _step(db: Any, name: str) -> Step | None:
    seconds = f"{name}_seconds"
    query = f"""
        SELECT count({seconds}), sum({seconds}), avg({seconds}),
            sum(width::DOUBLE * height) / 1e6 / nullif(sum({seconds}) FILTER (width * height > 0), 0)
        FROM photos WHERE isfinite({seconds})"""
    photos, total, mean, speed = _one(db, query)
    return Step(name, photos, total, mean, speed) if photos else None


def _runs(db: Any) -> tuple[Run, ...]:
    rows = _all(db, f"{_RUNS} ORDER BY ended DESC, run_id LIMIT {RUNS_SHOWN}")
    return tuple(
        Run(run, _aware(ended), tuple(versions or ()), *counts) for run, ended, versions, *counts in rows
    )


def _histogram(db: Any, name: str) -> Histogram | None:
    label, unit, twin = MEASURES[name]
    columns = (name, f"rec_{name}") if twin else (name,)
    found = binned(db, name, [("photos", column) for column in columns])
    if found is None:
        return None
    edges, counts = found
    reconstructed = counts[1] if len(counts) > 1 and any(counts[1]) else None
    return Histogram(name, label, unit, edges, counts[0], reconstructed)


def binned(
    db: Any, name: str, series: Sequence[tuple[str, str]]
) -> tuple[tuple[float, ...], list[tuple[int, ...]]] | None:
    """The edges of bins that several columns share, and each column's counts; None if there are no values.

    Args:
        db: the connection.
        name: of the measure, which decides whether bins have equal ratios.
        series: (table, column) of each; the finite values of compressed photos count.
    """
    place = "ln({})" if name in LOGARITHMIC else "{}"
    values = " UNION ALL ".join(
        f"SELECT {place.format(column)} AS value, {number} AS series FROM {table} "
        f"WHERE outcome = 'compressed' AND isfinite({column})"
        + (f" AND {column} > 0" if name in LOGARITHMIC else "")
        for number, (table, column) in enumerate(series)
    )
    total, bounds = _one(db, f"SELECT count(*), quantile_cont(value, [0.005, 0.995]) FROM ({values})")
    if not total:
        return None
    low, high = _widened(*bounds)
    bins = min(HISTOGRAM_BINS, 6 + round(math.sqrt(total)))
    bin_ = f"floor((value - ({low})) / {high - low} * {bins})"
    bin_ = f"greatest(0, least({bins - 1}, {bin_}))::INTEGER"
    counts = [[0] * bins for _ in series]
    for number, place_, count in _all(db, f"SELECT series, {bin_}, count(*) FROM ({values}) GROUP BY ALL"):
        counts[number][place_] = count
    edges = [low + (high - low) * edge / bins for edge in range(bins + 1)]
    if name in LOGARITHMIC:
        edges = [math.exp(edge) for edge in edges]
    return tuple(edges), [tuple(one) for one in counts]


def _widened(low: float, high: float) -> tuple[float, float]:
    """A non-empty interval: a single value is in its middle."""
    margin = max(abs(low) * 0.05, 1e-3)
    return (low, high) if high - low > margin / 10 else (low - margin, high + margin)


def _scatter(db: Any) -> tuple[ScatterPoint, ...]:
    query = f"""
        SELECT relative_path, bits_per_pixel, psnr_db, CASE WHEN isfinite(rec_psnr_db) THEN rec_psnr_db END
        FROM photos WHERE outcome = 'compressed' AND isfinite(psnr_db) AND bits_per_pixel > 0
        ORDER BY md5(relative_path) LIMIT {SCATTER_POINTS}"""
    return tuple(ScatterPoint(*values) for values in _all(db, query))


def _photos(db: Any, condition: str, order: str, limit: int, offset: int = 0) -> tuple[PhotoFigures, ...]:
    """Compressed photos in an order, chosen before their columns are read: sorting these would be costly."""
    chosen = f"""
        SELECT rowid FROM photos WHERE outcome = 'compressed' AND {condition}
        ORDER BY {order}, relative_path LIMIT {limit} OFFSET {offset}"""
    columns = ", ".join(PHOTO_COLUMNS)
    query = f"SELECT {columns} FROM photos WHERE rowid IN ({chosen}) ORDER BY {order}, relative_path"
    return tuple(PhotoFigures(*values) for values in _all(db, query))


def _gallery(db: Any, wanted: int) -> tuple[GalleryPhoto, ...]:
    """The worst, the middle and the best photos by `rank`, none twice."""
    photos = _count(db, "SELECT count(*) FROM photos WHERE outcome = 'compressed' AND isfinite(rank)")
    kinds: tuple[GalleryKind, ...] = ("worst", "median", "best")
    if photos <= wanted:
        ranked = _photos(db, "isfinite(rank)", "rank", photos)
        return tuple(
            GalleryPhoto(kinds[min(2, 3 * place // max(1, photos))], photo)
            for place, photo in enumerate(ranked)
        )
    each = [wanted // 3 + (rest > 0) for rest in (wanted % 3, 0, max(0, wanted % 3 - 1))]
    starts = [0, (photos - each[1]) // 2, photos - each[2]]
    return tuple(
        GalleryPhoto(kind, photo)
        for kind, start, count in zip(kinds, starts, each, strict=True)
        for photo in _photos(db, "isfinite(rank)", "rank", count, start)
    )
