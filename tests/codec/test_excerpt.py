"""Tests smaller files cut out of files: the same pixels in the region, with few bytes read."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec import allocation, excerpt, file, jp2, openjpeg, pointers
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, window
from tests import streams


@functools.cache
def ours(layers: int = 2, tile_size: int | None = None, *, access: bool = True) -> bytes:
    coding = Coding(access=access, tile_size=tile_size)
    return allocation.encode(Encoder(streams.texture(700, 900, 3), coding=coding).at_slope(30.0, layers))


def check_same_pixels(data: bytes, region: Region, reduce: int = 0, layers: int = 0) -> RangedBytes:
    """Checks that an excerpt decodes like the file in an area, and that both are valid."""
    ranged = RangedBytes.of(data)
    area = window(excerpt.picture_size(ranged), region, reduce=reduce).area
    cut = excerpt.excerpt(ranged, area, reduce=reduce, layers=layers)
    found = openjpeg.decode(cut, reduce=reduce, layers=layers, region=area)
    expected = openjpeg.decode(data, reduce=reduce, layers=layers, region=area)
    assert found.warnings == expected.warnings
    assert np.array_equal(found.pixels, expected.pixels)
    PacketStream.parse(jp2.parse(cut).codestream)
    return ranged


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_regions_of_anyones_files_decode_as_in_the_whole(name: str) -> None:
    data = streams.foreign(streams.FOREIGN[name])
    size = excerpt.picture_size(RangedBytes.of(data))
    whole = openjpeg.decode(data).pixels.astype(int)
    rng = random.Random(name)
    for _ in range(4):
        left, top = rng.randrange(size.width), rng.randrange(size.height)
        region = Region(left, top, rng.randint(1, 70), rng.randint(1, 50))
        check_same_pixels(data, region, rng.choice([0, 0, 1]) if name != "one resolution" else 0)
        part = window(size, region)
        found = openjpeg.decode(data, region=part.area).pixels[part.rows, part.columns]
        expected = whole[top : top + region.height, left : left + region.width]
        assert np.abs(found - expected).max() <= 1


@given(st.integers(0, 899), st.integers(0, 699), st.integers(1, 900), st.integers(1, 700), st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_any_region_of_our_files_decodes_as_in_the_whole(
    left: int, top: int, width: int, height: int, reduce: int
) -> None:
    for tile_size in (None, 256):
        check_same_pixels(ours(2, tile_size), Region(left, top, width, height), reduce, left % 3)


def test_a_region_and_a_size_take_a_share_of_the_bytes() -> None:
    for tile_size, share in ((None, 0.5), (128, 0.15)):
        data = ours(1, tile_size)
        assert check_same_pixels(data, Region(700, 500, 64, 64)).fetched < share * len(data)
        assert check_same_pixels(data, Region(0, 0, 900, 700), 3).fetched < 0.35 * len(data)
    plain = ours(1, None, access=False)
    assert check_same_pixels(plain, Region(700, 500, 64, 64)).fetched > 0.9 * len(plain)


def test_a_plan_costs_what_is_read() -> None:
    for region, reduce in ((Region(300, 300, 90, 90), 0), (Region(0, 0, 900, 700), 2)):
        ranged = RangedBytes.of(ours())
        read, requests = excerpt.plan(ranged, region, reduce=reduce).cost()
        excerpt.excerpt(again := RangedBytes.of(ours()), region, reduce=reduce)
        assert (read, requests) == (again.fetched, again.requests)


def test_boxes_are_copied_and_those_after_the_codestream_can_be_skipped() -> None:
    metadata = PhotoMetadata(xmp=b"<x/>" * 5000, dpi=(300.0, 300.0))
    data = jp2.wrap(ours(), metadata=metadata)
    ranged = RangedBytes.of(data)
    region = Region(100, 100, 50, 50)
    assert jp2.parse(excerpt.excerpt(ranged, region)).metadata.xmp == metadata.xmp
    without = jp2.parse(excerpt.excerpt(ranged, region, boxes=False)).metadata
    assert without.xmp is None and without.dpi == pytest.approx((300.0, 300.0))


def test_wrong_pointers_make_the_whole_file_read() -> None:
    data = ours()
    at = data.index(pointers.TLM.to_bytes(2)) + 11
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    region = Region(10, 10, 40, 40)
    assert check_same_pixels(broken, region).fetched >= len(data)
    at = data.index(pointers.PLT.to_bytes(2)) + 5
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    check_same_pixels(broken, region)


def test_a_region_has_the_noise_map_of_the_whole() -> None:
    data = jp2.wrap(ours(), metadata=PhotoMetadata())
    part = window(excerpt.picture_size(RangedBytes.of(data)), Region(333, 222, 100, 77), halo=40)
    cut = excerpt.excerpt(RangedBytes.of(data), part.area)
    found, whole = file.decode_file(cut, region=part.area), file.decode_file(data)
    assert found.noise is not None and whole.noise is not None
    top, left = part.area.top // 8, part.area.left // 8
    expected = whole.noise[top : top + found.noise.shape[0], left : left + found.noise.shape[1]]
    assert np.abs(found.noise / expected - 1).max() < 0.25
    assert np.abs(found.noise / expected - 1).mean() < 0.01
