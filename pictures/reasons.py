"""Codes for why an archive keeps a source unchanged instead of compressing it.

The sentence for people is written where the reason is found: `NotForJpeg2000(Reason.RAW, "a RAW photo")` in
this folder, `transforms.read`, or `transforms.worth_archiving` for photos that would not get smaller.
"""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """The kinds of reasons, as in the column `reason_code`; the column `reason` has the sentence."""

    ANIMATED = "animated"
    SEVERAL_PICTURES = "several_pictures"
    EXTRA_DATA = "extra_data"  # a video or other data that a JP2 cannot hold
    HIGH_DYNAMIC_RANGE = "high_dynamic_range"
    COLOR = "color"  # a color space or profile that a JP2 cannot hold
    RAW = "raw"
    DAMAGED = "damaged"
    NOT_READ = "not_read"  # a format, or a form of one, that is not decoded
    MISSING_EXTRA = "missing_extra"  # not decoded until an optional package is installed
    OTHER_KIND = "other_kind"  # not a photo: copied along with the photos beside it
    NO_SAVING = "no_saving"
    LITTLE_SAVING = "little_saving"
    TRANSPARENCY = "transparency"  # the alpha channel would be too coarse
    NO_ROOM = "no_room"  # in the target for headers and metadata, or in a file name for .jp2
