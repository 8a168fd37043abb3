"""Decodes untrusted bytes, in the process that `sandbox.client` starts.

    python -m sandbox.server SOCKET PARENT

It knows neither Beam nor networks, so that it starts in a moment and stays small. On its socket it takes one
request after another: a line of JSON and the bytes to decode. It answers with the length of a JSON document,
to which the descriptor of nameless shared memory with all arrays is attached, and the document. JSON and
plain samples are all that leaves it: nothing that its caller would run.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import integrity, jp2, openjpeg
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.record import ArchiveRecord
from foveate.codec.regions import Region
from foveate.pictures import dicom
from foveate.pictures.formats import decode_picture
from foveate.pictures.picture import BadPicture, NotForJpeg2000

READY = b"ready"
LENGTH = struct.Struct(">I")
MOST_REPLY = 1 << 24  # bytes of a JSON document
OUT_OF_MEMORY, INTERNAL = "out of memory", "internal"
TYPED = (BadPicture, NotForJpeg2000, BadCodestream, UnsupportedCodestream, ValueError)
GRACE_SECONDS = 5.0  # after which this process ends itself where its caller did not end it
_ALIGNED = 64  # bytes: where arrays begin in shared memory
_PR_SET_PDEATHSIG = 1
# How libraries say that they were given no memory, where they do not raise MemoryError.
_NO_MEMORY = re.compile(r"memory|alloc", re.IGNORECASE)

Result = Mapping[str, Any]


# What it does ---------------------------------------------------------------------------------------


def picture(data: bytes, max_pixels: int | None, frame: int, also: Sequence[str]) -> Result:
    """`pictures.formats.decode_picture`, field by field."""
    found = decode_picture(data, max_pixels=max_pixels, frame=frame, also=also)
    return {
        "pixels": found.pixels,
        "metadata": dataclasses.asdict(found.metadata),
        "format": found.format,
        "bit_depth": found.bit_depth,
        "metadata_problems": found.metadata_problems,
        "jpeg_quality": found.jpeg_quality,
    }


def jpeg2000(data: bytes, max_pixels: int | None, reduce: int, layers: int) -> Result:
    """`codec.openjpeg.decode`, field by field."""
    return _decoded(openjpeg.decode(data, max_pixels=max_pixels, reduce=reduce, layers=layers))


def _decoded(found: openjpeg.Decoded) -> Result:
    return {
        "pixels": found.pixels,
        "bit_depth": found.bit_depth,
        "warnings": found.warnings,
        "color_space": found.color_space,
    }


def archive(
    data: bytes, max_pixels: int | None, reduce: int, layers: int, region: Sequence[int] | None
) -> Result:
    """Everything needed to restore a JPEG 2000 file, at once: boxes, pixels, and noise map if whole."""
    from foveate.codec.file import decode_file

    part = None if region is None else Region(*region)
    found = decode_file(data, max_pixels=max_pixels, reduce=reduce, layers=layers, region=part)
    return {
        "decoded": _decoded(found.decoded),
        "metadata": dataclasses.asdict(found.metadata),
        "record": _fields(found.record),
        "noise": found.noise,
        "note": found.note,
    }


def bits(data: bytes, rows: int, columns: int) -> Result:
    """`codec.bit_usage.bits_per_pixel` of a file."""
    from foveate.codec import bit_usage
    from foveate.codec.packet_stream import PacketStream

    packets = PacketStream.parse(jp2.parse(data).codestream)
    return {"bits": bit_usage.bits_per_pixel(packets, rows, columns)}


def check(data: bytes) -> Result:
    """`codec.integrity.check`, which reads the headers of all of a file's tile-parts."""
    found = integrity.check(data)
    return {
        "record": _fields(found.record),
        "sealed": found.sealed,
        "cut_after": found.cut_after,
        "problems": found.problems,
    }


def _fields(record: ArchiveRecord | None) -> Result | None:
    return None if record is None else dataclasses.asdict(record)


def frames(data: bytes) -> Result:
    """`pictures.dicom.frame_count`: deflated datasets can be bombs too."""
    return {"count": dicom.frame_count(data)}


TASKS: dict[str, Callable[..., Result]] = {
    "picture": picture,
    "jpeg2000": jpeg2000,
    "archive": archive,
    "bits": bits,
    "check": check,
    "frames": frames,
}


# What goes over the socket --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Answer:
    """A JSON document, and the arrays and bytes that it refers to, in the order of their places."""

    document: dict[str, Any]
    blobs: Sequence[memoryview] = ()

    def padded(self) -> Iterator[memoryview | bytes]:
        """The blobs, each padded up to where the next one begins."""
        for blob in self.blobs:
            yield blob
            yield bytes(-len(blob) % _ALIGNED)


def answer(task: str, data: bytes, options: Mapping[str, Any]) -> Answer:
    """The answer to one request: a result, or why there is none."""
    try:
        return emit_result(TASKS[task](data, **options))
    except MemoryError:
        return Answer({"error": OUT_OF_MEMORY})
    except TYPED as error:
        kind = next(kind for kind in TYPED if isinstance(error, kind))
        if kind in (BadPicture, BadCodestream) and _NO_MEMORY.search(str(error)):
            return Answer({"error": OUT_OF_MEMORY})
        reason = error.reason.value if isinstance(error, NotForJpeg2000) else ""
        return Answer({"error": kind.__name__, "message": str(error), "reason": reason})
    except Exception:  # a bug: the caller says so with all that is known
        return Answer({"error": INTERNAL, "message": traceback.format_exc()})


def emit_result(result: Result) -> Answer:
    """A result as an answer, with bytes and arrays replaced by their places in shared memory."""
    blobs: list[memoryview] = []
    end = 0

    def place(value: Any) -> Any:
        nonlocal end
        if isinstance(value, Mapping):
            return {name: place(item) for name, item in value.items()}
        if not isinstance(value, bytes | np.ndarray):
            return value
        array = np.ascontiguousarray(np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value)
        at, end = end, end + -(-array.nbytes // _ALIGNED) * _ALIGNED
        plain: Any = array.reshape(-1).view(np.uint8)
        blobs.append(memoryview(plain))
        kind = "bytes" if isinstance(value, bytes) else array.dtype.name
        return {"at": at, "kind": kind, "shape": array.shape}

    return Answer({"result": place(result)}, tuple(blobs))


def parse_result(document: Any, shared: Any) -> Any:
    """The inverse of `emit_result`; arrays are views of the buffer `shared`.

    Raises:
      ValueError: a place is not in the buffer, or of an unknown kind.
    """
    if not isinstance(document, dict):
        return document
    if set(document) != {"at", "kind", "shape"}:
        return {name: parse_result(item, shared) for name, item in document.items()}
    shape = [int(side) for side in document["shape"]]
    kind = document["kind"]
    if kind not in ("bytes", "uint8", "uint16", "float32"):
        raise ValueError(f"an array of {kind!r}")
    count = math.prod(shape)
    array: NDArray[Any] = np.frombuffer(shared, "uint8" if kind == "bytes" else kind, count, document["at"])
    return array.tobytes() if kind == "bytes" else array.reshape(shape)


def send(connection: socket.socket, reply: Answer) -> None:
    """Sends an answer, with its blobs in anonymous shared memory, which vanishes if both processes die."""
    document = json.dumps(reply.document).encode()
    if len(document) > MOST_REPLY:
        document = json.dumps(
            {"error": INTERNAL, "message": f"an answer of {len(document):,} bytes"}
        ).encode()
    with contextlib.ExitStack() as stack:
        descriptors = []
        if reply.blobs:
            shared = stack.enter_context(_nameless_file())
            for part in reply.padded():
                shared.write(part)
            shared.flush()
            descriptors.append(shared.fileno())
        socket.send_fds(connection, [LENGTH.pack(len(document))], descriptors)
    connection.sendall(document)


def _nameless_file() -> Any:
    """Anonymous shared memory or, where the system cannot send that, a deleted file."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("foveate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb")
    return tempfile.TemporaryFile()


# The process ----------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> None:
    """Serves until the other end of the socket is closed."""
    connection = socket.socket(fileno=int(argv[0]))
    _die_with(int(argv[1]))
    _be_expendable()
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), sys.stderr.fileno())  # libraries' remarks on broken files
    with contextlib.suppress(ConnectionError):  # whoever asked is gone
        connection.sendall(READY)
        _serve(connection)


def _serve(connection: socket.socket) -> None:
    requests = connection.makefile("rb")
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        if len(data) < request["bytes"]:
            return
        if request["prepare"]:
            _load_dicom_decoder()
        with _limited(request["seconds"], request["memory_bytes"]):
            reply = answer(request["task"], data, request["options"])
            try:
                send(connection, reply)
            except (MemoryError, OSError) as error:
                if isinstance(error, ConnectionError):
                    raise
                send(connection, Answer({"error": OUT_OF_MEMORY}))
        del data, reply


def _die_with(parent: int) -> None:
    """Makes Linux end this process with the thread that started it; elsewhere, the closed socket does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was too late
        os._exit(1)


def _be_expendable() -> None:
    """Turns off core files, which would contain photos, and volunteers for the out-of-memory killer."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _load_dicom_decoder() -> None:
    """Loads TensorFlow before limits apply: it takes long, and gigabytes of address space."""
    with contextlib.suppress(NotForJpeg2000):  # decoding will say so
        dicom.load_decoder()


@contextlib.contextmanager
def _limited(seconds: float, memory_bytes: int) -> Iterator[None]:
    """Limits one request's memory and time, and ends this process if nobody else does.

    The kernel counts both: no library that hangs, or that its caller died of, outlives them.
    """
    _limit_addresses(memory_bytes)
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _limit_addresses(None)


def _limit_addresses(more_bytes: int | None) -> None:
    """Limits how much more address space this process may use; only Linux enforces that."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = hard
    if more_bytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more_bytes
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
