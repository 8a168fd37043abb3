"""Tests packets of every structure from another writer: they are read, and written in any other structure."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import annex_b, structures
from benchmarks.annex_b import Structure
from benchmarks.structures import segment
from foveate.codec import codestream, layout, packets
from foveate.codec.codestream import COC, COD, POC, PPM, PPT, PROGRESSIONS, QCC, QCD, RGN
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.packet_stream import PacketStream
from foveate.codec.packets import Codewords
from tests import streams
from tests.codec import test_packets

SEEDS = st.integers(0, 1 << 30)


def segment_ends(found: Structure, styles: NDArray[np.int32]) -> list[list[int]]:
    """Bytes of each block up to each end of a codeword segment that its style makes (Table D.9)."""
    ends: list[list[int]] = []
    for block, style in enumerate(styles.tolist()):
        ends.append([])
        passes = size = 0
        for layer in np.flatnonzero(found.passes[:, block]).tolist():
            runs = annex_b.runs(style, passes, int(found.passes[layer, block]))
            for run, length in zip(runs, found.segments[layer, block], strict=True):
                passes, size = passes + run, size + length
                raw_ends = passes >= 10 and (passes - 1) % 3 in (0, 2)
                if style & 4 or (style & 1 and raw_ends):
                    ends[-1].append(size)
    return ends


@given(SEEDS)
@settings(deadline=None, max_examples=40)
@example(1)
def test_what_a_plain_writer_wrote_is_read_as_it_was_meant(seed: int) -> None:
    found = structures.random_structure(seed)
    source = PacketStream.parse(found.data)
    codewords, styles = source.codewords, source.layout.blocks.style
    assert np.array_equal(source.layers.passes, found.passes.cumsum(0))
    assert test_packets.contributions(source) == found.bodies
    included = found.passes.any(0)
    assert np.array_equal(codewords.zero_planes[included], found.zero_planes[included])
    if (styles & 5).any():
        ends = np.split(codewords.cuts, codewords.first_cut[1:-1])
        assert [block.tolist() for block in ends] == segment_ends(found, styles)
    else:
        assert not len(codewords.cuts)


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_packets_come_in_the_order_of_the_standards_loops(seed: int) -> None:
    stream = codestream.parse(structures.random_structure(seed).data)
    geometry = layout.lay_out(stream)
    for tile in range(geometry.tiles):
        own = stream.of_tile(tile)
        sequence = geometry.packets(own.progression, own.layers, tile, own.volumes)
        assert list(map(tuple, sequence.tolist())) == list(annex_b.order(stream, geometry, tile))


@given(SEEDS, st.integers(1, 3), st.sampled_from(PROGRESSIONS))
@settings(deadline=None, max_examples=40)
def test_any_choice_from_any_structure_is_written_in_any_progression(
    seed: int, layers: int, progression: str
) -> None:
    source = PacketStream.parse(structures.random_structure(seed).data)
    upto = streams.random_choice(source.layers, layers, seed)
    data = test_packets.check_round_trip(source, upto, progression)
    kept = PacketStream.parse(data)
    tiles = source.layout.tiles
    own = [kept.stream.of_tile(tile) for tile in range(tiles)]
    before = [source.stream.of_tile(tile) for tile in range(tiles)]
    assert {one.progression for one in own} == {progression}
    size = packets.emitted_size(source.layout, source.codewords, streams.chosen(source.layers, upto))
    assert len(data) == codestream.emitted_overhead(source.stream, tiles) + size
    for field in ("coding", "quantization", "region_shifts", "color_transform"):
        assert [getattr(one, field) for one in own] == [getattr(one, field) for one in before]
    if len(source.codewords.cuts):
        ends, kept_ends = (np.split(c.cuts, c.first_cut[1:-1]) for c in (source.codewords, kept.codewords))
        for block, found in enumerate(kept_ends):
            assert found.tolist() == ends[block][: len(found)].tolist()
            assert (found <= kept.sizes[block]).all()


# A stream of two tiles, to give headers to. Each has one component and one level.

SIZ = segment(0xFF51, struct.pack(">HIIIIIIIIHBBBBBB", 0, 64, 32, 0, 0, 32, 32, 0, 0, 2, 7, 1, 1, 7, 1, 1))


def cod(levels: int, style: int = 0, layers: int = 1) -> bytes:
    return segment(COD, struct.pack(">BBHBBBBBB", 0, 0, layers, 0, levels, 2, 2, style, 1))


def coc(component: int, levels: int) -> bytes:
    return segment(COC, bytes([component, 0, levels, 2, 2, 0, 1]))


def qcd(exponent: int) -> bytes:
    return segment(QCD, bytes([2 << 5]) + bytes([exponent << 3] * 10))


def qcc(component: int, exponent: int) -> bytes:
    return segment(QCC, bytes([component, 2 << 5]) + bytes([exponent << 3] * 10))


def rgn(component: int, shift: int) -> bytes:
    return segment(RGN, bytes([component, 0, shift]))


def poc(*volumes: tuple[int, int, int, int, int, int]) -> bytes:
    return segment(POC, b"".join(struct.pack(">BBHBBB", *volume) for volume in volumes))


def two_tiles(
    main: list[bytes], first: list[bytes], second: list[bytes], more: list[bytes] | None = None
) -> bytes:
    """Empty packets enough; the first tile has a second tile-part if `more` says what is in its header."""
    parts = [(0, first, bytes(40)), (1, second, bytes(40))]
    if more is not None:
        parts.append((0, more, bytes(40)))
    return structures.assemble([SIZ, *main], parts)


def test_a_tiles_parameters_come_before_a_components_and_these_before_the_pictures() -> None:
    main = [cod(1), coc(1, 2), qcd(8), qcc(1, 9), rgn(1, 5)]
    stream = codestream.parse(two_tiles(main, [], [cod(3), qcc(0, 10)]))
    assert [coding.levels for coding in stream.coding] == [1, 2]
    assert stream.of_tile(0) is stream
    own = stream.of_tile(1)
    assert [coding.levels for coding in own.coding] == [3, 3]  # its COD outdoes the main header's COC
    assert [q.steps[0][0] for q in own.quantization] == [10, 9]
    assert own.region_shifts == (0, 5)
    stream = codestream.parse(two_tiles(main, [coc(0, 4), cod(3)], [qcd(11), rgn(0, 3)]))
    assert [coding.levels for coding in stream.of_tile(0).coding] == [4, 3]
    assert [q.steps[0][0] for q in stream.of_tile(1).quantization] == [11, 11]
    assert stream.of_tile(1).region_shifts == (3, 5)


def test_bit_planes_of_blocks_follow_their_own_tiles_and_components_parameters() -> None:
    blocks = PacketStream.parse(two_tiles([cod(0), qcd(8), rgn(1, 5)], [], [qcd(11)])).layout.blocks
    found = np.stack([blocks.tile, blocks.component, blocks.planes, blocks.region_shift], 1)[::4]
    assert found.tolist() == [[0, 0, 9, 0], [0, 1, 14, 5], [1, 0, 12, 0], [1, 1, 17, 5]]


def test_tiles_may_differ_in_layers() -> None:
    found = PacketStream.parse(two_tiles([cod(1), qcd(8)], [], [cod(1, layers=4)]))
    assert (found.stream.layers, found.stream.max_layers, len(found.layers.passes)) == (1, 4, 4)
    stream = codestream.parse(two_tiles([cod(1, layers=9), qcd(8)], [cod(1)], [cod(1, layers=4)]))
    assert stream.max_layers == 4  # no tile has the main header's nine


def test_progression_changes_of_a_tile_go_on_in_its_later_headers() -> None:
    first, second = (0, 0, 1, 1, 2, 1), (0, 0, 1, 2, 2, 4)
    main = [cod(1), qcd(8), poc((0, 0, 9, 33, 0, 2))]
    stream = codestream.parse(two_tiles(main, [poc(first)], [], [poc(second)]))
    assert [v.progression for v in stream.of_tile(0).volumes] == ["RLCP", "CPRL"]
    assert [(v.progression, v.end_component) for v in stream.of_tile(1).volumes] == [("RPCL", 256)]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (two_tiles([cod(1), qcd(8)], [], [], [poc((0, 0, 1, 1, 2, 1))]), "POC in the header of tile-part 1"),
        (two_tiles([cod(1), qcd(8)], [], [], [cod(2)]), "COD in the header of tile-part 1 of tile 0"),
        (two_tiles([cod(1), qcd(8)], [SIZ], []), "SIZ in the header of tile-part 0 of tile 0"),
        (two_tiles([cod(1), qcd(8), poc((2, 0, 1, 2, 2, 1))], [], []), "resolutions 2 to 2"),
        (two_tiles([cod(1), qcd(8), poc((0, 0, 1, 2, 2, 5))], [], []), "progression order 5"),
        (two_tiles([cod(1), qcd(8), segment(POC, bytes(8))], [], []), "POC of 8 bytes"),
        (two_tiles([cod(1), qcd(8), rgn(2, 1)], [], []), "RGN for component 2 of 2"),
        (two_tiles([cod(1), qcd(8), segment(RGN, b"\0\0")], [], []), "too short"),
        (
            two_tiles([cod(1), qcd(8), segment(PPM, bytes([0, 0, 0, 0, 9]) + bytes(5))], [], []),
            "PPM does not hold",
        ),
        (two_tiles([cod(1), qcd(8), segment(PPM, b"")], [], []), "PPM without an index"),
        (
            two_tiles([cod(1), qcd(8)], [segment(PPT, b"\1\0"), segment(PPT, b"\1\0")], []),
            "PPT without an index",
        ),
        (
            two_tiles([cod(1), qcd(8), segment(PPM, bytes(9))], [segment(PPT, b"\1\0")], []),
            "both in PPM and in PPT",
        ),
        (two_tiles([cod(1), qcd(8)], [segment(PPT, b"\0\0")], []), "tile 0 are cut off"),
        (two_tiles([cod(1)], [qcd(8)], []), "no QCD"),
        (two_tiles([cod(6), qcd(8)], [], []), "no step"),
        (
            structures.assemble([SIZ, cod(1), qcd(8)], [(0, [], bytes(9)), (0, [], b"")])[:-16] + b"\xff\xd9",
            "1 of 2 tiles",
        ),
    ],
)
def test_structures_that_are_not_legal_are_refused_with_the_reason(data: bytes, complaint: str) -> None:
    with pytest.raises(BadCodestream, match=complaint):
        PacketStream.parse(data)


def test_a_tile_part_out_of_turn_is_refused() -> None:
    data = bytearray(two_tiles([cod(1), qcd(8)], [], [], []))
    data[data.rindex(b"\xff\x90") + 10] = 2
    with pytest.raises(BadCodestream, match="tile-part 2 of tile 0 stands where part 1 is due"):
        codestream.parse(bytes(data))


def test_volumes_without_end_are_refused_at_once() -> None:
    many = poc(*[(0, 0, 1, 33, 2, k % 5) for k in range(9000)])
    with pytest.raises(UnsupportedCodestream, match="progression order changes"):
        PacketStream.parse(two_tiles([cod(1), qcd(8)] + [many] * 9, [], []))


def test_many_tiles_of_many_components_of_their_own_are_refused_at_once() -> None:
    shapes = b"\x07\x01\x01" * 16384
    siz = segment(0xFF51, struct.pack(">HIIIIIIIIH", 0, 200, 1, 0, 0, 1, 1, 0, 0, 16384) + shapes)
    parts = [(tile, [qcd(8)], b"\0") for tile in range(200)]
    with pytest.raises(UnsupportedCodestream, match="200 tiles of 16384 components"):
        codestream.parse(structures.assemble([siz, cod(0), qcd(8)], parts))


def test_sixteen_thousand_components_are_read() -> None:
    shapes = b"\x07\x01\x01" * 16384
    siz = segment(0xFF51, struct.pack(">HIIIIIIIIH", 0, 9, 5, 0, 0, 9, 5, 0, 0, 16384) + shapes)
    own = segment(COC, struct.pack(">HBBBBBB", 16383, 0, 1, 0, 0, 0, 1))
    data = structures.assemble([siz, cod(0), qcd(8), own], [(0, [], bytes(16385))])
    found = PacketStream.parse(data)
    assert len(found.layout.precincts.tile) == 16385
    assert found.stream.coding[16383].levels == 1 and found.stream.coding[16382].levels == 0
    assert found.header_bytes.tolist() == [16385]


def test_segmented_blocks_are_not_written_without_their_cuts() -> None:
    found = PacketStream.parse(two_tiles([cod(1, 4), qcd(8)], [], []))
    bare = Codewords(found.codewords.body, found.codewords.start, found.codewords.zero_planes)
    with pytest.raises(ValueError, match="cuts"):
        packets.emit(found.layout, bare, found.layers)
