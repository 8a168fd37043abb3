"""Tests that photos left to another run come back if that run ends without processing them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from foveate.archive import left_photos
from foveate.archive.left_photos import LeftPhotos, note_left
from foveate.storage.source import SourceFile


def test_only_what_nobody_has_done_is_given_back_once_and_when_others_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.jpg", "b.jpg", "c.jpg", "new.jpg", os.fsdecode(b"\xe9.jpg"))
    sources = [SourceFile(f"/in/{name}", name, 7, 1.0) for name in names]
    left = LeftPhotos(str(tmp_path / "out"), "r1", str(tmp_path / "left"))
    assert left.to_do() == []
    for source in (*sources, sources[0]):
        note_left(source, left.file)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg.jp2").write_bytes(b"done")
    (tmp_path / "out/b.jpg").write_bytes(b"kept long ago")
    os.utime(tmp_path / "out/b.jpg", (1000, 1000))
    others = {"r2"}
    monkeypatch.setattr(left_photos, "others_alive", lambda archive, run_id: others)
    assert left.to_do() == []
    (tmp_path / "out/c.jpg.enc").write_bytes(b"kept")
    others.clear()
    assert left.to_do() == [sources[1], *sources[3:]]
    assert left.to_do() == []


def test_a_photo_that_changed_after_it_was_done_is_not_done(tmp_path: Path) -> None:
    left = LeftPhotos(str(tmp_path), "r1", str(tmp_path / "left"))
    (tmp_path / "a.jpg.jp2").write_bytes(b"done")
    newer = SourceFile("/in/a.jpg", "a.jpg", 7, time.time() + 100)
    note_left(newer, left.file)
    assert left.to_do() == [newer]
