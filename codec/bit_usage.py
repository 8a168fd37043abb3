"""Computes where the bits of a codestream went: by layer, by band, and by place in the picture.

All from packet headers; nothing is decoded.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec.packet_stream import PacketStream
from foveate.compiled import compiled

_BANDS = ("LL", "HL", "LH", "HH")


@dataclasses.dataclass(frozen=True)
class LayerBytes:
    """The bytes of one quality layer: packet headers, code-blocks, and coding passes; `layer` from 1."""

    layer: int
    header_bytes: int
    block_bytes: int
    passes: int


@dataclasses.dataclass(frozen=True)
class BandBytes:
    """The bytes of one band, over all tiles.

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


def by_layer(packets: PacketStream) -> tuple[LayerBytes, ...]:
    """The bytes of each layer, in order."""
    layers = packets.layers
    sizes, passes = (np.diff(t.sum(1, dtype=np.int64), prepend=0) for t in (layers.sizes, layers.passes))
    taken = np.stack([packets.header_bytes, sizes, passes], 1).tolist()
    return tuple(LayerBytes(layer, *values) for layer, values in enumerate(taken, 1))


def by_band(packets: PacketStream) -> tuple[BandBytes, ...]:
    """The bytes of each band, ordered by component, resolution and band."""
    blocks, passes = packets.layout.blocks, packets.passes
    keys = np.stack([blocks.component, blocks.resolution, blocks.band, blocks.level], 1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    sums = np.zeros((len(kinds), 4), np.int64)
    for column, values in enumerate((np.ones_like(passes), passes > 0, passes, packets.sizes)):
        np.add.at(sums[:, column], index.reshape(-1), values)
    return tuple(
        BandBytes(component, resolution, _BANDS[band], level, *counts)
        for (component, resolution, band, level), counts in zip(kinds.tolist(), sums.tolist(), strict=True)
    )


def bits_per_pixel(packets: PacketStream, rows: int, columns: int) -> NDArray[np.float32]:
    """The code-blocks' bits over the picture, (rows, columns) float32 in bits per pixel.

    Each block's bits lie evenly on its footprint: its part of the band, stretched over the picture. All
    components, resolutions and bands add up, so that the mean times the picture's pixels is 8 times the
    code-blocks' bytes. Cells share what lies across their borders.

    Args:
      packets: a codestream.
      rows, columns: of the map, any number: cells divide the picture's height and width into that many parts.
    """
    size, blocks = packets.stream.size, packets.layout.blocks
    grid = np.array([(c.dx, c.dy, c.dx, c.dy) for c in size.components])[blocks.component]
    box = (blocks.box << blocks.level[:, None].astype(np.int64)) * grid
    box = (box - (size.x0, size.y0, size.x0, size.y0)).astype(np.float64)
    extent = np.array([size.width, size.height, size.width, size.height])
    box[:, :2] = np.clip(box[:, :2], 0, extent[:2] - 1)  # a block of one sample may lie past the edge
    box[:, 2:] = np.clip(box[:, 2:], box[:, :2] + 1, extent[2:])
    bits = 8.0 * packets.sizes
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
