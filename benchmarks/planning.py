"""Plans work on sources most of which are done: python -m benchmarks.planning run|watch COUNT FOLDER.

Listings are synthetic, tables are real; a thousandth of the sources is new.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.rows import RunLabels
from foveate.archive.settings import Target
from foveate.archive.tables import metrics_schema
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.storage.files import join
from foveate.storage.listing import ListedFile
from foveate.storage.source import SourceFile
from foveate.transforms import arrivals, match
from foveate.transforms.skip_archived import ROWS, SIZES, SkipArchived

SETTINGS, WEIGHTS = "5e" * 8, "3e" * 8
_ROWS = 50_000


def path_of(number: int) -> str:
    """A photo's path: a thousand a folder."""
    return f"{number // 1000:04}/IMG_{number:07}.jpg"


def sources(count: int) -> Iterator[SourceFile]:
    """What a listing of a bucket would say."""
    for number in range(count):
        path, checksum = path_of(number), f"md5:{number:022}=="
        yield SourceFile(f"gs://photos/in/{path}", path, 4_000_000 + number, 1.7e9, 0, f"{number}", checksum)


def write_tables(archive: str, count: int) -> None:
    """The rows of runs that have compressed all but each thousandth source."""
    schema = metrics_schema()
    now = datetime.datetime.now(datetime.UTC)
    texts = {field.name: "" for field in schema if field.type == pa.string() and not field.nullable}
    for start in range(0, count, _ROWS):
        rows = [
            texts
            | {
                "source_url": source.url,
                "archive_url": join(archive, f"{source.relative_path}.jp2"),
                "relative_path": source.relative_path,
                "outcome": "compressed",
                "source_bytes": source.size_bytes,
                "archive_bytes": source.size_bytes // 4,
                "source_modified": source.modified,
                "source_checksum": source.checksum,
                "archive_version": f"etag:{number}",
                "settings_digest": SETTINGS,
                "weights_digest": WEIGHTS,
                "run_id": f"r{start}",
                "finished": now,
            }
            for number, source in enumerate(sources(min(count, start + _ROWS)))
            if number >= start and number % 1000
        ]
        folder = f"{archive}/_foveate/metrics/run=r{start}"
        Path(folder).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), f"{folder}/0.parquet", compression="zstd")


def listed(count: int) -> Iterator[ListedFile]:
    """The archive's files as its listing would show them."""
    for number in range(count):
        if number % 1000:
            yield ListedFile(f"{path_of(number)}.jp2", (4_000_000 + number) // 4, f"etag:{number}")


def plan_run(archive: str, count: int) -> int:
    """A run's planning on Beam's local runner; how many sources are left."""
    import apache_beam as beam

    counted = beam.metrics.Metrics.counter("planning", "new")
    with beam.Pipeline(runner="FnApiRunner") as root:
        matched = root | match.MatchSources(("gs://photos/in",), PICTURE_EXTENSIONS, archive)
        skip = SkipArchived(RunLabels(archive, Target("bpp", 1.0), SETTINGS, WEIGHTS, "1", "r"))
        fresh = matched.sources | beam.ParDo(skip).with_outputs(ROWS, SIZES, main="sources")
        fresh.sources | "Count" >> beam.Map(lambda source: counted.inc())
    (found,) = root.result.metrics().query()["counters"]
    return int(found.committed)


def plan_watch(archive: str, count: int) -> int:
    """A watch's first and second listing; how many sources the first finds."""
    watched = arrivals.Watched(
        ("gs://photos/in",), PICTURE_EXTENSIONS, archive, "keep", SETTINGS, WEIGHTS, 60.0
    )
    seen = arrivals.Arrivals(watched)
    new = sum(1 for _ in seen.look(2e9))
    start = time.process_time()
    if list(seen.look(2e9)):
        raise AssertionError("the second listing finds what the first has found")
    print(f"second listing: {time.process_time() - start:.1f} CPU s")
    return new


def main() -> int:
    """Plans; the exit status."""
    how, count, archive = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    write_tables(archive, count)
    setattr(match, "list_folder", lambda folder: listed(count))  # noqa: B010 (types know better)
    for module in (match, arrivals):
        setattr(module, "find_files", lambda source, extensions, output: sources(count))  # noqa: B010
    start = time.process_time()
    new = (plan_run if how == "run" else plan_watch)(archive, count)
    print(f"{new} of {count} are new: {time.process_time() - start:.1f} CPU s")
    return 0 if new == len(range(0, count, 1000)) else 1


if __name__ == "__main__":
    sys.exit(main())
