"""Manages libopenjp2's codecs, in-memory streams and messages, each for the length of a `with` block."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator
from typing import Any

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.openjpeg.binding import MESSAGE_HANDLER, READ, SEEK, SKIP, OpenjpegError

_STREAM_BUFFER_BYTES = 1 << 20
_FAILED = ctypes.c_size_t(-1).value


class Messages:
    """Collects what the library says; keeps the callbacks alive for as long as the codec lives."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def callbacks(self) -> tuple[Any, Any, Any]:
        """Handlers for information, warnings and errors."""
        return MESSAGE_HANDLER(_ignore), _collector(self.warnings), _collector(self.errors)

    def said(self) -> str:
        """All errors, or else all warnings, in a line."""
        return "; ".join(self.errors or self.warnings) or "no reason given"


def _ignore(_text: bytes | None, _user: int | None) -> None:
    """OpenJPEG's running commentary interests nobody, but without a handler some builds print it."""


def _collector(lines: list[str]) -> Any:
    def collect(text: bytes | None, _user: int | None) -> None:
        # A broken file can repeat one complaint for every block.
        if len(lines) < 64:
            lines.append(" ".join((text or b"").decode("utf-8", "replace").split()))

    return MESSAGE_HANDLER(collect)


@contextlib.contextmanager
def opened_codec(library: Any, codec: int | None, messages: Messages) -> Iterator[int]:
    """A codec fresh from its constructor, its messages collected, destroyed at the end."""
    if not codec:
        raise OpenjpegError("OpenJPEG has no memory for a codec")
    information, warning, error = messages.callbacks()
    try:
        library.opj_set_info_handler(codec, information, None)
        library.opj_set_warning_handler(codec, warning, None)
        library.opj_set_error_handler(codec, error, None)
        yield codec
    finally:
        library.opj_destroy_codec(codec)


def says_no_memory(said: str) -> bool:
    """Whether what the library says means that it was given no memory."""
    return re.search("memory|alloc|exceeds system limits", said, re.IGNORECASE) is not None


def require_decoded(succeeded: int, messages: Messages) -> None:
    """Raises what a failed call of the decoder means.

    Raises:
      ValueError: `reduce` is too much.
      UnsupportedCodestream: the library itself says that it does not do that.
      BadCodestream: anything else.
    """
    if not succeeded:
        if any("resolutions to remove" in error for error in messages.errors):
            raise ValueError("`reduce` leaves no resolution of this file")
        if limitation := re.search(r"Implementation limitation: [^,;]+", messages.said()):
            raise UnsupportedCodestream(f"OpenJPEG does not support this: {limitation[0]}")
        raise BadCodestream(f"OpenJPEG rejects the data: {messages.said()}")


def set_threads(library: Any, codec: int, threads: int) -> None:
    """Lets a codec use several threads, if the library can."""
    if threads < 1:
        raise ValueError(f"{threads} threads are not at least one")
    if threads > 1 and library.opj_has_thread_support():
        library.opj_codec_set_threads(codec, threads)


@contextlib.contextmanager
def reader(library: Any, data: bytes) -> Iterator[int]:
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

    with _stream(library) as stream:
        keep = (READ(read), SKIP(skip), SEEK(seek))
        library.opj_stream_set_read_function(stream, keep[0])
        library.opj_stream_set_skip_function(stream, keep[1])
        library.opj_stream_set_seek_function(stream, keep[2])
        library.opj_stream_set_user_data_length(stream, total)
        yield stream


@contextlib.contextmanager
def _stream(library: Any) -> Iterator[int]:
    stream = library.opj_stream_create(_STREAM_BUFFER_BYTES, 1)
    if not stream:
        raise OpenjpegError("OpenJPEG has no memory for a stream")
    try:
        yield stream
    finally:
        library.opj_stream_destroy(stream)
