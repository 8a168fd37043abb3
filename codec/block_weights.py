"""What a squared error counts for in each code-block: by saliency, and by how visible it is.

Whatever has a say multiplies. `allocation` cuts every block at one slope of weighted error, so that a block
of twice the weight gets the bits that halve its error: this is where it is decided how much more a salient
block gets.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.codec.block_coder import Pixels
from foveate.codec.codestream import Codestream
from foveate.codec.layout import Layout
from foveate.codec.masking import visual_weights
from foveate.codec.saliency_weights import saliency_weights

Tune = Literal["visual", "psnr"]


@dataclasses.dataclass(frozen=True, eq=False)
class Emphasis:
    """How errors are weighted.

    saliency: (h, w) float32 in [0, 1], stretched over the photo, or None.
    gain_db: how many decibels of squared error a salience of 1 is worth over one of 0.
    tune: "psnr" for squared error as it is, "visual" for what people see of it.
    """

    saliency: NDArray[np.float32] | None = None
    gain_db: float = 0.0
    tune: Tune = "psnr"

    @property
    def by_place(self) -> bool:
        """Whether saliency has a say."""
        return self.saliency is not None and self.gain_db > 0


def block_weights(
    stream: Codestream, geometry: Layout, pixels: Pixels, emphasis: Emphasis
) -> NDArray[np.float64]:
    """What a squared error counts for in each code-block of a photo: (blocks,), positive."""
    of_blocks = np.ones(len(geometry.blocks.tile))
    if emphasis.tune == "visual":
        of_blocks *= visual_weights(stream, geometry, pixels)
    if emphasis.by_place and emphasis.saliency is not None:
        of_blocks *= saliency_weights(stream, geometry, emphasis.saliency, emphasis.gain_db)
    return of_blocks
