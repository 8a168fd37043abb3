"""Where the bits of a codestream went: by layer, by band, and by place in the picture.

All from packet headers; nothing is decoded.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.packets import Contributions
from foveate.compiled import compiled

_BANDS = ("LL", "HL", "LH", "HH")


@dataclasses.dataclass(frozen=True)
class LayerBytes:
    """What one quality layer takes: packet headers, code-block bytes, coding passes; `layer` from 1."""

    layer: int
    header_bytes: int
    block_bytes: int
    passes: int


@dataclasses.dataclass(frozen=True)
class BandBytes:
    """What one band takes, of all tiles.

    component: from 0.
    resolution: 0 is the coarsest.
    band: LL, HL, LH or HH.
    level: decomposition level: its samples are 2^level pixels apart.
    blocks: code-blocks; `included`: those of them with any coding pass.
    passes: coding passes of all blocks.
    bytes: of code-blocks, packet headers left out.
    """

    component: int
    resolution: int
    band: str
    level: int
    blocks: int
    included: int
    passes: int
    bytes: int


def by_layer(parts: Contributions) -> tuple[LayerBytes, ...]:
    """What each layer takes, in order."""
    lengths = parts.lengths.sum(1, dtype=np.int64).tolist()
    passes = parts.passes.sum(1, dtype=np.int64).tolist()
    headers = parts.header_bytes.tolist()
    return tuple(
        LayerBytes(layer + 1, headers[layer], lengths[layer], passes[layer]) for layer in range(len(lengths))
    )


def by_band(layout: Layout, parts: Contributions) -> tuple[BandBytes, ...]:
    """What each band takes, ordered by component, resolution and band."""
    blocks = layout.blocks
    passes = parts.passes.sum(0, dtype=np.int64)
    lengths = parts.lengths.sum(0, dtype=np.int64)
    keys = np.stack([blocks.component, blocks.resolution, blocks.band, blocks.level], 1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    sums = np.zeros((len(kinds), 4), np.int64)
    for column, values in enumerate((np.ones_like(passes), passes > 0, passes, lengths)):
        np.add.at(sums[:, column], index.reshape(-1), values)
    return tuple(
        BandBytes(component, resolution, _BANDS[band], level, *counts)
        for (component, resolution, band, level), counts in zip(kinds.tolist(), sums.tolist(), strict=True)
    )


def bits_per_pixel(
    stream: Codestream, layout: Layout, parts: Contributions, rows: int, columns: int
) -> NDArray[np.float32]:
    """The code-blocks' bits over the picture, (rows, columns) float32 in bits per pixel.

    Each block's bits lie evenly on its footprint: its part of the band, stretched over the picture. All
    components, resolutions and bands add up, so that the mean times the picture's pixels is 8 times the
    code-blocks' bytes. Cells share what lies across their borders.

    Args:
      stream, layout, parts: a codestream, from `allocation.parse_layers`.
      rows, columns: of the map, any number: cells are the picture's height and width in so many parts.
    """
    size, blocks = stream.size, layout.blocks
    grid = np.array([(c.dx, c.dy, c.dx, c.dy) for c in size.components])[blocks.component]
    box = (blocks.box << blocks.level[:, None].astype(np.int64)) * grid
    box = (box - (size.x0, size.y0, size.x0, size.y0)).astype(np.float64)
    extent = np.array([size.width, size.height, size.width, size.height])
    box[:, :2] = np.clip(box[:, :2], 0, extent[:2] - 1)  # a block of one sample may lie past the edge
    box[:, 2:] = np.clip(box[:, 2:], box[:, :2] + 1, extent[2:])
    bits = 8.0 * parts.lengths.sum(0, dtype=np.int64)
    density = bits / ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
    cells = box * (np.array([columns, rows, columns, rows]) / extent)
    total = np.zeros((rows, columns))
    _spread(cells, density, total)
    return total.astype(np.float32)


@compiled
def _spread(cells, density, total):  # type: ignore[no-untyped-def]
    """Adds each density to the cells that its box covers, by the share that it covers of each."""
    rows, columns = total.shape
    for i in range(len(cells)):
        left, top, right, bottom = cells[i]
        if density[i] == 0:
            continue
        for y in range(int(top), min(rows, int(np.ceil(bottom)))):
            height = min(bottom, y + 1) - max(top, y)
            for x in range(int(left), min(columns, int(np.ceil(right)))):
                total[y, x] += density[i] * height * (min(right, x + 1) - max(left, x))
