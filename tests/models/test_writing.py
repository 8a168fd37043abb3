"""Tests lines of writing in both directions, with a network that only knows horizontal bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from foveate.models import looks, structures, writing


def level_bars(pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """1 at the places of bright bars that are long from left to right, else 0."""
    count, height, width, _ = pictures.shape
    bright = pictures[..., 0].reshape(count, height // 2, 2, width // 2, 2).max((2, 4)) > 150
    return {"writing": ndimage.binary_opening(bright, np.ones((1, 1, 40)))[..., None].astype(np.float32)}


def lit(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The map of a photo."""
    finder = writing.WritingFinder(level_bars, "")
    size = photo.shape[:2]
    return writing.writing_map(finder, looks.fine_view(photo), size, structures.map_shape(*size))


def bar(height: int, width: int, box: tuple[int, int, int, int]) -> Any:
    """A dark photo with a bright box (left, top, right, bottom)."""
    photo = np.full((height, width, 3), 20, np.uint8)
    left, top, right, bottom = box
    photo[top:bottom, left:right] = 255
    return photo


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (400, 300, (210, 60, 218, 340)),
        (301, 403, (60, 40, 70, 290)),
        (403, 301, (20, 350, 290, 360)),
        (1303, 901, (700, 200, 716, 900)),
        (901, 1303, (200, 700, 900, 716)),
        (2000, 3000, (2500, 300, 2530, 1500)),
    ],
)
def test_a_line_is_found_where_it_is_whether_level_or_upright(
    height: int, width: int, box: tuple[int, int, int, int]
) -> None:
    found = lit(bar(height, width, box)) > 0.5
    rows, columns = (np.flatnonzero(found.any(axis)) for axis in (1, 0))
    reach = writing._GROWTH * min(box[2] - box[0], box[3] - box[1]) + 0.02 * max(height, width)
    for places, cells, side, (start, stop) in (
        (rows, found.shape[0], height, box[1::2]),
        (columns, found.shape[1], width, box[::2]),
    ):
        first, last = places[0] * side / cells, (places[-1] + 1) * side / cells
        assert start - reach < first < start + 5 and stop - 5 < last < stop + reach


def test_of_two_bars_as_thick_the_upright_one_is_a_post() -> None:
    assert lit(bar(400, 400, (60, 150, 340, 180))).max() == 1
    assert lit(bar(400, 400, (150, 60, 180, 340))).max() == 0


def test_a_photo_narrower_than_a_place_has_a_map() -> None:
    assert lit(bar(1, 700, (100, 0, 600, 1))).shape == structures.map_shape(1, 700)
