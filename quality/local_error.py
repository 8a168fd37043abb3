"""Maps where a decoded photo differs visibly from its original, in small cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.quality.color import Pixels, check_pair, luma, peak_of
from foveate.quality.psnr import squared_errors

CELL = 8  # pixels of a cell's side
_STRIP = 32 * CELL  # rows worked on at a time
_C2 = 0.03**2  # SSIM's constant for its contrast term, of the squared peak


def local_error(original: Pixels, decoded: Pixels) -> NDArray[np.float32]:
    """Squared error relative to contrast: (ceil(H/8), ceil(W/8)) float32, at least 0.

    In each cell, the mean squared error of its color samples over the sum of both photos' variances of luma
    and SSIM's constant: 1 minus SSIM's contrast and structure terms (Wang et al. 2004, equation 13), but
    including the error of the mean. An error thus counts more in a smooth sky than in foliage. Photos are (H,
    W, C) uint8 or uint16 alike, C in 1..4; alpha is left out. Raises ValueError for a mismatched pair.
    """
    check_pair(original, decoded)
    constant = _C2 * peak_of(original) ** 2
    strips = []
    for top in range(0, original.shape[0], _STRIP):
        a, b = original[top : top + _STRIP], decoded[top : top + _STRIP]
        error = _cell_means(squared_errors(a, b))
        contrast = _cell_variances(luma(a)) + _cell_variances(luma(b))
        strips.append(error / (contrast + constant))
    return np.concatenate(strips).astype(np.float32)


def _cell_variances(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    centered = plane - plane.mean(dtype=np.float64)  # the difference of two large squares would be rounded
    spread: NDArray[np.float64] = _cell_means(centered * centered) - _cell_means(centered) ** 2
    return np.maximum(spread, 0)


def _cell_means(plane: NDArray[np.floating]) -> NDArray[np.float64]:
    height, width = plane.shape
    rows, columns = np.arange(0, height, CELL), np.arange(0, width, CELL)
    sums = np.add.reduceat(np.add.reduceat(plane, rows, 0, dtype=np.float64), columns, 1)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    means: NDArray[np.float64] = sums / counts
    return means
