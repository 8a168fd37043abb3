"""Packets to contributions and back: nothing is lost, and other decoders agree."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.codec import allocation, codestream, openjpeg, packets
from foveate.codec.codestream import Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout import Layout
from foveate.codec.packets import Contributions
from tests import streams


def emitted(
    stream: Codestream,
    layout: Layout,
    parts: Contributions,
    upto: NDArray[np.int32],
    progression: str = "LRCP",
) -> bytes:
    found = packets.emit(layout, parts, upto, progression)
    assert packets.emitted_size(layout, parts, upto) == len(found.data)
    assert found.bounds[-1, -1] == len(found.data)
    tile_parts = streams.tile_parts(layout, found.data, found.bounds)
    return codestream.emit(stream, len(upto), tile_parts, progression)


def bodies(parts: Contributions, first: NDArray[Any], last: NDArray[Any]) -> list[bytes]:
    """The bytes of each block in the layers from `first` to before `last`."""
    whole, start, end = parts.body.tobytes(), parts.offsets, parts.offsets + parts.lengths
    return [
        b"".join(whole[start[k, b] : end[k, b]] for k in range(first[b], last[b])) for b in range(len(first))
    ]


def check_round_trip(
    stream: Codestream,
    layout: Layout,
    parts: Contributions,
    upto: NDArray[np.int32],
    progression: str = "LRCP",
) -> bytes:
    data = emitted(stream, layout, parts, upto, progression)
    again, same_layout, kept = allocation.parse_layers(data)
    assert again.layers == len(upto)
    assert np.array_equal(layout.blocks.box, same_layout.blocks.box)
    assert np.array_equal(layout.blocks.planes, same_layout.blocks.planes)
    before = np.vstack([np.zeros_like(upto[:1]), upto[:-1]])
    every = np.arange(upto.shape[1])
    for k in range(len(upto)):
        expected = parts.passes_before[every, upto[k]].astype(int) - parts.passes_before[every, before[k]]
        assert np.array_equal(kept.passes[k], expected)
        assert bodies(kept, np.full_like(upto[k], k), np.full_like(upto[k], k + 1)) == bodies(
            parts, before[k], upto[k]
        )
    included = kept.passes.any(0)
    assert np.array_equal(kept.zero_planes[included], parts.zero_planes[included])
    assert not kept.zero_planes[~included].any()
    return data


@given(st.sampled_from(streams.SHAPES), st.integers(1, 4), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=60)
def test_any_choice_is_parsed_back_as_it_was_emitted_and_decodes_cleanly(
    shape: tuple[int, int, int, int, int, bool], layers: int, seed: int
) -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(*shape))
    data = check_round_trip(stream, layout, parts, streams.random_choice(parts, layers, seed))
    decoded = openjpeg.decode(data)
    assert not decoded.warnings
    assert decoded.pixels.shape == shape[:3]


@given(st.sampled_from(sorted(streams.FOREIGN)), st.integers(1, 3), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=60)
def test_any_choice_from_other_encoders_streams_is_parsed_back_and_decodes_cleanly(
    name: str, layers: int, seed: int
) -> None:
    stream, layout, parts = allocation.parse_layers(streams.foreign(streams.FOREIGN[name]))
    data = check_round_trip(stream, layout, parts, streams.random_choice(parts, layers, seed))
    assert not openjpeg.decode(data).warnings


@pytest.mark.parametrize("shape", streams.SHAPES)
def test_keeping_everything_decodes_to_the_same_pixels(shape: tuple[int, int, int, int, int, bool]) -> None:
    source = streams.layered(*shape)
    stream, layout, parts = allocation.parse_layers(source)
    every_layer = emitted(stream, layout, parts, streams.everything(parts))
    one_layer = emitted(stream, layout, parts, streams.everything(parts)[-1:])
    expected = openjpeg.decode(source).pixels
    for data in (every_layer, one_layer):
        decoded = openjpeg.decode(data)
        assert np.array_equal(decoded.pixels, expected)
        assert not decoded.warnings
    assert len(one_layer) <= len(every_layer) <= len(source)


@pytest.mark.parametrize("name", streams.FOREIGN)
def test_keeping_everything_of_other_encoders_decodes_to_the_same_pixels(name: str) -> None:
    source = streams.foreign(streams.FOREIGN[name])
    stream, layout, parts = allocation.parse_layers(source)
    decoded = openjpeg.decode(emitted(stream, layout, parts, streams.everything(parts)))
    assert np.array_equal(decoded.pixels, openjpeg.decode(source).pixels)
    assert not decoded.warnings


@pytest.mark.parametrize("shape", [(97, 131, 1, 8, 64, False), (150, 149, 3, 8, 32, False)])
def test_each_prefix_of_layers_decodes_as_in_the_source(shape: tuple[int, int, int, int, int, bool]) -> None:
    source = streams.layered(*shape)
    stream, layout, parts = allocation.parse_layers(source)
    data = emitted(stream, layout, parts, streams.everything(parts))
    for layers in range(1, stream.layers + 1):
        expected = openjpeg.decode(source, layers=layers).pixels
        assert np.array_equal(openjpeg.decode(data, layers=layers).pixels, expected)
        cut = emitted(stream, layout, parts, streams.everything(parts)[layers - 1 : layers])
        assert np.array_equal(openjpeg.decode(cut).pixels, expected)


def test_keeping_nothing_decodes_to_flat_gray() -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(97, 131, 1, 8, 64))
    data = emitted(stream, layout, parts, np.zeros((1, len(layout.blocks.tile)), np.int32))
    decoded = openjpeg.decode(data)
    assert np.ptp(decoded.pixels) == 0
    assert not decoded.warnings


def test_headers_and_bodies_of_a_source_add_up_to_its_packets() -> None:
    for shape in streams.SHAPES:
        stream, _, parts = allocation.parse_layers(streams.layered(*shape))
        (part,) = stream.tile_parts
        assert parts.header_bytes.sum() + parts.lengths.sum() == part.end - part.start


def test_bounds_say_where_each_layer_of_each_tile_lies() -> None:
    stream, layout, parts = allocation.parse_layers(streams.foreign(streams.FOREIGN["tiles"]))
    upto = streams.everything(parts)
    found = packets.emit(layout, parts, upto)
    assert (np.diff(found.bounds, axis=1) > 0).all()
    assert np.array_equal(found.bounds[1:, 0], found.bounds[:-1, -1])
    by_layer = [
        (tile, found.data[found.bounds[tile, k] : found.bounds[tile, k + 1]])
        for k in range(len(upto))
        for tile in range(layout.tiles)
    ]
    one_part_a_layer = codestream.emit(stream, len(upto), by_layer)
    assert np.array_equal(openjpeg.decode(one_part_a_layer).pixels, openjpeg.decode(stream.data).pixels)


@given(st.sampled_from([(97, 131, 1, 8, 64, False), (33, 70, 3, 16, 4, True)]), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=40)
def test_extreme_contributions_are_parsed_back(
    shape: tuple[int, int, int, int, int, bool], seed: int
) -> None:
    """Many or no passes, long or no bytes, up to 82 missing planes: whatever the headers can say."""
    stream, layout, _ = allocation.parse_layers(streams.layered(*shape))
    rng = np.random.default_rng(seed)
    size = (4, len(layout.blocks.tile))
    passes = rng.choice([0, 0, 1, 2, 3, 5, 6, 36, 37, 40], size) * (rng.random(size) < rng.random())
    lengths = np.where(passes > 0, rng.choice([0, 1, 7, 8, 255, 300, 70_000], size), 0)
    body = rng.choice(np.array([0, 255, 3], np.uint8), 80_000)
    body.flags.writeable = False
    parts = Contributions(
        body=body,
        passes=passes.astype(np.uint8),
        lengths=lengths.astype(np.int32),
        offsets=rng.integers(0, 10_000, size),
        zero_planes=rng.integers(0, 83, size[1]).astype(np.uint8),
        header_bytes=np.zeros(4, np.int64),
    )
    check_round_trip(stream, layout, parts, streams.everything(parts))
    check_round_trip(stream, layout, parts, streams.random_choice(parts, 2, seed))


def test_more_passes_than_a_header_can_say_are_refused() -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(97, 131, 1, 8, 64))
    many = dataclasses.replace(parts, passes=np.where(parts.passes > 0, 100, 0).astype(np.uint8))
    assert (many.passes.sum(0, dtype=int) > 164).any()
    found = packets.emit(layout, many, streams.everything(many))
    data = codestream.emit(stream, stream.layers, streams.tile_parts(layout, found.data, found.bounds))
    with pytest.raises(UnsupportedCodestream, match="164 coding passes"):
        allocation.parse_layers(data)


def test_packets_that_end_too_early_are_refused() -> None:
    stream, layout, parts = allocation.parse_layers(streams.layered(97, 131, 1, 8, 64))
    found = packets.emit(layout, parts, streams.everything(parts))
    for length in range(0, len(found.data), 61):
        with pytest.raises(BadCodestream):
            allocation.parse_layers(codestream.emit(stream, stream.layers, [(0, found.data[:length])]))
