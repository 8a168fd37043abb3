"""Tests legal codestreams that OpenJPEG refuses or drops packets of: our parser rewrites them first."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest

from benchmarks import annex_b, structures
from benchmarks.structures import assemble, segment
from foveate.codec import codestream, openjpeg, packets
from foveate.codec.codestream import COD, POC, PROGRESSIONS, QCD, SIZ, ProgressionVolume
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.file import decode_file
from foveate.codec.jp2 import wrap
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.openjpeg.plain import is_unusual, plain, without_empty_tiles
from foveate.codec.packet_stream import PacketStream
from tests import streams
from tests.codec.test_rearranged import SOURCES, split


def test_a_progression_change_that_ends_at_component_0_has_all_components() -> None:
    source = streams.foreign(SOURCES[0])
    main, (there,) = split(source)
    found = PacketStream.parse(source)
    by_place = dict(zip(annex_b.order(found.stream, found.layout, 0), there, strict=True))
    volumes = ((0, 1, 2, 4, 0, 4), (0, 0, 9, 33, 0, 2))  # CEpoc of 0 means 256 (Table A.32)
    ordered = tuple(ProgressionVolume(PROGRESSIONS[v[5]], *v[:4], 256) for v in volumes)
    changed = dataclasses.replace(found.stream, volumes=ordered)
    moved = [by_place[key].whole for key in annex_b.order(changed, found.layout, 0)]
    entries = b"".join(struct.pack(">BBHBBB", *volume) for volume in volumes)
    expected = openjpeg.decode(source).pixels
    for data in (
        assemble([*main, segment(POC, entries)], [(0, [], b"".join(moved))]),
        assemble(main, [(0, [segment(POC, entries)], b"".join(moved))]),
    ):
        np.testing.assert_array_equal(openjpeg.decode(data).pixels, expected)
        wrapped = wrap(data, metadata=PhotoMetadata(exif=b"II*\0" + bytes(40)))
        np.testing.assert_array_equal(openjpeg.decode(wrapped).pixels, expected)
        assert openjpeg.decode(data, reduce=1, layers=1).pixels.shape == (49, 66, 3)
        with pytest.raises(BadCodestream, match="packets of tile 0 are cut off"):
            openjpeg.decode(assemble([*main, segment(POC, entries)], [(0, [], b"".join(moved[:-4]))]))


@pytest.mark.parametrize("seed", [6, 37, 43])
def test_what_openjpeg_2_5_alone_refuses_is_decoded(seed: int) -> None:
    data = structures.random_structure(seed).data
    np.testing.assert_array_equal(openjpeg.decode(data).pixels, openjpeg.decode(plain(data)).pixels)


@pytest.mark.parametrize("name", ["tiles and offsets", "all styles", "progression changes in a tile"])
def test_the_plain_order_decodes_to_the_same_pixels(name: str) -> None:
    data = streams.foreign(streams.FOREIGN[name])
    assert is_unusual(data) == ("progression" in name)
    again = plain(data)
    assert not is_unusual(again)
    np.testing.assert_array_equal(openjpeg.decode(again).pixels, openjpeg.decode(data, strict=False).pixels)


def tiles_of_3(steps: list[tuple[int, int]], packets: bytes, origin: tuple[int, int] = (0, 0)) -> bytes:
    """A picture of 12 x 12 in 16 tiles, with components on these steps, each tile with these packets."""
    shapes = b"".join(bytes([7, *step]) for step in steps)
    size = struct.pack(">HIIIIIIIIH", 0, 12, 12, *origin, 3, 3, 0, 0, len(steps)) + shapes
    main = [segment(SIZ, size), segment(COD, bytes.fromhex("0000000100 00020200 01"))]
    return assemble([*main, segment(QCD, b"\x40\x40")], [(tile, [], packets) for tile in range(16)])


@pytest.mark.parametrize("origin", [(0, 0), (1, 2)])
@pytest.mark.parametrize(
    "steps", [[(1, 1), (4, 4)], [(4, 4)], [(4, 4)] * 3, [(4, 4), (8, 4)], [(2, 1), (1, 2)]]
)
def test_tiles_without_samples_are_no_reason_to_refuse(
    steps: list[tuple[int, int]], origin: tuple[int, int]
) -> None:
    sides = [
        -(-12 // min(step[axis] for step in steps)) - -(-origin[axis] // min(step[axis] for step in steps))
        for axis in (1, 0)
    ]
    decoded = openjpeg.decode(tiles_of_3(steps, bytes(40), origin))
    assert decoded.pixels.shape == (*sides, len(steps))
    assert (decoded.pixels == 128).all()


def test_only_tiles_without_samples_are_left_out() -> None:
    data = tiles_of_3([(4, 4)], b"\0")
    assert without_empty_tiles(data).count(b"\xff\x90\x00\x0a") == 9
    whole = tiles_of_3([(1, 1), (4, 4)], b"\0")
    assert without_empty_tiles(whole) is whole


def test_tiles_that_begin_beyond_the_picture_are_an_error() -> None:
    data = bytearray(tiles_of_3([(4, 4)], b"\0"))
    struct.pack_into(">I", data, 32, 15)  # XTOsiz
    with pytest.raises(BadCodestream):
        openjpeg.decode(bytes(data))


@pytest.mark.parametrize("steps", [[(1, 1)], [(4, 4)], [(1, 1), (4, 4)]])
def test_tiles_without_packets_are_not_taken_for_black(steps: list[tuple[int, int]]) -> None:
    with pytest.raises(BadCodestream, match=r"have no packets|Failed to decode"):
        openjpeg.decode(tiles_of_3(steps, b""))


def test_a_tile_that_ends_after_a_packet_does_not_count_as_whole() -> None:
    source = PacketStream.parse(streams.foreign(streams.FOREIGN["bypass"]))
    emitted = packets.emit(source.layout, source.codewords, source.layers)
    first_layer = emitted.data[: emitted.bounds[0, 1]]
    cut = codestream.emit(source.stream, 3, [(0, first_layer)])
    with pytest.raises(BadCodestream, match="packets of tile 0 are cut off"):
        decode_file(cut)


@pytest.mark.parametrize(
    ("marker", "name"), [(0xFF76, "NLT"), (0xFF79, "ATK"), (0xFF74, "MCT"), (0xFF72, "DFS")]
)
def test_extensions_that_change_pixels_are_refused_by_name(marker: int, name: str) -> None:
    main, (there,) = split(streams.foreign(SOURCES[0]))
    packets_there = b"".join(packet.whole for packet in there)
    for data in (
        assemble([*main, segment(marker, bytes(8))], [(0, [], packets_there)]),
        assemble(main, [(0, [segment(marker, bytes(8))], packets_there)]),
    ):
        with pytest.raises(UnsupportedCodestream, match=name):
            openjpeg.decode(data)
    with pytest.raises(UnsupportedCodestream, match="regions of a kind"):
        openjpeg.decode(assemble([*main, segment(0xFF5E, b"\0\1\7")], [(0, [], packets_there)]))


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}, {"reversible": False, "level": 0.001}])
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (3, 16)])
def test_high_throughput_files_are_decoded_as_by_openjph(
    channels: int, bits: int, options: dict[str, Any]
) -> None:
    encode = getattr(imagecodecs, "htj2k_encode", None)
    if encode is None or not imagecodecs.HTJ2K.available:
        pytest.skip("this imagecodecs has no OpenJPH")
    pixels = streams.texture(97, 131, channels, bits)
    data = bytes(encode(pixels.squeeze(), **options))
    found = decode_file(data)
    expected = imagecodecs.htj2k_decode(data).reshape(pixels.shape) if "level" in options else pixels
    assert np.abs(found.decoded.pixels.astype(int) - expected).mean() <= (1 if "level" in options else 0)
    assert found.noise is None and "CAP" in found.note
    start = data.index(b"\xff\x93") + 2
    with pytest.raises(BadCodestream):
        decode_file(data[:start] + b"\xff\xd9")
