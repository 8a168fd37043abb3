"""Regions and the blocks that they depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.parameters import Component, Size
from foveate.codec.regions import Region, as_stored, window
from foveate.pictures.picture import turned

SIZE = Size(300, 200, 0, 0, 128, 128, 0, 0, (Component(8, False, 1, 1),) * 3)


@given(
    st.integers(0, 299), st.integers(0, 199), st.integers(1, 400), st.integers(1, 400), st.integers(0, 4),
    st.sampled_from([0, 40, 88]),
)  # fmt: skip
def test_a_window_covers_the_region_inside_the_picture(
    left: int, top: int, width: int, height: int, reduce: int, halo: int
) -> None:
    found = window(SIZE, Region(left, top, width, height), halo=halo, reduce=reduce)
    area = found.area
    assert area.left >= 0 and area.top >= 0 and area.right <= 300 and area.bottom <= 200
    if halo:
        assert area.left % 8 == area.top % 8 == 0
    columns = (-(-area.left >> reduce) + found.columns.start, -(-area.left >> reduce) + found.columns.stop)
    assert columns[0] << reduce <= left
    assert columns[1] << reduce >= min(left + width, 300) or columns[1] == -(-300 >> reduce)
    if not reduce:
        assert columns == (left, min(left + width, 300))
        assert found.rows.stop - found.rows.start == min(height, 200 - top)


def test_a_region_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="outside of the picture of 300 x 200"):
        window(SIZE, Region(300, 0, 5, 5))


def test_a_picture_without_a_component_of_full_size_is_refused() -> None:
    halved = Size(300, 200, 0, 0, 300, 200, 0, 0, (Component(8, False, 2, 1),))
    with pytest.raises(UnsupportedCodestream, match="full size"):
        window(halved, Region(0, 0, 5, 5))


@given(st.integers(1, 8), st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.integers(1, 40))
def test_a_region_of_a_turned_picture_shows_what_is_stored_there(
    turn: int, left: int, top: int, width: int, height: int
) -> None:
    stored = np.arange(31 * 47, dtype=np.uint16).reshape(31, 47, 1)
    seen = turned(stored, turn)
    region = as_stored(Region(left, top, width, height), turn, 47, 31)
    part = stored[region.top : region.bottom, region.left : region.right]
    assert np.array_equal(turned(part, turn), seen[top : top + height, left : left + width])
