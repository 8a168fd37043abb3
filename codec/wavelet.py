"""Synthesis basis functions of Part 1's two wavelets, in one dimension (ISO/IEC 15444-1 Annex F)."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

# Synthesis filters, center and one side (analysis gain 1 at DC and 2 at Nyquist).
_LOW_97 = (1.115087052456994, 0.591271763114247, -0.057543526228500, -0.091271763114250)
_HIGH_97 = (0.602949018236358, -0.266864118442872, -0.078223266528988, 0.016864118442875, 0.026748757410810)
_LOW_53 = (1.0, 0.5)
_HIGH_53 = (0.75, -0.25, -0.125)


@functools.cache
def basis(irreversible: bool, level: int, high: bool) -> NDArray[np.float64]:
    """The samples that one coefficient of a level (from 1) adds to a row: its basis function; odd length.

    Its middle lies at sample k * 2^level for low-pass coefficient k; half a coefficient on, if high-pass.
    """
    low_filter, high_filter = (_LOW_97, _HIGH_97) if irreversible else (_LOW_53, _HIGH_53)
    signal = _symmetric(high_filter if high else low_filter)
    for _ in range(level - 1):
        spread = np.zeros(2 * len(signal) - 1)
        spread[::2] = signal
        signal = np.convolve(spread, _symmetric(low_filter))
    signal.flags.writeable = False
    return signal


def _symmetric(half: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(half[:0:-1] + half)


@functools.cache
def basis_norm(irreversible: bool, level: int, high: bool) -> float:
    """L2 norm of a basis function."""
    return float(np.linalg.norm(basis(irreversible, level, high)))


@functools.cache
def basis_spread(irreversible: bool, level: int, high: bool) -> float:
    """Standard deviation, in samples, of where a basis function has its energy."""
    energy = basis(irreversible, level, high) ** 2
    place = np.arange(len(energy)) - len(energy) // 2
    return float(np.sqrt((energy * place**2).sum() / energy.sum()))
