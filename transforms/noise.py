"""The coding-noise map of an archive file, for RecCNN; needs no Beam, so that it can be read in isolation."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, noise
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2 import Jp2
from foveate.codec.layout import Layout
from foveate.codec.packets import Contributions


def read_noise(parsed: Jp2, layers: int = 0) -> tuple[NDArray[np.float32] | None, str]:
    """The coding-noise map of a file, or None; and why there is none, "" where nothing was lost.

    With `layers`, that of a decode of only the first so many quality layers.
    """
    try:
        stream, geometry, parts = allocation.parse_layers(parsed.codestream)
    except (BadCodestream, UnsupportedCodestream) as error:
        return None, f"restored without RecCNN: {error}"
    whole = parts
    if layers:
        parts = dataclasses.replace(parts, passes=parts.passes[:layers])
    size = stream.size
    if parsed.has_palette or any((c.dx, c.dy) != (1, 1) for c in size.components):
        return None, "restored without RecCNN: it has a palette or sub-sampled components"
    if size.x0 % noise.CELL or size.y0 % noise.CELL:
        return None, "restored without RecCNN: its image area does not begin at a whole cell"
    if not stream.reversible:
        return noise.noise_map(stream, geometry, parts), ""
    lossless = _has_every_bit_plane(geometry, parts, whole)
    return (None if lossless else noise.noise_map(stream, geometry, parts)), ""


def _has_every_bit_plane(geometry: Layout, parts: Contributions, whole: Contributions) -> bool:
    """Whether the blocks that a file has are whole: with the reversible transform, nothing was lost then."""
    passes = parts.passes.sum(0, dtype=np.int64)
    all_passes = 3 * (geometry.blocks.planes.astype(np.int64) - parts.zero_planes) - 2
    return bool(np.all((passes >= all_passes) | ~whole.passes.any(0)))
