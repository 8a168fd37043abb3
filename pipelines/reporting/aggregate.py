"""From the metrics and failures tables to the figures of a report, all of them by DuckDB over Arrow.

    metrics, failures ─▶ one row a photo (its latest state) ─▶ counts, statistics, histograms, samples

Nothing here grows with the number of photos but the tables themselves: a report holds aggregates and samples.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from typing import Any

import duckdb
import pyarrow as pa

from transforms.skipped import skipped_schema

FORMAT_VERSION = 1
GROUPS_SHOWN = 30
REASONS_SHOWN = 30
EXAMPLES_SHOWN = 3
RUNS_SHOWN = 20
WORST_SHOWN = 20
SCATTER_POINTS = 2000
HISTOGRAM_BINS = 40

MEASURES = {  # column: (label, unit, has a rec_ twin)
    "compression_ratio": ("Compression ratio", "×", False),
    "bits_per_pixel": ("Bits per pixel", "bpp", False),
    "psnr_db": ("PSNR", "dB", True),
    "psnr_y_db": ("PSNR-Y", "dB", True),
    "ssim": ("SSIM", "", True),
    "ms_ssim": ("MS-SSIM", "", True),
    "psnr_s_db": ("PSNR-S", "dB", True),
    "ssim_s": ("SSIM-S", "", True),
}
LOGARITHMIC = ("compression_ratio", "bits_per_pixel")  # measures whose histograms have bins of equal ratio
STEPS = ("read", "saliency", "encode", "measure")
PHOTO_COLUMNS = (
    "relative_path",
    "source_url",
    "archive_url",
    "outcome",
    "reason",
    "source_format",
    "source_bytes",
    "archive_bytes",
    "width",
    "height",
    "compression_ratio",
    "bits_per_pixel",
    *(name for name in MEASURES if name not in ("compression_ratio", "bits_per_pixel")),
    *(f"rec_{name}" for name, (_, _, twin) in MEASURES.items() if twin),
)
REPORT_COLUMNS = (
    *PHOTO_COLUMNS,
    *(f"{step}_seconds" for step in STEPS),
    "settings_digest",
    "weights_digest",
    "foveate_version",
    "run_id",
    "finished",
)


@dataclasses.dataclass(frozen=True)
class Accounting:
    """How every source ended: sources = compressed + kept + skipped + failed."""

    sources: int
    compressed: int
    kept: int
    skipped: int
    failed: int


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Bytes of all photos that are in the archive, before and after."""

    before_bytes: int
    after_bytes: int
    saved_bytes: int
    saved_share: float | None  # of the bytes before


@dataclasses.dataclass(frozen=True)
class Statistics:
    """One measure over the compressed photos; `lossless` counts the infinite values, left out of the rest."""

    photos: int
    lossless: int
    mean: float | None
    median: float | None
    p05: float | None
    p95: float | None


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure of the decoded photos, of the reconstructed ones, and the mean of their difference."""

    name: str  # the metrics table's column
    label: str
    unit: str  # "dB", "bpp", "×" or ""
    decoded: Statistics
    reconstructed: Statistics | None  # None: not a measure that reconstruction changes
    mean_gain: float | None  # reconstructed − decoded, over photos where both are finite


@dataclasses.dataclass(frozen=True)
class Group:
    """The photos of one folder or of one source format; means over the compressed ones' finite values."""

    name: str
    photos: int
    compressed: int
    kept: int
    source_bytes: int
    archive_bytes: int
    mean_ratio: float | None
    mean_bits_per_pixel: float | None
    mean_psnr_db: float | None
    mean_rec_psnr_db: float | None
    mean_psnr_s_db: float | None
    mean_ssim: float | None


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why so many photos were kept as they are, or skipped."""

    outcome: str
    reason: str
    photos: int
    source_bytes: int


@dataclasses.dataclass(frozen=True)
class FailureExample:
    """One failed photo: its url and what was said."""

    url: str
    message: str


@dataclasses.dataclass(frozen=True)
class FailureGroup:
    """The failures of one kind at one step, with a few examples."""

    step: str
    error_type: str
    photos: int
    examples: tuple[FailureExample, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """What a step cost, in seconds of one worker, and its speed in megapixels a second of one worker."""

    name: str
    photos: int
    total_seconds: float
    mean_seconds: float
    megapixels_per_second: float | None


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run did, as it was written at the time."""

    run_id: str
    finished: datetime.datetime | None
    versions: tuple[str, ...]
    compressed: int
    kept: int
    skipped: int
    failed: int


@dataclasses.dataclass(frozen=True)
class PhotoFigures:
    """One photo of the archive; fields as in the metrics table."""

    relative_path: str
    source_url: str
    archive_url: str
    outcome: str
    reason: str
    source_format: str
    source_bytes: int
    archive_bytes: int
    width: int | None
    height: int | None
    compression_ratio: float | None
    bits_per_pixel: float | None
    psnr_db: float | None
    psnr_y_db: float | None
    ssim: float | None
    ms_ssim: float | None
    psnr_s_db: float | None
    ssim_s: float | None
    rec_psnr_db: float | None
    rec_psnr_y_db: float | None
    rec_ssim: float | None
    rec_ms_ssim: float | None
    rec_psnr_s_db: float | None
    rec_ssim_s: float | None


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Counts of a measure's finite values by bin; the outermost bins also hold what lies beyond."""

    name: str
    label: str
    unit: str
    edges: tuple[float, ...]
    decoded: tuple[int, ...]
    reconstructed: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class ScatterPoint:
    """One compressed photo of a sample: rate against quality."""

    relative_path: str
    bits_per_pixel: float
    psnr_db: float
    rec_psnr_db: float | None


@dataclasses.dataclass(frozen=True)
class Report:
    """All figures of a report. Its fields' names are the keys of `foveate report --json`, which stay.

    `folders`, `formats`, `reasons`, `failures` and `runs` are cut to the largest (newest) few; the `*_total`
    fields say how many there are. `scatter` is a sample, the same one each time.
    """

    format_version: int
    archive_url: str
    run_id: str | None  # None: the latest state over all runs
    first_finished: datetime.datetime | None
    last_finished: datetime.datetime | None
    versions: tuple[str, ...]
    settings_digests: tuple[str, ...]
    weights_digests: tuple[str, ...]
    megapixels: float
    accounting: Accounting
    sizes: Sizes
    measures: tuple[Measure, ...]
    folders: tuple[Group, ...]
    folders_total: int
    formats: tuple[Group, ...]
    formats_total: int
    reasons: tuple[Reason, ...]
    reasons_total: int
    failures: tuple[FailureGroup, ...]
    failures_total: int
    steps: tuple[Step, ...]
    runs: tuple[Run, ...]
    runs_total: int
    histograms: tuple[Histogram, ...]
    scatter: tuple[ScatterPoint, ...]
    worst: tuple[PhotoFigures, ...]
    gallery: tuple[tuple[str, PhotoFigures], ...]  # ("worst" | "median" | "best", photo)

    def measure(self, name: str) -> Measure:
        """The measure of that column. Raises `KeyError` for an unknown one."""
        return {measure.name: measure for measure in self.measures}[name]


def aggregate(
    metrics: pa.Table,
    failures: pa.Table,
    archive_url: str = "",
    run_id: str | None = None,
    gallery_photos: int = 6,
    skipped: pa.Table | None = None,
) -> Report:
    """The figures of an archive from its tables, as `transforms.tables` reads them.

    A photo counts once: by its newest row; where that was skipped as up to date, by the newest that was not;
    as failed where it failed after its newest row.

    Args:
        metrics: at least `REPORT_COLUMNS`, of one run or of all.
        failures: columns of `failures_schema()`.
        archive_url: named in the report.
        run_id: named in the report; the caller has read only that run's rows.
        gallery_photos: how many photos to choose for the gallery.
        skipped: what each run left alone without rows of it, as `read_skipped` gives it. Over all runs, those
            photos' own rows count them already.
    """
    with duckdb.connect(config={"threads": 2}) as db:
        _prepare(db, metrics, failures)
        _prepare_skipped(db, skipped, one_run=run_id is not None)
        folder = "CASE WHEN contains(relative_path, '/') THEN split_part(relative_path, '/', 1) ELSE '' END"
        first, last, versions, settings, weights, megapixels = _one(db, _ABOUT)
        return Report(
            format_version=FORMAT_VERSION,
            archive_url=archive_url,
            run_id=run_id,
            first_finished=_aware(first),
            last_finished=_aware(last),
            versions=tuple(versions or ()),
            settings_digests=tuple(settings or ()),
            weights_digests=tuple(weights or ()),
            megapixels=megapixels or 0.0,
            accounting=_accounting(db),
            sizes=_sizes(db),
            measures=tuple(_measure(db, name) for name in MEASURES),
            folders=_groups(db, folder),
            folders_total=_count(db, f"SELECT count(DISTINCT {folder}) FROM photos"),
            formats=_groups(db, "source_format"),
            formats_total=_count(db, "SELECT count(DISTINCT source_format) FROM photos"),
            reasons=_reasons(db),
            reasons_total=_count(db, f"SELECT count(*) FROM ({_REASONS})"),
            failures=_failure_groups(db),
            failures_total=_count(db, "SELECT count(DISTINCT (step, error_type)) FROM failed"),
            steps=tuple(step for name in STEPS if (step := _step(db, name))),
            runs=_runs(db),
            runs_total=_count(db, f"SELECT count(*) FROM ({_RUNS})"),
            histograms=tuple(found for name in MEASURES if (found := _histogram(db, name))),
            scatter=_scatter(db),
            worst=_photos(db, f"ORDER BY {_QUALITY}, relative_path LIMIT {WORST_SHOWN}"),
            gallery=_gallery(db, gallery_photos),
        )


def to_json(report: Report) -> str:
    """`report` as a JSON object: its fields as keys, times in ISO 8601 UTC, NaN and infinities as null."""
    return json.dumps(_jsonable(dataclasses.asdict(report)), ensure_ascii=False, indent=2)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime.datetime) else value


# ---------------------------------------------------------------- one row a photo

_RANKED = """
CREATE TEMP TABLE ranked AS
SELECT *, row_number() OVER state = 1 AS is_state,
    max(finished) OVER (PARTITION BY relative_path) AS last_seen
FROM metrics WINDOW state AS (
    PARTITION BY relative_path ORDER BY outcome = 'skipped', finished DESC, archive_url)
"""
_FAILED = """
CREATE TEMP TABLE failed AS
SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY url ORDER BY failed_at DESC, run_id DESC) AS newest
    FROM failures_at)
WHERE newest = 1
  AND NOT EXISTS (SELECT 1 FROM ranked WHERE is_state AND source_url = url AND last_seen >= failed_at)
"""
_PHOTOS = """
CREATE TEMP TABLE photos AS
SELECT * EXCLUDE (is_state, last_seen) FROM ranked
WHERE is_state AND NOT EXISTS (SELECT 1 FROM failed WHERE url = source_url)
"""
_ABOUT = """
SELECT min(finished), max(finished), list_sort(list(DISTINCT foveate_version)),
    list_sort(list(DISTINCT settings_digest)), list_sort(list(DISTINCT weights_digest)),
    sum(width::DOUBLE * height) / 1e6
FROM photos
"""
_REASONS = """
SELECT outcome, reason, sum(photos)::BIGINT AS photos, sum(source_bytes)::BIGINT
FROM (
    SELECT outcome, reason, 1 AS photos, source_bytes FROM photos WHERE outcome IN ('kept', 'skipped')
    UNION ALL SELECT 'skipped', 'archived already with the same settings', photos, source_bytes FROM skipped)
GROUP BY ALL
"""
_RUNS = """
SELECT run_id, max(time) AS ended, list_sort(list(DISTINCT version) FILTER (version IS NOT NULL)) AS versions,
    count(*) FILTER (outcome = 'compressed') AS compressed, count(*) FILTER (outcome = 'kept') AS kept,
    coalesce(sum(photos) FILTER (outcome = 'skipped'), 0)::BIGINT AS skipped,
    count(*) FILTER (outcome = 'failed') AS failed
FROM (
    SELECT run_id, finished AS time, foveate_version AS version, outcome, 1 AS photos FROM ranked
    UNION ALL SELECT run_id, failed_at, NULL, 'failed', 1 FROM failures_at
    UNION ALL SELECT run_id, finished, foveate_version, 'skipped', photos FROM skipped_by_run)
GROUP BY run_id
"""
_SCORE = "coalesce(psnr_s_db, psnr_db)"
_QUALITY = f"{_SCORE} NULLS LAST"


def _prepare(db: Any, metrics: pa.Table, failures: pa.Table) -> None:
    """Make the tables `photos` (one row a photo), `failed` (one a failed photo), `ranked`, `failures_at`."""
    times = [_utc(text.as_py()) for text in failures.column("time")]
    metrics = metrics.select(list(REPORT_COLUMNS))
    finished = metrics.column("finished").cast(pa.timestamp("us"))
    metrics = metrics.set_column(metrics.schema.get_field_index("finished"), "finished", finished)
    db.register("metrics", metrics)
    db.register("failures_at", failures.append_column("failed_at", pa.array(times, pa.timestamp("us"))))
    for statement in (_RANKED, _FAILED, _PHOTOS):
        db.execute(statement)


def _prepare_skipped(db: Any, skipped: pa.Table | None, *, one_run: bool) -> None:
    """Make `skipped_by_run`, and `skipped`: what of it no row tells of, which is all of it or nothing."""
    table = skipped_schema().empty_table() if skipped is None else skipped
    finished = table.column("finished").cast(pa.timestamp("us"))
    table = table.set_column(table.schema.get_field_index("finished"), "finished", finished)
    db.register("skipped_by_run", table)
    db.register("skipped", table if one_run else table.slice(0, 0))


def _utc(text: str) -> datetime.datetime:
    """An ISO 8601 time as UTC without a zone; what cannot be read counts as long ago."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime(1970, 1, 1)
    return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time


def _aware(time: datetime.datetime | None) -> datetime.datetime | None:
    return time.replace(tzinfo=datetime.UTC) if time else None


def _one(db: Any, query: str) -> tuple[Any, ...]:
    return tuple(db.execute(query).fetchone())


def _all(db: Any, query: str) -> list[tuple[Any, ...]]:
    return list(db.execute(query).fetchall())


def _count(db: Any, query: str) -> int:
    return int(_one(db, query)[0])


# ---------------------------------------------------------------- the figures


def _accounting(db: Any) -> Accounting:
    counts = dict(_all(db, "SELECT outcome, count(*) FROM photos GROUP BY outcome"))
    failed = _count(db, "SELECT count(*) FROM failed")
    ends = {name: counts.pop(name, 0) for name in ("compressed", "kept", "skipped")}
    ends["skipped"] += _count(db, "SELECT coalesce(sum(photos), 0) FROM skipped")
    if counts:
        raise ValueError(f"the metrics table has unknown outcomes: {', '.join(map(str, counts))}")
    return Accounting(sources=sum(ends.values()) + failed, failed=failed, **ends)


def _sizes(db: Any) -> Sizes:
    sums = """
        SELECT coalesce(sum(source_bytes), 0)::BIGINT, coalesce(sum(archive_bytes), 0)::BIGINT
        FROM (
            SELECT source_bytes, archive_bytes FROM photos
            UNION ALL SELECT source_bytes, archive_bytes FROM skipped)"""
    before, after = _one(db, sums)
    return Sizes(before, after, before - after, (before - after) / before if before else None)


def _statistics(db: Any, column: str) -> Statistics:
    finite = f"FILTER (isfinite({column}))"
    query = f"""
        SELECT count({column}) FILTER (NOT isnan({column})), count(*) FILTER (isinf({column})),
            avg({column}) {finite}, quantile_cont({column}, [0.05, 0.5, 0.95]) {finite}
        FROM photos WHERE outcome = 'compressed'"""
    photos, lossless, mean, quantiles = _one(db, query)
    p05, median, p95 = quantiles or (None, None, None)
    return Statistics(photos, lossless, mean, median, p05, p95)


def _measure(db: Any, name: str) -> Measure:
    label, unit, twin = MEASURES[name]
    if not twin:
        return Measure(name, label, unit, _statistics(db, name), None, None)
    both = f"outcome = 'compressed' AND isfinite({name}) AND isfinite(rec_{name})"
    (gain,) = _one(db, f"SELECT avg(rec_{name} - {name}) FROM photos WHERE {both}")
    return Measure(name, label, unit, _statistics(db, name), _statistics(db, f"rec_{name}"), gain)


def _groups(db: Any, expression: str) -> tuple[Group, ...]:
    measures = ("compression_ratio", "bits_per_pixel", "psnr_db", "rec_psnr_db", "psnr_s_db", "ssim")
    means = ", ".join(f"avg({m}) FILTER (outcome = 'compressed' AND isfinite({m}))" for m in measures)
    query = f"""
        SELECT {expression} AS name, count(*) AS photos, count(*) FILTER (outcome = 'compressed'),
            count(*) FILTER (outcome = 'kept'), sum(source_bytes)::BIGINT, sum(archive_bytes)::BIGINT, {means}
        FROM photos GROUP BY name ORDER BY photos DESC, name LIMIT {GROUPS_SHOWN}"""
    return tuple(Group(*values) for values in _all(db, query))


def _reasons(db: Any) -> tuple[Reason, ...]:
    rows = _all(db, f"{_REASONS} ORDER BY photos DESC, outcome, reason LIMIT {REASONS_SHOWN}")
    return tuple(Reason(*values) for values in rows)


def _failure_groups(db: Any) -> tuple[FailureGroup, ...]:
    query = f"""
        SELECT step, error_type, count(*) AS photos,
            list(struct_pack(url := url, message := message) ORDER BY url)[1:{EXAMPLES_SHOWN}]
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
    place = "ln({})" if name in LOGARITHMIC else "{}"
    values = " UNION ALL ".join(
        f"SELECT {place.format(column)} AS value, {series} AS series FROM photos "
        f"WHERE outcome = 'compressed' AND isfinite({column})"
        + (f" AND {column} > 0" if name in LOGARITHMIC else "")
        for series, column in enumerate(columns)
    )
    total, bounds = _one(db, f"SELECT count(*), quantile_cont(value, [0.005, 0.995]) FROM ({values})")
    if not total:
        return None
    low, high = _widened(*bounds)
    bins = min(HISTOGRAM_BINS, 6 + round(math.sqrt(total)))
    bin_ = f"floor((value - ({low})) / {high - low} * {bins})"
    bin_ = f"greatest(0, least({bins - 1}, {bin_}))::INTEGER"
    counts = [[0] * bins for _ in range(2)]
    for series, place_, count in _all(db, f"SELECT series, {bin_}, count(*) FROM ({values}) GROUP BY ALL"):
        counts[series][place_] = count
    edges = [low + (high - low) * edge / bins for edge in range(bins + 1)]
    if name in LOGARITHMIC:
        edges = [math.exp(edge) for edge in edges]
    reconstructed = tuple(counts[1]) if any(counts[1]) else None
    return Histogram(name, label, unit, tuple(edges), tuple(counts[0]), reconstructed)


def _widened(low: float, high: float) -> tuple[float, float]:
    """An interval that is not empty, whatever the photos: a single value sits in its middle."""
    margin = max(abs(low) * 0.05, 1e-3)
    return (low, high) if high - low > margin / 10 else (low - margin, high + margin)


def _scatter(db: Any) -> tuple[ScatterPoint, ...]:
    query = f"""
        SELECT relative_path, bits_per_pixel, psnr_db, CASE WHEN isfinite(rec_psnr_db) THEN rec_psnr_db END
        FROM photos WHERE outcome = 'compressed' AND isfinite(psnr_db) AND bits_per_pixel > 0
        ORDER BY md5(relative_path) LIMIT {SCATTER_POINTS}"""
    return tuple(ScatterPoint(*values) for values in _all(db, query))


def _photos(db: Any, tail: str) -> tuple[PhotoFigures, ...]:
    columns = ", ".join(PHOTO_COLUMNS)
    query = f"SELECT {columns} FROM photos WHERE outcome = 'compressed' AND {_SCORE} IS NOT NULL {tail}"
    return tuple(PhotoFigures(**dict(zip(PHOTO_COLUMNS, values, strict=True))) for values in _all(db, query))


def _gallery(db: Any, wanted: int) -> tuple[tuple[str, PhotoFigures], ...]:
    """The worst, the middle and the best photos by PSNR-S (PSNR where there is none), none twice."""
    photos = _count(db, f"SELECT count(*) FROM photos WHERE outcome = 'compressed' AND isfinite({_SCORE})")
    kinds = ["worst", "median", "best"]
    order = f"AND isfinite({_SCORE}) ORDER BY {_SCORE}, relative_path"
    if photos <= wanted:
        ranked = _photos(db, order)
        return tuple(
            (kinds[min(2, 3 * place // max(1, photos))], photo) for place, photo in enumerate(ranked)
        )
    each = [wanted // 3 + (rest > 0) for rest in (wanted % 3, 0, max(0, wanted % 3 - 1))]
    starts = [0, (photos - each[1]) // 2, photos - each[2]]
    return tuple(
        (kind, photo)
        for kind, start, count in zip(kinds, starts, each, strict=True)
        for photo in _photos(db, f"{order} LIMIT {count} OFFSET {start}")
    )
