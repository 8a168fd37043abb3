"""Encodes pixels as region-weighted JPEG 2000: codes only what it may keep, then chooses the passes.

    pixels ─▶ survey, a sample ─▶ predict the slope ─▶ code all down to a little below, for that slope
                                        ▲                       │
                                        └─ far from it ─ choose ┴─▶ codestream

A slope is weighted squared error per byte; thresholds are log10 of slopes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, base_step, block_costs, hulls, masking
from foveate.codec.allocation import Candidates, Choice
from foveate.codec.block_coder import BlockCoder
from foveate.codec.block_weights import Emphasis, block_weights
from foveate.codec.coding import Coding, Pixels
from foveate.codec.place_weights import WeightMap, energy_means
from foveate.codec.quality_search import Quality, QualityGoal, Search, decibels_at
from foveate.codec.rate_model import RateModel, Sample
from foveate.codec.saliency_weights import block_size, saliency_weights, weights_of_places
from foveate.codec.tile_sizes import tile_side

_SAMPLE_SHARE, _LEAST_SAMPLE, _LARGEST_SAMPLE = 10, 24, 160  # every tenth block, within these limits
_SAMPLE_DEPTH = math.log10(0.5)  # how far below the predicted slope a sample is coded
_SAFETY = math.log10(0.8)  # and all blocks below the corrected one
_DEEPER = math.log10(0.6)  # at least so much, where that was not far enough
_TOO_LOW, _TOO_HIGH = math.log10(1.6), math.log10(1.25)  # an aim, by a choice that ends above or below it
_MOST_AIMS, _MOST_ROUNDS = 4, 40
_WORTH_LEAVING_OUT = 0.002  # of a sample's bytes, by what they bring
_UNUSED = 0.001  # of a budget, that is not worth coding further down for
_HEADER_BYTES_PER_BLOCK = 0.5
_SLOPE_PER_ERROR = 40.0  # weighted slope over squared error per pixel, of usual photos
_DECIBELS_PER_DECADE, _LEAST_STEP = 8.0, 0.05  # of slope, to code further down
_QUALITY_TRIALS, _HALVINGS = 10, 30  # the latter of the range of thresholds

Effort = Literal["fast", "normal", "best"]


class Encoder:
    """Encodes a photo to one target after another; the results do not depend on each other.

    The photo is coded for one slope, the aim: passes that gain much less are not coded, and coefficients
    whose bits cost more than they gain are left out. If a target needs another slope, it is coded again.
    """

    def __init__(
        self,
        pixels: Pixels,
        emphasis: Emphasis | None = None,
        coding: Coding | None = None,
        effort: Effort = "normal",
    ) -> None:
        """Computes the photo's layout and weights.

        Photos of more than 33 megapixels are coded in tiles of up to 4096 x 4096, so that memory for about
        one tile suffices; passes are chosen over all tiles.

        Args:
          pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
          emphasis: how errors are weighted; None for equal weights.
          coding: how to code; the bytes are the same for any number of threads.
          effort: "best" also codes with other quantization steps and keeps the best result; if `emphasis`
            has a derivative, with weights corrected by what a first choice decodes to.

        Raises:
          ValueError: pixels or settings are out of range.
        """
        emphasis, coding = emphasis or Emphasis(), coding or Coding()
        height, width, _ = pixels.shape
        saliency = emphasis.saliency if emphasis.by_place else None
        coding = dataclasses.replace(
            coding,
            block_size=coding.block_size or block_size(height, width, saliency, emphasis.gain_db),
            tile_size=coding.tile_size or tile_side(height, width),
        )
        self.coder = BlockCoder(pixels, coding)
        self._emphasis = emphasis
        self.weights = block_weights(
            len(self.coder.areas), emphasis, lambda: self.visibility[0], lambda: self._salience
        )
        self.effort = effort
        self._derivative = emphasis.derivative if emphasis.tune == "visual" else None
        self._log_weights = np.log10(self.weights)
        self._aim: float | None = None  # the threshold that everything is coded for; -inf leaves out nothing
        self._base_step = 1.0
        self._leaves_out = True  # coefficients whose bits cost more than they gain
        self._depth = math.inf  # the threshold down to which all blocks have been coded
        self._model: RateModel | None = None

    @functools.cached_property
    def visibility(self) -> tuple[NDArray[np.float64], float]:
        """How visible errors are: `masking.visibility`, computed once."""
        return masking.visibility(self.coder.stream, self.coder.layout, self.coder.pixels)

    @functools.cached_property
    def _places(self) -> WeightMap | None:
        """The weight of errors at each place, by saliency; None if weights are per block."""
        emphasis = self._emphasis
        if not emphasis.by_place or emphasis.saliency is None or self.coder.contents is None:
            return None
        return weights_of_places(emphasis.saliency, emphasis.gain_db, *self.coder.pixels.shape[:2])

    @functools.cached_property
    def _salience(self) -> NDArray[np.float64]:
        """The weight of errors in each block, by saliency: (blocks,)."""
        coder, emphasis = self.coder, self._emphasis
        if self._places is not None and coder.contents is not None:
            return energy_means(coder.contents, coder.layout, self._places)
        assert emphasis.saliency is not None
        return saliency_weights(coder.stream, coder.layout, emphasis.saliency, emphasis.gain_db)

    # ------------------------------------------------------------ targets

    def whole(self, layers: int = 1) -> Choice:
        """Every pass of every block, which is lossless if the wavelet is reversible."""
        self._aim_at(-math.inf)
        return allocation.take_all(self._candidates(), layers)

    def at_slope(self, slope: float, layers: int = 1) -> Choice:
        """Truncates every block where one more byte would gain less than `slope` of weighted squared error.

        Squared errors are in units of the photo's own samples, summed over its channels.
        """
        threshold = math.log10(slope)
        self._try_leaving_out(threshold, self._sample(threshold + _SAFETY).blocks)

        def cut(step: float) -> Choice:
            self._aim_at(threshold, step, depth=threshold)
            return allocation.cut_at(self._candidates(), threshold, layers)

        return self._best_of(cut(self._fine_step(threshold)), cut)

    def moved_to_slope(self, slope: float, layers: int = 1) -> Choice:
        """Like `at_slope`, but continues from the last coding if that was for a similar slope.

        It is many times as fast then, but coefficients were left out for the former slope.
        """
        threshold = math.log10(slope)
        is_near = self._aim is not None and -_TOO_HIGH <= threshold - self._aim <= _TOO_LOW
        if self.effort == "best" or not is_near:
            return self.at_slope(slope, layers)
        if threshold < self._depth:
            self._code_down_to(threshold)
        return allocation.cut_at(self._candidates(), threshold, layers)

    @property
    def least_bytes(self) -> int:
        """The length of a codestream without any passes."""
        return allocation.encoded_size(allocation.cut_at(self._candidates(), math.inf))

    def within(self, budget: int, layers: int = 1) -> Choice:
        """The best codestream of at most `budget` bytes.

        Raises:
          BudgetTooSmall: not even headers fit.
        """
        self._aim_at(self._predicted(budget))
        choice = self._fitted(budget, layers)
        for _ in range(_MOST_AIMS):
            if not math.isfinite(choice.threshold) or self._is_well_aimed(choice):
                break
            self._aim_at(-math.inf if self._is_everything(choice) else choice.threshold)
            choice = self._fitted(budget, layers)

        def fit(step: float) -> Choice:
            self._aim_at(choice.threshold, step)
            return self._fitted(budget, layers)

        return self._best_of(choice, fit)

    def of_quality(self, goal: QualityGoal, quality: Quality, layers: int = 1) -> Choice | None:
        """The smallest choice that reaches a goal, exceeding it by no more than its tolerance if possible.

        Args:
          goal: what to reach.
          quality: of a choice, in the goal's unit; it must not fall with more bytes, except for ripples.
          layers: output layers.

        Returns:
          None if even the whole photo does not reach the goal.
        """
        decibels = decibels_at(goal.psnr_db, self.coder.pixels, self.coder.bit_depth)
        self._aim_at(self._predicted_at_error(10 ** (-decibels / 10)))
        choice = self._searched(goal, quality, decibels, layers)
        if choice is None or not math.isfinite(choice.threshold):
            return choice
        threshold = choice.threshold

        def search(step: float) -> Choice:
            self._aim_at(threshold, step)
            begin = self._decibels(allocation.cut_at(self._candidates(), threshold))
            return self._searched(goal, quality, begin, layers) or choice

        return self._best_of(choice, search)

    def _best_of(self, choice: Choice, again: Callable[[float], Choice]) -> Choice:
        """The choice or, with effort "best", a better one: of other quantization steps and weights."""
        if self.effort != "best" or not math.isfinite(choice.threshold):
            return choice
        weights, rivals = self.weights, [choice]
        if self._derivative is not None:
            factors = block_costs.seen_in(choice, self.coder, self.visibility[0], self._derivative)
            self._weigh(weights * factors)
            rivals = []
        slope = 10.0**choice.threshold
        fine = self._fine_step(choice.threshold)
        usual = choice.threshold - float(np.average(self._log_weights, weights=self.coder.areas))
        steps = [fine, *(fine * step for step in base_step.in_good_phases(usual))]
        best = max([*rivals, *map(again, steps)], key=lambda c: c.merit(slope))
        if weights is not self.weights:
            self._weigh(weights)
        return best

    def _weigh(self, weights: NDArray[np.float64]) -> None:
        """Sets new weights; nothing is coded for them yet."""
        self.weights, self._log_weights = weights, np.log10(weights)
        self._aim, self._model = None, None

    def _fine_step(self, threshold: float) -> float:
        return base_step.fine(threshold, float(self.weights.max()), self.coder.bit_depth)

    # ------------------------------------------------------------ coding

    def _aim_at(self, threshold: float, step: float | None = None, depth: float | None = None) -> None:
        """Codes all blocks for a threshold, unless they already are.

        `depth` is how far down, a little below the threshold by default.
        """
        step = self._fine_step(threshold) if step is None else step
        depth = threshold + _SAFETY if depth is None else depth
        if (threshold, step) != (self._aim, self._base_step):
            self.coder.restart(step)
            if self._places is not None and math.isfinite(threshold):
                self.coder.leave_out(self._places, self._salience, 10.0**threshold / self.weights)
            self._aim, self._base_step, self._depth = threshold, step, math.inf
        if depth < self._depth or self._depth == math.inf:
            self._code_down_to(depth)

    def _code_down_to(self, depth: float) -> None:
        """Codes blocks until no pass is worth a weighted slope (log10); -inf codes everything."""
        if not self.coder.can_go_on:
            self.coder.restart(self._base_step)
        aim = -math.inf if self._aim is None else self._aim
        prices = 10.0**aim / self.weights if self._leaves_out and aim > -math.inf else None
        self.coder.code(10.0**depth / self.weights, None, prices)
        self._depth = min(self._depth, depth)

    def _candidates(self) -> Candidates:
        stream, layout, codewords = self.coder.finished()
        found = hulls.hulls_of(self.coder.passes, with_last=self.coder.coding.reversible)
        return Candidates(stream, layout, codewords, found, self._log_weights, self.coder.coding.access)

    @property
    def _is_whole(self) -> bool:
        """Whether every pass of every block has been coded."""
        passes = self.coder.passes
        return bool((passes.number >= 3 * passes.planes - 2).all())

    def _is_everything(self, choice: Choice) -> bool:
        return self._is_whole and np.array_equal(choice.points[-1], choice.candidates.every_point)

    def _is_well_aimed(self, choice: Choice) -> bool:
        """Whether the right coefficients were left out, given the slope at which a choice ended."""
        if not (self._leaves_out or self._places) or self._aim in (None, -math.inf):
            return True
        return -_TOO_HIGH <= choice.threshold - self._aim <= _TOO_LOW and not self._is_everything(choice)

    def _fitted(self, budget: int, layers: int) -> Choice:
        """The best choice within a number of bytes; codes further down as needed."""
        for _ in range(_MOST_ROUNDS):
            choice = allocation.fit_bytes(self._candidates(), budget, layers)
            if self._is_whole:
                return choice
            if choice.threshold < self._depth:
                self._code_down_to(self._depth + _DEEPER)
                continue
            # Graphics have few, large steps: if bytes are left, flatter steps may still fit.
            deepest = choice.threshold - allocation.FILL_RANGE
            unused = budget - allocation.encoded_size(choice)
            if unused <= _UNUSED * budget or self._depth <= deepest:
                return choice
            self._code_down_to(deepest)
        raise AssertionError("coding further down has no end")

    # ------------------------------------------------------------ predictions

    def _predicted(self, budget: int) -> float:
        """The threshold at which a budget is used up, predicted from a sample."""
        size = max(1, budget / 2, budget - _HEADER_BYTES_PER_BLOCK * len(self.weights))
        if self._model is None:
            self.coder.restart(1.0)
            self._model = RateModel.of(self.coder.survey(), self.coder.blocks.error * self.weights)
        sample = self._sample(self._model.threshold_for(size) + _SAMPLE_DEPTH)
        threshold = sample.slope_of_bytes(size, self._model)
        self._try_leaving_out(threshold, sample.blocks)
        return threshold

    def _predicted_at_error(self, error: float) -> float:
        """The threshold that leaves a given squared error, predicted from a sample."""
        per_pixel = error / self.coder.pixels[..., 0].size
        sample = self._sample(math.log10(_SLOPE_PER_ERROR * per_pixel) + _SAMPLE_DEPTH)
        threshold = sample.slope_of_error(error)
        self._try_leaving_out(threshold, sample.blocks)
        return threshold

    def _try_leaving_out(self, threshold: float, blocks: NDArray[np.int64]) -> None:
        """Finds out on a sample whether leaving out coefficients pays: it does in photos, not in drawings.

        Args:
          threshold: the aim.
          blocks: of the sample, coded down to it without leaving out anything.
        """
        tiles = self.coder.layout.blocks.tile[blocks]
        blocks = blocks[tiles == tiles[len(tiles) // 2]]  # other tiles would have to be transformed first
        slope = 10.0**threshold
        plain, cost = self._worth_of(blocks, slope)
        self.coder.restart(1.0)
        self.coder.code(10.0 ** (threshold + _SAFETY) / self.weights, blocks, slope / self.weights)
        leaving_out, _ = self._worth_of(blocks, slope)
        self._leaves_out = leaving_out - plain > _WORTH_LEAVING_OUT * cost

    def _worth_of(self, blocks: NDArray[np.int64], slope: float) -> tuple[float, float]:
        """Weighted squared error that blocks cut at a slope remove, minus their cost in bytes; that cost."""
        choice = allocation.cut_at(self._candidates(), math.log10(slope))
        cost = slope * float(choice.layers.sizes[-1][blocks].sum())
        return float((choice.gains * self.weights)[blocks].sum()) - cost, cost

    def _sample(self, depth: float) -> Sample:
        """Codes some of the blocks without leaving out anything."""
        self.coder.restart(1.0)
        self._aim, self._depth = None, math.inf
        count = len(self.weights)
        stride = max(1, count // min(max(count // _SAMPLE_SHARE, _LEAST_SAMPLE), _LARGEST_SAMPLE))
        blocks = np.arange(stride // 2, count, stride)
        self.coder.code(10.0**depth / self.weights, blocks)
        passes, areas = self.coder.passes, self.coder.areas
        return Sample(
            blocks=blocks,
            share=float(areas[blocks].sum() / areas.sum()),
            hulls=hulls.hulls_of(passes),
            log_weights=self._log_weights,
            energy=float(passes.energy[blocks].sum()),
            depth=depth,
        )

    # ------------------------------------------------------------ quality

    def _searched(self, goal: QualityGoal, quality: Quality, decibels: float, layers: int) -> Choice | None:
        """Tries one choice after another, starting with one predicted to leave that error."""
        search = Search(goal)
        for _ in range(_QUALITY_TRIALS):
            choice = self._leaving(decibels, layers)
            if search.is_known(choice):
                break
            reached = search.note(choice, self._decibels(choice), quality(choice))
            if search.is_over:
                break
            decibels = search.next_prediction()
            if not reached and self._is_everything(choice):
                if self._aim == -math.inf:
                    return None
                self._aim_at(-math.inf)
        return search.best

    def _decibels(self, choice: Choice) -> float:
        """The squared error that a choice leaves, according to coefficients: -10 log10."""
        energy = float(self.coder.passes.energy.sum())
        return -10 * math.log10(max(energy - choice.gain, 1e-6 * energy + 1e-12))

    def _leaving(self, decibels: float, layers: int) -> Choice:
        """The coarsest choice that leaves at most a squared error (`_decibels`); codes more if needed."""
        candidates = self._candidates()
        while not self._is_whole:
            missing = decibels - self._decibels(allocation.cut_at(candidates, self._depth))
            if missing <= 0:
                break
            depth = self._depth - max(_LEAST_STEP, missing / _DECIBELS_PER_DECADE)
            if self._aim is not None and depth < self._aim + _SAFETY - _TOO_HIGH:
                self._aim_at(depth)
            else:
                self._code_down_to(depth)
            candidates = self._candidates()
        low, high = candidates.threshold_range()

        def is_fine_enough(threshold: float) -> bool:
            return self._decibels(allocation.cut_at(candidates, threshold)) >= decibels

        coarsest, _ = allocation.narrowed(is_fine_enough, max(low, self._depth), high, _HALVINGS)
        return allocation.cut_at(candidates, coarsest, layers)
