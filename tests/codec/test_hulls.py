"""Tests where codewords may be truncated: the convex hull of bytes and gains."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveate.codec import hulls, tier1


def passes_of(lengths: list[int], gains: list[float]) -> tier1.Passes:
    """The coded passes of a single block."""
    passes = tier1.no_passes(1, 20)
    passes.number[0] = len(lengths)
    passes.lengths[0, : len(lengths)], passes.gains[0, : len(gains)] = lengths, gains
    return passes


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-10, 1000, width=32)), max_size=40))
@settings(deadline=None)
@example([(0, 1.0), (1, 3.0)])  # a first pass without a byte
def test_points_are_the_upper_hull_and_get_flatter(steps: list[tuple[int, float]]) -> None:
    lengths = np.cumsum([more for more, _ in steps]).tolist()
    passes = passes_of(lengths, [gain for _, gain in steps])
    found = hulls.hulls_of(passes)
    count = found.number[0]
    sizes, gains = found.sizes[0, :count], found.gains[0, :count]
    assert (np.diff(gains, prepend=0) > 0).all()
    assert (np.diff(found.slopes[0, :count]) <= 1e-4).all()
    # No pass lies above the hull; one without a byte is reckoned at half a byte.
    total = np.cumsum([np.float32(gain) for _, gain in steps], dtype=np.float64)
    reachable = (
        np.interp(np.maximum(lengths, 0.5), [0, *sizes], [0, *gains]) if count else np.zeros(len(lengths))
    )
    assert (total <= reachable + 1e-3 * (1 + np.abs(total))).all()


def test_a_lossless_codeword_keeps_its_last_pass_even_if_it_removes_nothing() -> None:
    passes = passes_of([10, 20, 22], [100.0, 50.0, 0.0])
    assert hulls.hulls_of(passes).passes[0].tolist() == [1, 2]
    assert hulls.hulls_of(passes, with_last=True).passes[0].tolist() == [1, 2, 3]


def test_steps_are_taken_in_order_while_they_fit() -> None:
    sizes = np.array([[10, 30, 0], [5, 6, 100]], np.int32)
    order_block, order_point = np.array([1, 1, 0, 0, 1]), np.array([0, 1, 0, 1, 2])
    none = np.zeros(2, np.int32)
    assert hulls.fill(order_block, order_point, sizes, none, 1000).tolist() == [2, 3]
    assert hulls.fill(order_block, order_point, sizes, none, 12).tolist() == [0, 2]
    # What does not fit leaves its block where it is; others go on.
    assert hulls.fill(order_block, order_point, sizes, np.array([1, 0], np.int32), 15).tolist() == [1, 2]
