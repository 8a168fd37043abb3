"""Tests guarded decoding through OpenJPEG, for any encoder."""

from __future__ import annotations

import multiprocessing
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest

from foveate.codec import jp2, openjpeg
from foveate.codec.coding import Pixels
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.openjpeg.mended import mended
from tests import streams
from tests.tools import tool

SLOPES = (5000.0, 1500.0, 500.0, 150.0, 0.0)


def photo(height: int, width: int, channels: int, dtype: type = np.uint8) -> Pixels:
    """Gradients, an edge and some noise over the full range of the type."""
    rows, columns = np.mgrid[:height, :width]
    planes = [rows + 2 * columns, 3 * rows * (columns > width // 3), (rows * columns) % 97, 200 - rows]
    noise = np.random.default_rng(7).integers(0, 9, (height, width, channels))
    values = np.stack(planes[:channels], -1) + noise
    peak = np.iinfo(dtype).max
    return (np.clip(values, 0, 255) * (peak / 255)).astype(dtype)


def psnr_db(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], peak: int = 255) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float(10 * np.log10(peak**2 / max(error, 1e-12)))


def encode_planes(planes: Sequence[Pixels], steps: Sequence[tuple[int, int]]) -> bytes:
    """A lossless codestream of components on grids of different (horizontal, vertical) steps."""
    height, width = planes[0].shape
    grids = ":".join(f"{dx}x{dy}" for dx, dy in steps)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.raw", Path(folder) / "out.j2k"
        source.write_bytes(b"".join(plane.tobytes() for plane in planes))
        command = [tool("opj_compress"), "-i", str(source), "-o", str(target), "-n", "3", "-mct", "0"]
        command += ["-F", f"{width},{height},{len(planes)},8,u@{grids}"]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        return target.read_bytes()


@pytest.mark.parametrize("shape", [(65, 97, 3), (129, 64, 1)])
def test_an_independent_decoder_reads_tiles_and_their_thin_remainders(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    pixels = photo(*shape)
    (tmp_path / "tiles.j2k").write_bytes(streams.coded(pixels, reversible=True, tile_size=32, levels=3))
    raw = tmp_path / "tiles.raw"
    command = f"{tool('ffmpeg')} -v error -c:v jpeg2000 -i {tmp_path}/tiles.j2k -f rawvideo {raw}"
    run = subprocess.run(command.split(), capture_output=True, text=True, check=True)
    assert run.stderr == ""
    np.testing.assert_array_equal(np.fromfile(raw, np.uint8).reshape(shape), pixels)


def decoded_alike(data: bytes, **arguments: Any) -> openjpeg.Decoded:
    """Decodes tile by tile, and compares the result with lenient decoding of the whole."""
    tiles, whole = (openjpeg.decode(data, strict=strict, **arguments) for strict in (True, False))
    np.testing.assert_array_equal(tiles.pixels, whole.pixels)
    assert (tiles.pixels.dtype, tiles.bit_depth) == (whole.pixels.dtype, whole.bit_depth)
    assert (tiles.warnings, tiles.color_space) == (whole.warnings, whole.color_space)
    return tiles


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tile_by_tile_a_file_decodes_as_it_does_as_a_whole(channels: int, dtype: type) -> None:
    codestream = streams.coded(photo(65, 97, channels, dtype), slopes=SLOPES, tile_size=32, levels=3)
    for data in (codestream, jp2.wrap(codestream, metadata=PhotoMetadata(dpi=(300, 300)))):
        for reduce, layers in ((0, 0), (0, 2), (1, 0), (3, 1)):
            decoded = decoded_alike(data, reduce=reduce, layers=layers)
            assert decoded.pixels.shape == (-(-65 >> reduce), -(-97 >> reduce), channels)


@pytest.mark.parametrize(
    "options",
    ["-t 33,47 -TP R", "-t 64,64 -d 40,30 -T 33,17", "-t 50,50 -p CPRL -TP C", "-t 33,47 -r 20,5 -PLT -TLM"],
)
def test_tiles_of_another_encoder_decode_as_a_whole_does(options: str) -> None:
    codestream = streams.foreign(options)
    decoded = decoded_alike(codestream)
    assert decoded.pixels.shape == (97, 131, 3)
    assert decoded_alike(codestream, reduce=1).pixels.shape[2] == 3


def test_signed_tiles_and_those_of_a_few_bits_decode_as_a_whole_does() -> None:
    codestream = bytearray(streams.coded(photo(40, 50, 1), reversible=True, tile_size=32, levels=3))
    codestream[42] |= 0x80
    np.testing.assert_array_equal(decoded_alike(bytes(codestream)).pixels, photo(40, 50, 1))
    coarse = (photo(40, 50, 3) // 8).astype(np.uint8)
    few = streams.coded(coarse, reversible=True, tile_size=32, levels=3, bit_depth=5)
    np.testing.assert_array_equal(decoded_alike(few).pixels, coarse)


def test_a_missing_tile_and_a_missing_end_are_refused_or_stay_black() -> None:
    codestream = streams.coded(photo(40, 90, 3), tile_size=32, levels=3)
    last = codestream.rindex(b"\xff\x90\x00\x0a")
    with pytest.raises(BadCodestream, match="only 5 of 6 tiles are there"):
        openjpeg.decode(codestream[:last] + b"\xff\xd9")
    with pytest.raises(BadCodestream, match="too early"):
        openjpeg.decode(codestream[:last])
    decoded = openjpeg.decode(codestream[:last] + b"\xff\xd9", strict=False)
    assert decoded.pixels[:32].any() and not decoded.pixels[32:, 64:].any()


def test_a_file_that_moves_channels_is_not_decoded_as_coded() -> None:
    codestream = streams.coded(photo(40, 90, 4), reversible=True, tile_size=32, levels=3)
    data = bytearray(jp2.wrap(codestream, metadata=PhotoMetadata()))
    at = data.index(b"cdef") + 6
    first, third = at + 4, at + 16  # the associations of red and blue
    data[first : first + 2], data[third : third + 2] = data[third : third + 2], data[first : first + 2]
    decoded = decoded_alike(bytes(data)).pixels
    np.testing.assert_array_equal(decoded, photo(40, 90, 4)[:, :, [2, 1, 0, 3]])


def test_reduced_decoding_halves_the_sides_rounding_up() -> None:
    codestream = streams.coded(photo(37, 53, 3))
    assert openjpeg.decode(codestream, reduce=2).pixels.shape == (10, 14, 3)
    with pytest.raises(ValueError, match="leaves no resolution"):
        openjpeg.decode(codestream, reduce=20)


def test_a_picture_over_the_pixel_limit_is_refused_by_its_header_alone() -> None:
    codestream = streams.coded(photo(30, 40, 1))
    assert openjpeg.decode(codestream, max_pixels=1200).pixels.shape == (30, 40, 1)
    huge = bytearray(codestream)
    for offset in (8, 12, 24, 28):
        struct.pack_into(">I", huge, offset, 60_000)
    with pytest.raises(UnsupportedCodestream, match="60000 x 60000"):
        openjpeg.decode(bytes(huge), max_pixels=10**8)


def test_every_truncation_of_a_codestream_and_a_file_is_refused() -> None:
    codestream = streams.coded(photo(40, 50, 3), slopes=SLOPES)
    for data in (codestream, jp2.wrap(codestream, metadata=PhotoMetadata())):
        for cut in range(0, len(data), 5):
            with pytest.raises(BadCodestream):
                openjpeg.decode(data[:cut])
        with pytest.raises(BadCodestream):
            openjpeg.decode(data[:-1])


def test_a_cut_in_a_tile_part_s_first_marker_is_refused() -> None:
    codestream = streams.coded(photo(40, 50, 3))
    first = codestream.index(b"\xff\x90\x00\x0a")
    length = len(codestream) - first - 2
    twice = bytearray(codestream[:-2] + codestream[first:-2] + codestream[-2:])
    struct.pack_into(">IBB", twice, first + 6, length, 0, 2)
    with pytest.raises(BadCodestream, match="too early"):
        mended(bytes(twice[: first + length + 2]))


def test_without_strictness_what_is_left_of_a_codestream_is_decoded() -> None:
    pixels = photo(100, 100, 1)
    codestream = streams.coded(pixels, slopes=SLOPES)
    decoded = openjpeg.decode(codestream[: len(codestream) * 3 // 4], strict=False)
    assert decoded.warnings
    assert psnr_db(decoded.pixels, pixels) > 25


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=150, deadline=None)
def test_damaged_bytes_end_in_pixels_or_a_typed_error(data: st.DataObject) -> None:
    codestream = streams.coded(photo(20, 30, 3), slopes=(600.0, 0.0))
    damaged = bytearray(jp2.wrap(codestream, metadata=PhotoMetadata(dpi=(72, 72))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for strict in (True, False):
        try:
            assert openjpeg.decode(bytes(damaged), max_pixels=10**6, strict=strict).pixels.ndim == 3
        except (BadCodestream, UnsupportedCodestream) as error:
            assert str(error)


def test_anything_but_jpeg_2000_is_rejected_in_a_sentence() -> None:
    with pytest.raises(BadCodestream, match="begins with 89 50 4e 47"):
        openjpeg.decode(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(BadCodestream, match="nothing"):
        openjpeg.decode(b"")


def test_subsampled_chroma_is_repeated_and_turned_to_rgb() -> None:
    luma = np.full((8, 10), 100, np.uint8)
    blue, red = np.full((4, 5), 128, np.uint8), np.full((4, 5), 128, np.uint8)
    red[:, 2:] = 178
    decoded = openjpeg.decode(encode_planes([luma, blue, red], [(1, 1), (2, 2), (2, 2)]))
    assert decoded.color_space == "sycc"
    np.testing.assert_array_equal(decoded.pixels[:, :4], np.full((8, 4, 3), 100))
    np.testing.assert_array_equal(decoded.pixels[:, 4:], np.broadcast_to([170, 64, 100], (8, 6, 3)))


def test_subsampled_alpha_is_repeated_at_every_resolution() -> None:
    gray, alpha = photo(22, 30, 1)[:, :, 0], photo(11, 15, 1)[:, :, 0]
    codestream = encode_planes([gray, alpha], [(1, 1), (2, 2)])
    pixels = openjpeg.decode(codestream).pixels
    np.testing.assert_array_equal(pixels[:, :, 0], gray)
    np.testing.assert_array_equal(pixels[:, :, 1], alpha.repeat(2, 0).repeat(2, 1))
    assert openjpeg.decode(codestream, reduce=1).pixels.shape == (11, 15, 2)


def test_signed_components_are_offset_to_unsigned() -> None:
    pixels = photo(20, 30, 1)
    codestream = bytearray(streams.coded(pixels, reversible=True))
    # Signed samples get no level shift (G.1), so the same bits now mean values lower by 128.
    codestream[42] |= 0x80
    np.testing.assert_array_equal(openjpeg.decode(bytes(codestream)).pixels, pixels)


def test_a_component_of_fewer_bits_is_stretched_to_the_others() -> None:
    pixels = photo(20, 30, 2)
    pixels[:, :, 1] = 127 + (np.arange(30) > 11)
    codestream = bytearray(streams.coded(pixels, reversible=True))
    # One bit, whose level shift is 1: 127 and 128 now mean 0 and 1.
    codestream[45] = 0
    decoded = openjpeg.decode(bytes(codestream))
    np.testing.assert_array_equal(decoded.pixels[:, :, 0], pixels[:, :, 0])
    np.testing.assert_array_equal(decoded.pixels[:, :, 1], np.where(pixels[:, :, 1] == 128, 255, 0))
    assert decoded.bit_depth == 8


def test_five_components_are_refused_by_number() -> None:
    plane = photo(8, 8, 1)[:, :, 0]
    with pytest.raises(UnsupportedCodestream, match="5 components"):
        openjpeg.decode(encode_planes([plane] * 5, [(1, 1)] * 5))


def peak_memory_after(calls: int) -> int:
    """The peak memory of this process in bytes, after decoding and refusing so many times."""
    codestream = streams.coded(photo(256, 256, 3))
    for _ in range(calls):
        openjpeg.decode(codestream)
        with pytest.raises(BadCodestream):
            openjpeg.decode(codestream[:2000])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def test_memory_does_not_grow_from_call_to_call() -> None:
    # In a process of its own, whose peak no other test has raised.
    with multiprocessing.get_context("fork").Pool(1) as pool:
        warm = pool.apply(peak_memory_after, (5,))
        # One component lost a call would be 40 times 256 KiB.
        assert pool.apply(peak_memory_after, (40,)) - warm < 5_000_000
