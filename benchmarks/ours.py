"""Foveate's files, with every box that an archive's file has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.codec import allocation, jp2
from foveate.codec.allocation import Candidates
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import SALIENCY_BYTES, ArchiveRecord

_SALIENCY_SHARE = 100  # the embedded map may take one byte in so many of the file


def budget_of(bits_per_pixel: float, height: int, width: int) -> int:
    """The bytes of a file of so many bits a pixel."""
    return int(bits_per_pixel * height * width / 8)


def overhead(channels: int, budget: int | None = None, saliency: NDArray[np.float32] | None = None) -> int:
    """The bytes of all boxes around the codestream, in a file of `budget` bytes."""
    return jp2.overhead(
        channels,
        metadata=PhotoMetadata(),
        record=_record(saliency),
        saliency_bytes=_saliency_bytes(budget),
    )


def file_within(
    candidates: Candidates, budget: int, saliency: NDArray[np.float32] | None = None, layers: int = 1
) -> bytes:
    """The best JP2 file of at most `budget` bytes, with its archive record and the map in it.

    Raises:
      allocation.BudgetTooSmall: not even headers and boxes fit.
    """
    extra = overhead(len(candidates.stream.size.components), budget, saliency)
    choice = allocation.fit_bytes(candidates, budget - extra, layers)
    return wrapped(allocation.encode(choice), budget, saliency)


def wrapped(
    codestream: bytes, budget: int | None = None, saliency: NDArray[np.float32] | None = None
) -> bytes:
    """The JP2 file of a codestream."""
    return jp2.wrap(
        codestream,
        metadata=PhotoMetadata(),
        record=_record(saliency),
        saliency_bytes=_saliency_bytes(budget),
    )


def _record(saliency: NDArray[np.float32] | None) -> ArchiveRecord:
    return ArchiveRecord(source_sha256=bytes(32), settings_digest=bytes(8), saliency=saliency)


def _saliency_bytes(budget: int | None) -> int:
    return SALIENCY_BYTES if budget is None else min(SALIENCY_BYTES, budget // _SALIENCY_SHARE)
