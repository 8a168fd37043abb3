"""What an error counts for, code-block by code-block: by saliency, by what hides it, by band.

All weights multiply squared error and combine by multiplication.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.codec import wavelet
from foveate.codec.codestream import IRREVERSIBLE, Codestream
from foveate.codec.layout import Layout

Tune = Literal["psnr", "ssim"]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]

_RESTRAINT = 0.85
_FINEST_CELL = 8  # pixels of the photo; what a map shows below that makes no difference to blocks
_LEVEL_SHARES = np.array([0.35, 0.35, 0.2, 0.1])  # of the bytes at 0.5 bits a pixel, finest octave first
_WORTH_SMALL_BLOCKS_DB = 0.45

# MS-SSIM (Wang, Simoncelli, Bovik 2003): weights of its scales, the constant in contrast, its window.
_SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_CONTRAST_CONSTANT = 0.03**2  # of the squared peak
_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_HIDING_FLOOR = 300 / 255**2  # variance that is taken to be everywhere; 0 to 1500 of 255^2 differ little
_CELL = 4  # samples, each way, over which local variance is taken at each scale
_CHROMA = 0.25
_STRIP = 1024  # rows at a time, for giants

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def footprints(stream: Codestream, layout: Layout) -> NDArray[np.float64]:
    """Where in the picture the energy of each code-block's basis functions lies: (blocks, 4), x0 y0 x1 y1.

    Boxes in pixels with the center and the spread that the energy has, each axis for itself: wider than the
    block's own square by the overlap of the wavelet's basis functions, and for low-pass bands half a
    coefficient nearer to the origin.
    """
    blocks, size = layout.blocks, stream.size
    grid = np.array([(c.dx, c.dy) for c in size.components], np.float64)[blocks.component]
    irreversible = np.array([c.transformation == IRREVERSIBLE for c in stream.coding])[blocks.component]
    corner = (size.x0, size.y0)
    boxes = np.empty((len(blocks.tile), 4))
    for axis in (0, 1):
        start, end = blocks.box[:, axis].astype(np.float64), blocks.box[:, axis + 2].astype(np.float64)
        high = blocks.band >> axis & 1
        kinds, index = np.unique(np.stack([irreversible, blocks.level, high]), axis=1, return_inverse=True)
        spread = np.array([_spread(bool(i), int(level), bool(h)) for i, level, h in kinds.T])[
            index.reshape(-1)
        ]
        scale = 2.0**blocks.level
        center = ((start + end - 1 + high) / 2 * scale + 0.5) * grid[:, axis] - corner[axis]
        width = np.sqrt(((end - start) * scale) ** 2 + 12 * spread**2) * grid[:, axis]
        boxes[:, axis], boxes[:, axis + 2] = center - width / 2, center + width / 2
    return boxes


def _spread(irreversible: bool, level: int, high: bool) -> float:
    return wavelet.basis_spread(irreversible, level, high) if level else 0.0


def saliency_weights(
    stream: Codestream, layout: Layout, saliency: NDArray[np.float32], gain_db: float
) -> NDArray[np.float64]:
    """The mean of 10^(gain * s / 10) over each code-block's footprint in the photo, to the power of 0.85.

    The power spares the places that do not matter: the optimum is flat. Measured over 19 photos of 512 and
    2048 pixels, two kinds of map, gains of 6 and 12 dB, 0.25 and 1 bit a pixel: squared error weighted by
    10^(gain * s / 10) is best with a power of 0.95 to 1; 0.85 costs it 0.01 dB on average (0.03 at most), and
    takes half a decibel less from the rest of the photo at 12 dB.

    Args:
      stream: the codestream whose blocks are weighed.
      layout: its layout.
      saliency: (h, w) float32 in [0, 1], any resolution, stretched over the photo.
      gain_db: how many decibels of squared error a salience of 1 is worth over one of 0.

    Returns:
      (blocks,) float64, at least 1 where the gain is positive.
    """
    weight, height, width = _weight_map(saliency, gain_db, stream.size.height, stream.size.width)
    means = _box_means(_summed(weight), footprints(stream, layout).T, height, width)
    return np.clip(means, weight.min(), weight.max()) ** _RESTRAINT


def _weight_map(
    saliency: NDArray[np.float32], gain_db: float, height: int, width: int
) -> tuple[NDArray[np.float64], float, float]:
    """10^(gain * s / 10), averaged to cells of some 8 pixels where it is finer.

    Also the height and width of what its cells cover: the photo, and what the last ones reach beyond it.
    """
    rows, columns = saliency.shape
    down = max(1, min(rows, _FINEST_CELL * rows // height))
    across = max(1, min(columns, _FINEST_CELL * columns // width))
    height_of_strip = max(_STRIP // down, 1) * down
    strips = []
    for top in range(0, rows, height_of_strip):
        strip = saliency[top : top + height_of_strip]
        strip = np.pad(strip, [(0, -strip.shape[0] % down), (0, -columns % across)], mode="edge")
        weight = np.exp(np.asarray(strip, np.float32) * np.float32(gain_db / 10 * np.log(10)))
        cells = weight.reshape(weight.shape[0] // down, down, -1, across)
        strips.append(cells.mean((1, 3), dtype=np.float64))
    averaged = np.concatenate(strips)
    covered = averaged.shape[0] * down / rows, averaged.shape[1] * across / columns
    return averaged, height * covered[0], width * covered[1]


def ssim_weights(stream: Codestream, layout: Layout, pixels: Pixels) -> NDArray[np.float64]:
    """What a squared error takes from MS-SSIM: contrast masking and the sensitivity of its scales.

    To first order an error of variance d costs a window of variance v a share of d / (2 v + C2) of its
    contrast-structure factor, whatever else was lost there. A coefficient's error reaches each scale with the
    energy that the basis function keeps after so many halvings, beyond what shifts a window's mean. Scales
    count by their exponents. Measured over 14 photos of 512 and 2 of 2048 pixels, 0.125 to 2 bits a pixel:
    25 % fewer bytes at equal MS-SSIM. Local slopes taken from a first decode, once or twice, do no better
    (0.4 % worse); nor do windows of 11 x 11 instead of cells of 4 x 4 samples, nor blocks of 32 x 32.

    Color differences, of which MS-SSIM knows nothing, count a quarter of what luma does on average (0.15
    would save 1.8 % more, at a cost in PSNR of 7 %), alpha as much as luma.

    Args:
      stream: the codestream whose blocks are weighed.
      layout: its layout.
      pixels: (H, W, C) uint8 or uint16: the photo that was encoded.

    Returns:
      (blocks,) float64, positive; their geometric mean over luma's blocks is 1.
    """
    blocks = layout.blocks
    boxes = footprints(stream, layout).T
    hiding = np.empty((len(_SCALE_WEIGHTS), len(blocks.tile)))
    for scale, visible in enumerate(_visibility(pixels)):
        cell = _CELL << scale
        height, width = visible.shape[0] * cell, visible.shape[1] * cell
        hiding[scale] = _box_means(_summed(visible), boxes, height, width)
    kinds, index = np.unique(np.stack([blocks.level, blocks.band]), axis=1, return_inverse=True)
    gains = np.array([_scale_gains(int(level), int(band)) for level, band in kinds.T])
    weights: NDArray[np.float64] = np.einsum("bs,sb,s->b", gains[index.reshape(-1)], hiding, _SCALE_WEIGHTS)
    luma = blocks.component == 0
    weights /= np.exp(np.log(weights[luma]).mean())
    weights[~luma] = 1.0
    weights[(blocks.component > 0) & (blocks.component < 3) & stream.color_transform] = _CHROMA
    return weights


def _visibility(pixels: Pixels) -> list[NDArray[np.float64]]:
    """1 / (2 v + C2) of luma in cells of 4 x 4 samples at each scale; mirrored to whole cells."""
    scales = len(_SCALE_WEIGHTS)
    rows: list[list[NDArray[np.float64]]] = [[] for _ in range(scales)]
    unit = _CELL << (scales - 1)
    for top in range(0, pixels.shape[0], _STRIP):
        plane = _luma(pixels[top : top + _STRIP])
        plane = np.pad(plane, [(0, -side % unit) for side in plane.shape], mode="symmetric")
        for scale in range(scales):
            mean, square = plane, plane * plane
            for _ in range(_CELL.bit_length() - 1):
                mean, square = _halve(mean), _halve(square)
            variance = np.maximum(square - mean * mean, 0).astype(np.float64)
            rows[scale].append(1 / (2 * variance + _CONTRAST_CONSTANT + _HIDING_FLOOR))
            plane = _halve(plane)
    return [np.concatenate(strips) for strips in rows]


def _luma(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W) float32 in [-0.5, 0.5]: centerd, so that squares keep their digits."""
    peak = np.float32(np.iinfo(pixels.dtype).max)
    plane = pixels[:, :, 0] / peak if pixels.shape[2] < 3 else pixels[:, :, :3] @ (_LUMA / peak)
    return np.asarray(plane - np.float32(0.5), np.float32)


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = plane[::2] + plane[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)


@functools.cache
def _scale_gains(level: int, band: int) -> tuple[float, ...]:
    """How much of a basis function's energy counts at each scale of MS-SSIM, per window there."""
    column, row = bool(band & 1), bool(band >> 1)
    whole = _energies(level, column, 0)[0] * _energies(level, row, 0)[0]
    gains = []
    for scale in range(len(_SCALE_WEIGHTS)):
        (energy_x, mean_x), (energy_y, mean_y) = _energies(level, column, scale), _energies(level, row, scale)
        gains.append((energy_x * energy_y - mean_x * mean_y) * 4**scale / whole)
    return tuple(gains)


@functools.cache
def _energies(level: int, high: bool, scale: int) -> tuple[float, float]:
    """Energy of a basis function averaged to a scale, and of its windowed means there; over all phases."""
    step = 1 << scale
    signal = wavelet.basis(True, level, high) if level else np.ones(1)
    window = _WINDOW / _WINDOW.sum()
    energy = means = 0.0
    for phase in range(step):
        padded = np.pad(signal, (phase, -(len(signal) + phase) % step))
        averaged = padded.reshape(-1, step).mean(1)
        energy += float((averaged**2).sum())
        means += float((np.convolve(averaged, window) ** 2).sum())
    return energy / step, means / step


def block_size(
    height: int, width: int, saliency: NDArray[np.float32] | None, gain_db: float = 12.0
) -> Literal[32, 64]:
    """The side of code-blocks that suits a photo and its saliency map; 64 where there is no map.

    Smaller blocks cost 0.1 to 0.25 dB and double the time of encoding, but follow the map more closely. What
    they can gain is foretold by how much of the map's contrast lies between the footprints of the two sizes:
    with weights w, the mean over squares of that size spreads allocation by 10 log10 (arithmetic mean of w /
    geometric mean of w) dB; levels count by the bytes that they usually take. Over 16 photos of 512 and 2048
    pixels, and the large ones at half size, three kinds of map, 6 and 12 dB of gain, 0.25 and 1 bit a pixel:
    means for each kind and size rise from -0.12 to +0.56 dB of weighted PSNR with what is foretold, through 0
    at 0.3 and +0.1 at 0.4.

    Args:
      height, width: of the photo.
      saliency: (h, w) float32 in [0, 1], stretched over the photo, or None.
      gain_db: what a salience of 1 is worth over one of 0.
    """
    if saliency is None:
        return 64
    weight, covered_height, covered_width = _weight_map(saliency, gain_db, height, width)
    table = _summed(weight)
    spread = []
    for side in (64, 128, 256, 512, 1024):  # pixels that a block of 32 covers at level 1, 2, ...
        y0, x0 = np.arange(0.0, height, side)[:, None], np.arange(0.0, width, side)
        means = _box_means(table, (x0, y0, x0 + side, y0 + side), covered_height, covered_width)
        means = np.clip(means, weight.min(), weight.max())
        spread.append(10 * (np.log10(means.mean()) - np.log10(means).mean()))
    finer = -np.diff(spread)
    return 32 if finer @ _LEVEL_SHARES > _WORTH_SMALL_BLOCKS_DB else 64


def _summed(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The summed-area table, a row and a column larger."""
    table = np.zeros((weight.shape[0] + 1, weight.shape[1] + 1))
    table[1:, 1:] = weight.cumsum(0).cumsum(1)
    return table


def _box_means(
    table: NDArray[np.float64],
    boxes: NDArray[np.float64] | tuple[NDArray[np.float64], ...],
    height: float,
    width: float,
) -> NDArray[np.float64]:
    """Means of a map, by its summed-area table, over boxes (x0, y0, x1, y1) of what it is stretched over."""
    x0, y0, x1, y1 = boxes
    x0, x1 = _stretched(x0, x1, width, table.shape[1] - 1)
    y0, y1 = _stretched(y0, y1, height, table.shape[0] - 1)
    total = _sample(table, y1, x1) - _sample(table, y0, x1) - _sample(table, y1, x0) + _sample(table, y0, x0)
    return total / ((x1 - x0) * (y1 - y0))


def _stretched(
    start: NDArray[np.float64], end: NDArray[np.float64], extent: float, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A footprint's ends in map cells, inside the map and at least a thousandth of a cell apart."""
    scale = cells / extent
    start = np.clip(start * scale, 0, cells - 1e-3)
    return start, np.clip(end * scale, start + 1e-3, cells)


def _sample(
    table: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The summed-area table between its grid points: exact for a map that is constant in each cell."""
    i = np.minimum(y.astype(np.int64), table.shape[0] - 2)
    j = np.minimum(x.astype(np.int64), table.shape[1] - 2)
    v, u = y - i, x - j
    top = table[i, j] * (1 - u) + table[i, j + 1] * u
    bottom = table[i + 1, j] * (1 - u) + table[i + 1, j + 1] * u
    value: NDArray[np.float64] = top * (1 - v) + bottom * v
    return value
