"""Sums the three error maps of SSIMULACRA 2 over the rows of two planes."""

from __future__ import annotations

import numpy as np

from foveate.compiled import compiled
from foveate.quality.color import Plane
from foveate.quality.planes import Plane64
from foveate.quality.recursive_gaussian import DELAY, RecursiveGaussian

_REFERENCE, _DISTORTED, _REFERENCE_SQUARED, _DISTORTED_SQUARED, _PRODUCT = range(5)  # what is blurred
_SSIM, _RINGING, _BLURRING = range(3)  # the maps
_ONE, _TWO = np.float32(1), np.float32(2)
SSIM_CONSTANT = np.float32(0.0009)  # SSIM's constant against division by zero


class ErrorMaps:
    """The error maps of two planes of one width, summed as their rows arrive from the top down.

    The maps are structural dissimilarity, ringing (the distorted plane has an edge where the reference is
    smooth) and blurring (the other way round). Holds 400 bytes per pixel of width.
    """

    def __init__(self, width: int) -> None:
        self._rows = 0  # that have arrived
        self._blur = RecursiveGaussian(5, width)
        self._recent = (np.zeros((DELAY, width), np.float32),) * 2  # rows that are not yet blurred
        self._sums = np.zeros((2, 3, width))

    def add(self, reference: Plane, distorted: Plane) -> None:
        """Takes the next rows of both planes, (h, width), about 0 to 1."""
        height, width = reference.shape
        products = np.empty((5, height, width), np.float32)
        _multiply(reference, distorted, products)
        blurred = self._blur.add(products)
        reference = np.concatenate((self._recent[0], reference))
        distorted = np.concatenate((self._recent[1], distorted))
        _sum_maps(reference, distorted, blurred, max(0, DELAY - self._rows), self._sums)
        self._recent = reference[height:].copy(), distorted[height:].copy()
        self._rows += height

    def finish(self) -> Plane64:
        """Returns the mean and the 4-norm of each map, (2, 3). No rows may follow."""
        width = self._sums.shape[-1]
        pixels = self._rows * width
        below = np.zeros((DELAY, width), np.float32)
        self.add(below, below)
        norms: Plane64 = self._sums.sum(axis=-1) / pixels
        norms[1] **= 0.25
        return norms


@compiled
def _multiply(reference, distorted, products):  # type: ignore[no-untyped-def]
    """Computes what is blurred, (5, h, w): both planes, their squares and their product."""
    height, width = reference.shape
    for row in range(height):
        a, b = reference[row], distorted[row]
        plain_a, plain_b = products[_REFERENCE, row], products[_DISTORTED, row]
        square_a, square_b = products[_REFERENCE_SQUARED, row], products[_DISTORTED_SQUARED, row]
        product = products[_PRODUCT, row]
        for column in range(width):
            plain_a[column], plain_b[column] = a[column], b[column]
            square_a[column], square_b[column] = a[column] * a[column], b[column] * b[column]
            product[column] = a[column] * b[column]


@compiled
def _sum_maps(reference, distorted, blurred, first, sums):  # type: ignore[no-untyped-def]
    """Adds the maps of rows `first` to h to the sums (2, 3, w) of them and of their fourth powers.

    `reference` and `distorted` (4 + h, w) start with the row that `blurred` (5, h, w) starts with.
    """
    _, height, width = blurred.shape
    for row in range(first, height):
        a, b = reference[row], distorted[row]
        means_a, means_b = blurred[_REFERENCE, row], blurred[_DISTORTED, row]
        squares_a, squares_b = blurred[_REFERENCE_SQUARED, row], blurred[_DISTORTED_SQUARED, row]
        products = blurred[_PRODUCT, row]
        for column in range(width):
            mean_a, mean_b = means_a[column], means_b[column]
            luminance = _ONE - (mean_a - mean_b) * (mean_a - mean_b)
            covariance = products[column] - mean_a * mean_b
            variances = (squares_a[column] - mean_a * mean_a) + (squares_b[column] - mean_b * mean_b)
            similarity = luminance * (_TWO * covariance + SSIM_CONSTANT) / (variances + SSIM_CONSTANT)
            unlike = max(1.0 - np.float64(similarity), 0.0)
            edge_a, edge_b = abs(a[column] - mean_a), abs(b[column] - mean_b)
            edges = np.float64((edge_b - edge_a) / (_ONE + edge_a))
            ringing, blurring = max(edges, 0.0), max(-edges, 0.0)
            sums[0, _SSIM, column] += unlike
            sums[0, _RINGING, column] += ringing
            sums[0, _BLURRING, column] += blurring
            sums[1, _SSIM, column] += (unlike * unlike) * (unlike * unlike)
            sums[1, _RINGING, column] += (ringing * ringing) * (ringing * ringing)
            sums[1, _BLURRING, column] += (blurring * blurring) * (blurring * blurring)
