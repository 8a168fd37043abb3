"""Regions of pictures, and the area to decode for showing one."""

from __future__ import annotations

import math
from typing import NamedTuple

from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.parameters import Size

_CELL = 8  # pixels of a coding-noise map


class Region(NamedTuple):
    """A part of a picture at full size, in pixels from its upper left corner."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column outside the region."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row outside the region."""
        return self.top + self.height

    def clipped(self, width: int, height: int) -> Region:
        """The part of the region inside a picture.

        Raises:
          ValueError: no part of it is.
        """
        left, top = max(0, self.left), max(0, self.top)
        right, bottom = min(self.right, width), min(self.bottom, height)
        if left >= right or top >= bottom:
            place = f"{self.left},{self.top},{self.width},{self.height}"
            raise ValueError(f"the region {place} lies outside of the picture of {width} x {height} pixels")
        return Region(left, top, right - left, bottom - top)


def as_stored(region: Region, orientation: int, width: int, height: int) -> Region:
    """Where a region of the upright picture is in the picture as stored.

    Args:
      region: in pixels of the picture after it was turned; anything outside it is ignored.
      orientation: how it has to be turned, 1 to 8 as in EXIF.
      width, height: of the stored picture.

    Raises:
      ValueError: all of the region lies outside.
    """
    if orientation > 4:
        width, height = height, width
    left, top, across, down = region.clipped(width, height)
    if orientation in (3, 4, 7, 8):
        top = height - top - down
    if orientation in (2, 3, 6, 7):
        left = width - left - across
    return Region(top, left, down, across) if orientation > 4 else Region(left, top, across, down)


class Window(NamedTuple):
    """The area to decode for a region, and where the region is in its pixels."""

    area: Region
    rows: slice
    columns: slice


def window(size: Size, region: Region, *, halo: int = 0, reduce: int = 0) -> Window:
    """The area to decode for a region, extended to whole samples.

    Args:
      size: of the picture.
      region: of it; anything outside the picture is ignored.
      halo: pixels around it that are decoded too, outwards to whole cells of the coding-noise map.
      reduce: how many times it is halved.

    Raises:
      ValueError: all of the region lies outside.
      UnsupportedCodestream: no component has as many samples as the picture has pixels.
    """
    if min(c.dx for c in size.components) > 1 or min(c.dy for c in size.components) > 1:
        raise UnsupportedCodestream("regions of a picture without any component of full size are not read")
    region = region.clipped(size.width, size.height)
    cell = _CELL if halo else 1
    left, right, columns = _along(size.x0, size.x1, region.left, region.right, reduce)
    top, bottom, rows = _along(size.y0, size.y1, region.top, region.bottom, reduce)
    unit_x = math.lcm(cell, *(component.dx for component in size.components)) << reduce
    unit_y = math.lcm(cell, *(component.dy for component in size.components)) << reduce
    first_x, last_x = _outwards(left - halo, right + halo, unit_x, size.x0, size.x1)
    first_y, last_y = _outwards(top - halo, bottom + halo, unit_y, size.y0, size.y1)
    area = Region(first_x - size.x0, first_y - size.y0, last_x - first_x, last_y - first_y)
    return Window(area, _moved(rows, _ceil(first_y, reduce)), _moved(columns, _ceil(first_x, reduce)))


def _along(first: int, last: int, start: int, end: int, reduce: int) -> tuple[int, int, slice]:
    """A region along one axis on the reference grid, and the samples that show it, at least one."""
    low, high = (first + start) >> reduce, _ceil(first + end, reduce)
    low, high = max(low, _ceil(first, reduce)), min(high, _ceil(last, reduce))
    low = min(low, _ceil(last, reduce) - 1)
    high = max(high, low + 1)
    return max(first, low << reduce), min(last, high << reduce), slice(low, high)


def _outwards(start: int, end: int, unit: int, first: int, last: int) -> tuple[int, int]:
    return max(first, start // unit * unit), min(last, -(-end // unit) * unit)


def _moved(samples: slice, by: int) -> slice:
    return slice(samples.start - by, samples.stop - by)


def _ceil(value: int, shift: int) -> int:
    return -(-value >> shift)
