"""Every byte of a WebP."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.pictures import webp
from foveate.pictures.formats import BadPicture, NotForJpeg2000, decode_picture
from foveate.pictures.reasons import Reason
from tests import picture_files
from tests.picture_files import exif_block, sample

PLAIN = picture_files.webp(sample(11, 17, 3), exif=exif_block(1))


def with_chunks(chunks: list[tuple[bytes, bytes]], data: bytes = PLAIN) -> bytes:
    """The chunks after the header's."""
    extra = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    body = data[12:30] + extra + data[30:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def test_large_unknown_chunks_and_a_trailing_payload_keep_the_file() -> None:
    large = bytes(range(256)) * 20
    for data in (with_chunks([(b"DEEP", large)]), PLAIN + large, PLAIN + picture_files.jpeg(sample(8, 8, 3))):
        with pytest.raises(NotForJpeg2000):
            decode_picture(data)


LOSSY = picture_files.saved(picture_files.image(sample(11, 17, 4)), "WEBP", exif=exif_block(1))


@pytest.mark.parametrize("kind", sorted(webp.CHUNKS))
@pytest.mark.parametrize("of_lossy", [False, True])
def test_every_known_chunk_is_carried_named_or_keeps_the_file_whatever_its_size_and_number(
    kind: bytes, of_lossy: bool
) -> None:
    for content in (b"few bytes more", np.random.default_rng(1).bytes(100_000)):
        for number in (1, 2):
            try:
                picture = decode_picture(
                    with_chunks([(kind, content)] * number, LOSSY if of_lossy else PLAIN)
                )
            except (NotForJpeg2000, BadPicture):
                continue
            metadata, said = picture.metadata, " ".join(picture.metadata_problems)
            held = content in (metadata.icc, metadata.exif, metadata.xmp, metadata.jumbf)
            assert held or webp.CHUNKS[kind].name in said
            assert number == 1 or "a second" in said


def test_a_second_picture_keeps_the_file() -> None:
    whole = picture_files.webp(sample(11, 17, 3)[::-1])
    with pytest.raises(NotForJpeg2000) as caught:
        decode_picture(with_chunks([(b"VP8L", whole[20:])]))
    assert caught.value.reason == Reason.SEVERAL_PICTURES


NAMES = st.text("abcdefgh", min_size=4, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=4), st.binary(max_size=100))
def test_whatever_is_planted_is_named_or_keeps_the_file(
    planted: list[tuple[str, bytes]], behind: bytes
) -> None:
    data = with_chunks([(name.encode(), content) for name, content in planted]) + behind
    assert sum(part.length for part in webp._walk(data)[1]) == len(data)
    try:
        said = " ".join(decode_picture(data).metadata_problems)
    except NotForJpeg2000:
        return
    assert all(name in said for name, _ in planted)
    if behind.strip(b"\0") and behind.strip(b"\xff"):
        assert "bytes after the picture" in said
