"""Tests where coded pixels end, and that bytes behind them are named."""

from __future__ import annotations

import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from foveate.pictures.coded_ends import (
    Rest,
    behind_packbits,
    behind_xz,
    behind_zlib,
    behind_zstd,
    end_of_lzw,
)
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from tests.picture_files import png
from tests.streams import texture

HIDDEN = b"hidden metadata"


@given(st.binary(max_size=9000), st.integers(1, 400), st.integers(0, 50))
@settings(deadline=None, max_examples=60)
def test_the_rest_of_zlib_data_is_counted(data: bytes, step: int, more: int) -> None:
    coded = zlib.compress(data) + b"x" * more
    pieces = [coded[at : at + step] for at in range(0, len(coded), step)]
    assert behind_zlib(pieces, len(data)) == Rest(more, 0)
    assert behind_zlib(pieces, len(data) // 2) == Rest(more, len(data) - len(data) // 2)
    assert behind_zlib([zlib.compress(data)[:-1]], len(data)) == Rest(0, 0)


CODERS: dict[str, tuple[Callable[[bytes, int], Rest], Callable[..., Any]]] = {
    "xz": (behind_xz, lzma.compress),
    "zstd": (behind_zstd, imagecodecs.zstd_encode),
    "packbits": (behind_packbits, imagecodecs.packbits_encode),
}


@pytest.mark.parametrize("coder", CODERS)
@given(st.binary(min_size=1, max_size=3000), st.integers(1, 30), st.integers(0, 50))
@settings(deadline=None, max_examples=40)
def test_the_rest_of_other_codes_is_counted(coder: str, data: bytes, times: int, more: int) -> None:
    count, encode = CODERS[coder]
    coded, size = bytes(encode(data * times)), len(data) * times
    assert count(coded + b"x" * more, size) == Rest(more, 0)
    assert count(coded + bytes(more), size) == Rest(0, 0)
    if coder != "packbits":
        assert count(coded, size - 1) == Rest(0, 1)
    elif size > 1:
        assert count(coded, size - 1).damage or coded[-2] == 0


@pytest.mark.parametrize("compression", ["zlib", "zstd", "lzma"])
def test_data_in_a_tiff_that_fail_their_own_check_keep_the_file(compression: str) -> None:
    file, pixels = io.BytesIO(), np.random.default_rng(4).integers(0, 256, (40, 50), np.uint8)
    tifffile.imwrite(file, pixels, compression=compression, metadata=None)
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        start = opened.pages.first.dataoffsets[0]
    # What cannot be compressed is stored as it is: only checks can tell. Zstandard's is optional.
    data[start + (1 if compression == "zstd" else 500)] ^= 1
    with pytest.raises(NotForJpeg2000, match="damaged TIFF"):
        decode_picture(bytes(data))


def test_padding_is_no_rest_and_broken_data_are_left_to_the_decoder() -> None:
    coded = zlib.compress(b"pixels")
    assert behind_zlib([coded + bytes(9), bytes(4)], 6) == Rest(0, 0)
    assert behind_zlib([b"no zlib"], 6) == Rest(
        0, 0, "Error -3 while decompressing data: incorrect header check"
    )
    assert behind_zlib([zlib.compress(bytes(1 << 26))], 6).decoded == 1 << 16


@given(st.binary(min_size=1, max_size=9000), st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_lzw_codes_of_a_tiff_end_with_their_mark(data: bytes, times: int) -> None:
    coded = bytes(imagecodecs.lzw_encode(data * times))
    end = end_of_lzw(coded + HIDDEN)
    assert end is not None and len(coded) - 1 <= end <= len(coded)
    assert end_of_lzw(coded[: end - 2]) is None


@pytest.mark.parametrize("colors", [2, 3, 16, 256])
@pytest.mark.parametrize("side", [3, 50, 300])
def test_lzw_codes_of_a_gif_end_with_their_mark(colors: int, side: int) -> None:
    data = gif(np.random.default_rng(side).integers(0, colors, (side, side), np.uint8))
    assert decode_picture(data).metadata_problems == ()
    at = data.rindex(b"\0;")
    hidden = data[:at] + bytes([len(HIDDEN)]) + HIDDEN + data[at:]
    problem = f"unknown bytes after the coded pixels: {len(HIDDEN)} bytes"
    assert decode_picture(hidden).metadata_problems == (problem,)


def gif(indices: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(indices, "P")
    image.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    image.save(file, "GIF")
    return file.getvalue()


def chunks_with(data: bytes, content: bytes) -> bytes:
    """A PNG with a chunk of pixels more, behind the others."""
    at = data.rindex(b"IEND") - 4
    checksum = zlib.crc32(b"IDAT" + content).to_bytes(4)
    return data[:at] + len(content).to_bytes(4) + b"IDAT" + content + checksum + data[at:]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_data_after_the_pixels_of_a_png_is_named(channels: int, bits: int) -> None:
    data = png(texture(13, 9, channels, bits))
    assert decode_picture(data).metadata_problems == ()
    problem = f"unknown bytes after the coded pixels: {len(HIDDEN)} bytes"
    assert decode_picture(chunks_with(data, HIDDEN)).metadata_problems == (problem,)
    assert decode_picture(chunks_with(data, bytes(9))).metadata_problems == ()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_interlaced_and_packed_pngs_have_no_rest(mode: str) -> None:
    for height, width in ((1, 1), (5, 3), (17, 30)):
        file = io.BytesIO()
        Image.fromarray(texture(height, width, 1)[:, :, 0]).convert(mode).save(file, "PNG")
        assert decode_picture(file.getvalue()).metadata_problems == ()


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "jpeg", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_data_after_the_pixels_in_a_strip_is_named(
    compression: str | None, tile: tuple[int, int] | None
) -> None:
    file = io.BytesIO()
    options = {"rowsperstrip": 8} if tile is None else {"tile": tile}
    tifffile.imwrite(
        file, texture(45, 37, 3), photometric="rgb", compression=compression, metadata=None, **options
    )
    data = file.getvalue()
    assert decode_picture(data).metadata_problems == ()
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        tags = opened.pages.first.tags
        name = "StripOffsets" if tile is None else "TileOffsets"
        offsets, counts = tags[name], tags[name.replace("Offsets", "ByteCounts")]
        start, length, last = offsets.value[-1], counts.value[-1], len(offsets.value) - 1
        wide = {3: 2, 4: 4}[counts.dtype]
        at, where = offsets.valueoffset + 4 * last, counts.valueoffset + wide * last
    moved = bytearray(data + data[start : start + length] + HIDDEN)
    moved[at : at + 4] = len(data).to_bytes(4, "little")
    moved[where : where + wide] = (length + len(HIDDEN)).to_bytes(wide, "little")
    moved[start : start + length] = bytes(length)
    (problem,) = decode_picture(bytes(moved)).metadata_problems
    assert "coded pixels" in problem
    assert int(re.findall(r"(\d+) bytes", problem)[0]) in (len(HIDDEN), len(HIDDEN) + 1)


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_data_after_the_codestream_of_a_jpeg_xl_is_named(boxed: bool, lossless: bool) -> None:
    codestream = bytes(imagecodecs.jpegxl_encode(texture(61, 83, 3), lossless=lossless))

    def lost(rest: bytes) -> tuple[str, ...]:
        data = codestream + rest
        if boxed:
            head = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
            data = head + (8 + len(data)).to_bytes(4) + b"jxlc" + data
        return decode_picture(data, also=("jxl",)).metadata_problems

    assert lost(b"") == lost(bytes(9)) == ()
    assert lost(HIDDEN) == (f"unknown bytes after the picture: hidden.metadata ({len(HIDDEN)} bytes)",)
    with pytest.raises(NotForJpeg2000, match="a video after the picture"):
        lost(b"\0\0\0\x18ftypmp42" + bytes(12) + HIDDEN)


@pytest.mark.parametrize("options", [{"quality": 80}, {"quality": 10}, {"lossless": True}])
@pytest.mark.parametrize("channels", [3, 4])
def test_data_after_the_pixels_of_a_webp_is_named(options: dict[str, int], channels: int) -> None:
    for side in (1, 40, 133):
        file = io.BytesIO()
        Image.fromarray(texture(side, side, channels)).save(file, "WEBP", **options)
        data = file.getvalue()
        assert decode_picture(data).metadata_problems == ()
        at = data.index(b"VP8L" if b"VP8L" in data else b"VP8 ") + 4
        size = int.from_bytes(data[at : at + 4], "little")
        rest = HIDDEN * 100
        content = data[at + 4 : at + 4 + size] + rest
        behind = data[at + 4 + size + size % 2 :]
        hidden = data[:at] + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2) + behind
        hidden = hidden[:4] + (len(hidden) - 8).to_bytes(4, "little") + hidden[8:]
        (problem,) = decode_picture(hidden).metadata_problems
        counted = int(re.findall(r"([\d,]+) bytes\)", problem)[0].replace(",", ""))
        assert len(rest) <= counted <= len(rest) + 16


def test_a_tiff_whose_strips_overlap_is_kept() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, texture(45, 37, 3), photometric="rgb", metadata=None, rowsperstrip=8)
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        offsets = opened.pages.first.tags["StripOffsets"]
    for index in range(len(offsets.value)):
        at = offsets.valueoffset + 4 * index
        data[at : at + 4] = offsets.value[0].to_bytes(4, "little")
    data = data[: offsets.value[1]]
    with pytest.raises(NotForJpeg2000, match="strips or tiles overlap"):
        decode_picture(bytes(data))
