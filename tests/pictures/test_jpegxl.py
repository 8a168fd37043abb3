"""JPEG XL files: lossless and lossy ones, repacked JPEGs, and every box accounted for."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.pictures import exif
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.jpegxl import CONTAINER
from foveate.pictures.picture import Picture
from foveate.pictures.reasons import Reason
from tests.picture_files import exif_block, jpeg, sample, xmp_packet


def decoded(data: bytes) -> Picture:
    return decode_picture(data, also=("jxl",))


def coded(pixels: Any, **options: Any) -> bytes:
    samples = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return bytes(imagecodecs.jpegxl_encode(samples, **({"lossless": True} | options)))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def in_boxes(codestream: bytes, *boxes: bytes) -> bytes:
    brand = box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return CONTAINER + b"\r\n\x87\n" + brand + b"".join(boxes) + box(b"jxlc", codestream)


PLAIN = sample(33, 47, 3)
BARE = coded(PLAIN)


def test_a_jpeg_xl_is_kept_unless_it_is_asked_for() -> None:
    with pytest.raises(NotForJpeg2000) as kept:
        decode_picture(BARE)
    assert kept.value.reason == Reason.NOT_READ


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(33, 47), (32, 48), (64, 64), (9, 300)])
def test_lossless_files_are_read_bit_for_bit(channels: int, size: tuple[int, int]) -> None:
    pixels = sample(*size, channels)
    picture = decoded(coded(pixels))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.format, picture.bit_depth, picture.metadata.icc) == ("jpeg xl", 8, None)


@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_files_in_srgb_are_read(channels: int) -> None:
    pixels = sample(33, 47, channels)
    difference = decoded(coded(pixels, lossless=False, level=95)).pixels.astype(int) - pixels
    assert np.abs(difference).mean() < 4


def test_a_repacked_jpeg_is_what_it_was() -> None:
    original = jpeg(sample(53, 75, 3), exif=exif_block(6), xmp=xmp_packet())
    picture = decoded(bytes(imagecodecs.jpegxl_encode_jpeg(original, numthreads=1)))
    expected = decode_picture(original)
    np.testing.assert_array_equal(picture.pixels, expected.pixels)
    assert picture.metadata == expected.metadata
    assert (picture.format, picture.metadata_problems) == ("jpeg xl", ())


@pytest.mark.parametrize("packed", [False, True])
def test_exif_and_xmp_are_carried_packed_or_not(packed: bool) -> None:
    contents = ((b"Exif", bytes(4) + exif_block(6)), (b"xml ", xmp_packet(6)))
    boxes = [
        box(b"brob", kind + bytes(imagecodecs.brotli_encode(content))) if packed else box(kind, content)
        for kind, content in contents
    ]
    picture = decoded(in_boxes(BARE, *boxes))
    np.testing.assert_array_equal(picture.pixels, PLAIN)  # its own header says which way is up
    assert picture.metadata.exif is not None and exif.orientation(picture.metadata.exif) == 1
    assert picture.metadata.xmp is not None and b'Orientation="6"' not in picture.metadata.xmp


def test_packed_c2pa_becomes_a_box_that_others_read() -> None:
    content = box(b"jumd", b"c2pa" + bytes(13)) + box(b"json", b"{}")
    packed = box(b"brob", b"jumb" + bytes(imagecodecs.brotli_encode(content)))
    assert decoded(in_boxes(BARE, packed)).metadata.jumbf == box(b"jumb", content)
    assert decoded(in_boxes(BARE, box(b"jumb", content))).metadata.jumbf == box(b"jumb", content)


def test_a_packed_box_that_cannot_be_read_costs_no_pixels() -> None:
    picture = decoded(in_boxes(BARE, box(b"brob", b"Exif" + b"\xff" * 30)))
    np.testing.assert_array_equal(picture.pixels, PLAIN)
    assert picture.metadata_problems == ("unknown packed boxes (they cannot be read): Exif (42 bytes)",)


@pytest.mark.parametrize("data", [BARE, in_boxes(BARE)])
def test_a_file_cut_in_its_pixels_is_kept_as_damaged(data: bytes) -> None:
    for end in range(len(data) - len(BARE) + 400, len(data), 97):
        with pytest.raises(NotForJpeg2000) as kept:
            decoded(data[:end])
        assert kept.value.reason == Reason.DAMAGED


def test_a_second_packet_is_named_and_a_large_one_keeps_the_file() -> None:
    packet = box(b"xml ", xmp_packet())
    picture = decoded(in_boxes(BARE, packet, packet))
    assert picture.metadata_problems == (f"a second XMP: {len(packet)} bytes",)
    with pytest.raises(NotForJpeg2000):
        decoded(in_boxes(BARE, packet, box(b"xml ", xmp_packet() + bytes(range(1, 251)) * 40)))
    with pytest.raises(NotForJpeg2000):
        decoded(in_boxes(BARE, box(b"jxli", bytes(range(1, 251)) * 400)))


@given(st.text("abcxyzABCXYZ", min_size=4, max_size=4).map(str.encode), st.integers(0, 9000))
def test_whatever_is_planted_is_named_or_keeps_the_file(kind: bytes, size: int) -> None:
    try:
        picture = decoded(in_boxes(BARE, box(kind, bytes(range(1, 251)) * (size // 250) + b"x")))
    except NotForJpeg2000 as kept:
        assert kept.reason in (Reason.EXTRA_DATA, Reason.HIGH_DYNAMIC_RANGE)
    else:
        assert kind.decode() in " ".join(picture.metadata_problems)


@given(st.data())
def test_damage_raises_nothing_but_our_two_errors(data: st.DataObject) -> None:
    damaged = bytearray(in_boxes(BARE))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(12, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadPicture, NotForJpeg2000):
        decoded(bytes(damaged[: data.draw(st.integers(20, len(damaged)))]))
