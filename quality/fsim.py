"""FSIM and FSIMc, feature similarity by phase congruency (Zhang, Zhang, Mou, Zhang 2011).

Photos are compared by their features: phase congruency (after Kovesi 1999) shows where a feature is, at any
contrast, and the gradient how strong it is. Both are compared at every place and averaged, weighted by
congruency. FSIMc also compares the I and Q of the YIQ colors.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from scipy.fft import fft2, fftfreq, ifft2
from scipy.ndimage import correlate, uniform_filter

from foveate.quality.color import Pixels, check_pair
from foveate.quality.planes import Plane64, at_least, colors_255

_VIEWED_SIDE = 256  # photos are brought down to about this shorter side
_LEAST_SIDE = 16  # sides below it are continued by mirroring
_PHASE_STABILISER, _GRADIENT_STABILISER, _CHROMA_STABILISER = 0.85, 160.0, 200.0  # T1, T2, T3 = T4
_CHROMA_POWER = 0.03  # lambda
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_SCHARR = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16

_SCALES, _ORIENTATIONS = 4, 4
_SHORTEST_WAVE, _WAVE_FACTOR = 6.0, 2.0  # samples, from scale to scale
_BANDWIDTH = 0.55  # sigma of the log-Gabor filter over its center frequency
_SPREAD = math.pi / _ORIENTATIONS / 1.2  # sigma of the angle, in radians
_NOISE_DEVIATIONS, _NOISE_DIVISOR = 2.0, 1.7  # what is at most noise does not count
_LOW_PASS, _LOW_PASS_ORDER = 0.45, 15
_LEAST = 1e-4


@dataclasses.dataclass(frozen=True)
class FeatureSimilarity:
    """Both in (0, 1], 1 for an exact copy; equal for gray photos."""

    fsim: float
    fsim_c: float


def fsim(a: Pixels, b: Pixels) -> float:
    """FSIM of the luma; ValueError for a mismatched pair."""
    return feature_similarity(a, b).fsim


def fsim_c(a: Pixels, b: Pixels) -> float:
    """FSIMc, with color; ValueError for a mismatched pair."""
    return feature_similarity(a, b).fsim_c


def feature_similarity(a: Pixels, b: Pixels) -> FeatureSimilarity:
    """FSIM and FSIMc of a pair (H, W, C) uint8 or uint16 alike, on a scale of 255.

    Sides below 16 are extended by mirroring. Raises ValueError for a mismatched pair.
    """
    check_pair(a, b)
    (first, *chroma_a), (second, *chroma_b) = (_viewed(photo) for photo in (a, b))
    phases = phase_congruency(first), phase_congruency(second)
    likeness = _likeness(*phases, _PHASE_STABILISER)
    likeness *= _likeness(_gradient(first), _gradient(second), _GRADIENT_STABILISER)
    weights = np.maximum(*phases)
    if not weights.any():  # no feature anywhere: all places alike
        weights = np.ones_like(weights)
    colored = likeness
    if chroma_a:
        hues = [_likeness(x, y, _CHROMA_STABILISER) for x, y in zip(chroma_a, chroma_b, strict=True)]
        chroma = hues[0] * hues[1]
        colored = likeness * np.real(chroma.astype(complex) ** _CHROMA_POWER)  # negative where hues oppose
    return FeatureSimilarity(*(float(np.average(each, weights=weights)) for each in (likeness, colored)))


def _viewed(photo: Pixels) -> list[Plane64]:
    """Y, I and Q, or only gray, scaled down to a shorter side of some 256 samples."""
    colors = colors_255(photo)
    channels = colors if colors.shape[2] == 1 else colors @ _YIQ.T
    planes = [at_least(plane, _LEAST_SIDE) for plane in np.moveaxis(channels, -1, 0)]
    factor = max(1, math.floor(min(photo.shape[:2]) / _VIEWED_SIDE + 0.5))
    if factor == 1:
        return planes
    # The authors' averaging window of an even number of samples reaches further down and to the right.
    origin = 0 if factor % 2 else -1
    return [
        uniform_filter(plane, factor, mode="constant", origin=origin)[::factor, ::factor] for plane in planes
    ]


def _likeness(a: Plane64, b: Plane64, stabilizer: float) -> Plane64:
    alike: Plane64 = (2 * a * b + stabilizer) / (a * a + b * b + stabilizer)
    return alike


def _gradient(plane: Plane64) -> Plane64:
    """Its magnitude after Scharr; outside the photo, all samples are zero."""
    across, down = (correlate(plane, kernel, mode="constant") for kernel in (_SCHARR, _SCHARR.T))
    magnitude: Plane64 = np.hypot(across, down)
    return magnitude


def phase_congruency(plane: Plane64) -> Plane64:
    """(H, W) in [0, 1]: how far the frequencies at each place are in phase (Kovesi 1999, equation 13).

    Four orientations of four log-Gabor filters; the noise expected from the finest filter's response is
    subtracted.
    """
    spectrum = fft2(plane)
    radial, angular = _filters(plane.shape)
    energy, amplitude = np.zeros(plane.shape), np.full(plane.shape, _LEAST)
    for spread in angular:
        responses = [ifft2(spectrum * (band * spread)) for band in radial]
        total = np.sum(responses, axis=0)
        size = np.abs(total) + _LEAST
        amplitudes = [np.abs(response) for response in responses]
        mean = total / size
        coherent = np.zeros(plane.shape)
        for response in responses:
            turned = response * np.conj(mean)
            coherent += turned.real - np.abs(turned.imag)
        floor = _noise_floor(amplitudes[0], [band * spread for band in radial])
        energy += np.maximum(coherent - floor, 0)
        amplitude += np.sum(amplitudes, axis=0)
    congruency: Plane64 = energy / amplitude
    return congruency


def _noise_floor(finest: Plane64, filters: list[Plane64]) -> float:
    """Energy that noise alone may reach, by the median response of the finest filter (Kovesi, section 6)."""
    power = float(np.median(finest**2)) / math.log(2) / float((filters[0] ** 2).sum())
    count = filters[0].size
    shapes = [np.real(ifft2(each)) * math.sqrt(count) for each in filters]
    alone = sum(float((shape**2).sum()) for shape in shapes)
    both = (float((np.sum(shapes, axis=0) ** 2).sum()) - alone) / 2
    rayleigh = math.sqrt(power * (alone + 2 * both))
    expected = rayleigh * (math.sqrt(math.pi / 2) + _NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2))
    return expected / _NOISE_DIVISOR


@functools.lru_cache(maxsize=2)
def _filters(shape: tuple[int, int]) -> tuple[list[Plane64], list[Plane64]]:
    """The radial parts of the filters, by scale, and the angular ones, by orientation."""
    down, across = np.meshgrid(*(_frequencies(side) for side in shape), indexing="ij")
    radius = np.hypot(across, down)
    radius[0, 0] = 1
    low_pass = 1 / (1 + (radius / _LOW_PASS) ** (2 * _LOW_PASS_ORDER))
    radial = []
    for scale in range(_SCALES):
        center = 1 / (_SHORTEST_WAVE * _WAVE_FACTOR**scale)
        band = low_pass * np.exp(-(np.log(radius / center) ** 2) / (2 * math.log(_BANDWIDTH) ** 2))
        band[0, 0] = 0
        radial.append(band)
    angle = np.arctan2(-down, across)
    turns = [angle - index * math.pi / _ORIENTATIONS for index in range(_ORIENTATIONS)]
    away = [np.abs(np.arctan2(np.sin(turn), np.cos(turn))) for turn in turns]
    return radial, [np.exp(-(each**2) / (2 * _SPREAD**2)) for each in away]


def _frequencies(side: int) -> Plane64:
    """Cycles per sample in the transform's order; for odd sides they reach one half, as Kovesi's do."""
    frequencies: Plane64 = fftfreq(side) * (side / (side - 1) if side % 2 and side > 1 else 1)
    return frequencies
