"""Measures a report on a million photos: time and memory of the real command, and the size of its page.

    python -m benchmarks.report [--rows 1000000] [--runs 8] [--archives 1] [--keep DIR]

The rows are made up: distributions like a photo archive's, names of 60 characters, eight runs of four tables
each, every twentieth photo again in each later run, one in fifty kept, one failure for a hundred photos. Time
is processor time of all cores, which depends little on other load; memory is that of all processes of the
command. Linux only. The exit status is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.giant import cost
from foveate.archive.rows import Failure
from foveate.archive.tables import ROWS_PER_GROUP, metrics_schema, write_failures

SECONDS, MEMORY_BYTES, PAGE_BYTES = 30, 2 << 30, 5_000_000  # of all cores for a million rows; for any number
SHARDS = 4
AGAIN, KEPT, FAILED = 20, 50, 100  # one photo in so many
CAMERAS = ("Canon EOS R5", "NIKON Z 8", "SONY ILCE-7M4", "Apple iPhone 15 Pro", "FUJIFILM X-T5", None)
FORMATS = ("jpeg", "jpeg", "jpeg", "jpeg", "png", "tiff", "webp")
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def main() -> int:
    """Makes the tables, reports and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--archives", type=int, default=1, help="more than one are compared")
    parser.add_argument("--keep", type=Path, help="a folder for tables and page, which stay there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foveate-report-bench-") as folder:
        work = args.keep or Path(folder)
        archives = [work / f"archive-{number}" for number in range(args.archives)]
        for number, archive in enumerate(archives):
            if not archive.exists():
                write_tables(archive, args.rows, args.runs, seed=number)
        page = work / "report.html"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken = cost(["report", *map(str, archives), "--output", str(page)])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size = page.stat().st_size
    print(f"{args.archives} x {args.rows:,} rows: {taken}, {worked:.1f} s of all cores")
    print(f"page: {size / 1e6:.2f} MB")
    seconds = SECONDS * max(1, args.archives * args.rows // 1_000_000)
    met = worked <= seconds and taken.peak_bytes <= MEMORY_BYTES and size < PAGE_BYTES
    limits = f"{seconds} s of all cores, {MEMORY_BYTES / 2**30:.0f} GiB, {PAGE_BYTES / 1e6:.0f} MB"
    print(f"limits ({limits}): {'met' if met else 'NOT met'}")
    return 0 if met else 1


def write_tables(archive: Path, rows: int, runs: int, seed: int) -> None:
    """The metrics and failures tables of an archive of `rows` photos."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(rows)
    for run in range(runs):
        of_run = numbers[(numbers % runs == run) | ((numbers % AGAIN == 0) & (numbers % runs < run))]
        folder = archive / f"_foveate/metrics/run=r{run:03}"
        folder.mkdir(parents=True)
        for shard in range(SHARDS):
            table = made_up(of_run[of_run % SHARDS == shard], run, rng)
            pq.write_table(table, folder / f"{shard:05d}.parquet", row_group_size=ROWS_PER_GROUP)
    when = (START + datetime.timedelta(days=runs)).isoformat()
    failures = [
        Failure(f"/photos/broken/{number}.jpg", "read", "BadImage", "the file ends early", when)
        for number in range(rows // FAILED)
    ]
    write_failures(failures, f"{archive}/_foveate/failures/run=r{runs - 1:03}/00000.jsonl")


def made_up(numbers: np.ndarray[Any, Any], run: int, rng: np.random.Generator) -> pa.Table:
    """Rows of the photos of these numbers as a run would have written them."""
    count = len(numbers)
    kept = numbers % KEPT == 7
    width, height = rng.choice([3000, 4032, 6000, 8192], count), rng.choice([2000, 3024, 4000], count)
    rate = 0.5 * 2 ** rng.normal(0, 0.3, count)
    psnr = 38 + 2 * np.log2(rate) + rng.normal(0, 2, count)
    after = (rate * width * height / 8).astype(int)
    before = (after * rng.lognormal(1.7, 0.3, count)).astype(int)
    names = [
        f"{2005 + n % 20}/{n % 12 + 1:02}/a-holiday-with-a-long-name/IMG_{n:08}.jpg" for n in numbers.tolist()
    ]
    ssim = 1 - 0.05 * 2 ** -((psnr - 38) / 4)
    values: dict[str, Any] = {
        "relative_path": names,
        "source_url": [f"/photos/{name}" for name in names],
        "archive_url": [f"/archive/{name}.jp2" for name in names],
        "outcome": np.where(kept, "kept", "compressed"),
        "reason": np.where(kept, "animation", ""),
        "source_format": [FORMATS[n % len(FORMATS)] for n in numbers.tolist()],
        "source_bytes": before,
        "archive_bytes": np.where(kept, before, after),
        "source_modified": 1.1e9 + 600.0 * numbers,
        "width": width,
        "height": height,
        "channels": np.full(count, 3),
        "bit_depth": np.full(count, 8),
        "camera": [CAMERAS[n % len(CAMERAS)] for n in numbers.tolist()],
        "taken": [
            f"{2005 + n % 20}-{n % 12 + 1:02}-03T04:05:06" if n % 7 else None for n in numbers.tolist()
        ],
        "finished": [START + datetime.timedelta(days=run)] * count,
        "run_id": [f"r{run:03}"] * count,
        "foveate_version": ["1.0"] * count,
        "settings_digest": ["5e77" * 16] * count,
        "weights_digest": ["3e16" * 16] * count,
    }
    figures = {
        "compression_ratio": before / after,
        "bits_per_pixel": rate,
        "psnr_db": psnr,
        "psnr_y_db": psnr + 0.4,
    }
    figures |= {"psnr_s_db": psnr + 1.5, "ssim": ssim, "ssim_s": ssim + 0.002, "ms_ssim": ssim + 0.01}
    figures |= {f"rec_{name}": value + 0.4 for name, value in figures.items() if "psnr" in name}
    figures |= {f"rec_{name}": value + 0.001 for name, value in figures.items() if "ssim" in name}
    figures |= {
        f"{step}_seconds": rng.lognormal(0, 0.5, count) for step in ("read", "saliency", "encode", "measure")
    }
    values |= {name: np.where(kept, np.nan, value) for name, value in figures.items()}
    return pa.Table.from_arrays(
        [_column(field, values, count) for field in metrics_schema()], schema=metrics_schema()
    )


def _column(field: pa.Field, values: dict[str, Any], count: int) -> pa.Array:
    if field.name not in values:
        return pa.array([""] * count) if field.type == pa.string() else pa.nulls(count, field.type)
    return pa.array(values[field.name], field.type, from_pandas=field.type == pa.float64())


if __name__ == "__main__":
    sys.exit(main())
