"""Tests codestreams with wrong counts: they are read completely, or refused by name."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from foveate.codec import allocation, jp2, openjpeg, walk
from foveate.codec.encoder import Encoder
from foveate.codec.errors import BadCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord

PIXELS = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)


def in_tile_parts() -> bytes:
    """A codestream of one tile in several tile-parts."""
    return allocation.encode(Encoder(PIXELS).whole(4))


def parts_of(data: bytes) -> list[walk.TilePartSpan]:
    first = [segment.offset for segment in walk.segments(data, 0, len(data))][-1]
    return list(walk.tile_parts(data, first, len(data)))


def promising(data: bytes, count: int) -> bytes:
    changed = bytearray(data)
    for part in parts_of(data):
        changed[part.offset + 11] = count
    return bytes(changed)


@pytest.mark.parametrize("promised", [0, -1, -2])
def test_a_tile_that_promises_too_few_tile_parts_is_decoded_whole(promised: int) -> None:
    data = in_tile_parts()
    count = len(parts_of(data))
    assert count > 2
    wanted = openjpeg.decode(data).pixels
    changed = promising(data, count + promised if promised else 0)
    np.testing.assert_array_equal(openjpeg.decode(changed).pixels, wanted)
    wrapped = jp2.wrap(changed, metadata=PhotoMetadata(exif=b"II*\0" + bytes(40)))
    np.testing.assert_array_equal(openjpeg.decode(wrapped).pixels, wanted)


def test_promised_tile_parts_that_are_absent_are_an_error() -> None:
    data = promising(in_tile_parts(), 7)
    with pytest.raises(BadCodestream, match="only 3 of 7 tile-parts of tile 0 are there"):
        openjpeg.decode(data[: parts_of(data)[-1].offset] + b"\xff\xd9")


def test_promised_tile_parts_do_not_matter_where_every_packet_is_there() -> None:
    data = in_tile_parts()
    wanted = openjpeg.decode(data).pixels
    np.testing.assert_array_equal(openjpeg.decode(promising(data, len(parts_of(data)) + 3)).pixels, wanted)


def test_only_a_file_of_ours_may_be_cut_after_a_layer() -> None:
    data = in_tile_parts()
    cut = data[: parts_of(data)[-1].offset] + b"\xff\xd9"
    wanted = openjpeg.decode(data, layers=3).pixels
    record = ArchiveRecord(bytes(32), bytes(8))
    ours = jp2.wrap(cut, metadata=PhotoMetadata(), record=record, open_ended=True)
    for file in (cut, ours):
        np.testing.assert_array_equal(openjpeg.decode(file).pixels, wanted)
    by_resolution = bytearray(cut)
    by_resolution[cut.index(b"\xff\x52") + 5] = 2
    for file in (jp2.wrap(cut, metadata=PhotoMetadata()), bytes(by_resolution)):
        with pytest.raises(BadCodestream, match="only 3 of 4 tile-parts of tile 0 are there"):
            openjpeg.decode(file)


def test_a_tile_part_that_is_absent_between_others_is_an_error() -> None:
    data = in_tile_parts()
    second = parts_of(data)[1]
    with pytest.raises(BadCodestream, match="lacks a tile-part"):
        openjpeg.decode(data[: second.offset] + data[second.end :])


def test_a_reserved_marker_without_a_segment_is_passed_over() -> None:
    data = in_tile_parts()
    first = parts_of(data)[0].offset
    changed = data[:first] + struct.pack(">H", 0xFF33) + data[first:]
    np.testing.assert_array_equal(openjpeg.decode(changed).pixels, openjpeg.decode(data).pixels)
