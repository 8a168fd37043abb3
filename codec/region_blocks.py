"""Finds the tiles and code-blocks that the pixels of a region depend on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.parameters import Size
from foveate.codec.regions import Region

# A sample depends on low-pass coefficients up to 3 and high-pass ones up to 4 samples away (F.3, 9/7).
_BEFORE, _BEHIND = 5, 4


def _ceil(value: int, shift: int) -> int:
    return -(-value >> shift)


def tiles_of(size: Size, region: Region) -> NDArray[np.int64]:
    """The numbers of the tiles that hold some of a region, ascending."""
    left, top = size.x0 + region.left - size.tile_x0, size.y0 + region.top - size.tile_y0
    columns = np.arange(left // size.tile_width, (left + region.width - 1) // size.tile_width + 1)
    rows = np.arange(top // size.tile_height, (top + region.height - 1) // size.tile_height + 1)
    return (rows[:, None] * size.tiles_across + columns).reshape(-1)


def blocks_of(stream: Codestream, layout: Layout, region: Region, reduce: int = 0) -> NDArray[np.bool_]:
    """Which code-blocks the pixels of a region depend on: (blocks,).

    Args:
      stream, layout: of the picture.
      region: inside of it.
      reduce: how often it is halved: the blocks of finer resolutions are left out.
    """
    blocks, size = layout.blocks, stream.size
    found = np.isin(blocks.tile, tiles_of(size, region))
    corner = size.x0 + region.left, size.y0 + region.top
    for component, shape in enumerate(size.components):
        own = np.flatnonzero(found & (blocks.component == component))
        for axis, step in enumerate((shape.dx, shape.dy)):
            start = -(-corner[axis] // step)
            # A pixel between two samples of a coarser component takes the one before it.
            start = min(start, corner[axis] // step)
            end = -(-(corner[axis] + (region.width, region.height)[axis]) // step)
            spans = _spans(start, end, reduce, int(blocks.level[own].max(initial=0)))
            low, high = spans[blocks.level[own]].T
            box = blocks.box[own]
            found[own] &= (box[:, axis] < high) & (box[:, axis + 2] > low)
    if reduce:
        levels = np.array([[c.levels for c in stream.of_tile(tile).coding] for tile in range(layout.tiles)])
        found &= blocks.resolution <= levels[blocks.tile, blocks.component] - reduce
    return found


def _spans(start: int, end: int, reduce: int, levels: int) -> NDArray[np.int64]:
    """From where to where samples `start` to `end` reach into the bands of each level: (levels + 1, 2)."""
    spans = np.zeros((max(levels, reduce) + 1, 2), np.int64)
    low, high = _ceil(start, reduce), _ceil(end, reduce)
    spans[: reduce + 1] = low, max(high, low + 1)
    for level in range(reduce + 1, levels + 1):
        low, high = (low - _BEFORE) >> 1, ((high + _BEHIND) >> 1) + 1
        spans[level] = low, high
    return spans
