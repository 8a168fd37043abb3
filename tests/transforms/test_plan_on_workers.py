"""Tests plans made by workers: their parts, and when their spools are deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from foveate.archive.planning.plan import part_urls, plan_folder
from foveate.archive.planning.tasks import Asked
from foveate.transforms import plan_on_workers
from foveate.transforms.plan_on_workers import PlanOnWorkers


def test_spools_are_there_until_a_join_that_may_be_repeated_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, archive, seen = tmp_path / "in", tmp_path / "archive", tmp_path / "seen"
    photos.mkdir()
    archive.mkdir()
    for number in range(5):
        (photos / f"{number}.jpg").write_bytes(b"x")
    collected = Path(plan_folder(str(archive), "r1"), "collected")
    join = plan_on_workers._join

    def twice(bucket: plan_on_workers._Bucket, asked: Asked, folder: str) -> list[object]:
        first = list(join(bucket, asked, folder))
        assert len(list(join(bucket, asked, folder))) == len(first)  # as after a worker's death
        with seen.open("a") as file:
            file.write(f"{sum(Path(one.url).exists() for one in bucket.spooled)} ")
        return first

    monkeypatch.setattr(plan_on_workers, "_join", twice)
    asked = Asked((str(photos),), frozenset({".jpg"}), str(archive), "5e" * 8, "3e" * 8)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        pipeline | PlanOnWorkers(asked, "r1", "keep")
    assert part_urls(str(archive), "r1")
    counts = list(map(int, seen.read_text().split()))
    assert counts and min(counts) > 0
    assert not [path for path in collected.rglob("*") if path.is_file()]
