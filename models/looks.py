"""Decides where the detectors look: at the whole photo first, then at finer tiles of it.

A photo is reduced once by a whole number (`Fine`); every look is at a part of that, or at all of it at a
smaller size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.scaling import Pixels, check_pixels, reduced, scaled

FINE_SIDE = 2048  # pixels that the longer side of a photo is reduced to at least
WHOLE_SIDE = 1024  # up to this a photo is not reduced
STRIDE = 32  # networks take multiples of this
BATCH = 4

Picture = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class Fine:
    """A photo reduced for a second look: (h, w, 3) uint8, each sample a block of factor × factor pixels."""

    picture: Picture
    factor: int


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """A picture to search, (h, w, 3) uint8, and where it is in the photo.

    Its sample (x, y) is the photo's pixel (left + x * scale_x, top + y * scale_y).
    """

    picture: Picture
    left: float = 0.0
    top: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0


def fine_view(pixels: Pixels) -> Fine:
    """A photo (H, W, C) at half its resolution, or less if it is large: see `FINE_SIDE`, `WHOLE_SIDE`."""
    check_pixels(pixels)
    longer = max(pixels.shape[:2])
    factor = max(1 if longer <= WHOLE_SIDE else 2, math.ceil(longer / FINE_SIDE))
    return Fine(reduced(pixels, factor), factor)


def whole(fine: Fine, longest: int) -> Look:
    """All of a photo, its longer side at most `longest` samples."""
    height, width = fine.picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    rows, columns = (max(1, round(side * scale)) for side in (height, width))
    picture = fine.picture if scale == 1 else scaled(fine.picture, rows, columns)
    return Look(picture, 0.0, 0.0, fine.factor * width / columns, fine.factor * height / rows)


def tiles(fine: Fine, side: int, overlap: int) -> list[Look]:
    """Squares of `side` samples that overlap and cover the fine view; at its edges they overlap more."""
    height, width = fine.picture.shape[:2]
    return [
        Look(
            fine.picture[top : top + side, left : left + side],
            float(left * fine.factor),
            float(top * fine.factor),
            float(fine.factor),
            float(fine.factor),
        )
        for top in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    ]


def run(predict: Callable[[Any], Any], looks: Sequence[Look], fill: int) -> Iterator[Any]:
    """Output of a network for each look, padded at its lower and right edge with `fill`; alike in batches."""
    padded = [_padded(look.picture, fill) for look in looks]
    shapes = list(dict.fromkeys(array.shape for array in padded))
    results: dict[int, Any] = {}
    for shape in shapes:
        group = [index for index, array in enumerate(padded) if array.shape == shape]
        for start in range(0, len(group), BATCH):
            part = group[start : start + BATCH]
            outputs = predict(np.stack([padded[index] for index in part]))
            for number, index in enumerate(part):
                results[index] = {name: np.asarray(value)[number] for name, value in outputs.items()}
    yield from (results[index] for index in range(len(looks)))


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = math.ceil((length - overlap) / (side - overlap))
    return [round(number * (length - side) / (count - 1)) for number in range(count)]


def _padded(picture: Picture, fill: int) -> NDArray[np.float32]:
    below, right = (-side % STRIDE for side in picture.shape[:2])
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=fill).astype(np.float32)
