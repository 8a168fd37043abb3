"""Tests the photos to fetch: each has a name, license and digest, and other files are refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from benchmarks import packed_photos
from benchmarks.photo_sources import GRAY_SCAN, PHOTOS, RENDERED


def test_every_photo_has_a_name_a_digest_and_a_license_of_its_own() -> None:
    names = [source.file_name for source in (*PHOTOS, GRAY_SCAN)]
    assert len(PHOTOS) >= 24
    assert len(set(names)) == len({source.sha256 for source in (*PHOTOS, GRAY_SCAN)}) == len(names)
    assert all(source.license and source.author for source in PHOTOS)
    assert all(f"{name}.jpg" in names for name in RENDERED)


def test_a_photo_that_is_another_one_than_it_was_is_named_and_left_out(tmp_path: Path) -> None:
    found, folder = tmp_path / "found.jpg", tmp_path / "published"
    folder.mkdir()
    found.write_bytes(b"a photo")
    source = dataclasses.replace(PHOTOS[0], sha256=hashlib.sha256(b"a photo").hexdigest())
    assert not list(packed_photos._copied(source, found, folder))
    assert (folder / source.file_name).read_bytes() == b"a photo"
    for other, path in ((PHOTOS[1], found), (PHOTOS[2], tmp_path / "not there")):
        (problem,) = packed_photos._copied(other, path, folder)
        assert other.member in problem
    assert len(list(folder.iterdir())) == 1
