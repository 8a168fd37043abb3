"""Tests real pictures in structures that OpenJPEG's encoder does not write, in other decoders.

Streams by opj_compress with SOP and EPH are cut at these markers, which occur nowhere else, and put together
again. OpenJPEG, FFmpeg and Pillow must see the same picture before and after, and we must find in them what
was there before.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, example, given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks import annex_b, structures
from benchmarks.structures import segment
from foveate.codec import codestream, jp2, noise, openjpeg
from foveate.codec.codestream import COC, POC, PPM, PPT, PROGRESSIONS, QCC
from foveate.codec.errors import BadCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from tests import streams
from tests.codec import test_packets
from tests.tools import tool

Pixels = NDArray[Any]
SOURCES = (
    "-SOP -EPH -r 20,5,2 -c [64,64],[32,32]",
    "-SOP -EPH -r 20,5,1 -M 5 -p RPCL -c [64,64]",
    "-SOP -EPH -r 30,8 -I -t 70,60 -p CPRL",
    "-SOP -EPH -r 20,5,2 -M 63 -t 131,50 -d 5,3 -p RLCP -c [32,32]",
)


@dataclasses.dataclass(frozen=True)
class Packet:
    sop: bytes
    header: bytes  # without EPH
    body: bytes

    @property
    def whole(self) -> bytes:
        return self.sop + self.header + b"\xff\x92" + self.body


def by_ffmpeg(data: bytes, shape: tuple[int, ...]) -> Pixels:
    command = [
        tool("ffmpeg"),
        "-v",
        "error",
        "-f",
        "j2k_pipe",
        "-i",
        "-",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, np.uint8).reshape(shape)


def by_pillow(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jp2.wrap(data, metadata=PhotoMetadata()))))


def check_decoders_agree(data: bytes, expected: Pixels, tolerance: int) -> None:
    """OpenJPEG exactly and without a warning, FFmpeg and Pillow within a tolerance."""
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    assert np.array_equal(decoded.pixels, expected)
    for pixels in (by_pillow(data), by_ffmpeg(data, expected.shape)):
        assert np.abs(pixels.astype(int) - expected).max() <= tolerance


def split(data: bytes) -> tuple[list[bytes], list[list[Packet]]]:
    """Segments of the main header, and the packets of each tile, cut at SOP and EPH."""
    stream = codestream.parse(data)
    tiles: list[list[Packet]] = [[] for _ in range(stream.size.tiles_across * stream.size.tiles_down)]
    for part in stream.tile_parts:
        pieces = re.split(rb"(?=\xff\x91\x00\x04)", data[part.start : part.end])[1:]
        for piece in pieces:
            header, body = piece[6:].split(b"\xff\x92", 1)
            tiles[part.tile].append(Packet(piece[:6], header, body))
    return main_segments(data), tiles


def main_segments(data: bytes) -> list[bytes]:
    segments, position = [], 2
    while data[position : position + 2] != b"\xff\x90":
        end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        segments.append(data[position:end])
        position = end
    return segments


def same(first: PacketStream, second: PacketStream) -> bool:
    ours, theirs = first.codewords, second.codewords
    return (
        np.array_equal(first.layers.passes, second.layers.passes)
        and np.array_equal(ours.zero_planes, theirs.zero_planes)
        and test_packets.contributions(first) == test_packets.contributions(second)
        and np.array_equal(ours.cuts, theirs.cuts)
    )


def steps_of(found: PacketStream) -> NDArray[np.float64]:
    return noise.normalized_steps(found.stream, found.layout, found.codewords.zero_planes, found.passes)


def packed(marker: int, groups: Sequence[bytes], step: int) -> list[bytes]:
    pieces = [group[i : i + step] for group in groups for i in range(0, len(group), step)]
    return [segment(marker, bytes([i]) + piece) for i, piece in enumerate(pieces)]


def tolerance(options: str) -> int:
    return 1 if "-I" in options else 0


def halves_a_single_sample(stream: codestream.Codestream) -> bool:
    """Whether some tile shrinks to one sample at an odd place, whose coefficient is halved (F.3.6).

    Of a truncated coefficient that may be odd, and the standard does not say how its half is rounded:
    OpenJPEG rounds towards zero, FFmpeg down.
    """

    def along(start: int, end: int, origin: int, length: int) -> bool:
        for first in range(origin, end, length):
            low, high = max(first, start), min(first + length, end)
            for _ in range(max(coding.levels for coding in stream.of_tile(0).coding)):
                if high - low == 1 and low % 2:
                    return True
                low, high = (low + 1) // 2, (high + 1) // 2
        return False

    size = stream.size
    return along(size.x0, size.x1, size.tile_x0, size.tile_width) or along(
        size.y0, size.y1, size.tile_y0, size.tile_height
    )


@pytest.mark.parametrize("options", SOURCES)
@pytest.mark.parametrize("step", [7, 1000])
@pytest.mark.parametrize("cut", ["not at all", "in halves", "in interleaved halves"])
def test_headers_packed_into_the_main_header_are_read_as_before(options: str, step: int, cut: str) -> None:
    source = streams.foreign(options)
    main, tiles = split(source)
    every = range(len(tiles))
    if cut == "not at all":
        pieces = [(tile, tiles[tile]) for tile in every]
    else:
        middle = [len(packets) // 2 for packets in tiles]
        pieces = [
            (tile, tiles[tile][middle[tile] :] if half else tiles[tile][: middle[tile]])
            for half, tile in ((h, t) for h in range(2) for t in every)
        ]
    if cut == "in halves":
        pieces.sort(key=lambda piece: piece[0])
    headers = [b"".join(packet.header + b"\xff\x92" for packet in packets) for _, packets in pieces]
    groups = [struct.pack(">I", len(group)) + group for group in headers]
    bodies = [b"".join(packet.sop + packet.body for packet in packets) for _, packets in pieces]
    parts = [(tile, list[bytes](), body) for (tile, _), body in zip(pieces, bodies, strict=True)]
    step = max(step, sum(map(len, groups)) // 200)
    if cut == "in interleaved halves":
        groups = [b"".join(groups)]  # cut anywhere; OpenJPEG wants Nppm in one segment
    data = structures.assemble([*main, *packed(PPM, groups, step)], parts)
    assert same(PacketStream.parse(data), PacketStream.parse(source))
    # FFmpeg (5.1) reads PPM of one tile-part a tile only.
    expected = openjpeg.decode(source).pixels
    assert np.array_equal(openjpeg.decode(data).pixels, expected)
    if cut == "not at all":
        check_decoders_agree(data, expected, tolerance(options))


@pytest.mark.parametrize("options", SOURCES)
def test_headers_packed_into_tile_part_headers_are_read_as_before(options: str) -> None:
    source = streams.foreign(options)
    main, tiles = split(source)
    parts: list[tuple[int, Sequence[bytes], bytes]] = []
    for tile, packets in enumerate(tiles):
        if tile == 1:
            parts.append((tile, [], b"".join(packet.whole for packet in packets)))  # as it was
            continue
        middle = len(packets) // 3
        own = packed(PPT, [b"".join(packet.header + b"\xff\x92" for packet in packets)], 400)
        bodies = [packet.sop + packet.body for packet in packets]
        parts.append((tile, own, b"".join(bodies[:middle])))  # all headers in the first tile-part header
        parts.append((tile, [], b"".join(bodies[middle:])))
    data = structures.assemble(main, parts)
    assert same(PacketStream.parse(data), PacketStream.parse(source))
    check_decoders_agree(data, openjpeg.decode(source).pixels, tolerance(options))


VOLUMES = (
    ((0, 0, 1, 6, 3, 0), (0, 0, 3, 3, 3, 2), (0, 0, 3, 33, 3, 1)),
    ((0, 1, 2, 4, 2, 4), (0, 0, 2, 33, 2, 3), (0, 0, 9, 33, 3, 2)),  # OpenJPEG takes no 0 for 256
    ((2, 0, 2, 3, 3, 1), (0, 0, 3, 33, 1, 4), (0, 0, 3, 33, 3, 0)),
)


@pytest.mark.parametrize("volumes", VOLUMES)
@pytest.mark.parametrize("place", ["main header", "tile header", "several tile-parts"])
@pytest.mark.parametrize("options", SOURCES[:2])
def test_overlapping_progression_changes_send_each_packet_once(
    options: str, place: str, volumes: tuple[tuple[int, int, int, int, int, int], ...]
) -> None:
    source = streams.foreign(options)
    main, (packets,) = split(source)
    before = PacketStream.parse(source)
    stream, geometry = before.stream, before.layout
    by_place = dict(zip(annex_b.order(stream, geometry, 0), packets, strict=True))
    entries = [struct.pack(">BBHBBB", *volume) for volume in volumes]
    found = [
        codestream.ProgressionVolume(PROGRESSIONS[v[5]], v[0], v[1], v[2], v[3], v[4] or 256) for v in volumes
    ]
    changed = dataclasses.replace(stream, volumes=tuple(found))
    moved = [by_place[key].whole for key in annex_b.order(changed, geometry, 0)]
    assert len(moved) == len(packets)
    if place == "main header":
        data = structures.assemble([*main, segment(POC, b"".join(entries))], [(0, [], b"".join(moved))])
    elif place == "tile header":
        data = structures.assemble(main, [(0, [segment(POC, b"".join(entries))], b"".join(moved))])
    else:
        first = dataclasses.replace(stream, volumes=tuple(found[:1]))
        count = len(list(annex_b.order(first, geometry, 0)))
        data = structures.assemble(
            main,
            [
                (0, [segment(POC, entries[0])], b"".join(moved[:count])),
                (0, [segment(POC, b"".join(entries[1:]))], b"".join(moved[count:])),
            ],
        )
    assert same(PacketStream.parse(data), before)
    check_decoders_agree(data, openjpeg.decode(source).pixels, tolerance(options))


PAIRS = (
    ("-r 10,3", "-r 10,3 -b 16,16 -M 1 -n 4"),
    ("-r 10,3 -I", "-r 5 -I -n 3 -c [32,32] -p RPCL"),
    ("-r 9", "-r 20,10,5 -M 36 -p CPRL -SOP -EPH"),
)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_tile_may_be_coded_in_another_way_than_the_picture(pair: tuple[str, str]) -> None:
    first, second = (streams.foreign(f"-t 70,97 {options}") for options in pair)
    expected = openjpeg.decode(first).pixels.copy()
    expected[:, 70:] = openjpeg.decode(second).pixels[:, 70:]
    data = with_tile_of(first, second)
    assert np.array_equal(openjpeg.decode(data).pixels, expected)
    assert np.abs(by_ffmpeg(data, expected.shape).astype(int) - expected).max() <= tolerance(pair[0])
    found, of_second = PacketStream.parse(data), PacketStream.parse(second)
    assert found.stream.of_tile(1).coding == codestream.parse(second).coding
    ours, theirs = found.layout.blocks.tile == 1, of_second.layout.blocks.tile == 1
    assert np.array_equal(found.passes[ours], of_second.passes[theirs])
    assert np.array_equal(found.sizes[ours], of_second.sizes[theirs])
    again = test_packets.check_round_trip(found, streams.everything(found.layers)[-1:])
    assert np.array_equal(openjpeg.decode(again).pixels, expected)


def with_tile_of(first: bytes, second: bytes) -> bytes:
    """The first stream with tile 1 of the second, and with that one's COD and QCD before it."""
    own = [s for s in main_segments(second) if s[:2] in (b"\xff\x52", b"\xff\x5c")]
    parts = []
    for tile, source in enumerate((first, second)):
        (part,) = (part for part in codestream.parse(source).tile_parts if part.tile == tile)
        parts.append((tile, own if tile else [], source[part.start : part.end]))
    return structures.assemble(main_segments(first), parts)


def test_a_tiles_coding_outdoes_what_the_main_header_says_of_components() -> None:
    first, second = (streams.foreign(f"-t 70,97 -r 8 {options}") for options in ("-n 5", "-n 3 -M 4"))
    data = with_tile_of(first, second)
    main = main_segments(first)
    cod = next(s for s in main if s[:2] == b"\xff\x52")
    qcd = next(s for s in main if s[:2] == b"\xff\x5c")
    own = [segment(COC, bytes([c, 0]) + cod[9:14]) for c in range(3)]
    own += [segment(QCC, bytes([c]) + qcd[4:]) for c in range(3)]
    wrong = [cod[:9] + b"\x01\x02" + cod[11:], qcd[:4] + bytes([qcd[4] ^ 0x20]) + qcd[5:]]
    rest = [s for s in main if s not in (cod, qcd)]
    at = data.index(b"\xff\x90")
    changed = b"\xff\x4f" + b"".join([*rest, *wrong, *own]) + data[at:]
    assert np.array_equal(openjpeg.decode(changed).pixels, openjpeg.decode(data).pixels)
    found, before = PacketStream.parse(changed), PacketStream.parse(data)
    assert same(found, before)
    assert np.array_equal(found.layout.blocks.planes, before.layout.blocks.planes)


@pytest.mark.parametrize("options", ["-r 12", "-r 12 -I"])
@pytest.mark.parametrize("shift", [5, 12])
def test_a_raised_component_is_as_noisy_as_it_was(options: str, shift: int) -> None:
    """opj_compress raises all of a component by Maxshift: more bit-planes, but the same are coded."""
    plain, raised = streams.foreign(options), streams.foreign(f"{options} -ROI c=1,U={shift}")
    expected = openjpeg.decode(plain).pixels
    assert np.array_equal(openjpeg.decode(raised).pixels, expected)
    assert np.abs(by_ffmpeg(raised, expected.shape).astype(int) - expected).max() <= tolerance(options)
    found, usual = PacketStream.parse(raised), PacketStream.parse(plain)
    assert found.stream.region_shifts == (0, shift, 0)
    more = np.where(found.layout.blocks.component == 1, shift, 0)
    assert np.array_equal(found.layout.blocks.planes - usual.layout.blocks.planes, more)
    steps = steps_of(found)
    assert np.allclose(steps, steps_of(usual))
    region = next(s for s in main_segments(raised) if s[:2] == b"\xff\x5e")
    main = [s for s in main_segments(raised) if s != region]
    (part,) = found.stream.tile_parts
    in_tile = structures.assemble(main, [(0, [region], raised[part.start : part.end])])
    assert np.array_equal(steps_of(PacketStream.parse(in_tile)), steps)
    assert np.array_equal(openjpeg.decode(in_tile).pixels, expected)


@st.composite
def options_of_opj_compress(draw: st.DrawFn) -> str:
    """Anything that opj_compress can be asked for, for a 131 x 97 picture of three components."""
    parts = [f"-p {draw(st.sampled_from(PROGRESSIONS))}", f"-n {draw(st.integers(1, 6))}"]
    layers = draw(st.integers(1, 4))
    parts.append("-r " + ",".join(str(40 >> i if i < 3 else 1) for i in range(layers)))
    width, height = draw(st.sampled_from([(64, 64), (32, 32), (4, 4), (16, 64), (8, 256), (1024, 4)]))
    parts.append(f"-b {width},{height}")
    parts.append(f"-M {draw(st.sampled_from([0, 0, 1, 2, 4, 5, 8, 16, 32, 37, 63]))}")
    if draw(st.booleans()):
        parts.append(f"-t {draw(st.integers(33, 140))},{draw(st.integers(33, 140))}")
    if draw(st.booleans()):
        x, y = draw(st.integers(0, 60)), draw(st.integers(0, 60))
        parts.append(f"-d {x},{y} -T {draw(st.integers(0, x))},{draw(st.integers(0, y))}")
        if "-t" not in " ".join(parts[:-1]):
            parts.append("-t 200,200")
    if draw(st.booleans()):
        sizes = draw(st.lists(st.sampled_from([16, 32, 64, 128]), min_size=1, max_size=3))
        parts.append("-c " + ",".join(f"[{size},{2 * size if size < 128 else size}]" for size in sizes))
    parts += [flag for flag in ("-SOP", "-EPH", "-I", "-PLT", "-TLM") if draw(st.booleans())]
    if draw(st.booleans()):
        parts.append(f"-TP {draw(st.sampled_from('RLC'))}")
    return " ".join(parts)


@given(options_of_opj_compress(), st.integers(1, 3), st.integers(0, 1 << 30))
@example("-p RPCL -n 4 -r 40 -b 8,256 -M 8 -t 65,107 -c [16,32],[128,128] -TLM -TP C", 1, 1372)
@settings(deadline=None, max_examples=15, phases=[Phase.explicit, Phase.generate])
def test_any_choice_from_any_stream_decodes_the_same_everywhere(options: str, layers: int, seed: int) -> None:
    try:
        source = streams.foreign(options)
        expected = openjpeg.decode(source).pixels
    except (AssertionError, BadCodestream):
        # opj_compress finds its buffer too small for some blocks, and writes packets of empty resolutions.
        reject()
    if source.count(b"\xff\x90\x00\x0a") > 255:
        reject()  # opj_compress numbers more tile-parts than a tile may have from 0 again
    found = PacketStream.parse(source)
    near = 1 if halves_a_single_sample(found.stream) else tolerance(options)
    check_decoders_agree(test_packets.emitted(found, found.layers), expected, near)
    upto = streams.random_choice(found.layers, layers, seed)
    chosen = test_packets.check_round_trip(found, upto, PROGRESSIONS[seed % 5])
    decoded = openjpeg.decode(chosen)
    assert not decoded.warnings
    assert np.abs(by_pillow(chosen).astype(int) - decoded.pixels).max() <= tolerance(options)
