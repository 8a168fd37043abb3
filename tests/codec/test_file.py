"""Tests that each goal is met by whole files, and that files decode to the returned pixels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import file, jp2, openjpeg
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import BadCodestream, BudgetTooSmall
from foveate.codec.file import Boxes, Recipe
from foveate.codec.goals import AtLeast, AtMost, AtSlope, Lossless, decibels_of_similarity
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.quality.psnr import psnr
from foveate.quality.ssim import ssim
from tests import streams

SALIENCY = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
BOXES = Boxes(
    PhotoMetadata(xmp=b"<x/>", dpi=(300.0, 300.0)), ArchiveRecord(bytes(32), bytes(8), saliency=SALIENCY)
)


def picture(channels: int = 3, bits: int = 8) -> NDArray[Any]:
    return streams.texture(130, 170, channels, bits)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_lossless_file_is_the_photo(channels: int, bits: int) -> None:
    pixels = picture(channels, bits)
    encoded = file.encode_file(pixels, Recipe(Lossless()), BOXES)
    np.testing.assert_array_equal(encoded.pixels, pixels)
    assert encoded.noise is None
    found = file.decode_file(encoded.jp2)
    np.testing.assert_array_equal(found.decoded.pixels, pixels)
    assert found.noise is None and found.note == ""


@pytest.mark.parametrize("layers", [1, 3])
def test_bytes_count_with_all_boxes(layers: int) -> None:
    recipe = Recipe(AtMost(6000), Emphasis(SALIENCY, 12.0), layers=layers)
    encoded = file.encode_file(picture(), recipe, BOXES)
    assert 5940 <= len(encoded.jp2) <= 6000
    parsed = jp2.parse(encoded.jp2)
    assert parsed.metadata == BOXES.metadata
    assert parsed.record is not None and parsed.record.saliency is not None
    np.testing.assert_array_equal(openjpeg.decode(encoded.jp2).pixels, encoded.pixels)


def test_too_few_bytes_are_an_error() -> None:
    with pytest.raises(BudgetTooSmall):
        file.encode_file(picture(), Recipe(AtMost(150)), BOXES)


def test_a_slope_means_the_same_for_any_depth() -> None:
    shallow = file.encode_file(picture(), Recipe(AtSlope(800.0)))
    deep = file.encode_file(picture().astype(np.uint16) * 257, Recipe(AtSlope(800.0)))
    assert len(deep.jp2) == pytest.approx(len(shallow.jp2), rel=0.02)


def test_a_lower_slope_keeps_more() -> None:
    sizes = [len(file.encode_file(picture(), Recipe(AtSlope(slope))).jp2) for slope in (4000.0, 800.0, 100.0)]
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[1] < 0.5 * sizes[2]


@pytest.mark.parametrize("target", [28.0, 37.5])
def test_a_psnr_is_reached_by_little_more_than_it_takes(target: float) -> None:
    pixels = picture()
    goal = AtLeast(target, 0.05, functools.partial(psnr, pixels), target)
    encoded = file.encode_file(pixels, Recipe(goal), BOXES)
    assert target <= psnr(pixels, encoded.pixels) <= target + 0.05
    np.testing.assert_array_equal(openjpeg.decode(encoded.jp2).pixels, encoded.pixels)
    fewer = file.encode_file(pixels, Recipe(AtMost(int(0.98 * len(encoded.jp2)))), BOXES)
    assert psnr(pixels, fewer.pixels) < target


@pytest.mark.parametrize("target", [0.8, 0.95])
@pytest.mark.parametrize("effort", ["normal", "best"])
def test_a_similarity_is_reached_by_little_more_than_it_takes(target: float, effort: Any) -> None:
    pixels = picture()
    usual = 21 + decibels_of_similarity(target)
    goal = AtLeast(target, 0.001, functools.partial(ssim, pixels), usual, decibels_of_similarity)
    encoded = file.encode_file(pixels, Recipe(goal, effort=effort))
    assert target <= ssim(pixels, encoded.pixels) <= target + 0.005


def test_a_quality_that_only_the_photo_itself_has_is_lossless() -> None:
    pixels = picture(1)
    goal = AtLeast(200.0, 0.05, functools.partial(psnr, pixels), 200.0)
    encoded = file.encode_file(pixels, Recipe(goal))
    assert encoded.noise is None
    np.testing.assert_array_equal(encoded.pixels, pixels)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_noise_map_that_passes_give_is_that_of_the_file(layers: int) -> None:
    encoded = file.encode_file(picture(), Recipe(AtMost(7000), Emphasis(SALIENCY, 12.0), layers=layers))
    found = file.decode_file(encoded.jp2)
    assert encoded.noise is not None and found.noise is not None
    np.testing.assert_array_equal(found.noise, encoded.noise)
    if layers > 1:
        first = file.decode_file(encoded.jp2, layers=1)
        assert first.noise is not None and first.noise.mean() > found.noise.mean()


def test_a_reduced_decode_has_no_noise_map_and_says_so() -> None:
    encoded = file.encode_file(picture(), Recipe(AtMost(7000)))
    found = file.decode_file(encoded.jp2, reduce=1)
    assert found.noise is None and "reduced" in found.note
    assert found.decoded.pixels.shape == (65, 85, 3)


def test_without_memory_to_decode_it_back_a_file_is_not_called_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(data: bytes) -> None:
        raise BadCodestream("OpenJPEG rejects the data: Not enough memory")

    monkeypatch.setattr(openjpeg, "decode", refuse)
    with pytest.raises(MemoryError, match="not enough memory to decode"):
        file.encode_file(picture(), Recipe(AtMost(7000)))
