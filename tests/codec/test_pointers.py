"""Tests that TLM and PLT entries are read back."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.codec import pointers
from foveate.codec.errors import BadCodestream
from foveate.codec.pointers import TilePartLength


def payloads(segments: bytes, marker: int) -> list[bytes]:
    found = []
    while segments:
        kind, length = struct.unpack_from(">HH", segments)
        assert kind == marker
        found.append(segments[4 : 2 + length])
        segments = segments[2 + length :]
    return found


@given(st.lists(st.tuples(st.integers(0, 65534), st.integers(14, (1 << 32) - 1)), min_size=1, max_size=50))
def test_tile_parts_come_back_from_tlm(parts: list[tuple[int, int]]) -> None:
    expected = tuple(TilePartLength(*part) for part in parts)
    data = pointers.emit_tlm(expected)
    assert len(data) == pointers.tlm_bytes(len(expected))
    assert pointers.parse_tlm(payloads(data, pointers.TLM)) == expected


def test_many_tile_parts_take_several_segments_in_any_order() -> None:
    expected = tuple(TilePartLength(k % 65535, 14 + k) for k in range(30_000))
    data = pointers.emit_tlm(expected)
    assert len(data) == pointers.tlm_bytes(len(expected))
    segments = payloads(data, pointers.TLM)
    assert len(segments) == 3
    assert pointers.parse_tlm(segments[::-1]) == expected


def test_tlm_of_others_may_be_short() -> None:
    assert pointers.parse_tlm([b"\0\x00\x01\x02\x03\x04"]) == ((0, 258), (1, 772))
    assert pointers.parse_tlm([b"\0\x10\x07\x01\x02"]) == ((7, 258),)
    assert pointers.parse_tlm([b"\0\x50\x07\0\0\x01\x02"]) == ((7, 258),)


@given(st.lists(st.one_of(st.integers(1, 300), st.integers(1, (1 << 35) - 1)), max_size=60))
def test_lengths_of_packets_come_back_from_plt(lengths: list[int]) -> None:
    expected = np.array(lengths, np.int64)
    data = pointers.emit_plt(expected)
    assert np.array_equal(pointers.parse_plt(payloads(data, pointers.PLT)), expected)


def test_many_packets_take_several_segments_and_none_is_split() -> None:
    expected = np.random.default_rng(1).integers(1, 1 << 21, 70_000)
    segments = payloads(pointers.emit_plt(expected), pointers.PLT)
    assert len(segments) >= 3
    assert all(segment[-1] < 0x80 for segment in segments)
    assert np.array_equal(pointers.parse_plt(segments[::-1]), expected)


def test_what_does_not_fit_into_256_segments_is_omitted() -> None:
    assert pointers.emit_plt(np.full(1 << 24, 5, np.int64)) == b""
    assert pointers.tlm_bytes(1 << 22) == 0


@pytest.mark.parametrize("bad", [b"\0\x05\x85", b"", b"\0" + b"\xff" * 6 + b"\x01"])
def test_a_malformed_plt_is_refused(bad: bytes) -> None:
    with pytest.raises(BadCodestream, match="PLT"):
        pointers.parse_plt([bad])


@pytest.mark.parametrize("bad", [[b"\0"], [b"\0\x60\0"], [b"\0\x30\0\0\0"], [b"\0\x10\0\0\x0e"] * 2])
def test_a_malformed_tlm_is_refused(bad: list[bytes]) -> None:
    with pytest.raises(BadCodestream, match="TLM"):
        pointers.parse_tlm(bad)
