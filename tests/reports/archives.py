"""Makes archives for tests of reports: rows by hand, or thousands of generated ones."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive import tables
from foveate.archive.rows import Failure, MetricsRow
from foveate.pipelines import report
from foveate.reports.contents import Comparison, Report
from foveate.reports.staging import Subject

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
EVIL = "<script>alert(1)</script>.jpg"


def a_row(path: str, **changes: typing.Any) -> MetricsRow:
    """The row of a compressed photo."""
    values: dict[str, typing.Any] = dict.fromkeys(field.name for field in dataclasses.fields(MetricsRow))
    hints = typing.get_type_hints(MetricsRow)
    values |= {name: "" for name, hint in hints.items() if hint is str}
    values |= {"source_url": f"/in/{path}", "archive_url": f"/out/{path}.jp2", "relative_path": path}
    values |= {"outcome": "compressed", "source_bytes": 1000, "source_modified": 1.5}
    values |= {"archive_bytes": 250, "source_format": "jpeg"}
    values |= {"width": 1000, "height": 500, "compression_ratio": 4.0, "bits_per_pixel": 0.5, "psnr_db": 36.0}
    values |= {"rec_psnr_db": 36.5, "ssim": 0.9, "encode_seconds": 0.25, "run_id": "r1", "finished": NOON}
    return MetricsRow(**(values | changes))


def a_kept_row(path: str, **changes: typing.Any) -> MetricsRow:
    """The row of a file that was kept."""
    nothing = dict.fromkeys(("compression_ratio", "bits_per_pixel", "psnr_db", "rec_psnr_db", "ssim"))
    return a_row(
        path, **({"outcome": "kept", "reason": "animation", "archive_bytes": 1000} | nothing | changes)
    )


def a_failure(url: str, message: str = "ends early", time: datetime.datetime = NOON) -> Failure:
    """A failure to read."""
    return Failure(url, "read", "BadImage", message, time.isoformat())


def write_archive(root: pathlib.Path, rows: Sequence[MetricsRow], failures: Sequence[Failure] = ()) -> str:
    """The tables of an archive at `root`, whose name is given back."""
    for run in {row.run_id for row in rows}:
        of_run = [row for row in rows if row.run_id == run]
        tables.write_metrics(of_run, f"{root}/_foveate/metrics/run={run}/0.parquet")
    if failures:
        tables.write_failures(failures, f"{root}/_foveate/failures/run=r1/0.jsonl")
    return str(root)


def write_made_up(root: pathlib.Path, photos: int, seed: int = 7, reconstructed: bool = True) -> str:
    """Writes the tables of an archive of so many photos, some with harmful names, and one failure."""
    noise = np.random.default_rng(seed).normal(0, 1, photos)
    hostile = [EVIL, "</title><b>x.jpg", "a/--><!--.jpg"]
    names = [*hostile, *(f"trip-{number % 5}/{number:07d}.jpg" for number in range(photos))][:photos]
    columns: dict[str, typing.Any] = {
        "relative_path": names,
        "source_url": [f"/in/{name}" for name in names],
        "outcome": ["compressed"] * photos,
        "source_bytes": [4_000_000 + 1000 * number for number in range(photos)],
        "archive_bytes": (500_000 * 2 ** (0.3 * noise)).astype(int),
        "source_modified": [1.5e9 + 1e6 * number for number in range(photos)],
        "width": [3001] * photos,
        "height": [2000] * photos,
        "finished": [NOON] * photos,
        "camera": [("Leica <b>M6", "X100V", None)[number % 3] for number in range(photos)],
        "taken": ["2021-05-06T07:08:09" if number % 4 else None for number in range(photos)],
        "compression_ratio": 8 * 2 ** (0.3 * noise),
        "bits_per_pixel": 0.5 * 2 ** (0.3 * noise),
        "ssimulacra2": 70 + 5 * noise,
        "psnr_db": 37 + noise,
        "psnr_s_db": 38 + noise,
        "ssim": 0.96 + 0.005 * noise,
        "ms_ssim": 0.98 + 0.002 * noise,
        "encode_seconds": 2 + 0.1 * noise,
    }
    columns |= {"rec_psnr_db": 37.4 + noise, "rec_ms_ssim": 0.985 + 0.002 * noise} if reconstructed else {}
    schema = tables.metrics_schema()
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.array(["<i>&"] * photos, pa.string())
        if field.type == pa.string()
        else pa.nulls(photos, field.type)
        for field in schema
    ]
    place = root / "_foveate/metrics/run=r1/0.parquet"
    place.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(arrays, names=schema.names), place)
    tables.write_failures([a_failure("/in/<b>.jpg", "<b>")], f"{root}/_foveate/failures/run=r1/0.jsonl")
    return str(root)


def report_on(archive: str, run_id: str | None = None, gallery: int = 6) -> Report:
    """The report on one archive or run."""
    found = report.make_report([Subject(archive, run_id)], gallery, 0.02)
    assert isinstance(found, Report)
    return found


def compare_archives(*archives: str) -> Comparison:
    """The comparison of several archives."""
    found = report.make_report([Subject(archive) for archive in archives], 6, 0.02)
    assert isinstance(found, Comparison)
    return found
