"""Estimates how visible errors are in each code-block: contrast masking, and weights of bands and colors."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from foveate.codec import wavelet
from foveate.codec.codestream import Codestream
from foveate.codec.coding import Pixels
from foveate.codec.footprints import box_means, footprints, summed
from foveate.codec.layout import Layout
from foveate.compiled import compiled, compiled_without_checks

# MS-SSIM (Wang, Simoncelli, Bovik 2003): weights of its scales, the constant in contrast, its window.
_SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_CONTRAST_CONSTANT = 0.03**2  # of the squared peak
_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_HIDING_FLOOR = 900 / 255**2  # variance added everywhere; 0 to 1500 of 255^2 differ little
_POWER = 0.6
# Octaves of weight by decomposition level, finest first, and by kind of band: for luma beyond MS-SSIM's
# weights, for colors beyond luma's average. Mostly the mean derivative of SSIMULACRA 2 over training photos;
# half of it for colors, since the rest costs as much as it gains.
_OCTAVES = np.array(
    [  # LL, HL and LH, HH
        [[0.0, -0.2, -0.1], [0.0, 0.2, -0.2], [0.0, 0.6, -0.1], [0.0, 1.2, 0.9], [0.7, 1.4, 1.5]],  # Y
        [[-2.0] * 3, [-1.2] * 3, [-0.3] * 3, [0.6] * 3, [1.0] * 3],  # Cb
        [[-1.7] * 3, [-0.8] * 3, [-0.2] * 3, [0.0] * 3, [0.0] * 3],  # Cr
    ]
)
_KINDS = np.array([0, 1, 1, 2])  # of bands: LL, HL, LH, HH
_STRIP = 1024  # rows at a time, for giants

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def visibility(stream: Codestream, layout: Layout, pixels: Pixels) -> tuple[NDArray[np.float64], float]:
    """Visibility of squared errors: contrast masking, and sensitivity by scale and color.

    Masking follows MS-SSIM: to first order, an error of variance d costs a window of variance v a share of
    d / (2 v + C2) of its contrast-structure factor, whatever else was lost there. A coefficient's error
    reaches each scale with the energy that the basis function keeps after so many halvings, minus what only
    shifts a window's mean. Scales are weighted by their exponents. Blocks of 32 x 32 do no better.

    Beyond that, octaves by level and kind of band follow SSIMULACRA 2, which gives more weight to coarse luma
    than MS-SSIM does, much less to fine color differences than to luma, and as much or more to coarse ones.
    On 14 training photos, from 0.125 to 2 bits per pixel, that saves 16.5 % of OpenJPEG's bytes at equal
    SSIMULACRA 2 and 15.4 % at equal MS-SSIM, and costs 0.24 dB of PSNR at 0.25 and 0.28 dB at 0.5 bits per
    pixel. With a power of 0.85 instead of 0.6 it would be 17.4 and 16.8 %, for 0.33 and 0.43 dB. Alpha weighs
    as much as luma. With effort "best", `block_costs` corrects these weights after a first decode.

    Args:
      stream: the codestream whose blocks are weighed.
      layout: its layout.
      pixels: (H, W, C) uint8 or uint16: the photo that was encoded.

    Returns:
      (blocks,) float64, positive, around 1; and the share of contrast that a weight of 1 takes per squared
      error of one sample of each window, as a share of the squared peak: large for smooth photos, small for
      textures.
    """
    blocks = layout.blocks
    boxes = footprints(stream, layout).T
    hiding = np.empty((len(_SCALE_WEIGHTS), len(blocks.tile)))
    for scale, visible in enumerate(_visibility(pixels)):
        cell = 2 << scale
        height, width = visible.shape[0] * cell, visible.shape[1] * cell
        hiding[scale] = box_means(summed(visible), boxes, height, width)
    levels = range(int(blocks.level.max(initial=0)) + 1)
    gains = np.array([[_scale_gains(level, band) for band in range(4)] for level in levels])
    gains = gains[blocks.level, blocks.band]
    weights: NDArray[np.float64] = np.einsum("bs,sb,s->b", gains, hiding, _SCALE_WEIGHTS)
    luma = blocks.component == 0
    typical = float(np.exp(np.log(weights[luma]).mean()))
    weights = (weights / typical) ** _POWER
    weights[~luma] = 1.0
    colored = blocks.component < (3 if stream.color_transform else 1)
    octave = np.maximum(blocks.level[colored], 1) - 1
    weights[colored] *= 2.0 ** _OCTAVES[blocks.component[colored], octave, _KINDS[blocks.band[colored]]]
    return weights, typical


def _visibility(pixels: Pixels) -> list[NDArray[np.float64]]:
    """1 / (2 v + C2) of luma in cells of 2 x 2 samples at each scale; mirrored to whole cells."""
    scales = len(_SCALE_WEIGHTS)
    rows: list[list[NDArray[np.float64]]] = [[] for _ in range(scales)]
    unit = 1 << scales
    for top in range(0, pixels.shape[0], _STRIP):
        plane = _luma(pixels[top : top + _STRIP])
        plane = np.pad(plane, [(0, -side % unit) for side in plane.shape], mode="symmetric")
        for scale in range(scales):
            plane, visible = _halved(plane, _CONTRAST_CONSTANT + _HIDING_FLOOR)
            rows[scale].append(visible)
    return [np.concatenate(strips) for strips in rows]


def _luma(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W) float32 in [-0.5, 0.5]: centered, so that squares keep their digits."""
    factors = _LUMA if pixels.shape[2] >= 3 else np.ones(1, np.float32)
    peak = np.float32(np.iinfo(pixels.dtype).max)
    luma: NDArray[np.float32] = _mixed(np.ascontiguousarray(pixels), factors / peak)
    return luma


@compiled
def _mixed(pixels, factors):  # type: ignore[no-untyped-def]
    """The first or the first three channels of (H, W, C) times factors, less 0.5: (H, W) float32."""
    height, width, channels = pixels.shape
    plane = np.empty((height, width), np.float32)
    half = np.float32(0.5)
    for row in range(height):
        line, samples = plane[row], pixels[row].reshape(-1)  # one dimension each, to be vectorized
        if len(factors) == 1:
            for x in range(width):
                line[x] = factors[0] * np.float32(samples[channels * x]) - half
        else:
            red, green, blue = factors[0], factors[1], factors[2]
            for x in range(width):
                at = channels * x
                of_red, of_green = red * np.float32(samples[at]), green * np.float32(samples[at + 1])
                line[x] = of_red + of_green + blue * np.float32(samples[at + 2]) - half
    return plane


@compiled_without_checks
def _halved(plane, least):  # type: ignore[no-untyped-def]
    """Means over cells of 2 x 2 samples, and 1 / (2 v + `least`) with their variances v."""
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    means, visible = np.empty((height, width), np.float32), np.empty((height, width), np.float64)
    quarter = np.float32(0.25)
    for row in range(height):
        upper, lower = plane[2 * row], plane[2 * row + 1]
        for x in range(width):
            a, b, c, d = upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]
            mean = ((a + c) + (b + d)) * quarter
            square = ((a * a + c * c) + (b * b + d * d)) * quarter
            means[row, x] = mean
            visible[row, x] = 1 / (2 * np.float64(max(square - mean * mean, np.float32(0))) + least)
    return means, visible


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
