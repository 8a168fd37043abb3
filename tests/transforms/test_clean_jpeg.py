"""Tests DnCNN on photos: which ones it cleans, and how photos are marked afterwards."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from foveate.models import dncnn
from foveate.pictures.formats import decode_picture
from foveate.quality.psnr import psnr
from foveate.storage.source import SourceFile
from foveate.transforms.clean_jpeg import clean_jpeg
from foveate.transforms.elements import Photo
from tests.streams import texture


def photo_of(file_format: str, quality: int = 10) -> Photo:
    file = io.BytesIO()
    Image.fromarray(texture(72, 88, 3)).save(file, file_format, quality=quality)
    picture = decode_picture(file.getvalue())
    source = SourceFile("a", "a", len(file.getvalue()), 0.0)
    return Photo(
        source=source,
        pixels=picture.pixels,
        metadata=picture.metadata,
        source_format=picture.format,
        bit_depth=8,
        source_sha256="",
        metadata_problems=(),
        read_seconds=0.0,
        jpeg_quality=picture.jpeg_quality,
    )


@pytest.mark.parametrize("quality", [5, 10, 37, 50, 75, 88, 95, 100])
def test_a_jpegs_quality_is_read_from_its_tables(quality: int) -> None:
    found = photo_of("JPEG", quality).jpeg_quality
    assert found == pytest.approx(quality, abs=1)


def test_a_coarse_jpeg_is_cleaned_and_says_how_far_that_went() -> None:
    photo = photo_of("JPEG", 10)
    cleaned = clean_jpeg(dncnn.load(), photo)
    assert (cleaned.pixels != photo.pixels).any()
    assert cleaned.cleaned_psnr_db == psnr(photo.pixels, cleaned.pixels)


@pytest.mark.parametrize(("file_format", "quality"), [("JPEG", 95), ("PNG", 10)])
def test_fine_jpegs_and_other_photos_stay_as_they_are(file_format: str, quality: int) -> None:
    photo = photo_of(file_format, quality)
    assert clean_jpeg(dncnn.load(), photo) is photo


def test_gray_jpegs_have_a_quality_too() -> None:
    file = io.BytesIO()
    Image.fromarray(texture(40, 40, 1)[..., 0]).save(file, "JPEG", quality=30)
    picture = decode_picture(file.getvalue())
    assert picture.pixels.shape == (40, 40, 1) and picture.jpeg_quality == pytest.approx(30, abs=1)
    assert np.isfinite(picture.jpeg_quality or np.nan)
