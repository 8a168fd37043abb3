"""Tests reading only the needed parts of files: the same bytes, and no more than necessary."""

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
    assert (ranged.fetched, ranged.requests) == (512, 1)


def test_near_spans_are_read_together_and_far_ones_apart() -> None:
    ranged = RangedBytes.of(DATA)
    ranged.read_spans([Span(0, 10), Span(500, 510), Span(40_000, 40_100)])
    assert (ranged.fetched, ranged.requests) == (610, 2)


def test_ranges_fetched_together_are_waited_for_once() -> None:
    ranged = RangedBytes(len(DATA), lambda start, end: DATA[start:end], at_once=4)
    ranged.prefetch([Span(30_000, 30_001), Span(10, 20), Span(30_200, 32_000)])
    assert (ranged.fetched, ranged.requests, ranged.rounds) == (4096 + 5 * 512, 2, 1)
    spans = [Span(4000, 5000), Span(20_000, 20_010), Span(30_300, 31_000), Span(31_990, 32_300)]
    assert ranged.read_spans(spans) == [DATA[start:end] for start, end in spans]
    assert (ranged.requests, ranged.rounds) == (5, 2)
    assert ranged.fetched == 4096 + 5 * 512 + (5000 - 4096) + 10 + (32_300 - 32_256)


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)), max_size=6),
    st.lists(st.integers(0, 50_000), min_size=2, max_size=12),
)
def test_spans_are_assembled_from_cached_and_missing_parts(
    before: list[tuple[int, int]], places: list[int]
) -> None:
    ranged = RangedBytes.of(DATA)
    ranged.prefetch(Span(min(pair), max(pair)) for pair in before)
    places.sort()
    spans = [Span(start, end) for start, end in itertools.pairwise(places)]
    promised, fetched = sum(end - start for start, end in ranged.reads_for(spans)), ranged.fetched
    assert ranged.read_spans(spans) == [DATA[start:end] for start, end in spans]
    assert ranged.fetched == fetched + promised


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
