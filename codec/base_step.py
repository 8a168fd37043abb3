"""The base step of quantization for all bands, as a multiple of the format's nominal step.

Passes end at bit-planes, so the step decides where between two of them a slope lies.
"""

from __future__ import annotations

import math

_LAST_SLOPE = 6.0  # what the last pass of a bit-plane brings, in squared steps per byte over all colors
_FINEST, _DEEP = 1 / 32, 12  # for pictures of up to _DEEP bits; deeper ones need none below 1
# Where a slope's square root may lie between two quantization steps, in octaves, with the best outcome on
# average; for any one photo, another may be better.
_GOOD_PHASES = (0.125, 0.5)


def fine(threshold: float, most_weight: float, bit_depth: int) -> float:
    """The largest power of two up to 1 whose bit-planes reach as far down as a threshold requires.

    Args:
      threshold: log10 of weighted squared error per byte; -inf for all there is.
      most_weight: of any block.
      bit_depth: of the samples.
    """
    if threshold == -math.inf or bit_depth > _DEEP:
        return 1.0
    least_slope = 10.0**threshold / most_weight
    return min(1.0, max(_FINEST, 2.0 ** math.floor(math.log2(least_slope / _LAST_SLOPE) / 2)))


def in_good_phases(threshold: float) -> list[float]:
    """Steps within half an octave of 1, one of which suits a threshold well.

    `threshold` is log10 of squared error per byte in a usual block, whose errors are not weighted.
    """
    octaves = [(threshold * math.log2(10) / 2 - phase) % 1.0 for phase in _GOOD_PHASES]
    return [2.0 ** (octave if octave < 0.5 else octave - 1) for octave in octaves]
