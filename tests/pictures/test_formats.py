"""Tests every format in and out: pixels, orientation, metadata, and refusals with their reasons."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any, get_args

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.color import fitting
from foveate.pictures.formats import (
    PICTURE_EXTENSIONS,
    BadPicture,
    NotForJpeg2000,
    Picture,
    PictureFormat,
    as_it_should_be_seen,
    decode_picture,
    encode_picture,
    extension,
    jpeg_bytes,
)
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, icc_profile, sample, xmp_packet
from tests.tools import tool

GOOD, KEPT, BROKEN = (
    picture_files.good_pictures(),
    picture_files.kept_pictures(),
    picture_files.broken_pictures(),
)
FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
NOTHING = PhotoMetadata()


def pillow_pixels(data: bytes) -> Any:
    """Upright (H, W, C) pixels as Pillow reads them."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    pixels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_picture_decodes_to_a_contiguous_array_of_its_depth(name: str) -> None:
    picture = decode_picture(GOOD[name])
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.dtype == (np.uint16 if "-16." in name else np.uint8)
    assert picture.bit_depth == (16 if "-16." in name else 8)
    assert picture.metadata_problems == ()
    assert Path(name).suffix in PICTURE_EXTENSIONS


@pytest.mark.parametrize("name", [name for name in GOOD if "-16." not in name])
def test_eight_bit_pixels_are_those_that_pillow_reads(name: str) -> None:
    np.testing.assert_array_equal(decode_picture(GOOD[name]).pixels, pillow_pixels(GOOD[name]))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_and_png_give_every_sample_as_it_is(channels: int, bits: int, order: str) -> None:
    pixels = sample(11, 17, channels, bits)
    np.testing.assert_array_equal(decode_picture(picture_files.tiff(pixels, order)).pixels, pixels)
    np.testing.assert_array_equal(decode_picture(picture_files.png(pixels)).pixels, pixels)


@pytest.mark.parametrize("name", KEPT)
def test_a_file_that_should_not_become_jpeg2000_is_named_and_kept(name: str) -> None:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(KEPT[name])
    assert caught.value.reason == picture_files.REASONS[name]
    assert Path(name).suffix in PICTURE_EXTENSIONS


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_bad_picture(name: str) -> None:
    with pytest.raises(BadPicture):
        decode_picture(BROKEN[name])


def test_the_reasons_are_sentences() -> None:
    for data, reason in (
        (b"", "the file is empty"),
        (b"hello world", "not a picture in a known format: it starts with b'hello wo'"),
        (KEPT["no-end.jpg"], "a damaged JPEG (it has no end marker)"),
        (KEPT["floating.tif"], "a floating-point TIFF"),
        (KEPT["phone.heic"], "HEIC is only decoded on request (--also heic)"),
    ):
        with pytest.raises((BadPicture, NotForJpeg2000)) as caught:
            decode_picture(data)
        assert str(caught.value) == reason


def test_every_cut_of_a_file_whose_directory_comes_last_is_a_bad_picture() -> None:
    data = GOOD["color.tif"]
    for end in range(0, len(data) - 8, max(1, len(data) // 40)):
        with pytest.raises(BadPicture):
            decode_picture(data[:end])


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("color.jpg", b"\xff\xda"), ("color-16.png", b"IDAT"), ("color.webp", b"VP8"), ("color.avif", b"mdat")],
)
def test_a_cut_file_is_kept_as_damaged_as_soon_as_it_has_pixels(name: str, pixels: bytes) -> None:
    data = GOOD[name]
    kept = 0
    for end in range(0, len(data) - 1, 13):
        with pytest.raises((BadPicture, NotForJpeg2000)) as caught:
            decode_picture(data[:end])
        if isinstance(caught.value, NotForJpeg2000):
            kept += 1
            assert caught.value.reason == Reason.DAMAGED
        else:
            assert end < data.index(pixels) + 20
    assert kept > 10


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_raise_nothing_but_our_two_errors(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(GOOD)))
    damaged = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 600) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadPicture, NotForJpeg2000):
        decode_picture(bytes(damaged), max_pixels=1_000_000)


@pytest.mark.parametrize("name", GOOD)
def test_the_limit_is_held_against_the_header(name: str) -> None:
    height, width = decode_picture(GOOD[name]).pixels.shape[:2]
    decode_picture(GOOD[name], max_pixels=height * width)
    if height * width > 1:
        with pytest.raises(BadPicture, match=r"pixels, more than the limit of"):
            decode_picture(GOOD[name], max_pixels=height * width - 1)


def test_a_huge_picture_is_refused_before_its_pixels_are_read() -> None:
    header = struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    with pytest.raises(BadPicture, match=r"1073741824 x 1073741824 = .* more than the limit of 500,000,000"):
        decode_picture(bomb, max_pixels=500_000_000)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_applied_and_its_tag_set_to_one(turn: int, format: str) -> None:
    stored, block = sample(23, 31, 3), exif_block(turn)
    data = {
        "JPEG": lambda: picture_files.jpeg(stored, exif=block),
        "PNG": lambda: picture_files.png(stored, {b"eXIf": block}),
        "TIFF": lambda: picture_files.tiff(stored, tags={274: (3, bytes([turn, 0])), 270: (2, b"x\0")}),
        "WEBP": lambda: picture_files.webp(stored, exif=block),
    }[format]()
    picture = decode_picture(data)
    np.testing.assert_array_equal(picture.pixels, pillow_pixels(data))
    assert picture.pixels.shape[:2] == ((31, 23) if turn > 4 else (23, 31))
    if format != "TIFF":
        assert picture.metadata.exif == exif_block(1)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_turns_of_an_avif_file_are_applied(turn: int) -> None:
    data = picture_files.avif(sample(24, 32, 3), exif=exif_block(turn))
    picture = decode_picture(data)
    np.testing.assert_array_equal(picture.pixels, pillow_pixels(data))


def test_an_orientation_in_the_xmp_packet_follows_the_pixels() -> None:
    data = picture_files.jpeg(sample(23, 31, 3), exif=exif_block(6), xmp=xmp_packet(6))
    assert decode_picture(data).metadata.xmp == xmp_packet(1)


def test_the_resolution_turns_with_the_picture() -> None:
    data = picture_files.jpeg(sample(23, 31, 3), exif=exif_block(6), dpi=(300, 150))
    assert decode_picture(data).metadata.dpi == (150, 300)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_broken_exif_is_named_and_never_costs_the_pixels(format: str) -> None:
    looped = bytearray(exif_block(6, thumbnail=True))
    struct.pack_into("<I", looped, len(looped) - 4, 8)
    for block, turned in ((b"garbage, no EXIF at all", False), (bytes(looped), True)):
        stored = sample(23, 31, 3)
        data = {
            "JPEG": lambda: picture_files.jpeg(stored, exif=block),  # noqa: B023
            "PNG": lambda: picture_files.png(stored, {b"eXIf": block}),  # noqa: B023
            "WEBP": lambda: picture_files.webp(stored, exif=block),  # noqa: B023
        }[format]()
        picture = decode_picture(data)
        assert picture.pixels.shape == ((31, 23, 3) if turned else (23, 31, 3))
        assert (picture.metadata.exif is not None) is turned
        assert picture.metadata_problems[0].startswith("EXIF")


def test_a_tiff_file_that_says_nothing_but_its_orientation_is_turned() -> None:
    data = picture_files.tiff(sample(23, 31, 3), tags={274: (3, b"\6\0")})
    np.testing.assert_array_equal(decode_picture(data).pixels, pillow_pixels(data))


def test_a_tiff_file_whose_exif_directory_is_broken_is_turned_all_the_same() -> None:
    data = picture_files.tiff(sample(23, 31, 3), tags={274: (3, b"\6\0"), 34665: (4, b"\xff\xff\xff\x7f")})
    picture = decode_picture(data)
    assert picture.pixels.shape == (31, 23, 3)
    assert picture.metadata_problems[0].startswith(
        "unknown EXIF directories (they cannot be read): it ends before byte"
    )


def test_broken_exif_in_an_avif_file_never_costs_the_pixels() -> None:
    good = picture_files.avif(sample(24, 32, 3), exif=exif_block(1))
    at = good.index(exif_block(None)[:8], 40)
    picture = decode_picture(good[: at + 8] + b"\xff\xff" + good[at + 10 :])
    assert picture.pixels.shape == (24, 32, 3)
    assert picture.metadata.exif is None
    assert picture.metadata_problems[0].startswith("EXIF: it cannot be read")


def test_what_cannot_be_carried_is_named() -> None:
    text = picture_files.png(sample(7, 9, 3), {b"tEXt": b"Comment\0hello", b"zTXt": b"broken\0\0not zlib"})
    picture = decode_picture(text)
    assert picture.metadata.texts == (("Comment", "hello"),)
    assert picture.metadata_problems == ("unknown texts (they cannot be read): 'broken' (16 bytes)",)
    commented = picture_files.jpeg(sample(7, 9, 3), comment=b"hello")
    assert decode_picture(commented).metadata.texts == (("Comment", "hello"),)


def test_palettes_and_bilevel_pictures_are_expanded() -> None:
    assert decode_picture(picture_files.palette_png()).pixels.shape == (9, 13, 3)
    assert decode_picture(picture_files.palette_png(transparent=True)).pixels.shape == (9, 13, 4)
    bilevel = decode_picture(picture_files.bilevel_png()).pixels
    assert bilevel.shape == (9, 13, 1)
    assert set(np.unique(bilevel)) == {0, 255}


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_of_grays_becomes_gray(format: str) -> None:
    gray = Image.fromarray(sample(9, 13, 1)[:, :, 0])
    picture = decode_picture(picture_files.saved(gray.convert("RGB").quantize(8), format))
    assert picture.pixels.shape == (9, 13, 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_files_of_pillow_are_read_as_pillow_reads_them(mode: str, compression: str) -> None:
    picture = picture_files.image(sample(9, 13, 3)).convert(mode)
    data = picture_files.saved(picture, "TIFF", compression=compression)
    np.testing.assert_array_equal(decode_picture(data).pixels, pillow_pixels(data))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_gray_tiff_files_of_few_bits_and_white_as_zero_are_read(bits: int, photometric: int) -> None:
    row_bytes = (13 * bits + 7) // 8
    packed = np.random.default_rng(bits).integers(0, 256, (9, row_bytes, 1), dtype=np.uint8)
    tags = {256: (4, struct.pack("<I", 13)), 258: (3, bytes([bits, 0])), 262: (3, bytes([photometric, 0]))}
    data = picture_files.tiff(packed, tags=tags)
    picture = decode_picture(data)
    np.testing.assert_array_equal(picture.pixels, pillow_pixels(data))
    assert picture.bit_depth == 8


def test_sixteen_bit_white_as_zero_is_inverted() -> None:
    pixels = sample(9, 13, 1, 16)
    data = picture_files.tiff(pixels, tags={262: (3, b"\0\0")})
    np.testing.assert_array_equal(decode_picture(data).pixels, 65535 - pixels)


def test_planar_tiff_is_interleaved() -> None:
    pixels = sample(9, 13, 3, 16)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(9, 13, 3)
    offsets = struct.pack("<3I", *(8 + plane * 9 * 13 * 2 for plane in range(3)))
    sizes = struct.pack("<3I", *[9 * 13 * 2] * 3)
    data = picture_files.tiff(planes, tags={284: (3, b"\2\0"), 273: (4, offsets), 279: (4, sizes)})
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)


def test_an_alpha_channel_that_tiff_calls_unspecified_is_kept() -> None:
    with pytest.raises(NotForJpeg2000, match="unknown meaning"):
        decode_picture(picture_files.tiff(sample(9, 13, 4), tags={338: (3, b"\0\0")}))


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_is_stretched_to_sixteen_bits_reversibly(bits: int) -> None:
    deep = sample(21, 33, 3, 16) >> (16 - bits)
    data = bytes(imagecodecs.avif_encode(deep, bitspersample=bits, level=100))
    picture = decode_picture(data)
    assert picture.bit_depth == bits
    assert picture.pixels.dtype == np.uint16
    peak = (1 << bits) - 1
    undone = np.round(picture.pixels * (peak / 65535)).astype(np.uint16)
    np.testing.assert_array_equal(undone, imagecodecs.avif_decode(data))


def test_a_twelve_bit_jpeg_is_kept_since_its_decoder_hides_damage() -> None:
    data = bytes(imagecodecs.jpeg8_encode(sample(21, 33, 1, 16)[:, :, 0] >> 4, bitspersample=12, level=98))
    with pytest.raises(NotForJpeg2000, match="12 bits") as caught:
        decode_picture(data)
    assert caught.value.reason == Reason.NOT_READ


def test_high_dynamic_range_png_is_kept() -> None:
    with pytest.raises(NotForJpeg2000, match="high dynamic range"):
        decode_picture(picture_files.png(sample(7, 9, 3, 16), {b"cICP": bytes([9, 16, 0, 1])}))


def test_a_few_bytes_after_the_end_of_a_jpeg_are_named() -> None:
    data = picture_files.jpeg(sample(23, 31, 3))
    picture = decode_picture(data + b"trailing bytes \xff\xd8")
    assert picture.pixels.shape == (23, 31, 3)
    assert picture.metadata_problems == ("unknown bytes after the picture: trailing.bytes.. (17 bytes)",)


# ---- writing


def carried() -> PhotoMetadata:
    """Metadata of every kind."""
    return PhotoMetadata(icc_profile(), exif_block(1), xmp_packet(), (300.0, 300.0))


def written(
    format: PictureFormat, channels: int, bits: int, metadata: PhotoMetadata
) -> tuple[Any, bytes, Picture]:
    pixels = sample(29, 37, channels, bits)
    data = encode_picture(pixels, metadata, format)
    return pixels, data, decode_picture(data)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_png_and_tiff_keep_every_bit_and_all_metadata(
    format: PictureFormat, bits: int, channels: int
) -> None:
    pixels, _, picture = written(format, channels, bits, carried())
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.metadata.icc == fitting(icc_profile(), channels)
    assert picture.metadata.xmp == xmp_packet()
    assert picture.metadata.dpi == pytest.approx((300, 300), rel=1e-4)
    assert picture.metadata.exif is not None
    assert picture.metadata_problems == ()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.booleans(), st.sampled_from(["png", "tiff"])
)
def test_everything_in_png_and_tiff_comes_back(
    height: int, width: int, channels: int, deep: bool, format: PictureFormat
) -> None:
    pixels = np.random.default_rng(height).integers(0, 65536 if deep else 256, (height, width, channels))
    typed = pixels.astype(np.uint16) if deep else pixels.astype(np.uint8)
    np.testing.assert_array_equal(decode_picture(encode_picture(typed, NOTHING, format)).pixels, typed)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (700, 900)])
def test_tiff_takes_any_size_in_either_byte_order(size: tuple[int, int], bits: int, order: str) -> None:
    pixels = sample(*size, 3, bits)
    data = encode_picture(pixels, PhotoMetadata(exif=exif_block(1, order)), "tiff")
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)
    if bits == 8:
        np.testing.assert_array_equal(pillow_pixels(data), pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_webp_is_lossless_unless_told_otherwise(channels: int, bits: int) -> None:
    pixels, data, picture = written("webp", channels, bits, carried())
    eight = pixels if bits == 8 else np.round(pixels / 257).astype(np.uint8)
    color = eight[:, :, :1].repeat(3, 2) if channels < 3 else eight[:, :, :3]
    np.testing.assert_array_equal(picture.pixels[:, :, :3], color)
    if channels in (2, 4) and picture.pixels.shape[2] == 4:
        np.testing.assert_array_equal(picture.pixels[:, :, 3], eight[:, :, -1])
    profile = fitting(icc_profile(), picture.pixels.shape[2])
    assert (picture.metadata.icc, picture.metadata.xmp) == (profile, xmp_packet())
    assert picture.metadata.dpi == (300, 300)
    assert len(encode_picture(pixels, carried(), "webp", quality=30)) < len(data)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_is_close_and_keeps_its_metadata(channels: int, bits: int) -> None:
    pixels, _, picture = written("jpeg", channels, bits, carried())
    assert np.abs(picture.pixels.astype(float) - pixels / (257 if bits == 16 else 1)).mean() < 2.5
    assert picture.metadata == dataclasses.replace(carried(), icc=fitting(icc_profile(), channels))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_is_close_and_keeps_its_metadata(channels: int) -> None:
    pixels, _, picture = written("avif", channels, 8, carried())
    shown = pixels[:, :, :1] if channels < 3 else pixels[:, :, :3]
    assert np.abs(picture.pixels[:, :, : shown.shape[2]].astype(float) - shown).mean() < 3
    profile = fitting(icc_profile(), picture.pixels.shape[2])
    assert (picture.metadata.icc, picture.metadata.xmp) == (profile, xmp_packet())
    assert picture.metadata.dpi == (300, 300)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_in_a_jpeg_is_refused_in_a_sentence(channels: int) -> None:
    with pytest.raises(ValueError, match="JPEG has no alpha channel"):
        encode_picture(sample(7, 9, channels), NOTHING, "jpeg")


def test_metadata_too_large_for_a_jpeg_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="the EXIF block of 70,000 bytes is more than a JPEG can hold"):
        encode_picture(sample(7, 9, 3), PhotoMetadata(exif=b"II*\0".ljust(70_000, b"\0")), "jpeg")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 1 to 4\) uint8 or uint16"):
        encode_picture(np.zeros((3, 4, 3)), NOTHING, "png")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 1 to 100"):
        encode_picture(sample(7, 9, 3), NOTHING, "jpeg", quality=0)
    with pytest.raises(ValueError, match="none of the formats"):
        encode_picture(sample(7, 9, 3), NOTHING, "bmp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of the formats"):
        extension("bmp")  # type: ignore[arg-type]


@pytest.mark.parametrize("format", FORMATS)
def test_written_files_have_extensions_that_are_matched(format: PictureFormat) -> None:
    assert extension(format) in PICTURE_EXTENSIONS
    assert decode_picture(encode_picture(sample(7, 9, 3), NOTHING, format)).format == format


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_picture_is_written_the_same_twice(format: PictureFormat) -> None:
    first, second = (encode_picture(sample(29, 37, 3), carried(), format) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("format", FORMATS)
def test_without_metadata_none_are_invented(format: PictureFormat) -> None:
    picture = written(format, 3, 8, NOTHING)[2]
    assert picture.metadata == NOTHING


TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("turn", TRANSPOSED)
def test_a_turned_jpeg_2000_file_of_others_becomes_an_upright_picture(turn: int) -> None:
    y, x = np.mgrid[0:40, 0:56]
    pixels = np.stack([x * 4, y * 6, np.where((x < 20) & (y < 10), 255, 0)], 2).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).transpose(TRANSPOSED[turn]))
    for stored in (
        PhotoMetadata(dpi=(300, 150), exif=exif_block(turn, thumbnail=True)),
        PhotoMetadata(dpi=(300, 150), xmp=xmp_packet(turn)),
    ):
        seen, metadata = as_it_should_be_seen(pixels, stored)
        assert np.array_equal(seen, expected)
        assert metadata.dpi == ((300, 150) if turn < 5 else (150, 300))
        for form in FORMATS if turn in (3, 6) else ("png",):
            again = decode_picture(encode_picture(seen, metadata, form)).pixels
            assert again.shape == expected.shape
            assert np.abs(again.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    "metadata",
    [
        PhotoMetadata(),
        PhotoMetadata(exif=exif_block(1)),
        PhotoMetadata(exif=exif_block(6), geo=b"II*\0" + bytes(20)),
    ],
)
def test_a_file_that_is_upright_or_may_not_be_turned_stays_as_it_is(metadata: PhotoMetadata) -> None:
    pixels = sample(9, 13, 3)
    assert as_it_should_be_seen(pixels, metadata) == (pixels, metadata)


def test_jpeg_bytes_is_the_size_of_pillows_jpeg() -> None:
    for channels, bits in ((1, 8), (2, 8), (3, 8), (4, 8), (3, 16), (4, 16)):
        pixels = sample(61, 83, channels, bits)
        eight = pixels if bits == 8 else np.round(pixels / 257).astype(np.uint8)
        plain = picture_files.image(eight[:, :, : 3 if channels > 2 else 1])
        expected = picture_files.saved(plain, "JPEG", quality=5, optimize=True, subsampling=2)
        assert abs(jpeg_bytes(pixels, 5) - len(expected)) <= 4
        assert jpeg_bytes(pixels, 5) < jpeg_bytes(pixels, 90)


# ---- as ExifTool sees it


def exiftool(data: bytes, folder: Path, name: str) -> dict[str, Any]:
    """Tags that ExifTool reads from a file, by group and name."""
    path = folder / name
    path.write_bytes(data)
    answer = subprocess.run(
        [tool("exiftool"), "-j", "-n", "-G1", "-a", path], capture_output=True, check=False
    )
    read: dict[str, Any] = json.loads(answer.stdout)[0]
    return read


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exiftool_reads_all_metadata_from_every_format(
    format: PictureFormat, bits: int, order: str, tmp_path: Path
) -> None:
    metadata = dataclasses.replace(carried(), exif=exif_block(1, order, thumbnail=True))
    data = encode_picture(sample(29, 37, 3, bits), metadata, format)
    read = exiftool(data, tmp_path, "picture" + extension(format))
    assert read["IFD0:ImageDescription"] == picture_files.DESCRIPTION
    assert read["ExifIFD:DateTimeOriginal"] == "2024:05:06 07:08:09"
    assert read["GPS:GPSLatitude"] == pytest.approx(59.358333)
    assert read["XMP-dc:Creator"] == picture_files.CREATOR
    assert read["ICC-header:ProfileClass"] == "mntr"
    if format == "png":
        assert read["PNG-pHYs:PixelsPerUnitX"] == 11811
    else:
        resolution = read.get("JFIF:XResolution", read.get("IFD0:XResolution"))
        assert resolution == 300
    assert "ExifTool:Error" not in read


@pytest.mark.parametrize("format", FORMATS)
def test_a_photo_goes_through_a_format_and_back_with_its_exif(format: PictureFormat, tmp_path: Path) -> None:
    source = decode_picture(GOOD["turned.jpg"])
    restored = decode_picture(encode_picture(source.pixels, source.metadata, format))
    again = encode_picture(restored.pixels, restored.metadata, "jpeg")
    read = exiftool(again, tmp_path, "again.jpg")
    assert read["IFD0:ImageDescription"] == picture_files.DESCRIPTION
    assert read["ExifIFD:DateTimeOriginal"] == "2024:05:06 07:08:09"
    assert read.get("IFD0:Orientation", 1) == 1


def test_a_jpeg_damaged_inside_is_kept_as_it_is() -> None:
    whole = picture_files.jpeg(sample(120, 160, 3))
    middle = whole.rindex(b"\xff\xda") + 900
    with pytest.raises(NotForJpeg2000, match=r"^a damaged JPEG \(Corrupt JPEG data: .*\)$"):
        decode_picture(whole[:middle] + whole[middle + 500 :])


def test_pixels_are_those_of_libjpeg_whatever_the_sampling() -> None:
    pixels = sample(61, 83, 3)
    for options in ({"subsampling": "4:1:1"}, {"subsampling": "4:4:4"}, {"keep_rgb": True}):
        data = picture_files.jpeg(pixels, **options)
        np.testing.assert_array_equal(decode_picture(data).pixels, imagecodecs.jpeg8_decode(data))
    unusual = bytearray(picture_files.jpeg(pixels, subsampling="4:4:4"))
    frame = unusual.index(b"\xff\xc0")
    for component, factors in enumerate((0x22, 0x12, 0x21)):
        unusual[frame + 11 + 3 * component] = factors
    end = unusual.rindex(b"\xff\xd9")
    data = bytes(unusual[:end] + bytes(4000) + b"\xff\xd9")  # there are more blocks now
    np.testing.assert_array_equal(decode_picture(data).pixels, imagecodecs.jpeg8_decode(data))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    whole = picture_files.jpeg(sample(33, 47, 3), progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    decode_picture(whole)
    with pytest.raises(BadPicture, match="more than 500 scans"):
        decode_picture(whole[:-2] + last * 600 + b"\xff\xd9")


def test_texts_without_number_are_carried_up_to_a_limit_and_named_in_part() -> None:
    chunks = b"".join(
        struct.pack(">I", len(body)) + b"tEXt" + body + struct.pack(">I", zlib.crc32(b"tEXt" + body))
        for body in (b"name %04d\0" % number for number in range(1100))
    )
    plain = picture_files.png(sample(9, 7, 3))
    picture = decode_picture(plain[:33] + chunks + plain[33:])
    assert len(picture.metadata.texts) == 1024
    (problem,) = picture.metadata_problems
    assert problem.startswith("unknown texts") and "'name 1024', " in problem and "and 64 more" in problem


def test_a_png_of_millions_of_empty_chunks_is_refused_before_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("foveate.pictures.png_parts._MOST_CHUNKS", 1000)
    with pytest.raises(BadPicture, match="more than 1,000 chunks up to byte 12,008"):
        decode_picture(b"\x89PNG\r\n\x1a\n" + bytes(12 * 2000))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"II\xbc\1" + bytes(40), "JPEG XR"),
        (b"P6\n4 4\n255\n" + bytes(48), "Netpbm"),
        (b"v/1\1" + bytes(40), "OpenEXR"),
        (b"\0\0\0\x18ftypj2ki\0\0\0\0j2kimif2" + bytes(40), "j2ki"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40), "isom"),
        (bytes(imagecodecs.jpegls_encode(sample(20, 30, 3))), "JPEG-LS"),
    ],
)
def test_pictures_of_other_formats_under_the_name_of_a_photo_are_kept(data: bytes, name: str) -> None:
    with pytest.raises(NotForJpeg2000, match=name) as kept:
        decode_picture(data)
    assert kept.value.reason is Reason.NOT_READ


def test_a_jpeg_that_only_some_programs_read_is_kept() -> None:
    data = picture_files.saved(picture_files.image(sample(20, 30, 3)), "JPEG")
    frame = data.index(b"\xff\xc0")
    unknown_height = data[: frame + 5] + bytes(2) + data[frame + 7 :]
    with pytest.raises(NotForJpeg2000, match="height"):
        decode_picture(unknown_height)
    with pytest.raises(NotForJpeg2000, match="damaged JPEG"):
        decode_picture(data[:2] + b"\xff\xf0\0\4ab" + data[2:])
