"""Tests color without a profile: as LittleCMS computes it from the file's numbers, to one level."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from foveate.codec.jp2_boxes import icc_is_restricted
from foveate.pictures import color, exif, icc
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, icc_profile, sample
from tests.tools import tool

ADOBE = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
WIDE = (34570, 35850, 73470, 26530, 11520, 82640, 15660, 1770)
RGB = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def shown(pixels: NDArray[Any], profile: bytes | None) -> NDArray[np.int32]:
    """sRGB of pixels by LittleCMS."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    source: Any = io.BytesIO(profile) if profile else ImageCms.createProfile("sRGB")
    found = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.asarray(found).astype(np.int32)


def computed(pixels: NDArray[Any], chromaticities: tuple[int, ...], gamma: float) -> NDArray[np.float64]:
    """sRGB of pixels from numbers, without profiles: linear light, Bradford's adaptation, clipped."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

    def matrix(values: tuple[float, ...]) -> NDArray[np.float64]:
        white, *primaries = (
            np.array([x / y, 1, (1 - x - y) / y]) for x, y in zip(values[::2], values[1::2], strict=True)
        )
        columns = np.stack(primaries, 1)
        scaled: NDArray[np.float64] = columns * np.linalg.solve(columns, white)
        gain = (bradford @ np.array([0.9642, 1, 0.8249])) / (bradford @ white)
        adapted: NDArray[np.float64] = np.linalg.inv(bradford) @ np.diag(gain) @ bradford @ scaled
        return adapted

    own = matrix(tuple(value / 1e5 for value in chromaticities))
    standard = matrix((0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))
    light = np.clip((pixels / 255.0) ** gamma @ (np.linalg.inv(standard) @ own).T, 0, 1)
    result: NDArray[np.float64] = 255 * np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return result


@pytest.mark.parametrize("chromaticities", [ADOBE, WIDE])
@pytest.mark.parametrize("gamma", [45455, 45470, 55556])
def test_gamma_and_primaries_of_a_png_become_a_profile(chromaticities: tuple[int, ...], gamma: int) -> None:
    data = picture_files.png(
        RGB, {b"gAMA": struct.pack(">I", gamma), b"cHRM": struct.pack(">8I", *chromaticities)}
    )
    profile = decode_picture(data).metadata.icc
    assert profile is not None and icc_is_restricted(profile, 3)
    expected = computed(RGB, chromaticities, 100_000 / gamma)
    assert np.abs(shown(RGB, profile) - np.rint(expected)).max() <= 1


def test_what_png_chunks_say_is_srgb_needs_no_profile() -> None:
    for chunks in ({b"sRGB": b"\0", b"gAMA": struct.pack(">I", 45455)}, {b"cICP": bytes([1, 13, 0, 1])}):
        assert decode_picture(picture_files.png(RGB, chunks)).metadata.icc is None


@pytest.mark.parametrize(
    "chunks",
    [
        {b"cICP": bytes([1, 8, 0, 1])},
        {b"cICP": bytes([9, 14, 9, 1])},
        {b"cICP": bytes([200, 13, 0, 1])},
        {b"gAMA": struct.pack(">I", 100_000)},
        {b"gAMA": struct.pack(">I", 45455), b"cHRM": bytes(32)},
    ],
)
def test_color_that_no_profile_says_exactly_keeps_the_file(chunks: dict[bytes, bytes]) -> None:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(picture_files.png(RGB, chunks))
    assert caught.value.reason == Reason.COLOR


def test_a_profile_counts_when_the_coding_says_nothing() -> None:
    iccp = b"p\0\0" + zlib.compress(icc_profile())
    for coding in (bytes([2, 2, 0, 1]), bytes(3)):
        data = picture_files.png(RGB, {b"cICP": coding, b"iCCP": iccp})
        assert decode_picture(data).metadata.icc == icc_profile()
    picture = decode_picture(picture_files.png(RGB, {b"cICP": bytes([12, 13, 0, 1]), b"iCCP": iccp}))
    assert picture.metadata.icc is not None and b"CICP 12/13" in picture.metadata.icc
    assert picture.metadata_problems == ("ICC profile: left out, since cICP counts for more",)


def test_a_profile_that_cannot_be_read_keeps_the_file() -> None:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(picture_files.png(RGB, {b"iCCP": b"p\0\0" + zlib.compress(icc_profile())[:-40]}))
    assert caught.value.reason == Reason.COLOR


@pytest.mark.parametrize("gray", [False, True])
def test_display_p3_by_code_points_is_what_lcms_makes_of_its_numbers(gray: bool) -> None:
    profile = color.of_cicp(12, 13, "a PNG", gray)
    if gray:
        assert profile is None  # sRGB's curve
        return
    assert profile is not None
    numbers = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    linear = np.where(RGB / 255 <= 0.04045, RGB / 255 / 12.92, ((RGB / 255 + 0.055) / 1.055) ** 2.4)
    expected = computed(255 * linear, numbers, 1.0)
    assert np.abs(shown(RGB, profile) - np.rint(expected)).max() <= 1


def test_a_gray_picture_with_an_rgb_profile_gets_the_gray_of_it() -> None:
    gray = sample(31, 45, 1)
    data = picture_files.jpeg(gray, icc_profile=icc_profile())
    picture = decode_picture(data)
    assert picture.metadata.icc is not None and icc_is_restricted(picture.metadata.icc, 1)
    expected = shown(picture.pixels.repeat(3, 2), icc_profile())
    assert np.abs(shown(picture.pixels, picture.metadata.icc) - np.rint(expected)).max() <= 1


def test_a_color_picture_with_a_gray_profile_is_kept_and_says_so() -> None:
    gray = icc.gray_profile(icc.gamma_curve(2.2), "gray")
    with pytest.raises(NotForJpeg2000, match="is for GRAY, but the image is RGB"):
        decode_picture(picture_files.jpeg(sample(9, 13, 3), icc_profile=gray))


@pytest.mark.parametrize("by", ["ColorSpace", "InteropIndex"])
def test_a_camera_that_says_adobe_rgb_in_exif_alone_is_believed(by: str, tmp_path: Any) -> None:
    path = tmp_path / "camera.jpg"
    path.write_bytes(picture_files.jpeg(RGB, exif=exif_block(1)))
    tags = ["-ColorSpace=2"] if by == "ColorSpace" else ["-ColorSpace=65535", "-InteropIndex=R03"]
    subprocess.run([tool("exiftool"), "-q", "-n", "-overwrite_original", *tags, str(path)], check=True)
    picture = decode_picture(path.read_bytes())
    assert picture.metadata.icc is not None
    expected = computed(RGB, ADOBE, 563 / 256)
    assert np.abs(shown(RGB, picture.metadata.icc) - np.rint(expected)).max() <= 1


def stated(red: tuple[float, float], gamma: float) -> bytes:
    """An EXIF block that states BT.2020's primaries, but for red, and a gamma."""

    def ratios(*values: float) -> exif.Value:
        packed = b"".join(struct.pack("<II", round(value * 10_000), 10_000) for value in values)
        return exif.Value(exif.RATIONAL, len(values), packed)

    camera = 8 + 2 + 3 * 12 + 4 + 8 * 8
    first = {318: ratios(0.3127, 0.329), 319: ratios(*red, 0.17, 0.797, 0.131, 0.046)}
    block = exif.block_of(first | {exif.EXIF_DIRECTORY: exif.long("<", camera)}, "<")
    assert len(block) == camera
    return block + exif._emit({0xA500: ratios(gamma)}, camera, "<", 0)


def test_primaries_by_exif_with_a_gamma_that_no_profile_states_keep_the_file() -> None:
    profile = decode_picture(picture_files.jpeg(RGB, exif=stated((0.708, 0.292), 2.2))).metadata.icc
    assert profile is not None
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(picture_files.jpeg(RGB, exif=stated((0.708, 0.292), 1.0)))
    assert caught.value.reason == Reason.COLOR
    assert decode_picture(picture_files.jpeg(RGB, exif=stated((0.9, 0.9), 1.0))).metadata.icc is None
