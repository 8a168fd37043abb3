"""Child processes that decode photos for `sandbox.client`, and the pool of idle ones.

A child is started by a thread that stays, serves one thread at a time, and is ended by what kills it, by its
age, or with its parent.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foveate.sandbox import server
from foveate.sandbox.server import LENGTH, MOST_REPLY, READY
from foveate.storage.errors import BadInput

_START_SECONDS = 120.0  # on a machine that is busy, or reads Python from a far disk
_PHOTOS_PER_CHILD = 1000  # whatever a library leaks or leaves in pieces goes with the child


class DecoderFailed(BadInput):
    """Decoding crashed, or exceeded its time or memory; the message says which."""


class CrashedLate(DecoderFailed):
    """A child crashed that had served before."""


class CannotStartError(OSError):
    """No child process can be started."""


class Child:
    """One child process and the socket to it; for one thread at a time."""

    def __init__(self) -> None:
        """Starts it.

        Raises:
          CannotStartError: that did not work.
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
                raise CannotStartError(str(error)) from error
            theirs.close()
            self.socket.settimeout(_START_SECONDS)
            with contextlib.suppress(OSError):
                if self.socket.recv(len(READY)) == READY:
                    return
            self.stop()
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise CannotStartError(lines[-1] if lines else self._ending())

    def ask(
        self, request: Mapping[str, Any], data: bytes, seconds: float
    ) -> tuple[dict[str, Any], mmap.mmap | bytes]:
        """Sends one request; returns the document of the answer and the shared memory that it refers to.

        Raises:
          DecoderFailed: there is no answer, nor will there be one to any other request.
        """
        ending = time.monotonic() + seconds
        line = json.dumps({**request, "seconds": seconds, "bytes": len(data)}).encode() + b"\n"
        try:
            self._give(ending, line)
            self._give(ending, data)
            found = self._receive(ending)
        except TimeoutError as error:
            self.stop()
            raise DecoderFailed(f"decoding took longer than {seconds:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            self._reap()
            if self.process.returncode == -signal.SIGALRM:
                raise DecoderFailed(f"decoding took longer than {seconds:g} s") from error
            raise (CrashedLate if self.answers else DecoderFailed)(self._ending()) from error
        self.answers += 1
        return found

    def _give(self, ending: float, data: bytes) -> None:
        self.socket.settimeout(max(ending - time.monotonic(), 1e-3))
        self.socket.sendall(data)

    def _receive(self, ending: float) -> tuple[dict[str, Any], mmap.mmap | bytes]:
        """An answer; raises EOFError if it ends early, ValueError if it is malformed."""
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
        """Waits for a process that has closed its socket, to learn how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(server.GRACE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Ends the process, whatever it is doing."""
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def _ending(self) -> str:
        status = self.process.returncode
        if status >= 0:
            return f"the decoder ended with status {status}"
        if -status == signal.SIGKILL:
            return "the decoder was killed (signal 9), perhaps for lack of memory"
        return f"the decoder crashed (signal {-status}: {signal.strsignal(-status)})"


class Children:
    """The idle children of this process; there are as many children as threads that decode at once."""

    def __init__(self) -> None:
        self.ever_started = False
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Starts over in a fork, which has one thread, and whose parent's children are not its own."""
        self.lock = threading.Lock()
        self.idle: list[Child] = []
        # The kernel ends a child with the thread that started it: this one stays as long as the process.
        self.starter = concurrent.futures.ThreadPoolExecutor(1, "start-decoders")

    @contextlib.contextmanager
    def borrowed(self, fresh: bool = False) -> Iterator[Child]:
        """A child for exclusive use; afterwards it serves others, unless it has died or is worn out."""
        with self.lock:
            child = self.idle.pop() if self.idle and not fresh else None
        if child is None:
            try:
                child = self.starter.submit(Child).result()
            except RuntimeError as error:  # Python itself is ending
                raise CannotStartError(str(error)) from error
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
        """Ends the idle children."""
        with self.lock:
            idle, self.idle = self.idle, []
        for child in idle:
            child.stop()


def _mapped(descriptor: int) -> mmap.mmap:
    """Shared memory as a buffer that cannot shrink while it is read."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size)


def _import_paths() -> list[str]:
    """The import paths of this process, for a child started anywhere."""
    return [str(Path(__file__).parents[2]), *(path for path in sys.path if path)]
