"""The coding-noise map: how coarsely each place of a photo was coded, read from packet headers alone.

The number of coding passes of a code-block tells its last decoded bit-plane, and so the effective
quantisation step of its coefficients; times the norm of the synthesis basis that is the size of the error in
the picture. It costs no bits, and any Part 1 file has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.codestream import IRREVERSIBLE, Codestream
from codec.compiled import compiled
from codec.layout import Layout
from codec.packets import Contributions
from codec.wavelet import basis_norm

CELL = 8  # pixels of the photo to a cell of the map, each way
CHANNELS = 4  # luma: finest octave, second, all coarser; chroma

# RMS change of an RGB sample for a unit change of each transformed component (Annex G: ICT and RCT).
_COLOR_NORMS = {True: (1.0, 1.0421793, 0.9084040), False: (1.0, 0.4787136, 0.4787136)}


def normalized_steps(stream: Codestream, layout: Layout, parts: Contributions) -> NDArray[np.float64]:
    """Each block's effective step times basis norm, per colour sample, as a share of the peak: (blocks,).

    Blocks without any pass get the mean of those that have some at the same place: in bands of the same
    level, else of the next coarser one that has. An allocation cuts all that covers a place at about one
    step; blocks that fall wholly below it have no pass. At most 1.
    """
    blocks = layout.blocks
    passes = parts.passes.sum(0, dtype=np.int64)
    remaining = blocks.planes - parts.zero_planes - (passes + 2) / 3
    steps: NDArray[np.float64] = np.minimum(
        _full_steps(stream, layout) * 2.0 ** np.maximum(remaining, 0), 1.0
    )
    included = passes > 0
    boxes, shape = _cells(stream, layout)
    for component in range(len(stream.size.components)):
        of_component = np.flatnonzero(blocks.component == component)
        known = of_component[included[of_component]]
        around = np.full(shape, np.median(steps[known]) if len(known) else 1.0)
        for level in np.unique(blocks.level[of_component])[::-1]:
            of_level = of_component[blocks.level[of_component] == level]
            _spread(boxes[of_level], included[of_level], steps, of_level, around)
    return steps


def _cells(stream: Codestream, layout: Layout) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """The cells that each block covers, (blocks, 4): left, top, right, bottom; and the map's shape."""
    blocks, size = layout.blocks, stream.size
    shape = (-(-size.height // CELL), -(-size.width // CELL))
    grid = np.array([(c.dx, c.dy, c.dx, c.dy) for c in size.components])[blocks.component]
    pixels = (blocks.box << blocks.level[:, None].astype(np.int64)) * grid
    pixels -= np.array([size.x0, size.y0, size.x0, size.y0])
    cells = np.empty_like(pixels)
    for axis, extent in ((0, shape[1]), (1, shape[0])):
        cells[:, axis] = np.clip(pixels[:, axis] // CELL, 0, extent - 1)
        cells[:, axis + 2] = np.clip(-(-pixels[:, axis + 2] // CELL), cells[:, axis] + 1, extent)
    return cells, shape


@compiled
def _spread(boxes, included, steps, index, around):  # type: ignore[no-untyped-def]
    """Enters the included blocks of one level into `around`, then gives the others what is around them."""
    total, count = np.zeros(around.shape), np.zeros(around.shape)
    for i in range(len(boxes)):
        if included[i]:
            left, top, right, bottom = boxes[i]
            for y in range(top, bottom):
                for x in range(left, right):
                    total[y, x] += steps[index[i]]
                    count[y, x] += 1
    for y in range(around.shape[0]):
        for x in range(around.shape[1]):
            if count[y, x]:
                around[y, x] = total[y, x] / count[y, x]
    for i in range(len(boxes)):
        if not included[i]:
            left, top, right, bottom = boxes[i]
            steps[index[i]] = around[top:bottom, left:right].mean()


def _full_steps(stream: Codestream, layout: Layout) -> NDArray[np.float64]:
    """The normalised step of each block with all its bit-planes decoded."""
    blocks = layout.blocks
    keys = np.stack([blocks.component, blocks.resolution, blocks.level, blocks.band], 1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    steps = np.empty(len(kinds))
    for i, (component, resolution, level, band) in enumerate(kinds.tolist()):
        irreversible = stream.coding[component].transformation == IRREVERSIBLE
        depth = stream.size.components[component].bit_depth
        step = 1.0
        if irreversible:
            exponent, mantissa = stream.quantization[component].band(resolution, band)
            gain = (band & 1) + (band >> 1)
            step = 2.0 ** (depth + gain - exponent) * (1 + mantissa / 2048)
        norm = 1.0
        if level:
            norm = basis_norm(irreversible, level, bool(band & 1)) * basis_norm(
                irreversible, level, bool(band >> 1)
            )
        if stream.color_transform and component < 3:
            norm *= _COLOR_NORMS[irreversible][component]
        steps[i] = step * norm / (2.0**depth - 1)
    return steps[index.reshape(-1)]


def noise_map(stream: Codestream, layout: Layout, parts: Contributions) -> NDArray[np.float32]:
    """The coding-noise map of a codestream, (ceil(H/8), ceil(W/8), 4) float32 in (0, 1].

    Channels are RMS normalised steps (`normalized_steps`) over what covers a cell: luma in the finest octave,
    the second, and all coarser ones; chroma. A picture without colour transform counts its colour components
    as luma, and its chroma channel repeats the third. Alpha is left out.
    """
    blocks = layout.blocks
    boxes, shape = _cells(stream, layout)
    channel = np.where(blocks.level <= 1, 0, np.where(blocks.level == 2, 1, 2))
    if stream.color_transform:
        channel = np.where(blocks.component > 0, 3, channel)
    power = normalized_steps(stream, layout, parts) ** 2
    density = 4.0 ** -blocks.level.astype(np.float64)
    total, weight = np.zeros((*shape, CHANNELS)), np.zeros((*shape, CHANNELS))
    used = blocks.component < (3 if len(stream.size.components) >= 3 else 1)
    _paint(boxes[used], channel[used], power[used], density[used], total, weight)
    for target, source in ((2, 1), (1, 0), (1, 2), (0, 1), (2, 1), (3, 2)):
        empty = weight[..., target] == 0  # few levels, or no chroma
        total[empty, target], weight[empty, target] = total[empty, source], weight[empty, source]
    return np.sqrt(total / np.where(weight == 0, 1, weight)).astype(np.float32)


@compiled
def _paint(boxes, channels, power, density, total, weight):  # type: ignore[no-untyped-def]
    """Adds each block's power to the cells it covers."""
    for i in range(len(boxes)):
        left, top, right, bottom = boxes[i]
        for y in range(top, bottom):
            for x in range(left, right):
                total[y, x, channels[i]] += power[i] * density[i]
                weight[y, x, channels[i]] += density[i]
