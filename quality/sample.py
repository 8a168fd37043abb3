"""Compares two copies of a large photo at bounded cost, by four windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.quality.color import Pixels
from foveate.quality.psnr import squared_errors
from foveate.quality.saliency import StretchedMap, WeightedMean
from foveate.quality.ssimulacra2 import ssimulacra2

_WHOLE_PIXELS = 3 << 19  # up to this size, a photo is its own sample
_WINDOW = 512  # pixels of a side

Window = tuple[slice, slice]  # rows and columns


def is_whole(photo: Pixels) -> bool:
    """Whether the sample of a photo (H, W, C) is the whole photo."""
    height, width, _ = photo.shape
    return bool(height * width <= _WHOLE_PIXELS)


def windows(photo: Pixels) -> list[Window]:
    """The sample of a photo (H, W, C): the whole photo up to 1.5 megapixels.

    Otherwise four windows of 512 x 512 pixels around the middles of its quarters; narrower ones if the photo
    is narrower.
    """
    height, width, _ = photo.shape
    if is_whole(photo):
        return [(slice(0, height), slice(0, width))]
    return [(_around(height, row), _around(width, column)) for row in (0.25, 0.75) for column in (0.25, 0.75)]


def score(photo: Pixels, copies: Sequence[Pixels]) -> float:
    """The mean SSIMULACRA 2 of a copy's `windows`; raises ValueError for pictures of other shapes."""
    scores = [ssimulacra2(photo[at], copy) for at, copy in zip(windows(photo), copies, strict=True)]
    return sum(scores) / len(scores)


def weighted_error(photo: Pixels, copies: Sequence[Pixels], saliency: NDArray[np.float32] | None) -> float:
    """The mean squared error of a copy's `windows`, in squared sample units, weighted by a saliency map.

    The map (h, w) is stretched over the whole photo; None means equal weights. Raises ValueError for pictures
    of other shapes or an invalid map.
    """
    height, width, _ = photo.shape
    weights = None if saliency is None else StretchedMap.over(saliency, height, width)
    mean = WeightedMean()
    for at, copy in zip(windows(photo), copies, strict=True):
        of_window = None if weights is None else weights.rows(at[0])[:, at[1]]
        mean.add(squared_errors(photo[at], copy), of_window)
    return mean.weighted


def _around(length: int, share: float) -> slice:
    start = min(max(0, round(share * length) - _WINDOW // 2), max(0, length - _WINDOW))
    return slice(start, min(length, start + _WINDOW))
