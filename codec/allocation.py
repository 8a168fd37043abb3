"""Who gets the bits: rate-distortion optimisation after compression, among packets, weighted by saliency.

An encoder that wrote many quality layers has cut every code-block at one slope per layer. Dropping a block's
contributions past a layer is truncating it at that layer's slope. So each contribution is an increment with a
known slope and size; weighting the slope by the block's saliency and keeping the steepest until the bytes are
used up is rate allocation optimal for weighted squared error (Taubman's PCRD, 15444-1 Annex J.14), without
encoding again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codec import codestream, layout, packets
from codec.codestream import Codestream
from codec.compiled import compiled
from codec.layout import Layout
from codec.packets import Contributions

_FILL_CANDIDATES = 20_000  # increments past the threshold that are tried for the last bytes


_BOTTOM_DB, _TOP_DB, _LAYER_STEP_DB = 17.0, 59.75, 0.75  # layers of 8-bit photos
_MAX_LAYERS = 100  # OpenJPEG takes no more
_LEVEL_SHARES = np.array([0.35, 0.35, 0.2, 0.1])  # of the bytes at 0.5 bits a pixel, finest octave first
_WORTH_SMALL_BLOCKS_DB = 0.2


class BudgetTooSmall(ValueError):  # noqa: N818
    """Not even the headers fit into the bytes asked for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """A layered codestream, taken apart, and its increments in the order in which they deserve bytes."""

    stream: Codestream
    layout: Layout
    parts: Contributions
    block: NDArray[np.int32]  # of each increment, best first
    layer: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.block)


def layer_psnrs(bit_depth: int) -> tuple[float, ...]:
    """The PSNRs in dB to cut a photo's quality layers at, for `openjpeg.encode`; 0, the last, is
    "everything".

    Layers are the grain of the choice. Measured over 16 photos, plain weights, at 0.25 to 4 bits a pixel:
    0.75 dB apart is within 0.008 dB of 0.5 dB apart, and 1 dB loses 0.01 to 0.02 dB; 0.375 dB above 44 dB
    gains nothing; ending at 54 instead of 60 dB loses 0.05 dB at 3 bits a pixel. So 59 layers for 8 bits;
    deeper pictures get coarser ones on top, 6.02 dB a bit further, as far as the 100 layers of an encoder go.
    """
    count = round((_TOP_DB - _BOTTOM_DB) / _LAYER_STEP_DB)
    psnrs = [_BOTTOM_DB + _LAYER_STEP_DB * i for i in range(count + 1)]
    above = 6.02 * max(0, bit_depth - 8)
    more = min(int(above / _LAYER_STEP_DB), _MAX_LAYERS - 1 - len(psnrs))
    psnrs += [psnrs[-1] + above * (i + 1) / more for i in range(more)]
    return (*(round(psnr, 3) for psnr in psnrs), 0.0)


def parse_layers(data: bytes) -> tuple[Codestream, Layout, Contributions]:
    """Takes a codestream apart, down to contributions; raises like `codestream.parse` and `packets.parse`."""
    stream = codestream.parse(data)
    geometry = layout.lay_out(stream)
    return stream, geometry, packets.parse(stream, geometry)


def layer_slopes(parts: Contributions, psnrs_db: Sequence[float]) -> NDArray[np.float64]:
    """log10 of each layer's distortion-rate slope, from its PSNR and bytes; non-increasing.

    Args:
      parts: contributions of a codestream with one layer per entry of `psnrs_db`.
      psnrs_db: increasing; a last entry of 0 stands for "everything".
    """
    psnrs = np.array(psnrs_db, np.float64)
    if psnrs[-1] == 0:
        psnrs[-1] = psnrs[-2] + 6 if len(psnrs) > 1 else 60.0
    distortion = 10 ** (-psnrs / 10)
    rates = parts.lengths.sum(1, dtype=np.int64) + parts.header_bytes
    slopes = np.full(len(psnrs), np.nan)
    previous = None  # the distortion before the first layer is not known
    for i in np.flatnonzero(parts.lengths.any(1)):
        if previous is not None:
            slopes[i] = (distortion[previous] - distortion[i]) / rates[i]
        previous = i
    return _non_increasing(slopes)


def _non_increasing(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running minimum of the logarithms; an unknown slope is that of the next known layer, or the last."""
    known = np.flatnonzero(~np.isnan(slopes))
    if not len(known):
        return np.zeros(len(slopes))
    following = np.minimum(np.searchsorted(known, np.arange(len(slopes))), len(known) - 1)
    return np.minimum.accumulate(np.log10(slopes[known[following]]))


def saliency_weights(
    stream: Codestream, geometry: Layout, saliency: NDArray[np.float32], gain_db: float
) -> NDArray[np.float64]:
    """Each code-block's distortion weight: the mean of 10^(gain * s / 10) over its footprint in the photo.

    Args:
      stream: the codestream whose blocks are weighed.
      geometry: its layout.
      saliency: (h, w) float32 in [0, 1], any resolution, stretched over the photo.
      gain_db: how many decibels of squared error a salience of 1 is worth over one of 0.

    Returns:
      (blocks,) float64, at least 1 where the gain is positive.
    """
    weight = 10.0 ** (gain_db * saliency.astype(np.float64) / 10)
    size, blocks = stream.size, geometry.blocks
    grid = np.array([(c.dx, c.dy, c.dx, c.dy) for c in size.components])[blocks.component]
    box = ((blocks.box << blocks.level[:, None].astype(np.int64)) * grid).astype(np.float64)
    x0, y0, x1, y1 = (box - (size.x0, size.y0, size.x0, size.y0)).T
    means = _box_means(_summed(weight), x0, y0, x1, y1, size.height, size.width)
    return np.clip(means, weight.min(), weight.max())


def block_size(
    height: int, width: int, saliency: NDArray[np.float32] | None, gain_db: float = 12.0
) -> Literal[32, 64]:
    """The side of code-blocks that suits a photo and its saliency map; 64 where there is no map.

    Smaller blocks cost 0.1 to 0.25 dB, but follow the map more closely. What they can gain is foretold by how
    much of the map's contrast lies between the footprints of the two sizes: with weights w, the mean over
    squares of that size spreads allocation by 10 log10 (arithmetic mean of w / geometric mean of w) dB;
    levels count by the bytes that they usually take. Over 17 photos of 512 to 2048 pixels, five kinds of map,
    0.25 to 1 bit a pixel and 12 dB of gain, a foretold 0.2 dB or more meant +0.05 to +1.8 dB of PSNR-S with
    32 on average for each kind and size (a quarter of the picture: +1.5 dB at 512, +0.7 at 1024, +0.3 at 2048
    pixels; MS-ROI maps +0.15 to +0.7), less meant -0.3 to 0.0 dB. At 6 dB only what fills much of a small
    photo gains (+0.3 to +0.8).

    Args:
      height, width: of the photo.
      saliency: (h, w) float32 in [0, 1], stretched over the photo, or None.
      gain_db: what a salience of 1 is worth over one of 0.
    """
    if saliency is None:
        return 64
    weight = 10.0 ** (gain_db * saliency.astype(np.float64) / 10)
    table = _summed(weight)
    spread = []
    for side in (64, 128, 256, 512, 1024):  # pixels that a block of 32 covers at level 1, 2, ...
        y0, x0 = np.arange(0.0, height, side)[:, None], np.arange(0.0, width, side)
        means = _box_means(table, x0, y0, x0 + side, y0 + side, height, width)
        means = np.clip(means, weight.min(), weight.max())
        spread.append(10 * (np.log10(means.mean()) - np.log10(means).mean()))
    finer = -np.diff(spread)
    return 32 if finer @ _LEVEL_SHARES > _WORTH_SMALL_BLOCKS_DB else 64


def _summed(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The summed-area table, a row and a column larger."""
    table = np.zeros((weight.shape[0] + 1, weight.shape[1] + 1))
    table[1:, 1:] = weight.cumsum(0).cumsum(1)
    return table


def _box_means(
    table: NDArray[np.float64],
    x0: NDArray[np.float64],
    y0: NDArray[np.float64],
    x1: NDArray[np.float64],
    y1: NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.float64]:
    """Means of a map, given its summed-area table, over boxes of the photo that it is stretched over."""
    x0, x1 = _stretched(x0, x1, width, table.shape[1] - 1)
    y0, y1 = _stretched(y0, y1, height, table.shape[0] - 1)
    total = _sample(table, y1, x1) - _sample(table, y0, x1) - _sample(table, y1, x0) + _sample(table, y0, x0)
    return total / ((x1 - x0) * (y1 - y0))


def _stretched(
    start: NDArray[np.float64], end: NDArray[np.float64], extent: int, cells: int
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


def rank(
    stream: Codestream,
    geometry: Layout,
    parts: Contributions,
    slopes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Candidates:
    """Orders all increments by weighted slope, steepest first; those of one block stay in their order.

    Args:
      stream, geometry, parts: a layered codestream, from `parse_layers`.
      slopes: (layers,) log10, non-increasing, from `layer_slopes`.
      weights: (blocks,) positive.
    """
    layer, block = np.nonzero(parts.passes)
    value = slopes[layer] + np.log10(weights)[block]
    order = np.argsort(-value, kind="stable")
    return Candidates(stream, geometry, parts, block[order].astype(np.int32), layer[order].astype(np.int32))


def take(candidates: Candidates, count: int) -> NDArray[np.int32]:
    """The first input layer that each block does *not* get if the best `count` are kept: (blocks,)."""
    upto = np.zeros(len(candidates.layout.blocks.tile), np.int32)
    _keep(candidates.block[:count], candidates.layer[:count], upto)
    return upto


@compiled
def _keep(block, layer, upto):  # type: ignore[no-untyped-def]
    for i in range(len(block)):  # the increments of one block come in the order of its layers
        upto[block[i]] = layer[i] + 1


def fit_bytes(candidates: Candidates, budget: int) -> NDArray[np.int32]:
    """The best choice whose codestream is at most `budget` bytes: (blocks,) like `take`.

    First the steepest increments, to the slope where the bytes run out; then whatever still fits.

    Raises:
      BudgetTooSmall: headers and empty packets alone take more.
    """
    smallest = encoded_size(candidates, take(candidates, 0))
    if smallest > budget:
        raise BudgetTooSmall(f"{budget} bytes asked for, but an empty codestream takes {smallest}")
    lengths = candidates.parts.lengths[candidates.layer, candidates.block]
    total = np.cumsum(lengths, dtype=np.int64)
    low, high = 0, int(np.searchsorted(total, budget - smallest, side="right"))  # high may or may not fit
    if encoded_size(candidates, take(candidates, high)) <= budget:
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        if encoded_size(candidates, take(candidates, middle)) <= budget:
            low = middle
        else:
            high = middle
    return _fill(candidates, take(candidates, low), low, budget)


def _fill(candidates: Candidates, upto: NDArray[np.int32], start: int, budget: int) -> NDArray[np.int32]:
    """Adds increments past the threshold while bytes are left; their headers' cost is known only after."""
    reserve = 0
    for _ in range(8):
        room = budget - encoded_size(candidates, upto) - reserve
        if room <= 0:
            break
        end = min(len(candidates), start + _FILL_CANDIDATES)
        filled = _greedy(candidates.block[start:end], candidates.layer[start:end], candidates.parts.lengths,
                         candidates.parts.passes, upto, room)  # fmt: skip
        if np.array_equal(filled, upto):
            break
        excess = encoded_size(candidates, filled) - budget
        if excess <= 0:
            upto, reserve = filled, 0
        else:
            reserve += excess
    return upto


@compiled
def _greedy(block, layer, lengths, passes, upto, room):  # type: ignore[no-untyped-def]
    upto = upto.copy()
    for i in range(len(block)):
        b, k = block[i], layer[i]
        if upto[b] > k:
            continue
        cost = lengths[k, b] + (1 if upto[b] else 3)
        in_turn = True
        for earlier in range(upto[b], k):
            if passes[earlier, b]:
                in_turn = False
        if in_turn and cost <= room:
            upto[b] = k + 1
            room -= cost
        if room < 4:
            break
    return upto


def encoded_size(candidates: Candidates, upto: NDArray[np.int32]) -> int:
    """The length of the codestream that `encode` would return, in bytes."""
    size = packets.emitted_size(candidates.layout, candidates.parts, upto[None])
    return size + codestream.emitted_overhead(candidates.stream, candidates.layout.tiles)


def encode(candidates: Candidates, upto: NDArray[np.int32]) -> bytes:
    """The standard codestream of one quality layer that holds each block's contributions up to `upto`."""
    emitted = packets.emit(candidates.layout, candidates.parts, upto[None])
    parts = [
        (tile, emitted.data[emitted.bounds[tile, 0] : emitted.bounds[tile, -1]])
        for tile in range(candidates.layout.tiles)
    ]
    return codestream.emit(candidates.stream, 1, parts)
