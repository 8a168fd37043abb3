"""Tests that a child decodes like this process, and that whatever happens to it costs one photo at most."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.codec import bit_usage, integrity, openjpeg
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.file import decode_file
from foveate.codec.jp2 import parse
from foveate.codec.packet_stream import PacketStream
from foveate.pictures.formats import decode_picture
from foveate.pictures.picture import BadPicture, NotForJpeg2000
from foveate.sandbox import children as sandbox_children
from foveate.sandbox import client, server
from foveate.sandbox.children import Children, DecoderFailed
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.transforms.encode import encode_plain
from tests import picture_files
from tests.photos import corner, encoder, one, salient
from tests.streams import coded, texture

GOOD = picture_files.good_pictures()
ROOT = Path(__file__).parents[2]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to it")


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    """A pool of their own for tests that harm it."""
    pool = Children()
    monkeypatch.setattr(client, "_children", pool)
    yield pool
    pool.close()


@functools.cache
def slow_png() -> bytes:
    """A file that takes a while to decode: 64 megapixels of 16 bits in some hundred kilobytes."""
    side = 8_000
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + 2 * side)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def archived() -> bytes:
    return bytes(one(encode_plain, salient(texture(97, 131, 3), corner()), encoder("bpp", 1)).file.jp2)


def pid_of(pool: Children) -> int:
    (child,) = pool.idle
    return int(child.process.pid)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 120) -> bool:
    ending = time.monotonic() + seconds
    while is_there(pid) and time.monotonic() < ending:
        time.sleep(0.02)
    return not is_there(pid)


def shared_memory() -> set[Path]:
    """The named shared memory of this machine, without semaphores: tests beside this one make some."""
    return {path for path in Path("/dev/shm").iterdir() if not path.name.startswith("sem.")}


def while_decoding(pool: Children, number: int) -> None:
    """Sends a signal to the child once it has received its input; it is stopped until then."""
    pid = pid_of(pool)
    os.kill(pid, signal.SIGSTOP)

    def send() -> None:
        time.sleep(0.7)  # for the request to be sent, on a busy machine too
        os.kill(pid, number)
        if number != signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)

    threading.Thread(target=send, daemon=True).start()


# What comes back


def test_pictures_are_those_that_are_decoded_here() -> None:
    for name, data in GOOD.items():
        here, there = decode_picture(data), client.decode_picture(data, Limits())
        np.testing.assert_array_equal(here.pixels, there.pixels, name)
        assert here.pixels.dtype == there.pixels.dtype
        fields = ("metadata", "format", "bit_depth", "metadata_problems")
        assert all(getattr(here, field) == getattr(there, field) for field in fields), name
        there.pixels[0, 0, 0] = 7  # and they are the caller's own


def test_archives_and_their_noise_are_those_that_are_decoded_here() -> None:
    data = archived()
    for reduce, layers in ((0, 0), (2, 0), (0, 1)):
        here = openjpeg.decode(data, reduce=reduce, layers=layers)
        there = client.decode_jpeg2000(data, Limits(), reduce, layers)
        np.testing.assert_array_equal(here.pixels, there.pixels)
        assert here.pixels.dtype == there.pixels.dtype
        fields = ("bit_depth", "warnings", "color_space")
        assert all(getattr(here, field) == getattr(there, field) for field in fields)
    parsed = parse(data)
    expected = decode_file(data).noise
    whole, reduced = (client.decode_archive(data, Limits(), reduce) for reduce in (0, 1))
    assert whole.note == "" and whole.noise is not None and expected is not None
    np.testing.assert_array_equal(whole.noise, expected)
    np.testing.assert_array_equal(whole.decoded.pixels, openjpeg.decode(data).pixels)
    assert reduced.noise is None and "its resolution is reduced" in reduced.note
    assert reduced.decoded.pixels.shape == (49, 66, 3)
    assert whole.metadata == parsed.metadata


def test_a_record_and_what_it_says_of_its_file_are_those_that_are_found_here() -> None:
    data = archived()
    here, there = integrity.check(data), client.check_integrity(data, Limits())
    assert there.whole and (there.sealed, there.cut_after, there.problems) == (True, None, ())
    for record in (there.record, client.decode_archive(data, Limits()).record):
        assert here.record is not None and record is not None and record.saliency is not None
        for field in dataclasses.fields(record):
            np.testing.assert_array_equal(getattr(here.record, field.name), getattr(record, field.name))
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    assert client.check_integrity(flipped, Limits()).problems == integrity.check(flipped).problems != ()
    bare = data[data.index(b"\xff\x4f\xff\x51") :]
    assert client.check_integrity(bare, Limits()).record is None


def test_bits_are_found_where_they_went() -> None:
    data = archived()
    here = bit_usage.bits_per_pixel(PacketStream.parse(parse(data).codestream), 12, 17)
    np.testing.assert_array_equal(client.bits_per_pixel(data, Limits(), 12, 17), here)


def test_errors_are_of_the_same_kind_with_the_same_words() -> None:
    broken, kept = picture_files.broken_pictures(), picture_files.kept_pictures()
    for data in (kept["truncated.png"], broken["text.jpg"], kept["cmyk.jpg"]):
        with pytest.raises((BadPicture, NotForJpeg2000)) as here:
            decode_picture(data)
        with pytest.raises(here.type) as there:
            client.decode_picture(data, Limits())
        assert str(here.value) == str(there.value)
    with pytest.raises(BadPicture, match="more than the limit of 974"):
        client.decode_picture(GOOD["color.png"], Limits(pixels=974))
    with pytest.raises(UnsupportedCodestream, match="more than 99"):
        client.decode_jpeg2000(archived(), Limits(pixels=99))
    with pytest.raises(BadCodestream):
        client.decode_jpeg2000(archived()[:-400], Limits())
    with pytest.raises(ValueError, match="reduce") as found:
        client.decode_jpeg2000(archived(), Limits(), reduce=20)
    assert found.type is ValueError


def test_a_bug_is_reported_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*TypeError.*color"):
        client._decoded("picture", GOOD["color.png"], {"color": "green"}, Limits())


def test_one_child_serves_one_thread_and_several_serve_several(children: Children) -> None:
    for data in GOOD.values():
        client.decode_picture(data, Limits())
    assert [child.answers for child in children.idle] == [len(GOOD)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda data: client.decode_picture(data, Limits()), [*GOOD.values()] * 4))
    for picture, data in zip(found, [*GOOD.values()] * 4, strict=True):
        np.testing.assert_array_equal(picture.pixels, decode_picture(data).pixels)
    assert 1 <= len(children.idle) <= 4


def test_a_worn_out_child_makes_room_for_another(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_children, "_PHOTOS_PER_CHILD", 3)
    pids = set()
    for _ in range(7):
        client.decode_picture(GOOD["gray.png"], Limits())
        pids |= {child.process.pid for child in children.idle}
    assert len(pids) == 3
    assert sum(is_there(pid) for pid in pids) == 1


# What may happen


@linux_only
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
def test_a_crash_costs_one_photo_and_says_so(number: int, children: Children) -> None:
    client.decode_picture(GOOD["gray.png"], Limits())
    (child,) = children.idle
    child.answers = 0  # as if it were new
    while_decoding(children, number)
    with pytest.raises(DecoderFailed, match=rf"(crashed|killed) \(signal {number:d}"):
        client.decode_picture(slow_png(), Limits())
    assert isinstance(DecoderFailed(""), BadInput)
    assert not children.idle
    client.decode_picture(GOOD["gray.png"], Limits())


@linux_only
def test_a_photo_on_which_a_used_child_crashes_is_tried_by_a_new_one(children: Children) -> None:
    client.decode_picture(GOOD["gray.png"], Limits())
    first = pid_of(children)
    while_decoding(children, signal.SIGSEGV)
    assert client.decode_picture(slow_png(), Limits()).pixels.shape == (8_000, 8_000, 1)
    assert pid_of(children) != first


@linux_only
def test_a_child_that_dies_between_photos_costs_none(children: Children) -> None:
    client.decode_picture(GOOD["gray.png"], Limits())
    first = pid_of(children)
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    client.decode_picture(GOOD["gray.png"], Limits())


@linux_only
def test_a_hang_ends_when_its_time_is_over(children: Children) -> None:
    client.decode_picture(GOOD["gray.png"], Limits())
    pid = pid_of(children)
    while_decoding(children, signal.SIGSTOP)
    with pytest.raises(DecoderFailed, match=r"^decoding took longer than 1\.5 s$"):
        client.decode_picture(slow_png(), Limits(seconds=1.5))
    assert gone(pid)
    client.decode_picture(GOOD["gray.png"], Limits())


@linux_only
def test_more_memory_than_allowed_is_refused_whatever_the_library_makes_of_it() -> None:
    small = Limits(memory_gb=0.1)
    client.decode_picture(GOOD["gray.png"], small)
    for data in (slow_png(), picture_files.saved(Image.new("L", (11_000, 10_000)), "GIF")):
        with pytest.raises(DecoderFailed, match=r"^decoding it needs more than 0\.1 GB of memory$"):
            client.decode_picture(data, small)
    flat = coded(np.zeros((3000, 3000, 1), np.uint8))
    with pytest.raises((DecoderFailed, BadCodestream)):
        client.decode_jpeg2000(flat, Limits(memory_gb=0.03))
    client.decode_picture(GOOD["gray.png"], small)


@linux_only
def test_no_child_and_no_memory_outlives_a_killed_worker() -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests import picture_files
from tests.sandbox import test_client as this
from foveate.sandbox import client
client.decode_picture(picture_files.good_pictures()["gray.png"], client.Limits())
print(this.pid_of(client._children), flush=True)
client.decode_picture(this.slow_png(), client.Limits())
time.sleep(60)
"""
    shared = shared_memory()
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker:
        pid = int(worker.stdout.readline())
        assert is_there(pid)
        worker.kill()
    assert gone(pid)
    assert shared_memory() <= shared


@linux_only
def test_a_child_outlives_the_thread_that_needed_it_first(children: Children) -> None:
    thread = threading.Thread(target=client.decode_picture, args=(GOOD["gray.png"], Limits()))
    thread.start()
    thread.join()
    pid = pid_of(children)
    time.sleep(0.1)
    assert is_there(pid)
    client.decode_picture(GOOD["gray.png"], Limits())
    assert pid_of(children) == pid


@linux_only
def test_a_forked_process_has_children_of_its_own(children: Children) -> None:
    client.decode_picture(GOOD["gray.png"], Limits())
    parents = pid_of(children)
    fork = os.fork()
    if not fork:
        try:
            client.decode_picture(GOOD["gray.png"], Limits())
            os._exit(0 if pid_of(children) != parents else 1)
        finally:
            os._exit(2)
    assert os.waitpid(fork, 0)[1] == 0
    client.decode_picture(GOOD["gray.png"], Limits())
    assert pid_of(children) == parents


def test_without_processes_photos_are_decoded_here_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "_warned", threading.Event())
    for executable in ("/nowhere/python", None, "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        with caplog.at_level(logging.WARNING):
            found = client.decode_picture(GOOD["turned.jpg"], Limits())
        np.testing.assert_array_equal(found.pixels, decode_picture(GOOD["turned.jpg"]).pixels)
        found.pixels[0] = 0
        with pytest.raises(BadPicture, match="more than the limit"):
            client.decode_picture(GOOD["color.png"], Limits(pixels=1))
    (said,) = caplog.records
    assert "no separate process can be started" in said.getMessage()
    assert "/nowhere/python" in said.getMessage()


def test_a_child_loads_neither_beam_nor_networks() -> None:
    code = "import sys, foveate.sandbox.server; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = eval(done.stdout)
    assert {"foveate.pictures.formats", "imagecodecs"} <= set(loaded)
    assert not {"apache_beam", "tensorflow", "keras", "numba", "asyncio", "multiprocessing"} & set(loaded)


@pytest.mark.parametrize(
    "document",
    [
        {"at": 0, "kind": "object", "shape": [1]},
        {"at": 8, "kind": "uint8", "shape": [1]},
        {"at": 0, "kind": "uint16", "shape": [2, 3]},
        {"at": -1, "kind": "uint8", "shape": [1]},
    ],
)
def test_an_answer_points_only_into_its_memory(document: Any) -> None:
    with pytest.raises(ValueError):
        server.parse_result({"pixels": document}, bytearray(8))


def test_results_go_there_and_back() -> None:
    arrays = {"a": np.arange(7, dtype=np.uint16).reshape(7, 1), "b": np.ones((2, 3), np.float32)}
    answer = server.emit_result({**arrays, "c": {"icc": b"123", "xmp": None}, "d": ["x"], "e": 2})
    found = server.parse_result(answer.document["result"], b"".join(answer.padded()))
    assert found["c"] == {"icc": b"123", "xmp": None} and found["d"] == ["x"] and found["e"] == 2
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_file_of_too_many_bytes_is_refused_without_reading_it() -> None:
    client.check_file_bytes(10, Limits(file_bytes=10))
    with pytest.raises(BadInput, match="the file has 53,687,091,200 bytes, more than the limit of 2,147,483"):
        client.check_file_bytes(50 << 30, Limits())


def test_what_a_name_can_do_is_limited_to_one_place() -> None:
    from foveate.storage.source import SourceFile
    from foveate.transforms.read import require_place

    for path in ("a.jpg", "trip/..jpg", "a/b\nc.jpg", "\udcff.jpg", "a/" + "n" * 300):
        require_place(SourceFile("", path, 0, 0.0))
    for path in ("../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "a//b.jpg", "a/./b.jpg", "a\0b.jpg", "..", ""):
        with pytest.raises(BadInput, match="not a valid path"):
            require_place(SourceFile("", path, 0, 0.0))
