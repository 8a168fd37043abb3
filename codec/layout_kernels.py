"""Compiled loops of `codec.layout`, which divide tiles down to code-blocks (Annex B)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled

MAX_BLOCKS = 1 << 21  # RGB of 2.8 gigapixels in blocks of 64 x 64
MAX_PRECINCTS = 1 << 20
OK, TOO_MANY_PACKETS, TOO_MANY_PRECINCTS, TOO_MANY_BLOCKS, NO_STEP = range(5)


class Headers(NamedTuple):
    """The input of `walk`, from the marker segments: tiles choose a set of parameters, sets choose rows.

    tiles_across: tiles in a row.
    tile_grid: x0, y0, width and height of the first tile.
    image: x0, y0, x1, y1 on the reference grid.
    sampling: (components, 2) dx and dy.
    set_of_tile: (tiles,) the set of parameters of each.
    layers: (sets,).
    coding_of, codings: (sets, components) the row of each, and the rows, by `layout._coding_row`.
    planes_of, planes: likewise, by `layout._planes_row`.
    shifts: (sets, components) bit-planes that a region of interest is raised by.
    """

    tiles_across: int
    tile_grid: NDArray[np.int64]
    image: NDArray[np.int64]
    sampling: NDArray[np.int64]
    set_of_tile: NDArray[np.int64]
    layers: NDArray[np.int64]
    coding_of: NDArray[np.int32]
    codings: NDArray[np.int16]
    planes_of: NDArray[np.int32]
    planes: NDArray[np.int16]
    shifts: NDArray[np.int64]


class Entries(NamedTuple):
    """The output of `walk`: the columns of `Precincts`, `PrecinctBands` and `Blocks`, and what goes along.

    boxes: of blocks.
    parents: of tag-tree nodes.
    """

    precincts: NDArray[np.int64]
    bands: NDArray[np.int64]
    blocks: NDArray[np.int32]
    boxes: NDArray[np.int64]
    parents: NDArray[np.int64]


def entries(precincts: int, bands: int, blocks: int, nodes: int) -> Entries:
    """Room for so many of each."""
    return Entries(
        precincts=np.empty((8, precincts), np.int64),
        bands=np.empty((4, bands), np.int64),
        blocks=np.empty((9, blocks), np.int32),
        boxes=np.empty((blocks, 4), np.int64),
        parents=np.empty(nodes, np.int64),
    )


class _Place(NamedTuple):
    """One resolution of a tile-component; plain numbers, which cost compiled calls nothing.

    down_by: its samples are 2^down_by samples of the component apart.
    precinct, block: log2 of their width and height.
    style: code-block style (Table A.19).
    corner: of the tile, on the reference grid.
    box: of the tile, in samples of the component.
    sampling: dx and dy.
    shift: bit-planes that a region of interest is raised by.
    """

    tile: int
    component: int
    resolution: int
    down_by: np.int64
    precinct: tuple[np.int64, np.int64]
    block: tuple[np.int64, np.int64]
    style: np.int64
    corner: tuple[np.int64, np.int64]
    box: tuple[np.int64, np.int64, np.int64, np.int64]
    sampling: tuple[np.int64, np.int64]
    shift: np.int64


@compiled
def tag_tree_nodes(across, down):  # type: ignore[no-untyped-def]
    """How many nodes the tag tree over a grid has (B.10.2)."""
    nodes = 1
    while across * down > 1:
        nodes += across * down
        across, down = (across + 1) // 2, (down + 1) // 2
    return nodes


@compiled
def plant_tag_tree(across, down, first, parents):  # type: ignore[no-untyped-def]
    """Fills the parents of one tree's nodes, which begin at `first`: leaves come first; the root's is -1."""
    while across * down > 1:
        above, half = first + across * down, (across + 1) // 2
        for y in range(down):
            for x in range(across):
                parents[first + y * across + x] = above + (y // 2) * half + x // 2
        first, across, down = above, half, (down + 1) // 2
    parents[first] = -1


@compiled
def _ceil_shift(value, bits):  # type: ignore[no-untyped-def]
    return (value + (np.int64(1) << bits) - 1) >> bits


@compiled
def walk(headers, packet_bytes, found, fill):  # type: ignore[no-untyped-def]
    """Walks all resolutions of all tile-components; counts what is there or, if `fill`, enters it.

    Returns a status and the numbers of precincts, precinct bands, blocks and tag-tree nodes.
    """
    counts = np.zeros(4, np.int64)
    packets = 0
    tile_box = np.empty(4, np.int64)
    sampling, layers, tile_grid, image = headers.sampling, headers.layers, headers.tile_grid, headers.image
    for tile in range(len(headers.set_of_tile)):
        own = headers.set_of_tile[tile]
        for axis in range(2):
            place = tile // headers.tiles_across if axis else tile % headers.tiles_across
            start = tile_grid[axis] + place * tile_grid[2 + axis]
            tile_box[axis] = max(start, image[axis])
            tile_box[2 + axis] = min(start + tile_grid[2 + axis], image[2 + axis])
        corner = tile_box[0], tile_box[1]
        for component in range(len(sampling)):
            dx, dy = sampling[component, 0], sampling[component, 1]
            box = -(-tile_box[0] // dx), -(-tile_box[1] // dy), -(-tile_box[2] // dx), -(-tile_box[3] // dy)
            coding = headers.codings[headers.coding_of[own, component]]
            planes = headers.planes[headers.planes_of[own, component]]
            shift = np.int64(headers.shifts[own, component])
            block, style = (np.int64(coding[1]), np.int64(coding[2])), np.int64(coding[3])
            for resolution in range(coding[0] + 1):
                before = counts[0]
                down_by = np.int64(coding[0] - resolution)
                precinct = np.int64(coding[4 + 2 * resolution]), np.int64(coding[5 + 2 * resolution])
                here = _Place(
                    tile, component, resolution, down_by, precinct, block, style, corner, box, (dx, dy), shift
                )
                status = _walk_resolution(here, packet_bytes // layers[own], planes, counts, found, fill)
                packets += (counts[0] - before) * layers[own]
                if status == OK and packets > packet_bytes:
                    status = TOO_MANY_PACKETS
                if status != OK:
                    return status, counts[0], counts[1], counts[2], counts[3]
    return OK, counts[0], counts[1], counts[2], counts[3]


@compiled
def _walk_resolution(here, most_precincts, planes, counts, found, fill):  # type: ignore[no-untyped-def]
    """Cuts one resolution of a tile-component into precincts (B.6); empty ones have no packets at all."""
    resolution, box, down_by = here.resolution, here.box, here.down_by
    x0, y0, x1, y1 = [_ceil_shift(box[side], down_by) for side in range(4)]
    if x1 <= x0 or y1 <= y0:
        return OK
    width_log2, height_log2 = here.precinct
    left, top = x0 >> width_log2, y0 >> height_log2
    across, down = _ceil_shift(x1, width_log2) - left, _ceil_shift(y1, height_log2) - top
    if across > most_precincts or down > most_precincts or across * down > most_precincts:
        return TOO_MANY_PACKETS
    if counts[0] + across * down > MAX_PRECINCTS:
        return TOO_MANY_PRECINCTS
    for number in range(across * down):
        px, py = left + number % across, top + number // across
        first_band = counts[1]
        for band in range(1 if resolution else 0, 4 if resolution else 1):
            status = _walk_precinct_band(here, band, (px, py), planes, counts, found, fill)
            if status != OK:
                return status
        if fill:
            entry = found.precincts[:, counts[0]]
            entry[0], entry[1], entry[2], entry[3] = here.tile, here.component, resolution, number
            entry[4] = max(here.corner[0], (px << (width_log2 + down_by)) * here.sampling[0])
            entry[5] = max(here.corner[1], (py << (height_log2 + down_by)) * here.sampling[1])
            entry[6], entry[7] = first_band, counts[1] - first_band
        counts[0] += 1
    return OK


@compiled
def _walk_precinct_band(here, band, precinct, planes, counts, found, fill):  # type: ignore[no-untyped-def]
    """The code-blocks of one band in one precinct (B.5, B.7)."""
    resolution, box, (px, py) = here.resolution, here.box, precinct
    halved = 1 if resolution else 0
    level = here.down_by + halved
    shift_x = np.int64(band & 1) << level >> 1
    shift_y = np.int64(band >> 1) << level >> 1
    bx0, bx1 = _ceil_shift(box[0] - shift_x, level), _ceil_shift(box[2] - shift_x, level)
    by0, by1 = _ceil_shift(box[1] - shift_y, level), _ceil_shift(box[3] - shift_y, level)
    if bx1 <= bx0 or by1 <= by0:
        return OK  # an empty band is skipped in the packet
    width_log2, height_log2 = here.precinct[0] - halved, here.precinct[1] - halved
    x0, x1 = max(bx0, px << width_log2), min(bx1, (px + 1) << width_log2)
    y0, y1 = max(by0, py << height_log2), min(by1, (py + 1) << height_log2)
    cw, ch = min(here.block[0], width_log2), min(here.block[1], height_log2)
    across, down = 0, 0
    if x1 > x0 and y1 > y0:
        across, down = _ceil_shift(x1, cw) - (x0 >> cw), _ceil_shift(y1, ch) - (y0 >> ch)
    if fill:
        entry = found.bands[:, counts[1]]
        entry[0], entry[1], entry[2], entry[3] = counts[2], across, down, counts[3]
    counts[1] += 1
    if not across:
        return OK
    if counts[2] + across * down > MAX_BLOCKS:
        return TOO_MANY_BLOCKS
    if planes[4 * resolution + band] < 0:
        return NO_STEP
    if fill:
        plant_tag_tree(across, down, counts[3], found.parents)
        blocks, boxes, tile, component, shift = (
            found.blocks,
            found.boxes,
            here.tile,
            here.component,
            here.shift,
        )
        for i in range(across * down):
            block = counts[2] + i
            entry = blocks[:, block]
            entry[0], entry[1], entry[2], entry[3], entry[4] = tile, component, resolution, level, band
            entry[5], entry[6] = planes[4 * resolution + band] + shift, counts[1] - 1
            entry[7], entry[8] = shift, here.style
            cx, cy = (x0 >> cw) + i % across, (y0 >> ch) + i // across
            boxes[block, 0], boxes[block, 1] = max(cx << cw, x0), max(cy << ch, y0)
            boxes[block, 2], boxes[block, 3] = min((cx + 1) << cw, x1), min((cy + 1) << ch, y1)
    counts[2] += across * down
    counts[3] += tag_tree_nodes(across, down)
    return OK
