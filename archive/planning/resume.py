"""Resumes the plan of a killed run, leaving out what is done and listing nothing again."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
import time

import pyarrow as pa

from foveate.archive.planning.join import UpToDate, local_copy, opened
from foveate.archive.planning.plan import (
    PlanWriter,
    Summary,
    part_urls,
    plan_folder,
    planned_runs,
    read_summary,
    write_summary,
)
from foveate.archive.planning.planner import collect_tables, request_of
from foveate.archive.planning.tasks import Asked

OLDEST = datetime.timedelta(days=1)
WORTH_SECONDS = 60.0  # of planning: what took less is planned again
_AT_ONCE = 1 << 13  # rows

_DONE = """
CREATE TEMP TABLE done AS SELECT relative_path AS path, max(archive_bytes) AS archive_bytes FROM rows
WHERE finished >= $planned AND settings_digest = $settings AND weights_digest = $weights
GROUP BY relative_path
"""
_SKIPPED = """
SELECT count(*), coalesce(sum(size), 0), coalesce(sum(archive_bytes), 0)
FROM (SELECT part.size, done.archive_bytes FROM part JOIN done USING (path) WHERE action <> 'taken')
"""
_LEFT = """
SELECT part.* FROM part LEFT JOIN done USING (path) WHERE done.path IS NULL OR action = 'taken'
"""


def find_plan(asked: Asked, living: set[str]) -> Summary | None:
    """The newest complete plan for the same request by a run that is dead.

    Raises:
      BadTable: a plan is not what it should be.
    """
    wanted = request_of(asked)
    for run_id in reversed(planned_runs(asked.archive)):
        if run_id in living:
            continue
        summary = read_summary(asked.archive, run_id)
        if summary is not None and summary.request == wanted:
            return summary
    return None


def is_worth_it(summary: Summary) -> bool:
    """Whether to resume a plan without being asked: it was costly to make, and is recent."""
    age = datetime.datetime.now(datetime.UTC) - summary.planned
    return summary.seconds >= WORTH_SECONDS and age < OLDEST


def resume_plan(asked: Asked, former: Summary, run_id: str) -> Summary:
    """Makes a run's plan from what an earlier plan has left.

    What has a row with the same settings that is younger than the former plan is done, and counts as skipped.

    Raises:
      BadTable: a table or a part of the plan is unreadable.
    """
    start = time.monotonic()
    folder = plan_folder(asked.archive, run_id)
    rows: dict[str, int] = {}
    skipped, size = former.skipped, 0
    with tempfile.TemporaryDirectory(prefix="foveate-plan-") as scratch:
        spooled = collect_tables(asked, scratch)
        for url in part_urls(asked.archive, former.run_id):
            name = url.rpartition("/")[2].partition("-")[0]
            bucket = None if name == "any" else int(name)
            writer = PlanWriter(folder, bucket, first=int(url.rpartition("-")[2].partition(".")[0]))
            with opened(spooled, bucket, ("rows",)) as db:
                place = local_copy(url, scratch).replace("'", "''")
                db.execute(
                    f"CREATE TEMP TABLE part AS FROM read_parquet('{place}', hive_partitioning = false)"
                )
                db.execute(
                    _DONE,
                    {
                        "planned": former.planned,
                        "settings": asked.settings_digest,
                        "weights": asked.weights_digest,
                    },
                )
                (sums,) = db.execute(_SKIPPED).fetchall()
                skipped = skipped.plus(UpToDate(*map(int, sums)))
                for batch in db.sql(_LEFT).to_arrow_reader(_AT_ONCE):
                    writer.add(pa.Table.from_batches([batch]))
            writer.close()
            size += writer.to_compress_bytes
            rows = {
                action: rows.get(action, 0) + writer.rows.get(action, 0) for action in {*rows, *writer.rows}
            }
    seconds = former.seconds + time.monotonic() - start
    summary = dataclasses.replace(
        former, run_id=run_id, seconds=seconds, rows=rows, to_compress_bytes=size, skipped=skipped
    )
    write_summary(asked.archive, summary)
    return summary
