"""Computes the geometry of code-blocks: tiles, resolutions, bands, precincts (ISO/IEC 15444-1 Annex B).

Plain geometry, as flat arrays, so that compiled loops can walk it. A *precinct band* is the part of a band
that one precinct holds: it has a grid of code-blocks and the two tag trees of that grid.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.codec import layout_kernels
from foveate.codec.codestream import Codestream
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout_kernels import Headers
from foveate.codec.parameters import CodingStyle, Parameters, ProgressionVolume, Quantization

_MAX_RESOLUTIONS = 1 << 21  # of all tiles and components together
LL, HL, LH, HH = 0, 1, 2, 3
_RESOLUTIONS = 33
_Said = TypeVar("_Said")


class Blocks(NamedTuple):
    """One entry per code-block, in the order of the precinct bands."""

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
    """One entry per precinct band."""

    first_block: NDArray[np.int64]
    across: NDArray[np.int64]
    down: NDArray[np.int64]
    first_node: NDArray[np.int64]  # of its tag trees, in an array of all nodes


class Precincts(NamedTuple):
    """One entry per precinct, tile by tile."""

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
    """The geometry of a codestream."""

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
        """The packets of some precincts: for each, those of the layers from its own `start` to `end`."""
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
    """Finds every code-block that a codestream's headers describe, if they have at most a number of packets.

    Raises: like `lay_out`.
    """
    tiles = stream.size.tiles_across * stream.size.tiles_down
    headers = _headers(stream, tiles)
    status, *counts = layout_kernels.walk(headers, packets, layout_kernels.entries(0, 0, 0, 0), False)
    if status == layout_kernels.TOO_MANY_PACKETS:
        raise BadCodestream(
            f"more packets (precincts times layers), a byte each, than can lie in {packets} bytes"
        )
    if status == layout_kernels.NO_STEP:
        raise BadCodestream("QCD or QCC has no step for a band")
    if status != layout_kernels.OK:
        raise UnsupportedCodestream(
            f"more than {layout_kernels.MAX_PRECINCTS} precincts or {layout_kernels.MAX_BLOCKS} code-blocks"
        )
    found = layout_kernels.entries(*counts)
    layout_kernels.walk(headers, packets, found, True)
    tile, component, resolution, level, band, planes, precinct_band, shift, style = found.blocks
    return Layout(
        blocks=Blocks(
            tile, component, resolution, level, band, found.boxes, planes, precinct_band, shift, style
        ),
        precinct_bands=PrecinctBands(*found.bands),
        precincts=Precincts(*found.precincts),
        parents=found.parents,
        tiles=tiles,
    )


def _headers(stream: Codestream, tiles: int) -> Headers:
    sets: list[Parameters] = [stream, *stream.tile_parameters.values()]
    set_of_tile = np.zeros(tiles, np.int64)
    set_of_tile[list(stream.tile_parameters)] = np.arange(1, len(sets))
    resolutions = np.array([sum(coding.levels + 1 for coding in one.coding) for one in sets])
    if resolutions[set_of_tile].sum() > _MAX_RESOLUTIONS:
        raise UnsupportedCodestream(f"{tiles} tiles of {len(stream.coding)} components are too many")
    size = stream.size
    coding_of, codings = _numbered([one.coding for one in sets], _coding_row)
    planes_of, planes = _numbered([one.quantization for one in sets], _planes_row)
    return Headers(
        size.tiles_across,
        np.array([size.tile_x0, size.tile_y0, size.tile_width, size.tile_height], np.int64),
        np.array([size.x0, size.y0, size.x1, size.y1], np.int64),
        np.array([(c.dx, c.dy) for c in size.components], np.int64),
        set_of_tile,
        np.array([one.layers for one in sets], np.int64),
        coding_of,
        codings,
        planes_of,
        planes,
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
