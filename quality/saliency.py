"""Uses saliency maps as weights of errors and means."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled

Plane = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class StretchedMap:
    """A saliency map stretched over a photo, with rows computed on request."""

    wide: Plane  # (h, width): its columns are stretched already
    height: int

    @classmethod
    def over(cls, saliency: Plane, height: int, width: int) -> StretchedMap:
        """Stretches a map (h, w) over a photo, bilinearly.

        Samples are at pixel centers and the border is extended, so that the whole map covers the whole photo.
        Raises ValueError for a map that is not two-dimensional, is empty, or contains negative or non-finite
        values.
        """
        if saliency.ndim != 2 or saliency.size == 0:
            raise ValueError(f"expected a non-empty (h, w) saliency map, got {saliency.shape}")
        if not np.isfinite(saliency).all() or saliency.min() < 0:
            raise ValueError("a saliency map must be finite and not negative")
        columns = _stretched(saliency.astype(np.float32).T, width, slice(0, width))
        return cls(np.ascontiguousarray(columns.T), height)

    def rows(self, rows: slice) -> Plane:
        """Rows of the photo from `rows.start` up to `rows.stop`: (rows, width) float32."""
        return _stretched(self.wide, self.height, rows)


def resize_saliency(saliency: Plane, height: int, width: int) -> Plane:
    """A whole `StretchedMap`: (height, width) float32; raises like it."""
    return StretchedMap.over(saliency, height, width).rows(slice(0, height))


def _stretched(plane: Plane, extent: int, rows: slice) -> Plane:
    """`rows` of a plane whose rows are stretched to `extent`."""
    position = (np.arange(rows.start, rows.stop, dtype=np.float64) + 0.5) * (plane.shape[0] / extent) - 0.5
    position = position.clip(0, plane.shape[0] - 1)
    above = position.astype(np.intp)
    below = np.minimum(above + 1, plane.shape[0] - 1)
    share = (position - above).astype(np.float32)
    result = np.empty((len(position), plane.shape[1]), np.float32)
    for row in range(len(position)):
        result[row] = plane[above[row]] + share[row] * (plane[below[row]] - plane[above[row]])
    return result


@dataclasses.dataclass
class WeightedMean:
    """A mean that is fed piece by piece."""

    total: float = 0.0
    count: int = 0
    weighted_total: float = 0.0
    weight: float = 0.0

    def add(self, values: Plane, weights: Plane | None) -> None:
        """Takes values (h, w) and their weights, of the same shape."""
        self.total += _sum(values)
        self.count += values.size
        if weights is not None:
            self.weighted_total += _sum_of_products(values, weights)
            self.weight += _sum(weights)

    @property
    def plain(self) -> float:
        """The unweighted mean of all values."""
        return self.total / self.count

    @property
    def weighted(self) -> float:
        """The weighted mean; the plain one if there are no weights or they sum to zero."""
        return self.weighted_total / self.weight if self.weight else self.plain


@compiled
def _sum(values):  # type: ignore[no-untyped-def]
    """The sum in float64, by columns first: in a fixed order, and several columns at once."""
    height, width = values.shape
    columns = np.zeros(width)
    for y in range(height):
        for x in range(width):
            columns[x] += values[y, x]
    return columns.sum()


@compiled
def _sum_of_products(values, weights):  # type: ignore[no-untyped-def]
    """Like `_sum`, of each value times its weight."""
    height, width = values.shape
    columns = np.zeros(width)
    for y in range(height):
        for x in range(width):
            columns[x] += values[y, x] * weights[y, x]
    return columns.sum()
