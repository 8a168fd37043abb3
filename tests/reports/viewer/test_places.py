"""Which parts of a photo are shown, and where their worst blocks are."""

from __future__ import annotations

import hypothesis
import numpy as np
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from foveate.reports.viewer.places import Place, densest, places_of, worst_block

ROWS, COLUMNS = 250, 375  # of a photo of 3000 × 2000 pixels


def spot(row: int, column: int, value: float = 1.0) -> NDArray[np.float32]:
    cells = np.full((ROWS, COLUMNS), 1e-3, np.float32)
    cells[row, column] = value
    return cells


@hypothesis.given(
    arrays.arrays(
        np.int64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=strategies.integers(0, 9)
    ),
    strategies.integers(1, 12),
)
def test_the_densest_square_is_the_first_with_the_largest_sum(cells: NDArray[np.int64], side: int) -> None:
    height, width = cells.shape
    tried = {
        (row, column): cells[row : row + side, column : column + side].sum()
        for row in range(max(1, height - side + 1))
        for column in range(max(1, width - side + 1))
    }
    most = max(tried.values())
    assert densest(cells, side) == next(place for place, value in tried.items() if value == most)


def test_photos_of_two_megapixels_are_shown_whole_and_larger_ones_on_demand() -> None:
    nothing = [np.zeros((135, 240), np.float32)]
    assert places_of(1080, 1920, None, nothing, full=False) == (Place("Whole photo", 0, 0, 1920, 1080),)
    assert places_of(2000, 3000, None, [spot(0, 0)], full=True)[0].width == 3000
    assert len(places_of(2000, 3000, None, [spot(0, 0)], full=False)) == 2


def test_crops_show_what_matters_most_and_what_is_worst() -> None:
    salient, worst = places_of(2000, 3000, spot(10, 12), [spot(240, 370), spot(245, 372, 1e6)], full=False)
    assert salient.title == "Most salient place" and worst.title == "Worst place"
    for place, (row, column) in ((salient, (10, 12)), (worst, (240, 370))):
        rows, columns = place.cells
        assert rows.start <= row < rows.stop and columns.start <= column < columns.stop
        assert (place.width, place.height) == (1024, 1024)
        assert place.left + place.width <= 3000 and place.top + place.height <= 2000


def test_every_version_counts_the_same_for_the_worst_place_however_large_its_errors() -> None:
    coarse, fine = spot(10, 10, 5.0), spot(240, 370, 1e-2) * 1e-3
    coarse[10:30, 10:30] = 1e-3
    worst = places_of(2000, 3000, None, [coarse, fine, fine], full=False)[1]
    assert worst.cells[0].stop > 240 and worst.cells[1].stop > 370


def test_one_crop_is_shown_where_both_would_show_the_same() -> None:
    places = places_of(2000, 3000, spot(100, 200, 1e6), [spot(103, 203, 1e6)], full=False)
    assert [place.title for place in places] == ["Most salient and worst place"]
    assert places_of(2000, 3000, None, [spot(125, 187, 1e6)], full=False)[0].title == "Middle and worst place"


def test_a_narrow_photo_gets_crops_as_narrow() -> None:
    errors = np.zeros((1500, 38), np.float32)
    errors[1400, 3] = 1
    middle, worst = places_of(12000, 300, None, [errors], full=False)
    assert middle.title == "Middle" and (middle.width, middle.height) == (300, 1024)
    assert worst.pixels[0].start <= 11200 < worst.pixels[0].stop <= 12000
    assert worst.cells[1] == slice(0, 38)


def test_the_worst_block_is_found_in_the_place_that_is_shown() -> None:
    error = spot(240, 370)
    error[20:28, 40:48] = 0.5
    block = worst_block(error, Place("", 80, 80, 1024, 1024))
    assert (block.left, block.top, block.side) == (240, 80, 64)
    assert block.error == 0.5
    tiny = worst_block(error[:2, :3], Place("", 0, 0, 20, 12))
    assert (tiny.left, tiny.top) == (0, 0)
