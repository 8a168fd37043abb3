"""Tests that photos not worth archiving as a JP2 are kept unchanged, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.archive.rows import KeptSource
from foveate.pictures.reasons import Reason
from foveate.transforms.elements import CodedPhoto, SalientPhoto
from foveate.transforms.encode import encode_plain
from foveate.transforms.read import KEPT
from tests import streams
from tests.photos import a_photo, encoder, outputs, salient
from tests.transforms.test_encode import SHAPE, coded, picture


@pytest.mark.parametrize(
    ("source_bytes", "reason"), [(4_000, Reason.NO_SAVING), (10_400, Reason.LITTLE_SAVING)]
)
def test_what_saves_too_little_is_kept(source_bytes: int, reason: Reason) -> None:
    photo = salient(picture(*SHAPE), source_bytes=source_bytes)  # 1 bit per pixel is 10,353 bytes
    (kept,) = outputs(encode_plain(photo, encoder("bpp", 1)))[KEPT]
    assert isinstance(kept, KeptSource)
    assert (kept.source, kept.source_sha256) == (photo.photo.source, photo.photo.source_sha256)
    assert kept.reason == reason and "JPEG 2000 would" in kept.detail


def test_an_alpha_channel_that_would_be_coarse_keeps_the_photo() -> None:
    pixels = streams.with_ramp(picture(*SHAPE[:2], 4))
    (fine,) = outputs(encode_plain(salient(pixels, source_bytes=10**6), encoder("bpp", 1)))[""]
    assert isinstance(fine, CodedPhoto)
    pixels[..., 3] = np.random.default_rng(0).integers(0, 256, pixels.shape[:2])
    (kept,) = outputs(encode_plain(salient(pixels, source_bytes=10**6), encoder("bpp", 1)))[KEPT]
    assert kept.reason == Reason.TRANSPARENCY


def test_what_saves_little_is_compressed_if_that_is_enough() -> None:
    assert coded(salient(picture(*SHAPE), source_bytes=10_400), "bpp", 1, min_saving=0.0)


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 13, 4)])
def test_a_target_without_room_for_the_picture_keeps_it(shape: tuple[int, int, int]) -> None:
    (kept,) = outputs(encode_plain(salient(picture(*shape)), encoder("bpp", 0.5)))[KEPT]
    assert kept.reason == Reason.NO_ROOM


def test_metadata_larger_than_the_budget_keep_the_file() -> None:
    photo = SalientPhoto(a_photo(picture(97, 131, 3), xmp=b"x" * 5000), None, 0.1)
    (kept,) = outputs(encode_plain(photo, encoder("bpp", 1)))[KEPT]
    assert kept.reason == Reason.NO_ROOM
