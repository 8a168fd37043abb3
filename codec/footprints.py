"""Computes where each code-block's energy lies in the picture, and the means of a map over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.codec import wavelet
from foveate.codec.codestream import IRREVERSIBLE, Codestream
from foveate.codec.layout import Layout
from foveate.compiled import compiled


def footprints(stream: Codestream, layout: Layout) -> NDArray[np.float64]:
    """Where in the picture the energy of each code-block's basis functions is: (blocks, 4), x0 y0 x1 y1.

    Boxes in pixels with the center and the spread that the energy has, each axis for itself: wider than the
    block's own square by the overlap of the wavelet's basis functions, and for low-pass bands half a
    coefficient nearer to the origin.
    """
    blocks, size = layout.blocks, stream.size
    grid = np.array([(c.dx, c.dy) for c in size.components], np.float64)[blocks.component]
    irreversible = np.array([c.transformation == IRREVERSIBLE for c in stream.coding])[blocks.component]
    corner = (size.x0, size.y0)
    levels = range(int(blocks.level.max(initial=0)) + 1)
    spreads = np.array(
        [[[_spread(i, level, h) for h in (False, True)] for level in levels] for i in (False, True)]
    )
    boxes = np.empty((len(blocks.tile), 4))
    for axis in (0, 1):
        start, end = blocks.box[:, axis].astype(np.float64), blocks.box[:, axis + 2].astype(np.float64)
        high = blocks.band >> axis & 1
        spread = spreads[irreversible.astype(np.int64), blocks.level, high]
        scale = 2.0**blocks.level
        center = ((start + end - 1 + high) / 2 * scale + 0.5) * grid[:, axis] - corner[axis]
        width = np.sqrt(((end - start) * scale) ** 2 + 12 * spread**2) * grid[:, axis]
        boxes[:, axis], boxes[:, axis + 2] = center - width / 2, center + width / 2
    return boxes


def _spread(irreversible: bool, level: int, high: bool) -> float:
    return wavelet.basis_spread(irreversible, level, high) if level else 0.0


@compiled
def summed(weight):  # type: ignore[no-untyped-def]
    """The summed-area table of a map (h, w) float64, larger by a row and a column."""
    height, width = weight.shape
    table = np.zeros((height + 1, width + 1))
    for y in range(height):
        total = 0.0
        for x in range(width):
            total += weight[y, x]
            table[y + 1, x + 1] = table[y, x + 1] + total
    return table


def box_means(
    table: NDArray[np.float64],
    boxes: NDArray[np.float64] | tuple[NDArray[np.float64], ...],
    height: float,
    width: float,
) -> NDArray[np.float64]:
    """Means of a map, by its summed-area table, over boxes (x0, y0, x1, y1) of what it is stretched over."""
    x0, y0, x1, y1 = boxes
    x0, x1 = _stretched(x0, x1, width, table.shape[1] - 1)
    y0, y1 = _stretched(y0, y1, height, table.shape[0] - 1)
    total = _sample(table, y1, x1) - _sample(table, y0, x1) - _sample(table, y1, x0) + _sample(table, y0, x0)
    return total / ((x1 - x0) * (y1 - y0))


def _stretched(
    start: NDArray[np.float64], end: NDArray[np.float64], extent: float, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A footprint's ends in map cells, inside the map and at least a thousandth of a cell apart."""
    scale = cells / extent
    start = np.clip(start * scale, 0, cells - 1e-3)
    return start, np.clip(end * scale, start + 1e-3, cells)


def _sample(
    table: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The summed-area table between its grid points: exact for a map that is constant in each cell."""
    i = np.minimum(y.astype(np.int64), table.shape[0] - 2)
    j = np.minimum(x.astype(np.int64), table.shape[1] - 2)
    v, u = y - i, x - j
    top = table[i, j] * (1 - u) + table[i, j + 1] * u
    bottom = table[i + 1, j] * (1 - u) + table[i + 1, j + 1] * u
    value: NDArray[np.float64] = top * (1 - v) + bottom * v
    return value
