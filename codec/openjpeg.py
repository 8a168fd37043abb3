"""The one place that calls OpenJPEG: pixels to codestreams with many quality layers, and back.

A small ctypes binding to libopenjp2 2.5.4 or newer, as bundled in the wheels of imagecodecs or Pillow, else
the system's. Streams live in memory. Every call makes its own codec, so calls may run in threads and in
forked processes.

Terms follow ISO/IEC 15444-1: a *codestream* begins with SOC (FF4F), a *JP2 file* with the signature box.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import dataclasses
import functools
import importlib.util
import math
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codec.errors import BadCodestream, UnsupportedCodestream
from codec.jp2 import codestream_span

MAX_LAYERS = 100
MINIMUM_VERSION = (2, 5, 4)

_CODESTREAM_START = b"\xff\x4f\xff\x51"
_SOT, _EOC = b"\xff\x90", b"\xff\xd9"
_JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_MAX_RESOLUTIONS = 33
_PATH_LENGTH = 4096
_STREAM_BUFFER_BYTES = 1 << 20

# Enumerations of openjpeg.h
_CODEC_J2K, _CODEC_JP2 = 0, 2
_COLOR_UNSPECIFIED, _COLOR_SRGB, _COLOR_GRAY, _COLOR_EYCC = 0, 1, 2, 4
_COLOR_NAMES = {-1: "unknown", 0: "unspecified", 1: "srgb", 2: "gray", 3: "sycc", 5: "cmyk"}
_FAILED = ctypes.c_size_t(-1).value

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class OpenjpegError(RuntimeError):
    """OpenJPEG could not be found, or could not encode; the message holds what the library said."""


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
) -> bytes:
    """Encode a picture as one bare codestream: one tile, no precincts, LRCP progression.

    Args:
        pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
        layer_psnrs_db: up to 100 increasing targets in dB, one a quality layer. 0.0, allowed only as the
            last, stands for everything that was coded.
        reversible: 5/3 wavelet (lossless if the last layer is 0.0) instead of 9/7.
        block_size: side of a code-block, a power of two from 4 to 64.
        resolutions: wavelet levels + 1, from 1 to 33; reduced where the shorter side has no room for them.
        color_transform: RCT/ICT over the first three components; by default where there are three.
        bit_depth: significant bits of the values, 1 to 16; by default 8 for uint8 and 16 for uint16.
        threads: threads that code blocks.

    Raises:
        ValueError: an argument is out of its range.
        OpenjpegError: the library failed.
    """
    _check_pixels(pixels)
    height, width, channels = pixels.shape
    depth = _checked_depth(pixels, bit_depth)
    transform = channels >= 3 if color_transform is None else color_transform
    if transform and channels < 3:
        raise ValueError(f"a colour transform needs three components, not {channels}")
    _check_layers(layer_psnrs_db)
    if block_size not in (4, 8, 16, 32, 64):
        raise ValueError(f"block size {block_size} is not a power of two from 4 to 64")
    if not 1 <= resolutions <= _MAX_RESOLUTIONS:
        raise ValueError(f"{resolutions} resolutions are not from 1 to {_MAX_RESOLUTIONS}")

    library = _library()
    parameters = _Cparameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(parameters))
    parameters.cp_fixed_quality = 1
    parameters.tcp_numlayers = len(layer_psnrs_db)
    parameters.tcp_distoratio[: len(layer_psnrs_db)] = [float(psnr) for psnr in layer_psnrs_db]
    parameters.irreversible = int(not reversible)
    parameters.cblockw_init = parameters.cblockh_init = block_size
    parameters.numresolution = min(resolutions, min(height, width).bit_length())
    parameters.tcp_mct = int(transform)
    return _run_encoder(library, parameters, pixels, depth, threads)


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
    library = _library()
    parameters = _Dparameters()
    library.opj_set_default_decoder_parameters(ctypes.byref(parameters))
    parameters.cp_reduce, parameters.cp_layer = reduce, layers
    messages = _Messages()
    with (
        _codec(library, library.opj_create_decompress(_format_of(data)), messages) as codec,
        _reader(library, data) as stream,
    ):
        _require_decoded(library.opj_setup_decoder(codec, ctypes.byref(parameters)), messages)
        _require_decoded(library.opj_decoder_set_strict_mode(codec, int(strict)), messages)
        _set_threads(library, codec, threads)
        handle = ctypes.POINTER(_Image)()
        try:
            _require_decoded(library.opj_read_header(stream, codec, ctypes.byref(handle)), messages)
            _check_header(handle.contents, max_pixels)
            if strict:
                _require_whole(data)
            _require_decoded(library.opj_decode(codec, stream, handle), messages)
            _require_decoded(library.opj_end_decompress(codec, stream), messages)
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
    version: bytes = _library().opj_version()
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


def _run_encoder(library: Any, parameters: _Cparameters, pixels: Pixels, depth: int, threads: int) -> bytes:
    messages = _Messages()
    with (
        _image(library, pixels, depth) as image,
        _codec(library, library.opj_create_compress(_CODEC_J2K), messages) as codec,
        _writer(library) as (stream, out),
    ):
        done = library.opj_setup_encoder(codec, ctypes.byref(parameters), image)
        if done:
            _set_threads(library, codec, threads)
        done = done and library.opj_start_compress(codec, image, stream)
        done = done and library.opj_encode(codec, stream)
        done = done and library.opj_end_compress(codec, stream)
        if not done:
            raise OpenjpegError(f"OpenJPEG did not encode {pixels.shape} pixels: {messages.said()}")
    # The stream has flushed its last bytes by now.
    return bytes(out)


@contextlib.contextmanager
def _image(library: Any, pixels: Pixels, depth: int) -> Iterator[Any]:
    height, width, channels = pixels.shape
    planes = (_Plane * channels)(*[_Plane(dx=1, dy=1, w=width, h=height, prec=depth, bpp=depth)] * channels)
    image = library.opj_image_create(channels, planes, _COLOR_SRGB if channels >= 3 else _COLOR_GRAY)
    if not image:
        raise OpenjpegError(f"OpenJPEG found no memory for {pixels.shape} pixels")
    try:
        image.contents.x1, image.contents.y1 = width, height
        for channel in range(channels):
            plane = np.ctypeslib.as_array(image.contents.comps[channel].data, (height, width))
            plane[...] = pixels[:, :, channel]
        yield image
    finally:
        library.opj_image_destroy(image)


# Decoding -----------------------------------------------------------------------------------------


def _format_of(data: bytes) -> int:
    if data.startswith(_CODESTREAM_START):
        return _CODEC_J2K
    if data.startswith(_JP2_START):
        return _CODEC_JP2
    raise BadCodestream(
        f"neither a JP2 file nor a codestream: it begins with {data[:12].hex(' ') or 'nothing'}"
    )


def _require_decoded(succeeded: int, messages: _Messages) -> None:
    if not succeeded:
        if any("resolutions to remove" in error for error in messages.errors):
            raise ValueError(f"`reduce` is too large: {messages.said()}")
        raise BadCodestream(f"OpenJPEG refuses the data: {messages.said()}")


def _require_whole(data: bytes) -> None:
    """Refuse a codestream without EOC; OpenJPEG takes one that is cut where a tile-part begins, silently."""
    start, end = codestream_span(data)
    offset = start + 2
    while offset < end and data[offset : offset + 2] != _EOC:
        if data[offset : offset + 2] == _SOT:
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


def _check_header(image: _Image, max_pixels: int | None) -> None:
    count = (image.x1 - image.x0) * (image.y1 - image.y0)
    if max_pixels is not None and count > max_pixels:
        size = f"{image.x1 - image.x0} x {image.y1 - image.y0}"
        raise UnsupportedCodestream(f"the picture has {size} = {count} pixels, more than {max_pixels}")
    if image.color_space == _COLOR_EYCC:
        raise UnsupportedCodestream("the colour space e-sYCC is not supported")
    _components(image)


def _components(image: _Image) -> list[_Component]:
    if not 1 <= image.numcomps <= 4:
        raise UnsupportedCodestream(f"{image.numcomps} components are not supported, only 1 to 4")
    components = [image.comps[index] for index in range(image.numcomps)]
    for component in components:
        if not 1 <= component.prec <= 16:
            raise UnsupportedCodestream(
                f"components of {component.prec} bits are not supported, only 1 to 16"
            )
    return components


def _picture(image: _Image, warnings: tuple[str, ...]) -> Decoded:
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


def _plane(component: _Component) -> npt.NDArray[np.int32]:
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


def _color_space(image: _Image, components: list[_Component]) -> str:
    """The declared colour space; unexplained subsampled chroma counts as sYCC, as in OpenJPEG's own tool."""
    if image.color_space == _COLOR_UNSPECIFIED and len(components) == 3:
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


# Codecs, streams and messages ---------------------------------------------------------------------


class _Messages:
    """Collects what the library says; keeps the callbacks alive for as long as the codec lives."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def callbacks(self) -> tuple[Any, Any, Any]:
        """Handlers for information, warnings and errors."""
        return _MESSAGE_HANDLER(_ignore), _collector(self.warnings), _collector(self.errors)

    def said(self) -> str:
        """All errors, or else all warnings, in a line."""
        return "; ".join(self.errors or self.warnings) or "it does not say why"


def _ignore(_text: bytes | None, _user: int | None) -> None:
    """OpenJPEG's running commentary interests nobody, but without a handler some builds print it."""


def _collector(lines: list[str]) -> Any:
    def collect(text: bytes | None, _user: int | None) -> None:
        # A broken file can repeat one complaint for every block.
        if len(lines) < 64:
            lines.append(" ".join((text or b"").decode("utf-8", "replace").split()))

    return _MESSAGE_HANDLER(collect)


@contextlib.contextmanager
def _codec(library: Any, codec: int | None, messages: _Messages) -> Iterator[int]:
    if not codec:
        raise OpenjpegError("OpenJPEG found no memory for a codec")
    information, warning, error = messages.callbacks()
    try:
        library.opj_set_info_handler(codec, information, None)
        library.opj_set_warning_handler(codec, warning, None)
        library.opj_set_error_handler(codec, error, None)
        yield codec
    finally:
        library.opj_destroy_codec(codec)


def _set_threads(library: Any, codec: int, threads: int) -> None:
    if threads < 1:
        raise ValueError(f"{threads} threads are not at least one")
    if threads > 1 and library.opj_has_thread_support():
        library.opj_codec_set_threads(codec, threads)


@contextlib.contextmanager
def _reader(library: Any, data: bytes) -> Iterator[int]:
    """A stream that reads `data`, which the caller keeps alive."""
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    total, position = len(data), 0

    def read(buffer: int, count: int, _user: int | None) -> int:
        nonlocal position
        taken = min(count, total - position)
        if taken <= 0:
            return _FAILED
        ctypes.memmove(buffer, address + position, taken)
        position += taken
        return taken

    def skip(count: int, _user: int | None) -> int:
        nonlocal position
        skipped = min(count, total - position)
        if skipped <= 0 or position + skipped < 0:
            return -1
        position += skipped
        return skipped

    def seek(target: int, _user: int | None) -> int:
        nonlocal position
        if not 0 <= target <= total:
            return 0
        position = target
        return 1

    with _stream(library, reads=True) as stream:
        keep = (_READ(read), _SKIP(skip), _SEEK(seek))
        library.opj_stream_set_read_function(stream, keep[0])
        library.opj_stream_set_skip_function(stream, keep[1])
        library.opj_stream_set_seek_function(stream, keep[2])
        library.opj_stream_set_user_data_length(stream, total)
        yield stream


@contextlib.contextmanager
def _writer(library: Any) -> Iterator[tuple[int, bytearray]]:
    """A stream and what has been written to it."""
    out = bytearray()
    position = 0

    def write(buffer: int, count: int, _user: int | None) -> int:
        nonlocal position
        out[position : position + count] = ctypes.string_at(buffer, count)
        position += count
        return count

    def skip(count: int, _user: int | None) -> int:
        return count if seek(position + count, None) else -1

    def seek(target: int, _user: int | None) -> int:
        nonlocal position
        if target < 0:
            return 0
        out.extend(bytes(max(0, target - len(out))))
        position = target
        return 1

    with _stream(library, reads=False) as stream:
        keep = (_READ(write), _SKIP(skip), _SEEK(seek))
        library.opj_stream_set_write_function(stream, keep[0])
        library.opj_stream_set_skip_function(stream, keep[1])
        library.opj_stream_set_seek_function(stream, keep[2])
        yield stream, out


@contextlib.contextmanager
def _stream(library: Any, *, reads: bool) -> Iterator[int]:
    stream = library.opj_stream_create(_STREAM_BUFFER_BYTES, int(reads))
    if not stream:
        raise OpenjpegError("OpenJPEG found no memory for a stream")
    try:
        yield stream
    finally:
        library.opj_stream_destroy(stream)


# The library and its structures -------------------------------------------------------------------


@functools.cache
def _library() -> Any:
    refused = []
    for path in _library_paths():
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            refused.append(f"{path}: {error}")
            continue
        library.opj_version.restype = ctypes.c_char_p
        version = library.opj_version().decode()
        if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) >= MINIMUM_VERSION:
            _declare(library)
            return library
        refused.append(f"{path}: version {version}")
    wanted = ".".join(map(str, MINIMUM_VERSION))
    raise OpenjpegError(f"found no libopenjp2 {wanted} or newer ({'; '.join(refused) or 'none at all'})")


def _library_paths() -> Iterator[str]:
    """Where libopenjp2 may be: in the wheel of imagecodecs, in that of Pillow, in the system."""
    for package, folder in (("imagecodecs", "imagecodecs.libs"), ("PIL", "pillow.libs")):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            continue
        home = pathlib.Path(found.origin).parent
        for place in (home.parent / folder, home / ".dylibs"):
            yield from map(str, sorted(place.glob("*openjp2*")))
    system = ctypes.util.find_library("openjp2")
    if system is not None:
        yield system


def _declare(library: Any) -> None:
    """Argument and result types; what is not listed returns int."""
    pointer, word, size = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t
    image = ctypes.POINTER(_Image)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "opj_set_default_encoder_parameters": (None, [ctypes.POINTER(_Cparameters)]),
        "opj_set_default_decoder_parameters": (None, [ctypes.POINTER(_Dparameters)]),
        "opj_create_compress": (pointer, [ctypes.c_int]),
        "opj_create_decompress": (pointer, [ctypes.c_int]),
        "opj_destroy_codec": (None, [pointer]),
        "opj_setup_encoder": (ctypes.c_int, [pointer, ctypes.POINTER(_Cparameters), image]),
        "opj_start_compress": (ctypes.c_int, [pointer, image, pointer]),
        "opj_encode": (ctypes.c_int, [pointer, pointer]),
        "opj_end_compress": (ctypes.c_int, [pointer, pointer]),
        "opj_setup_decoder": (ctypes.c_int, [pointer, ctypes.POINTER(_Dparameters)]),
        "opj_decoder_set_strict_mode": (ctypes.c_int, [pointer, ctypes.c_int]),
        "opj_read_header": (ctypes.c_int, [pointer, pointer, ctypes.POINTER(image)]),
        "opj_decode": (ctypes.c_int, [pointer, pointer, image]),
        "opj_end_decompress": (ctypes.c_int, [pointer, pointer]),
        "opj_codec_set_threads": (ctypes.c_int, [pointer, ctypes.c_int]),
        "opj_has_thread_support": (ctypes.c_int, []),
        "opj_image_create": (image, [word, ctypes.POINTER(_Plane), ctypes.c_int]),
        "opj_image_destroy": (None, [image]),
        "opj_stream_create": (pointer, [size, ctypes.c_int]),
        "opj_stream_destroy": (None, [pointer]),
        "opj_stream_set_read_function": (None, [pointer, _READ]),
        "opj_stream_set_write_function": (None, [pointer, _READ]),
        "opj_stream_set_skip_function": (None, [pointer, _SKIP]),
        "opj_stream_set_seek_function": (None, [pointer, _SEEK]),
        "opj_stream_set_user_data_length": (None, [pointer, ctypes.c_uint64]),
        "opj_set_info_handler": (ctypes.c_int, [pointer, _MESSAGE_HANDLER, pointer]),
        "opj_set_warning_handler": (ctypes.c_int, [pointer, _MESSAGE_HANDLER, pointer]),
        "opj_set_error_handler": (ctypes.c_int, [pointer, _MESSAGE_HANDLER, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


_MESSAGE_HANDLER: Callable[..., Any] = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_READ: Callable[..., Any] = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
_SKIP: Callable[..., Any] = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_SEEK: Callable[..., Any] = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_void_p)


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class _Plane(ctypes.Structure):
    """opj_image_cmptparm_t."""

    _fields_: ClassVar = _fields(ctypes.c_uint32, "dx dy w h x0 y0 prec bpp sgnd")


class _Component(ctypes.Structure):
    """opj_image_comp_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "dx dy w h x0 y0 prec bpp sgnd resno_decoded factor"),
        ("data", ctypes.POINTER(ctypes.c_int32)),
        ("alpha", ctypes.c_uint16),
    ]


class _Image(ctypes.Structure):
    """opj_image_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "x0 y0 x1 y1 numcomps"),
        ("color_space", ctypes.c_int),
        ("comps", ctypes.POINTER(_Component)),
        ("icc_profile_buf", ctypes.c_void_p),
        ("icc_profile_len", ctypes.c_uint32),
    ]


class _Progression(ctypes.Structure):
    """opj_poc_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "resno0 compno0 layno1 resno1 compno1 layno0 precno0 precno1"),
        *_fields(ctypes.c_int, "prg1 prg"),
        ("progorder", ctypes.c_char * 5),
        *_fields(ctypes.c_uint32, "tile"),
        *_fields(ctypes.c_int32, "tx0 tx1 ty0 ty1"),
        *_fields(ctypes.c_uint32, "layS resS compS prcS layE resE compE prcE txS txE tyS tyE dx dy"),
        *_fields(ctypes.c_uint32, "lay_t res_t comp_t prc_t tx0_t ty0_t"),
    ]


class _Cparameters(ctypes.Structure):
    """opj_cparameters_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_int, "tile_size_on cp_tx0 cp_ty0 cp_tdx cp_tdy"),
        *_fields(ctypes.c_int, "cp_disto_alloc cp_fixed_alloc cp_fixed_quality"),
        *_fields(ctypes.c_void_p, "cp_matrice cp_comment"),
        *_fields(ctypes.c_int, "csty prog_order"),
        ("POC", _Progression * 32),
        ("numpocs", ctypes.c_uint32),
        ("tcp_numlayers", ctypes.c_int),
        *_fields(ctypes.c_float * MAX_LAYERS, "tcp_rates tcp_distoratio"),
        *_fields(ctypes.c_int, "numresolution cblockw_init cblockh_init mode irreversible"),
        *_fields(ctypes.c_int, "roi_compno roi_shift res_spec"),
        *_fields(ctypes.c_int * _MAX_RESOLUTIONS, "prcw_init prch_init"),
        *_fields(ctypes.c_char * _PATH_LENGTH, "infile outfile"),
        ("index_on", ctypes.c_int),
        ("index", ctypes.c_char * _PATH_LENGTH),
        *_fields(ctypes.c_int, "image_offset_x0 image_offset_y0 subsampling_dx subsampling_dy"),
        *_fields(ctypes.c_int, "decod_format cod_format jpwl_epc_on jpwl_hprot_MH"),
        *_fields(ctypes.c_int * 16, "jpwl_hprot_TPH_tileno jpwl_hprot_TPH"),
        *_fields(ctypes.c_int * 16, "jpwl_pprot_tileno jpwl_pprot_packno jpwl_pprot"),
        *_fields(ctypes.c_int, "jpwl_sens_size jpwl_sens_addr jpwl_sens_range jpwl_sens_MH"),
        *_fields(ctypes.c_int * 16, "jpwl_sens_TPH_tileno jpwl_sens_TPH"),
        *_fields(ctypes.c_int, "cp_cinema max_comp_size cp_rsiz"),
        *_fields(ctypes.c_byte, "tp_on tp_flag tcp_mct"),
        ("jpip_on", ctypes.c_int),
        ("mct_data", ctypes.c_void_p),
        ("max_cs_size", ctypes.c_int),
        ("rsiz", ctypes.c_uint16),
    ]


class _Dparameters(ctypes.Structure):
    """opj_dparameters_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "cp_reduce cp_layer"),
        *_fields(ctypes.c_char * _PATH_LENGTH, "infile outfile"),
        *_fields(ctypes.c_int, "decod_format cod_format"),
        *_fields(ctypes.c_uint32, "DA_x0 DA_x1 DA_y0 DA_y1"),
        ("m_verbose", ctypes.c_int),
        *_fields(ctypes.c_uint32, "tile_index nb_tile_to_decode"),
        *_fields(ctypes.c_int, "jpwl_correct jpwl_exp_comps jpwl_max_tiles"),
        ("flags", ctypes.c_uint),
    ]
