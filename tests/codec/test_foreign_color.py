"""Tests other programs' JPEG 2000 files: colors are converted correctly, or refused by name."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import allocation
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.file import decode_file
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.walk import JP2_START

RGB = np.random.default_rng(0).integers(0, 256, (21, 17, 3), dtype=np.uint8)
GRAY_PROFILE = struct.pack(">I", 132) + bytes(12) + b"GRAYXYZ " + bytes(12) + b"acsp" + bytes(92)
ALPHA = np.linspace(0, 255, 17).astype(np.uint8)[None, :, None].repeat(21, 0)


def foreign(
    pixels: NDArray[Any], space: int, kinds: tuple[int, ...] = (), codestreams: int = 1, colr: bytes = b""
) -> bytes:
    """A lossless JP2 of an enumerated color space; `kinds` of its channels as a channel definition."""
    height, width, channels = pixels.shape
    coded = allocation.encode(Encoder(pixels, coding=Coding(reversible=True)).whole(1))
    header = pack_box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, 7, 7, 0, 0))
    header += pack_box(b"colr", colr or struct.pack(">BBBI", 1, 0, 0, space))
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
        (lambda: foreign(np.dstack([RGB, ALPHA]), 16), "channel 4 is undefined"),
        (lambda: foreign(np.dstack([RGB[:, :, :1], ALPHA]), 17), "channel 2 is undefined"),
        (lambda: foreign(np.dstack([RGB, ALPHA]), 16, (0, 0, 0, 0xFFFF)), "channel"),
        (lambda: foreign(RGB, 16, codestreams=2), "2 pictures"),
        (lambda: foreign(RGB, 17), "gray picture with 3 color"),
        (lambda: foreign(RGB[:, :, :1], 16), "color picture with 1 color"),
        (lambda: foreign(RGB, 17, (0, 1, 1)), "1 color and 2 opacity"),
        (lambda: foreign(np.dstack([RGB, ALPHA]), 17, (0, 1, 1, 1)), "1 color and 3 opacity"),
        (lambda: foreign(RGB, 0, colr=b"\5\0\0\0\x09\0\x10\0\0\x80"), "method 5"),
        (lambda: foreign(RGB, 0, colr=b"\4\0\0vendor"), "method 4"),
        (lambda: foreign(RGB, 0, colr=b"\2\0\0" + GRAY_PROFILE), "gray picture with 3 color"),
    ],
)
def test_what_would_be_shown_wrong_is_refused_by_name(data: Any, words: str) -> None:
    with pytest.raises(UnsupportedCodestream, match=words):
        decode_file(data())


def with_boxes(
    data: bytes, definition: tuple[tuple[int, int, int], ...] = (), layers: tuple[bytes, ...] = ()
) -> bytes:
    """A file with another channel definition, and compositing layers behind its header box."""
    at = data.index(b"jp2h") - 4
    end = at + int.from_bytes(data[at : at + 4])
    inner = data[at + 8 : end]
    if definition:
        inner = inner[: inner.index(b"cdef") - 4]
        entries = b"".join(struct.pack(">3H", *entry) for entry in definition)
        inner += pack_box(b"cdef", struct.pack(">H", len(definition)) + entries)
    return (
        data[:at] + pack_box(b"jp2h", inner) + b"".join(pack_box(b"jplh", one) for one in layers) + data[end:]
    )


def test_channels_that_are_defined_unclearly_are_refused() -> None:
    data = foreign(np.dstack([RGB, ALPHA]), 16, (0, 0, 0, 1))
    reversed_colors = with_boxes(data, ((0, 0, 3), (1, 0, 2), (2, 0, 1), (3, 1, 0)))
    np.testing.assert_array_equal(decode_file(reversed_colors).decoded.pixels[:, :, :3], RGB[:, :, ::-1])
    for last, words in (((3, 1, 2), "opacity of color 2"), ((3, 1, 0), "defined as")):
        second = (1, 0, 1 if last[2] == 0 else 2)
        with pytest.raises(UnsupportedCodestream, match=words):
            decode_file(with_boxes(data, ((0, 0, 1), second, (2, 0, 3), last)))


def test_the_color_of_a_compositing_layer_counts() -> None:
    def group(space: int) -> bytes:
        return pack_box(b"cgrp", pack_box(b"colr", struct.pack(">BBBI", 1, 0, 0, space)))

    data = foreign(RGB, 16)
    np.testing.assert_array_equal(decode_file(with_boxes(data, layers=(group(16),))).decoded.pixels, RGB)
    for layers, words in (
        ((group(14),), "CIELab"),
        ((group(16), group(16)), "has 2 compositing layers"),
        ((pack_box(b"opct", b"\0"),), "opacity of a compositing layer"),
    ):
        with pytest.raises(UnsupportedCodestream, match=words):
            decode_file(with_boxes(data, layers=layers))
