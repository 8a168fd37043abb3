"""Decoding where a crash, a hang or a blow-up of a C library costs one photo, not the worker.

Each thread that decodes borrows a child process (`sandbox.server`) from its process's pool, sends
it the bytes, and gets arrays back in nameless shared memory, without a copy. The child is held to limits of
time and of addresses. Where it dies of a photo, that photo is bad input, and the next one gets a new child.
No child outlives its worker, however that ends. This contains accidents; it is not a jail for code that takes
a child over.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import openjpeg
from foveate.codec.integrity import Integrity
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.pictures.dicom import is_dicom
from foveate.pictures.picture import NotForJpeg2000, Picture
from foveate.pictures.reasons import Reason
from foveate.sandbox import server
from foveate.sandbox.server import INTERNAL, LENGTH, MOST_REPLY, OUT_OF_MEMORY, READY, TYPED
from foveate.storage.errors import BadInput

_START_SECONDS = 120.0  # on a machine that is busy, or reads Python from a far disk
_PHOTOS_PER_CHILD = 1000  # whatever a library leaks or leaves in pieces goes with the child
_TYPES: dict[str, Any] = {kind.__name__: kind for kind in TYPED}

_log = logging.getLogger("foveate")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one photo may be and take; the defaults let photos of 250 megapixels pass, however they are coded.

    pixels: by its header.
    file_bytes: by its listing, before it is read: as many as 250 megapixels of four 16-bit channels have.
    seconds: to decode it, by the clock.
    memory_gb: of addresses that its decoding takes, in 10**9 bytes; held to on Linux only.
    """

    pixels: int = 250_000_000
    file_bytes: int = 1 << 31
    seconds: float = 600.0
    memory_gb: float = 16.0


class DecoderFailed(BadInput):
    """Decoding crashed, or took more than it was given; the message says which."""


class _CrashedLate(DecoderFailed):
    """A child crashed that had served before."""


class _CannotStartError(OSError):
    """There is no child process to be had."""


def check_file_bytes(size: int, limits: Limits) -> None:
    """Raises BadInput for a file that is too large to be read."""
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


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedArchive:
    """A JPEG 2000 file as it is restored.

    decoded: its pixels.
    metadata, record: from its boxes, as `codec.jp2.parse` gives them.
    noise: its coding-noise map as `codec.file.decode_file` gives it, or None; `note` says why.
    """

    decoded: openjpeg.Decoded
    metadata: PhotoMetadata
    record: ArchiveRecord | None
    noise: NDArray[np.float32] | None
    note: str


def decode_archive(data: bytes, limits: Limits, reduce: int = 0, layers: int = 0) -> DecodedArchive:
    """Like `decode_jpeg2000`, with all else that restoring a file takes; a reduced one gets no noise map.

    Raises:
      BadCodestream, UnsupportedCodestream, ValueError: as there, or malformed boxes.
      DecoderFailed: it crashed, or took more time or memory than `limits` allow.
    """
    options = {"max_pixels": limits.pixels, "reduce": reduce, "layers": layers}
    found = _decoded("archive", data, options, limits)
    decoded = openjpeg.Decoded(**found["decoded"] | {"warnings": tuple(found["decoded"]["warnings"])})
    metadata, record = _metadata(found["metadata"]), _record(found["record"])
    return DecodedArchive(decoded, metadata, record, found["noise"], found["note"])


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
    """The process numbers of children that wait for work, the one that worked last at the end."""
    return [child.process.pid for child in _children.idle]


def _decoded(task: str, data: bytes, options: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The result of a task: by a child, or in this process where there are no children."""
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
    """A JSON document, and the buffer it points to."""
    request = {"task": task, "options": options, "prepare": is_dicom(data)}
    try:
        return _asked(request, data, limits)
    except _CannotStartError as error:
        if _children.ever_started:
            raise DecoderFailed(f"no decoder can be started: {error}") from error
        _warn_once(str(error))
        here, shared = server.answer(task, data, options), bytearray()
        for part in here.padded():
            shared += part
        return here.document, shared


def _asked(request: Mapping[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], Any]:
    """What a child answers; where one crashes that has served before, what a new one does.

    It may have died of what an earlier photo did to its memory.
    """
    with contextlib.suppress(_CrashedLate), _children.borrowed() as child:
        return child.ask(request, data, limits)
    with _children.borrowed(fresh=True) as child:
        return child.ask(request, data, limits)


class _Child:
    """One child process and the socket to it; for one thread at a time."""

    def __init__(self) -> None:
        """Starts it.

        Raises:
          _CannotStartError: that did not work.
        """
        self.answers = 0
        self.socket, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as said:
            try:
                self.process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        server.__name__,
                        str(theirs.fileno()),
                        str(os.getpid()),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C is for its parent
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(_import_paths())},
                )
            except (OSError, ValueError, TypeError) as error:  # no executable; a sandbox
                self.socket.close()
                raise _CannotStartError(str(error)) from error
            theirs.close()
            self.socket.settimeout(_START_SECONDS)
            with contextlib.suppress(OSError):
                if self.socket.recv(len(READY)) == READY:
                    return
            self.stop()
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise _CannotStartError(lines[-1] if lines else self._ending())

    def ask(
        self, request: Mapping[str, Any], data: bytes, limits: Limits
    ) -> tuple[dict[str, Any], mmap.mmap | bytes]:
        """Hands over one request; the document of its answer and the shared memory that it points to.

        Raises:
          DecoderFailed: there is no answer, nor will there be one to any other request.
        """
        ending = time.monotonic() + limits.seconds
        bounds = {"seconds": limits.seconds, "memory_bytes": round(limits.memory_gb * 1e9)}
        line = json.dumps({**request, **bounds, "bytes": len(data)}).encode() + b"\n"
        try:
            self._give(ending, line)
            self._give(ending, data)
            found = self._receive(ending)
        except TimeoutError as error:
            self.stop()
            raise DecoderFailed(f"decoding took longer than {limits.seconds:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            self._reap()
            if self.process.returncode == -signal.SIGALRM:
                raise DecoderFailed(f"decoding took longer than {limits.seconds:g} s") from error
            raise (_CrashedLate if self.answers else DecoderFailed)(self._ending()) from error
        self.answers += 1
        return found

    def _give(self, ending: float, data: bytes) -> None:
        self.socket.settimeout(max(ending - time.monotonic(), 1e-3))
        self.socket.sendall(data)

    def _receive(self, ending: float) -> tuple[dict[str, Any], mmap.mmap | bytes]:
        """An answer; raises EOFError where it ends too early, ValueError where it is none."""
        self.socket.settimeout(max(ending - time.monotonic(), 1e-3))
        head, descriptors, _, _ = socket.recv_fds(self.socket, LENGTH.size, 1)
        try:
            if len(head) < LENGTH.size:
                raise EOFError
            (length,) = LENGTH.unpack(head)
            if length > MOST_REPLY:
                raise ValueError(f"an answer of {length:,} bytes")
            document = bytearray()
            while len(document) < length:
                self.socket.settimeout(max(ending - time.monotonic(), 1e-3))
                part = self.socket.recv(length - len(document))
                if not part:
                    raise EOFError
                document += part
            return json.loads(document), _mapped(descriptors[0]) if descriptors else b""
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _reap(self) -> None:
        """Waits for a process that has closed its socket: how it ended is worth knowing."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(server.GRACE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def _ending(self) -> str:
        status = self.process.returncode
        if status >= 0:
            return f"the decoder ended with status {status}"
        if -status == signal.SIGKILL:
            return "the decoder was killed (signal 9): perhaps the machine has no memory left"
        return f"the decoder crashed (signal {-status}: {signal.strsignal(-status)})"


class _Children:
    """The children of this process that have nothing to do; there are as many as threads decode at once."""

    def __init__(self) -> None:
        self.ever_started = False
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begins anew: a fork has no threads but one, and its parent's children are not its own."""
        self.lock = threading.Lock()
        self.idle: list[_Child] = []
        # The kernel ends a child with the thread that started it: this one stays as long as the process.
        self.starter = concurrent.futures.ThreadPoolExecutor(1, "start-decoders")

    @contextlib.contextmanager
    def borrowed(self, fresh: bool = False) -> Iterator[_Child]:
        """A child that nobody else uses; afterwards it serves others, unless it has died or is worn out."""
        with self.lock:
            child = self.idle.pop() if self.idle and not fresh else None
        if child is None:
            try:
                child = self.starter.submit(_Child).result()
            except RuntimeError as error:  # Python itself is ending
                raise _CannotStartError(str(error)) from error
            self.ever_started = True
        try:
            yield child
        except BaseException:
            child.stop()
            raise
        if child.answers < _PHOTOS_PER_CHILD:
            with self.lock:
                self.idle.append(child)
        else:
            child.stop()

    def close(self) -> None:
        """Ends those that have nothing to do."""
        with self.lock:
            idle, self.idle = self.idle, []
        for child in idle:
            child.stop()


def _mapped(descriptor: int) -> mmap.mmap:
    """Shared memory as a buffer, which cannot shrink under its reader any more."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size)


def _import_paths() -> list[str]:
    """Where a child finds what this process has imported, wherever it was started."""
    return [str(Path(__file__).parents[2]), *(path for path in sys.path if path)]


_warned = threading.Event()


def _warn_once(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        _log.warning(
            "photos are decoded in the worker itself, where a crash ends it: no process can be started (%s)",
            reason,
        )


_children = _Children()
atexit.register(_children.close)
