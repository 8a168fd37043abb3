"""Tests that every byte of a file is listed, and that damage is reported."""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Callable

import numpy as np
import pytest

from foveate.codec import anatomy, codestream, jp2
from foveate.codec.anatomy import Anatomy, Box
from foveate.codec.errors import BadCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from foveate.codec.wording import describe_box, describe_marker
from tests import picture_files, streams

SALIENCY = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
POC_WORDS = "RPCL for resolutions 0 to 1, components 0 to 2, layers up to 3"
METADATA = PhotoMetadata(
    icc=picture_files.icc_profile(),
    exif=picture_files.exif_block(),
    xmp=picture_files.xmp_packet(),
    dpi=(300.0, 150.0),
)


@functools.cache
def archived(channels: int = 4) -> bytes:
    """A JP2 file with everything that we write."""
    record = ArchiveRecord(bytes(range(32)), bytes(8), saliency=SALIENCY)
    return jp2.wrap(streams.layered(61, 83, channels), metadata=METADATA, record=record)


def sum_of(found: Anatomy) -> tuple[int, int]:
    """Sums of the parts of file and codestream."""
    parts = sum(part.header_bytes + part.packet_bytes for part in found.tile_parts)
    end = found.end.bytes if found.end else 0
    inside = sum(m.bytes for m in found.main_header) + parts + end + found.trailing_bytes
    boxes = sum(box.bytes for box in found.boxes) + found.unread_bytes
    return boxes if found.boxes else inside, inside


def check_sums(found: Anatomy, data: bytes) -> None:
    file_bytes, codestream_bytes = sum_of(found)
    assert found.file_bytes == file_bytes == len(data)
    assert found.codestream_bytes == codestream_bytes
    for box in found.boxes:
        if box.boxes:
            assert box.head_bytes + sum(inner.bytes for inner in box.boxes) == box.bytes
    for part in found.tile_parts:
        assert sum(marker.bytes for marker in part.markers) == part.header_bytes


def box_of(found: Anatomy, kind: str) -> Box:
    inner = [box for outer in found.boxes for box in (outer, *outer.boxes)]
    return next(box for box in inner if box.kind == kind)


@pytest.mark.parametrize("shape", streams.SHAPES)
def test_the_parts_of_a_codestream_add_up_to_it(shape: tuple[int, int, int, int, int, bool]) -> None:
    data = streams.layered(*shape)
    found = anatomy.dissect(data)
    check_sums(found, data)
    assert not found.problems and not found.boxes and not found.trailing_bytes
    assert (found.height, found.width) == shape[:2]


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_the_parts_of_others_codestreams_add_up_to_them(name: str) -> None:
    data = streams.foreign(streams.FOREIGN[name])
    found = anatomy.dissect(data)
    check_sums(found, data)
    assert not found.problems
    parts = [(p.tile, p.offset + p.header_bytes, p.packet_bytes) for p in found.tile_parts]
    stream = codestream.parse(data)
    assert parts == [(p.tile, p.start, p.end - p.start) for p in stream.tile_parts]


def test_boxes_describe_their_contents() -> None:
    data = archived()
    found = anatomy.dissect(data)
    check_sums(found, data)
    assert [box.kind for box in found.boxes] == ["jP  ", "ftyp", "jp2h", "uuid", "jp2c", "uuid", "uuid"]
    assert [box.holds.partition(",")[0] for box in found.boxes[3:]] == [
        "Foveate's archive record",
        "the codestream",
        "EXIF",
        "XMP",
    ]
    assert box_of(found, "ihdr").holds == "83 × 61, 4 components of 8 bits"
    assert "ICC profile (restricted method)" in box_of(found, "colr").holds
    assert box_of(found, "cdef").holds.endswith("2 is color 3, 3 is opacity")
    resolution = box_of(found, "res ").boxes[0]
    assert (resolution.kind, resolution.holds) == ("resc", "captured at 300 × 150 dots per inch")
    for box in found.boxes:
        assert data[box.offset + 4 : box.offset + 8].decode() == box.kind


def test_markers_say_what_they_mean() -> None:
    data = streams.foreign(streams.FOREIGN["chroma of half width in tiles"])
    says = {marker.name: marker.says for marker in anatomy.dissect(data).main_header}
    assert says["SIZ"].startswith("131 × 97, 4 × 3 tiles of 33 × 47, 3 components of 8 bits, subsampled by")
    assert says["COD"].startswith("PCRL, 2 layers, 5/3 in 5 levels, code-blocks of 64 × 64, precincts of")
    assert says["QCD"] == "no quantization, 2 guard bits"
    assert says["COM"].startswith("Created by OpenJPEG")
    for marker in anatomy.dissect(data).main_header:
        assert data[marker.offset] == 0xFF


@pytest.mark.parametrize(
    ("marker", "payload", "words"),
    [
        (0xFF5E, b"\2\0\7", "component 2: region of interest by Maxshift, shift 7"),
        (
            0xFF5F,
            bytes([0, 0, 0, 3, 2, 3, 2]),
            POC_WORDS,
        ),
        (0xFF5D, b"\1\x42" + bytes(4), "component 1: a step for each band, 2 guard bits"),
        (0xFF53, b"\1\0" + bytes([2, 4, 4, 0, 0]), "component 1: 9/7 in 2 levels, code-blocks of 64 × 64"),
        (0xFF64, b"\0\0" + bytes(9), "binary comment, 9 bytes"),
        (0xFF64, b"\0\1caf\xe9", "café"),
        (0xFF52, b"\0", "malformed"),
        (0xFF5F, b"\0\0", "malformed"),
        (0xFF77, b"\0\0", ""),
    ],
)
def test_rare_markers_are_described_too(marker: int, payload: bytes, words: str) -> None:
    assert describe_marker(marker, payload, 3) == words


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        (b"colr", b"\1\0\0" + struct.pack(">I", 17), "grayscale"),
        (b"colr", b"\1\0\0" + struct.pack(">I", 12), "enumerated color space 12"),
        (b"colr", b"", "malformed"),
        (b"bpcc", b"\7\x0b\x87", "components of 8 bits, 12 bits, 8 bits signed"),
        (b"pclr", b"\1\0\3\7\7\7", "palette of 256 colors in 3 columns"),
        (b"resc", bytes(10), "malformed"),
        (b"uuid", bytes(20), f"UUID {bytes(16).hex()}, 4 bytes"),
        (b"asoc", b"whatever", ""),
    ],
)
def test_rare_boxes_are_described_too(kind: bytes, content: bytes, words: str) -> None:
    assert describe_box(kind, content) == words


def test_a_box_up_to_the_end_and_one_with_an_extended_length_are_read() -> None:
    stream = streams.layered(61, 83, 4)
    head = archived()[: archived().index(b"jp2c") - 4]
    open_ended = head + struct.pack(">I4s", 0, b"jp2c") + stream
    extended = head + struct.pack(">I4sQ", 1, b"jp2c", len(stream) + 16) + stream
    for data, bytes_ in ((open_ended, 8), (extended, 16)):
        found = anatomy.dissect(data)
        check_sums(found, data)
        assert not found.problems
        assert found.boxes[-1].head_bytes == bytes_


def test_what_follows_the_end_is_counted() -> None:
    data = streams.layered(61, 83, 4) + b"padding"
    found = anatomy.dissect(data)
    check_sums(found, data)
    assert found.trailing_bytes == 7 and not found.problems


@pytest.mark.parametrize(
    ("cut", "problem"),
    [
        (lambda data: data[: len(data) * 2 // 3], "bytes past the end"),
        (lambda data: data[:60], "no codestream"),
        (lambda data: data[:-2], "bytes past the end"),
        (lambda data: data + b"\0\0\0", "is cut off in its head"),
        (lambda data: data + b"\0\0\0\5free", "has the impossible length 5"),
    ],
)
def test_a_broken_file_is_read_as_far_as_it_goes(cut: Callable[[bytes], bytes], problem: str) -> None:
    data = cut(archived())
    found = anatomy.dissect(data)
    check_sums(found, data)
    assert any(problem in said for said in found.problems)
    assert found.boxes[0].kind == "jP  "


@pytest.mark.parametrize("data", [b"", b"hello world", b"\x89PNG\r\n\x1a\n", b"\xff\x4f"])
def test_anything_but_jpeg_2000_is_rejected(data: bytes) -> None:
    with pytest.raises(BadCodestream):
        anatomy.dissect(data)


def test_damage_anywhere_is_a_problem_or_nothing_but_never_a_crash() -> None:
    rng = random.Random(5)
    whole = archived()
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(12, min(len(data), 1400))] = rng.randrange(256)
        damaged = bytes(data[: rng.choice((len(data), rng.randrange(12, len(data))))])
        check_sums(anatomy.dissect(damaged), damaged)
