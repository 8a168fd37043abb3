"""Tests files against their own records: intact, truncated, damaged, of version 1."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.codec import codestream, integrity, jp2, walk
from foveate.codec.errors import BadCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from tests import streams

VERSION_1 = Path(__file__).parent / "record-version-1.jp2"  # written before there was a version 2
RECORD = ArchiveRecord(bytes(range(32)), b"settings", b"weights!", saliency=np.eye(4, dtype=np.float32))


def a_file(open_ended: bool = False) -> bytes:
    inside = streams.layered(33, 47, 3)
    return jp2.wrap(inside, metadata=PhotoMetadata(xmp=b"<x/>"), record=RECORD, open_ended=open_ended)


FILE = a_file()


def in_layers() -> bytes:
    """A file whose three layers are tile-parts, so that it may be cut after any of them."""
    stream = codestream.parse(streams.layered(33, 47, 3))
    inside = codestream.emit(stream, 3, [(0, bytes([0x80, part])) for part in range(3)])
    return jp2.wrap(inside, metadata=PhotoMetadata(), record=RECORD, open_ended=True)


def after(data: bytes, layers: int) -> bytes:
    start, _ = walk.codestream_span(data)
    part = codestream.parse(data[start:]).tile_parts[layers - 1]
    return data[: start + part.end] + b"\xff\xd9"


def test_a_file_shows_on_its_own_that_it_is_intact() -> None:
    found = integrity.check(FILE)
    assert found.whole
    assert found.record is not None
    assert found.record.codestream_sha256 == hashlib.sha256(jp2.parse(FILE).codestream).digest()[:16]
    assert found.record.source_sha256 == RECORD.source_sha256[:16]
    assert found.record.made_of(RECORD.source_sha256)
    assert not found.record.made_of(bytes(32))
    assert found.record.made_with(b"settings", b"weights!")
    assert not found.record.made_with(b"Settings", b"weights!")


@pytest.mark.parametrize("saliency", [RECORD.saliency, None])
def test_a_file_marked_for_the_plain_decode_is_whole_too(saliency: NDArray[np.float32] | None) -> None:
    record = dataclasses.replace(RECORD, saliency=saliency)
    data = jp2.wrap(streams.layered(33, 47, 3), metadata=PhotoMetadata(), record=record)
    marked = jp2.marked_for_plain_decode(data)
    assert len(marked) == len(data)
    found = integrity.check(marked)
    assert found.whole
    assert found.record is not None and found.record.plain_decode


def test_a_file_whose_boxes_have_changed_is_not_marked() -> None:
    with pytest.raises(BadCodestream, match="boxes have changed"):
        jp2.marked_for_plain_decode(FILE.replace(b"<x/>", b"<y/>"))


@hypothesis.given(st.integers(0, 8 * len(FILE) - 1))
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_flipped_bit_is_found_by_the_file_alone(bit: int) -> None:
    damaged = bytearray(FILE)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        assert not integrity.check(bytes(damaged)).whole
    except BadCodestream as error:
        assert str(error)


def with_exif(value: bytes, packet: bytes = b"<x>1</x>") -> bytes:
    """A file with an EXIF block of one ASCII field, and XMP."""
    block = b"II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x13B, 2, 4, value, 0)
    return jp2.wrap(streams.layered(9, 9, 1), metadata=PhotoMetadata(exif=block, xmp=packet), record=RECORD)


@hypothesis.given(st.integers(0, 8 * len(FILE) - 1))
@hypothesis.settings(max_examples=300, deadline=None)
def test_a_flipped_bit_is_no_edit(bit: int) -> None:
    damaged = bytearray(FILE)
    damaged[bit // 8] ^= 1 << bit % 8
    values = {FILE[bit // 8], damaged[bit // 8]}
    hypothesis.assume(not values <= {*range(1, 16), *b"0123456789"})  # which somebody may have changed
    try:
        assert not integrity.is_edited(bytes(damaged))
    except BadCodestream as error:
        assert str(error)


@pytest.mark.parametrize(
    ("value", "packet", "edited"),
    [
        (b"Ann\0", b"<x>1</x>", False),
        (b"Bob\0", b"<x>1</x>", True),
        (b"Aln\0", b"<x>1</x>", False),  # one bit
        (b"Ann\0", b"<x>5</x>", True),  # one bit, between digits
        (b"Ann\0", b"<x>q</x>", False),  # one bit, and no digit
        (b"Ann\0", b"<x>0\0\0\0>", False),
        (b"Ann\0", b"<x>\xe4\xf6x>", False),
        (b"Ann\0", b"<x>a longer text</x>", True),
        (b"Ann\0", "<x>\u00e4</x>".encode("utf-16"), True),
    ],
)
def test_edited_boxes_are_distinguished_from_damaged_ones(value: bytes, packet: bytes, edited: bool) -> None:
    """The file has new boxes, and still the record of the old ones."""
    first, then = with_exif(b"Ann\0"), with_exif(value, packet)
    sum_of = jp2.boxes_crc32(first).to_bytes(4)
    changed = then.replace(jp2.boxes_crc32(then).to_bytes(4), sum_of)
    assert integrity.is_edited(changed) == edited
    is_same = (value, packet) == (b"Ann\0", b"<x>1</x>")
    expected = integrity.BOXES_CHANGED if edited else integrity.BOXES_DAMAGED
    assert integrity.check(changed).problems == (() if is_same else (expected,))


def test_damage_of_the_sum_itself_is_no_edit() -> None:
    at = FILE.index(jp2.boxes_crc32(FILE).to_bytes(4))
    damaged = FILE[:at] + bytes([FILE[at] ^ 8]) + FILE[at + 1 :]
    assert integrity.check(damaged).problems == (integrity.BOXES_DAMAGED,)


@hypothesis.given(st.integers(0, len(FILE) - 1), st.booleans())
@hypothesis.settings(max_examples=100, deadline=None)
def test_any_truncation_is_found_by_the_file_alone(length: int, open_ended: bool) -> None:
    try:
        found = integrity.check(a_file(open_ended)[:length])
        assert not found.whole
        assert found.problems
    except BadCodestream as error:
        assert str(error)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_file_cut_after_a_layer_is_distinguished_from_a_damaged_one(layers: int) -> None:
    whole = in_layers()
    assert integrity.check(whole).whole
    found = integrity.check(after(whole, layers))
    assert found.cut_after == (layers, 3)
    assert not found.problems
    assert not found.whole
    assert integrity.check(after(whole, layers)[:-1]).problems


def test_data_added_after_the_codestream_is_found() -> None:
    free = (13).to_bytes(4) + b"free" + b"added"
    assert integrity.check(FILE + free).problems == ("its boxes have changed since it was written: CRC-32",)


def test_version_1_is_read_for_good() -> None:
    data = VERSION_1.read_bytes()
    found = integrity.check(data)
    record = found.record
    assert record is not None
    assert record.version == 1
    assert (record.source_sha256, record.settings_digest, record.weights_digest) == (
        bytes(range(32)),
        bytes(range(40, 48)),
        bytes(range(50, 58)),
    )
    assert record.prefiltered and record.plain_decode
    assert record.codestream_sha256 == b"" and record.boxes_crc32 is None
    assert record.saliency is not None and record.saliency.shape == (3, 4)
    assert not found.problems and not found.whole  # it has no sums to be held against
    assert record.made_of(bytes(range(32))) and not record.made_of(bytes(range(31)) + b"\0")
    assert jp2.marked_for_plain_decode(data) == data


def test_a_file_of_others_has_no_record() -> None:
    found = integrity.check(jp2.wrap(streams.layered(9, 9, 1), metadata=PhotoMetadata()))
    assert found.problems == ("it has no archive record",)
