"""Standard measures of how well a saliency map matches a mask, each for one photo.

Maps are (H, W) float in [0, 1], used as they are (most libraries first stretch each to its range, which would
hide what values mean); masks are (H, W) bool. PySODMetrics 1.6.2 gives the same figures; it is not a
dependency because it excludes this project's versions of NumPy and scikit-image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]

BETA_SQUARED = 0.3  # precision counts more, as Achanta et al. 2009 and most after them
LEVELS = 256
_EPSILON = np.finfo(np.float64).eps


def mean_absolute_error(saliency: Map, mask: Mask) -> float:
    """Mean of |map - mask|: less is better."""
    return float(np.abs(saliency - mask).mean())


def precision_recall(saliency: Map, mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both at each of 256 thresholds, 0 to 255 of the map in steps of 1/255; what equals one is found.

    Where nothing is found, precision is 1.
    """
    levels = np.rint(np.clip(saliency, 0, 1) * (LEVELS - 1)).astype(np.intp)
    hits, found = (
        np.bincount(some.ravel(), minlength=LEVELS)[::-1].cumsum()[::-1] for some in (levels[mask], levels)
    )
    return np.where(found > 0, hits / np.maximum(found, 1), 1.0), hits / max(int(mask.sum()), 1)


def f_measure(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted harmonic mean of both, beta² = 0.3."""
    both = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / np.maximum(both, _EPSILON)


def weighted_f(saliency: Map, mask: Mask) -> float:
    """The weighted F-measure of Margolin, Zelnik-Manor, Tal 2014 (beta = 1): all thresholds at once.

    Errors inside the mask are smoothed over their neighborhood, those outside weigh more the farther away.
    Zero for an empty mask.
    """
    if not mask.any():
        return 0.0
    distance, (rows, columns) = ndimage.distance_transform_edt(~mask, return_indices=True)
    error = np.abs(saliency - mask).astype(np.float64)
    places = np.arange(-3, 4)
    bell = np.exp(-(places**2) / 50.0)  # 7 samples wide, a standard deviation of 5, as theirs
    window = np.outer(bell, bell)
    smoothed = ndimage.convolve(error[rows, columns], window / window.sum(), mode="constant")
    least = np.where(mask & (smoothed < error), smoothed, error)
    weighted = least * np.where(mask, 1.0, 2 - np.exp(np.log(0.5) / 5 * distance))
    inside = float(mask.sum() - weighted[mask].sum())
    recall, precision = 1 - weighted[mask].mean(), inside / (inside + weighted[~mask].sum() + _EPSILON)
    return float(2 * recall * precision / (recall + precision + _EPSILON))


def structure_measure(saliency: Map, mask: Mask) -> float:
    """The S-measure of Fan, Cheng, Liu, Li, Borji 2017 (alpha = 0.5): likeness of object and of regions."""
    share = float(mask.mean())
    if share in (0.0, 1.0):
        return float(saliency.mean() if share else 1 - saliency.mean())
    likeness = share * _object(saliency[mask]) + (1 - share) * _object(1 - saliency[~mask])
    return max(0.0, 0.5 * likeness + 0.5 * _regions(saliency, mask))


def _object(values: Map) -> float:
    """High for values that are near 1 and alike (formula 4 and 5 of the paper)."""
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + spread + _EPSILON)


def _regions(saliency: Map, mask: Mask) -> float:
    """Structural similarity of the four parts about the mask's center, by their areas (formula 7)."""
    y, x = (round(float(where.mean())) + 1 for where in np.nonzero(mask))
    parts = [(rows, columns) for rows in (slice(y), slice(y, None)) for columns in (slice(x), slice(x, None))]
    return sum(_similarity(saliency[part], mask[part]) * mask[part].size for part in parts) / mask.size


def _similarity(saliency: Map, mask: Mask) -> float:
    if mask.size == 0:
        return 0.0
    a, b = saliency.astype(np.float64), mask.astype(np.float64)
    count = max(a.size - 1, 1)
    both = float(((a - a.mean()) * (b - b.mean())).sum()) / count
    spreads = float(np.square(a - a.mean()).sum() + np.square(b - b.mean()).sum()) / count
    above, below = 4 * a.mean() * b.mean() * both, (a.mean() ** 2 + b.mean() ** 2) * spreads
    if above != 0:
        return float(above / (below + _EPSILON))
    return float(below == 0)


def auc_judd(saliency: Map, fixated: Mask) -> float:
    """Area under the ROC curve over all thresholds (Judd, Ehinger, Durand, Torralba 2009).

    The chance that a fixated pixel has a higher value than another; ties, which Judd's code breaks by noise,
    count half. 0.5 where all or none are fixated.
    """
    count = int(fixated.sum())
    others = fixated.size - count
    if not count or not others:
        return 0.5
    ranks = stats.rankdata(saliency)[fixated.ravel()]
    return float((ranks.sum() - count * (count + 1) / 2) / (count * others))
