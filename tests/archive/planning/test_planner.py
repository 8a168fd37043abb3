"""Tests that plans follow the simple rules for every source, on archives of every kind."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import random
from pathlib import Path

import pytest

from foveate.archive import tables
from foveate.archive.names import ENDINGS
from foveate.archive.planning import join, spool
from foveate.archive.planning.plan import Planned, part_urls, read_part, read_summary
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.settle import is_up_to_date
from foveate.archive.planning.tasks import Asked
from foveate.archive.rows import Failure, MetricsRow
from foveate.storage.files import stored_version
from foveate.storage.listing import find_files
from foveate.storage.source import SourcePage
from tests.archive.planning.plain_rules import Known, verdict
from tests.archive.planning.test_settle import NETWORKS, SETTINGS, a_jp2
from tests.archive.test_tables import NOON, a_row
from tests.photos import labels

JPG = frozenset({".jpg", ".jp2"})


def as_it_is(page: SourcePage) -> SourcePage:
    return page


def asked_of(photos: Path, archive: Path, **changes: object) -> Asked:
    asked = Asked((str(photos),), JPG, str(archive), SETTINGS, NETWORKS)
    return dataclasses.replace(asked, **changes)  # type: ignore[arg-type]


def plan(asked: Asked) -> dict[str, Planned]:
    summary = make_plan(asked, "r9", as_it_is)
    found = {
        planned.source.relative_path: planned
        for url in part_urls(asked.archive, "r9")
        for planned in read_part(url)
    }
    assert read_summary(asked.archive, "r9") == summary
    assert len(found) == summary.todo and summary.todo + summary.skipped[0] <= summary.listed
    return found


def a_random_archive(root: Path, seed: int, count: int = 30) -> None:
    """Photos, and an archive with every possible state of them."""
    dice = random.Random(seed)
    rows: dict[str, list[MetricsRow]] = {}
    failures: list[Failure] = []
    for number in range(count):
        name = dice.choice((f"{number}.jpg", f"trip/ü {number}.jpg", f"{number}.jpg.jp2", f"A{number}.JPG"))
        source = root / "in" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        content = b"a photo" if dice.random() < 0.8 else b"A photo"
        source.write_bytes(content)
        os.utime(source, (1000, dice.choice((1000.25, 2000.5))))
        ending = dice.choice(ENDINGS)
        target = root / "out" / (name + ending)
        data = a_jp2(source=content, settings=dice.choice((SETTINGS, "07" * 8))) if ending else content
        if dice.random() < 0.9:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        for run in range(dice.choice((0, 1, 1, 1, 2, 3))):
            known = dice.random() < 0.6
            row = a_row(
                name,
                source_url=str(source) if dice.random() < 0.8 else f"/moved/{name}",
                archive_url=str(target)
                if dice.random() < 0.9
                else f"{root}/out/{name}{dice.choice(ENDINGS)}",
                outcome=dice.choice(("compressed", "compressed", "kept", "skipped")),
                reason_code=dice.choice((None, None, None, "missing_extra", "animated")),
                source_bytes=dice.choice((7, 7, 7, 8)),
                source_modified=dice.choice((1000.25, 2000.5)),
                source_sha256=hashlib.sha256(b"a photo").hexdigest(),
                archive_bytes=len(data) + dice.choice((0, 0, 0, 0, 1)),
                archive_version=stored_version(str(target)) or None
                if known
                else dice.choice((None, "md5:x")),
                archive_sha256=hashlib.sha256(data).hexdigest(),
                settings_digest=dice.choice((SETTINGS, SETTINGS, SETTINGS, "aa" * 8)),
                weights_digest=NETWORKS,
                run_id=f"r{run}",
                finished=NOON + datetime.timedelta(hours=dice.choice((0, run, 5)), minutes=run),
            )
            rows.setdefault(f"r{run}", []).append(row)
        if dice.random() < 0.2:
            time = (NOON + datetime.timedelta(hours=dice.choice((-1, 3, 9)))).isoformat()
            failures.append(Failure(str(source), "read", "BadInput", "not now", time))
    for run_id, found in rows.items():
        tables.write_metrics(found, f"{root}/out/_foveate/metrics/run={run_id}/0.parquet")
    tables.write_failures(failures, f"{root}/out/_foveate/failures/run=r1/0.jsonl")


@pytest.mark.parametrize("split", [False, True], ids=["one file", "many files"])
@pytest.mark.parametrize("seed", range(4))
def test_a_plan_says_what_the_plain_rules_say(
    tmp_path: Path, seed: int, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if split:
        monkeypatch.setattr(spool, "_MOST_BYTES", 500)
        monkeypatch.setattr(spool, "_AT_ONCE", 4)
        for module in (spool, join):  # few buckets of some sources each: every one needs a database
            monkeypatch.setattr(module, "BUCKETS", 5)
    a_random_archive(tmp_path, seed)
    asked = asked_of(tmp_path / "in", tmp_path / "out")
    run = labels(asked.archive, "r9", SETTINGS, NETWORKS)
    planned = plan(asked)
    known = Known.of(asked.archive)
    found, wanted = {}, {}
    for source in find_files(str(tmp_path / "in"), JPG, asked.archive):
        wanted[source.relative_path] = verdict(source, run, known)
        row = planned.get(source.relative_path)
        if row is None:
            found[source.relative_path] = "skip"
        elif not is_up_to_date(row, run.archive, SETTINGS, NETWORKS):
            found[source.relative_path] = "compress"
        else:
            assert row.former is not None and row.source == source
            found[source.relative_path] = "skip" if row.former.known else "renew"
    assert found == wanted
    assert len(set(wanted.values())) > 1
