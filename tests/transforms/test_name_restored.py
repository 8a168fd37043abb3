"""Tests naming restored files in a pipeline, by an existing plan or one that a worker makes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.planning.restore_plan import plan_restore
from foveate.transforms.name_restored import NameRestored
from foveate.transforms.steps import FAILURES


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("on_worker", [False, True])
def test_every_file_gets_a_path_of_its_own_or_is_a_failure(tmp_path: Path, on_worker: bool) -> None:
    root = tmp_path / os.fsdecode(b"\xff")
    for name in ("a.jpg.jp2", "b.png.jp2", "b.jpg.jp2", "b.jpg.png", "c.gif"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    sources, output, folder = (str(root),), str(tmp_path / "out"), str(tmp_path / "plan")
    plan = None if on_worker else plan_restore(sources, output, "png", folder)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        named = pipeline | NameRestored(plan, sources, output, "png", folder)
        paths = named.files | "Paths" >> beam.Map(lambda file: (Path(file.source.url).name, file.path))
        failed = named[FAILURES] | "Failed" >> beam.Map(lambda failure: Path(failure.url).name)
        assert_that(
            paths,
            equal_to(
                [
                    ("a.jpg.jp2", "a.png"),
                    ("b.png.jp2", "b.png.png"),
                    ("b.jpg.jp2", "b.jpg.png"),
                    ("c.gif", "c.gif"),
                ]
            ),
            label="paths",
        )
        assert_that(failed, equal_to(["b.jpg.png"]), label="failed")
