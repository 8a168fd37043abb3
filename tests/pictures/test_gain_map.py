"""Tests removing gain maps: the picture for standard screens remains, and the loss is named."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from foveate.pictures import gain_map, isobmff, jpeg_parts
from foveate.pictures.accounting import ANY_SIZE, Kind, part_of
from foveate.pictures.formats import NotForJpeg2000, decode_picture
from foveate.pictures.isobmff import ITEMS
from foveate.pictures.picture import Picture
from foveate.pictures.reasons import Reason
from tests.picture_files import exif_block, jpeg, sample, xmp_packet

PLAIN = sample(41, 57, 3)
_ADOBE = (
    b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    b" hdrgm:GainMapMax='2.5' xmlns:tiff=\""
)
WITH_MAP = xmp_packet().replace(b' xmlns:tiff="', _ADOBE)


def index() -> bytes:
    """A multi-picture index of two pictures."""
    entries = struct.pack("<IIIHH", 0x030000, 900, 0, 0, 0) + struct.pack("<IIIHH", 0, 500, 900, 0, 0)
    fields = struct.pack("<HHII", 0xB001, 4, 1, 2) + struct.pack("<HHII", 0xB002, 7, 32, 38)
    return b"MPF\0II*\0" + struct.pack("<IH", 8, 2) + fields + bytes(4) + entries


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def ultra_hdr(behind: bytes | None = None) -> bytes:
    """A JPEG of both forms, Adobe's and ISO's, with a gain map or something else behind it."""
    first = jpeg(PLAIN, exif=exif_block(6), xmp=WITH_MAP)
    marks = segment(0xE2, jpeg_parts.GAIN_MAP + b"\0" + bytes(4)) + segment(0xE2, index())
    return first[:20] + marks + first[20:] + (MAP if behind is None else behind)


MAP = jpeg(sample(11, 15, 1), xmp=WITH_MAP)


def decoded(data: bytes, also: tuple[str, ...] = ("gain-maps",)) -> Picture:
    return decode_picture(data, also=also)


@pytest.mark.parametrize("behind", [None, MAP + bytes(64), b""])
def test_a_gain_map_is_dropped_on_request_and_named(behind: bytes | None) -> None:
    data = ultra_hdr(behind)
    with pytest.raises(NotForJpeg2000) as kept:
        decoded(data, ())
    assert kept.value.reason == Reason.HIGH_DYNAMIC_RANGE
    picture = decoded(data)
    expected = decode_picture(jpeg(PLAIN, exif=exif_block(6), xmp=xmp_packet()))
    np.testing.assert_array_equal(picture.pixels, expected.pixels)
    assert picture.metadata == expected.metadata
    (problem,) = picture.metadata_problems
    assert problem.startswith("gain map: ")
    assert int(problem.split()[2].replace(",", "")) >= len(MAP if behind is None else behind)


def test_anything_but_a_gain_map_still_keeps_the_file() -> None:
    video = struct.pack(">I4s", 16, b"ftyp") + b"mp42" + bytes(range(1, 250)) * 30
    for behind in (jpeg(PLAIN), MAP + MAP, MAP + video, video, MAP[:-2]):
        with pytest.raises(NotForJpeg2000):
            decoded(ultra_hdr(behind))


def test_a_photo_without_a_gain_map_is_read_as_ever() -> None:
    data = jpeg(PLAIN, xmp=xmp_packet())
    assert gain_map.without(data) == (data, ())
    assert decoded(data).metadata_problems == ()
    for end in range(0, 40, 3):  # whatever is wrong with a file is said by its reader
        assert gain_map.without(ultra_hdr()[:end]) == (ultra_hdr()[:end], ())


def test_a_gain_map_in_a_box_of_jpeg_xl_is_dropped_on_request() -> None:
    codestream = bytes(imagecodecs.jpegxl_encode(PLAIN, lossless=True))
    boxes = ((b"ftyp", b"jxl \0\0\0\0jxl "), (b"jhgm", bytes(range(256)) * 400), (b"jxlc", codestream))
    data = struct.pack(">I4sI", 12, b"JXL ", 0x0D0A870A)
    data += b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes)
    with pytest.raises(NotForJpeg2000):
        decoded(data, ("jxl",))
    picture = decoded(data, ("jxl", "gain-maps"))
    np.testing.assert_array_equal(picture.pixels, PLAIN)
    assert picture.metadata_problems == ("gain map: 102,408 bytes",)


def test_an_item_of_a_tone_map_and_what_it_is_made_of_are_a_gain_map() -> None:
    apple = b"\0\0\0\0urn:com:apple:photo:2020:aux:hdrgainmap\0"
    box = isobmff.Box(b"auxC", 0, 0, len(apple))
    items = {
        1: isobmff.Item(kind=b"av01"),
        2: isobmff.Item(kind=b"tmap"),
        3: isobmff.Item(kind=b"av01"),
        4: isobmff.Item(kind=b"hvc1", properties=[box]),
    }
    references = [(b"dimg", 2, 1), (b"dimg", 2, 3), (b"auxl", 4, 1)]
    walked = isobmff.IsoWalk(items=items, primary=1, references=references)
    names = [part.name for part in gain_map.dropped(isobmff._items(apple, walked))]
    assert names == [ITEMS["picture"].name, *["gain map"] * 3]


def test_only_parts_with_gain_maps_become_descriptions() -> None:
    parts = [part_of(known, 0, 10) for known in ITEMS.values()]
    changed = [new for old, new in zip(parts, gain_map.dropped(parts), strict=True) if new is not old]
    assert [(part.kind, part.name, part.most) for part in changed] == [(Kind.DESCRIBES, "gain map", ANY_SIZE)]
