"""Every byte of a PNG: carried, named, or reason enough to keep the file."""

from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import png_parts
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture, encode_picture
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
def test_a_payload_after_the_picture_keeps_the_file(behind: bytes, reason: Reason) -> None:
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


LARGE = np.random.default_rng(1).bytes(100_000)


@pytest.mark.parametrize("kind", sorted(png_parts.CHUNKS))
@pytest.mark.parametrize("content", [b"", b"\1\2\3", b"name\0\0\0\0\0few", LARGE])
def test_every_known_chunk_is_carried_named_or_keeps_the_file_whatever_its_size_and_number(
    kind: bytes, content: bytes
) -> None:
    for number in (1, 2):
        planted = b"".join(chunk(kind, content) for _ in range(number))
        try:
            picture = decode_picture(PLAIN[:33] + planted + PLAIN[33:])
        except (NotForJpeg2000, BadPicture):
            continue
        if kind == b"IEND":
            continue  # what follows it is after the picture
        known = png_parts.CHUNKS[kind]
        name = known.name if kind not in (b"tEXt", b"zTXt", b"iTXt") else "texts"
        said = " ".join(picture.metadata_problems)
        carried = bool(picture.metadata.texts) and content != LARGE
        small = 12 + len(content) <= (known.most or 0) and number == 1
        assert name in said or carried or small or not content


def test_a_second_text_of_a_kind_that_is_held_once_is_named() -> None:
    def xmp(packet: bytes) -> bytes:
        return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)

    one, other = xmp_packet(), xmp_packet().replace(b"Ada", b"Eve")
    picture = decode_picture(PLAIN[:33] + xmp(one) + xmp(other) + PLAIN[33:])
    assert picture.metadata.xmp == one
    assert picture.metadata_problems == (f"a second XMP: {len(other)} bytes",)
    assert decode_picture(PLAIN[:33] + xmp(one) + xmp(one) + PLAIN[33:]).metadata_problems == ()


def raw_profile(kind: str, profile: bytes) -> bytes:
    text = f"\n{kind}\n{len(profile):8}\n{profile.hex()}\n".encode()
    return chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text))


def test_photoshop_thumbnails_in_a_raw_profile_are_named() -> None:
    resources = b"8BIM\x04\x0c\0\0\0\0\0\x0athumbnail!" + b"8BIM\x04\x04\0\0\0\0\0\6\x1c\x02\x78\0\1a"
    picture = decode_picture(PLAIN[:33] + raw_profile("8bim", resources) + PLAIN[33:])
    assert picture.metadata.iptc == b"\x1c\x02\x78\0\1a"
    assert picture.metadata_problems == ("Photoshop thumbnail: 10 bytes",)


def test_the_language_and_the_translated_keyword_of_a_text_are_named() -> None:
    text = chunk(b"iTXt", b"Title\0\0\0de\0Titel\0" + "Grüße".encode())
    picture = decode_picture(PLAIN[:33] + text + PLAIN[33:])
    assert picture.metadata.texts == (("Title", "Grüße"),)
    assert picture.metadata_problems == (
        "language of texts: 'Title' (2 bytes)",
        "translated keyword of texts: 'Title' (5 bytes)",
    )


@pytest.mark.parametrize("kind", [b"zTXt", b"caBX"])
def test_large_chunks_that_cannot_be_read_keep_the_file(kind: bytes) -> None:
    assert kept_for(PLAIN[:33] + chunk(kind, b"name\0\0" + LARGE) + PLAIN[33:])


def test_compressed_texts_share_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_parts, "_MOST_TEXT", 100_000)
    chunks = b"".join(chunk(b"zTXt", b"t%d\0\0" % n + zlib.compress(bytes(40_000))) for n in range(4))
    read: list[int] = []
    real = png_parts.inflated

    def noted(data: bytes, most: int) -> bytes:
        read.append(most)
        return real(data, most)

    monkeypatch.setattr(png_parts, "inflated", noted)
    with contextlib.suppress(NotForJpeg2000):
        decode_picture(PLAIN[:33] + chunks + PLAIN[33:])
    assert read == [100_000, 60_000, 20_000, 20_000]


def test_a_png_in_apples_own_form_is_kept() -> None:
    assert kept_for(PLAIN[:8] + chunk(b"CgBI", b"P\0 \2") + PLAIN[8:]).reason == Reason.NOT_READ


def test_pixels_that_are_not_square_are_named() -> None:
    data = picture_files.png(sample(7, 9, 3), {b"pHYs": struct.pack(">IIB", 1, 2, 0)})
    assert decode_picture(data).metadata_problems == (
        "shape of pixels that are not square: 2 to 1 (8 bytes)",
    )


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
        assert "bytes after the picture" in said
