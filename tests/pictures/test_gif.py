"""Every byte of a still GIF."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.pictures import gif
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import icc_profile, sample, xmp_packet

PLAIN = picture_files.saved(picture_files.image(sample(16, 19, 3)), "GIF")
FIRST = 13 + 3 * (2 << (PLAIN[10] & 7))  # behind the header and its palette


def sub_blocks(content: bytes) -> bytes:
    cut = [content[at : at + 255] for at in range(0, len(content), 255)]
    return b"".join(bytes([len(one)]) + one for one in cut) + b"\0"


def with_blocks(*blocks: bytes) -> bytes:
    return PLAIN[:FIRST] + b"".join(blocks) + PLAIN[FIRST:]


def application(name: bytes, content: bytes) -> bytes:
    return b"\x21\xff\x0b" + name + content


def test_comments_xmp_and_profiles_are_carried() -> None:
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    assert len(trailer) == 258
    data = with_blocks(
        b"\x21\xfe" + sub_blocks(b"hello"),
        application(b"XMP DataXMP", xmp_packet() + trailer),
        application(b"ICCRGBG1012", sub_blocks(icc_profile())),
    )
    picture = decode_picture(data)
    assert picture.metadata.texts == (("Comment", "hello"),)
    assert (picture.metadata.icc, picture.metadata.xmp) == (icc_profile(), xmp_packet())
    assert picture.metadata_problems == ()


def test_text_to_be_drawn_and_a_trailing_payload_keep_the_file() -> None:
    for data in (
        with_blocks(b"\x21\x01" + sub_blocks(bytes(12))),
        PLAIN + PLAIN,
        PLAIN + bytes(range(256)) * 20,
    ):
        with pytest.raises(NotForJpeg2000):
            decode_picture(data)


def test_a_gif_without_its_end_is_kept_as_damaged() -> None:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(PLAIN[:-1])
    assert caught.value.reason == Reason.DAMAGED


def test_xmp_in_ordinary_sub_blocks_is_joined() -> None:
    data = with_blocks(application(b"XMP DataXMP", sub_blocks(xmp_packet())))
    assert decode_picture(data).metadata.xmp == xmp_packet()


@pytest.mark.parametrize("frame", [(0, 0, 18, 16), (1, 0, 18, 16), (0, 0, 19, 15), (0, 0, 12000, 12000)])
def test_a_picture_that_is_not_as_large_as_its_screen_is_kept_before_it_is_decoded(
    frame: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile", None)
    at = 1 + next(block for block in gif._walk(PLAIN)[0] if block.name == "image").start
    data = PLAIN[:at] + struct.pack("<4H", *frame) + PLAIN[at + 8 :]
    with pytest.raises(NotForJpeg2000, match="on a screen of 19 x 16") as caught:
        decode_picture(data, max_pixels=1000)
    assert caught.value.reason == Reason.NOT_READ


def test_pixels_that_are_not_square_are_named() -> None:
    data = PLAIN[:12] + bytes([113]) + PLAIN[13:]
    assert decode_picture(data).metadata_problems == (
        "shape of pixels that are not square: 128 to 64 (8 bytes)",
    )


@pytest.mark.parametrize("name", [name for name in gif.PARTS if len(name) == 11])
def test_known_extensions_are_carried_named_or_keep_the_file_whatever_their_size_and_number(
    name: str,
) -> None:
    for content in (b"few bytes of it", np.random.default_rng(1).bytes(100_000)):
        for number in (1, 2):
            one = application(name.encode(), sub_blocks(content))
            try:
                picture = decode_picture(with_blocks(*[one] * number))
            except NotForJpeg2000:
                continue
            metadata, said = picture.metadata, " ".join(picture.metadata_problems)
            assert content in ((metadata.icc or b""), (metadata.xmp or b"")) or gif.PARTS[name].name in said
            assert number == 1 or "a second" in said or "unreadable" in said


NAMES = st.text("ABCDEFGHIJ", min_size=11, max_size=11)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=3), st.binary(max_size=100))
def test_whatever_is_planted_is_named_or_keeps_the_file(
    planted: list[tuple[str, bytes]], behind: bytes
) -> None:
    data = (
        with_blocks(*(application(name.encode(), sub_blocks(content)) for name, content in planted)) + behind
    )
    try:
        said = " ".join(decode_picture(data).metadata_problems)
    except NotForJpeg2000:
        return
    assert all(name in said for name, _ in planted)
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert "bytes after the picture" in said
