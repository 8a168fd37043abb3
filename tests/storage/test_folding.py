"""Names that some filesystems take for one are one place there, and several elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from foveate.archive.planning import first
from foveate.storage.folding import folded, folds_names
from foveate.storage.source import SourceFile
from foveate.transforms.match import MatchSources, one_of_each_name
from foveate.transforms.steps import FAILURES
from tests.photos import outputs

ONE, OTHER = "caf\u00e9/Photo.JPG", "cafe\u0301/photo.jpg"


def test_case_and_the_way_accents_are_written_are_folded() -> None:
    assert folded(ONE) == folded(OTHER) != folded("cafe/photo.jpg")
    assert folded("\udcff.jpg") == "\udcff.jpg"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it depends on the disk")
def test_a_linux_folder_keeps_names_apart_and_nothing_of_the_trial_stays(tmp_path: Path) -> None:
    assert not folds_names(str(tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not folds_names("gs://bucket/archive")
    assert not folds_names("/proc/nowhere")


@pytest.mark.parametrize("folds", [True, False])
def test_they_clash_only_where_they_are_one(folds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "folds_names", lambda _: folds)
    files = [SourceFile(f"/in/{path}", path, 7, 1.0) for path in (ONE, OTHER)]
    found = outputs(one_of_each_name((b"key", files), "/out"))
    assert len(found[""]) == (1 if folds else 2)
    if folds:
        (failure,) = found[FAILURES]
        assert "is taken by" in failure.message


def test_files_whose_names_differ_in_case_are_both_found(tmp_path: Path) -> None:
    for name in ("photo.png", "other.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "PHOTO.png").write_bytes(b"")
    expected = sorted(path.name for path in tmp_path.iterdir())
    with TestPipeline(runner="FnApiRunner") as pipeline:
        matched = pipeline | MatchSources((str(tmp_path),), frozenset({".png"}), str(tmp_path / "out"))
        names = matched.sources | beam.Map(lambda file: file.relative_path)
        assert_that(names, equal_to(expected))
