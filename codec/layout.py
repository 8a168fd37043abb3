"""Where each code-block lies: tiles, resolutions, bands, precincts, blocks (ISO/IEC 15444-1 Annex B).

Plain geometry, as flat arrays, so that compiled loops can walk it. A *precinct band* is the part of a band
that one precinct holds: it has a grid of code-blocks and the two tag trees of that grid.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.codestream import Codestream
from codec.errors import BadCodestream, UnsupportedCodestream

_MAX_BLOCKS = 1 << 21  # RGB of 2.8 gigapixels in blocks of 64 x 64
_MAX_PRECINCTS = 1 << 20
_MAX_RESOLUTIONS = 1 << 21  # of all tiles and components together: what can be walked in seconds
LL, HL, LH, HH = 0, 1, 2, 3


class Blocks(NamedTuple):
    """One entry a code-block, in the order of the precinct bands."""

    tile: NDArray[np.int32]
    component: NDArray[np.int32]
    resolution: NDArray[np.int32]  # 0 is the coarsest
    level: NDArray[np.int32]  # decomposition level: samples of the band are 2^level pixels apart
    band: NDArray[np.int32]  # LL, HL, LH or HH
    box: NDArray[np.int64]  # (n, 4): x0, y0, x1, y1 in the band's own coordinates
    planes: NDArray[np.int32]  # magnitude bit-planes of the band (Mb of Equation E-2)
    precinct_band: NDArray[np.int32]


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

    def packets(self, progression: str, layers: int, tile: int) -> NDArray[np.int64]:
        """The packets of a tile in order, (n, 2): precinct, layer (B.12)."""
        p = self.precincts
        chosen = np.arange(*np.searchsorted(p.tile, [tile, tile + 1]))
        precinct = np.repeat(chosen, layers)
        layer = np.tile(np.arange(layers), len(chosen))
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


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


class _Builder:
    """Collects precincts, their bands and blocks; holds what the arrays are made of until all are known."""

    def __init__(self, stream: Codestream) -> None:
        self.stream = stream
        self.precincts: list[tuple[int, ...]] = []
        self.bands: list[tuple[int, int, int, int]] = []
        self.blocks: list[NDArray[np.int64]] = []
        self.parents: list[NDArray[np.int64]] = []
        self.trees: dict[tuple[int, int], NDArray[np.int64]] = {}
        self.packet_bytes = sum(part.end - part.start for part in stream.tile_parts)
        self.block_count = 0
        self.node_count = 0

    def add_tile(self, tile: int) -> None:
        size = self.stream.size
        p, q = tile % size.tiles_across, tile // size.tiles_across
        x0 = max(size.tile_x0 + p * size.tile_width, size.x0)
        y0 = max(size.tile_y0 + q * size.tile_height, size.y0)
        x1 = min(size.tile_x0 + (p + 1) * size.tile_width, size.x1)
        y1 = min(size.tile_y0 + (q + 1) * size.tile_height, size.y1)
        for component, shape in enumerate(size.components):
            box = (
                _ceil_div(x0, shape.dx),
                _ceil_div(y0, shape.dy),
                _ceil_div(x1, shape.dx),
                _ceil_div(y1, shape.dy),
            )
            for resolution in range(self.stream.coding[component].levels + 1):
                self.add_resolution(tile, (x0, y0), component, resolution, box)

    def add_resolution(
        self,
        tile: int,
        corner: tuple[int, int],
        component: int,
        resolution: int,
        box: tuple[int, int, int, int],
    ) -> None:
        """Cuts one resolution of a tile-component into precincts (B.6)."""
        coding = self.stream.coding[component]
        shape = self.stream.size.components[component]
        scale = 1 << (coding.levels - resolution)
        x0, y0, x1, y1 = (_ceil_div(v, scale) for v in box)
        if x1 <= x0 or y1 <= y0:
            return  # no packets at all
        width_log2, height_log2 = coding.precincts_log2[resolution]
        left, top = x0 >> width_log2, y0 >> height_log2
        right, bottom = _ceil_div(x1, 1 << width_log2), _ceil_div(y1, 1 << height_log2)
        precincts = (right - left) * (bottom - top) + len(self.precincts)
        if precincts * self.stream.layers > self.packet_bytes:
            raise BadCodestream(
                f"{precincts} or more precincts in {self.stream.layers} layers, a byte each at least, "
                f"cannot lie in {self.packet_bytes} bytes"
            )
        if precincts > _MAX_PRECINCTS:
            raise UnsupportedCodestream(f"more than {_MAX_PRECINCTS} precincts")
        for number in range((right - left) * (bottom - top)):
            px, py = left + number % (right - left), top + number // (right - left)
            first_band = len(self.bands)
            for band in (LL,) if resolution == 0 else (HL, LH, HH):
                self.add_precinct_band(tile, component, resolution, band, box, (px, py))
            reference_x = max(corner[0], (px << width_log2) * scale * shape.dx)
            reference_y = max(corner[1], (py << height_log2) * scale * shape.dy)
            self.precincts.append(
                (
                    tile,
                    component,
                    resolution,
                    number,
                    reference_x,
                    reference_y,
                    first_band,
                    len(self.bands) - first_band,
                )
            )

    def add_precinct_band(
        self,
        tile: int,
        component: int,
        resolution: int,
        band: int,
        box: tuple[int, int, int, int],
        precinct: tuple[int, int],
    ) -> None:
        """The code-blocks of one band in one precinct (B.5, B.7)."""
        coding = self.stream.coding[component]
        level = coding.levels - resolution + (1 if resolution else 0)
        shift_x, shift_y = (band & 1) << level >> 1, (band >> 1) << level >> 1
        bx0, bx1 = (_ceil_div(v - shift_x, 1 << level) for v in (box[0], box[2]))
        by0, by1 = (_ceil_div(v - shift_y, 1 << level) for v in (box[1], box[3]))
        if bx1 <= bx0 or by1 <= by0:
            return  # an empty band is skipped in the packet
        halved = 1 if resolution else 0
        width_log2, height_log2 = (v - halved for v in coding.precincts_log2[resolution])
        x0, x1 = max(bx0, precinct[0] << width_log2), min(bx1, (precinct[0] + 1) << width_log2)
        y0, y1 = max(by0, precinct[1] << height_log2), min(by1, (precinct[1] + 1) << height_log2)
        cw, ch = min(coding.block_width_log2, width_log2), min(coding.block_height_log2, height_log2)
        across = _ceil_div(x1, 1 << cw) - (x0 >> cw) if x1 > x0 and y1 > y0 else 0
        down = _ceil_div(y1, 1 << ch) - (y0 >> ch) if across else 0
        self.bands.append((self.block_count, across, down, self.node_count))
        if not across:
            return
        if self.block_count + across * down > _MAX_BLOCKS:
            raise UnsupportedCodestream(f"more than {_MAX_BLOCKS} code-blocks")
        exponent, _ = self.stream.quantization[component].band(resolution, band)
        planes = max(0, self.stream.quantization[component].guard_bits + exponent - 1)
        column = ((x0 >> cw) + np.arange(across)) << cw
        row = ((y0 >> ch) + np.arange(down)) << ch
        grid_y, grid_x = np.meshgrid(row, column, indexing="ij")
        entry = np.empty((across * down, 11), np.int64)
        entry[:] = (tile, component, resolution, level, band, 0, 0, 0, 0, planes, len(self.bands) - 1)
        entry[:, 5] = np.maximum(grid_x, x0).ravel()
        entry[:, 6] = np.maximum(grid_y, y0).ravel()
        entry[:, 7] = np.minimum(grid_x + (1 << cw), x1).ravel()
        entry[:, 8] = np.minimum(grid_y + (1 << ch), y1).ravel()
        self.blocks.append(entry)
        parents = self.trees.get((across, down))
        if parents is None:
            parents = self.trees[across, down] = tag_tree_parents(across, down)
        self.parents.append(np.where(parents < 0, -1, parents + self.node_count))
        self.block_count += len(entry)
        self.node_count += len(parents)

    def build(self) -> Layout:
        if not self.blocks:
            self.blocks.append(np.empty((0, 11), np.int64))

        def column(i: int) -> NDArray[np.int32]:
            return np.concatenate([entry[:, i].astype(np.int32) for entry in self.blocks])

        blocks = Blocks(
            tile=column(0),
            component=column(1),
            resolution=column(2),
            level=column(3),
            band=column(4),
            box=np.concatenate([entry[:, 5:9] for entry in self.blocks]),
            planes=column(9),
            precinct_band=column(10),
        )
        bands = np.array(self.bands, np.int64).reshape(-1, 4)
        precincts = np.array(self.precincts, np.int64).reshape(-1, 8)
        return Layout(
            blocks=blocks,
            precinct_bands=PrecinctBands(*(np.ascontiguousarray(column) for column in bands.T)),
            precincts=Precincts(*(np.ascontiguousarray(column) for column in precincts.T)),
            parents=np.concatenate(self.parents) if self.parents else np.empty(0, np.int64),
            tiles=self.stream.size.tiles_across * self.stream.size.tiles_down,
        )


def tag_tree_parents(across: int, down: int) -> NDArray[np.int64]:
    """The parent of each node of a tag tree over a grid (B.10.2), leaves first; the root's is -1."""
    parents = []
    offset = 0
    while across * down > 1:
        y, x = np.divmod(np.arange(across * down), across)
        half = (across + 1) // 2
        parents.append(offset + across * down + (y // 2) * half + x // 2)
        offset += across * down
        across, down = half, (down + 1) // 2
    parents.append(np.array([-1]))
    return np.concatenate(parents)


def lay_out(stream: Codestream) -> Layout:
    """Finds every code-block of a codestream.

    Raises:
      UnsupportedCodestream: more blocks, or tiles times components, than can be handled.
      BadCodestream: a band without a quantization step; a tile without packets, or more packets than bytes.
    """
    builder = _Builder(stream)
    tiles = stream.size.tiles_across * stream.size.tiles_down
    missing = tiles - len({part.tile for part in stream.tile_parts})
    if missing:
        raise BadCodestream(f"{missing} of {tiles} tiles have no tile-part")
    if tiles * sum(coding.levels + 1 for coding in stream.coding) > _MAX_RESOLUTIONS:
        raise UnsupportedCodestream(f"{tiles} tiles of {len(stream.coding)} components are too many")
    for tile in range(tiles):
        builder.add_tile(tile)
    return builder.build()
