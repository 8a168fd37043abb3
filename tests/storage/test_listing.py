"""Tests which files below a folder are found, and which are left out."""

from __future__ import annotations

import collections
import os
from pathlib import Path
from typing import Any

import pytest

from foveate.storage.listing import Part, find_part, list_private, list_private_files
from foveate.storage.selection import is_excluded

NAMES = ("a.jpg", "drafts/b.jpg", "2019/raw/c.jpg", "2019/d.png", "2019/d.xmp", "x/drafts.jpg")


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ((), {"a.jpg", "drafts/b.jpg", "2019/raw/c.jpg", "2019/d.png", "x/drafts.jpg"}),
        (("drafts",), {"a.jpg", "2019/raw/c.jpg", "2019/d.png", "x/drafts.jpg"}),
        (("*.png", "drafts*"), {"a.jpg", "2019/raw/c.jpg"}),
        (("2019/raw",), {"a.jpg", "drafts/b.jpg", "2019/d.png", "x/drafts.jpg"}),
        (("2019/*",), {"a.jpg", "drafts/b.jpg", "x/drafts.jpg"}),
        (("raw/*", "/2019/r?w/"), {"a.jpg", "drafts/b.jpg", "2019/d.png", "x/drafts.jpg"}),
        (("*",), set()),
    ],
)
def test_what_fits_a_pattern_is_left_out_with_all_below_it(
    tmp_path: Path, patterns: tuple[str, ...], left: set[str]
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"a file")
    kinds = collections.Counter[str]()
    extensions = frozenset({".jpg", ".png"})
    found = find_part(Part(str(tmp_path)), extensions, str(tmp_path / "out"), kinds, patterns)
    assert {file.relative_path for file in found} == left
    assert kinds["xmp"] == (not is_excluded("2019/d.xmp", patterns))


def test_a_file_that_is_named_itself_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a file")
    found = find_part(Part(str(tmp_path / "a.jpg")), frozenset({".jpg"}), "", exclude=("*",))
    assert [file.relative_path for file in found] == ["a.jpg"]


def test_a_folder_that_vanishes_while_its_neighbors_are_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run=1/a", "run=2/b", "run=3/c"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    scan = os.scandir

    def vanishing(place: str | os.PathLike[str]) -> Any:
        if Path(place).name == "run=2" and Path(place, "b").exists():
            Path(place, "b").unlink()
            Path(place).rmdir()
        return scan(place)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert list_private(str(tmp_path)) == [f"{tmp_path}/run=1/a", f"{tmp_path}/run=3/c"]
    assert sorted(file.url for file in list_private_files(str(tmp_path))) == list_private(str(tmp_path))
    assert list_private(f"{tmp_path}/nowhere") == list_private(f"{tmp_path}/run=1/a") == []
