"""Tests that every target is met, counting every byte."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec import jp2, openjpeg
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.formats import jpeg_bytes
from foveate.quality.psnr import psnr, psnr_s
from foveate.quality.saliency import resize_saliency
from foveate.transforms.elements import CodedFile, CodedPhoto, SalientPhoto
from foveate.transforms.encode import encode_plain
from tests import streams
from tests.photos import WEIGHTS, a_photo, corner, encoder, one, outputs, salient
from tests.picture_files import exif_block, exif_with_jpeg, icc_profile, xmp_packet
from tests.streams import texture

picture = functools.cache(texture)
SHAPE = (251, 330, 3)


def coded(photo: SalientPhoto, kind: str, value: float, **options: Any) -> CodedFile:
    result: CodedPhoto = one(encode_plain, photo, encoder(kind, value, **options))
    assert result.salient is photo and not result.archived
    candidate = result.file
    assert not candidate.prefiltered and candidate.encode_seconds > 0
    np.testing.assert_array_equal(candidate.decoded, openjpeg.decode(candidate.jp2).pixels)
    return candidate


def met(size: int, budget: int) -> bool:
    """Whether a budget was met from below within 1 %, or within the few bytes that one contribution takes."""
    return budget - max(0.01 * budget, 24) <= size <= budget


@pytest.mark.parametrize("layers", [1, 3])
def test_files_of_several_layers_have_no_thumbnail(layers: int) -> None:
    """Decoders that only look for markers would take its end for that of the picture."""
    photo = salient(picture(*SHAPE))
    metadata = PhotoMetadata(exif=exif_with_jpeg())
    photo = dataclasses.replace(photo, photo=dataclasses.replace(photo.photo, metadata=metadata))
    result: CodedPhoto = one(encode_plain, photo, encoder("bpp", 2, layers=layers))
    kept = jp2.parse(result.file.jp2).metadata.exif or b""
    assert b"A lighthouse" in kept
    assert (b"\xff\xd9" in kept) == (layers == 1)
    lost = () if layers == 1 else ("EXIF thumbnail: omitted from files with several layers",)
    assert result.salient.photo.metadata_problems == lost


@pytest.mark.parametrize("bpp", [0.05, 0.1, 0.25, 0.5, 1, 2, 4])
@pytest.mark.parametrize("saliency", [None, corner()], ids=["plain", "weighted"])
def test_bits_per_pixel_are_met_from_below(bpp: float, saliency: Any) -> None:
    pixels = picture(*SHAPE)
    result = coded(salient(pixels, saliency), "bpp", bpp)
    assert met(len(result.jp2), int(bpp * SHAPE[0] * SHAPE[1] / 8))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_gray_and_alpha_meet_their_bits_per_pixel_too(channels: int) -> None:
    pixels = picture(180, 133, channels)
    result = coded(salient(pixels if channels == 1 else streams.with_ramp(pixels)), "bpp", 0.75)
    assert met(len(result.jp2), int(0.75 * 180 * 133 / 8))
    assert result.decoded.shape == (180, 133, channels)


def test_sixteen_bits_meet_theirs() -> None:
    result = coded(salient(picture(130, 181, 3, 16)), "bpp", 2)
    assert met(len(result.jp2), 2 * 130 * 181 // 8)
    assert result.decoded.dtype == np.uint16


@settings(max_examples=12, deadline=None)
@given(bpp=st.floats(0.05, 4), gain=st.sampled_from([0.0, 6.0, 12.0]))
def test_no_budget_is_ever_exceeded(bpp: float, gain: float) -> None:
    photo = salient(picture(120, 177, 3), corner())
    results = outputs(encode_plain(photo, encoder("bpp", bpp, roi_gain_db=gain)))
    for result in results.get("", ()):
        assert len(result.file.jp2) <= bpp * 120 * 177 / 8


@pytest.mark.parametrize("ratio", [3, 10, 40])
def test_a_ratio_is_met_in_the_sources_bytes(ratio: float) -> None:
    result = coded(salient(picture(*SHAPE), source_bytes=90_001), "ratio", ratio)
    assert met(len(result.jp2), int(90_001 / ratio))


@pytest.mark.parametrize("target", [28, 33.3, 41, 46])
def test_a_psnr_is_reached_and_hardly_exceeded(target: float) -> None:
    pixels = picture(*SHAPE)
    result = coded(salient(pixels, corner()), "psnr", target)
    assert target <= psnr(pixels, result.decoded) <= target + 0.1


def test_a_psnr_beyond_all_layers_is_lossless() -> None:
    pixels = picture(97, 131, 3)
    result = coded(salient(pixels), "psnr", 90)
    assert result.noise is None
    np.testing.assert_array_equal(result.decoded, pixels)


@pytest.mark.parametrize("quality", [5, 50])
def test_a_jpeg_quality_is_as_many_bytes_as_that_jpeg(quality: int) -> None:
    pixels = picture(*SHAPE)
    result = coded(salient(pixels), "jpeg-quality", quality)
    assert met(len(result.jp2), jpeg_bytes(pixels, quality))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_lossless_is_bit_exact_for_every_kind(channels: int, bits: int) -> None:
    pixels = picture(61, 83, channels, bits)
    result = coded(salient(pixels, corner()), "lossless", 0)
    assert result.noise is None
    assert result.decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(result.decoded, pixels)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (900, 1, 4), (2, 3, 1)])
def test_the_smallest_and_thinnest_are_lossless_too(shape: tuple[int, int, int]) -> None:
    pixels = picture(*shape)
    result = coded(salient(pixels, source_bytes=10_000), "lossless", 0)
    np.testing.assert_array_equal(result.decoded, pixels)


def test_what_matters_gets_more_of_the_same_bytes() -> None:
    pixels = np.ascontiguousarray(skimage.data.coffee()[: SHAPE[0], : SHAPE[1]])
    plain, weighted = (coded(salient(pixels, map_), "bpp", 0.5) for map_ in (None, corner()))
    assert abs(len(plain.jp2) - len(weighted.jp2)) < 80
    weights = resize_saliency(corner(), *SHAPE[:2])
    assert psnr_s(pixels, weighted.decoded, weights) > psnr_s(pixels, plain.decoded, weights) + 0.6
    assert psnr(pixels, weighted.decoded) < psnr(pixels, plain.decoded)


def test_no_gain_makes_the_file_of_no_saliency() -> None:
    pixels = picture(*SHAPE)
    first = coded(salient(pixels, corner()), "bpp", 0.5, roi_gain_db=0.0)
    plain = coded(salient(pixels), "bpp", 0.5)
    assert psnr(pixels, first.decoded) == pytest.approx(psnr(pixels, plain.decoded), abs=0.1)


def test_the_same_photo_gives_the_same_bytes() -> None:
    pixels = picture(97, 131, 3)
    first, again = (coded(salient(pixels, corner()), "bpp", 1) for _ in range(2))
    assert first.jp2 == again.jp2


def test_the_file_says_what_made_it_and_has_the_metadata() -> None:
    pixels = picture(97, 131, 3)
    photo = SalientPhoto(
        a_photo(pixels, 60_000, icc=icc_profile(), exif=exif_block(), xmp=xmp_packet(), dpi=(300.0, 300.0)),
        corner(),
        0.1,
    )
    used = encoder("bpp", 3)
    parsed = jp2.parse(coded(photo, "bpp", 3).jp2)
    assert parsed.metadata == photo.photo.metadata
    record = parsed.record
    assert record is not None and record.saliency is not None
    assert record.made_of(bytes.fromhex(photo.photo.source_sha256))
    assert record.made_with(used.settings.digest(), WEIGHTS)
    assert not record.prefiltered and not record.plain_decode
    assert record.saliency[-1, -1] > 0.9 and record.saliency[0, 0] < 0.1


def test_the_noise_map_is_finer_where_it_matters() -> None:
    favored, even = (
        coded(salient(picture(*SHAPE), saliency), "bpp", 1).noise for saliency in (corner(), None)
    )
    assert favored is not None and even is not None and favored.shape == (32, 42, 4)
    assert favored[24:, 32:].mean() < 0.8 * even[24:, 32:].mean()


@pytest.mark.parametrize("side", [1, 2, 5, 8, 13, 21, 34, 55])
@pytest.mark.parametrize(("channels", "bits"), [(4, 8), (1, 8), (4, 16)])
def test_the_smallest_photos_are_coded_at_a_rate_they_have_room_for(
    side: int, channels: int, bits: int
) -> None:
    noise = np.random.default_rng(side).integers(0, 1 << bits, (side, side + 4, channels))
    pixels = noise.astype(np.uint8) if bits == 8 else noise.astype(np.uint16)
    pixels[:, :, 3:] = np.iinfo(pixels.dtype).max  # opaque
    bpp = 8 * 400 / (side * (side + 4)) + 2
    result = coded(salient(pixels, source_bytes=10**6), "bpp", bpp)
    assert len(result.jp2) <= bpp * side * (side + 4) / 8
