"""The one place that calls OpenJPEG: pixels to codestreams with many quality layers, and back.

Every call makes its own codec, so calls may run in threads and in forked processes. Pictures go in and come
out tile by tile: beside the picture itself, a call holds the library's 32-bit samples of one tile.

Terms follow ISO/IEC 15444-1: a *codestream* begins with SOC (FF4F), a *JP2 file* with the signature box.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from foveate.codec import openjp2
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2 import codestream_span
from foveate.codec.openjp2 import MAX_LAYERS, MAX_RESOLUTIONS, OpenjpegError
from foveate.codec.openjp2_streams import Messages, opened_codec, reader, require_decoded, set_threads, writer
from foveate.codec.openjp2_tiles import read_tiles, write_tiles

__all__ = ["MAX_LAYERS", "Decoded", "OpenjpegError", "Pixels", "decode", "encode", "library_version"]

_CODESTREAM_START = b"\xff\x4f\xff\x51"
_SOT, _EOC = b"\xff\x90", b"\xff\xd9"
_JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_COLOR_NAMES = {-1: "unknown", 0: "unspecified", 1: "srgb", 2: "gray", 3: "sycc", 5: "cmyk"}
_MAX_TILES = 65535  # B.3: tile indices have 16 bits

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded picture.

    pixels: (H, W, C) uint8 for a bit depth up to 8, else uint16; values in
        [0, 2**bit_depth - 1], not rescaled.
    bit_depth: 1 to 16, that of the most precise component.
    warnings: what the library complained about, in order.
    color_space: what the file declares: "srgb", "gray", "sycc" (its pixels are already RGB here), "cmyk",
        "unspecified" (a codestream without a file around it) or "unknown" (for one, an ICC profile).
    """

    pixels: Pixels
    bit_depth: int
    warnings: tuple[str, ...]
    color_space: str


def encode(
    pixels: Pixels,
    *,
    layer_psnrs_db: Sequence[float] = (0.0,),
    reversible: bool = False,
    block_size: int = 64,
    resolutions: int = 6,
    color_transform: bool | None = None,
    bit_depth: int | None = None,
    threads: int = 1,
    tile_size: int | None = None,
) -> bytes:
    """Encode a picture as one bare codestream: no precincts, LRCP progression, tiles in raster order.

    Args:
        pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
        layer_psnrs_db: up to 100 increasing targets in dB, one a quality layer; each tile reaches them for
            itself. 0.0, allowed only as the last, stands for everything that was coded.
        reversible: 5/3 wavelet (lossless if the last layer is 0.0) instead of 9/7.
        block_size: side of a code-block, a power of two from 4 to 64.
        resolutions: wavelet levels + 1, from 1 to 33; reduced where the shorter side of the picture, or of a
            whole tile, has no room for them. Tiles cut off by the picture's edge have as many as the others.
        color_transform: RCT/ICT over the first three components; by default where there are three of more
            than one bit: OpenJPEG's two guard bits don't hold what the transform makes of single bits.
        bit_depth: significant bits of the values, 1 to 16; by default 8 for uint8 and 16 for uint16.
        threads: threads that code blocks.
        tile_size: side of square tiles from the upper left corner on, in samples; None, or one at least as
            long as the picture's longer side, for one tile. Memory beside `pixels` and the codestream is some
            8 bytes a sample of one tile.

    Raises:
        ValueError: an argument is out of its range.
        OpenjpegError: the library failed.
    """
    _check_pixels(pixels)
    height, width, channels = pixels.shape
    depth = _checked_depth(pixels, bit_depth)
    transform = channels >= 3 and depth > 1 if color_transform is None else color_transform
    if transform and (channels < 3 or depth < 2):
        raise ValueError(f"a colour transform needs three components of two bits, not {channels} of {depth}")
    _check_layers(layer_psnrs_db)
    if block_size not in (4, 8, 16, 32, 64):
        raise ValueError(f"block size {block_size} is not a power of two from 4 to 64")
    if not 1 <= resolutions <= MAX_RESOLUTIONS:
        raise ValueError(f"{resolutions} resolutions are not from 1 to {MAX_RESOLUTIONS}")
    side = _checked_tile_size(pixels, tile_size)

    library = openjp2.library()
    parameters = openjp2.EncoderParameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(parameters))
    parameters.cp_fixed_quality = 1
    parameters.tcp_numlayers = len(layer_psnrs_db)
    parameters.tcp_distoratio[: len(layer_psnrs_db)] = [float(psnr) for psnr in layer_psnrs_db]
    parameters.irreversible = int(not reversible)
    parameters.cblockw_init = parameters.cblockh_init = block_size
    parameters.numresolution = min(resolutions, min(height, width, side).bit_length())
    parameters.tcp_mct = int(transform)
    if side < max(height, width):
        parameters.tile_size_on = 1
        parameters.cp_tdx = parameters.cp_tdy = side
    return _run_encoder(library, parameters, pixels, depth, threads, side)


def decode(
    data: bytes,
    *,
    reduce: int = 0,
    layers: int = 0,
    threads: int = 1,
    strict: bool = True,
    max_pixels: int | None = None,
) -> Decoded:
    """Decode a JP2 file or a bare codestream, told apart by their first bytes.

    Palettes are applied; subsampled components are repeated up to the finest one's grid; sYCC becomes RGB;
    signed components are offset to unsigned; components of fewer bits are stretched to those of the most
    precise.

    Several tiles whose components are alike are decoded one by one: beside the result, memory holds some 5
    bytes a sample of one tile. Anything else takes 4 bytes a sample of the whole picture and more; so does
    every file where `strict` is off.

    Args:
        data: the file or codestream.
        reduce: how many of the finest resolutions to leave out; each halves width and height.
        layers: how many quality layers to decode; 0 for all.
        threads: threads that decode blocks.
        strict: refuse data that end too early, instead of decoding what is there.
        max_pixels: refuse a picture with more pixels than this, judged by its header before it is decoded.

    Raises:
        BadCodestream: the data are malformed or, if `strict`, truncated.
        UnsupportedCodestream: more than 4 components or 16 bits, e-sYCC, or more than `max_pixels`.
        ValueError: `reduce` or `layers` is negative, or the picture has too few resolutions for `reduce`.
    """
    if reduce < 0 or layers < 0:
        raise ValueError(f"reduce {reduce} and layers {layers} must not be negative")
    library = openjp2.library()
    parameters = openjp2.DecoderParameters()
    library.opj_set_default_decoder_parameters(ctypes.byref(parameters))
    parameters.cp_reduce, parameters.cp_layer = reduce, layers
    messages = Messages()
    with (
        opened_codec(library, library.opj_create_decompress(_format_of(data)), messages) as codec,
        reader(library, data) as stream,
    ):
        require_decoded(library.opj_setup_decoder(codec, ctypes.byref(parameters)), messages)
        require_decoded(library.opj_decoder_set_strict_mode(codec, int(strict)), messages)
        set_threads(library, codec, threads)
        handle = ctypes.POINTER(openjp2.Image)()
        try:
            require_decoded(library.opj_read_header(stream, codec, ctypes.byref(handle)), messages)
            _check_header(handle.contents, max_pixels)
            if strict:
                _require_whole(data)
            if strict and _goes_by_tiles(data, handle.contents, reduce):
                pixels = read_tiles(library, codec, stream, handle.contents, reduce, messages)
                require_decoded(library.opj_end_decompress(codec, stream), messages)
                return _picture_of_tiles(handle.contents, pixels, tuple(messages.warnings))
            require_decoded(library.opj_decode(codec, stream, handle), messages)
            require_decoded(library.opj_end_decompress(codec, stream), messages)
            return _picture(handle.contents, tuple(messages.warnings))
        finally:
            if handle:
                library.opj_image_destroy(handle)


@functools.cache
def library_version() -> str:
    """The version of the OpenJPEG in use, such as "2.5.4".

    Raises:
        OpenjpegError: there is none that is new enough.
    """
    version: bytes = openjp2.library().opj_version()
    return version.decode()


# Encoding -----------------------------------------------------------------------------------------


def _check_pixels(pixels: Pixels) -> None:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are {pixels.dtype}, not uint8 or uint16")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise ValueError(f"pixels have the shape {pixels.shape}, not (H, W, 1 to 4)")


def _checked_depth(pixels: Pixels, bit_depth: int | None) -> int:
    widest = 8 * pixels.dtype.itemsize
    depth = widest if bit_depth is None else bit_depth
    if not 1 <= depth <= widest:
        raise ValueError(f"a bit depth of {depth} does not fit {pixels.dtype}")
    if depth < widest and int(pixels.max()) >> depth:
        raise ValueError(f"the value {int(pixels.max())} does not fit {depth} bits")
    return depth


def _check_layers(psnrs_db: Sequence[float]) -> None:
    if not 1 <= len(psnrs_db) <= MAX_LAYERS:
        raise ValueError(f"{len(psnrs_db)} layers are not from 1 to {MAX_LAYERS}")
    targets = [*psnrs_db[:-1], psnrs_db[-1] or math.inf]
    if not all(low < high for low, high in zip([0.0, *targets], targets, strict=False)):
        raise ValueError(f"layers must have increasing targets in dB, 0.0 only as the last: {list(psnrs_db)}")


def _checked_tile_size(pixels: Pixels, tile_size: int | None) -> int:
    """The side of tiles, at most that of the picture's longer side."""
    height, width, _ = pixels.shape
    longer = int(max(height, width))
    if tile_size is None:
        return longer
    if tile_size < 1:
        raise ValueError(f"a tile size of {tile_size} is not at least one")
    tiles = -(-height // tile_size) * -(-width // tile_size)
    if tiles > _MAX_TILES:
        raise ValueError(f"{tiles} tiles of {tile_size} samples a side are more than {_MAX_TILES}")
    return min(tile_size, longer)


def _run_encoder(
    library: Any,
    parameters: openjp2.EncoderParameters,
    pixels: Pixels,
    depth: int,
    threads: int,
    side: int,
) -> bytes:
    messages = Messages()
    with (
        _image_header(library, pixels, depth) as image,
        opened_codec(library, library.opj_create_compress(openjp2.CODEC_J2K), messages) as codec,
        writer(library) as (stream, out),
    ):
        done = library.opj_setup_encoder(codec, ctypes.byref(parameters), image)
        if done:
            set_threads(library, codec, threads)
        done = done and library.opj_start_compress(codec, image, stream)
        done = done and write_tiles(library, codec, stream, pixels, depth, side)
        done = done and library.opj_end_compress(codec, stream)
        if not done:
            raise OpenjpegError(f"OpenJPEG did not encode {pixels.shape} pixels: {messages.said()}")
    # The stream has flushed its last bytes by now.
    return bytes(out)


@contextlib.contextmanager
def _image_header(library: Any, pixels: Pixels, depth: int) -> Iterator[Any]:
    """What OpenJPEG wants to know of a picture before its tiles; it holds no samples."""
    height, width, channels = pixels.shape
    plane = openjp2.Plane(dx=1, dy=1, w=width, h=height, prec=depth, bpp=depth)
    planes = (openjp2.Plane * channels)(*[plane] * channels)
    color_space = openjp2.COLOR_SRGB if channels >= 3 else openjp2.COLOR_GRAY
    image = library.opj_image_tile_create(channels, planes, color_space)
    if not image:
        raise OpenjpegError(f"OpenJPEG found no memory for {pixels.shape} pixels")
    try:
        image.contents.x1, image.contents.y1 = width, height
        yield image
    finally:
        library.opj_image_destroy(image)


# Decoding -----------------------------------------------------------------------------------------


def _format_of(data: bytes) -> int:
    if data.startswith(_CODESTREAM_START):
        return openjp2.CODEC_J2K
    if data.startswith(_JP2_START):
        return openjp2.CODEC_JP2
    raise BadCodestream(
        f"neither a JP2 file nor a codestream: it begins with {data[:12].hex(' ') or 'nothing'}"
    )


def _require_whole(data: bytes) -> None:
    """Refuse a codestream without EOC or without all its tiles; OpenJPEG leaves what is missing black."""
    start, end = codestream_span(data)
    offset = start + 2
    tiles = set()
    while offset < end and data[offset : offset + 2] != _EOC:
        if data[offset : offset + 2] == _SOT:
            tiles.add(data[offset + 4 : offset + 6])
            length = int.from_bytes(data[offset + 6 : offset + 10])
            if length == 0:
                # The last tile-part goes up to EOC, which padding may follow (A.4.2).
                offset = data.rfind(_EOC, offset, end)
                break
        else:
            length = 2 + int.from_bytes(data[offset + 2 : offset + 4])
        offset += max(length, 2)
    if not start < offset < end:
        raise BadCodestream(f"the codestream ends at byte {end}, too early")
    x1, y1, _, _, width, height, x0, y0 = struct.unpack_from(">8I", data, start + 8)
    expected = -(-(x1 - x0) // width) * -(-(y1 - y0) // height)  # B-5
    if len(tiles) < expected:
        raise BadCodestream(f"only {len(tiles)} of {expected} tiles are there")


def _check_header(image: openjp2.Image, max_pixels: int | None) -> None:
    count = (image.x1 - image.x0) * (image.y1 - image.y0)
    if max_pixels is not None and count > max_pixels:
        size = f"{image.x1 - image.x0} x {image.y1 - image.y0}"
        raise UnsupportedCodestream(f"the picture has {size} = {count} pixels, more than {max_pixels}")
    if image.color_space == openjp2.COLOR_EYCC:
        raise UnsupportedCodestream("the colour space e-sYCC is not supported")
    _components(image)


def _components(image: openjp2.Image) -> list[openjp2.Component]:
    if not 1 <= image.numcomps <= 4:
        raise UnsupportedCodestream(f"{image.numcomps} components are not supported, only 1 to 4")
    components = [image.comps[index] for index in range(image.numcomps)]
    for component in components:
        if not 1 <= component.prec <= 16:
            raise UnsupportedCodestream(
                f"components of {component.prec} bits are not supported, only 1 to 16"
            )
    return components


def _goes_by_tiles(data: bytes, image: openjp2.Image, reduce: int) -> bool:
    """Whether a picture is several tiles of samples that need no more than to be put in their place."""
    start, _ = codestream_span(data)
    x1, y1, _, _, tile_width, tile_height, tile_x0, tile_y0 = struct.unpack_from(">8I", data, start + 8)
    if x1 - tile_x0 <= tile_width and y1 - tile_y0 <= tile_height:
        return False
    if reduce and (image.x0 or image.y0):  # whole decoding has its own way of rounding the size there
        return False
    first, *others = _components(image)
    same = ("dx", "dy", "prec", "sgnd")
    alike = all(getattr(first, name) == getattr(other, name) for other in others for name in same)
    return alike and _color_space(image, [first]) != "sycc" and _channels_stand_as_coded(data[:start])


def _channels_stand_as_coded(head: bytes) -> bool:
    """Whether a file's boxes before the codestream (I.5.3) neither map nor move channels."""
    if b"pclr" in head:
        return False
    at = head.find(b"cdef")
    if at < 0:
        return True
    (count,) = struct.unpack_from(">H", head, at + 4) if at + 6 <= len(head) else (0,)
    if not count or at + 6 + 6 * count > len(head):
        return False
    entries = struct.iter_unpack(">3H", head[at + 6 : at + 6 + 6 * count])
    return all(
        channel == place and association == (0 if kind else place + 1)
        for place, (channel, kind, association) in enumerate(entries)
    )


def _picture_of_tiles(image: openjp2.Image, pixels: Pixels, warnings: tuple[str, ...]) -> Decoded:
    components = _components(image)
    return Decoded(pixels, components[0].prec, warnings, _color_space(image, components))


def _picture(image: openjp2.Image, warnings: tuple[str, ...]) -> Decoded:
    components = _components(image)
    depth = max(component.prec for component in components)
    finest_dx, finest_dy = (min(getattr(c, name) for c in components) for name in ("dx", "dy"))
    finest = min(components, key=lambda c: (c.dx != finest_dx) + (c.dy != finest_dy))
    if (finest.dx, finest.dy) != (finest_dx, finest_dy):
        raise UnsupportedCodestream("no component has both the finest columns and the finest rows")
    pixels = np.empty((finest.h, finest.w, len(components)), np.uint8 if depth <= 8 else np.uint16)
    for channel, component in enumerate(components):
        plane = _scale(_plane(component), component.prec, depth)
        rows = _sources(
            finest.y0, finest.h, finest.dy, component.y0, component.h, component.dy, component.factor
        )
        columns = _sources(
            finest.x0, finest.w, finest.dx, component.x0, component.w, component.dx, component.factor
        )
        if plane.shape != pixels.shape[:2] or component.dx != finest.dx or component.dy != finest.dy:
            plane = plane[rows[:, np.newaxis], columns]
        pixels[:, :, channel] = plane
    color_space = _color_space(image, components)
    if color_space == "sycc" and len(components) >= 3:
        pixels[:, :, :3] = _rgb_from_ycc(pixels[:, :, :3], depth)
    return Decoded(pixels, depth, warnings, color_space)


def _plane(component: openjp2.Component) -> npt.NDArray[np.int32]:
    """The samples of a component, (h, w), in [0, 2**prec - 1]; a view of OpenJPEG's memory where unsigned."""
    if not component.data or not component.w or not component.h:
        raise BadCodestream("a component has no samples")
    plane = np.ctypeslib.as_array(component.data, (component.h, component.w))
    if component.sgnd:
        plane = plane + (1 << (component.prec - 1))
    return plane


def _scale(plane: npt.NDArray[np.int32], from_bits: int, to_bits: int) -> npt.NDArray[np.int32]:
    """Samples of `from_bits` stretched so that their largest value is that of `to_bits`."""
    if from_bits == to_bits:
        return plane
    peak, new_peak = (1 << from_bits) - 1, (1 << to_bits) - 1
    return ((plane.astype(np.int64) * new_peak + peak // 2) // peak).astype(np.int32)


def _sources(
    fine_start: int, fine_length: int, fine_step: int, start: int, length: int, step: int, reduced: int
) -> npt.NDArray[np.intp]:
    """Which sample of a component lies at or before each sample of the finest one, along one axis.

    Starts are sample numbers before `reduced` halvings, steps are in units of the reference grid (B.2).
    """
    fine = (fine_start + (1 << reduced) - 1) >> reduced
    coarse = (start + (1 << reduced) - 1) >> reduced
    nearest = (fine + np.arange(fine_length, dtype=np.intp)) * fine_step // step - coarse
    return np.clip(nearest, 0, length - 1)


def _color_space(image: openjp2.Image, components: list[openjp2.Component]) -> str:
    """The declared colour space; unexplained subsampled chroma counts as sYCC, as in OpenJPEG's own tool."""
    if image.color_space == openjp2.COLOR_UNSPECIFIED and len(components) == 3:
        luma, chroma = components[0], components[1]
        if luma.dx == luma.dy == 1 and chroma.dx != 1:
            return "sycc"
    return _COLOR_NAMES.get(image.color_space, "unknown")


def _rgb_from_ycc(pixels: Pixels, depth: int) -> npt.NDArray[np.float32]:
    """(H, W, 3) sYCC (IEC 61966-2-1 Amendment 1) to RGB, rounded and clipped to the bit depth."""
    luma, blue, red = (pixels[:, :, channel].astype(np.float32) for channel in range(3))
    blue -= 1 << (depth - 1)
    red -= 1 << (depth - 1)
    rgb = np.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1
    )
    result: npt.NDArray[np.float32] = np.clip(np.rint(rgb), 0, (1 << depth) - 1)
    return result
