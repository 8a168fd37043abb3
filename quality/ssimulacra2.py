"""SSIMULACRA 2, version 2.1 (Sneyers, Cloudinary, 2022 and 2023): how visible a distortion is.

    sRGB -> linear light -> 2×2 means, six scales -> XYB -> three error maps -> norms -> weighted sum -> score

Each color of each scale has three error maps: structural dissimilarity (SSIM whose luminance term lacks its
denominator, since XYB is already perceptually uniform), ringing (the distorted photo has an edge where the
reference is smooth) and blurring (the other way round). Each map gives its mean and its 4-norm, 108 figures
for six scales. Their weights were fitted to people's opinions, mostly of the set CID22.

Colors of scales with negligible weights are left out: X and B - Y at full size, where most of the work would
be, B - Y at the next two, all at 1:32. This raises a score by less than 0.001. Otherwise scores agree to 1e-5
with those of the reference program (libjxl 0.11) on processors with fused multiply-add. The order of
operations is therefore the program's: close to 100, its float32 rounding errors lower a score by up to a
point, and on processors without that instruction it differs from itself by as much.
"""

from __future__ import annotations

import math

import numpy as np

from foveate.quality.color import Pixels, check_pair
from foveate.quality.error_maps import ErrorMaps
from foveate.quality.planes import Plane64
from foveate.quality.recursive_gaussian import LANES
from foveate.quality.xyb import Planes, halve, linear_light, rescaled_brightness, rescaled_xyb

SCALES = 6
LEAST_SIDE = 8  # samples: a scale with a shorter side has no next one
_STRIP_PIXELS = 1 << 17  # read at a time, so that the work stays in cache

# By color (X, Y, B - Y) and scale (1:1 to 1:32): three maps' means, then their 4-norms.
_WEIGHTS = np.array([
    # X
    0, 0.0007376606707406586, 0,
    0, 0.0007793481682867309, 0,
    0, 0.0004371155730107379, 0,
    1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
    0, 0.0016406437456599754, 0,
    1.8422455520539298, 11.441172603757666, 0,
    0.0007989109436015163, 0.000176816438078653, 0,
    1.8787594979546387, 10.94906990605142, 0,
    0.0007289346991508072, 0.9677937080626833, 0,
    0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0, 0,
    0.0013648766163243398, 0, 0,
    # Y
    0, 0, 0,
    7.466890328078848, 0, 17.445833984131262,
    0.0006235601634041466, 0, 0,
    6.683678146179332, 0.00037724407979611296, 1.027889937768264,
    225.20515300849274, 0, 0,
    19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
    176.39317598450694, 0, 0,
    24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
    0, 0, 0,
    34.77906344483772, 44.835625328877896, 0,
    0, 0, 0,
    0, 0, 0,
    # B - Y
    0, 0.0008680556573291698, 0,
    0, 0, 0,
    0, 0.0005313191874358747, 0,
    0.00016533814161379112, 0, 0,
    0, 0, 0,
    0.0004179171803251336, 0.0017290828234722833, 0,
    0.0020827005846636437, 0, 0,
    8.826982764996862, 23.19243343998926, 0,
    95.1080498811086, 0.9863978034400682, 0.9834382792465353,
    0.0012286405048278493, 171.2667255897307, 0.9807858872435379,
    0, 0, 0,
    0.0005130064588990679, 0, 0.00010854057858411537,
])  # fmt: skip


_BRIGHTNESS = 1  # of the three colors
_NEGLIGIBLE = 0.003  # a color of a scale with no larger weight is left out; the largest of all is 225
_FACTOR, _EXPONENT = 0.9562382616834844, 0.6276336467831387
_CUBIC = np.array([6.248496625763138e-05, -0.020884521182843837, 2.326765642916932, 0.0])


def ssimulacra2(reference: Pixels, distorted: Pixels) -> float:
    """Scores a distorted photo: 100 is identical, 90 hardly visible, 70 high, 50 medium and 30 low quality.

    Both photos are sRGB (H, W, C), both uint8 or both uint16, C in 1..4. Gray counts as three equal colors.
    Alpha is left out, as in the other measures; the reference program blends the photos with two backgrounds.
    There is no lower bound: bad photos have negative scores. The two photos are not interchangeable.

    A photo with a side below 113 pixels has fewer scales, to which the first weights of the list apply, as in
    the reference program. That program refuses sides below 8 pixels; here they are extended to 8 by mirroring
    (edge sample repeated), so that a photo of any size has a score.

    Works strip by strip: besides the photos, it takes some 20 MB, or 5.5 kB per pixel of width if that is
    more. Raises ValueError for a mismatched pair.
    """
    return score_of_norms(norms_of(reference, distorted))


def norms_of(reference: Pixels, distorted: Pixels) -> Plane64:
    """The figures that the score is computed from: (3 colors, n scales, 2 norms, 3 maps), as for
    `ssimulacra2`.

    Those that do not count (`counted`) are 0.
    """
    check_pair(reference, distorted)
    if min(reference.shape[:2]) < LEAST_SIDE:
        reference, distorted = at_least(reference, LEAST_SIDE), at_least(distorted, LEAST_SIDE)
    height, width, _ = reference.shape
    finest = _scales(height, width)
    step = max(LANES, _STRIP_PIXELS // width // LANES * LANES)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        finest.add(linear_light(reference[rows]), linear_light(distorted[rows]))
    return np.stack(finest.finish(), axis=1)


def at_least(pixels: Pixels, side: int) -> Pixels:
    """Extends sides shorter than `side` by mirroring."""
    rows, columns = (
        np.pad(np.arange(length), (0, max(0, side - length)), mode="symmetric") for length in pixels.shape[:2]
    )
    return pixels[rows[:, None], columns]


def _scales(height: int, width: int) -> _Scale:
    """The finest of a photo's 2 to 6 scales: each has a next one if both sides have 8 samples."""
    widths = [width]
    while len(widths) < SCALES and min(height, widths[-1]) >= LEAST_SIDE:
        height = (height + 1) // 2
        widths.append((widths[-1] + 1) // 2)
    scale, counts = None, counted(len(widths))
    for width, colors in zip(reversed(widths), reversed(counts), strict=True):
        scale = _Scale(width, colors, coarser=scale)
    assert scale is not None
    return scale


def counted(scales: int) -> list[list[int]]:
    """The colors of each scale, from the finest on, that are worth computing; all for tiny photos."""
    if scales < SCALES:
        return [[0, 1, 2]] * scales
    heaviest = _WEIGHTS.reshape(3, scales, 6).max(axis=-1)
    return [np.flatnonzero(of_scale >= _NEGLIGIBLE).tolist() for of_scale in heaviest.T]


def score_of_norms(norms: Plane64) -> float:
    """Maps the norms (3 colors, n scales, 2 norms, 3 maps) to the score."""
    fitted = max(float(np.polyval(_CUBIC, _disturbance(norms))), 0.0)
    return 100.0 - 10.0 * math.pow(fitted, _EXPONENT)


def derivative_by_norms(norms: Plane64) -> Plane64:
    """The derivative of the score by each of its norms, in their shape: never positive.

    It is 0 for an identical photo, although the score falls infinitely steeply from 100.
    """
    disturbance = _disturbance(norms)
    fitted = max(float(np.polyval(_CUBIC, disturbance)), 0.0)
    if not fitted:
        return np.zeros_like(norms)
    slope = _FACTOR * float(np.polyval(np.polyder(_CUBIC), disturbance))
    slope *= -10.0 * _EXPONENT * math.pow(fitted, _EXPONENT - 1)
    return weights_of(norms) * slope


def weights_of(norms: Plane64) -> Plane64:
    """The weight of each norm, in their shape; with fewer than six scales, the first of the list apply."""
    return _WEIGHTS[: norms.size].reshape(norms.shape)


def _disturbance(norms: Plane64) -> float:
    return _FACTOR * float(_WEIGHTS[: norms.size] @ norms.ravel())


class _Scale:
    """One scale of a photo, whose rows arrive from the top down; it feeds the next coarser one."""

    def __init__(self, width: int, colors: list[int], coarser: _Scale | None) -> None:
        self._maps, self._coarser = {color: ErrorMaps(width) for color in colors}, coarser
        self._odd = (np.empty((3, 0, width), np.float32),) * 2  # the last row, if it waits for its partner

    def add(self, reference: Planes, distorted: Planes) -> None:
        """Takes the next rows of both photos' linear light, (3, h, width)."""
        if self._maps.keys() == {_BRIGHTNESS}:
            self._maps[_BRIGHTNESS].add(rescaled_brightness(reference), rescaled_brightness(distorted))
        elif self._maps:
            a, b = rescaled_xyb(reference), rescaled_xyb(distorted)
            for color, maps in self._maps.items():
                maps.add(a[color], b[color])
        if self._coarser is not None:
            reference = np.concatenate((self._odd[0], reference), axis=1)
            distorted = np.concatenate((self._odd[1], distorted), axis=1)
            whole = reference.shape[1] // 2 * 2
            self._odd = reference[:, whole:].copy(), distorted[:, whole:].copy()
            self._coarser.add(halve(reference[:, :whole]), halve(distorted[:, :whole]))

    def finish(self) -> list[Plane64]:
        """Returns the norms (3 colors, 2 norms, 3 maps) of this scale and of all coarser ones."""
        norms = [np.zeros((3, 2, 3))]
        for color, maps in self._maps.items():
            norms[0][color] = maps.finish()
        if self._coarser is not None:
            self._coarser.add(halve(self._odd[0]), halve(self._odd[1]))
            norms += self._coarser.finish()
        return norms
