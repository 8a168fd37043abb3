"""Tests files for access: the same picture, every packet where TLM and PLT say, every byte counted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.codec import allocation, codestream, jp2, openjpeg, pointers, walk
from foveate.codec.allocation import Choice
from foveate.codec.arrangement import access_precincts
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.packet_stream import PacketStream
from tests import streams
from tests.codec import test_rearranged

CASES = (
    ((300, 420, 3), 1, None),
    ((300, 420, 3), 3, 128),
    ((515, 260, 1), 2, None),
    ((70, 600, 4), 1, 128),
    ((1, 300, 3), 2, None),
    ((1, 1, 1), 1, None),
)


def photo(shape: tuple[int, int, int]) -> NDArray[Any]:
    return streams.texture(*shape)


def choice(shape: tuple[int, int, int], layers: int, tile_size: int | None, *, access: bool = True) -> Choice:
    coding = Coding(access=access, tile_size=tile_size)
    return Encoder(photo(shape), coding=coding).at_slope(60.0, layers)


def pointers_of(
    data: bytes,
) -> tuple[tuple[pointers.TilePartLength, ...], list[tuple[walk.TilePartSpan, Any]]]:
    """Entries of TLM, and each tile-part with those of its PLT."""

    def of(segments: Any, marker: int) -> list[bytes]:
        return [data[s.start : s.end] for s in segments if s.marker == marker]

    main = list(walk.segments(data, 2, len(data)))
    parts = list(walk.tile_parts(data, main[-1].offset, len(data)))
    listed = pointers.parse_tlm(of(main, pointers.TLM))
    return listed, [(part, pointers.parse_plt(of(part.segments, pointers.PLT))) for part in parts]


@pytest.mark.parametrize(("shape", "layers", "tile_size"), CASES)
def test_a_file_for_access_is_the_same_picture(
    shape: tuple[int, int, int], layers: int, tile_size: int | None
) -> None:
    plain, access = (allocation.encode(choice(shape, layers, tile_size, access=a)) for a in (False, True))
    found, expected = openjpeg.decode(access), openjpeg.decode(plain)
    assert not found.warnings
    assert np.array_equal(found.pixels, expected.pixels)
    stream = codestream.parse(access)
    assert stream.progression == "RPCL"
    assert stream.layers == layers
    assert stream.coding[0].precincts_log2 == access_precincts(stream.coding[0].levels)


@pytest.mark.parametrize(("shape", "layers", "tile_size"), CASES)
def test_every_byte_of_a_file_for_access_is_counted(
    shape: tuple[int, int, int], layers: int, tile_size: int | None
) -> None:
    chosen = choice(shape, layers, tile_size)
    assert len(allocation.encode(chosen)) == allocation.encoded_size(chosen)


@pytest.mark.parametrize(("shape", "layers", "tile_size"), CASES)
def test_tile_parts_and_packets_are_where_the_markers_say(
    shape: tuple[int, int, int], layers: int, tile_size: int | None
) -> None:
    data = allocation.encode(choice(shape, layers, tile_size))
    listed, parts = pointers_of(data)
    assert listed == tuple((part.tile, part.end - part.offset) for part, _ in parts)
    whole = PacketStream.parse(data)
    resolutions = whole.stream.coding[0].levels + 1
    assert len(parts) == resolutions * whole.layout.tiles
    for part, lengths in parts:
        assert lengths.sum() == part.end - part.start
    # Packets behind any one are packets of their own: without their contents, the stream is still sound.
    for part, lengths in parts:
        kept = len(lengths) // 2
        end = int(part.start + lengths[:kept].sum())
        packets = data[part.start : end] + bytes(len(lengths) - kept)
        header = data[part.offset : part.start].replace(
            (part.end - part.offset).to_bytes(4), (part.start - part.offset + len(packets)).to_bytes(4), 1
        )
        without = data[: part.offset] + header + packets + data[part.end :]
        assert PacketStream.parse(without).sizes.sum() <= whole.sizes.sum()


def test_resolutions_come_one_after_the_other_over_all_tiles() -> None:
    data = allocation.encode(choice((300, 420, 3), 1, 128))
    _, parts = pointers_of(data)
    tiles = len({part.tile for part, _ in parts})
    assert [part.number for part, _ in parts] == [k // tiles for k in range(len(parts))]


def test_access_costs_little() -> None:
    shape = (1100, 1300, 3)
    plain, access = (allocation.encoded_size(choice(shape, 1, None, access=a)) for a in (False, True))
    assert plain < access <= 1.005 * plain


def test_a_budget_includes_the_markers() -> None:
    pixels = photo((400, 500, 3))
    for tile_size in (None, 128):
        data = allocation.encode(
            Encoder(pixels, coding=Coding(access=True, tile_size=tile_size)).within(9000)
        )
        assert 8900 <= len(data) <= 9000


def test_other_decoders_agree() -> None:
    for layers, tile_size in ((1, None), (3, 128)):
        data = allocation.encode(choice((300, 420, 3), layers, tile_size))
        test_rearranged.check_decoders_agree(data, openjpeg.decode(data).pixels, 1)


def test_opj_decompress_reads_a_region_and_a_size(tmp_path: Path) -> None:
    tool = shutil.which("opj_decompress")
    if tool is None:
        pytest.skip("opj_decompress is not installed")
    data = allocation.encode(choice((300, 420, 3), 2, 128))
    source, target = tmp_path / "a.jp2", tmp_path / "a.ppm"
    source.write_bytes(jp2.wrap(data, metadata=PhotoMetadata()))
    whole = openjpeg.decode(data).pixels.astype(int)
    command = [tool, "-i", str(source), "-o", str(target), "-d", "100,90,240,250"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "WARNING" not in done.stdout + done.stderr
    with Image.open(target) as picture:
        assert np.abs(np.asarray(picture).astype(int) - whole[90:250, 100:240]).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(2, 10), (6, 6), (10, 2)])
def test_precincts_never_cut_blocks(width: int, height: int) -> None:
    coarsest, *others = access_precincts(3, width, height)
    assert coarsest[0] >= max(6, width)
    assert coarsest[1] >= max(6, height)
    assert all(own[0] > width and own[1] > height for own in others)


def test_precincts_are_small_but_in_the_two_finest_resolutions() -> None:
    for levels in range(8):
        sides = [1 << width for width, height in access_precincts(levels) if width == height]
        assert sides == [64, *[128] * (levels - 2), *[256] * min(levels, 2)]
