"""Rate-distortion curves of a codec's files, and comparisons of codecs by them.

All figures are on scales that are nearly linear in the logarithm of the bytes: SSIMULACRA 2 in points and
PSNRs in dB as they are, SSIM and MS-SSIM in dB as -10 log10(1 - x).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import bjontegaard
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from foveate.quality.color import Pixels
from foveate.quality.measures import measure

MEASURES = {
    "ssimulacra2": "SSIMULACRA 2",
    "psnr": "PSNR",
    "psnr_y": "PSNR-Y",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "psnr_s": "PSNR-S",
}
SIMILARITIES = ("ssim", "ms_ssim")
_LEAST_DISSIMILARITY = 1e-9  # an SSIM of 1 is 90 dB

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Point:
    """One file: its bytes, and its figures by name."""

    size: float
    figures: Mapping[str, float]


Curve = tuple[Point, ...]


def fidelity(original: Pixels, decoded: Pixels, saliency: NDArray[np.float32] | None = None) -> Figures:
    """The figures `MEASURES` of a decoded photo, each on its scale; PSNR-S under the saliency map."""
    found = measure(original, decoded, saliency, scored=True)
    assert found.ssimulacra2 is not None
    return {
        "ssimulacra2": found.ssimulacra2,
        "psnr": found.psnr_db,
        "psnr_y": found.psnr_y_db,
        "ssim": similarity_db(found.ssim),
        "ms_ssim": similarity_db(found.ms_ssim),
        "psnr_s": found.psnr_s_db,
    }


def similarity_db(similarity: float) -> float:
    """-10 log10(1 - x), at most 90."""
    return -10 * math.log10(max(1 - similarity, _LEAST_DISSIMILARITY))


def similarity(decibels: float) -> float:
    """The inverse of `similarity_db`."""
    return float(1 - 10 ** (-decibels / 10))


def bd_rate(reference: Curve, other: Curve, figure: str) -> float:
    """Bytes that `other` takes beyond those of `reference` at equal figures, in percent (Bjontegaard 2001).

    Piecewise cubic (PCHIP) interpolation of log bytes over the figure, averaged over the range of figures
    that both curves cover; NaN if they do not overlap.
    """
    (sizes, values), (other_sizes, other_values) = _rising(reference, figure), _rising(other, figure)
    if min(len(values), len(other_values)) < 2:
        return math.nan
    if max(values[0], other_values[0]) >= min(values[-1], other_values[-1]):
        return math.nan
    percent = bjontegaard.bd_rate(
        sizes, values, other_sizes, other_values, "pchip", require_matching_points=False, min_overlap=0
    )
    return float(percent)


def at_size(curve: Curve, size: float, figure: str) -> float:
    """The figure at so many bytes, by PCHIP over the log of the bytes.

    NaN below the size of the curve's smallest file; above the size of its best file, that file's figure.
    """
    sizes, values = _rising(curve, figure)
    if len(sizes) < 2 or size < sizes[0]:
        return math.nan
    if size >= sizes[-1]:
        return values[-1]
    return float(PchipInterpolator(np.log(sizes), values)(math.log(size)))


def _rising(curve: Curve, figure: str) -> tuple[list[float], list[float]]:
    """Sizes and figures, without files that are no better than a smaller one."""
    sizes: list[float] = []
    values: list[float] = []
    for point in sorted(curve, key=lambda p: (p.size, -p.figures[figure])):
        value = point.figures[figure]
        if not values or (value > values[-1] and point.size > sizes[-1]):
            sizes.append(point.size)
            values.append(value)
    return sizes, values


def without(curve: Curve, overhead: int) -> Curve:
    """The curve of the same files with fewer bytes."""
    return tuple(dataclasses.replace(point, size=point.size - overhead) for point in curve)


def share_of_the_way(percent: float, whole_percent: float) -> float:
    """How far a BD-rate goes towards another, both in percent, as a ratio of logarithms of bytes."""
    return math.log1p(percent / 100) / math.log1p(whole_percent / 100)


def mean(values: Sequence[float]) -> float:
    """The mean; NaN if any value is, so that the means of all codecs are over the same photos."""
    return float(np.mean(values)) if values else math.nan
