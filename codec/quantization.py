"""Quantization steps of all bands, and what an error in each costs (ISO/IEC 15444-1 Annex E, J.14)."""

from __future__ import annotations

import math
from typing import NamedTuple

from foveate.codec.parameters import IRREVERSIBLE, CodingStyle, Quantization
from foveate.codec.wavelet import basis_norm

GUARD_BITS = 2  # to begin with; what magnitudes need in the end is written
# Squared error over all colors for a unit error of each transformed component (Annex G).
_ICT_GAINS = (3.0, 0.344136**2 + 1.772**2, 1.402**2 + 0.714136**2)
_RCT_GAINS = (3.0, 0.6875, 0.6875)


class Band(NamedTuple):
    """How one band is quantized: `step` in sample values; a unit error of it costs `norm` squared."""

    exponent: int
    mantissa: int
    step: float
    norm: float


def bands_of(coding: CodingStyle, bit_depth: int, base_step: float = 1.0) -> tuple[Band, ...]:
    """The bands of a component: LL, then HL, LH, HH of each resolution.

    Irreversible bands are quantized so that a step costs the same in each (equal slopes then mean equal
    steps); reversible ones not at all.

    Args:
      coding: of the component.
      bit_depth: likewise.
      base_step: quantization step in sample values, at the output of the transform.
    """
    bands = []
    for resolution in range(coding.levels + 1):
        for band in (1, 2, 3) if resolution else (0,):
            level = coding.levels - resolution + (1 if resolution else 0)
            bands.append(_band(coding.transformation == IRREVERSIBLE, level, band, bit_depth, base_step))
    return tuple(bands)


def _band(irreversible: bool, level: int, band: int, bit_depth: int, base_step: float) -> Band:
    norm = 1.0
    if level:
        norm = basis_norm(irreversible, level, bool(band & 1)) * basis_norm(
            irreversible, level, bool(band >> 1)
        )
    dynamic_range = bit_depth + (0, 1, 1, 2)[band]
    if not irreversible:
        return Band(dynamic_range, 0, 1.0, norm)
    wanted = base_step / norm
    exponent = dynamic_range - math.floor(math.log2(wanted))
    mantissa = round((wanted / 2.0 ** (dynamic_range - exponent) - 1) * 2048)
    if mantissa == 2048:
        exponent, mantissa = exponent - 1, 0
    exponent = min(exponent, 31)
    return Band(exponent, mantissa, 2.0 ** (dynamic_range - exponent) * (1 + mantissa / 2048), norm)


def quantization_of(
    bands: tuple[Band, ...], irreversible: bool, guard_bits: int = GUARD_BITS
) -> Quantization:
    """The QCD parameters of these bands."""
    return Quantization(2 if irreversible else 0, guard_bits, tuple((b.exponent, b.mantissa) for b in bands))


def color_gains(components: int, transform: bool, irreversible: bool) -> tuple[float, ...]:
    """Squared error in the picture's samples for a unit error of each component."""
    if not transform:
        return (1.0,) * components
    gains = _ICT_GAINS if irreversible else _RCT_GAINS
    return (*gains, *(1.0,) * (components - 3))
