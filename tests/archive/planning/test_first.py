"""Tests that each place in an archive belongs to one source: repeated ones count once, others fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from foveate.archive.planning.first import Taken, first_of_each_place
from foveate.archive.planning.plan import Planned, read_part
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.tasks import Asked
from foveate.storage.source import SourceFile


def planned(tmp_path: Path, sources: tuple[Path, ...], ending: str) -> list[Planned]:
    """Everything that a plan has for some sources, by url."""
    names = tuple(map(str, sources))
    asked = Asked(names, frozenset({ending}), "/nowhere", "", "", trust_tables=False)
    make_plan(asked, "r1", lambda page: page, str(tmp_path / "plan"))
    rows = [row for part in (tmp_path / "plan").iterdir() for row in read_part(str(part))]
    return sorted(rows, key=lambda row: row.source.url)


def test_one_name_has_one_source_and_the_others_fail_by_name() -> None:
    files = [SourceFile(f"/{root}/a.jpg", "a.jpg", 7, 1.0) for root in ("y", "x", "x", "z")]
    first, *others = first_of_each_place(files, "/nowhere")
    assert first == SourceFile("/x/a.jpg", "a.jpg", 7, 1.0)
    assert [other.source.url for other in others if isinstance(other, Taken)] == ["/y/a.jpg", "/z/a.jpg"]
    assert all("/x/a.jpg" in str(other.error) for other in others if isinstance(other, Taken))


def test_a_jp2_may_not_take_the_place_of_a_photos_own(tmp_path: Path) -> None:
    for name in ("p.png", "p.png.jp2", "q.jp2", "r.png"):
        (tmp_path / name).write_bytes(b"")
    sources = tuple(tmp_path / name for name in ("p.png.jp2", "q.jp2", "p.png", "r.png"))
    p, p_jp2, *others = planned(tmp_path, sources, ".png")
    assert [row.action for row in (p, *others)] == ["compress"] * 3
    assert p_jp2.action == "taken" and p_jp2.detail == (
        f"its place in the output, p.png.jp2, is taken by {tmp_path}/p.png; use another destination"
    )


def test_a_file_under_several_spellings_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jpg").write_bytes(b"")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    urls = ("x/a.jpg", f"{tmp_path}/x/a.jpg", "y/a.jpg", "./x/a.jpg")
    files = [SourceFile(url, "a.jpg", 0, 1.0) for url in urls]
    assert list(first_of_each_place(files, "/nowhere")) == [files[-1]]
    objects = [SourceFile(f"s3://{bucket}/a.jpg", "a.jpg", 0, 1.0) for bucket in "ab"]
    assert [type(found) for found in first_of_each_place(objects, "/nowhere")] == [SourceFile, Taken]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8_are_planned_like_others(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "plain.png"]
    folders = tmp_path / "x", tmp_path / os.fsdecode(b"\xff")
    for folder in folders:
        folder.mkdir()
        for photo in names:
            (folder / photo).write_bytes(b"")
    found = planned(tmp_path, (folders[0], folders[1] / names[0]), ".png")
    assert [(os.fsencode(row.source.url), row.action) for row in found] == [
        (os.fsencode(tmp_path) + b"/x/caf\xe9.png", "compress"),
        (os.fsencode(tmp_path) + b"/x/plain.png", "compress"),
        (os.fsencode(tmp_path) + b"/\xff/caf\xe9.png", "taken"),
    ]
