"""Files that are read where they are looked at: the same bytes, and no more of them than it takes."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.codec.ranged import RangedBytes
from foveate.codec.walk import Span

DATA = random.Random(1).randbytes(50_000)


@given(st.lists(st.tuples(st.integers(0, 51_000), st.integers(0, 51_000)), max_size=12))
def test_stretches_are_those_of_the_file(spans: list[tuple[int, int]]) -> None:
    ranged = RangedBytes.of(DATA)
    for start, end in spans:
        assert ranged[start:end] == DATA[start:end]


@given(st.lists(st.integers(0, 50_000), min_size=2, max_size=12))
def test_spans_come_in_order(places: list[int]) -> None:
    places.sort()
    spans = [Span(start, end) for start, end in itertools.pairwise(places)]
    assert RangedBytes.of(DATA).read_spans(spans) == [DATA[start:end] for start, end in spans]


def test_what_was_read_is_not_read_again() -> None:
    ranged = RangedBytes.of(DATA)
    assert ranged[20_000:20_010] == ranged[20_002:20_300][:0] + DATA[20_000:20_010]
    assert (ranged.fetched, ranged.requests) == (1024, 1)


def test_near_spans_are_read_together_and_far_ones_apart() -> None:
    ranged = RangedBytes.of(DATA)
    ranged.read_spans([Span(0, 10), Span(500, 510), Span(40_000, 40_100)])
    assert (ranged.fetched, ranged.requests) == (610, 2)


def test_searching_is_that_of_bytes() -> None:
    ranged, wanted = RangedBytes.of(DATA), DATA[30_000:30_004]
    assert ranged.find(wanted) == DATA.find(wanted)
    assert ranged.rfind(wanted, 5) == DATA.rfind(wanted, 5)
    assert ranged.find(b"not there at all") == -1
    assert ranged.startswith(wanted, 30_000)
    assert not ranged.startswith(wanted, 30_000, 30_002)
    assert not ranged.startswith(b"", 60_000)


def test_a_file_that_has_become_shorter_is_an_error() -> None:
    with pytest.raises(EOFError):
        RangedBytes(100, lambda start, end: DATA[start:50])[40:60]
