"""Converts other programs' colors in JPEG 2000 files to gray or sRGB with straight alpha, or rejects them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.jp2 import Jp2
from foveate.codec.jp2_boxes import GRAYSCALE, SRGB, SYCC

_CMY, _BILEVEL = 11, 15
_NAMES = {  # ISO/IEC 15444-2, table M.25
    0: "bilevel, black as one",
    1: "YCbCr(1)",
    3: "YCbCr(2)",
    4: "YCbCr(3)",
    9: "PhotoYCC",
    12: "CMYK",
    13: "YCCK",
    14: "CIELab",
    19: "CIEJab",
    20: "e-sRGB",
    21: "ROMM-RGB",
    22: "YPbPr(1125/60)",
    23: "YPbPr(1250/50)",
    24: "e-sYCC",
}
_READ = (None, SRGB, GRAYSCALE, SYCC, _CMY, _BILEVEL)
_PREMULTIPLIED, _UNSPECIFIED = 2, 0xFFFF
_PROFILE_SPACES = {b"GRAY": "gray", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "CIELab", b"CMY ": "CMY"}

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def check_color(parsed: Jp2, channels: int) -> None:
    """Rejects a file whose pixels would be misinterpreted.

    Args:
        parsed: its boxes; a bare codestream says nothing, and is taken for gray or RGB, with alpha behind.
        channels: how many its picture has.

    Raises:
        UnsupportedCodestream: the message names the color space or channel.
    """
    if parsed.codestreams > 1:
        raise UnsupportedCodestream(f"the file has {parsed.codestreams} pictures; only one can be restored")
    if parsed.layers > 1:
        raise UnsupportedCodestream(
            f"the file has {parsed.layers} compositing layers, which cannot be restored"
        )
    if parsed.has_layer_channels:
        raise UnsupportedCodestream("the channels or opacity of a compositing layer cannot be restored")
    if parsed.color not in _READ:
        name = _NAMES.get(parsed.color or 0, f"color space {parsed.color}")
        raise UnsupportedCodestream(f"the picture is in {name}, which cannot be restored")
    profile = parsed.metadata.icc
    space = profile[16:20] if profile is not None and len(profile) >= 20 else None
    if space not in (None, b"GRAY", b"RGB "):
        name = _PROFILE_SPACES.get(space, space.decode("latin-1").strip())
        raise UnsupportedCodestream(f"the picture is in {name} by its color profile, which is not restored")
    if parsed.color is None and space is None:
        if parsed.color_method is not None:
            raise UnsupportedCodestream(
                f"the picture's color is specified by method {parsed.color_method}, which cannot be restored"
            )
        return
    if channels in (2, 4) and not parsed.has_alpha:
        raise UnsupportedCodestream(f"channel {channels} is undefined: not restored")
    if _UNSPECIFIED in parsed.channel_kinds:
        raise UnsupportedCodestream("a channel is of unspecified meaning, so the picture is not restored")
    is_gray = space == b"GRAY" if space is not None else parsed.color in (GRAYSCALE, _BILEVEL)
    kinds = parsed.channel_kinds or (0,) * channels
    colors, opacities = kinds.count(0), sum(kind in (1, _PREMULTIPLIED) for kind in kinds)
    if (colors, colors + opacities, len(kinds)) != (1 if is_gray else 3, channels, channels) or opacities > 1:
        raise UnsupportedCodestream(
            f"a {'gray' if is_gray else 'color'} picture with {colors} color and {opacities} opacity channels"
            " is not restored"
        )
    _check_places(parsed, colors)


def _check_places(parsed: Jp2, colors: int) -> None:
    """Refuses channels of which it is not clear what color they are, or are the opacity of."""
    channels = list(zip(parsed.channel_kinds, parsed.channel_places, strict=True))
    given = [place for kind, place in channels if kind == 0]
    if colors > 1 and channels and sorted(given) != list(range(1, colors + 1)):
        raise UnsupportedCodestream(f"its {colors} color channels are defined as {given}: not restored")
    for kind, place in channels:
        if kind in (1, _PREMULTIPLIED) and 1 <= place <= colors and colors > 1:
            raise UnsupportedCodestream(f"the opacity of color {place} alone is not restored")


def as_straight_rgb(pixels: Pixels, bit_depth: int, parsed: Jp2) -> Pixels:
    """Pixels (H, W, C) of `bit_depth` bits, with CMY converted to RGB and premultiplied alpha divided out."""
    peak = (1 << bit_depth) - 1
    if parsed.color == _CMY and pixels.shape[2] >= 3:
        pixels = pixels.copy()
        pixels[:, :, :3] = peak - pixels[:, :, :3]
    if _PREMULTIPLIED not in parsed.channel_kinds:
        return pixels
    straight = pixels.copy()
    alpha = pixels[:, :, -1:].astype(np.int64)
    colors = pixels[:, :, :-1].astype(np.int64)
    divided = (colors * peak + alpha // 2) // np.maximum(alpha, 1)
    straight[:, :, :-1] = np.where(alpha > 0, np.minimum(divided, peak), 0)
    return straight
