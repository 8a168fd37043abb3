"""Runs iipsrv, an IIIF image server, in a separate process, and requests parts from it by FastCGI."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PLACES = ("/usr/lib/iipimage-server/iipsrv.fcgi", "/usr/local/bin/iipsrv.fcgi", "/usr/libexec/iipsrv.fcgi")
_WAIT_SECONDS = 120.0
_BEGIN, _PARAMS, _STDIN, _STDOUT = 1, 4, 5, 6  # types of records
_MOST = 0xFFF8  # bytes of a record


def server_program() -> str | None:
    """The path of iipsrv, None if it is not installed."""
    return shutil.which("iipsrv.fcgi") or next((place for place in _PLACES if Path(place).exists()), None)


class ImageServer:
    """A running server; its files are those of one folder."""

    def __init__(self, port: int) -> None:
        self._port = port

    def iiif(self, path: str) -> bytes:
        """The body of an answer, e.g. to "photo.jp2/0,0,512,512/256,/0/default.jpg".

        Raises:
          ValueError: it is an error.
        """
        head, _, body = self._ask(f"IIIF={path}").partition(b"\r\n\r\n")
        if b"Status: " in head and b"Status: 200" not in head:
            raise ValueError(f"{path}: {head.decode('latin-1')}")
        return body

    def _ask(self, query: str) -> bytes:
        """The output of a FastCGI server for a request (FastCGI specification 1.0, sections 3 and 6.2)."""
        values = {"QUERY_STRING": query, "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
        values |= {"HTTP_HOST": "localhost", "REQUEST_URI": f"/iiif?{query}", "SCRIPT_NAME": "/iiif"}
        params = b"".join(_pair(name.encode(), value.encode()) for name, value in values.items())
        with socket.create_connection(("127.0.0.1", self._port), _WAIT_SECONDS) as connection:
            connection.sendall(
                _record(_BEGIN, struct.pack(">HB5x", 1, 0))
                + _record(_PARAMS, params)
                + _record(_PARAMS, b"")
                + _record(_STDIN, b"")
            )
            with connection.makefile("rb") as answer:
                return b"".join(content for kind, content in _records(answer) if kind == _STDOUT)


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _pair(name: bytes, value: bytes) -> bytes:
    lengths = b"".join(
        bytes([len(part)]) if len(part) < 128 else struct.pack(">I", len(part) | 1 << 31)
        for part in (name, value)
    )
    return lengths + name + value


def _records(answer: object) -> Iterator[tuple[int, bytes]]:
    """Types and contents of records, to the end."""
    while header := answer.read(8):  # type: ignore[attr-defined]
        _, kind, _, length, padding = struct.unpack(">BBHHBx", header)
        content = answer.read(length + padding)[:length]  # type: ignore[attr-defined]
        yield kind, content


@contextlib.contextmanager
def serving(folder: Path, program: str, *, cache_megabytes: float = 0.0) -> Iterator[ImageServer]:
    """Runs the server for the files of a folder.

    Args:
      folder: of the files.
      program: from `server_program`.
      cache_megabytes: for finished tiles.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "FILESYSTEM_PREFIX": f"{folder}/",
        "MAX_IMAGE_CACHE_SIZE": f"{cache_megabytes:g}",
        "MAX_CVT": "20000",
        "VERBOSITY": "1",
        "LOGFILE": str(folder / "iipsrv.log"),
        "JPEG_QUALITY": "100",
        "ALLOW_UPSCALING": "0",
    }
    process = subprocess.Popen(
        [program, "--bind", f"127.0.0.1:{port}"],
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield ImageServer(port)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("iipsrv did not start") from error
            time.sleep(0.05)
        else:
            return
