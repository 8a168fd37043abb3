"""Makes Foveate's files, with every box that files of an archive have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.codec import file, jp2
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import ArchiveRecord


def budget_of(bits_per_pixel: float, height: int, width: int) -> int:
    """The bytes of a file of so many bits per pixel."""
    return int(bits_per_pixel * height * width / 8)


def boxes(saliency: NDArray[np.float32] | None = None) -> file.Boxes:
    """The boxes of every file: the archive record, which embeds the map."""
    record = ArchiveRecord(source_sha256=bytes(32), settings_digest=bytes(8), saliency=saliency)
    return file.Boxes(PhotoMetadata(), record)


def overhead(channels: int) -> int:
    """The bytes of all boxes around a codestream of so many channels, without a map."""
    return jp2.overhead(channels, metadata=PhotoMetadata(), record=boxes().record)


def file_within(
    source: Encoder, budget: int, saliency: NDArray[np.float32] | None = None, layers: int = 1
) -> bytes:
    """The best JP2 file of at most `budget` bytes, with its archive record and the map in it.

    Raises:
      BudgetTooSmall: not even headers and boxes fit.
    """
    return file.within(source, budget, boxes(saliency), layers)[1]
