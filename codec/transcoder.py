"""Makes a codestream smaller by truncating and reordering its codewords, without coding any again.

    packets ─▶ codewords ─▶ decoded as far as they will be kept ─▶ hulls of passes ─▶ choice ─▶ codestream
                   └──────────────────── cut ────────────────────────────────────────▲

Choosing and writing are those of the encoder (`allocation`, `arrangement`). The slope that a target ends at
is guessed from some of the blocks; blocks are decoded down to a little below, and further where that was not
far enough.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, hulls, masking, tier1_decoder
from foveate.codec.allocation import Candidates, Choice
from foveate.codec.arrangement import arranged
from foveate.codec.block_weights import Emphasis, block_weights
from foveate.codec.codestream import REVERSIBLE, Codestream
from foveate.codec.coding import Pixels
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.layout import Blocks, Layout
from foveate.codec.noise import squared_norms
from foveate.codec.packet_stream import PacketStream
from foveate.codec.packets import Codewords, Layers
from foveate.codec.quality_search import Quality, QualityGoal, Search
from foveate.codec.rearrangement import in_order, laid_out_anew
from foveate.codec.saliency_weights import saliency_weights

_FIRST_SAMPLE = 24  # blocks that are decoded to the end, for a first guess
_SAMPLE_SHARE, _LEAST_SAMPLE, _LARGEST_SAMPLE = 10, 40, 160  # every tenth block, within these limits
_BELOW = math.log10(0.55)  # how far below a guess blocks are decoded
_NEAR = math.log10(1.25)  # a choice that ends nearer to what is decoded than this may lack passes
_DEEPER = math.log10(0.5)
_MOST_ROUNDS, _TRIALS, _HALVINGS = 40, 10, 30
_FILLINGS = 7  # numbers of bytes to try between two choices
_NO_ERROR = 1e-12  # squared
_JOBS_PER_THREAD = 4
_OCTAVES = 5  # that the weights of visibility know


class Transcoder:
    """Truncates a codestream to one target after another."""

    def __init__(
        self,
        source: PacketStream,
        emphasis: Emphasis | None = None,
        pixels: Pixels | None = None,
        *,
        access: bool = False,
        threads: int = 1,
    ) -> None:
        """Computes the new layout of the blocks, and their weights.

        Args:
          source: the codestream.
          emphasis: how errors are weighted; None for equal weights.
          pixels: (H, W, C) what it decodes to, where the emphasis asks what is visible.
          access: arrange it for reading parts of it.
          threads: how many to decode with; the bytes do not depend on it.

        Raises:
          UnsupportedCodestream: blocks of more than 31 bit-planes.
          BadCodestream: a block has more passes than bit-planes; when decoded, wrong segmentation symbols.
        """
        emphasis = emphasis or Emphasis()
        self.access, self.threads = access, threads
        self.source = source
        self.stream, self.layout, order = laid_out_anew(source, access)
        self.codewords, self.layers = in_order(source, order)
        self._blocks = _decodable(self.stream, self.layout, self.codewords, self.layers)
        self.weights = block_weights(
            len(self.layout.blocks.tile),
            emphasis,
            lambda: _visibility(self.stream, self.layout, pixels),
            lambda: self._salience(emphasis),
        )
        self._log_weights = np.log10(self.weights)
        self.passes = tier1_decoder.no_passes(len(self.weights), int(self.layers.passes[-1].max(initial=0)))
        c, sizes = self.codewords, self.layers.sizes[-1].astype(np.int32)
        counts = self.layers.passes[-1].astype(np.int32)
        self._codes = tier1_decoder.Codes(c.body, c.start, sizes, counts, c.cuts, c.first_cut)
        self._depth = math.inf  # the threshold that all blocks have been decoded down to

    def _salience(self, emphasis: Emphasis) -> NDArray[np.float64]:
        assert emphasis.saliency is not None
        return saliency_weights(self.stream, self.layout, emphasis.saliency, emphasis.gain_db)

    # ------------------------------------------------------------ targets

    def reordered(self) -> bytes:
        """Every pass in every layer of the source; decodes nothing."""
        return arranged(self.stream, self.layout, self.codewords, self.layers, access=self.access)

    def whole(self, layers: int = 1) -> Choice:
        """Every pass of every block."""
        self._decode_down_to(-math.inf)
        return allocation.take_all(self._candidates(with_last=True), layers)

    def at_slope(self, slope: float, layers: int = 1) -> Choice:
        """Truncates every block where one more byte gains less than `slope` of weighted squared error."""
        threshold = math.log10(slope)
        self._decode_down_to(threshold + _BELOW)
        return allocation.cut_at(self._candidates(), threshold, layers)

    def within(self, budget: int, layers: int = 1) -> Choice:
        """The best codestream of at most `budget` bytes.

        Raises:
          BudgetTooSmall: not even headers fit.
        """
        self._decode_down_to(self._guess_for_bytes(budget) + _BELOW)
        for _ in range(_MOST_ROUNDS):
            choice = allocation.fit_bytes(self._candidates(), budget, layers)
            if self._is_whole:
                break
            deepest = choice.threshold - allocation.FILL_RANGE
            if choice.threshold < self._depth + _NEAR:
                self._decode_down_to(min(self._depth, choice.threshold) + _DEEPER)
            elif self._depth > deepest and allocation.encoded_size(choice) < 0.999 * budget:
                # Graphics have few steps, and large ones: where bytes are left, flatter steps may still fit.
                self._decode_down_to(deepest)
            else:
                break
        return choice

    def of_quality(self, goal: QualityGoal, quality: Quality, layers: int = 1) -> Choice | None:
        """The smallest choice that reaches a goal; None if even the whole source does not."""
        search, decibels = Search(goal), goal.psnr_db + self._peak_decibels()
        if decibels < -10 * math.log10(_NO_ERROR):
            self._decode_down_to(self._guess_for_error(10 ** (-decibels / 10)) + _BELOW)
        for _ in range(_TRIALS):
            choice = self._cut_at_error(decibels, layers)
            if search.is_known(choice):
                break
            search.note(choice, self._decibels(choice), quality(choice))
            if search.is_over:
                break
            decibels = search.next_prediction()
        return self._filled(search, quality, layers)

    def _filled(self, search: Search, quality: Quality, layers: int) -> Choice | None:
        """The best choice of a search; or less, where its last step is a large one (of a small picture)."""
        best, goal = search.best, search.goal
        if search.is_over or best is None:
            return best
        low = self.least_bytes if search.missed is None else allocation.encoded_size(search.missed)
        high = allocation.encoded_size(best)
        for _ in range(_FILLINGS):
            budget = (low + high) // 2
            if budget in (low, high):
                break
            choice = self.within(budget, layers)
            excess = quality(choice) - goal.decibels
            if excess < 0:
                low = budget
                continue
            best, high = choice, budget
            if excess <= goal.tolerance:
                break
        return best

    def _cut_at_error(self, decibels: float, layers: int) -> Choice:
        """The coarsest choice with at least a number of `_decibels`."""
        for _ in range(_MOST_ROUNDS):
            candidates = self._candidates()
            low, high = candidates.threshold_range()

            def is_fine_enough(threshold: float, candidates: Candidates = candidates) -> bool:
                return self._decibels(allocation.cut_at(candidates, threshold)) >= decibels

            threshold, _ = allocation.narrowed(is_fine_enough, low, high, _HALVINGS)
            if self._is_whole or threshold >= self._depth + _NEAR:
                break
            self._decode_down_to(min(self._depth, threshold) + _DEEPER)
        return allocation.cut_at(candidates, threshold, layers)

    @property
    def peak(self) -> int:
        """The largest value of a sample, in whose units errors are counted."""
        return (1 << max(c.bit_depth for c in self.stream.size.components)) - 1

    @property
    def least_bytes(self) -> int:
        """The length of a codestream without any pass."""
        return allocation.encoded_size(allocation.cut_at(self._candidates(), math.inf))

    # ------------------------------------------------------------ decoding

    @property
    def _is_whole(self) -> bool:
        return bool((self.passes.number >= self.layers.passes[-1]).all())

    @property
    def _has_begun(self) -> NDArray[np.bool_]:
        """Which blocks have been decoded, maybe up to nothing: (blocks,)."""
        return np.isfinite(self.passes.promise)

    def _guess_for_bytes(self, budget: int) -> float:
        """The threshold (log10) at which a budget will be used up, as far as some of the blocks tell."""

        def threshold(sample: Candidates) -> float:
            share = float(self._codes.size[self._has_begun].sum()) / float(self._codes.size.sum())
            low, high = sample.threshold_range()
            return allocation.narrowed(
                lambda t: sample.bytes_above(t) > budget * share, low, high, _HALVINGS
            )[1]

        return self._guess(threshold)

    def _guess_for_error(self, error: float) -> float:
        """The threshold (log10) that leaves a squared error, as far as some of the blocks tell."""

        def threshold(sample: Candidates) -> float:
            share = np.count_nonzero(self._has_begun) / np.count_nonzero(self._codes.size)
            least = float(self.passes.energy.sum()) - error * share
            low, high = sample.threshold_range()
            return allocation.narrowed(
                lambda t: bool(allocation.cut_at(sample, t).gain >= least), low, high, _HALVINGS
            )[0]

        return self._guess(threshold)

    def _guess(self, threshold_of: Callable[[Candidates], float]) -> float:
        """A threshold (log10) that some blocks, decoded to the end, give, corrected by more blocks."""
        by_size = np.argsort(self._codes.size, kind="stable")
        by_size = by_size[self._codes.size[by_size] > 0]
        guess = -math.inf
        for wanted in (
            _FIRST_SAMPLE,
            min(max(len(by_size) // _SAMPLE_SHARE, _LEAST_SAMPLE), _LARGEST_SAMPLE),
        ):
            step = max(1, len(by_size) // wanted)
            self._decode(by_size[step // 2 :: step], guess + _BELOW)
            if not self._has_begun.any():
                break
            guess = threshold_of(self._candidates())
        return guess

    def _decode_down_to(self, depth: float) -> None:
        """Decodes all blocks until no pass can be worth a weighted slope (log10)."""
        if depth < self._depth:
            self._depth = depth
            self._decode(np.arange(len(self.weights)), depth)

    def _decode(self, blocks: NDArray[np.int64], depth: float) -> None:
        """Decodes those blocks that are not decoded down to a weighted slope yet, from their beginning."""
        thresholds = 10.0**depth / self.weights
        todo = blocks[(self.passes.promise >= thresholds)[blocks] & (self.passes.promise > 0)[blocks]]

        def work(own: NDArray[np.int64]) -> int:
            bad: int = tier1_decoder.decode_blocks(
                own, self._blocks, self._codes, thresholds, self.passes, tier1_decoder.TABLES
            )
            return bad

        jobs = np.array_split(todo, max(1, min(len(todo), self.threads * _JOBS_PER_THREAD)))
        if self.threads == 1:
            jobs = [todo]
        with ThreadPoolExecutor(self.threads) as pool:
            bad = max(pool.map(work, jobs))
        if bad >= 0:
            raise BadCodestream(f"code-block {bad} is damaged: wrong segmentation symbols")

    def _candidates(self, *, with_last: bool = False) -> Candidates:
        found = hulls.hulls_of(self.passes, with_last=with_last)
        return Candidates(self.stream, self.layout, self.codewords, found, self._log_weights, self.access)

    # ------------------------------------------------------------ quality

    def _decibels(self, choice: Choice) -> float:
        """The squared error that a choice leaves, as far as coefficients tell: -10 log10."""
        energy = float(self.passes.energy.sum())
        return -10 * math.log10(max(energy - choice.gain, 1e-6 * energy + _NO_ERROR))

    def _peak_decibels(self) -> float:
        """`_decibels` of a squared error of the peak in every sample: what is added to a PSNR."""
        size = self.stream.size
        count = len(size.components)
        samples = size.width * size.height * (count - (count + 1) % 2)  # without alpha
        return -10 * math.log10(samples * float(self.peak) ** 2)


def _decodable(
    stream: Codestream, layout: Layout, codewords: Codewords, layers: Layers
) -> tier1_decoder.Blocks:
    """The code-blocks as tier-1 decodes them."""
    blocks, passes = layout.blocks, layers.passes[-1].astype(np.int64)
    planes = np.where(passes > 0, blocks.planes - codewords.zero_planes.astype(np.int64), 0)
    if planes.max(initial=0) > tier1_decoder.MAX_PLANES:
        raise UnsupportedCodestream(f"a code-block of {planes.max()} bit-planes, more than 31")
    if (passes > np.maximum(3 * planes - 2, 0)).any():
        raise BadCodestream("a code-block has more coding passes than bit-planes allow")
    reversible = np.array(
        [[c.transformation == REVERSIBLE for c in stream.of_tile(t).coding] for t in range(layout.tiles)]
    )
    sides = (blocks.box[:, 2:] - blocks.box[:, :2]).astype(np.int32)
    return tier1_decoder.Blocks(
        width=np.ascontiguousarray(sides[:, 0]),
        height=np.ascontiguousarray(sides[:, 1]),
        band=np.ascontiguousarray(blocks.band, np.int32),
        planes=planes.astype(np.int32),
        style=np.ascontiguousarray(blocks.style, np.int32),
        shift=np.ascontiguousarray(blocks.region_shift, np.int32),
        error=squared_norms(stream, layout),
        exact=reversible[blocks.tile, blocks.component],
    )


def _visibility(stream: Codestream, layout: Layout, pixels: Pixels | None) -> NDArray[np.float64]:
    """`masking.visibility`; blocks of levels that it does not know count like the average."""
    if pixels is None:
        raise ValueError("what is visible is not known without pixels")
    weights = np.ones(len(layout.blocks.tile))
    known = (layout.blocks.level <= _OCTAVES) & (layout.blocks.component < 4)
    some = Blocks._make(np.ascontiguousarray(table[known]) for table in layout.blocks)
    weights[known] = masking.visibility(stream, dataclasses.replace(layout, blocks=some), pixels)[0]
    return weights
