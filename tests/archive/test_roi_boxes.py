"""Tests boxes: what they mean, which are invalid, and the area that they cover in a map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.archive.roi_boxes import Length, RoiBox, emit_boxes, parse_box, parse_boxes, saliency_of_boxes

starts = st.integers(0, 4000).map(lambda value: Length(value, False)) | st.integers(0, 999).map(
    lambda value: Length(value / 10, True)
)
extents = st.integers(1, 4000).map(lambda value: Length(value, False)) | st.integers(1, 1000).map(
    lambda value: Length(value / 10, True)
)
boxes = st.builds(RoiBox, starts, starts, extents, extents)


@given(st.lists(boxes, min_size=1, max_size=4))
def test_a_box_is_what_its_text_says(drawn: list[RoiBox]) -> None:
    assert parse_box(str(drawn[0])) == drawn[0]
    assert set(parse_boxes(emit_boxes(drawn))) == set(drawn)
    assert emit_boxes(drawn) == emit_boxes([*drawn[::-1], drawn[0]])


def test_pixels_and_percent_may_be_mixed_and_written_in_several_ways() -> None:
    box = parse_box(" 10%, 200 ,50.0%,0300")
    assert str(box) == "10%,200,50%,300"
    assert (box.x.pixels(640), box.y.pixels(480), box.width.pixels(640)) == (64, 200, 320)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "in whole pixels or in percent"),
        ("1,2,3", "in whole pixels or in percent"),
        ("1,2,3,4,5", "in whole pixels or in percent"),
        ("-1,2,3,4", "in whole pixels or in percent"),
        ("1.5,2,3,4", "in whole pixels or in percent"),
        ("1,2,3,1e3", "in whole pixels or in percent"),
        ("1,2,3,99999999999", "in whole pixels or in percent"),
        ("1;2;3;4", "in whole pixels or in percent"),
        ("1,2,0,4", "the box is empty"),
        ("1,2,3,0%", "the box is empty"),
        ("100%,2,3,4", "the box is empty"),
        ("1,2,3,101%", "more than 100% of a photo"),
    ],
)
def test_wrong_boxes_are_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_box(text)


@given(boxes, st.integers(1, 3000), st.integers(1, 3000))
def test_the_map_of_a_box_has_its_area_and_is_cut_off_at_the_photos_edges(
    box: RoiBox, height: int, width: int
) -> None:
    drawn = saliency_of_boxes([box], height, width)
    assert drawn.dtype == np.float32 and 0 <= drawn.min() <= drawn.max() <= 1
    assert max(drawn.shape) <= 1024 and (max(height, width) > 1024 or drawn.shape == (height, width))
    area = 1.0
    for start, extent, side in ((box.y, box.height, height), (box.x, box.width, width)):
        first = start.pixels(side)
        area *= max(0.0, min(first + extent.pixels(side), side) - first) / side
    assert drawn.mean(dtype=np.float64) == pytest.approx(area, abs=1e-5)


def test_in_a_photo_of_ordinary_size_the_edges_are_where_they_were_drawn() -> None:
    drawn = saliency_of_boxes([parse_box("3,1,4,2"), parse_box("6,2,50%,999")], 7, 10)
    expected = np.zeros((7, 10))
    expected[1:3, 3:7] = 1
    expected[2:, 6:] = 1
    np.testing.assert_array_equal(drawn, expected)


def test_a_box_beside_the_photo_leaves_it_black() -> None:
    assert not saliency_of_boxes([parse_box("500,0,10,10"), parse_box("0,90,100%,1")], 90, 120).any()
