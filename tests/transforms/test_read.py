"""Tests that files become a photo, a kept source with a reason, or an error that says what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from foveate.archive.rows import KeptSource
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason
from foveate.sandbox.client import Limits
from foveate.transforms.elements import Photo
from foveate.transforms.read import KEPT, read_photo
from tests import picture_files
from tests.photos import one, outputs, source

GOOD, KEEP, BROKEN = (
    picture_files.good_pictures(),
    picture_files.kept_pictures(),
    picture_files.broken_pictures(),
)


def placed(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_becomes_a_photo_with_its_sources_hash(tmp_path: Path, name: str) -> None:
    path = placed(tmp_path, name, GOOD[name])
    photo: Photo = one(read_photo, source(path), Limits())
    assert photo.source.relative_path == name
    assert photo.source_sha256 == hashlib.sha256(GOOD[name]).hexdigest()
    assert photo.pixels.ndim == 3 and photo.pixels.shape[2] in (1, 2, 3, 4)
    assert photo.bit_depth == (16 if "16" in name else 8)
    assert photo.read_seconds > 0


@pytest.mark.parametrize("name", KEEP)
def test_a_file_that_should_be_no_jp2_is_kept_with_a_reason(tmp_path: Path, name: str) -> None:
    path = placed(tmp_path, name, KEEP[name])
    (kept,) = outputs(read_photo(source(path), Limits()))[KEPT]
    assert isinstance(kept, KeptSource)
    assert kept.source_sha256 == hashlib.sha256(KEEP[name]).hexdigest()
    assert kept.reason == picture_files.REASONS[name]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    path = placed(tmp_path, name, BROKEN[name])
    with pytest.raises(BadPicture, match=r"\w{3,}"):
        list(read_photo(source(path), Limits()))


def test_a_turned_photo_is_read_upright(tmp_path: Path) -> None:
    path = placed(tmp_path, "turned.jpg", GOOD["turned.jpg"])
    photo: Photo = one(read_photo, source(path), Limits())
    assert photo.pixels.shape == (25, 40, 3)
    assert photo.metadata.icc and photo.metadata.exif and photo.metadata.xmp


def test_a_photo_of_too_many_pixels_is_refused_by_their_number(tmp_path: Path) -> None:
    path = placed(tmp_path, "color.png", GOOD["color.png"])
    with pytest.raises(BadPicture, match=r"39 x 25|975"):
        list(read_photo(source(path), Limits(pixels=974)))
    one(read_photo, source(path), Limits(pixels=975))


def test_a_profile_that_a_jp2_cannot_represent_keeps_the_file(tmp_path: Path) -> None:
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    path = placed(tmp_path, "lab.jpg", picture_files.jpeg(picture_files.sample(9, 13, 3), icc_profile=lab))
    (kept,) = outputs(read_photo(source(path), Limits()))[KEPT]
    assert kept.reason == Reason.COLOR and "profile" in kept.detail and kept.source_format == "jpeg"


def test_a_photo_whose_name_has_no_room_for_more_is_kept(tmp_path: Path) -> None:
    name = next(name for name in GOOD if name.endswith(".jpg"))
    for length in (251, 252):
        path = placed(tmp_path, "n" * (length - 4) + ".jpg", GOOD[name])
        found = outputs(read_photo(source(path), Limits()))
        assert (KEPT in found) == (length > 251)
    (kept,) = found[KEPT]
    assert kept.reason is Reason.NO_ROOM and "too long" in kept.detail
