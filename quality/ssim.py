"""Structural similarity on BT.601 luma: SSIM (Wang et al. 2004) and MS-SSIM (Wang et al. 2003).

Gaussian window of 11×11 samples, sigma 1.5, K1 = 0.01, K2 = 0.03, population (not sample) covariance, peak
255 or 65535 by the sample type. Only windows that lie inside the photo count; along a side shorter than 11
samples, where none fits, the photo is extended by mirroring (edge sample repeated) and there is one window
per sample. So a photo of any size has a value, even a single pixel.

With x, y the two photos, their sum u = x + y and difference v = x − y give everything in four filterings
instead of five: 2 μx μy = (μu² − μv²) / 2, μx² + μy² = (μu² + μv²) / 2, and likewise for the variances.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled, compiled_without_checks
from foveate.quality.color import Pixels, Plane, check_pair, luma, peak_of, strips
from foveate.quality.saliency import StretchedMap, WeightedMean

RADIUS = 5
SIGMA = 1.5
K1, K2 = 0.01, 0.03
_BLOCK_ROWS, _BLOCK_COLUMNS = 64, 1024
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


def ssim(a: Pixels, b: Pixels) -> float:
    """Mean structural similarity, at most 1, for identical photos; ValueError for a mismatched pair."""
    return _compared(a, b, scales=1).ssim


def ssim_s(a: Pixels, b: Pixels, saliency: NDArray[np.float32]) -> float:
    """SSIM whose map is averaged under a saliency map (h, w), not negative, stretched over the photo.

    Each window is weighted by the saliency at its center. If all are zero, the same as `ssim`.
    """
    return _compared(a, b, scales=1, saliency=saliency).ssim_s


def ms_ssim(a: Pixels, b: Pixels) -> float:
    """SSIM over up to five dyadic scales, in [0, 1].

    Each scale is the 2×2 mean of the one before (an odd last row or column is dropped). Scales whose shorter
    side would be below 11 samples are left out and the weights of the others scaled to sum to one. A scale
    with negative mean similarity counts as zero.
    """
    return _compared(a, b, scales=len(SCALE_WEIGHTS)).ms_ssim


def _compared(
    a: Pixels, b: Pixels, *, scales: int, saliency: NDArray[np.float32] | None = None
) -> StructuralSimilarity:
    check_pair(a, b)
    height, width, _ = a.shape
    weights = None if saliency is None else StretchedMap.over(saliency, height, width)
    similarity = StructuralSimilarity(height, width, peak_of(a), scales=scales, weights=weights)
    for rows in strips(a):
        similarity.add(luma(a[rows]), luma(b[rows]))
    return similarity


class StructuralSimilarity:
    """SSIM, MS-SSIM and SSIM-S of two photos whose luma is fed strip by strip, from the top down.

    Takes memory for a strip, not for a photo.
    """

    def __init__(
        self,
        height: int,
        width: int,
        peak: float,
        *,
        scales: int = len(SCALE_WEIGHTS),
        weights: StretchedMap | None = None,
    ) -> None:
        count = min(scales, scale_count(height, width))
        self._scales = [
            _Scale(height >> scale, width >> scale, peak, weights if scale == 0 else None)
            for scale in range(count)
        ]

    def add(self, a: Plane, b: Plane) -> None:
        """Takes the next rows (h, width) of both; fewer than 11 only at the end."""
        *finer, coarsest = self._scales
        for scale in finer:
            scale.add(a, b)
            a, b = scale.halved(a, b)
        coarsest.add(a, b)

    @property
    def ssim(self) -> float:
        """The mean over all windows of the first scale."""
        return self._scales[0].similarity.plain

    @property
    def ssim_s(self) -> float:
        """The mean weighted by the saliency at the windows' centers."""
        return self._scales[0].similarity.weighted

    @property
    def ms_ssim(self) -> float:
        """The weighted product over all scales."""
        weights = np.asarray(SCALE_WEIGHTS[: len(self._scales)])
        *finer, coarsest = zip(self._scales, weights / weights.sum(), strict=True)
        result = 1.0
        for scale, weight in finer:
            result *= max(scale.contrast.plain, 0.0) ** weight
        scale, weight = coarsest
        return float(result * max(scale.similarity.plain, 0.0) ** weight)


def scale_count(height: int, width: int) -> int:
    """How many scales, 1 to 5, keep the shorter side at 11 samples or more."""
    windows = min(height, width) // (2 * RADIUS + 1)
    return min(max(windows.bit_length(), 1), len(SCALE_WEIGHTS))


def halve(plane: Plane) -> Plane:
    """(H, W) to (H // 2, W // 2) by the mean of 2×2 samples."""
    return _halved(plane)  # type: ignore[no-any-return]


@compiled
def _halved(plane):  # type: ignore[no-untyped-def]
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    result = np.empty((height, width), np.float32)
    for y in range(height):
        row, upper, lower = result[y], plane[2 * y], plane[2 * y + 1]
        for x in range(width):
            pair = (upper[2 * x] + lower[2 * x]) + (upper[2 * x + 1] + lower[2 * x + 1])
            row[x] = pair * np.float32(0.25)
    return result


class _Scale:
    """The windows of one scale, of `height` by `width` samples, and the rows that later ones still need."""

    def __init__(self, height: int, width: int, peak: float, weights: StretchedMap | None) -> None:
        self.similarity, self.contrast = WeightedMean(), WeightedMean()
        self._inside = tuple(RADIUS if side > 2 * RADIUS else 0 for side in (height, width))
        self._peak, self._weights = np.float32(peak), weights
        self._windows = 0  # rows of them that have been counted
        self._kept = self._odd = (np.empty((0, width), np.float32),) * 2

    def add(self, a: Plane, b: Plane) -> None:
        """Counts the windows that the next rows complete."""
        a, b = _joined(self._kept, (a, b))
        self._kept = a[max(0, len(a) - 2 * RADIUS) :].copy(), b[max(0, len(b) - 2 * RADIUS) :].copy()
        a, b = self._continued(a), self._continued(b)
        count, width = len(a) - 2 * RADIUS, a.shape[1] - 2 * RADIUS
        if count <= 0:
            return
        weights = self._at_centers(count)
        for block in _blocks(count, width):
            reach = tuple(slice(side.start, side.stop + 2 * RADIUS) for side in block)
            similarity, contrast = _factors(a[reach], b[reach], self._peak)
            self.contrast.add(contrast, None)
            self.similarity.add(similarity, None if weights is None else weights[block])
        self._windows += count

    def halved(self, a: Plane, b: Plane) -> tuple[Plane, Plane]:
        """The next rows at half the resolution; a row without a partner waits for it."""
        a, b = _joined(self._odd, (a, b))
        whole = len(a) // 2 * 2
        self._odd = a[whole:].copy(), b[whole:].copy()
        return halve(a), halve(b)

    def _continued(self, plane: Plane) -> Plane:
        """Mirrors sides too short for one window; a photo of few rows comes as one strip."""
        pads = [(RADIUS - inside, RADIUS - inside) for inside in self._inside]
        return np.pad(plane, pads, mode="symmetric") if any(before for before, _ in pads) else plane

    def _at_centers(self, count: int) -> Plane | None:
        """The weights at the centers of the next `count` rows of windows."""
        if self._weights is None:
            return None
        top, left = self._inside
        first = self._windows + top
        rows = self._weights.rows(slice(first, first + count))
        return rows[:, left : rows.shape[1] - left]


def _joined(before: tuple[Plane, Plane], after: tuple[Plane, Plane]) -> tuple[Plane, Plane]:
    if not len(before[0]):
        return after
    return np.concatenate((before[0], after[0])), np.concatenate((before[1], after[1]))


def _blocks(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of windows small enough to stay in cache."""
    for top, left in itertools.product(range(0, height, _BLOCK_ROWS), range(0, width, _BLOCK_COLUMNS)):
        yield slice(top, min(top + _BLOCK_ROWS, height)), slice(left, min(left + _BLOCK_COLUMNS, width))


def _window() -> NDArray[np.float32]:
    taps = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
    return np.asarray(taps / (2 * taps.sum() - taps[0]), np.float32)


_TAPS = tuple(_window())  # the center and one side
_SIDE = 2 * RADIUS + 1


@compiled
def _factors(a, b, peak):  # type: ignore[no-untyped-def]
    """The similarity and the contrast-structure factor of all windows inside (h, w) planes.

    Each row of windows is blurred down its columns, then along itself, for u, v, u² and v².
    """
    height, width = a.shape[0] - 2 * RADIUS, a.shape[1] - 2 * RADIUS
    similarity, contrast = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    recent = np.empty((_SIDE, 4, width + 2 * RADIUS), np.float32)  # rows of u, v, u² and v², in a ring
    down = np.empty((4, width + 2 * RADIUS), np.float32)
    across = np.empty((4, width), np.float32)
    for y in range(2 * RADIUS):
        _sums_and_squares(a[y], b[y], peak, recent[y % _SIDE])
    for y in range(height):
        last = y + 2 * RADIUS
        _sums_and_squares(a[last], b[last], peak, recent[last % _SIDE])
        for plane in range(4):
            _blur_down(recent, y, plane, down[plane])
            _blur_across(down[plane], across[plane])
        _compare_windows(across, peak, similarity[y], contrast[y])
    return similarity, contrast


@compiled
def _sums_and_squares(a, b, peak, row):  # type: ignore[no-untyped-def]
    """u, v, u² and v² of a row; the peak is subtracted from u, so that float32 is precise enough."""
    totals, differences, squared_totals, squared_differences = row[0], row[1], row[2], row[3]
    for x in range(len(a)):
        total, difference = a[x] + b[x] - peak, a[x] - b[x]
        totals[x], differences[x] = total, difference
        squared_totals[x], squared_differences[x] = total * total, difference * difference


@compiled
def _blur_down(recent, top, plane, result):  # type: ignore[no-untyped-def]
    r0 = recent[top % _SIDE, plane]
    r1 = recent[(top + 1) % _SIDE, plane]
    r2 = recent[(top + 2) % _SIDE, plane]
    r3 = recent[(top + 3) % _SIDE, plane]
    r4 = recent[(top + 4) % _SIDE, plane]
    r5 = recent[(top + 5) % _SIDE, plane]
    r6 = recent[(top + 6) % _SIDE, plane]
    r7 = recent[(top + 7) % _SIDE, plane]
    r8 = recent[(top + 8) % _SIDE, plane]
    r9 = recent[(top + 9) % _SIDE, plane]
    r10 = recent[(top + 10) % _SIDE, plane]
    t0, t1, t2, t3, t4, t5 = _TAPS
    for x in range(len(result)):
        result[x] = (
            t0 * r5[x]
            + t1 * (r4[x] + r6[x])
            + t2 * (r3[x] + r7[x])
            + t3 * (r2[x] + r8[x])
            + t4 * (r1[x] + r9[x])
            + t5 * (r0[x] + r10[x])
        )


@compiled
def _blur_across(row, result):  # type: ignore[no-untyped-def]
    t0, t1, t2, t3, t4, t5 = _TAPS
    for x in range(len(result)):
        result[x] = (
            t0 * row[x + 5]
            + t1 * (row[x + 4] + row[x + 6])
            + t2 * (row[x + 3] + row[x + 7])
            + t3 * (row[x + 2] + row[x + 8])
            + t4 * (row[x + 1] + row[x + 9])
            + t5 * (row[x] + row[x + 10])
        )


@compiled_without_checks
def _compare_windows(means, peak, similarity, contrast):  # type: ignore[no-untyped-def]
    """A row of windows: means of u, v, u² and v² to both factors."""
    steady_mean, steady_spread = np.float32(2 * (K1 * peak) ** 2), np.float32(2 * (K2 * peak) ** 2)
    nothing = np.float32(0)
    of_total, of_difference, of_squared_total, of_squared_difference = means[0], means[1], means[2], means[3]
    for x in range(len(similarity)):
        total, difference = of_total[x], of_difference[x]
        spread_total = of_squared_total[x] - total * total
        spread_total = spread_total if spread_total > nothing else nothing
        spread_difference = of_squared_difference[x] - difference * difference
        spread_difference = spread_difference if spread_difference > nothing else nothing
        total += peak
        squared, apart = total * total, difference * difference
        likeness = (spread_total - spread_difference + steady_spread) / (
            spread_total + spread_difference + steady_spread
        )
        contrast[x] = likeness
        similarity[x] = likeness * ((squared - apart + steady_mean) / (squared + apart + steady_mean))
