"""MS-SSIM as a loss: differentiable, on batches of patches, with any Keras backend."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW, SIGMA = 11, 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the five scales, finest first (Wang et al. 2003)
_C1, _C2 = 0.01**2, 0.03**2
_LEAST = 1e-4  # a product of powers has no gradient at zero


def ms_ssim(a: Any, b: Any) -> Any:
    """MS-SSIM (Wang, Simoncelli, Bovik 2003) of pictures (batch, h, w, 3) in [0, 1]: (batch,) in (0, 1].

    The mean over the color channels. Patches too small for all five scales have as many as fit, their
    weights scaled to a sum of one.

    Raises:
      ValueError: a side is shorter than the window.
    """
    from keras import ops

    side = min(a.shape[1], a.shape[2])
    if side < WINDOW:
        raise ValueError(f"MS-SSIM needs at least {WINDOW} pixels per side, not {side}")
    scales = min(len(WEIGHTS), 1 + int(np.log2(side / WINDOW)))
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = 1.0
    for scale, weight in enumerate(weights):
        luminance, structure = _terms(a, b)
        value = structure if scale < scales - 1 else luminance * structure
        product = product * ops.maximum(ops.mean(value, axis=(1, 2)), _LEAST) ** float(weight)
        a, b = ops.average_pool(a, 2), ops.average_pool(b, 2)
    return ops.mean(product, axis=-1)


def _terms(a: Any, b: Any) -> tuple[Any, Any]:
    """SSIM's luminance term, and its contrast and structure terms together, at each place."""
    from keras import ops

    mean_a, mean_b = _blur(a), _blur(b)
    # Rounding must not make a variance negative: the structure term would pass 1, and a loss be NaN.
    variance_a = ops.maximum(_blur(a * a) - mean_a * mean_a, 0.0)
    variance_b = ops.maximum(_blur(b * b) - mean_b * mean_b, 0.0)
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (ops.square(mean_a) + ops.square(mean_b) + _C1)
    return luminance, (2 * covariance + _C2) / (variance_a + variance_b + _C2)


def gaussian_taps() -> NDArray[np.float32]:
    """The window for a depthwise convolution of three colors: (window, 3, 1)."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-(offsets**2) / (2 * SIGMA**2))
    return np.repeat((taps / taps.sum()).astype(np.float32)[:, None], 3, 1)[..., None]


def _blur(x: Any) -> Any:
    from keras import ops

    taps = gaussian_taps()
    for kernel in (taps[:, None], taps[None]):  # down, then across
        x = ops.depthwise_conv(x, ops.convert_to_tensor(kernel), padding="valid")
    return x
