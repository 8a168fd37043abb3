"""Tests that a killed run's plan is resumed: what is done is left out, and the rest is done."""

from __future__ import annotations

import datetime
from pathlib import Path

from foveate.archive import tables
from foveate.archive.planning.plan import clear_plan, part_urls, planned_runs, read_part
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.resume import find_plan, is_worth_it, resume_plan
from foveate.archive.planning.tasks import Asked
from tests.archive.planning.test_settle import NETWORKS, SETTINGS
from tests.archive.test_tables import a_row


def some_photos(tmp_path: Path) -> Asked:
    for number in range(5):
        path = tmp_path / f"in/{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a photo")
    return Asked((f"{tmp_path}/in",), frozenset({".jpg"}), f"{tmp_path}/out", SETTINGS, NETWORKS)


def paths(asked: Asked, run_id: str) -> list[str]:
    parts = part_urls(asked.archive, run_id)
    return sorted(row.source.relative_path for part in parts for row in read_part(part))


def test_what_has_a_row_since_the_plan_was_made_is_left_out(tmp_path: Path) -> None:
    asked = some_photos(tmp_path)
    made = make_plan(asked, "r1", lambda page: page)
    assert paths(asked, "r1") == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    later, before = (made.planned + datetime.timedelta(minutes=minutes) for minutes in (1, -1))
    done = {"settings_digest": SETTINGS, "weights_digest": NETWORKS, "source_bytes": 7, "archive_bytes": 3}
    rows = [
        a_row("0.jpg", finished=later, **done),
        a_row("1.jpg", finished=before, **done),
        a_row("2.jpg", finished=later, **done | {"settings_digest": "ab" * 8}),
    ]
    tables.write_metrics(rows, f"{asked.archive}/_foveate/metrics/run=r1/0.parquet")
    (tmp_path / "in/5.jpg").write_bytes(b"another photo")
    left = resume_plan(asked, made, "r2")
    assert paths(asked, "r2") == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert left.skipped == (1, 7, 3) and left.rows == {"compress": 4} and left.planned == made.planned
    assert find_plan(asked, set()) == left


def test_only_a_plan_for_the_same_of_a_run_that_died_is_found(tmp_path: Path) -> None:
    asked = some_photos(tmp_path)
    assert find_plan(asked, set()) is None
    made = make_plan(asked, "r1", lambda page: page)
    assert find_plan(asked, set()) == made and not is_worth_it(made)
    assert find_plan(asked, {"r1"}) is None
    other = Asked(asked.sources, asked.extensions, asked.archive, "ab" * 8, NETWORKS)
    assert find_plan(other, set()) is None
    (Path(asked.archive) / "_foveate/plans/run=r1/plan.json").unlink()
    assert find_plan(asked, set()) is None and planned_runs(asked.archive) == ["r1"]
    clear_plan(asked.archive, "r1")
    assert planned_runs(asked.archive) == []
