"""Transforms a picture and codes its code-blocks down to a threshold, and further on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.codec import codestream, dwt, quantization, tier1
from foveate.codec.arrangement import access_precincts
from foveate.codec.codestream import Codestream
from foveate.codec.coding import Coding, Pixels, checked_depth
from foveate.codec.layout import Layout, lay_out_at_most
from foveate.codec.packets import Codewords
from foveate.codec.parameters import (
    IRREVERSIBLE,
    REVERSIBLE,
    CodingStyle,
    Component,
    Size,
    emit_coding,
    emit_quantization,
    emit_size,
)
from foveate.codec.place_weights import Contents, WeightMap, leave_out

_MANY = 1 << 40  # packets: our own headers need no limit
_BLOCK_SIZE = 64
_SURVEY_STRIDE = 4  # of the lines of a block
_JOBS_PER_THREAD = 4


class BlockCoder:
    """Holds the coding state of all code-blocks of a picture.

    Coefficients of a picture in one tile are kept; with several tiles they are computed again when their
    blocks are coded, so that memory holds those of one tile at a time.
    """

    def __init__(self, pixels: Pixels, coding: Coding) -> None:
        """Computes the picture's layout without transforming anything yet.

        Args:
          pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.

        Raises:
          ValueError: pixels or settings are out of range.
        """
        self.pixels, self.coding = pixels, coding
        self.bit_depth = checked_depth(pixels, coding)
        height, width, components = pixels.shape
        side = coding.tile_size or max(height, width)
        levels = min(coding.levels, min(height, width, side).bit_length() - 1)
        # One bit has no room for the results of the color transform.
        self.color_transform = components >= 3 and self.bit_depth > 1
        self.block_size = coding.block_size or _BLOCK_SIZE
        log2 = self.block_size.bit_length() - 1
        transformation = REVERSIBLE if coding.reversible else IRREVERSIBLE
        precincts = access_precincts(levels) if coding.access else ((15, 15),) * (levels + 1)
        self.style = CodingStyle(levels, log2, log2, 0, transformation, precincts)
        self.size = Size(
            width, height, 0, 0, min(side, width), min(side, height), 0, 0,
            (Component(self.bit_depth, False, 1, 1),) * components,
        )  # fmt: skip
        self._quantize(1.0)
        self.layout = lay_out_at_most(self.stream, _MANY)
        blocks = self.layout.blocks
        self._band_of = np.where(blocks.resolution == 0, 0, 3 * (blocks.resolution - 1) + blocks.band)
        self.blocks = self._blocks()
        self.passes = tier1.no_passes(len(self.blocks.start), self._most_planes())
        self.body = np.empty(0, np.uint8)
        self._coefficients: NDArray[np.uint32] | None = None
        self._left_out = False  # some of them have been left out
        # Where left-out coefficients begin, and their values before.
        self._saved: list[tuple[int, NDArray[np.uint32]]] = []

    def _quantize(self, base_step: float) -> None:
        self.bands = quantization.bands_of(self.style, self.bit_depth, base_step)
        self.stream = self._stream(quantization.GUARD_BITS)

    def _stream(self, guard_bits: int) -> Codestream:
        irreversible = not self.coding.reversible
        return codestream.of_header(
            (
                emit_size(self.size),
                emit_coding(self.style, self.color_transform),
                emit_quantization(quantization.quantization_of(self.bands, irreversible, guard_bits)),
            )
        )

    def _blocks(self) -> tier1.Blocks:
        blocks = self.layout.blocks
        sides = (blocks.box[:, 2:] - blocks.box[:, :2]).astype(np.int32)
        area = sides.prod(1, dtype=np.int64)
        unit = np.array([band.step * band.norm for band in self.bands])[self._band_of]
        unit /= 2.0**dwt.FRACTION_BITS
        gains = quantization.color_gains(
            len(self.size.components), self.color_transform, not self.coding.reversible
        )
        error = unit**2 * np.array(gains)[blocks.component]
        return tier1.Blocks(
            area.cumsum() - area,
            np.ascontiguousarray(sides[:, 0]),
            np.ascontiguousarray(sides[:, 1]),
            np.ascontiguousarray(blocks.band),
            error,
        )

    @property
    def areas(self) -> NDArray[np.int64]:
        """Coefficients of each block: (blocks,)."""
        return self.blocks.width.astype(np.int64) * self.blocks.height

    @property
    def unit_errors(self) -> NDArray[np.float64]:
        """Squared error over all samples for a unit error of one coefficient, in each block: (blocks,)."""
        steps = np.array([band.step for band in self.bands])[self._band_of]
        return self.blocks.error * (2.0**dwt.FRACTION_BITS / steps) ** 2

    def _most_planes(self) -> int:
        """An upper limit of any coefficient's bit-planes: transforms add a few bits at most."""
        extra = max(-np.log2(band.step) for band in self.bands)
        return min(tier1.MAX_PLANES, self.bit_depth + 6 + int(max(0, np.ceil(extra))))

    # ------------------------------------------------------------ transforms

    def _tile_blocks(self, tile: int) -> tuple[int, int]:
        """The first block of a tile, and the first of the next."""
        first, end = np.searchsorted(self.layout.blocks.tile, [tile, tile + 1])
        return int(first), int(end)

    def _transformed(self, tile: int) -> tier1.Coefficients:
        """The coefficients of a tile's blocks."""
        if self._coefficients is not None:
            return tier1.Coefficients(self._coefficients, 0)
        first, end = self._tile_blocks(tile)
        offset = int(self.blocks.start[first]) if first < end else 0
        out = np.empty(int(self.areas[first:end].sum()), np.uint32)
        pixels = self.pixels[self.window(tile)]
        grids, rows = self._grids(first, end, offset), np.arange(pixels.shape[2]) * len(self.bands)
        middle = 1 << (self.bit_depth - 1)
        self._transform(pixels, grids, out, rows, middle=middle, mixed=self.color_transform)
        if self.layout.tiles == 1:
            self._coefficients = out
        return tier1.Coefficients(out, offset)

    def window(self, tile: int) -> tuple[slice, slice]:
        """The rows and the columns of a tile."""
        size = self.size
        top = tile // size.tiles_across * size.tile_height
        left = tile % size.tiles_across * size.tile_width
        bottom, right = min(top + size.tile_height, size.y1), min(left + size.tile_width, size.x1)
        return slice(top, bottom), slice(left, right)

    def analyzed(
        self, samples: NDArray[np.float32], own: slice, factors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Unquantized coefficients of other samples (h, w), around 0, with the wavelet of a tile's component.

        Args:
          own: all blocks of one component of one tile, in whose order coefficients are returned.
          factors: (bands,) of the coefficients of each band.
        """
        out = np.empty(int(self.areas[own].sum()), np.float32)
        scale = np.tile(factors, len(self.size.components))
        grids = self._grids(own.start, own.stop, int(self.blocks.start[own.start]))._replace(scale=scale)
        rows = self.layout.blocks.component[own][:1].astype(np.int64) * len(self.bands)
        self._transform(samples[..., None], grids, out, rows, middle=0, mixed=False)
        return out

    def forget_coefficients(self) -> None:
        """Frees memory: coefficients are computed again when needed, after a `restart`."""
        self._coefficients, self._saved = None, []

    def _grids(self, first: int, end: int, offset: int) -> dwt.BandGrids:
        """Where the blocks of each band of a tile lie."""
        blocks, side = self.layout.blocks, self.block_size
        count = len(self.bands)
        rows = len(self.size.components) * count
        row = blocks.component[first:end] * count + self._band_of[first:end]
        box = blocks.box[first:end]
        order = np.lexsort((box[:, 0], box[:, 1], row))
        begin = np.searchsorted(row[order], np.arange(rows + 1))
        across, inset_x, inset_y = (np.zeros(rows, np.int64) for _ in range(3))
        for r in range(rows):
            own = box[order[begin[r] : begin[r + 1]]]
            if len(own):
                across[r] = np.count_nonzero(own[:, 1] == own[0, 1])
                inset_x[r], inset_y[r] = own[0, 0] % side, own[0, 1] % side
        scales = np.array([2.0**dwt.FRACTION_BITS / band.step for band in self.bands], np.float32)
        starts = self.blocks.start[first:end][order] - offset
        scale = np.tile(scales, len(self.size.components))
        return dwt.BandGrids(begin[:-1].astype(np.int64), across, inset_x, inset_y, scale, starts, side, side)

    def _transform(
        self,
        pixels: NDArray[Any],
        grids: dwt.BandGrids,
        out: NDArray[Any],
        first_rows: NDArray[np.int64],
        *,
        middle: int,
        mixed: bool,
    ) -> None:
        """Color, wavelet, quantization: fills the coefficients of components of a tile.

        `first_rows` are those of the components in the grids; samples lie around `middle`.
        """
        height, width, components = pixels.shape
        levels, reversible = self.style.levels, self.coding.reversible
        shift: Any = np.int32(middle) if reversible else np.float32(middle)
        rings = dwt.new_rings(reversible, components, width)
        if not levels:
            dwt.quantize_pixels(pixels, shift, mixed, rings, first_rows, grids, out)
            return
        low = np.empty((components, (height + 1) >> 1, (width + 1) >> 1), rings.dtype)
        spare = np.empty((components, (low.shape[1] + 1) >> 1, (low.shape[2] + 1) >> 1), rings.dtype)
        for level in range(1, levels + 1):
            rows = first_rows + 3 * (levels - level) + 1
            last = level == levels
            if level == 1:
                to = dwt.Level(rows, last, low)
                dwt.transform_pixels(pixels, shift, mixed, rings, to, grids, out)
                planes, target = low, spare
                continue
            shape = (planes.shape[1] + 1) >> 1, (planes.shape[2] + 1) >> 1
            following = target[:, : shape[0], : shape[1]]
            dwt.transform_planes(planes, dwt.Level(rows, last, following), grids, out)
            planes, target = following, (low if target is spare else spare)

    # ------------------------------------------------------------ coding

    def transform(self) -> None:
        """Computes the coefficients of a single-tile picture now instead of on first use."""
        if self.layout.tiles == 1:
            self._transformed(0)

    @property
    def contents(self) -> Contents | None:
        """All coefficients of a single-tile picture; None for several tiles, which are not all kept."""
        if self.layout.tiles > 1:
            return None
        return Contents(self._transformed(0), self.blocks, (1 << self.bit_depth) - 1)

    def leave_out(self, weights: WeightMap, means: NDArray[np.float64], prices: NDArray[np.float64]) -> None:
        """Leaves out coefficients of a single-tile picture before coding: `place_weights.leave_out`."""
        contents = self.contents
        if contents is not None:
            leave_out(contents, self.layout, weights, means, prices)
            self._left_out, self._saved = True, []

    def survey(self) -> NDArray[np.float32]:
        """Counts the coefficients of each block by the plane of their highest bit: (blocks, 33).

        Entry p + 1 counts those of bit-plane p, entry 0 those below the step; from a quarter of all lines.
        """
        counts = np.zeros((len(self.blocks.start), 33), np.float32)
        for tile in range(self.layout.tiles):
            first, end = self._tile_blocks(tile)
            own = tier1.Blocks._make(table[first:end] for table in self.blocks)
            tier1.count_tops(self._transformed(tile), own, _SURVEY_STRIDE, counts[first:end])
        return counts

    def restart(self, base_step: float) -> None:
        """Discards everything coded, and quantizes with another step, in sample values (not with 5/3)."""
        before = np.array([band.step for band in self.bands])
        self._quantize(base_step)
        after = np.array([band.step for band in self.bands])
        exponents = np.array([band.exponent for band in self.bands], np.int32)[self._band_of]
        blocks = self.layout.blocks._replace(planes=exponents + np.int32(quantization.GUARD_BITS - 1))
        self.layout = dataclasses.replace(self.layout, blocks=blocks)
        self.blocks = self._blocks()
        self.passes = tier1.no_passes(len(self.blocks.start), self._most_planes())
        self.body = np.empty(0, np.uint8)
        if self._coefficients is not None:
            for start, values in self._saved:
                self._coefficients[start : start + len(values)] = values
        if self._left_out and not self._saved:
            self._coefficients = None
        self._left_out, self._saved = False, []
        if self._coefficients is not None and (before != after).any():
            dwt.rescale(self._coefficients, self.blocks.start, (before / after)[self._band_of])

    @property
    def can_go_on(self) -> bool:
        """Whether coding can continue: left-out coefficients of several tiles are not kept."""
        return not self._left_out or self.layout.tiles == 1

    def code(
        self,
        thresholds: NDArray[np.float64],
        todo: NDArray[np.int64] | None = None,
        prices: NDArray[np.float64] | None = None,
    ) -> None:
        """Codes blocks down to thresholds, continuing where each block stopped.

        Args:
          thresholds: (blocks,) squared error per byte below which a pass is not worth it; 0 codes everything.
          todo: numbers of the blocks, ascending; None for all.
          prices: (blocks,) squared error per byte that a coefficient must remove to become significant; None
            to leave out none.
        """
        if prices is not None:
            self._save(todo)
        else:
            prices = np.zeros_like(thresholds)
        rule = tier1.Rule(thresholds, prices, self.coding.reversible)
        pieces, size = [self.body], len(self.body)
        if todo is None:  # all codewords are written again
            todo = np.arange(len(self.blocks.start))
            pieces, size = [], 0
        for tile in range(self.layout.tiles):
            first, end = np.searchsorted(todo, self._tile_blocks(tile))
            if first == end:
                continue
            for own, (body, used) in self._coded(todo[first:end], self._transformed(tile), rule):
                self.passes.start[own] += size
                pieces.append(body[:used])
                size += used
        self.body = np.concatenate(pieces)  # there is at least one block

    def _save(self, todo: NDArray[np.int64] | None) -> None:
        """Saves coefficients of some blocks before any are left out; all would take too much memory."""
        self._saved = []
        if todo is not None and not self._left_out and self.layout.tiles == 1:
            coefficients = self._transformed(0).values
            starts, areas = self.blocks.start[todo].tolist(), self.areas[todo].tolist()
            self._saved = [
                (start, coefficients[start : start + area].copy())
                for start, area in zip(starts, areas, strict=True)
            ]
        self._left_out = True

    def _coded(
        self, todo: NDArray[np.int64], coefficients: tier1.Coefficients, rule: tier1.Rule
    ) -> Iterator[tuple[NDArray[np.int64], tuple[NDArray[np.uint8], int]]]:
        """Codes blocks of one tile on several threads."""
        threads = self.coding.threads

        def work(own: NDArray[np.int64]) -> tuple[NDArray[np.uint8], int]:
            room = np.empty(64 * len(own) + 1024, np.uint8)
            found: tuple[NDArray[np.uint8], int] = tier1.code_blocks(
                own, coefficients, self.blocks, rule, self.passes, self.body, room, tier1.TABLES
            )
            return found

        if threads == 1:
            yield todo, work(todo)
            return
        jobs = np.array_split(todo, min(len(todo), threads * _JOBS_PER_THREAD))
        with ThreadPoolExecutor(threads) as pool:
            yield from zip(jobs, pool.map(work, jobs), strict=True)

    # ------------------------------------------------------------ results

    def finished(self) -> tuple[Codestream, Layout, Codewords]:
        """Headers with enough guard bits for the magnitudes, the geometry, and everything coded."""
        spare = self.layout.blocks.planes - np.maximum(self.passes.planes, 0)
        guard_bits = max(0, quantization.GUARD_BITS - int(spare.min(initial=quantization.GUARD_BITS)))
        planes = self.layout.blocks.planes + np.int32(guard_bits - quantization.GUARD_BITS)
        zero_planes = np.maximum(planes - np.maximum(self.passes.planes, 0), 0)
        layout = dataclasses.replace(self.layout, blocks=self.layout.blocks._replace(planes=planes))
        codewords = Codewords(self.body, self.passes.start.copy(), zero_planes.astype(np.uint8))
        return self._stream(guard_bits), layout, codewords
