"""Tests every byte of a BMP, and its packed pixels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import icc_profile, sample
from tests.pictures.test_color import ADOBE, RGB, computed, shown

GRAYS = b"".join(bytes([n * 17, n * 17, n * 17, 0]) for n in range(16))


def bmp(
    width: int,
    height: int,
    bits: int,
    compression: int,
    pixels: bytes,
    extra: bytes = b"",
    size: int = 40,
    rest: bytes = b"",
) -> bytes:
    """A BMP of a header of `size` bytes (the last of them `rest`), `extra` (masks, palette), and pixels."""
    head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    head = (head + rest).ljust(size, b"\0") + extra
    at = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + head + pixels


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_plain_files_are_read_as_pillow_reads_them(mode: str) -> None:
    picture = picture_files.image(sample(9, 13, 3)).convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    pixels = decode_picture(picture_files.saved(picture, "BMP")).pixels
    np.testing.assert_array_equal(pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2), expected)


def test_a_bitmap_without_a_file_header_is_read() -> None:
    whole = picture_files.saved(picture_files.image(sample(9, 13, 3)), "BMP")
    np.testing.assert_array_equal(decode_picture(whole[14:]).pixels, sample(9, 13, 3))


@pytest.mark.parametrize("bits", [24, 32])
def test_a_palette_that_a_deep_bitmap_suggests_does_not_shift_its_pixels(bits: int) -> None:
    pixels = sample(4, 4, 3)
    stored = (
        pixels[::-1, :, ::-1]
        if bits == 24
        else np.dstack([pixels[::-1, :, ::-1], np.zeros((4, 4), np.uint8)])
    )
    data = bytearray(bmp(4, 4, bits, 0, stored.tobytes(), b"\xaa" * 20))
    struct.pack_into("<I", data, 14 + 32, 5)
    for whole in (data, data[14:]):
        picture = decode_picture(bytes(whole))
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.metadata_problems == ("unknown bytes between its parts: ........ (20 bytes)",)


@pytest.mark.parametrize("compression", [3, 4])
def test_compressions_that_mean_something_else_in_os2_keep_the_file(compression: int) -> None:
    with pytest.raises(NotForJpeg2000) as kept:
        decode_picture(bmp(8, 2, 1, compression, bytes(8), bytes(8), 64))
    assert "OS/2" in str(kept.value)


def test_a_palette_ends_where_the_pixels_begin() -> None:
    pixels = bytes([0, 1, 5, 0]) * 4
    head = struct.pack("<IHHHH", 12, 4, 4, 1, 8) + bytes([1, 2, 3, 40, 50, 60])
    data = b"BM" + struct.pack("<IHHI", 14 + len(head) + 16, 0, 0, 14 + len(head)) + head + pixels
    for more in (b"", b"\5" * 2000):
        np.testing.assert_array_equal(
            decode_picture(data + more).pixels[0], [[3, 2, 1], [60, 50, 40], [0, 0, 0], [3, 2, 1]]
        )


def test_a_bitmap_from_the_top_down_is_read() -> None:
    rows = sample(4, 4, 3)[:, :, ::-1].tobytes()
    np.testing.assert_array_equal(decode_picture(bmp(4, -4, 24, 0, rows)).pixels, sample(4, 4, 3))


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0xF800, 0x7E0, 0x1F, 0)),
        (16, (0xF00, 0xF0, 0xF, 0xF000)),
        (32, (0xFF, 0xFF00, 0xFF0000, 0)),
        (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    ],
)
@pytest.mark.parametrize("size", [40, 108])
def test_bit_fields_are_read(bits: int, masks: tuple[int, ...], size: int) -> None:
    words = np.random.default_rng(bits).integers(0, 1 << bits, (6, 4), dtype=np.uint32)
    stored = words[::-1].astype("<u2" if bits == 16 else "<u4").tobytes()
    channels = 4 if masks[3] else 3
    packed = struct.pack("<4I", *masks)
    kind = 6 if size == 40 and masks[3] else 3
    data = bmp(
        4,
        6,
        bits,
        kind,
        stored,
        packed[: 16 if kind == 6 else 12] if size == 40 else b"",
        size,
        packed + b"BGRs",
    )
    pixels = decode_picture(data).pixels
    assert pixels.shape == (6, 4, channels)
    for channel, mask in enumerate(masks[:channels]):
        shift = (mask & -mask).bit_length() - 1
        values = (words & mask) >> shift
        np.testing.assert_array_equal(pixels[:, :, channel], np.floor(values * 255 / (mask >> shift) + 0.5))


def test_run_lengths_of_four_and_eight_bits_are_read() -> None:
    # a run, stored pixels (odd, filled up), an end of row, a skip, another run
    eight = bytes([3, 5, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 1, 1, 2, 7, 0, 1])
    expected = np.zeros((4, 8), int)
    expected[3, :6] = [5, 5, 5, 1, 2, 3]
    expected[1, 1:3] = 7
    palette = GRAYS + bytes(4 * 240)
    np.testing.assert_array_equal(
        decode_picture(bmp(8, 4, 8, 1, eight, palette)).pixels[:, :, 0], expected * 17
    )
    four = bytes([5, 0x1A, 0, 3, 0xBC, 0xD0, 0, 0, 3, 0x77, 0, 1])
    expected = np.zeros((4, 8), int)
    expected[3] = [1, 10, 1, 10, 1, 11, 12, 13]
    expected[2, :3] = 7
    np.testing.assert_array_equal(decode_picture(bmp(8, 4, 4, 2, four, GRAYS)).pixels[:, :, 0], expected * 17)
    with pytest.raises(NotForJpeg2000, match="run lengths have no end"):
        decode_picture(bmp(8, 4, 4, 2, four[:-2], GRAYS))


def test_a_profile_in_a_v5_header_is_carried_and_a_linked_one_keeps_the_file() -> None:
    pixels, profile = bytes(16), icc_profile()
    offset = 124 + len(pixels)
    for kind, kept in ((b"DEBM", False), (b"KNIL", True)):
        rest = bytes(16) + kind + bytes(48) + struct.pack("<4I", 4, offset, len(profile), 0)
        data = bmp(4, 1, 32, 0, pixels, size=124, rest=rest) + profile
        if kept:
            with pytest.raises(NotForJpeg2000) as caught:
                decode_picture(data)
            assert caught.value.reason == Reason.COLOR
        else:
            assert decode_picture(data).metadata.icc == profile


def test_calibrated_color_of_a_v4_header_becomes_a_profile() -> None:
    points = [0.5767, 0.2974, 0.0270, 0.1856, 0.6274, 0.0707, 0.1882, 0.0753, 0.9913]  # Adobe RGB's XYZ
    rest = bytes(16) + bytes(4) + struct.pack("<9I", *(round(value * 2**30) for value in points))
    rest += struct.pack("<3I", *[round(2.2 * 65536)] * 3)
    metadata = decode_picture(bmp(4, 1, 32, 0, bytes(16), size=108, rest=rest)).metadata
    np.testing.assert_allclose(shown(RGB, metadata.icc), computed(RGB, ADOBE, 2.2), atol=1.5)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([40, 52, 56, 108, 124]))
def test_whatever_is_planted_is_named_or_keeps_the_file(between: bytes, behind: bytes, size: int) -> None:
    data = bytearray(bmp(4, 4, 24, 0, sample(4, 4, 3).tobytes(), between, size, bytes(16) + b"BGRs") + behind)
    try:
        said = " ".join(decode_picture(bytes(data)).metadata_problems)
    except NotForJpeg2000:
        return
    for planted, words in ((between, "between its parts"), (behind, "after the picture")):
        if planted.strip(b"\0") and planted.strip(b"\xff"):
            assert words in said


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_headers_raise_nothing_but_our_two_errors(data: st.DataObject) -> None:
    files: list[Any] = [bmp(8, 4, 4, 2, bytes([5, 0x1A, 0, 1]), GRAYS), bmp(4, 4, 24, 0, bytes(48), size=124)]
    damaged = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_picture(bytes(damaged), max_pixels=1_000_000)
    except (BadPicture, NotForJpeg2000) as error:
        assert str(error)


@pytest.mark.parametrize(
    ("bits", "compression", "words"),
    [(32, 11, "CMYK"), (0, 4, "JPEG or PNG"), (0, 5, "JPEG or PNG"), (24, 99, "99")],
)
def test_compressions_that_are_not_read_keep_the_file(bits: int, compression: int, words: str) -> None:
    with pytest.raises(NotForJpeg2000, match=words):
        decode_picture(bmp(4, 4, bits, compression, bytes(64)))


def test_color_that_a_header_states_in_unknown_ways_keeps_the_file() -> None:
    unknown, cut_off = (
        bytes(16) + b"ZZZZ",
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 9999, 500, 0),
    )
    for rest, size, words in ((unknown, 108, "unknown color space"), (cut_off, 124, "cut off")):
        with pytest.raises(NotForJpeg2000, match=words) as kept:
            decode_picture(bmp(4, 4, 24, 0, bytes(48), size=size, rest=rest))
        assert kept.value.reason is Reason.COLOR


def test_the_bit_that_plain_files_leave_unused_keeps_the_file_where_it_is_used() -> None:
    pixels = np.arange(16, dtype="<u2")
    assert decode_picture(bmp(4, 4, 16, 0, pixels.tobytes())).pixels.shape == (4, 4, 3)
    with pytest.raises(NotForJpeg2000, match="fourth channel"):
        decode_picture(bmp(4, 4, 16, 0, (pixels | (pixels & 1) << 15).tobytes()))
