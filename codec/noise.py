"""Computes the coding-noise map, how coarsely each place was coded, from packet headers alone.

The number of coding passes of a code-block tells its last decoded bit-plane, and so the effective
quantization step of its coefficients; times the norm of the synthesis basis that is the size of the error in
the picture. It costs no bits, and any Part 1 file has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.codec.codestream import IRREVERSIBLE, Codestream
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.layout import Blocks, Layout
from foveate.codec.parameters import Parameters
from foveate.codec.wavelet import basis_norm
from foveate.compiled import compiled

CELL = 8  # pixels of the photo to a cell of the map, each way
CHANNELS = 4  # luma: finest octave, second, all coarser; chroma
_MAX_CELLS = 1 << 24  # a gigapixel
_MAX_VISITS = 1 << 28  # of cells, once for each level of each component
_COMPUTED_LEVELS = 12

# RMS change of an RGB sample for a unit change of each transformed component (Annex G: ICT and RCT).
_COLOR_NORMS = {True: (1.0, 1.0421793, 0.9084040), False: (1.0, 0.4787136, 0.4787136)}


def normalized_steps(
    stream: Codestream, layout: Layout, zero_planes: NDArray[np.uint8], passes: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Each block's effective step times basis norm, per color sample, as a share of the peak: (blocks,).

    Blocks without any pass get the mean of those that have some at the same place: in bands of the same
    level, else of the next coarser one that has. An allocation cuts all that covers a place at about one
    step; blocks that fall wholly below it have no pass. At most 1.

    A block that holds some of a region of interest (Maxshift, Annex H) counts as coded as finely as the
    region's samples; which of its samples those are only the arithmetic decoder would tell.

    Args:
      stream, layout: how the picture is coded.
      zero_planes: of each block, as in `packets.Codewords`: (blocks,).
      passes: coding passes of each block: (blocks,).

    Raises:
      UnsupportedCodestream: the map of the picture would have too many cells (more than a gigapixel's).
    """
    blocks = layout.blocks
    missing = _missing_planes(blocks, zero_planes, passes.astype(np.int64))
    steps: NDArray[np.float64] = np.minimum(_full_steps(stream, layout) * 2.0**missing, 1.0)
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


def _missing_planes(
    blocks: Blocks, zero_planes: NDArray[np.uint8], passes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How many of each block's bit-planes were not decoded, a third for each pass of one.

    Maxshift raises the samples of a region above all others, by `region_shift` bit-planes, and they have no
    more planes below; other samples have none above. So a block that begins above the shift holds a region.
    """
    coded = blocks.planes - zero_planes.astype(np.int64)
    shift = np.where(coded > blocks.region_shift, blocks.region_shift, 0)
    return np.maximum(coded - (passes + 2) / 3 - shift, 0)


def _cells(stream: Codestream, layout: Layout) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """The cells that each block covers, (blocks, 4): left, top, right, bottom; and the map's shape."""
    blocks, size = layout.blocks, stream.size
    shape = (-(-size.height // CELL), -(-size.width // CELL))
    cells = shape[0] * shape[1]
    levels = len(np.unique(blocks.component.astype(np.int64) << 6 | blocks.level))
    if cells > _MAX_CELLS or cells * max(levels, len(size.components)) > _MAX_VISITS:
        raise UnsupportedCodestream(
            f"a noise map of {shape[1]} x {shape[0]} cells from {levels} levels of components is too large"
        )
    grid = np.array([(c.dx, c.dy, c.dx, c.dy) for c in size.components])[blocks.component]
    pixels = (blocks.box << blocks.level[:, None].astype(np.int64)) * grid
    pixels -= np.array([size.x0, size.y0, size.x0, size.y0])
    covered = np.empty_like(pixels)
    for axis, extent in ((0, shape[1]), (1, shape[0])):
        covered[:, axis] = np.clip(pixels[:, axis] // CELL, 0, extent - 1)
        covered[:, axis + 2] = np.clip(-(-pixels[:, axis + 2] // CELL), covered[:, axis] + 1, extent)
    return covered, shape


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
    """The normalized step of each block with all its bit-planes decoded."""
    blocks = layout.blocks
    own = np.zeros(layout.tiles, np.int32)  # 0, or the number of a tile with parameters of its own
    own[list(stream.tile_parameters)] = np.arange(1, len(stream.tile_parameters) + 1)
    sets = [stream, *stream.tile_parameters.values()]
    keys = np.stack([own[blocks.tile], blocks.component, blocks.resolution, blocks.level, blocks.band], 1)
    kinds, index = np.unique(keys, axis=0, return_inverse=True)
    steps = np.empty(len(kinds))
    for i, (number, component, resolution, level, band) in enumerate(kinds.tolist()):
        depth = stream.size.components[component].bit_depth
        steps[i] = _full_step(sets[number], component, depth, resolution, level, band)
    return steps[index.reshape(-1)]


def squared_norms(stream: Codestream, layout: Layout) -> NDArray[np.float64]:
    """The squared error in the picture, over all its color samples, of a step in each block: (blocks,).

    Samples are in the units of the deepest component. One of a sub-sampled component covers several pixels.
    """
    blocks, shapes = layout.blocks, stream.size.components
    depth = max(shape.bit_depth for shape in shapes)
    transformed = np.full(layout.tiles, stream.color_transform)
    for tile, parameters in stream.tile_parameters.items():
        transformed[tile] = parameters.color_transform
    # A transformed component's norm is the mean over three colors.
    colors = np.where(transformed[blocks.tile] & (blocks.component < 3), 3.0, 1.0)
    covered = np.array([shape.dx * shape.dy for shape in shapes], np.float64)[blocks.component]
    peak = 2.0**depth - 1
    return (_full_steps(stream, layout) * peak) ** 2 * colors * covered


def _norm(irreversible: bool, level: int, high: bool) -> float:
    """The norm of a level's basis functions; far up, where these are long, it grows by sqrt(2) a level."""
    beyond = max(0, level - _COMPUTED_LEVELS)
    growth: float = 2.0 ** (beyond / 2)
    return growth * basis_norm(irreversible, level - beyond, high)


def _full_step(
    parameters: Parameters, component: int, depth: int, resolution: int, level: int, band: int
) -> float:
    irreversible = parameters.coding[component].transformation == IRREVERSIBLE
    step = 1.0
    if irreversible:
        exponent, mantissa = parameters.quantization[component].band(resolution, band)
        gain = (band & 1) + (band >> 1)
        step = 2.0 ** (depth + gain - exponent) * (1 + mantissa / 2048)
    norm = 1.0
    if level:
        norm = _norm(irreversible, level, bool(band & 1)) * _norm(irreversible, level, bool(band >> 1))
    if parameters.color_transform and component < 3:
        norm *= _COLOR_NORMS[irreversible][component]
    return step * norm / (2.0**depth - 1)


def noise_map(
    stream: Codestream, layout: Layout, zero_planes: NDArray[np.uint8], passes: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """The coding-noise map of a picture, (ceil(H/8), ceil(W/8), 4) float32 in (0, 1].

    Channels are RMS normalized steps (`normalized_steps`) over what covers a cell: luma in the finest octave,
    the second, and all coarser ones; chroma. A tile without color transform counts its color components
    as luma, and where there is no chroma its channel repeats the third. Alpha is left out.

    Args:
      stream, layout, zero_planes, passes: as in `normalized_steps`.

    Raises:
      UnsupportedCodestream: like `normalized_steps`.
    """
    blocks = layout.blocks
    boxes, shape = _cells(stream, layout)
    channel = np.where(blocks.level <= 1, 0, np.where(blocks.level == 2, 1, 2))
    transformed = np.full(layout.tiles, stream.color_transform)
    for tile, parameters in stream.tile_parameters.items():
        transformed[tile] = parameters.color_transform
    channel = np.where(transformed[blocks.tile] & (blocks.component > 0), 3, channel)
    power = normalized_steps(stream, layout, zero_planes, passes) ** 2
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
