"""Decodes JPEG 2000 files and codestreams to pixels through OpenJPEG."""

from __future__ import annotations

import ctypes
import dataclasses
import operator
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from foveate.codec import walk
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.openjpeg import binding
from foveate.codec.openjpeg.mended import mended
from foveate.codec.openjpeg.plain import has_samples, is_unusual, plain, without_empty_tiles
from foveate.codec.openjpeg.streams import (
    Messages,
    opened_codec,
    reader,
    require_decoded,
    says_no_memory,
    set_threads,
)
from foveate.codec.openjpeg.tiles import read_tiles
from foveate.codec.regions import Region
from foveate.codec.walk import CODESTREAM_START, JP2_START

_COLOR_NAMES = {-1: "unknown", 0: "unspecified", 1: "srgb", 2: "gray", 3: "sycc", 5: "cmyk"}

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


def decode(
    data: bytes,
    *,
    reduce: int = 0,
    layers: int = 0,
    threads: int = 1,
    strict: bool = True,
    max_pixels: int | None = None,
    region: Region | None = None,
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
        max_pixels: refuse a picture with more pixels than this, judged by its header before it is decoded;
            of a region, its own pixels count.
        region: what to decode, inside of the picture, at full size; None for all of it.

    Raises:
        BadCodestream: the data are malformed or, if `strict`, truncated.
        UnsupportedCodestream: more than 4 components or 16 bits, e-sYCC, or more than `max_pixels`.
        ValueError: `reduce` or `layers` is negative, or the picture has too few resolutions for `reduce`.
    """
    if reduce < 0:
        raise ValueError(f"reduce must not be negative: {reduce}")
    if layers < 0:
        raise ValueError(f"layers must not be negative: {layers}")
    amount = _Amount(reduce, layers, threads, max_pixels, region)
    if not strict:
        return _decode(data, amount, strict=False)
    data = mended(data)
    if is_unusual(data):
        return _decode(plain(data), amount)
    try:
        return _decode(without_empty_tiles(data), amount)
    except BadCodestream as error:
        return _decode(_otherwise(data, error), amount)


class _Amount(NamedTuple):
    """How much of a file is decoded, as `decode` takes it."""

    reduce: int
    layers: int
    threads: int
    max_pixels: int | None
    region: Region | None


def _otherwise(data: bytes, error: BadCodestream) -> bytes:
    """The same codestream in other packets, after OpenJPEG has refused it.

    Raises:
        BadCodestream: the given error, where there is no memory or we cannot read its packets either.
    """
    if says_no_memory(str(error)):
        raise error
    try:
        return plain(data)
    except (BadCodestream, UnsupportedCodestream):
        raise error from None


def _decode(data: bytes, amount: _Amount, *, strict: bool = True) -> Decoded:
    """The picture of a file as it stands."""
    reduce, layers, threads, max_pixels, region = amount
    library = binding.library()
    parameters = binding.DecoderParameters()
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
        handle = ctypes.POINTER(binding.Image)()
        try:
            require_decoded(library.opj_read_header(stream, codec, ctypes.byref(handle)), messages)
            _check_header(handle.contents, max_pixels, region)
            if region is not None:
                _set_area(library, codec, handle, region, messages)
            elif strict and _goes_by_tiles(data, handle.contents, reduce):
                pixels, tiles = read_tiles(library, codec, stream, handle.contents, reduce, messages)
                _require_tiles(data, handle.contents, tiles)
                require_decoded(library.opj_end_decompress(codec, stream), messages)
                return _picture_of_tiles(handle.contents, pixels, tuple(messages.warnings))
            require_decoded(library.opj_decode(codec, stream, handle), messages)
            require_decoded(library.opj_end_decompress(codec, stream), messages)
            return _picture(handle.contents, tuple(messages.warnings))
        finally:
            if handle:
                library.opj_image_destroy(handle)


def _format_of(data: bytes) -> int:
    if data.startswith(CODESTREAM_START):
        return binding.CODEC_J2K
    if data.startswith(JP2_START):
        return binding.CODEC_JP2
    raise BadCodestream(
        f"neither a JP2 file nor a codestream: it begins with {data[:12].hex(' ') or 'nothing'}"
    )


def _set_area(library: Any, codec: int, handle: Any, region: Region, messages: Messages) -> None:
    """Has only a region decoded."""
    x0, y0 = handle.contents.x0, handle.contents.y0
    corners = x0 + region.left, y0 + region.top, x0 + region.right, y0 + region.bottom
    require_decoded(library.opj_set_decode_area(codec, handle, *corners), messages)


def _check_header(image: binding.Image, max_pixels: int | None, region: Region | None) -> None:
    width, height = image.x1 - image.x0, image.y1 - image.y0
    what = "picture"
    if region is not None:
        what, width, height = "region", region.width, region.height
    count = width * height
    if max_pixels is not None and count > max_pixels:
        size = f"{width} x {height}"
        raise UnsupportedCodestream(f"the {what} has {size} = {count} pixels, more than {max_pixels}")
    if image.color_space == binding.COLOR_EYCC:
        raise UnsupportedCodestream("the color space e-sYCC is not supported")
    _components(image)


def _components(image: binding.Image) -> list[binding.Component]:
    if not 1 <= image.numcomps <= 4:
        raise UnsupportedCodestream(f"{image.numcomps} components are not supported, only 1 to 4")
    components = [image.comps[index] for index in range(image.numcomps)]
    for component in components:
        if not 1 <= component.prec <= 16:
            raise UnsupportedCodestream(
                f"components of {component.prec} bits are not supported, only 1 to 16"
            )
    return components


def _goes_by_tiles(data: bytes, image: binding.Image, reduce: int) -> bool:
    """Whether a picture is several tiles of samples that need no more than to be put in their place."""
    start, _ = walk.codestream_span(data)
    x1, y1, _, _, tile_width, tile_height, tile_x0, tile_y0 = struct.unpack_from(">8I", data, start + 8)
    if x1 - tile_x0 <= tile_width and y1 - tile_y0 <= tile_height:
        return False
    if reduce and (image.x0 or image.y0):  # whole decoding has its own way of rounding the size there
        return False
    first, *others = _components(image)
    same = ("dx", "dy", "prec", "sgnd")
    alike = all(getattr(first, name) == getattr(other, name) for other in others for name in same)
    return alike and _color_space(image, [first]) != "sycc" and _channels_stand_as_coded(data[:start])


def _require_tiles(data: bytes, image: binding.Image, found: int) -> None:
    """Raises BadCodestream where tiles had no packets; the library passes over those."""
    start, _ = walk.codestream_span(data)
    x1, y1, x0, y0, width, height, tile_x0, tile_y0 = struct.unpack_from(">8I", data, start + 8)
    expected = 1
    for first, low, high, side, step in (
        (tile_x0, x0, x1, width, image.comps[0].dx),
        (tile_y0, y0, y1, height, image.comps[0].dy),
    ):
        corners = range(first, high, side)
        expected *= sum(has_samples(max(at, low), min(at + side, high), step) for at in corners)
    if found < expected:
        raise BadCodestream(f"{expected - found} of {expected} tiles have no packets")


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


def _picture_of_tiles(image: binding.Image, pixels: Pixels, warnings: tuple[str, ...]) -> Decoded:
    components = _components(image)
    return Decoded(pixels, components[0].prec, warnings, _color_space(image, components))


def _picture(image: binding.Image, warnings: tuple[str, ...]) -> Decoded:
    components = _components(image)
    depth = max(component.prec for component in components)
    wide, tall = (min(components, key=operator.attrgetter(name)) for name in ("dx", "dy"))
    pixels = np.empty((tall.h, wide.w, len(components)), np.uint8 if depth <= 8 else np.uint16)
    for channel, component in enumerate(components):
        plane = _scale(_plane(component), component.prec, depth)
        rows = _sources(tall.y0, tall.h, tall.dy, component.y0, component.h, component.dy, component.factor)
        columns = _sources(
            wide.x0, wide.w, wide.dx, component.x0, component.w, component.dx, component.factor
        )
        if plane.shape != pixels.shape[:2] or component.dx != wide.dx or component.dy != tall.dy:
            plane = plane[rows[:, np.newaxis], columns]
        pixels[:, :, channel] = plane
    color_space = _color_space(image, components)
    if color_space == "sycc" and len(components) >= 3:
        pixels[:, :, :3] = _rgb_from_ycc(pixels[:, :, :3], depth)
    return Decoded(pixels, depth, warnings, color_space)


def _plane(component: binding.Component) -> npt.NDArray[np.int32]:
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


def _color_space(image: binding.Image, components: list[binding.Component]) -> str:
    """The declared color space; unexplained subsampled chroma counts as sYCC, as in OpenJPEG's own tool."""
    if image.color_space == binding.COLOR_UNSPECIFIED and len(components) == 3:
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
