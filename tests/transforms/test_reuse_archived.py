"""Tests that a file left by an interrupted run is reused if it is the one that would be made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from foveate.codec import jp2
from foveate.sandbox.client import Limits
from foveate.transforms.elements import SalientPhoto
from foveate.transforms.encode import encode_plain
from tests import streams
from tests.photos import corner, encoder, one, salient
from tests.streams import texture
from tests.transforms.test_encode import coded, picture


def archived(folder: Path, photo: SalientPhoto, data: bytes) -> Path:
    path = folder / "trip" / "a.png.jp2"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_a_file_that_an_interrupted_run_left_is_taken_as_it_is(tmp_path: Path) -> None:
    photo = salient(picture(97, 131, 3), corner())
    first = coded(photo, "bpp", 1)
    marked = jp2.marked_for_plain_decode(first.jp2)
    archived(tmp_path, photo, marked)
    result = one(encode_plain, photo, encoder("bpp", 1, str(tmp_path), resume=True))
    assert result.archived
    found = result.file
    assert found.jp2 == marked
    np.testing.assert_array_equal(found.decoded, first.decoded)
    assert found.noise is None  # it is marked: RecCNN has nothing to do


@pytest.mark.parametrize("change", ["settings", "weights", "source", "truncated", "foreign", "no picture"])
def test_any_other_file_in_its_place_is_made_again(tmp_path: Path, change: str) -> None:
    photo = salient(picture(97, 131, 3), corner())
    wanted = encoder("bpp", 1, str(tmp_path), resume=True)
    other, made_by = photo, wanted
    if change == "settings":
        made_by = encoder("bpp", 2, str(tmp_path))
    elif change == "weights":
        made_by = dataclasses.replace(wanted, weights_digest=bytes(8), resume=False)
    elif change == "source":
        other = salient(255 - picture(97, 131, 3), corner())
    data = one(encode_plain, other, dataclasses.replace(made_by, resume=False)).file.jp2
    if change == "truncated":
        data = data[:-200]
    elif change == "foreign":
        data = jp2.wrap(streams.coded(photo.photo.pixels), metadata=photo.photo.metadata)
    elif change == "no picture":
        data = b"no picture"
    archived(tmp_path, photo, data)
    assert not one(encode_plain, photo, wanted).archived


def test_a_file_with_our_record_and_another_picture_is_not_taken(tmp_path: Path) -> None:
    photo, wanted = salient(texture(64, 64, 3)), encoder("bpp", 2, str(tmp_path), resume=True)
    other = salient(texture(48, 64, 3))
    forged = one(encode_plain, other, wanted).file.jp2
    archived(tmp_path, photo, forged)
    assert one(encode_plain, other, wanted).archived  # all that it says is true of this one
    assert not one(encode_plain, photo, wanted).archived
    strict = dataclasses.replace(wanted, limits=Limits(pixels=64 * 48 - 1))
    assert not one(encode_plain, other, strict).archived
