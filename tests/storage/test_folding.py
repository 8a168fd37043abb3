"""Tests that names that some filesystems treat as equal are one place there, and several elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foveate.archive.planning import first
from foveate.archive.planning.plan import read_part
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.tasks import Asked
from foveate.storage.folding import folded, folds_names
from foveate.storage.source import SourceFile

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
    found = list(first.first_of_each_place(files, "/out"))
    taken = [judged for judged in found if isinstance(judged, first.Taken)]
    assert (len(found), len(taken)) == (2, 1 if folds else 0)
    assert all("is taken by" in str(judged.error) for judged in taken)


def test_files_whose_names_differ_in_case_are_both_found(tmp_path: Path) -> None:
    for name in ("photo.png", "other.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "PHOTO.png").write_bytes(b"")
    expected = sorted(path.name for path in tmp_path.iterdir())
    asked = Asked((str(tmp_path),), frozenset({".png"}), str(tmp_path / "out"), "", "", trust_tables=False)
    plan = tmp_path / "plan"
    make_plan(asked, "r1", lambda page: page, str(plan))
    planned = [row for part in plan.iterdir() for row in read_part(str(part))]
    assert sorted(row.source.relative_path for row in planned) == expected
    assert {row.action for row in planned} == {"compress"}
