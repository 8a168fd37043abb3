"""Saliency maps as weights of errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def resize_saliency(saliency: Plane, height: int, width: int) -> Plane:
    """Stretch a map (h, w) over a photo: (height, width) float32, bilinear.

    Samples sit at pixel centres and the border is continued, so the whole map covers the whole photo.
    Raises ValueError for a map that is not two-dimensional, is empty, or holds negative or non-finite values.
    """
    if saliency.ndim != 2 or saliency.size == 0:
        raise ValueError(f"expected a non-empty (h, w) saliency map, got {saliency.shape}")
    if not np.isfinite(saliency).all() or saliency.min() < 0:
        raise ValueError("a saliency map must be finite and not negative")
    wide = _stretch_rows(saliency.astype(np.float32).T, width).T
    return _stretch_rows(np.ascontiguousarray(wide), height)


def _stretch_rows(plane: Plane, rows: int) -> Plane:
    position = (np.arange(rows, dtype=np.float64) + 0.5) * (plane.shape[0] / rows) - 0.5
    position = position.clip(0, plane.shape[0] - 1)
    above = position.astype(np.intp)
    below = np.minimum(above + 1, plane.shape[0] - 1)
    share = (position - above).astype(np.float32)
    result = np.empty((rows, plane.shape[1]), np.float32)
    for row in range(rows):
        result[row] = plane[above[row]] + share[row] * (plane[below[row]] - plane[above[row]])
    return result


def weighted_mean(values: Plane, weights: Plane | None) -> float:
    """Mean of `values` (H, W) under `weights` (H, W); the plain mean where those are None or sum to zero."""
    total = 0.0 if weights is None else float(weights.sum(dtype=np.float64))
    if weights is None or total == 0:
        return float(values.mean(dtype=np.float64))
    return float(np.einsum("ij,ij->i", values, weights).sum(dtype=np.float64)) / total
