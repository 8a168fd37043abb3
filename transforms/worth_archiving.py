"""Decides whether a photo's JP2 file is worth archiving, and if not, why its source is kept unchanged."""

from __future__ import annotations

from foveate.pictures.picture import Pixels
from foveate.pictures.reasons import Reason
from foveate.quality.psnr import alpha_error

MOST_ALPHA_ERROR = 48.0
"""The largest error of an alpha channel, on a scale of 255, with which a photo is compressed."""

Kept = tuple[Reason, str]
"""Why a source is kept: the kind of reason, and the sentence for people."""

NO_ROOM: Kept = Reason.NO_ROOM, "the target leaves no room for the picture besides headers and metadata"


def not_worth_it(archive_bytes: int, source_bytes: int, min_saving: float) -> Kept | None:
    """Why a photo is kept, or None; the texts are always the same, since the report counts them."""
    saving = 1 - archive_bytes / source_bytes
    if saving >= min_saving and archive_bytes < source_bytes:
        return None
    if saving <= 0:
        return Reason.NO_SAVING, "JPEG 2000 would take more bytes"
    return Reason.LITTLE_SAVING, f"JPEG 2000 would save less than {min_saving:.0%} of its bytes"


def too_coarse(pixels: Pixels, decoded: Pixels) -> Kept | None:
    """Why a photo is kept for its alpha channel, which no target controls; None if that is good enough."""
    error = alpha_error(pixels, decoded)
    if error is None or error <= MOST_ALPHA_ERROR:
        return None
    return Reason.TRANSPARENCY, "its alpha channel would be coded too coarsely"
