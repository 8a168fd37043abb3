"""Tests that a plan is removed once everything that needs it is done."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from foveate.archive.planning.plan import plan_folder
from foveate.transforms.clear_plan import ClearPlan


@pytest.mark.parametrize("files", [(), ("a", "b", "c")])
def test_a_plan_is_there_until_the_last_file_is_written(tmp_path: Path, files: tuple[str, ...]) -> None:
    part = Path(plan_folder(str(tmp_path), "r1"), "any-00000.parquet")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x")
    seen = tmp_path / "seen"

    def write(name: str) -> str:
        with seen.open("a") as file:
            file.write(f"{part.exists()} ")
        return name

    with TestPipeline(runner="FnApiRunner") as pipeline:
        written = pipeline | "Files" >> beam.Create(list(files)) | "Write" >> beam.Map(write)
        failed = pipeline | "None" >> beam.Create([], reshuffle=False)
        (written, failed) | ClearPlan(str(tmp_path), "r1")
    assert not part.parent.exists()
    assert not files or seen.read_text().split() == ["True"] * len(files)
