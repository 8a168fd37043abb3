"""Means of a map of the photo over what each code-block holds: places count by the energy that lies there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.codec.layout import Layout
from foveate.codec.tier1 import Blocks, Coefficients
from foveate.compiled import compiled

# Squared error beyond that of an error of so many of 255 levels counts no more: of large coefficients the
# first bits are coded in any case, and what may be lost of them is no more than of others.
_MOST_LEVELS = 20.0
_LEAST = 1e-3  # squared levels, so that empty blocks have a mean too


class Contents(NamedTuple):
    """All coefficients of a photo in one tile.

    coefficients, blocks: as `tier1.code_blocks` takes them.
    peak: the largest value of a sample.
    """

    coefficients: Coefficients
    blocks: Blocks
    peak: int


class _Grid(NamedTuple):
    """A map in cells about as large as coefficients of one level, and where these lie: see `_places`."""

    cells: NDArray[np.float64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


class _Chosen(NamedTuple):
    """The blocks of one level."""

    numbers: NDArray[np.int64]
    boxes: NDArray[np.int64]
    bands: NDArray[np.int32]


def energy_means(
    contents: Contents, layout: Layout, values: NDArray[np.float64], height: float, width: float
) -> NDArray[np.float64]:
    """The mean of a map over each block's coefficients, each at its place, weighted by their squared error.

    Args:
      contents: of the photo.
      layout: its layout.
      values: (h, w) float64, positive; its cells cover `height` x `width` pixels of the photo.

    Returns:
      (blocks,) float64, between the least and the largest value.
    """
    blocks = layout.blocks
    means = np.empty(len(blocks.tile))
    unit = (contents.peak / 255) ** 2
    bounds = _MOST_LEVELS**2 * unit, _LEAST * unit
    for level in np.unique(blocks.level):
        chosen = np.flatnonzero(blocks.level == level)
        cells, down, across = _pooled(values, (1 << int(level)) / np.array([height, width]))
        columns, rows = blocks.box[chosen, 2:].max(0, initial=1).tolist()
        grid = _Grid(
            cells,
            _places(rows, int(level), cells.shape[0], height * down),
            _places(columns, int(level), cells.shape[1], width * across),
        )
        of_level = _Chosen(chosen, blocks.box[chosen], blocks.band[chosen])
        _add_means(contents.coefficients.values, contents.blocks, of_level, grid, bounds, means)
    return means


def _pooled(
    values: NDArray[np.float64], share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, float]:
    """The map in cells about as large as a coefficient's; and what they cover, in units of the map's extent.

    `share` is a coefficient's share of the height and of the width.
    """
    rows, columns = values.shape
    down, across = (max(1, int(part * side)) for part, side in zip(share, values.shape, strict=True))
    values = np.pad(values, [(0, -rows % down), (0, -columns % across)], mode="edge")
    cells = values.reshape(values.shape[0] // down, down, -1, across).mean((1, 3))
    return cells, values.shape[0] / rows, values.shape[1] / columns


def _places(count: int, level: int, cells: int, extent: float) -> NDArray[np.int64]:
    """The cell that each coefficient lies in, along one axis: (2, count), low-pass and high-pass."""
    index = np.arange(count)
    centers = np.stack([index, index + 0.5]) * (1 << level) + 0.5
    return np.clip((centers * (cells / extent)).astype(np.int64), 0, cells - 1)


@compiled
def _add_means(values, blocks, chosen, grid, bounds, means):  # type: ignore[no-untyped-def]
    """Fills in the means of the chosen blocks."""
    most, least = bounds
    for k in range(len(chosen.numbers)):
        b, band = chosen.numbers[k], chosen.bands[k]
        x0, y0, x1, y1 = chosen.boxes[k]
        rows, columns = grid.rows[(band >> 1) & 1], grid.columns[band & 1]
        error, at = blocks.error[b], blocks.start[b]
        total = energy = 0.0
        for y in range(y0, y1):
            line = grid.cells[rows[y]]
            for x in range(x0, x1):
                magnitude = np.float64(values[at] & np.uint32(0x7FFFFFFF))
                squared = min(magnitude * magnitude * error, most) + least
                total += squared * line[columns[x]]
                energy += squared
                at += 1
        means[b] = total / energy if energy > 0 else grid.cells[0, 0]
