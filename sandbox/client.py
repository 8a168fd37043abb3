"""Decodes in a child process, so that a crash, a hang or a bomb costs one photo instead of the worker.

Each thread that decodes borrows a child process (`sandbox.server`) from its process's pool, sends
it the bytes, and gets arrays back in nameless shared memory, without a copy. The child is held to limits of
time and of addresses. If a photo kills it, that photo is bad input, and the next one gets a new child.
No child outlives its worker, however that ends. This contains accidents; it is not a jail for code that takes
a child over.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import openjpeg
from foveate.codec.file import DecodedFile
from foveate.codec.integrity import Integrity
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.codec.regions import Region
from foveate.pictures.dicom_dataset import is_dicom
from foveate.pictures.picture import NotForJpeg2000, Picture
from foveate.pictures.reasons import Reason
from foveate.sandbox import server
from foveate.sandbox.children import CannotStartError, Children, CrashedLate, DecoderFailed
from foveate.sandbox.server import INTERNAL, OUT_OF_MEMORY, TYPED
from foveate.storage.errors import BadInput

_TYPES: dict[str, Any] = {kind.__name__: kind for kind in TYPED}

_log = logging.getLogger("foveate")


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits for one photo; the defaults let photos of 250 megapixels pass, however they are coded.

    pixels: by its header.
    file_bytes: by its listing, before it is read: as many as 250 megapixels of four 16-bit channels have.
    seconds: to decode it, by the clock.
    memory_gb: of addresses that its decoding takes, in 10**9 bytes; held to on Linux only.
    """

    pixels: int = 250_000_000
    file_bytes: int = 1 << 31
    seconds: float = 600.0
    memory_gb: float = 16.0


def check_file_bytes(size: int, limits: Limits) -> None:
    """Raises BadInput for a file that is too large to read."""
    if size > limits.file_bytes:
        raise BadInput(f"the file has {size:,} bytes, more than the limit of {limits.file_bytes:,}")


def decode_picture(data: bytes, limits: Limits, frame: int = 0, also: Sequence[str] = ()) -> Picture:
    """Like `pictures.formats.decode_picture`, in isolation.

    Raises:
      BadPicture, NotForJpeg2000: as there.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    options = {"max_pixels": limits.pixels, "frame": frame, "also": list(also)}
    found = _decoded("picture", data, options, limits)
    found["metadata"] = _metadata(found["metadata"])
    found["metadata_problems"] = tuple(found["metadata_problems"])
    return Picture(**found)


def decode_jpeg2000(data: bytes, limits: Limits, reduce: int = 0, layers: int = 0) -> openjpeg.Decoded:
    """Like `codec.openjpeg.decode`, in isolation.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: as there.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    options = {"max_pixels": limits.pixels, "reduce": reduce, "layers": layers}
    found = _decoded("jpeg2000", data, options, limits)
    return openjpeg.Decoded(**found | {"warnings": tuple(found["warnings"])})


def decode_archive(
    data: bytes, limits: Limits, reduce: int = 0, layers: int = 0, region: Region | None = None
) -> DecodedFile:
    """Like `codec.file.decode_file`, in isolation.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: as there, or malformed boxes.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    options = {"max_pixels": limits.pixels, "reduce": reduce, "layers": layers, "region": region}
    found = _decoded("archive", data, options, limits)
    decoded = openjpeg.Decoded(**found["decoded"] | {"warnings": tuple(found["decoded"]["warnings"])})
    metadata, record = _metadata(found["metadata"]), _record(found["record"])
    return DecodedFile(decoded, metadata, record, found["noise"], found["note"])


def bits_per_pixel(data: bytes, limits: Limits, rows: int, columns: int) -> NDArray[np.float32]:
    """Like `codec.bit_usage.bits_per_pixel` of a file's bytes, in isolation.

    Raises:
      BadCodestream, UnsupportedCodestream: its packets cannot be read.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    found: NDArray[np.float32] = _decoded("bits", data, {"rows": rows, "columns": columns}, limits)["bits"]
    return found


def check_integrity(data: bytes, limits: Limits) -> Integrity:
    """Like `codec.integrity.check`, in isolation.

    Raises:
      BadCodestream: as there.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    found = _decoded("check", data, {}, limits)
    cut = found["cut_after"]
    return Integrity(
        record=_record(found["record"]),
        sealed=found["sealed"],
        cut_after=None if cut is None else (cut[0], cut[1]),
        problems=tuple(found["problems"]),
    )


def frame_count(data: bytes, limits: Limits) -> int:
    """Like `pictures.dicom.frame_count`, in isolation.

    Raises:
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    return int(_decoded("frames", data, {}, limits)["count"])


def _metadata(fields: dict[str, Any]) -> PhotoMetadata:
    dpi, texts = fields["dpi"], fields["texts"]
    named = {
        "dpi": None if dpi is None else (dpi[0], dpi[1]),
        "texts": tuple((name, said) for name, said in texts),
    }
    return PhotoMetadata(**fields | named)


def _record(fields: dict[str, Any] | None) -> ArchiveRecord | None:
    return None if fields is None else ArchiveRecord(**fields)


def idle_processes() -> list[int]:
    """The process ids of idle children, the most recent last."""
    return [child.process.pid for child in _children.idle]


def _decoded(task: str, data: bytes, options: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The result of a task, by a child or, where there are no children, in this process."""
    document, shared = _answered(task, data, options, limits)
    error = document.get("error")
    if error is None:
        found: dict[str, Any] = server.parse_result(document["result"], shared)
        return found
    if error == OUT_OF_MEMORY:
        raise DecoderFailed(f"decoding it needs more than {limits.memory_gb:g} GB of memory")
    if error == INTERNAL:
        raise RuntimeError(document["message"])
    if error == NotForJpeg2000.__name__:
        raise NotForJpeg2000(Reason(document["reason"]), document["message"])
    raise _TYPES[error](document["message"])


def _answered(
    task: str, data: bytes, options: Mapping[str, Any], limits: Limits
) -> tuple[dict[str, Any], Any]:
    """A JSON document, and the buffer that it refers to."""
    request = {
        "task": task,
        "options": options,
        "prepare": is_dicom(data),
        "memory_bytes": round(limits.memory_gb * 1e9),
    }
    try:
        return _asked(request, data, limits.seconds)
    except CannotStartError as error:
        if _children.ever_started:
            raise DecoderFailed(f"no decoder can be started: {error}") from error
        _warn_once(str(error))
        here, shared = server.answer(task, data, options), bytearray()
        for part in here.padded():
            shared += part
        return here.document, shared


def _asked(request: Mapping[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], Any]:
    """A child's answer; if one that has served before crashes, a new child's.

    It may have died of what an earlier photo did to its memory.
    """
    with contextlib.suppress(CrashedLate), _children.borrowed() as child:
        return child.ask(request, data, seconds)
    with _children.borrowed(fresh=True) as child:
        return child.ask(request, data, seconds)


_warned = threading.Event()


def _warn_once(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        _log.warning(
            "no separate process can be started (%s): photos are decoded without isolation, so a crash would "
            "end the worker",
            reason,
        )


_children = Children()
atexit.register(_children.close)
