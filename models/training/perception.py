"""SSIMULACRA 2 as a loss: differentiable, on batches of patches.

The measure (Sneyers, Cloudinary, 2022 and 2023, version 2.1) is a weighted sum of 108 figures, most of whose
weights are nearly zero. Here it is the sum of the nineteen that count, with a Gaussian of eleven taps instead
of a recursive one. The nineteen lie on five of the six scales.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.models.training.similarity import gaussian_taps

SCALES = 5
LEAST_SIDE = 64  # pixels: scales follow one another while sides have eight samples
# (color, scale, map, power of the norm) -> weight; colors X, Y and B - Y, finest scale first.
_STRUCTURE, _RINGING, _BLURRING = range(3)
_WEIGHTS = {
    (0, 1, _STRUCTURE, 4): 1.1042,
    (0, 2, _STRUCTURE, 4): 1.8422,
    (0, 2, _RINGING, 4): 11.4412,
    (0, 3, _STRUCTURE, 4): 1.8788,
    (0, 3, _RINGING, 4): 10.9491,
    (1, 0, _STRUCTURE, 4): 7.4669,
    (1, 0, _BLURRING, 4): 17.4458,
    (1, 1, _STRUCTURE, 4): 6.6837,
    (1, 1, _BLURRING, 4): 1.0279,
    (1, 2, _STRUCTURE, 1): 225.2052,
    (1, 2, _STRUCTURE, 4): 19.2132,
    (1, 3, _STRUCTURE, 1): 176.3932,
    (1, 3, _STRUCTURE, 4): 24.4330,
    (1, 4, _STRUCTURE, 4): 34.7791,
    (1, 4, _RINGING, 4): 44.8356,
    (2, 3, _STRUCTURE, 4): 8.8270,
    (2, 3, _RINGING, 4): 23.1924,
    (2, 4, _STRUCTURE, 1): 95.1080,
    (2, 4, _RINGING, 4): 171.2667,
}
_ABSORBED = (  # by the three kinds of cones, of linear red, green and blue
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
_BIAS = 0.0037930732552754493
_C2 = 0.0009
_LEAST = 1e-16  # roots have no gradient at zero


def lost_points(photo: Any, restored: Any) -> Any:
    """How far each patch's score is from 100: (batch,), of sRGB patches (batch, h, w, 3) in [0, 1].

    Raises:
      ValueError: a side is shorter than `LEAST_SIDE`.
    """
    from keras import ops

    side = min(photo.shape[1:3])
    if side < LEAST_SIDE:
        raise ValueError(f"SSIMULACRA 2 needs at least {LEAST_SIDE} pixels per side, not {side}")
    reference, distorted = _linear(photo), _linear(restored)
    disturbance = 0.0
    for scale in range(SCALES):
        maps = _error_maps(_xyb(reference), _xyb(distorted))
        for (color, at, kind, power), weight in _WEIGHTS.items():
            if at == scale:
                mean = ops.mean(maps[kind][..., color] ** power, axis=(1, 2))
                disturbance += weight * ((mean + _LEAST) ** (1 / power) - _LEAST ** (1 / power))
        reference, distorted = ops.average_pool(reference, 2), ops.average_pool(distorted, 2)
    d = 0.9562382616834844 * disturbance
    cubic = ((6.248496625763138e-05 * d - 0.020884521182843837) * d + 2.326765642916932) * d
    return 10.0 * ops.maximum(cubic, 1e-3) ** 0.6276336467831387


def _linear(encoded: Any) -> Any:
    """Linear light of sRGB (IEC 61966-2-1); what lies outside [0, 1] is cut."""
    from keras import ops

    encoded = ops.clip(encoded, 0.0, 1.0)
    curved = ((ops.maximum(encoded, 0.04) + 0.055) / 1.055) ** 2.4
    return ops.where(encoded > 0.04045, curved, encoded / 12.92)


def _xyb(light: Any) -> Any:
    """X, Y and B - Y as SSIMULACRA 2 scales them, each about 0 to 1."""
    from keras import ops

    absorbed = ops.matmul(light, np.array(_ABSORBED, np.float32).T) + _BIAS
    long, medium, short = ops.split(absorbed ** (1 / 3) - _BIAS ** (1 / 3), 3, axis=-1)
    brightness = 0.5 * (long + medium)
    return ops.concatenate(
        [7.0 * (long - medium) + 0.42, brightness + 0.01, short - brightness + 0.55], axis=-1
    )


def _error_maps(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Structural dissimilarity, ringing and blurring at each place: (batch, h, w, 3) each, none negative."""
    from keras import ops

    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a * mean_a
    variance_b = _blur(b * b) - mean_b * mean_b
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = 1.0 - ops.square(mean_a - mean_b)
    structure = (2.0 * covariance + _C2) / (ops.relu(variance_a) + ops.relu(variance_b) + _C2)
    edges = (1.0 + ops.abs(b - mean_b)) / (1.0 + ops.abs(a - mean_a)) - 1.0
    return ops.relu(1.0 - luminance * structure), ops.relu(edges), ops.relu(-edges)


def _blur(x: Any) -> Any:
    from keras import ops

    taps = gaussian_taps()
    for kernel in (taps[:, None], taps[None]):  # down, then across
        x = ops.depthwise_conv(x, ops.convert_to_tensor(kernel), padding="same")
    return x
