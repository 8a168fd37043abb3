"""Tests which marker segments are read, refused and written back."""

from __future__ import annotations

import resource
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec import codestream, packets
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.packet_stream import PacketStream
from tests import streams

SMALL = streams.layered(33, 21, 3, 8, 32)
MARKERS = {"SIZ": 0xFF51, "COD": 0xFF52, "COC": 0xFF53, "QCD": 0xFF5C, "QCC": 0xFF5D, "RGN": 0xFF5E}


def start_of(name: str, data: bytes = SMALL) -> int:
    return data.index(struct.pack(">H", MARKERS[name]))


def patched(offset: int, value: bytes, data: bytes = SMALL) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def with_segment(marker: int, payload: bytes, data: bytes = SMALL) -> bytes:
    """The stream with one more segment at the end of its main header."""
    at = data.index(b"\xff\x90")
    return data[:at] + struct.pack(">HH", marker, 2 + len(payload)) + payload + data[at:]


def test_the_main_header_of_our_own_streams_is_understood() -> None:
    stream = codestream.parse(streams.layered(61, 203, 2, 8, 32, True))
    assert (stream.size.width, stream.size.height) == (203, 61)
    assert [c.bit_depth for c in stream.size.components] == [8, 8]
    assert (stream.progression, stream.layers, stream.color_transform) == ("LRCP", 7, False)
    assert {c.transformation for c in stream.coding} == {codestream.REVERSIBLE}
    assert (stream.coding[0].block_width_log2, stream.coding[0].levels) == (5, 5)


def test_sixteen_bit_color_is_understood() -> None:
    stream = codestream.parse(streams.layered(101, 130, 4, 16, 32))
    assert [c.bit_depth for c in stream.size.components] == [16] * 4
    assert stream.color_transform
    assert stream.coding[3].transformation == codestream.IRREVERSIBLE


@pytest.mark.parametrize("name", ["RLCP", "RPCL", "PCRL", "CPRL", "LRCP with SOP and EPH"])
def test_progression_and_markers_in_packets_are_read_from_cod(name: str) -> None:
    stream = codestream.parse(streams.foreign(streams.FOREIGN[name]))
    assert stream.progression == name[:4]
    assert stream.sop == ("-SOP" in streams.FOREIGN[name])
    assert stream.eph == ("-EPH" in streams.FOREIGN[name])


def test_offsets_tiles_and_subsampling_are_read_from_siz() -> None:
    size = codestream.parse(streams.foreign(streams.FOREIGN["tiles and offsets"])).size
    assert (size.x0, size.y0, size.tile_x0, size.tile_y0) == (11, 7, 3, 5)
    assert (size.width, size.height, size.tiles_across, size.tiles_down) == (131, 97, 3, 3)
    size = codestream.parse(streams.foreign(streams.FOREIGN["chroma of half size"])).size
    assert [(c.dx, c.dy) for c in size.components] == [(1, 1), (2, 2), (2, 2)]


def test_a_last_tile_part_of_unstated_length_goes_up_to_the_end_marker() -> None:
    psot = SMALL.index(b"\xff\x90") + 6
    for padding in (b"", bytes(5)):
        open_ended = patched(psot, bytes(4)) + padding
        assert codestream.parse(open_ended).tile_parts == codestream.parse(SMALL).tile_parts


def test_a_component_may_have_coding_and_quantization_of_its_own() -> None:
    cod, qcd = start_of("COD"), start_of("QCD")
    coc = bytes([1, 0]) + SMALL[cod + 9 : cod + 14]
    qcc = bytes([2]) + SMALL[qcd + 4 : qcd + 2 + struct.unpack_from(">H", SMALL, qcd + 2)[0]]
    coarse = bytes([qcc[0], qcc[1] ^ 0x20]) + qcc[2:]
    stream = codestream.parse(with_segment(0xFF5D, coarse, with_segment(0xFF53, coc)))
    assert stream.coding[1] == stream.coding[0]
    assert stream.quantization[1] == stream.quantization[0]
    assert abs(stream.quantization[2].guard_bits - stream.quantization[0].guard_bits) == 1
    assert len(stream.header_segments) == 5


def test_derived_steps_follow_from_that_of_the_coarsest_band() -> None:
    derived = codestream.Quantization(1, 2, ((13, 77),))
    assert derived.band(0, 0) == (13, 77)
    assert derived.band(1, 3) == (13, 77)
    assert derived.band(3, 1) == (11, 77)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (b"", "not a JPEG 2000 codestream"),
        (b"\x00\x00\x00\x0cjP  ", "not a JPEG 2000 codestream"),
        (SMALL[:-2], "no end-of-codestream"),
        (SMALL[:-1], "no end-of-codestream"),
        (SMALL[:60], "cut off|impossible"),
        (patched(start_of("COD") + 5, b"\x07"), "progression order 7"),
        (patched(start_of("COD") + 6, bytes(2)), "layers is zero"),
        (patched(start_of("COD") + 9, b"\x21"), "33 decomposition levels"),
        (patched(start_of("COD") + 10, b"\x0b"), "code-blocks of"),
        (patched(start_of("SIZ") + 6, bytes(4)), "picture from"),
        (patched(start_of("SIZ") + 22, bytes(4)), "tiles of"),
        (patched(start_of("SIZ") + 22, struct.pack(">I", 1)), "cut off|no tile-part"),
        (patched(start_of("SIZ") + 38, b"\x00\x00"), "0 components"),
        (patched(start_of("SIZ") + 41, b"\x00"), "sub-sampling"),
        (patched(start_of("QCD") + 4, b"\x1f"), "quantization style 31"),
        (patched(SMALL.index(b"\xff\x90") + 4, b"\x00\x01"), "tile-part of tile 1"),
        (with_segment(0xFF53, b"\x03\x00\x05\x04\x04\x00\x00"), "component 3 of 3"),
        (with_segment(0xFF53, b"\x01"), "too short"),
    ],
)
def test_broken_input_is_rejected_with_the_reason(broken: bytes, complaint: str) -> None:
    with pytest.raises(BadCodestream, match=complaint):
        PacketStream.parse(broken)


@pytest.mark.parametrize(
    ("legal", "complaint"),
    [
        (with_segment(0xFF50, bytes(6)), "CAP"),
        (patched(start_of("COD") + 13, b"\x02"), "transformation 2"),
        (patched(start_of("COD") + 4, b"\x08"), "coding style 0x08"),
        (patched(start_of("COD") + 8, b"\x02"), "component transformation 2"),
        (patched(start_of("SIZ") + 4, b"\x80\x00"), "Rsiz 0x8000"),
        (with_segment(0xFF5E, b"\x00\x01\x05"), "region of interest style 1"),
        (patched(start_of("COD") + 12, b"\x40"), "style 0x40"),
    ],
)
def test_legal_but_unknown_parts_are_named(legal: bytes, complaint: str) -> None:
    with pytest.raises(UnsupportedCodestream, match=complaint):
        PacketStream.parse(legal)


def test_emitted_headers_keep_size_and_steps_and_change_layers_alone() -> None:
    source = codestream.parse(streams.foreign(streams.FOREIGN["CPRL"]))
    stream = codestream.parse(codestream.emit(source, 5, [(tile, b"\x00") for tile in range(4)]))
    assert (stream.size, stream.coding, stream.quantization) == (
        source.size,
        source.coding,
        source.quantization,
    )
    assert (stream.layers, stream.progression, stream.sop, stream.eph) == (5, "LRCP", False, False)
    assert stream.color_transform == source.color_transform


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=9)), min_size=1, max_size=12))
def test_emitted_tile_parts_are_found_again_and_their_overhead_is_known(
    parts: list[tuple[int, bytes]],
) -> None:
    source = codestream.parse(streams.foreign("-t 50,97 -r 10"))
    data = codestream.emit(source, 1, parts)
    found = codestream.parse(data).tile_parts
    assert [(part.tile, data[part.start : part.end]) for part in found] == parts
    assert len(data) == codestream.emitted_overhead(source, len(parts)) + sum(len(p) for _, p in parts)


def test_a_stream_cut_off_anywhere_is_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(BadCodestream):
            PacketStream.parse(SMALL[:length])


def survives(data: bytes) -> None:
    """Parsing and emitting ends, successfully or with one of the two errors."""
    try:
        found = PacketStream.parse(data)
    except (BadCodestream, UnsupportedCodestream):
        return
    layout = found.layout
    emitted = packets.emit(layout, found.codewords, found.layers.merged())
    again = codestream.emit(found.stream, 1, streams.tile_parts(layout, emitted.data, emitted.bounds))
    assert np.array_equal(PacketStream.parse(again).passes, found.passes)


def test_each_flipped_bit_of_the_main_header_is_borne_in_little_memory() -> None:
    survives(SMALL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bit in range(8 * SMALL.index(b"\xff\x93")):
        broken = bytearray(SMALL)
        broken[bit // 8] ^= 1 << (bit % 8)
        survives(bytes(broken))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


@given(st.data(), st.sampled_from([SMALL, streams.layered(61, 203, 2, 8, 32, True)]))
@settings(deadline=None, max_examples=300)
def test_random_damage_is_borne(data: st.DataObject, source: bytes) -> None:
    broken = bytearray(source)
    for at in data.draw(st.lists(st.integers(0, len(source) - 1), min_size=1, max_size=8)):
        broken[at] = data.draw(st.integers(0, 255))
    survives(bytes(broken))


@pytest.mark.parametrize("name", ["tiles", "RPCL", "PCRL", "chroma of half width in tiles"])
def test_random_damage_to_other_encoders_streams_is_borne(name: str) -> None:
    source = streams.foreign(streams.FOREIGN[name])
    rng = np.random.default_rng(5)
    for _ in range(60):
        broken = np.frombuffer(source, np.uint8).copy()
        reach = len(source) if rng.random() < 0.5 else 150
        broken[rng.integers(0, reach, 3)] ^= 1 << rng.integers(0, 8, 3).astype(np.uint8)
        survives(broken.tobytes())


def test_a_picture_that_only_claims_to_be_huge_is_refused_at_once() -> None:
    for width in (1 << 17, 1 << 20, 1 << 31, (1 << 32) - 1):
        huge = patched(start_of("SIZ") + 6, struct.pack(">II", width, width))
        with pytest.raises(BadCodestream, match=r"precincts|tiles"):
            PacketStream.parse(huge)
        whole = patched(start_of("SIZ") + 22, struct.pack(">II", width, width), huge)
        with pytest.raises((BadCodestream, UnsupportedCodestream), match=r"precincts|code-blocks"):
            PacketStream.parse(whole)


def test_a_blank_picture_of_many_blocks_in_few_bytes_is_no_lie() -> None:
    blank = np.full((1100, 1300, 3), 128, np.uint8)
    data = streams.coded(blank, slopes=(100.0, 0.0), block_size=16)
    found = PacketStream.parse(data)
    assert len(found.sizes) > 50 * len(data)
    assert not found.passes.any()
