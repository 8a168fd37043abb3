"""Converts sRGB pixels to linear light, halves that, and converts it to the XYB color of SSIMULACRA 2.

XYB (Alakuijala et al. 2019, "JPEG XL next-generation image compression architecture and coding tools") is
the cube root of the light that the eye's three kinds of cones absorb, as red-green difference X, brightness Y
and blue B. SSIMULACRA 2 rescales it to about 0 to 1: 14 X + 0.42, Y + 0.01 and B - Y + 0.55.

Operations have the precision and the order of the reference program; `recursive_gaussian` says why.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from foveate.compiled import compiled, compiled_without_checks, fused
from foveate.quality.color import Pixels, Plane, peak_of

Planes = NDArray[np.float32]  # (3, h, w)

_ABSORBED = np.array(  # how much of linear red, green and blue each kind of cone absorbs
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.55180986650955360],
    ],
    np.float32,
)
_BIAS = np.float32(0.0037930732552754493)
_BIAS_ROOT = np.float32(0.0037930732552754493 ** (1 / 3))
_X_SCALE, _X_OFFSET = np.float32(14), np.float32(0.42)
_Y_OFFSET, _B_OFFSET = np.float32(0.01), np.float32(0.55)
_KNEE, _SLOPE = np.float32(0.04045), np.float32(1 / np.float32(12.92))
_HALF, _QUARTER, _TWO = np.float32(0.5), np.float32(0.25), np.float32(2)
_THIRD, _FOUR_THIRDS = np.float32(1 / 3), np.float32(4 / 3)
# Two polynomials, highest power first, whose quotient is the linear light of samples above 0.04045 to 5e-7.
_NUMERATOR = np.array(
    [8.210152774e-01, 7.961564959e-01, 1.624820318e-01, 1.043637593e-02, 2.200248328e-04], np.float32
)
_DENOMINATOR = np.array(
    [6.521209011e-03, -5.512498495e-02, 4.987528350e-01, 1.076976492e00, 2.631846970e-01], np.float32
)


def linear_light(pixels: Pixels) -> Planes:
    """Converts sRGB (h, w, C), uint8 or uint16, C in 1..4, to linear red, green and blue (3, h, w) in 0..1.

    Gray counts as three equal colors; alpha is left out.
    """
    height, width, _ = pixels.shape
    light = np.empty((3, height, width), np.float32)
    step = 0 if pixels.shape[2] <= 2 else 1
    _look_up(np.ascontiguousarray(pixels), _light_of_samples(peak_of(pixels)), step, light)
    return light


def halve(light: Planes) -> Planes:
    """Averages 2×2 samples: (3, h, w) to (3, ⌈h/2⌉, ⌈w/2⌉); an odd last row or column is repeated."""
    _, height, width = light.shape
    halved = np.empty((3, (height + 1) // 2, (width + 1) // 2), np.float32)
    _average(light, halved)
    return halved


def add_halved_derivative(coarse: Planes, fine: Planes) -> None:
    """Adds the derivative by light (3, h, w) that follows from one by halved light (3, ⌈h/2⌉, ⌈w/2⌉)."""
    _spread(coarse, fine)


def rescaled_xyb(light: Planes) -> Planes:
    """Converts linear red, green and blue (3, h, w) in 0..1 to X, Y and B - Y (3, h, w), each about 0..1."""
    _, height, width = light.shape
    converted = np.empty_like(light)
    _convert(light.reshape(3, height * width), _ABSORBED, converted.reshape(3, height * width))
    return converted


def rescaled_brightness(light: Planes) -> Plane:
    """Only the Y (h, w) of `rescaled_xyb`, in half its time."""
    _, height, width = light.shape
    converted = np.empty((height, width), np.float32)
    _convert_brightness(light.reshape(3, height * width), _ABSORBED, converted.reshape(height * width))
    return converted


def derivative_by_light(converted: Planes, derivative: Planes) -> Planes:
    """Turns a derivative by rescaled XYB (3, h, w) into one by the light that was converted to it."""
    by_light = np.empty_like(derivative)
    count = derivative[0].size
    flat = converted.reshape(3, count), derivative.reshape(3, count), by_light.reshape(3, count)
    _convert_derivative(*flat[:2], _ABSORBED, flat[2])
    return by_light


def derivative_by_samples(pixels: Pixels, derivative: Planes) -> NDArray[np.float32]:
    """Turns a derivative by linear light (3, h, w) into one by the sRGB samples (h, w, C) it came from."""
    result = np.zeros(pixels.shape, np.float32)
    slopes = _slopes_of_samples(peak_of(pixels))
    if pixels.shape[2] <= 2:
        result[..., 0] = (derivative[0] + derivative[1] + derivative[2]) * slopes[pixels[..., 0]]
    else:
        for color in range(3):
            result[..., color] = derivative[color] * slopes[pixels[..., color]]
    return result


@functools.cache
def _slopes_of_samples(peak: int) -> NDArray[np.float32]:
    """The derivative of the linear light of every sample value 0..peak by that value (IEC 61966-2-1)."""
    encoded = np.arange(peak + 1) / peak
    slopes = np.where(encoded > _KNEE, 2.4 / 1.055 * ((encoded + 0.055) / 1.055) ** 1.4, 1 / 12.92)
    return np.asarray(slopes / peak, np.float32)


@functools.cache
def _light_of_samples(peak: int) -> NDArray[np.float32]:
    """The linear light of every sample value 0..peak (IEC 61966-2-1)."""
    encoded = np.arange(peak + 1, dtype=np.float32) * np.float32(1 / peak)
    light = np.empty_like(encoded)
    _decode(encoded, _NUMERATOR, _DENOMINATOR, light)
    return light


@compiled
def _decode(encoded, numerator, denominator, light):  # type: ignore[no-untyped-def]
    for at in range(len(encoded)):
        value = encoded[at]
        above, below = numerator[0], denominator[0]
        for power in range(1, 5):
            above = fused(above, value, numerator[power])
            below = fused(below, value, denominator[power])
        light[at] = above / below if value > _KNEE else value * _SLOPE


@compiled
def _look_up(pixels, light_of, step, light):  # type: ignore[no-untyped-def]
    """Fills (3, h, w) from (h, w, C), of which red, green and blue are channels 0, `step` and 2 `step`."""
    height, width, _ = pixels.shape
    for row in range(height):
        for color in range(3):
            for column in range(width):
                light[color, row, column] = light_of[pixels[row, column, color * step]]


@compiled
def _average(light, halved):  # type: ignore[no-untyped-def]
    colors, height, width = light.shape
    for color in range(colors):
        for row in range(halved.shape[1]):
            upper = light[color, 2 * row]
            lower = light[color, min(2 * row + 1, height - 1)]
            result = halved[color, row]
            for column in range(width // 2):
                total = upper[2 * column] + upper[2 * column + 1]
                result[column] = _QUARTER * (total + lower[2 * column] + lower[2 * column + 1])
            if width % 2:
                result[-1] = _QUARTER * (upper[-1] + upper[-1] + lower[-1] + lower[-1])


@compiled
def _spread(coarse, fine):  # type: ignore[no-untyped-def]
    """The adjoint of `_average`, in which an odd last row or column counts twice."""
    colors, height, width = fine.shape
    for color in range(colors):
        for row in range(height):
            factor = _HALF if height % 2 and row == height - 1 else _QUARTER
            source, target = coarse[color, row // 2], fine[color, row]
            for column in range(width // 2):
                share = factor * source[column]
                target[2 * column] += share
                target[2 * column + 1] += share
            if width % 2:
                target[-1] += _TWO * factor * source[-1]


@compiled
def _cube_root_and(value, addend):  # type: ignore[no-untyped-def]
    """The cube root of a positive float32 plus another number.

    Newton's method for the inverse root, from a guess that divides the exponent by -3.
    """
    exponent = np.int32(np.float32(value).view(np.int32)) >> 23
    inverse = np.int32(np.int32(0x54800000) - np.int32(exponent * 0x2AAAAA)).view(np.float32)
    third = _THIRD * value
    for _ in range(3):
        square = inverse * inverse
        inverse = fused(-third, square * square, _FOUR_THIRDS * inverse)
    square = inverse * inverse
    inverse = fused(_THIRD, fused(-value, square * square, inverse), inverse)
    return fused(inverse * inverse, value, addend)


@compiled
def _response(absorbed, cone, red, green, blue):  # type: ignore[no-untyped-def]
    """The response of one kind of cone to linear light: 0 for black."""
    light = fused(absorbed[cone, 1], green, fused(absorbed[cone, 2], blue, _BIAS))
    return _cube_root_and(fused(absorbed[cone, 0], red, light), -_BIAS_ROOT)


@compiled
def _convert(light, absorbed, converted):  # type: ignore[no-untyped-def]
    """Converts (3, n) samples."""
    for at in range(light.shape[1]):
        red, green, blue = light[0, at], light[1, at], light[2, at]
        long = _response(absorbed, 0, red, green, blue)
        medium = _response(absorbed, 1, red, green, blue)
        short = _response(absorbed, 2, red, green, blue)
        brightness = _HALF * (long + medium)
        converted[0, at] = _HALF * (long - medium) * _X_SCALE + _X_OFFSET
        converted[1, at] = brightness + _Y_OFFSET
        converted[2, at] = (short - brightness) + _B_OFFSET


@compiled
def _convert_brightness(light, absorbed, converted):  # type: ignore[no-untyped-def]
    """The second row of `_convert`."""
    for at in range(light.shape[1]):
        red, green, blue = light[0, at], light[1, at], light[2, at]
        long = _response(absorbed, 0, red, green, blue)
        brightness = _HALF * (long + _response(absorbed, 1, red, green, blue))
        converted[at] = brightness + _Y_OFFSET


@compiled_without_checks
def _convert_derivative(converted, derivative, absorbed, by_light):  # type: ignore[no-untyped-def]
    """Like `_convert`, backward: the derivative of a cube root is a third over its square."""
    by_red, by_green, by_blue = by_light[0], by_light[1], by_light[2]
    for at in range(len(by_red)):
        x, y = (converted[0, at] - _X_OFFSET) / _X_SCALE, converted[1, at] - _Y_OFFSET
        long, medium = y + x + _BIAS_ROOT, y - x + _BIAS_ROOT
        short = converted[2, at] - _B_OFFSET + y + _BIAS_ROOT
        by_x, by_y = _HALF * _X_SCALE * derivative[0, at], _HALF * (derivative[1, at] - derivative[2, at])
        by_red[at] = _THIRD * (by_y + by_x) / (long * long)
        by_green[at] = _THIRD * (by_y - by_x) / (medium * medium)
        by_blue[at] = _THIRD * derivative[2, at] / (short * short)
    for at in range(len(by_red)):
        by_long, by_medium, by_short = by_red[at], by_green[at], by_blue[at]
        by_red[at] = absorbed[0, 0] * by_long + absorbed[1, 0] * by_medium + absorbed[2, 0] * by_short
        by_green[at] = absorbed[0, 1] * by_long + absorbed[1, 1] * by_medium + absorbed[2, 1] * by_short
        by_blue[at] = absorbed[0, 2] * by_long + absorbed[1, 2] * by_medium + absorbed[2, 2] * by_short
