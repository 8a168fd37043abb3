"""Show the plans in an archive: what each run has to do, and how much of it is done.

`foveate compress` plans each run first, and removes the plan when the run succeeds. The plans shown here
belong to runs that are still working, or that were killed and can be resumed with --plan resume. To see what
a new run would do, use foveate compress --dry-run.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

from foveate.archive.leases import living_runs
from foveate.archive.planning.plan import Summary, part_urls, planned_runs, read_part, read_summary
from foveate.archive.tables import BadTable, run_folder, table_text
from foveate.pipelines import flag_types
from foveate.pipelines.logs import user_log
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.pipelines.running.status import OK, WRONG_USAGE
from foveate.pipelines.shared_flags import output_folder, parse_beam_flags
from foveate.reports.figures import bytes_text, count_text

__all__ = ["add_arguments", "parse_beam_flags", "run"]

SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate plan` takes to `parser`."""
    parser.add_argument("archive", metavar="DEST", help="an archive: a folder or a URL")
    parser.add_argument("--run", metavar="ID", help="show only the plan of this run")
    parser.add_argument(
        "--photos",
        type=flag_types.count,
        default=0,
        metavar="N",
        help="list N photos of each plan (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.epilog = "Other flags are Beam's. Exit status: 0 all well, 2 wrong usage or no such plan."


def run(args: argparse.Namespace) -> int:
    """Runs `foveate plan`; returns the exit status."""
    set_up_filesystems(args.beam_flags)
    archive = output_folder(args.archive)
    try:
        found = [_plan(archive, run_id, args.photos) for run_id in _runs(archive, args.run)]
    except (OSError, ValueError) as error:  # BadTable and NothingFound are such
        user_log.error(f"foveate plan: {error}")
        return WRONG_USAGE
    if args.json:
        print(json.dumps({"schema": SCHEMA, "archive": archive, "plans": found}, indent=1))
        return OK
    if not found:
        print(f"No run has left a plan in {table_text(archive)}")
    for plan in found:
        print("\n".join(_lines(plan)))
    return OK


def _runs(archive: str, run_id: str | None) -> list[str]:
    runs = planned_runs(archive)
    if run_id is None:
        return runs
    run_folder(archive, "_foveate/plans", run_id)
    if run_id not in runs:
        raise BadTable(f"{archive} has no plan of run {run_id!r}; it has {', '.join(runs) or 'none'}")
    return [run_id]


def _plan(archive: str, run_id: str, photos: int) -> dict[str, Any]:
    summary = read_summary(archive, run_id)
    alive = run_id in living_runs(archive)
    if summary is None:
        return {"run": run_id, "alive": alive, "complete": False}
    return {"run": run_id, "alive": alive, "complete": True} | _figures(summary, archive, photos)


def _figures(summary: Summary, archive: str, photos: int) -> dict[str, Any]:
    rows = itertools.chain.from_iterable(map(read_part, part_urls(archive, summary.run_id)))
    return {
        "planned": summary.planned.isoformat(timespec="seconds"),
        "seconds": round(summary.seconds, 1),
        "listed": summary.listed,
        "up_to_date": summary.skipped.photos,
        "compress": summary.rows.get("compress", 0),
        "compress_bytes": summary.to_compress_bytes,
        "check": summary.rows.get("check", 0),
        "renew": summary.rows.get("renew", 0),
        "taken": summary.rows.get("taken", 0),
        "photos": [
            {"url": table_text(row.source.url), "action": row.action}
            for row in itertools.islice(rows, photos)
        ],
    }


def _lines(plan: dict[str, Any]) -> list[str]:
    state = "running" if plan["alive"] else "not running"
    if not plan["complete"]:
        return [f"Run {plan['run']} ({state}): its plan is incomplete"]
    lines = [
        f"Run {plan['run']} ({state}), planned {plan['planned']} in {plan['seconds']:g} s",
        f"  {count_text(plan['listed'])} listed, {count_text(plan['up_to_date'])} up to date",
        f"  {count_text(plan['compress'])} to compress ({bytes_text(plan['compress_bytes'])})",
    ]
    if plan["check"] or plan["renew"]:
        lines.append(
            f"  {count_text(plan['check'])} to check, {count_text(plan['renew'])} with only a row to update"
        )
    if plan["taken"]:
        lines.append(f"  {count_text(plan['taken'])} whose names in the archive other photos have taken")
    return lines + [f"    {photo['action']:<8} {photo['url']}" for photo in plan["photos"]]
