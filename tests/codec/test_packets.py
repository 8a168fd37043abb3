"""Tests packets to codewords and back: nothing is lost, and other decoders agree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import codestream, openjpeg, packets
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.packet_stream import PacketStream
from foveate.codec.packets import Codewords, Layers
from tests import streams


def emitted(source: PacketStream, layers: Layers, progression: str = "LRCP") -> bytes:
    found = packets.emit(source.layout, source.codewords, layers, progression)
    assert packets.emitted_size(source.layout, source.codewords, layers) == len(found.data)
    assert found.bounds[-1, -1] == len(found.data)
    tile_parts = streams.tile_parts(source.layout, found.data, found.bounds)
    return codestream.emit(source.stream, len(layers.passes), tile_parts, progression)


def contributions(source: PacketStream) -> dict[tuple[int, int], bytes]:
    """The bytes of each block in each layer that has a pass of it."""
    body, start = source.codewords.body.tobytes(), source.codewords.start
    passes, sizes = (np.diff(table.astype(int), axis=0, prepend=0) for table in source.layers)
    before = source.layers.sizes - sizes
    return {(k, b): body[start[b] + before[k, b] :][: sizes[k, b]] for k, b in np.argwhere(passes).tolist()}


def check_round_trip(source: PacketStream, upto: NDArray[np.int32], progression: str = "LRCP") -> bytes:
    """Emits so many of a stream's layers of each block, and reads them again."""
    layers = streams.chosen(source.layers, upto)
    data = emitted(source, layers, progression)
    again = PacketStream.parse(data)
    assert again.stream.layers == len(upto)
    assert np.array_equal(source.layout.blocks.box, again.layout.blocks.box)
    assert np.array_equal(source.layout.blocks.planes, again.layout.blocks.planes)
    assert np.array_equal(again.layers.passes, layers.passes)
    assert np.array_equal(again.layers.sizes, layers.sizes)
    for block, size in enumerate(again.sizes.tolist()):
        before, after = (c.body[c.start[block] :][:size] for c in (source.codewords, again.codewords))
        assert np.array_equal(before, after)
    included = again.passes > 0
    zero_planes = again.codewords.zero_planes
    assert np.array_equal(zero_planes[included], source.codewords.zero_planes[included])
    assert not zero_planes[~included].any()
    return data


@given(st.sampled_from(streams.SHAPES), st.integers(1, 4), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=60)
def test_any_choice_is_parsed_back_as_it_was_emitted_and_decodes_cleanly(
    shape: tuple[int, int, int, int, int, bool], layers: int, seed: int
) -> None:
    source = PacketStream.parse(streams.layered(*shape))
    data = check_round_trip(source, streams.random_choice(source.layers, layers, seed))
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    assert decoded.pixels.shape == shape[:3]


@given(st.sampled_from(sorted(streams.FOREIGN)), st.integers(1, 3), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=60)
def test_any_choice_from_other_encoders_streams_is_parsed_back_and_decodes_cleanly(
    name: str, layers: int, seed: int
) -> None:
    source = PacketStream.parse(streams.foreign(streams.FOREIGN[name]))
    data = check_round_trip(source, streams.random_choice(source.layers, layers, seed))
    assert not openjpeg.decode(data).warnings


@pytest.mark.parametrize("shape", streams.SHAPES)
def test_keeping_everything_decodes_to_the_same_pixels(shape: tuple[int, int, int, int, int, bool]) -> None:
    data = streams.layered(*shape)
    source = PacketStream.parse(data)
    every_layer, one_layer = emitted(source, source.layers), emitted(source, source.layers.merged())
    expected = openjpeg.decode(data).pixels
    for again in (every_layer, one_layer):
        decoded = openjpeg.decode(again)
        assert np.array_equal(decoded.pixels, expected)
        assert not decoded.warnings
    assert len(one_layer) <= len(every_layer) == len(data)


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_keeping_everything_of_other_encoders_decodes_to_the_same_pixels(name: str) -> None:
    data = streams.foreign(streams.FOREIGN[name])
    source = PacketStream.parse(data)
    decoded = openjpeg.decode(emitted(source, source.layers))
    assert np.array_equal(decoded.pixels, openjpeg.decode(data).pixels)
    assert not decoded.warnings


@pytest.mark.parametrize("shape", [(97, 131, 1, 8, 64, False), (150, 149, 3, 8, 32, False)])
def test_each_prefix_of_layers_decodes_as_in_the_source(shape: tuple[int, int, int, int, int, bool]) -> None:
    data = streams.layered(*shape)
    source = PacketStream.parse(data)
    again = emitted(source, source.layers)
    for layers in range(1, source.stream.layers + 1):
        expected = openjpeg.decode(data, layers=layers).pixels
        assert np.array_equal(openjpeg.decode(again, layers=layers).pixels, expected)
        first = source.upto(layers).layers
        assert len(first.passes) == layers
        for some in (first, first.merged()):
            assert np.array_equal(openjpeg.decode(emitted(source, some)).pixels, expected)


def test_keeping_nothing_decodes_to_flat_gray() -> None:
    source = PacketStream.parse(streams.layered(97, 131, 1, 8, 64))
    decoded = openjpeg.decode(check_round_trip(source, np.zeros((1, len(source.sizes)), np.int32)))
    assert np.ptp(decoded.pixels) == 0
    assert not decoded.warnings


def test_headers_and_bodies_of_a_source_add_up_to_its_packets() -> None:
    for shape in streams.SHAPES:
        source = PacketStream.parse(streams.layered(*shape))
        (part,) = source.stream.tile_parts
        assert source.header_bytes.sum() + source.sizes.sum() == part.end - part.start


def test_bounds_say_where_each_layer_of_each_tile_is() -> None:
    source = PacketStream.parse(streams.foreign(streams.FOREIGN["tiles"]))
    found = packets.emit(source.layout, source.codewords, source.layers)
    assert (np.diff(found.bounds, axis=1) > 0).all()
    assert np.array_equal(found.bounds[1:, 0], found.bounds[:-1, -1])
    layers = len(source.layers.passes)
    by_layer = [
        (tile, found.data[found.bounds[tile, k] : found.bounds[tile, k + 1]])
        for k in range(layers)
        for tile in range(source.layout.tiles)
    ]
    one_part_a_layer = codestream.emit(source.stream, layers, by_layer)
    expected = openjpeg.decode(source.stream.data).pixels
    assert np.array_equal(openjpeg.decode(one_part_a_layer).pixels, expected)


@given(st.sampled_from([(97, 131, 1, 8, 64, False), (33, 70, 3, 16, 4, True)]), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=40)
def test_extreme_contributions_are_parsed_back(
    shape: tuple[int, int, int, int, int, bool], seed: int
) -> None:
    """Many or no passes, many or no bytes, up to 82 missing planes: everything that headers can express."""
    source = PacketStream.parse(streams.layered(*shape))
    rng = np.random.default_rng(seed)
    size = (4, len(source.sizes))
    passes = rng.choice([0, 0, 1, 2, 3, 5, 6, 36, 37, 40], size) * (rng.random(size) < rng.random())
    lengths = np.where(passes > 0, rng.choice([0, 1, 7, 8, 255, 300, 70_000], size), 0)
    codewords = Codewords(
        body=rng.choice(np.array([0, 255, 3], np.uint8), 290_000),
        start=rng.integers(0, 10_000, size[1]),
        zero_planes=rng.integers(0, 83, size[1]).astype(np.uint8),
    )
    layers = Layers(passes.cumsum(0).astype(np.uint8), lengths.cumsum(0).astype(np.int32))
    extreme = dataclasses.replace(source, codewords=codewords, layers=layers)
    check_round_trip(extreme, streams.everything(layers))
    check_round_trip(extreme, streams.random_choice(layers, 2, seed))


def test_more_passes_than_a_header_can_say_are_refused() -> None:
    source = PacketStream.parse(streams.layered(97, 131, 1, 8, 64))
    passes = np.where(source.layers.passes > 0, [[100], [165], [165], [165], [165], [165], [165]], 0)
    many = Layers(passes.astype(np.uint8), source.layers.sizes)
    with pytest.raises(UnsupportedCodestream, match="164 coding passes"):
        PacketStream.parse(emitted(source, many))


def test_packets_that_end_too_early_are_refused() -> None:
    source = PacketStream.parse(streams.layered(97, 131, 1, 8, 64))
    found = packets.emit(source.layout, source.codewords, source.layers)
    for length in range(0, len(found.data), 61):
        with pytest.raises(BadCodestream):
            PacketStream.parse(
                codestream.emit(source.stream, source.stream.layers, [(0, found.data[:length])])
            )
