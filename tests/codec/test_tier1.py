"""Codewords cut tighter decode to the same picture, and cannot be cut tighter still."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.codec import allocation, openjpeg, packets, tier1
from foveate.codec.allocation import Candidates, Choice
from tests import streams

LAYERS_DB = (20.0, 24.0, 28.0, 32.0, 36.0, 40.0, 45.0, 50.0, 0.0)


def candidates(height: int, width: int, channels: int, block_size: int, reversible: bool) -> Candidates:
    pixels = streams.texture(height, width, channels)
    data = openjpeg.encode(pixels, layer_psnrs_db=LAYERS_DB, block_size=block_size, reversible=reversible)
    stream, layout, parts = allocation.parse_layers(data)
    slopes = allocation.layer_slopes(layout, parts, LAYERS_DB)
    return allocation.rank(stream, layout, parts, slopes, np.ones(len(layout.blocks.tile)))


@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([1, 3]),
    st.sampled_from([8, 32, 64]),
    st.booleans(),
    st.integers(0, 1 << 30),
)
@settings(deadline=None, max_examples=40)
def test_any_layers_of_any_block_decode_to_the_same_pixels_in_no_more_bytes(
    height: int, width: int, channels: int, block_size: int, reversible: bool, seed: int
) -> None:
    whole = candidates(height, width, channels, block_size, reversible)
    rng = np.random.default_rng(seed)
    blocks = len(whole.layout.blocks.tile)
    upto = rng.integers(0, len(LAYERS_DB) + 1, (1, blocks)).astype(np.int32)
    bound = rng.integers(0, len(LAYERS_DB) + 1, blocks).astype(np.int32)
    parts = tier1.tighten(whole.layout, whole.parts, bound)
    before = allocation.encode(Choice(whole, upto))
    after = allocation.encode(Choice(dataclasses.replace(whole, parts=parts), upto))
    assert len(after) <= len(before)
    decoded = openjpeg.decode(after)
    assert not decoded.warnings
    np.testing.assert_array_equal(decoded.pixels, openjpeg.decode(before).pixels)
    np.testing.assert_array_equal(parts.lengths.sum(0), whole.parts.lengths.sum(0))
    np.testing.assert_array_equal(parts.passes, whole.parts.passes)


def test_a_byte_less_is_too_few_for_most_blocks() -> None:
    """The last byte left decides: without it, what is decoded differs in nearly every block."""
    whole = candidates(128, 128, 1, 64, False)
    upto = np.full((1, len(whole.layout.blocks.tile)), 4, np.int32)
    tightest = tier1.tighten(whole.layout, whole.parts, upto[0])
    tight = Choice(dataclasses.replace(whole, parts=tightest), upto)
    reference = openjpeg.decode(allocation.encode(tight)).pixels
    lengths = tight.candidates.parts.lengths
    differing, tried = 0, 0
    for block in np.flatnonzero(lengths[:4].sum(0)):
        last = int(np.flatnonzero(lengths[:4, block])[-1])
        shorter = lengths.copy()
        shorter[last, block] -= 1
        parts = dataclasses.replace(tight.candidates.parts, lengths=shorter)
        data = allocation.encode(Choice(dataclasses.replace(whole, parts=parts), upto))
        tried += 1
        differing += not np.array_equal(openjpeg.decode(data).pixels, reference)
    assert tried >= 5
    assert differing >= 0.6 * tried


def test_tightening_saves_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_DECODED_BYTES", 3000)
    whole = candidates(150, 150, 3, 32, False)
    choice = allocation.take(whole, len(whole) // 2)
    parts = tier1.tighten(whole.layout, whole.parts, choice.upto[0])
    tight = Choice(dataclasses.replace(whole, parts=parts), choice.upto)
    some, every, none = (allocation.encoded_size(c) for c in (allocation.tightened(choice), tight, choice))
    assert 0.002 < 1 - every / none < 0.05
    assert every < some < none


def test_streams_of_other_code_block_styles_are_left_as_they_are() -> None:
    whole = candidates(60, 60, 1, 32, False)
    blocks = whole.layout.blocks._replace(style=np.full_like(whole.layout.blocks.style, 8))
    layout = dataclasses.replace(whole.layout, blocks=blocks)
    bound = np.full(len(blocks.tile), 9, np.int32)
    assert tier1.tighten(layout, whole.parts, bound) is whole.parts


def test_what_was_tightened_is_parsed_back() -> None:
    whole = candidates(150, 133, 3, 64, False)
    tight = allocation.tightened(allocation.take(whole, len(whole), 3))
    _, _, parts = allocation.parse_layers(allocation.encode(tight))
    assert parts.lengths.sum() == tight.candidates.parts.lengths.sum()
    assert packets.emitted_size(whole.layout, tight.candidates.parts, tight.upto) > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (4, 4)])
def test_tiny_blocks(shape: tuple[int, int]) -> None:
    whole = candidates(*shape, 1, 64, True)
    tight = allocation.tightened(allocation.take(whole, len(whole)))
    np.testing.assert_array_equal(
        openjpeg.decode(allocation.encode(tight)).pixels, streams.texture(*shape, 1)
    )
