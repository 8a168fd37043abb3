"""Every byte of a WebP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.pictures import webp
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from tests import picture_files
from tests.picture_files import exif_block, sample

PLAIN = picture_files.webp(sample(11, 17, 3), exif=exif_block(1))


def with_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The chunks after the header's."""
    extra = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    body = PLAIN[12:30] + extra + PLAIN[30:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def test_large_unknown_chunks_and_a_payload_behind_keep_the_file() -> None:
    large = bytes(range(256)) * 20
    for data in (with_chunks([(b"DEEP", large)]), PLAIN + large, PLAIN + picture_files.jpeg(sample(8, 8, 3))):
        with pytest.raises(NotForJpeg2000):
            decode_picture(data)


NAMES = st.text("abcdefgh", min_size=4, max_size=4)


@settings(max_examples=300, deadline=None)
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
        assert "bytes behind the picture" in said
