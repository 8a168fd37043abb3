"""Tests that boxes are carried unchanged around another codestream."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.codec import integrity, jp2, openjpeg
from foveate.codec.envelope import Envelope
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2_boxes import pack_box
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord
from tests import streams

OLD, NEW = streams.layered(97, 131, 1), streams.layered(150, 149, 3, 8, 32)
RECORD = ArchiveRecord(bytes(range(32)), bytes(8))
METADATA = PhotoMetadata(xmp=b"<x/>", dpi=(300.0, 300.0))


def master() -> bytes:
    extra = pack_box(b"xml ", b"<catalog/>") + pack_box(b"ftbl", b"12")
    return jp2.wrap(OLD, metadata=METADATA, record=RECORD) + extra + pack_box(b"cidx", b"index")


@pytest.mark.parametrize("open_ended", [False, True])
def test_all_boxes_come_along_but_for_an_index_and_a_former_record(open_ended: bool) -> None:
    envelope = Envelope.of(master())
    assert envelope.left_out == ("cidx",)
    other = ArchiveRecord(bytes(32), bytes(8))
    made = envelope.around(NEW, other, open_ended=open_ended)
    assert len(made) == envelope.overhead(other) + len(NEW)
    assert pack_box(b"xml ", b"<catalog/>") in made and pack_box(b"ftbl", b"12") in made
    found = jp2.parse(made)
    assert found.codestream == NEW and found.metadata.xmp == METADATA.xmp
    assert found.record is not None and found.record.made_of(bytes(32))
    assert integrity.check(made).whole
    assert made.endswith(NEW) == open_ended


def test_without_a_record_none_is_returned() -> None:
    envelope = Envelope.of(master())
    made = envelope.around(NEW, None)
    assert jp2.read_record(made) is None
    assert len(made) == envelope.overhead(None) + len(NEW)


def test_a_bare_codestream_becomes_a_file() -> None:
    made = Envelope.of(OLD).around(OLD, None)
    assert made == jp2.wrap(OLD, metadata=PhotoMetadata())


def test_several_pictures_and_broken_boxes_are_refused() -> None:
    with pytest.raises(UnsupportedCodestream, match="2 pictures"):
        Envelope.of(master() + pack_box(b"jp2c", OLD))
    with pytest.raises(BadCodestream):
        Envelope.of(master()[:-3])


@pytest.mark.parametrize("name", ["chroma of half size", "chroma of half width in tiles"])
def test_a_bare_codestream_of_coarser_chroma_stays_ycc(name: str) -> None:
    codestream = streams.foreign(streams.FOREIGN[name])
    made = Envelope.of(codestream).around(codestream, None)
    assert jp2.parse(made).color == 18
    np.testing.assert_array_equal(openjpeg.decode(made).pixels, openjpeg.decode(codestream).pixels)
