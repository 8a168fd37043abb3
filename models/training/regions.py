"""Parts of photos, and what a codec makes of them, the same for the same seed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from foveate.models.training.photos import random_patch


@dataclasses.dataclass(frozen=True, eq=False)
class CodedRegion:
    """A part of a photo (n, n, 3), what the codec made of it, and RecCNN's noise map (n/8, n/8, 5)."""

    photo: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    noise: NDArray[np.float32]


Coder = Callable[[NDArray[np.uint8], np.random.Generator], CodedRegion]


def code_regions(
    photos: list[NDArray[np.uint8]], coder: Coder, count: int, size: int, seed: int
) -> list[CodedRegion]:
    """So many regions of photos (size, size, 3), coded; the same for the same seed."""

    def code(number: int) -> CodedRegion:
        rng = np.random.default_rng([seed, number])
        return coder(random_patch(photos, size, rng), rng)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(code, range(count)))
