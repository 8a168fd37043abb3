"""Pixels to one bare codestream through OpenJPEG, with many quality layers."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from foveate.codec.openjpeg import binding
from foveate.codec.openjpeg.binding import MAX_LAYERS, MAX_RESOLUTIONS, OpenjpegError
from foveate.codec.openjpeg.streams import (
    Messages,
    opened_codec,
    set_threads,
    writer,
)
from foveate.codec.openjpeg.tiles import write_tiles

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
_MAX_TILES = 65535  # B.3: tile indices have 16 bits


def encode(
    pixels: Pixels,
    *,
    layer_psnrs_db: Sequence[float] = (0.0,),
    reversible: bool = False,
    block_size: int = 64,
    resolutions: int = 6,
    color_transform: bool | None = None,
    bit_depth: int | None = None,
    threads: int = 1,
    tile_size: int | None = None,
) -> bytes:
    """Encode a picture as one bare codestream: no precincts, LRCP progression, tiles in raster order.

    Args:
        pixels: (H, W, C) uint8 or uint16; C = 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
        layer_psnrs_db: up to 100 increasing targets in dB, one a quality layer; each tile reaches them for
            itself. 0.0, allowed only as the last, stands for everything that was coded.
        reversible: 5/3 wavelet (lossless if the last layer is 0.0) instead of 9/7.
        block_size: side of a code-block, a power of two from 4 to 64.
        resolutions: wavelet levels + 1, from 1 to 33; reduced where the shorter side of the picture, or of a
            whole tile, has no room for them. Tiles cut off by the picture's edge have as many as the others.
        color_transform: RCT/ICT over the first three components; by default where there are three of more
            than one bit: OpenJPEG's two guard bits don't hold what the transform makes of single bits.
        bit_depth: significant bits of the values, 1 to 16; by default 8 for uint8 and 16 for uint16.
        threads: threads that code blocks.
        tile_size: side of square tiles from the upper left corner on, in samples; None, or one at least as
            long as the picture's longer side, for one tile. Memory beside `pixels` and the codestream is some
            8 bytes a sample of one tile.

    Raises:
        ValueError: an argument is out of its range.
        OpenjpegError: the library failed.
    """
    _check_pixels(pixels)
    height, width, channels = pixels.shape
    depth = _checked_depth(pixels, bit_depth)
    transform = channels >= 3 and depth > 1 if color_transform is None else color_transform
    if transform and (channels < 3 or depth < 2):
        raise ValueError(f"a color transform needs three components of two bits, not {channels} of {depth}")
    _check_layers(layer_psnrs_db)
    if block_size not in (4, 8, 16, 32, 64):
        raise ValueError(f"block size {block_size} is not a power of two from 4 to 64")
    if not 1 <= resolutions <= MAX_RESOLUTIONS:
        raise ValueError(f"{resolutions} resolutions are not from 1 to {MAX_RESOLUTIONS}")
    side = _checked_tile_size(pixels, tile_size)

    library = binding.library()
    parameters = binding.EncoderParameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(parameters))
    parameters.cp_fixed_quality = 1
    parameters.tcp_numlayers = len(layer_psnrs_db)
    parameters.tcp_distoratio[: len(layer_psnrs_db)] = [float(psnr) for psnr in layer_psnrs_db]
    parameters.irreversible = int(not reversible)
    parameters.cblockw_init = parameters.cblockh_init = block_size
    parameters.numresolution = min(resolutions, min(height, width, side).bit_length())
    parameters.tcp_mct = int(transform)
    if side < max(height, width):
        parameters.tile_size_on = 1
        parameters.cp_tdx = parameters.cp_tdy = side
    return _run_encoder(library, parameters, pixels, depth, threads, side)


def _check_pixels(pixels: Pixels) -> None:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are {pixels.dtype}, not uint8 or uint16")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise ValueError(f"pixels have the shape {pixels.shape}, not (H, W, 1 to 4)")


def _checked_depth(pixels: Pixels, bit_depth: int | None) -> int:
    widest = 8 * pixels.dtype.itemsize
    depth = widest if bit_depth is None else bit_depth
    if not 1 <= depth <= widest:
        raise ValueError(f"a bit depth of {depth} does not fit {pixels.dtype}")
    if depth < widest and int(pixels.max()) >> depth:
        raise ValueError(f"the value {int(pixels.max())} does not fit {depth} bits")
    return depth


def _check_layers(psnrs_db: Sequence[float]) -> None:
    if not 1 <= len(psnrs_db) <= MAX_LAYERS:
        raise ValueError(f"{len(psnrs_db)} layers are not from 1 to {MAX_LAYERS}")
    targets = [*psnrs_db[:-1], psnrs_db[-1] or math.inf]
    if not all(low < high for low, high in zip([0.0, *targets], targets, strict=False)):
        raise ValueError(f"layers must have increasing targets in dB, 0.0 only as the last: {list(psnrs_db)}")


def _checked_tile_size(pixels: Pixels, tile_size: int | None) -> int:
    """The side of tiles, at most that of the picture's longer side."""
    height, width, _ = pixels.shape
    longer = int(max(height, width))
    if tile_size is None:
        return longer
    if tile_size < 1:
        raise ValueError(f"a tile size of {tile_size} is not at least one")
    tiles = -(-height // tile_size) * -(-width // tile_size)
    if tiles > _MAX_TILES:
        raise ValueError(f"{tiles} tiles of {tile_size} samples a side are more than {_MAX_TILES}")
    return min(tile_size, longer)


def _run_encoder(
    library: Any,
    parameters: binding.EncoderParameters,
    pixels: Pixels,
    depth: int,
    threads: int,
    side: int,
) -> bytes:
    messages = Messages()
    with (
        _image_header(library, pixels, depth) as image,
        opened_codec(library, library.opj_create_compress(binding.CODEC_J2K), messages) as codec,
        writer(library) as (stream, out),
    ):
        done = library.opj_setup_encoder(codec, ctypes.byref(parameters), image)
        if done:
            set_threads(library, codec, threads)
        done = done and library.opj_start_compress(codec, image, stream)
        done = done and write_tiles(library, codec, stream, pixels, depth, side)
        done = done and library.opj_end_compress(codec, stream)
        if not done:
            raise OpenjpegError(f"OpenJPEG did not encode {pixels.shape} pixels: {messages.said()}")
    # The stream has flushed its last bytes by now.
    return bytes(out)


@contextlib.contextmanager
def _image_header(library: Any, pixels: Pixels, depth: int) -> Iterator[Any]:
    """What OpenJPEG wants to know of a picture before its tiles; it holds no samples."""
    height, width, channels = pixels.shape
    plane = binding.Plane(dx=1, dy=1, w=width, h=height, prec=depth, bpp=depth)
    planes = (binding.Plane * channels)(*[plane] * channels)
    color_space = binding.COLOR_SRGB if channels >= 3 else binding.COLOR_GRAY
    image = library.opj_image_tile_create(channels, planes, color_space)
    if not image:
        raise OpenjpegError(f"OpenJPEG found no memory for {pixels.shape} pixels")
    try:
        image.contents.x1, image.contents.y1 = width, height
        yield image
    finally:
        library.opj_image_destroy(image)
