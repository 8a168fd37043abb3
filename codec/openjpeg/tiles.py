"""Decodes pictures tile by tile, so that libopenjp2's 32-bit samples never cover a whole picture.

The library gives planes, one after the other: (C, h, w), one byte a sample up to 8 bits, else two
in the machine's byte order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from foveate.codec.errors import BadCodestream
from foveate.codec.openjpeg import binding
from foveate.codec.openjpeg.streams import Messages, require_decoded

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
_Box = tuple[int, int, int, int]  # x0, y0, x1, y1


def read_tiles(
    library: Any, codec: int, stream: int, image: binding.Image, reduce: int, messages: Messages
) -> tuple[Pixels, int]:
    """The picture (H, W, C) whose header has been read: unsigned samples as they are, signed ones offset.

    With it goes the number of tiles that there were.

    Its components have one size, precision and signedness, of at most 16 bits. What no tile covers stays 0
    before that offset, as in the library's own decoding.

    Raises:
        BadCodestream: a tile cannot be decoded.
    """
    component = image.comps[0]
    offset = 1 << (component.prec - 1) if component.sgnd else 0
    sample = _sample_type(component.prec)
    x0, y0, x1, y1 = _reduced((image.x0, image.y0, image.x1, image.y1), component, reduce)
    pixels: Pixels = np.zeros((y1 - y0, x1 - x0, image.numcomps), sample)
    if offset:
        pixels[...] = offset
    tiles = 0
    for number, size, box in _headers(library, codec, stream, messages):
        left, top, right, bottom = _reduced(box, component, reduce)
        planes = np.empty((image.numcomps, bottom - top, right - left), sample)
        if planes.nbytes != size:
            raise BadCodestream(f"tile {number} decodes to {size} bytes, not to {planes.nbytes}")
        done = library.opj_decode_tile_data(codec, number, planes.ctypes.data, size, stream)
        require_decoded(done, messages)
        planes += sample(offset)  # two's complement: what overflows is what should
        pixels[top - y0 : bottom - y0, left - x0 : right - x0] = planes.transpose(1, 2, 0)
        tiles += 1
    return pixels, tiles


def _headers(library: Any, codec: int, stream: int, messages: Messages) -> Iterator[tuple[int, int, _Box]]:
    """Number, bytes of samples and place on the reference grid of each tile, before it is decoded."""
    number, size, components, more = (ctypes.c_uint32() for _ in range(4))
    box = (ctypes.c_int32 * 4)()
    corners = [ctypes.byref(box, 4 * corner) for corner in range(4)]
    outputs = [ctypes.byref(one) for one in (number, size)]
    while True:
        found = library.opj_read_tile_header(
            codec, stream, *outputs, *corners, ctypes.byref(components), ctypes.byref(more)
        )
        require_decoded(found, messages)
        if not more.value:
            return
        yield number.value, size.value, (box[0], box[1], box[2], box[3])


def _reduced(box: _Box, component: binding.Component, reduce: int) -> _Box:
    """A box of the reference grid in samples of a component (B-12) at a lower resolution (B-14)."""
    steps = (component.dx << reduce, component.dy << reduce)
    x0, y0, x1, y1 = (-(-corner // step) for corner, step in zip(box, 2 * steps, strict=True))
    return x0, y0, x1, y1


def _sample_type(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth <= 8 else np.uint16
