"""Other people's JPEG 2000: colors converted right, or refused by name."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import allocation
from foveate.codec.block_coder import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.file import decode_file
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.walk import JP2_START

RGB = np.random.default_rng(0).integers(0, 256, (21, 17, 3), dtype=np.uint8)
ALPHA = np.linspace(0, 255, 17).astype(np.uint8)[None, :, None].repeat(21, 0)


def foreign(pixels: NDArray[Any], space: int, kinds: tuple[int, ...] = (), codestreams: int = 1) -> bytes:
    """A lossless JP2 of an enumerated color space; `kinds` of its channels as a channel definition."""
    height, width, channels = pixels.shape
    coded = allocation.encode(Encoder(pixels, coding=Coding(reversible=True)).whole(1))
    header = pack_box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, 7, 7, 0, 0))
    header += pack_box(b"colr", struct.pack(">BBBI", 1, 0, 0, space))
    if kinds:
        entries = [(n, kind, 0 if kind else n + 1) for n, kind in enumerate(kinds)]
        content = struct.pack(">H", len(kinds)) + b"".join(struct.pack(">3H", *entry) for entry in entries)
        header += pack_box(b"cdef", content)
    file_type = pack_box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return JP2_START + file_type + pack_box(b"jp2h", header) + pack_box(b"jp2c", coded) * codestreams


def test_straight_alpha_is_left_as_it_is() -> None:
    pixels = np.dstack([RGB, ALPHA])
    np.testing.assert_array_equal(decode_file(foreign(pixels, 16, (0, 0, 0, 1))).decoded.pixels, pixels)


def test_premultiplied_alpha_is_divided_out() -> None:
    multiplied = np.rint(RGB * (ALPHA / 255)).astype(np.uint8)
    pixels = decode_file(foreign(np.dstack([multiplied, ALPHA]), 16, (0, 0, 0, 2))).decoded.pixels
    np.testing.assert_array_equal(pixels[:, :, 3:], ALPHA)
    error = np.abs(pixels[:, :, :3].astype(int) - RGB) * (ALPHA / 255)
    assert error[ALPHA[:, :, 0] > 0].max() <= 1
    assert not pixels[:, 0, :3].any()  # where nothing is seen


def test_cmy_becomes_rgb() -> None:
    np.testing.assert_array_equal(decode_file(foreign(255 - RGB, 11)).decoded.pixels, RGB)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: foreign(np.dstack([RGB, ALPHA]), 12), "CMYK"),
        (lambda: foreign(RGB, 14), "CIELab"),
        (lambda: foreign(RGB, 21), "ROMM-RGB"),
        (lambda: foreign(RGB, 99), "color space 99"),
        (lambda: foreign(np.dstack([RGB, ALPHA]), 16), "what channel 4 is"),
        (lambda: foreign(np.dstack([RGB[:, :, :1], ALPHA]), 17), "what channel 2 is"),
        (lambda: foreign(np.dstack([RGB, ALPHA]), 16, (0, 0, 0, 0xFFFF)), "channel"),
        (lambda: foreign(RGB, 16, codestreams=2), "2 pictures"),
    ],
)
def test_what_would_be_shown_wrong_is_refused_by_name(data: Any, words: str) -> None:
    with pytest.raises(UnsupportedCodestream, match=words):
        decode_file(data())
