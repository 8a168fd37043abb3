"""Tests HEIC files: pixels follow their properties, and everything else is accounted for."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.pictures import exif
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.picture import Picture
from foveate.pictures.reasons import Reason
from foveate.sandbox import client
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import Limits

pytest.importorskip("pi_heif", reason="the extra heic is not installed")
FILES = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "heic").glob("*.heic")}


def decoded(data: bytes) -> Picture:
    return decode_picture(data, also=("heic",))


def expected() -> NDArray[np.float64]:
    """The slopes of the pictures, from 0 to 255, without their grain and mark."""
    down, across = np.mgrid[0:70, 0:90]
    return np.stack([across * 255 / 90, down * 255 / 70, (across + down) * 255 / 160], axis=-1)


def errors(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """How far (70, 90, 3) samples from 0 to 255 are from the slopes, beside the mark."""
    return np.abs(pixels - expected())[16:, 24:]


def test_a_heic_is_kept_unless_it_is_asked_for() -> None:
    with pytest.raises(NotForJpeg2000) as kept:
        decode_picture(FILES["plain"])
    assert kept.value.reason == Reason.NOT_READ


def test_a_picture_is_turned_once_and_its_metadata_with_it() -> None:
    picture = decoded(FILES["plain"])
    assert (picture.pixels.shape, picture.bit_depth, picture.format) == ((90, 70, 3), 8, "heic")
    assert errors(np.rot90(picture.pixels)).mean() < 4
    assert picture.metadata.exif is not None and exif.orientation(picture.metadata.exif) == 1
    assert exif.camera(picture.metadata.exif) == "Acme"
    assert picture.metadata.xmp is not None and b"xmpmeta" in picture.metadata.xmp
    assert picture.metadata_problems == ()


def test_ten_bits_reach_from_end_to_end() -> None:
    picture = decoded(FILES["ten-bit"])
    assert picture.bit_depth == 10
    assert picture.pixels.max() == 65535
    assert errors(picture.pixels / 257).mean() < 4


def test_alpha_comes_along() -> None:
    picture = decoded(FILES["alpha"])
    assert errors(picture.pixels[..., :3]).mean() < 4
    assert np.abs(picture.pixels[..., 3] - expected()[..., 0]).max() < 4


def test_two_pictures_keep_the_file() -> None:
    with pytest.raises(NotForJpeg2000) as kept:
        decoded(FILES["two"])
    assert kept.value.reason == Reason.SEVERAL_PICTURES


def test_the_size_is_held_against_the_limit_before_anything_is_decoded() -> None:
    with pytest.raises(BadPicture, match="more than the limit"):
        decode_picture(FILES["plain"], also=("heic",), max_pixels=1000)


def test_a_file_cut_in_its_pixels_is_kept_as_damaged() -> None:
    data = FILES["plain"]
    for cut in (1, 50, 200):
        with pytest.raises(NotForJpeg2000) as kept:
            decoded(data[:-cut])
        assert kept.value.reason == Reason.DAMAGED


@given(st.data())
def test_damage_ends_in_a_result_or_a_reason(data: st.DataObject) -> None:
    """In the isolated decoder, as in a run: libheif has crashed on damaged files."""
    damaged = bytearray(FILES["plain"])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(12, 700))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(100, len(damaged)))])
    with contextlib.suppress(BadPicture, NotForJpeg2000, DecoderFailed):
        client.decode_picture(cut, Limits(), also=("heic",))
