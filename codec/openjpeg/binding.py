"""Binds libopenjp2 through ctypes: its functions and structures (2.5.4 or newer, openjpeg.h).

The library is the one in the wheels of imagecodecs or Pillow, else the system's.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

MINIMUM_VERSION = (2, 5, 4)

CODEC_J2K, CODEC_JP2 = 0, 2
COLOR_UNSPECIFIED, COLOR_SRGB, COLOR_GRAY, COLOR_EYCC = 0, 1, 2, 4

_PATH_LENGTH = 4096


class OpenjpegError(RuntimeError):
    """OpenJPEG could not be found; the message says where it was looked for."""


@functools.cache
def library() -> Any:
    """The loaded library, its functions declared.

    Raises:
        OpenjpegError: there is none that is new enough.
    """
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


@functools.cache
def library_version() -> str:
    """The version of the OpenJPEG in use, such as "2.5.4".

    Raises:
        OpenjpegError: there is none that is new enough.
    """
    version: bytes = library().opj_version()
    return version.decode()


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
    image = ctypes.POINTER(Image)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "opj_set_default_decoder_parameters": (None, [ctypes.POINTER(DecoderParameters)]),
        "opj_create_decompress": (pointer, [ctypes.c_int]),
        "opj_destroy_codec": (None, [pointer]),
        "opj_setup_decoder": (ctypes.c_int, [pointer, ctypes.POINTER(DecoderParameters)]),
        "opj_decoder_set_strict_mode": (ctypes.c_int, [pointer, ctypes.c_int]),
        "opj_read_header": (ctypes.c_int, [pointer, pointer, ctypes.POINTER(image)]),
        "opj_decode": (ctypes.c_int, [pointer, pointer, image]),
        "opj_set_decode_area": (ctypes.c_int, [pointer, image, *[ctypes.c_int32] * 4]),
        "opj_read_tile_header": (ctypes.c_int, [pointer, pointer, *[pointer] * 8]),
        "opj_decode_tile_data": (ctypes.c_int, [pointer, word, pointer, word, pointer]),
        "opj_end_decompress": (ctypes.c_int, [pointer, pointer]),
        "opj_codec_set_threads": (ctypes.c_int, [pointer, ctypes.c_int]),
        "opj_has_thread_support": (ctypes.c_int, []),
        "opj_image_destroy": (None, [image]),
        "opj_stream_create": (pointer, [size, ctypes.c_int]),
        "opj_stream_destroy": (None, [pointer]),
        "opj_stream_set_read_function": (None, [pointer, READ]),
        "opj_stream_set_skip_function": (None, [pointer, SKIP]),
        "opj_stream_set_seek_function": (None, [pointer, SEEK]),
        "opj_stream_set_user_data_length": (None, [pointer, ctypes.c_uint64]),
        "opj_set_info_handler": (ctypes.c_int, [pointer, MESSAGE_HANDLER, pointer]),
        "opj_set_warning_handler": (ctypes.c_int, [pointer, MESSAGE_HANDLER, pointer]),
        "opj_set_error_handler": (ctypes.c_int, [pointer, MESSAGE_HANDLER, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


MESSAGE_HANDLER: Callable[..., Any] = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
READ: Callable[..., Any] = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
SKIP: Callable[..., Any] = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
SEEK: Callable[..., Any] = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_void_p)


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Component(ctypes.Structure):
    """opj_image_comp_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "dx dy w h x0 y0 prec bpp sgnd resno_decoded factor"),
        ("data", ctypes.POINTER(ctypes.c_int32)),
        ("alpha", ctypes.c_uint16),
    ]


class Image(ctypes.Structure):
    """opj_image_t."""

    _fields_: ClassVar = [
        *_fields(ctypes.c_uint32, "x0 y0 x1 y1 numcomps"),
        ("color_space", ctypes.c_int),
        ("comps", ctypes.POINTER(Component)),
        ("icc_profile_buf", ctypes.c_void_p),
        ("icc_profile_len", ctypes.c_uint32),
    ]


class DecoderParameters(ctypes.Structure):
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
