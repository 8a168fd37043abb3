"""Every byte of a PNG: carried, named, or reason enough to keep the file."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import png_parts
from foveate.pictures.formats import NotForJpeg2000, decode_picture, encode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, sample, xmp_packet

PLAIN = picture_files.png(sample(11, 17, 3))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def kept_for(data: bytes) -> NotForJpeg2000:
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(data)
    return caught.value


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (PLAIN, Reason.SEVERAL_PICTURES),
        (b"\0\0\0\x18ftypmp42", Reason.EXTRA_DATA),
        (bytes(range(256)) * 20, Reason.EXTRA_DATA),
    ],
)
def test_a_payload_behind_the_picture_keeps_the_file(behind: bytes, reason: Reason) -> None:
    assert kept_for(PLAIN + behind).reason == reason


def test_large_unknown_chunks_keep_the_file_and_small_ones_are_named() -> None:
    assert "mkBT" in str(kept_for(picture_files.png(sample(7, 9, 3), {b"mkBT": bytes(range(256)) * 40})))
    small = decode_picture(picture_files.png(sample(7, 9, 3), {b"mkBT": b"few"}))
    assert small.metadata_problems == ("unknown PNG chunks: mkBT (15 bytes)",)


def test_a_stereo_pair_keeps_the_file() -> None:
    assert kept_for(picture_files.png(sample(7, 9, 3), {b"sTER": b"\0"})).reason == Reason.SEVERAL_PICTURES


def test_texts_and_all_other_metadata_come_back_in_a_restored_png() -> None:
    metadata = PhotoMetadata(
        exif=exif_block(1),
        xmp=xmp_packet(),
        iptc=b"\x1c\x02\x78\0\x05hello",
        photoshop=b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16),
        jumbf=b"\0\0\0\x0cjumb1234",
        texts=(("Title", "Grüße"), ("Comment", "two\nlines")),
    )
    picture = decode_picture(encode_picture(sample(7, 9, 3), metadata, "png"))
    assert picture.metadata == metadata
    assert picture.metadata_problems == ()


def test_profiles_that_imagemagick_writes_as_text_are_read() -> None:
    def raw(kind: str, profile: bytes) -> bytes:
        return chunk(
            b"zTXt",
            f"Raw profile type {kind}".encode()
            + b"\0\0"
            + zlib.compress(f"\n{kind}\n{len(profile):8}\n{profile.hex()}\n".encode()),
        )

    extra = (
        raw("exif", b"Exif\0\0" + exif_block(6))
        + raw("xmp", xmp_packet())
        + raw("iptc", b"\x1c\x02\x78\0\1a")
    )
    picture = decode_picture(PLAIN[:33] + extra + PLAIN[33:])
    assert picture.pixels.shape == (17, 11, 3)
    assert (picture.metadata.exif, picture.metadata.xmp) == (exif_block(1), xmp_packet())
    assert picture.metadata.iptc == b"\x1c\x02\x78\0\1a"


def test_an_orientation_in_xmp_alone_turns_the_picture() -> None:
    text = b"XML:com.adobe.xmp\0\0\0\0\0"
    picture = decode_picture(picture_files.png(sample(7, 9, 3), {b"iTXt": text + xmp_packet(6)}))
    assert picture.pixels.shape == (9, 7, 3)
    assert picture.metadata.xmp == xmp_packet(1)
    both = picture_files.png(sample(7, 9, 3), {b"iTXt": text + xmp_packet(6), b"eXIf": exif_block(1)})
    assert decode_picture(both).pixels.shape == (7, 9, 3)  # EXIF counts for more


def test_a_flipped_bit_among_the_pixels_keeps_the_file_as_damaged() -> None:
    start = PLAIN.index(b"IDAT") + 4
    for at in range(start, len(PLAIN) - 12, 7):
        flipped = PLAIN[:at] + bytes([PLAIN[at] ^ 4]) + PLAIN[at + 1 :]
        assert kept_for(flipped).reason == Reason.DAMAGED


NAMES = st.text(st.sampled_from("abcxyzABCXYZ"), min_size=4, max_size=4).filter(
    lambda name: name.encode() not in png_parts.CHUNKS and name[0].islower()
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=200), st.integers(0, 10)), max_size=4),
    st.binary(max_size=100),
)
def test_whatever_is_planted_is_named_or_keeps_the_file(
    planted: list[tuple[str, bytes, int]], behind: bytes
) -> None:
    data = PLAIN
    for name, content, where in planted:
        chunks = png_parts.walk(data).chunks[1:]
        at = chunks[where % len(chunks)].start - 8
        data = data[:at] + chunk(name.encode(), content) + data[at:]
    data += behind
    walked = png_parts.walk(data)
    assert sum(part.length for part in walked.parts) == len(data)
    try:
        said = " ".join(decode_picture(data).metadata_problems)
    except NotForJpeg2000:
        return
    assert all(name in said for name, _, _ in planted)
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert "bytes behind the picture" in said
