"""Tests that a page shows what was decoded."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from foveate.quality.overlay import heat
from foveate.reports.viewer.pictures import heat_uri, lossless_uri, thumbnail_uri, top_of
from foveate.reports.viewer.places import Place
from tests.streams import texture, with_ramp

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def opened(uri: str) -> Image.Image:
    head, _, coded = uri.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(coded)))
    assert head == f"data:image/{str(image.format).lower()};base64"
    return image


@pytest.mark.parametrize("channels", [1, 3])
def test_8_bit_pixels_are_kept_bit_for_bit_with_their_profile(channels: int) -> None:
    pixels = texture(61, 47, channels)
    image = opened(lossless_uri(pixels, PROFILE))
    assert image.info["icc_profile"] == PROFILE
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_of_16_bits_the_upper_8_are_shown_and_transparency_over_gray() -> None:
    deep = texture(20, 30, 3, 16)
    np.testing.assert_array_equal(np.asarray(opened(lossless_uri(deep, None))), deep >> 8)
    shown = np.asarray(opened(lossless_uri(with_ramp(texture(20, 30, 4)), None)))
    assert (shown[:, 0] == 128).all()


def test_a_photo_wider_than_webp_holds_is_shown_too() -> None:
    pixels = texture(2, 16_400, 3)
    np.testing.assert_array_equal(np.asarray(opened(lossless_uri(pixels, None))), pixels)


def test_a_thumbnail_shows_the_whole_photo() -> None:
    assert opened(thumbnail_uri(texture(300, 900, 2), PROFILE)).size == (320, 107)


def test_heat_has_a_pixel_per_cell_and_one_scale_for_all() -> None:
    maps = [np.linspace(0, top, 1200, dtype=np.float32).reshape(30, 40) for top in (1.0, 4.0)]
    most = top_of(maps)
    assert 3.9 < most < 4
    image = np.asarray(opened(heat_uri(maps[0], most, Place("", 80, 16, 160, 120))))
    assert image.shape == (15, 20, 3)
    expected = heat(np.sqrt(maps[0][2:17, 10:30] / np.float32(most)))
    assert np.abs(image.astype(int) - expected).max() <= 1
    brightest = np.asarray(opened(heat_uri(maps[1], most, Place("", 0, 0, 320, 240))))
    assert brightest[-1, -1].min() > 150
