"""Who gets the bits: rate-distortion optimization after compression, among packets, weighted by place.

An encoder that wrote many quality layers has cut every code-block at one slope per layer, on the convex
hull of its truncation points. Dropping a block's contributions past a layer is truncating it at that layer's
slope. So each contribution is an increment with a known slope and size; weighting the slope by what an error
in that block counts for and keeping the steepest until the bytes are used up is rate allocation optimal for
weighted squared error (Taubman's PCRD, 15444-1 Annex J.14), over all blocks of all tiles and components at
once, without encoding again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, layout, packets, tier1
from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.packets import Contributions
from foveate.compiled import compiled

_FILL_CANDIDATES = 20_000  # increments past the threshold that are tried for the last bytes
_BOTTOM_DB, _TOP_DB, _LAYER_STEP_DB = 17.0, 59.75, 0.75  # layers of 8-bit photos
_MAX_LAYERS = 100  # OpenJPEG takes no more
_LAYER_RATIO = 2.0  # of the bytes of an output layer and those before it, to those of the ones before
_TIGHTENING = 0.01  # of the bytes, at most, are won by cutting tighter
_DECODED_BYTES = 60_000  # of codewords, for that
_LEFT_TO_FILL = 0.0005  # of the bytes
_QUALITY_TRIALS = 16
_SHARE_AT_FIRST = 0.3  # of all increments, for want of two points on the curve


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


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """What is kept of the candidates, in one or more output layers.

    `upto` is (output layers, blocks), non-decreasing along the first axis: the first input layer that each
    block does *not* get, up to each output layer.
    """

    candidates: Candidates
    upto: NDArray[np.int32]


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


def layer_slopes(geometry: Layout, parts: Contributions, psnrs_db: Sequence[float]) -> NDArray[np.float64]:
    """log10 of the distortion-rate slope of each layer in each tile, non-increasing: (layers, tiles).

    Slopes of different tiles compare: they are summed squared error per byte, but for one common factor.

    Args:
      geometry: of the codestream.
      parts: its contributions; every tile has one layer per entry of `psnrs_db`.
      psnrs_db: increasing; a last entry of 0 stands for "everything".
    """
    psnrs = np.array(psnrs_db, np.float64)
    if psnrs[-1] == 0:
        psnrs[-1] = psnrs[-2] + 6 if len(psnrs) > 1 else 60.0
    distortion = 10 ** (-psnrs / 10)
    slopes = np.empty((len(psnrs), geometry.tiles))
    first = np.searchsorted(geometry.blocks.tile, np.arange(geometry.tiles + 1))
    sides = geometry.blocks.box[:, 2:] - geometry.blocks.box[:, :2]
    included = (parts.passes > 0).sum(1)
    for tile in range(geometry.tiles):
        of_tile = slice(first[tile], first[tile + 1])
        rates = parts.lengths[:, of_tile].sum(1, dtype=np.int64)
        # Packet headers are noted by layer, not by tile: a tile's share goes by its contributions.
        share = (parts.passes[:, of_tile] > 0).sum(1) / np.maximum(included, 1)
        log_samples = np.log10(max(1, int(sides[of_tile].prod(1).sum())))
        slopes[:, tile] = log_samples + _tile_slopes(distortion, rates, parts.header_bytes * share)
    return slopes


def _tile_slopes(
    distortion: NDArray[np.float64], rates: NDArray[np.int64], header_bytes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log10 of a tile's slope in each layer, from the mean squared error that each leaves."""
    slopes = np.full(len(distortion), np.nan)
    previous = None  # the distortion before the first layer is not known
    for i in np.flatnonzero(rates):
        if previous is not None:
            slopes[i] = (distortion[previous] - distortion[i]) / (rates[i] + header_bytes[i])
        previous = i
    return _non_increasing(slopes)


def _non_increasing(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running minimum of the logarithms; an unknown slope is that of the next known layer, or the last."""
    known = np.flatnonzero(~np.isnan(slopes))
    if not len(known):
        return np.zeros(len(slopes))
    following = np.minimum(np.searchsorted(known, np.arange(len(slopes))), len(known) - 1)
    return np.minimum.accumulate(np.log10(slopes[known[following]]))


def rank(
    stream: Codestream,
    geometry: Layout,
    parts: Contributions,
    slopes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Candidates:
    """Orders all increments by weighted slope, steepest first; those of one block stay in their order.

    Of increments of one weighted slope, those of a layer in blocks of one weight, luma goes before chroma and
    coarse resolutions before fine ones: over 47 photos that is worth 2.3 % of the bytes at equal MS-SSIM
    and costs nothing in PSNR. (Weights for subbands, found by trial to win 0.1 % in PSNR, undo it.)

    Args:
      stream, geometry, parts: a layered codestream, from `parse_layers`.
      slopes: (layers, tiles) log10, non-increasing, from `layer_slopes`.
      weights: (blocks,) positive.
    """
    layer, block = np.nonzero(parts.passes)
    value = slopes[layer, geometry.blocks.tile[block]] + np.log10(weights)[block]
    order = np.argsort(-value, kind="stable")
    return Candidates(stream, geometry, parts, block[order].astype(np.int32), layer[order].astype(np.int32))


def take(candidates: Candidates, count: int, layers: int = 1) -> Choice:
    """The best `count` increments, in so many output layers."""
    return Choice(candidates, _layered(candidates, _upto(candidates, count), layers))


def _upto(candidates: Candidates, count: int) -> NDArray[np.int32]:
    upto = np.zeros(len(candidates.layout.blocks.tile), np.int32)
    _keep(candidates.block[:count], candidates.layer[:count], upto)
    return upto


@compiled
def _keep(block, layer, upto):  # type: ignore[no-untyped-def]
    for i in range(len(block)):  # the increments of one block come in the order of its layers
        upto[block[i]] = layer[i] + 1


def _layered(candidates: Candidates, upto: NDArray[np.int32], layers: int) -> NDArray[np.int32]:
    """Cuts what is kept into output layers, each of as many bytes as all before it: (layers, blocks)."""
    if layers == 1:
        return upto[None]
    kept = upto[candidates.block] > candidates.layer
    lengths = np.where(kept, candidates.parts.lengths[candidates.layer, candidates.block], 0)
    total = np.cumsum(lengths, dtype=np.int64)
    whole = int(total[-1]) if len(total) else 0
    cuts = np.empty((layers, len(upto)), np.int32)
    for k in range(layers - 1):
        count = int(np.searchsorted(total, whole * _LAYER_RATIO ** (k + 1 - layers), side="right"))
        cuts[k] = np.minimum(_upto(candidates, count), upto)
    cuts[-1] = upto
    return cuts


def fit_bytes(candidates: Candidates, budget: int, layers: int = 1) -> Choice:
    """The best choice whose codestream is at most `budget` bytes.

    First the steepest increments, to the slope where the bytes run out; then whatever still fits.

    Raises:
      BudgetTooSmall: headers and empty packets alone take more.
    """
    smallest = encoded_size(take(candidates, 0, layers))
    if smallest > budget:
        raise BudgetTooSmall(f"{budget} bytes asked for, but an empty codestream takes {smallest}")
    roughly = _fitting_count(candidates, int(budget * (1 + _TIGHTENING)), layers, _TIGHTENING)
    candidates = _tightened(candidates, _upto(candidates, roughly))
    count = _fitting_count(candidates, budget, layers, _LEFT_TO_FILL)
    return _fill(take(candidates, count, layers), count, budget)


def _fitting_count(candidates: Candidates, budget: int, layers: int, tolerance: float) -> int:
    """How many of the steepest increments fit a budget and use it but for a share of `tolerance`."""
    lengths = candidates.parts.lengths[candidates.layer, candidates.block]
    total = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    low, high = 0, len(total)  # low fits, high does not
    left = budget - encoded_size(take(candidates, 0, layers))
    while high - low > 1 and left > tolerance * budget:
        # Headers grow slowly: aim as if they did not, but not so near the ends that many steps are needed.
        aim = int(np.searchsorted(total, total[low] + left, side="right")) - 1
        middle = min(max(aim, low + 1), high - 1)
        room = budget - encoded_size(take(candidates, middle, layers))
        if room >= 0:
            low, left = middle, room
        else:
            high = middle
            left = min(left, int((total[middle] - total[low]) * left / (left - room)))
    return low


def fit_quality(
    candidates: Candidates,
    target: float,
    tolerance: float,
    quality: Callable[[bytes], float],
    layers: int = 1,
) -> Choice | None:
    """The smallest choice of at least a quality, exceeding it by no more than a tolerance where it can.

    Args:
      candidates: to choose from.
      target: in the unit of `quality`.
      tolerance: likewise; the search ends inside it, or after 16 trials.
      quality: of what a codestream decodes to; more bytes must not mean less of it, but for ripples.
      layers: output layers.

    Returns:
      None where all there is does not reach the target.
    """

    def reached(count: int) -> float:
        return quality(encode(take(candidates, count)))

    low, high = 0, len(candidates)  # low misses the target, high reaches it
    low_value, high_value = -np.inf, reached(high)
    if high_value < target:
        return None
    same_side = 0  # how often in a row the same end moved: a curve, whose chord lies far off
    for _ in range(_QUALITY_TRIALS):
        if high - low <= 1 or high_value - target <= tolerance:
            break
        if low == 0:
            share = _SHARE_AT_FIRST
        elif abs(same_side) > 1:
            share = 0.5
        else:
            share = (target + tolerance / 2 - low_value) / (high_value - low_value)
        middle = min(max(low + round(share * (high - low)), low + 1), high - 1)
        value = reached(middle)
        if value >= target:
            high, high_value = middle, value
            same_side = max(same_side, 0) + 1
        else:
            low, low_value = middle, value
            same_side = min(same_side, 0) - 1
    return tightened(take(candidates, high, layers))


def tightened(choice: Choice) -> Choice:
    """The same picture in a little less: codewords cut as early as a decoder allows.

    What a codeword can be cut by, half a byte on average, does not depend on its length, but what it takes to
    find out does: so the short ones are done, up to 60,000 bytes of them, which take some 80 ms.
    """
    return dataclasses.replace(choice, candidates=_tightened(choice.candidates, choice.upto[-1]))


def _tightened(candidates: Candidates, upto: NDArray[np.int32]) -> Candidates:
    parts = candidates.parts
    kept = parts.bytes_before[np.arange(len(upto)), upto]
    shortest_first = np.argsort(kept, kind="stable")
    decoded = np.cumsum(kept[shortest_first], dtype=np.int64)
    count = np.searchsorted(decoded, _DECODED_BYTES, side="right")
    bound = np.zeros_like(upto)
    bound[shortest_first[:count]] = upto[shortest_first[:count]]
    parts = tier1.tighten(candidates.layout, parts, bound)
    return dataclasses.replace(candidates, parts=parts)


def _fill(choice: Choice, start: int, budget: int) -> Choice:
    """Adds increments past the threshold while bytes are left; their headers' cost is known only after."""
    candidates, layers = choice.candidates, len(choice.upto)
    reserve = 0
    for _ in range(8):
        room = budget - encoded_size(choice) - reserve
        if room <= 0:
            break
        end = min(len(candidates), start + _FILL_CANDIDATES)
        upto = choice.upto[-1]
        filled = _greedy(candidates.block[start:end], candidates.layer[start:end], candidates.parts.lengths,
                         candidates.parts.passes, upto, room)  # fmt: skip
        if np.array_equal(filled, upto):
            break
        more = Choice(candidates, _layered(candidates, filled, layers))
        excess = encoded_size(more) - budget
        if excess <= 0:
            choice, reserve = more, 0
        else:
            reserve += excess
    return choice


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


def encoded_size(choice: Choice) -> int:
    """The length of the codestream that `encode` would return, in bytes."""
    candidates = choice.candidates
    size = packets.emitted_size(candidates.layout, candidates.parts, choice.upto)
    tile_parts = candidates.layout.tiles * len(choice.upto)
    return size + codestream.emitted_overhead(candidates.stream, tile_parts)


def encode(choice: Choice) -> bytes:
    """The standard codestream of a choice: LRCP, one tile-part for each output layer of each tile.

    The tile-parts of the first layer come first. So what stands before any layer's first tile-part is, with
    an end-of-codestream marker, a codestream of the layers before it.
    """
    candidates, layers = choice.candidates, len(choice.upto)
    emitted = packets.emit(candidates.layout, candidates.parts, choice.upto)
    parts = [
        (tile, emitted.data[emitted.bounds[tile, layer] : emitted.bounds[tile, layer + 1]])
        for layer in range(layers)
        for tile in range(candidates.layout.tiles)
    ]
    return codestream.emit(candidates.stream, layers, parts)
