"""Where each code-block lies: tiles, resolutions, bands, precincts, blocks (ISO/IEC 15444-1 Annex B).

Plain geometry, as flat arrays, so that compiled loops can walk it. A *precinct band* is the part of a band
that one precinct holds: it has a grid of code-blocks and the two tag trees of that grid.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.codec.codestream import Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.parameters import CodingStyle, Parameters, ProgressionVolume, Quantization
from foveate.compiled import compiled

_MAX_BLOCKS = 1 << 21  # RGB of 2.8 gigapixels in blocks of 64 x 64
_MAX_PRECINCTS = 1 << 20
_MAX_RESOLUTIONS = 1 << 21  # of all tiles and components together
LL, HL, LH, HH = 0, 1, 2, 3
_OK, _TOO_MANY_PACKETS, _TOO_MANY_PRECINCTS, _TOO_MANY_BLOCKS, _NO_STEP = range(5)
_RESOLUTIONS = 33
_Said = TypeVar("_Said")


class Blocks(NamedTuple):
    """One entry a code-block, in the order of the precinct bands."""

    tile: NDArray[np.int32]
    component: NDArray[np.int32]
    resolution: NDArray[np.int32]  # 0 is the coarsest
    level: NDArray[np.int32]  # decomposition level: samples of the band are 2^level pixels apart
    band: NDArray[np.int32]  # LL, HL, LH or HH
    box: NDArray[np.int64]  # (n, 4): x0, y0, x1, y1 in the band's own coordinates
    planes: NDArray[np.int32]  # magnitude bit-planes: Mb of Equation E-2, and the region's shift on top
    precinct_band: NDArray[np.int32]
    region_shift: NDArray[np.int32]  # bit-planes that a region of interest is raised by (Annex H), else 0
    style: NDArray[np.int32]  # code-block style (Table A.19)


class PrecinctBands(NamedTuple):
    """One entry a precinct band."""

    first_block: NDArray[np.int64]
    across: NDArray[np.int64]
    down: NDArray[np.int64]
    first_node: NDArray[np.int64]  # of its tag trees, in an array of all nodes


class Precincts(NamedTuple):
    """One entry a precinct, tile by tile."""

    tile: NDArray[np.int64]
    component: NDArray[np.int64]
    resolution: NDArray[np.int64]
    number: NDArray[np.int64]  # within its resolution, raster order
    x: NDArray[np.int64]  # on the reference grid, for the progression orders by position
    y: NDArray[np.int64]
    first_band: NDArray[np.int64]
    bands: NDArray[np.int64]  # how many precinct bands; 0 is possible


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """All the geometry of a codestream."""

    blocks: Blocks
    precinct_bands: PrecinctBands
    precincts: Precincts
    parents: NDArray[np.int64]  # of each tag-tree node, -1 at a root; leaves first, in raster order
    tiles: int

    def packets(
        self, progression: str, layers: int, tile: int, volumes: Sequence[ProgressionVolume] = ()
    ) -> NDArray[np.int64]:
        """The packets of a tile in order, (n, 2): precinct, layer (B.12).

        Where there are volumes of POC, these say the order instead of `progression` (A.6.6): each sends what
        is due in its precincts, from the first layer that none has sent before.
        """
        chosen = np.arange(*np.searchsorted(self.precincts.tile, [tile, tile + 1]))
        sent = np.zeros(len(chosen), np.int64)  # layers of each precinct
        if not volumes:
            return self._in_order(progression, chosen, sent, layers)
        component, resolution = self.precincts.component[chosen], self.precincts.resolution[chosen]
        pieces = []
        for volume in volumes:
            end = min(layers, volume.end_layer)
            due = np.flatnonzero(
                (resolution >= volume.first_resolution)
                & (resolution < volume.end_resolution)
                & (component >= volume.first_component)
                & (component < volume.end_component)
                & (sent < end)
            )
            pieces.append(self._in_order(volume.progression, chosen[due], sent[due], end))
            sent[due] = end
        return np.concatenate(pieces)

    def _in_order(
        self, progression: str, chosen: NDArray[np.int64], start: NDArray[np.int64], end: int
    ) -> NDArray[np.int64]:
        """The packets of some precincts, of each those of the layers from its own `start` to `end`."""
        p = self.precincts
        count = end - start
        precinct = np.repeat(chosen, count)
        layer = np.arange(len(precinct)) - np.repeat(count.cumsum() - end, count)
        c, r, k = p.component[precinct], p.resolution[precinct], p.number[precinct]
        x, y = p.x[precinct], p.y[precinct]
        keys = {
            "LRCP": (layer, r, c, k),
            "RLCP": (r, layer, c, k),
            "RPCL": (r, y, x, c, k, layer),
            "PCRL": (y, x, c, r, k, layer),
            "CPRL": (c, y, x, r, k, layer),
        }[progression]
        order = np.lexsort(keys[::-1])
        return np.stack([precinct[order], layer[order]], 1)


def lay_out(stream: Codestream) -> Layout:
    """Finds every code-block of a parsed codestream.

    A packet takes a byte at least, so there are at most as many packets as bytes; and at most a million
    precincts, 2 million blocks and 2 million resolutions of tile-components. That bounds time (a few seconds)
    and memory (some 200 bytes per block and per precinct) whatever the headers claim.

    Raises:
      UnsupportedCodestream: more blocks, precincts, or resolutions than can be handled.
      BadCodestream: a band without a quantization step; a tile without packets, or more packets than bytes.
    """
    tiles = stream.size.tiles_across * stream.size.tiles_down
    missing = tiles - len({part.tile for part in stream.tile_parts})
    if missing:
        raise BadCodestream(f"{missing} of {tiles} tiles have no tile-part")
    packet_bytes = sum(part.end - part.start for part in stream.tile_parts)
    packet_bytes += sum(map(len, stream.packed_headers.values()))
    return lay_out_at_most(stream, packet_bytes)


def lay_out_at_most(stream: Codestream, packets: int) -> Layout:
    """Finds every code-block that the headers of a codestream describe, if these are at most so many packets.

    Raises: like `lay_out`.
    """
    tiles = stream.size.tiles_across * stream.size.tiles_down
    tables = _tables(stream, tiles)
    status, *counts = _walk(*tables, packets, *_arrays(0, 0, 0, 0), False)
    if status == _TOO_MANY_PACKETS:
        raise BadCodestream(
            f"more packets (precincts times layers), a byte each, than can lie in {packets} bytes"
        )
    if status == _NO_STEP:
        raise BadCodestream("QCD or QCC has no step for a band")
    if status != _OK:
        raise UnsupportedCodestream(f"more than {_MAX_PRECINCTS} precincts or {_MAX_BLOCKS} code-blocks")
    arrays = _arrays(*counts)
    _walk(*tables, packets, *arrays, True)
    precincts, bands, blocks, boxes, parents = arrays
    tile, component, resolution, level, band, planes, precinct_band, shift, style = blocks
    return Layout(
        blocks=Blocks(tile, component, resolution, level, band, boxes, planes, precinct_band, shift, style),
        precinct_bands=PrecinctBands(*bands),
        precincts=Precincts(*precincts),
        parents=parents,
        tiles=tiles,
    )


def _arrays(precincts: int, bands: int, blocks: int, nodes: int) -> tuple[NDArray[Any], ...]:
    """Room for `Precincts`, `PrecinctBands`, `Blocks`, their boxes, and the parents of tag-tree nodes."""
    return (
        np.empty((8, precincts), np.int64),
        np.empty((4, bands), np.int64),
        np.empty((9, blocks), np.int32),
        np.empty((blocks, 4), np.int64),
        np.empty(nodes, np.int64),
    )


def _tables(stream: Codestream, tiles: int) -> tuple[Any, ...]:
    """What `_walk` has to know of the marker segments: tiles choose a set of parameters, sets choose rows."""
    sets: list[Parameters] = [stream, *stream.tile_parameters.values()]
    set_of_tile = np.zeros(tiles, np.int64)
    set_of_tile[list(stream.tile_parameters)] = np.arange(1, len(sets))
    resolutions = np.array([sum(coding.levels + 1 for coding in one.coding) for one in sets])
    if resolutions[set_of_tile].sum() > _MAX_RESOLUTIONS:
        raise UnsupportedCodestream(f"{tiles} tiles of {len(stream.coding)} components are too many")
    size = stream.size
    return (
        size.tiles_across,
        np.array([size.tile_x0, size.tile_y0, size.tile_width, size.tile_height], np.int64),
        np.array([size.x0, size.y0, size.x1, size.y1], np.int64),
        np.array([(c.dx, c.dy) for c in size.components], np.int64),
        set_of_tile,
        np.array([one.layers for one in sets], np.int64),
        *_numbered([one.coding for one in sets], _coding_row),
        *_numbered([one.quantization for one in sets], _planes_row),
        np.array([one.region_shifts for one in sets], np.int64),
    )


def _numbered(
    sets: Sequence[tuple[_Said, ...]], row: Callable[[_Said], NDArray[np.int16]]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Which row each component of each set has, (sets, components), and the rows of all that differ."""
    rows: list[NDArray[np.int16]] = []
    number: dict[int, int] = {}
    for said in (said for one in sets for said in one):
        if id(said) not in number:
            number[id(said)] = len(rows)
            rows.append(row(said))
    return np.array([[number[id(said)] for said in one] for one in sets], np.int32), np.stack(rows)


def _coding_row(coding: CodingStyle) -> NDArray[np.int16]:
    """Levels, code-block size and style, then width and height of each resolution's precincts."""
    row = np.zeros(4 + 2 * _RESOLUTIONS, np.int16)
    row[:4] = coding.levels, coding.block_width_log2, coding.block_height_log2, coding.block_style
    row[4 : 6 + 2 * coding.levels] = np.ravel(coding.precincts_log2)
    return row


def _planes_row(quantization: Quantization) -> NDArray[np.int16]:
    """Mb of each resolution's bands (Equation E-2), -1 where there is no step."""
    row = np.full(4 * _RESOLUTIONS, -1, np.int16)
    for resolution in range(_RESOLUTIONS):
        for band in (HL, LH, HH) if resolution else (LL,):
            with contextlib.suppress(BadCodestream):
                exponent, _ = quantization.band(resolution, band)
                row[4 * resolution + band] = max(0, quantization.guard_bits + exponent - 1)
    return row


def tag_tree_parents(across: int, down: int) -> NDArray[np.int64]:
    """The parent of each node of a tag tree over a grid (B.10.2), leaves first; the root's is -1."""
    parents = np.empty(_tag_tree_nodes(across, down), np.int64)
    _plant_tag_tree(across, down, 0, parents)
    return parents


@compiled
def _tag_tree_nodes(across, down):  # type: ignore[no-untyped-def]
    nodes = 1
    while across * down > 1:
        nodes += across * down
        across, down = (across + 1) // 2, (down + 1) // 2
    return nodes


@compiled
def _plant_tag_tree(across, down, first, parents):  # type: ignore[no-untyped-def]
    """Fills the parents of one tree's nodes, which begin at `first`."""
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
def _walk(  # type: ignore[no-untyped-def]
    tiles_across, tile_grid, image, sampling, set_of_tile, layers, coding_of, codings, planes_of, planes,
    shifts, packet_bytes, precincts, bands, blocks, boxes, parents, fill,
):  # fmt: skip
    """Walks all resolutions of all tile-components; counts what is there or, if `fill`, enters it.

    Returns a status and the numbers of precincts, precinct bands, blocks and tag-tree nodes.
    """
    counts = np.zeros(4, np.int64)
    packets = 0
    tile_box = np.empty(4, np.int64)
    box = np.empty(4, np.int64)
    for tile in range(len(set_of_tile)):
        own = set_of_tile[tile]
        for axis in range(2):
            place = tile // tiles_across if axis else tile % tiles_across
            start = tile_grid[axis] + place * tile_grid[2 + axis]
            tile_box[axis] = max(start, image[axis])
            tile_box[2 + axis] = min(start + tile_grid[2 + axis], image[2 + axis])
        for component in range(len(sampling)):
            for side in range(4):
                box[side] = -(-tile_box[side] // sampling[component, side % 2])
            coding = codings[coding_of[own, component]]
            for resolution in range(coding[0] + 1):
                before = counts[0]
                status = _walk_resolution(
                    tile, component, resolution, tile_box, box, sampling[component], coding,
                    planes[planes_of[own, component]], shifts[own, component],
                    packet_bytes // layers[own], counts, precincts, bands, blocks, boxes, parents, fill,
                )  # fmt: skip
                packets += (counts[0] - before) * layers[own]
                if status == _OK and packets > packet_bytes:
                    status = _TOO_MANY_PACKETS
                if status != _OK:
                    return status, counts[0], counts[1], counts[2], counts[3]
    return _OK, counts[0], counts[1], counts[2], counts[3]


@compiled
def _walk_resolution(  # type: ignore[no-untyped-def]
    tile, component, resolution, tile_box, box, sampling, coding, planes, shift, most_precincts, counts,
    precincts, bands, blocks, boxes, parents, fill,
):  # fmt: skip
    """Cuts one resolution of a tile-component into precincts (B.6); empty ones have no packets at all."""
    down_by = np.int64(coding[0] - resolution)
    x0, y0, x1, y1 = [_ceil_shift(box[side], down_by) for side in range(4)]
    if x1 <= x0 or y1 <= y0:
        return _OK
    width_log2, height_log2 = np.int64(coding[4 + 2 * resolution]), np.int64(coding[5 + 2 * resolution])
    left, top = x0 >> width_log2, y0 >> height_log2
    across, down = _ceil_shift(x1, width_log2) - left, _ceil_shift(y1, height_log2) - top
    if across > most_precincts or down > most_precincts or across * down > most_precincts:
        return _TOO_MANY_PACKETS
    if counts[0] + across * down > _MAX_PRECINCTS:
        return _TOO_MANY_PRECINCTS
    for number in range(across * down):
        px, py = left + number % across, top + number // across
        first_band = counts[1]
        for band in range(1 if resolution else 0, 4 if resolution else 1):
            status = _walk_precinct_band(
                tile, component, resolution, band, box, px, py, coding, planes, shift, counts,
                bands, blocks, boxes, parents, fill,
            )  # fmt: skip
            if status != _OK:
                return status
        if fill:
            entry = precincts[:, counts[0]]
            entry[0], entry[1], entry[2], entry[3] = tile, component, resolution, number
            entry[4] = max(tile_box[0], (px << (width_log2 + down_by)) * sampling[0])
            entry[5] = max(tile_box[1], (py << (height_log2 + down_by)) * sampling[1])
            entry[6], entry[7] = first_band, counts[1] - first_band
        counts[0] += 1
    return _OK


@compiled
def _walk_precinct_band(  # type: ignore[no-untyped-def]
    tile, component, resolution, band, box, px, py, coding, planes, shift, counts,
    bands, blocks, boxes, parents, fill,
):  # fmt: skip
    """The code-blocks of one band in one precinct (B.5, B.7)."""
    halved = 1 if resolution else 0
    level = np.int64(coding[0] - resolution + halved)
    shift_x = np.int64(band & 1) << level >> 1
    shift_y = np.int64(band >> 1) << level >> 1
    bx0, bx1 = _ceil_shift(box[0] - shift_x, level), _ceil_shift(box[2] - shift_x, level)
    by0, by1 = _ceil_shift(box[1] - shift_y, level), _ceil_shift(box[3] - shift_y, level)
    if bx1 <= bx0 or by1 <= by0:
        return _OK  # an empty band is skipped in the packet
    width_log2 = np.int64(coding[4 + 2 * resolution] - halved)
    height_log2 = np.int64(coding[5 + 2 * resolution] - halved)
    x0, x1 = max(bx0, px << width_log2), min(bx1, (px + 1) << width_log2)
    y0, y1 = max(by0, py << height_log2), min(by1, (py + 1) << height_log2)
    cw, ch = min(np.int64(coding[1]), width_log2), min(np.int64(coding[2]), height_log2)
    across, down = 0, 0
    if x1 > x0 and y1 > y0:
        across, down = _ceil_shift(x1, cw) - (x0 >> cw), _ceil_shift(y1, ch) - (y0 >> ch)
    if fill:
        entry = bands[:, counts[1]]
        entry[0], entry[1], entry[2], entry[3] = counts[2], across, down, counts[3]
    counts[1] += 1
    if not across:
        return _OK
    if counts[2] + across * down > _MAX_BLOCKS:
        return _TOO_MANY_BLOCKS
    if planes[4 * resolution + band] < 0:
        return _NO_STEP
    if fill:
        _plant_tag_tree(across, down, counts[3], parents)
        for i in range(across * down):
            block = counts[2] + i
            here = blocks[:, block]
            here[0], here[1], here[2], here[3], here[4] = tile, component, resolution, level, band
            here[5], here[6] = planes[4 * resolution + band] + shift, counts[1] - 1
            here[7], here[8] = shift, coding[3]
            cx, cy = (x0 >> cw) + i % across, (y0 >> ch) + i // across
            boxes[block, 0], boxes[block, 1] = max(cx << cw, x0), max(cy << ch, y0)
            boxes[block, 2], boxes[block, 3] = min((cx + 1) << cw, x1), min((cy + 1) << ch, y1)
    counts[2] += across * down
    counts[3] += _tag_tree_nodes(across, down)
    return _OK
