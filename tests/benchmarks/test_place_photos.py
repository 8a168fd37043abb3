"""Tests the photos labeled for faces and writing: each has a source and half, and others are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from benchmarks import packed_photos, place_photos
from benchmarks.label import PLACES
from benchmarks.place_photos import HALVES


def test_every_labeled_photo_has_a_source_a_license_and_a_half() -> None:
    photos = place_photos.place_photos()
    labeled = {name for names in json.loads(PLACES.read_text())["kinds"].values() for name in names}
    assert labeled == {photo.name for photo in photos}
    assert len(labeled) == len(photos) >= 150
    assert all(photo.license for photo in photos)
    fetched = [photo for photo in photos if photo.package]
    assert len({photo.sha256 for photo in fetched}) == len(fetched) > 100


def test_no_source_is_in_both_halves() -> None:
    photos = place_photos.place_photos()
    sources = [{photo.name.split("-")[0] for photo in photos if photo.half == half} for half in HALVES]
    assert all(len(names) > 1 for names in sources)
    assert not set.intersection(*sources)
    assert min(sum(photo.half == half for photo in photos) for half in HALVES) >= 75


def test_a_photo_that_is_not_the_labeled_one_is_named_and_left_out(tmp_path: Path) -> None:
    found, folder = tmp_path / "found.jpg", tmp_path / "places"
    folder.mkdir()
    found.write_bytes(b"a photo")
    photo = next(photo for photo in place_photos.place_photos() if photo.package)
    meant = dataclasses.replace(photo, sha256=hashlib.sha256(b"a photo").hexdigest())
    assert not list(packed_photos._copied(meant, found, folder))
    assert (folder / photo.file_name).read_bytes() == b"a photo"
    for path in (found, tmp_path / "not there"):
        (problem,) = packed_photos._copied(photo, path, folder)
        assert photo.member in problem
