"""A differentiable stand-in for JPEG 2000: color transform, 9/7 wavelet, quantization, rate proxy.

    photo ─▶ ICT ─▶ 9/7 analysis ─▶ quantize (smooth gradient) ─▶ 9/7 synthesis ─▶ inverse ICT ─▶ decoded
                                        └▶ ½ Σ log2(1 + (c / Δ)²) ─▶ bits

The codec itself has no gradient; this has one, so that ComCNN and RecCNN can be trained through it together.
Transform, normalization and quantizer are those of ISO/IEC 15444-1 Annexes E, F and G. Steps come from a
coding-noise map, like the one that RecCNN reads from the packet headers of a real file (see
`NOISE_CHANNELS`).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 5
CELL = 8  # a coding-noise map holds one cell per 8 x 8 pixels

# A coding-noise map (h, w, 4) holds normalized quantization steps: a coefficient's effective step times the
# L2 norm of its synthesis basis, per color sample, as a share of the peak value. Luma in three octaves,
# chroma in one.
NOISE_CHANNELS = ("luma, finest octave", "luma, second octave", "luma, coarser octaves", "chroma")

# ISO/IEC 15444-1 Table F.4: the lifting parameters of the 9/7 irreversible filter.
_LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.230174104914001

_RGB_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_YCC_TO_RGB = np.linalg.inv(_RGB_TO_YCC)


@functools.cache
def analysis_matrix(size: int) -> NDArray[np.float32]:
    """One level of 9/7 analysis of a symmetrically extended signal of even length as a (size, size) matrix.

    The first half of the rows gives the low band, the second half the high band.
    """
    x = np.eye(size)
    even, odd = x[0::2].copy(), x[1::2].copy()
    for i, factor in enumerate(_LIFTING):
        if i % 2 == 0:
            odd += factor * (even + np.concatenate([even[1:], even[-1:]]))
        else:
            even += factor * (odd + np.concatenate([odd[:1], odd[:-1]]))
    return np.concatenate([even / _SCALE, odd * _SCALE]).astype(np.float32)


@functools.cache
def synthesis_matrix(size: int) -> NDArray[np.float32]:
    """The inverse of `analysis_matrix`."""
    return np.linalg.inv(analysis_matrix(size).astype(np.float64)).astype(np.float32)


@functools.cache
def basis_norms(levels: int = LEVELS) -> tuple[tuple[float, float], ...]:
    """L2 norms of the 1-D synthesis basis functions (low, high) of levels 1..levels, away from borders."""
    size = 32 << levels
    norms = []
    for level in range(1, levels + 1):
        pair = []
        for high in (False, True):
            coarse = size >> level
            signal = np.zeros(2 * coarse)
            signal[coarse // 2 + (coarse if high else 0)] = 1
            n = 2 * coarse
            signal = synthesis_matrix(n).astype(np.float64) @ signal
            while n < size:
                n *= 2
                signal = synthesis_matrix(n).astype(np.float64) @ np.concatenate([signal, np.zeros(n // 2)])
            pair.append(float(np.linalg.norm(signal)))
        norms.append((pair[0], pair[1]))
    return tuple(norms)


def color_norms() -> NDArray[np.float32]:
    """RMS change of an RGB sample for a unit change of Y, Cb, Cr: (3,)."""
    norms: NDArray[np.float32] = np.sqrt((_YCC_TO_RGB**2).mean(0)).astype(np.float32)
    return norms


def code(photo: Any, noise: Any) -> tuple[Any, Any]:
    """Simulates JPEG 2000 at the steps of coding-noise maps, and estimates the bits it takes.

    Args:
      photo: (batch, n, n, 3) in [0, 1], n a multiple of 32.
      noise: (batch, n/8, n/8, 4), see `NOISE_CHANNELS`.

    Returns:
      The decoded photos, like `photo`, and bits per color sample, (batch,).
    """
    from keras import ops

    size = photo.shape[1]
    ycc = ops.matmul(photo - 0.5, ops.convert_to_tensor(_RGB_TO_YCC.T.astype(np.float32)))
    coded, bits = _code_level(ycc, noise, level=1)
    rgb = ops.matmul(coded, ops.convert_to_tensor(_YCC_TO_RGB.T.astype(np.float32))) + 0.5
    return rgb, bits / (3.0 * size * size)


def _code_level(low: Any, noise: Any, level: int) -> tuple[Any, Any]:
    """Codes a low band (batch, n, n, 3) by splitting off details: decoded, and its bits (batch,)."""
    from keras import ops

    size = low.shape[1]
    half = size // 2
    bands = _apply_2d(analysis_matrix(size), low)
    norm_low, norm_high = basis_norms()[level - 1]
    steps = _steps(noise, level, half)
    if level < LEVELS:
        ll, bits = _code_level(bands[:, :half, :half], noise, level + 1)
    else:
        ll, bits = _quantize(bands[:, :half, :half], steps / norm_low**2)
    hl, hl_bits = _quantize(bands[:, :half, half:], steps / (norm_low * norm_high))
    lh, lh_bits = _quantize(bands[:, half:, :half], steps / (norm_low * norm_high))
    hh, hh_bits = _quantize(bands[:, half:, half:], steps / norm_high**2)
    whole = ops.concatenate([ops.concatenate([ll, hl], 2), ops.concatenate([lh, hh], 2)], 1)
    return _apply_2d(synthesis_matrix(size), whole), bits + hl_bits + lh_bits + hh_bits


def _apply_2d(matrix: NDArray[np.float32], x: Any) -> Any:
    from keras import ops

    m = ops.convert_to_tensor(matrix)
    x = ops.einsum("ij,bjkc->bikc", m, x)
    return ops.einsum("ij,bkjc->bkic", m, x)


def _steps(noise: Any, level: int, size: int) -> Any:
    """The normalized step of each coefficient of a level: (batch, size, size, 3)."""
    from keras import ops

    luma = noise[..., min(level, 3) - 1 : min(level, 3)]
    chroma = noise[..., 3:4]
    plane = ops.concatenate([luma, chroma, chroma], -1) / ops.convert_to_tensor(color_norms())
    cells = noise.shape[1]
    if size >= cells:
        return ops.repeat(ops.repeat(plane, size // cells, 1), size // cells, 2)
    return ops.average_pool(plane, cells // size, cells // size)


def _quantize(coefficients: Any, step: Any) -> tuple[Any, Any]:
    """Dead-zone quantizer, mid-point reconstruction (15444-1 Annex E); its rate proxy."""
    from keras import ops

    magnitude = ops.abs(coefficients) / step
    index = ops.floor(magnitude)
    decoded = ops.where(index > 0, ops.sign(coefficients) * (index + 0.5) * step, 0.0)
    # Flat at zero: coefficients in the dead zone cost almost nothing.
    bits = 0.5 * ops.sum(ops.log2(1.0 + ops.square(magnitude)), axis=(1, 2, 3))
    # The quantizer has no useful gradient; this smooth curve's is 0 at zero and 1 beyond the dead zone.
    smooth = coefficients * ops.square(magnitude) / (1.0 + ops.square(magnitude))
    return smooth + ops.stop_gradient(decoded - smooth), bits
