"""Layered encoding and guarded decoding through OpenJPEG."""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest

from foveate.codec import jp2, openjpeg
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.openjpeg import binding
from foveate.codec.openjpeg.decoding import _require_whole
from foveate.codec.openjpeg.streams import Messages, opened_codec, writer
from foveate.codec.weights import Pixels
from tests import streams

LAYERS_DB = (25.0, 30.0, 35.0, 40.0, 0.0)


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


def tool(name: str) -> str:
    """The path of an independent program; skips without it, fails if FOVEATE_REQUIRE_TOOLS=1."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("FOVEATE_REQUIRE_TOOLS") == "1":
            pytest.fail(f"{name} is not on the PATH, and FOVEATE_REQUIRE_TOOLS=1 asks for it")
        pytest.skip(f"{name} is not installed")
    return path


def encode_planes(planes: Sequence[Pixels], steps: Sequence[tuple[int, int]]) -> bytes:
    """A lossless codestream of components on grids of different (horizontal, vertical) steps."""
    library = binding.library()
    parameters = binding.EncoderParameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(parameters))
    parameters.numresolution, parameters.tcp_numlayers, parameters.cp_disto_alloc = 3, 1, 1
    sizes = [
        binding.Plane(dx=dx, dy=dy, w=plane.shape[1], h=plane.shape[0], prec=8, bpp=8)
        for plane, (dx, dy) in zip(planes, steps, strict=True)
    ]
    image = library.opj_image_tile_create(len(sizes), (binding.Plane * len(sizes))(*sizes), 0)
    image.contents.y1, image.contents.x1 = planes[0].shape
    samples = b"".join(plane.tobytes() for plane in planes)
    codec = library.opj_create_compress(binding.CODEC_J2K)
    with opened_codec(library, codec, Messages()), writer(library) as (stream, out):
        assert library.opj_setup_encoder(codec, ctypes.byref(parameters), image)
        assert library.opj_start_compress(codec, image, stream)
        assert library.opj_write_tile(codec, 0, samples, len(samples), stream)
        assert library.opj_end_compress(codec, stream)
    library.opj_image_destroy(image)
    return bytes(out)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 500, 3), (500, 1, 2), (37, 53, 4), (64, 33, 3)])
def test_reversible_coding_gives_every_pixel_back(shape: tuple[int, int, int], dtype: type) -> None:
    pixels = photo(*shape, dtype)
    decoded = openjpeg.decode(openjpeg.encode(pixels, reversible=True))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.pixels.dtype, decoded.bit_depth) == (pixels.dtype, 8 * pixels.dtype.itemsize)
    assert decoded.warnings == ()


@hypothesis.given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(1, 16),
    st.sampled_from([16, 64]),  # in smaller blocks, noise of few bits outgrows OpenJPEG's buffer
    st.integers(0, 2**32 - 1),
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_reversible_coding_gives_pixels_of_every_bit_depth_back(
    height: int, width: int, channels: int, bit_depth: int, block_size: int, seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << bit_depth, (height, width, channels))
    pixels: Pixels = values.astype(np.uint8) if bit_depth <= 8 else values.astype(np.uint16)
    codestream = openjpeg.encode(pixels, reversible=True, bit_depth=bit_depth, block_size=block_size)
    decoded = openjpeg.decode(codestream)
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.bit_depth == bit_depth


def test_each_layer_comes_near_its_target_and_never_below_the_one_before() -> None:
    pixels = photo(200, 260, 3)
    codestream = openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB)
    reached = [
        psnr_db(openjpeg.decode(codestream, layers=layer).pixels, pixels)
        for layer in range(1, len(LAYERS_DB) + 1)
    ]
    assert reached == sorted(reached)
    for target, value in zip(LAYERS_DB[:-1], reached, strict=False):
        assert abs(value - target) < 1.0


def test_all_layers_together_decode_as_a_single_layer_does() -> None:
    pixels = photo(150, 170, 3)
    layered = openjpeg.decode(openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB))
    single = openjpeg.decode(openjpeg.encode(pixels))
    np.testing.assert_array_equal(layered.pixels, single.pixels)


def test_a_hundred_layers_are_coded_and_a_hundred_and_one_refused() -> None:
    pixels = photo(60, 60, 1)
    targets = [10 + 0.3 * layer for layer in range(100)]
    codestream = openjpeg.encode(pixels, layer_psnrs_db=targets)
    (layers,) = struct.unpack_from(">H", codestream, codestream.index(b"\xff\x52") + 6)
    assert layers == 100
    with pytest.raises(ValueError, match="101 layers"):
        openjpeg.encode(pixels, layer_psnrs_db=[*targets, 0.0])


def test_threads_change_no_byte() -> None:
    pixels = photo(150, 170, 3)
    one, three = (openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB, threads=n) for n in (1, 3))
    assert one == three
    np.testing.assert_array_equal(openjpeg.decode(one, threads=3).pixels, openjpeg.decode(one).pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("shape", "tile"),
    [((65, 97, 3), 32), ((129, 64, 1), 64), ((40, 200, 4), 128), ((7, 5, 2), 1), ((90, 70, 3), 90)],
)
def test_tiles_give_every_pixel_back_down_to_remainders_of_one_sample(
    shape: tuple[int, int, int], tile: int, dtype: type
) -> None:
    pixels = photo(*shape, dtype)
    decoded = openjpeg.decode(openjpeg.encode(pixels, reversible=True, tile_size=tile))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.warnings == ()


def test_one_tile_is_the_same_with_and_without_its_size() -> None:
    pixels = photo(60, 90, 3)
    whole = openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB)
    for tile in (90, 4096):
        assert openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB, tile_size=tile) == whole


def test_every_tile_is_coded_as_a_picture_of_its_own_would_be() -> None:
    pixels = photo(129, 150, 3)
    tiled = openjpeg.decode(openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB, tile_size=128), layers=2)
    alone = openjpeg.decode(openjpeg.encode(pixels[:128, :128], layer_psnrs_db=LAYERS_DB), layers=2)
    np.testing.assert_array_equal(tiled.pixels[:128, :128], alone.pixels)


def test_tiles_are_limited_in_size_and_number() -> None:
    with pytest.raises(ValueError, match="tile size of 0"):
        openjpeg.encode(photo(30, 30, 1), tile_size=0)
    with pytest.raises(ValueError, match="90000 tiles"):
        openjpeg.encode(np.zeros((300, 300, 1), np.uint8), tile_size=1)


@pytest.mark.parametrize("shape", [(65, 97, 3), (129, 64, 1)])
def test_an_independent_decoder_reads_tiles_and_their_thin_remainders(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    pixels = photo(*shape)
    (tmp_path / "tiles.j2k").write_bytes(openjpeg.encode(pixels, reversible=True, tile_size=32))
    raw = tmp_path / "tiles.raw"
    command = f"{tool('ffmpeg')} -v error -c:v jpeg2000 -i {tmp_path}/tiles.j2k -f rawvideo {raw}"
    run = subprocess.run(command.split(), capture_output=True, text=True, check=True)
    assert run.stderr == ""
    np.testing.assert_array_equal(np.fromfile(raw, np.uint8).reshape(shape), pixels)


def decoded_alike(data: bytes, **arguments: int) -> openjpeg.Decoded:
    """Decoded tile by tile, after comparing it with the whole decoding that leniency asks for."""
    tiles, whole = (openjpeg.decode(data, strict=strict, **arguments) for strict in (True, False))
    np.testing.assert_array_equal(tiles.pixels, whole.pixels)
    assert (tiles.pixels.dtype, tiles.bit_depth) == (whole.pixels.dtype, whole.bit_depth)
    assert (tiles.warnings, tiles.color_space) == (whole.warnings, whole.color_space)
    return tiles


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tile_by_tile_a_file_decodes_as_it_does_as_a_whole(channels: int, dtype: type) -> None:
    codestream = openjpeg.encode(photo(65, 97, channels, dtype), layer_psnrs_db=LAYERS_DB, tile_size=32)
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
    codestream = bytearray(openjpeg.encode(photo(40, 50, 1), reversible=True, tile_size=32))
    codestream[42] |= 0x80
    np.testing.assert_array_equal(decoded_alike(bytes(codestream)).pixels, photo(40, 50, 1))
    coarse = (photo(40, 50, 3) // 8).astype(np.uint8)
    few = openjpeg.encode(coarse, reversible=True, tile_size=32, bit_depth=5)
    np.testing.assert_array_equal(decoded_alike(few).pixels, coarse)


def test_a_missing_tile_and_a_missing_end_are_refused_or_stay_black() -> None:
    codestream = openjpeg.encode(photo(40, 90, 3), tile_size=32)
    last = codestream.rindex(b"\xff\x90\x00\x0a")
    with pytest.raises(BadCodestream, match="only 5 of 6 tiles are there"):
        openjpeg.decode(codestream[:last] + b"\xff\xd9")
    with pytest.raises(BadCodestream, match="too early"):
        openjpeg.decode(codestream[:last])
    decoded = openjpeg.decode(codestream[:last] + b"\xff\xd9", strict=False)
    assert decoded.pixels[:32].any() and not decoded.pixels[32:, 64:].any()


def test_a_file_that_moves_channels_is_not_decoded_as_coded() -> None:
    codestream = openjpeg.encode(photo(40, 90, 4), reversible=True, tile_size=32)
    data = bytearray(jp2.wrap(codestream, metadata=PhotoMetadata()))
    at = data.index(b"cdef") + 6
    first, third = at + 4, at + 16  # the associations of red and blue
    data[first : first + 2], data[third : third + 2] = data[third : third + 2], data[first : first + 2]
    decoded = decoded_alike(bytes(data)).pixels
    np.testing.assert_array_equal(decoded, photo(40, 90, 4)[:, :, [2, 1, 0, 3]])


def test_the_color_transform_spares_bytes_with_alpha_too() -> None:
    gray = photo(128, 128, 1)
    pixels = np.concatenate([gray, gray, gray, np.full_like(gray, 255)], -1)
    with_transform = openjpeg.encode(pixels, reversible=True)
    without = openjpeg.encode(pixels, reversible=True, color_transform=False)
    assert len(with_transform) < 0.5 * len(without)
    np.testing.assert_array_equal(openjpeg.decode(with_transform).pixels, pixels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_psnrs_db": (30.0, 20.0)}, "increasing"),
        ({"layer_psnrs_db": (0.0, 20.0)}, "increasing"),
        ({"layer_psnrs_db": ()}, "0 layers"),
        ({"layer_psnrs_db": (float("nan"),)}, "increasing"),
        ({"block_size": 48}, "block size 48"),
        ({"resolutions": 0}, "0 resolutions"),
        ({"bit_depth": 9}, "depth of 9"),
        ({"bit_depth": 3}, "does not fit 3 bits"),
        ({"color_transform": True}, "three components"),
        ({"threads": 0}, "0 threads"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        openjpeg.encode(photo(30, 30, 1), **arguments)  # type: ignore[arg-type]


def test_single_bits_are_not_transformed_between_channels() -> None:
    with pytest.raises(ValueError, match="two bits, not 3 of 1"):
        openjpeg.encode(np.zeros((4, 4, 3), np.uint8), color_transform=True, bit_depth=1)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 5), (5, 5, 5)])
def test_pixels_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        openjpeg.encode(np.zeros(shape, np.uint8))


def test_reduced_decoding_halves_the_sides_rounding_up() -> None:
    codestream = openjpeg.encode(photo(37, 53, 3))
    assert openjpeg.decode(codestream, reduce=2).pixels.shape == (10, 14, 3)
    with pytest.raises(ValueError, match="`reduce` is too large"):
        openjpeg.decode(codestream, reduce=20)


def test_a_picture_over_the_pixel_limit_is_refused_by_its_header_alone() -> None:
    codestream = openjpeg.encode(photo(30, 40, 1))
    assert openjpeg.decode(codestream, max_pixels=1200).pixels.shape == (30, 40, 1)
    huge = bytearray(codestream)
    for offset in (8, 12, 24, 28):
        struct.pack_into(">I", huge, offset, 60_000)
    with pytest.raises(UnsupportedCodestream, match="60000 x 60000"):
        openjpeg.decode(bytes(huge), max_pixels=10**8)


def test_every_truncation_of_a_codestream_and_a_file_is_refused() -> None:
    codestream = openjpeg.encode(photo(40, 50, 3), layer_psnrs_db=LAYERS_DB)
    for data in (codestream, jp2.wrap(codestream, metadata=PhotoMetadata())):
        for cut in range(0, len(data), 5):
            with pytest.raises(BadCodestream):
                openjpeg.decode(data[:cut])
        with pytest.raises(BadCodestream):
            openjpeg.decode(data[:-1])


def test_a_cut_in_a_tile_part_s_first_marker_is_refused() -> None:
    codestream = openjpeg.encode(photo(40, 50, 3))
    first = codestream.index(b"\xff\x90\x00\x0a")
    length = len(codestream) - first - 2
    twice = bytearray(codestream[:-2] + codestream[first:-2] + codestream[-2:])
    struct.pack_into(">IBB", twice, first + 6, length, 0, 2)
    with pytest.raises(BadCodestream, match="too early"):
        _require_whole(bytes(twice[: first + length + 2]))


def test_without_strictness_what_is_left_of_a_codestream_is_decoded() -> None:
    pixels = photo(100, 100, 1)
    codestream = openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB)
    decoded = openjpeg.decode(codestream[: len(codestream) * 3 // 4], strict=False)
    assert decoded.warnings
    assert psnr_db(decoded.pixels, pixels) > 25


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=150, deadline=None)
def test_damaged_bytes_end_in_pixels_or_a_typed_error(data: st.DataObject) -> None:
    codestream = openjpeg.encode(photo(20, 30, 3), layer_psnrs_db=(30.0, 0.0))
    damaged = bytearray(jp2.wrap(codestream, metadata=PhotoMetadata(dpi=(72, 72))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for strict in (True, False):
        try:
            assert openjpeg.decode(bytes(damaged), max_pixels=10**6, strict=strict).pixels.ndim == 3
        except (BadCodestream, UnsupportedCodestream) as error:
            assert str(error)


def test_what_is_no_jpeg_2000_is_refused_in_a_sentence() -> None:
    with pytest.raises(BadCodestream, match="begins with 89 50 4e 47"):
        openjpeg.decode(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(BadCodestream, match="nothing"):
        openjpeg.decode(b"")


def test_subsampled_chroma_is_repeated_and_turned_to_rgb() -> None:
    luma = np.full((7, 9), 100, np.uint8)
    blue, red = np.full((4, 5), 128, np.uint8), np.full((4, 5), 128, np.uint8)
    red[:, 2:] = 178
    decoded = openjpeg.decode(encode_planes([luma, blue, red], [(1, 1), (2, 2), (2, 2)]))
    assert decoded.color_space == "sycc"
    np.testing.assert_array_equal(decoded.pixels[:, :4], np.full((7, 4, 3), 100))
    np.testing.assert_array_equal(decoded.pixels[:, 4:], np.broadcast_to([170, 64, 100], (7, 5, 3)))


def test_subsampled_alpha_is_repeated_at_every_resolution() -> None:
    gray, alpha = photo(21, 30, 1)[:, :, 0], photo(11, 15, 1)[:, :, 0]
    codestream = encode_planes([gray, alpha], [(1, 1), (2, 2)])
    pixels = openjpeg.decode(codestream).pixels
    np.testing.assert_array_equal(pixels[:, :, 0], gray)
    np.testing.assert_array_equal(pixels[:, :, 1], alpha.repeat(2, 0).repeat(2, 1)[:21, :30])
    assert openjpeg.decode(codestream, reduce=1).pixels.shape == (11, 15, 2)


def test_signed_components_are_offset_to_unsigned() -> None:
    pixels = photo(20, 30, 1)
    codestream = bytearray(openjpeg.encode(pixels, reversible=True))
    # Signed samples get no level shift (G.1), so the same bits now mean values lower by 128.
    codestream[42] |= 0x80
    np.testing.assert_array_equal(openjpeg.decode(bytes(codestream)).pixels, pixels)


def test_a_component_of_fewer_bits_is_stretched_to_the_others() -> None:
    pixels = photo(20, 30, 2)
    pixels[:, :, 1] = 127 + (np.arange(30) > 11)
    codestream = bytearray(openjpeg.encode(pixels, reversible=True))
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


def test_many_threads_encode_and_decode_at_once() -> None:
    pictures = [photo(40 + n, 50 + n, 1 + n % 4) for n in range(12)]

    def there_and_back(pixels: Pixels) -> bool:
        return np.array_equal(openjpeg.decode(openjpeg.encode(pixels, reversible=True)).pixels, pixels)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(there_and_back, pictures))


def test_a_forked_process_encodes_the_same_bytes() -> None:
    pixels = photo(60, 70, 3)
    here = openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(openjpeg.encode, (pixels,), {"layer_psnrs_db": LAYERS_DB}) == here


def peak_memory_after(calls: int) -> int:
    """Bytes that this process used at most, after encoding, decoding and refusing so many times."""
    pixels = photo(256, 256, 3)
    for _ in range(calls):
        codestream = openjpeg.encode(pixels)
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
