"""Chooses the crops of a photo that a page shows, and the worst place in each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.quality.local_error import CELL

Cells = NDArray[np.float32]  # (ceil(H / CELL), ceil(W / CELL)): a value per cell of a photo

CROP_SIDE = 1024  # pixels
WHOLE_PIXELS = 2_200_000  # photos of up to 2 megapixels, 1920 × 1080 with some to spare, are shown whole
BLOCK_SIDE = 64  # pixels of what is called a block: as large as a code-block of the finest resolution
_SAME_PLACE = 0.5  # of a crop's area: what overlaps more shows the same


@dataclasses.dataclass(frozen=True)
class Place:
    """A rectangle of a photo in pixels, whose left and top are multiples of `CELL`."""

    title: str
    left: int
    top: int
    width: int
    height: int

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Its rows and columns of the photo."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def cells(self) -> tuple[slice, slice]:
        """Its rows and columns of a map of cells."""
        bottom, right = -(-(self.top + self.height) // CELL), -(-(self.left + self.width) // CELL)
        return slice(self.top // CELL, bottom), slice(self.left // CELL, right)


@dataclasses.dataclass(frozen=True)
class Block:
    """The worst block of a version in a place: left and top in the place's pixels, its mean local error."""

    left: int
    top: int
    side: int
    error: float


def places_of(
    height: int, width: int, saliency: Cells | None, errors: Sequence[Cells], *, full: bool
) -> tuple[Place, ...]:
    """The places of a photo to show: all of it, or two crops; one if both would show the same.

    Args:
      height, width: of the photo.
      saliency: what matters; without it, the middle of the photo replaces the most salient crop.
      errors: local errors of versions, which all get the same weight.
      full: whether to show photos of any size as a whole.
    """
    if full or height * width <= WHOLE_PIXELS:
        return (Place("Whole photo", 0, 0, width, height),)
    worst = _crop("Worst place", height, width, _shares(errors))
    if saliency is not None and saliency.any():
        first = _crop("Most salient place", height, width, saliency)
        both = "Most salient and worst place"
    else:
        first = _around("Middle", height, width, (height / CELL - 1) / 2, (width / CELL - 1) / 2)
        both = "Middle and worst place"
    if _overlap(first, worst) > _SAME_PLACE * worst.width * worst.height:
        return (dataclasses.replace(worst, title=both),)
    return first, worst


def worst_block(error: Cells, place: Place) -> Block:
    """The block of a place in which a version's local error is largest."""
    part = error[place.cells]
    side = max(1, BLOCK_SIDE // CELL)
    row, column = densest(part, side)
    mean = float(part[row : row + side, column : column + side].mean())
    return Block(column * CELL, row * CELL, BLOCK_SIDE, mean)


def densest(cells: NDArray[np.floating] | NDArray[np.integer], side: int) -> tuple[int, int]:
    """Row and column of the first square of `side` cells, cut to the map's sides, with the largest sum."""
    height, width = cells.shape
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = cells.cumsum(0, dtype=np.float64).cumsum(1)
    high, wide = min(side, height), min(side, width)
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(row), int(column)


def _shares(errors: Sequence[Cells]) -> Cells:
    total: Cells = np.sum([error / max(float(error.mean()), 1e-9) for error in errors], 0, dtype=np.float32)
    return total


def _crop(title: str, height: int, width: int, cells: Cells) -> Place:
    """The square with the largest sum, moved so that its content is centered."""
    side = CROP_SIDE // CELL
    row, column = densest(cells, side)
    inside = cells[row : row + side, column : column + side].astype(np.float64)
    total = float(inside.sum()) or 1.0
    down = row + float(inside.sum(1) @ np.arange(inside.shape[0])) / total
    across = column + float(inside.sum(0) @ np.arange(inside.shape[1])) / total
    return _around(title, height, width, down, across)


def _around(title: str, height: int, width: int, row: float, column: float) -> Place:
    """A crop centered on a cell, as far as the photo's borders allow."""
    high, wide = min(height, CROP_SIDE), min(width, CROP_SIDE)
    top, left = (
        min(max(0, round(at - side / 2 / CELL)), (whole - side) // CELL) * CELL
        for at, side, whole in ((row + 0.5, high, height), (column + 0.5, wide, width))
    )
    return Place(title, left, top, wide, high)


def _overlap(a: Place, b: Place) -> int:
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(0, across) * max(0, down)
