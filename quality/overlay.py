"""Draws a saliency map as heat over a gray photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.quality.color import Pixels
from foveate.quality.saliency import resize_saliency

Picture = NDArray[np.uint8]

# From nothing through blue and red to yellow, dark to light: readable without telling colors apart.
_HEAT = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], float
)
_HEAT_SHARE = 0.6  # of the saliency colors over the gray photo
_LONGER_SIDE = 2048  # pixels of an overlay: enough for a screen


def as_rgb(pixels: Pixels) -> Picture:
    """8-bit RGB of any kind of picture; transparent parts are shown over mid-gray."""
    channels = pixels.shape[2]
    bits: Picture = pixels.astype(np.uint8) if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    colors: Picture = bits[..., :3] if channels >= 3 else np.repeat(bits[..., :1], 3, 2)
    if channels in (1, 3):
        return np.ascontiguousarray(colors)
    alpha = bits[..., -1:].astype(np.float32) / 255
    shown: Picture = np.rint(colors * alpha + 128 * (1 - alpha)).astype(np.uint8)
    return shown


def heat(values: NDArray[np.float32]) -> Picture:
    """A map (h, w) in [0, 1] as colors from dark to light, (h, w, 3) uint8."""
    colors: Picture = np.rint(_colors_of(values)).astype(np.uint8)
    return colors


def heat_over(saliency: NDArray[np.float32], photo: Picture) -> Picture:
    """A saliency map (h, w) in [0, 1] as colors over the photo in gray, (H, W, 3) uint8."""
    height, width = photo.shape[:2]
    colors = _colors_of(resize_saliency(saliency, height, width))
    gray = photo.mean(-1, keepdims=True)
    mixed: Picture = np.rint(_HEAT_SHARE * colors + (1 - _HEAT_SHARE) * gray).astype(np.uint8)
    return mixed


def _colors_of(values: NDArray[np.float32]) -> NDArray[np.float64]:
    steps = np.linspace(0, 1, len(_HEAT))
    return np.stack([np.interp(values, steps, _HEAT[:, i]) for i in range(3)], -1)


def structures_over(
    objects: NDArray[np.float32], faces: NDArray[np.float32], writing: NDArray[np.float32], photo: Picture
) -> Picture:
    """Three maps (h, w) in [0, 1] over the photo in gray, (H, W, 3) uint8: faces red, objects green, writing
    blue.
    """
    height, width = photo.shape[:2]
    colors = np.stack([resize_saliency(each, height, width) for each in (faces, objects, writing)], -1)
    gray = photo.mean(-1, keepdims=True)
    mixed: Picture = np.rint(_HEAT_SHARE * 255 * colors + (1 - _HEAT_SHARE) * gray).astype(np.uint8)
    return mixed


def overlay_picture(saliency: NDArray[np.float32], pixels: Pixels) -> Picture:
    """`heat_over` a photo (H, W, C) of any kind, scaled down to at most 2048 pixels a side."""
    image = Image.fromarray(as_rgb(pixels))
    image.thumbnail((_LONGER_SIDE, _LONGER_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return heat_over(saliency, np.asarray(image))
