"""Tests that restored files get unique paths, in memory that does not grow with their number."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.archive.planning import join, slices, spool
from foveate.archive.planning.restore_plan import (
    NamedFile,
    Unnamed,
    _output_places,
    full_name,
    named,
    plan_restore,
    read_restore_plan,
    short_name,
)
from foveate.archive.planning.slices import cut_part
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile

NAMES = st.builds(
    "".join,
    st.lists(
        st.sampled_from(("a", "b/", ".jpg", ".PNG", ".png", ".jp2", ".J2K", ".enc", ".tar", "ä", "\udcff")),
        min_size=1,
        max_size=5,
    ),
)


def file(path: str, root: str = "/in") -> SourceFile:
    return SourceFile(f"{root}/{path}", path, 7, 1.0)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("trip/a.jpg.jp2", "trip/a.png"),
        ("a.tar.JP2", "a.tar.png"),
        ("a.j2k", "a.png"),
        ("a.png.jp2", "a.png"),
        (".jp2", ".png"),
        ("kept.gif", "kept.gif"),
    ],
)
def test_the_short_name_drops_the_endings_of_photo_and_archive(path: str, name: str) -> None:
    assert short_name(file(path), "png") == name


def test_alone_a_file_gets_the_short_name_and_together_full_ones() -> None:
    first, second = file("a.jpg.jp2"), file("a.png.jp2")
    assert list(named([first], "png")) == [NamedFile(first, "a.png")]
    assert set(named([second, first], "png")) == {
        NamedFile(first, "a.jpg.png"),
        NamedFile(second, "a.png.png"),
    }


def test_a_kept_file_keeps_its_name_beside_a_photo_that_wants_it() -> None:
    kept, archived = file("a.png"), file("a.jpg.jp2")
    assert set(named([archived, kept], "png")) == {
        NamedFile(kept, "a.png"),
        NamedFile(archived, "a.jpg.png"),
    }


def test_a_file_named_twice_is_restored_once() -> None:
    assert len(list(named([file("a.jpg.jp2")] * 2, "png"))) == 1


def test_two_files_that_want_one_path_are_one_restored_and_one_failed() -> None:
    first, second = file("a.jpg.jp2"), file("a.jpg.jp2", "/other")
    restored, failed = named([second, first], "png")
    assert restored == NamedFile(first, "a.jpg.png") and isinstance(failed, Unnamed)
    assert failed.source == second and "taken by /in/a.jpg.jp2" in str(failed.error)


@given(st.lists(NAMES, max_size=6))
def test_files_that_may_want_one_path_are_in_one_bucket(names: list[str]) -> None:
    files = [file(name.removesuffix(".enc")) for name in names if "\udcff" not in name]
    places = _output_places(pa.chunked_array([[file.relative_path for file in files]], pa.string()))
    for one, its in zip(files, places, strict=True):
        for other, others in zip(files, places, strict=True):
            wants = {name(one, "png") for name in (short_name, full_name)}
            if wants & {name(other, "png") for name in (short_name, full_name)}:
                assert its == others


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("split", [False, True], ids=["one file", "many files"])
def test_a_plan_names_files_as_they_would_be_named_together(
    tmp_path: Path, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if split:
        monkeypatch.setattr(spool, "_MOST_BYTES", 100)
        monkeypatch.setattr(spool, "_AT_ONCE", 2)
        for module in (spool, join):  # each needs a database of its own
            monkeypatch.setattr(module, "BUCKETS", 5)
        monkeypatch.setattr(slices, "_LEAST_SLICES", 1)
    names = ("a.jpg.jp2", "a.png.jp2", "a.png", "b.jp2.enc", "b.tif", "c/d.jp2", "c/d.jpg.png", "c/d.jpg.jp2")
    for root in ("in", "more"):
        for name in (*names, os.fsdecode(b"caf\xe9.jp2")):
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / name).write_bytes(b"x")
    sources = (str(tmp_path / "in"), str(tmp_path / "in/a.png"), str(tmp_path / "more/c"))
    plan = plan_restore(sources, str(tmp_path / "out"), "png", str(tmp_path / "plan"))
    found = [file for url in plan.parts for part in cut_part(url) for file in read_restore_plan(part, "png")]
    assert set(found) == set(named([file.source for file in found], "png"))
    assert len(found) == 12 and plan.files == 13 and (len(plan.parts) > 3) == split
    taken = [file.source.relative_path for file in found if isinstance(file, Unnamed)]
    assert sorted(taken) == ["c/d.jpg.png", "d.jpg.png"]


def test_a_source_that_names_nothing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="nowhere"):
        plan_restore((str(tmp_path / "nowhere"),), "out", "png", str(tmp_path / "plan"))


def test_frames_and_versions_of_a_source_survive_a_plan(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(b"x")
    plan = plan_restore((str(tmp_path / "a.jp2"),), "out", "png", str(tmp_path / "plan"))
    ((part,),) = [list(cut_part(url)) for url in plan.parts]
    (found,) = read_restore_plan(part, "png")
    modified = (tmp_path / "a.jp2").stat().st_mtime
    assert isinstance(found, NamedFile)
    assert dataclasses.replace(found.source, modified=modified) == found.source and found.path == "a.png"
