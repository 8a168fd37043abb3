"""Weights the squared error of each code-block, by saliency and by visibility.

All weights multiply. `allocation` cuts every block at one slope of weighted error, so a block with a larger
weight is coded further. `saliency_weights` decides how many more bits a salient block gets, `place_weights`
what is left out beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.codec.coding import Pixels

Tune = Literal["visual", "psnr"]
Window = tuple[slice, slice]  # rows and columns
# Of what a photo was decoded to: the derivative of a score by its samples, (h, w, C) float32 of any window.
Derivative = Callable[[Pixels], Callable[[Window], NDArray[np.float32]]]


@dataclasses.dataclass(frozen=True, eq=False)
class Emphasis:
    """How errors are weighted.

    saliency: (h, w) float32 in [0, 1], stretched over the photo, or None.
    gain_db: how many decibels of squared error a salience of 1 is worth over one of 0.
    tune: "psnr" for squared error as it is, "visual" for what people see of it.
    derivative: of a score that people's opinions follow; with effort "best" and tune "visual" weights then
        follow what errors cost of it in a first decode (`block_costs`). None to do without.
    """

    saliency: NDArray[np.float32] | None = None
    gain_db: float = 0.0
    tune: Tune = "psnr"
    derivative: Derivative | None = None

    @property
    def by_place(self) -> bool:
        """Whether saliency changes any weight."""
        return self.saliency is not None and self.gain_db > 0


def block_weights(
    blocks: int,
    emphasis: Emphasis,
    visible: Callable[[], NDArray[np.float64]],
    salient: Callable[[], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """The weight of squared errors in each of a photo's code-blocks: (blocks,), positive.

    `visible` gives the weights of `masking.visibility`, `salient` those by saliency; each is asked only where
    it has a say.
    """
    of_blocks = np.ones(blocks)
    if emphasis.tune == "visual":
        of_blocks *= visible()
    if emphasis.by_place:
        of_blocks *= salient()
    return of_blocks
