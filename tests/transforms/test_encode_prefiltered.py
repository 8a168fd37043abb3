"""Tests that a photo prefiltered by ComCNN is encoded again within the same budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.codec import jp2
from foveate.transforms.elements import CodedPhoto, PrefilteredPhoto
from foveate.transforms.encode import encode_plain
from foveate.transforms.encode_prefiltered import encode_prefiltered
from tests.photos import encoder, one, salient
from tests.transforms.test_encode import SHAPE, met, picture


def after_comcnn(prefiltered: Any) -> CodedPhoto:
    settings = encoder("bpp", 0.5, comcnn="auto")
    plain = one(encode_plain, salient(picture(*SHAPE)), settings)
    element = PrefilteredPhoto(plain, prefiltered, 0.5)
    assert element.source.url == "/in/trip/a.png"
    result: CodedPhoto = one(encode_prefiltered, element, settings)
    return result


def blurred() -> Any:
    pixels = picture(*SHAPE).astype(np.uint16)
    return ((pixels + np.roll(pixels, 1, 0) + 1) // 2).astype(np.uint8)


def test_without_a_prefiltered_photo_the_plain_file_stays() -> None:
    assert not after_comcnn(None).file.prefiltered


def test_a_prefiltered_photo_is_coded_in_its_place_with_the_same_budget() -> None:
    file = after_comcnn(blurred()).file
    assert file.prefiltered
    assert met(len(file.jp2), int(0.5 * SHAPE[0] * SHAPE[1] / 8))
    record = jp2.parse(file.jp2).record
    assert record is not None and record.prefiltered
    assert file.encode_seconds > 0.5
