"""Transforms for encoding, line by line: color (Annex G), wavelet (Annex F), quantization (Annex E).

    pixel lines ─▶ color ─▶ column lifting in a ring of 8 lines ─▶ line lifting ─┬▶ HL, LH, HH lines ─▶ blocks
                            ▲                                                    └▶ LL lines ─┐
                            └──────────────────── next level ◀────────────────────────────────┘

Every line is read once and every band's line is written once, straight into its code-blocks, which lie one
after another: what tier-1 codes is contiguous. Lines of float32 go through the 9/7 wavelet, lines of int32
through the 5/3; the loops are shared. All of it stays in one file, since compiled code that is kept on disk
is renewed only when its own file changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from foveate.compiled import compiled

FRACTION_BITS = 6  # of a coefficient below its quantization step
SIGN_BIT = 31

_RING = 8  # lines: the lifting of one reaches four lines back
_ALPHA, _BETA = np.float32(-1.586134342059924), np.float32(-0.052980118572961)
_GAMMA, _DELTA = np.float32(0.882911075530934), np.float32(0.443506852043971)
_K, _INVERSE_K = np.float32(1.230174104914001), np.float32(1 / 1.230174104914001)
_SIGN = np.uint32(1 << SIGN_BIT)


class BandGrids(NamedTuple):
    """Where the code-blocks of each band lie; one row a band, of each component LL first, then HL, LH, HH.

    first: where the band's entries begin in `starts`, which lists its blocks line by line.
    across: blocks in a line.
    inset_x, inset_y: how far into its first block the band begins.
    scale: fixed-point units of a coefficient: 2^FRACTION_BITS over the band's step; or any factor.
    starts: of every block, where its samples begin.
    """

    first: NDArray[np.int64]
    across: NDArray[np.int64]
    inset_x: NDArray[np.int64]
    inset_y: NDArray[np.int64]
    scale: NDArray[np.float32]
    starts: NDArray[np.int64]
    block_width: int
    block_height: int


class Level(NamedTuple):
    """Where the bands of one level of the transform go.

    bands: (C,) the row of this level's HL in the grids, for each component.
    last: whether the low-pass samples go to the LL bands instead of `low_planes`.
    low_planes: (C, ceil(h / 2), ceil(w / 2)) of the wavelet's type; at the last level not looked at.
    """

    bands: NDArray[np.int64]
    last: bool
    low_planes: Any


def _put(target: Any, x: Any, value: Any, scale: Any) -> Any:
    raise NotImplementedError


@overload(_put, inline="always")
def _put_of(target, x, value, scale):  # type: ignore[no-untyped-def]
    """Writes a coefficient: sign in the highest bit, magnitude below; into float32 blocks as it is."""
    if str(target.dtype) == "float32":

        def plain(target, x, value, scale):  # type: ignore[no-untyped-def]
            target[x] = value * scale

        return plain

    if str(value) == "float32":

        def quantized(target, x, value, scale):  # type: ignore[no-untyped-def]
            q = np.int32(value * scale)
            target[x] = (np.uint32(q) & _SIGN) | np.uint32(abs(q))

        return quantized

    def exact(target, x, value, scale):  # type: ignore[no-untyped-def]
        target[x] = (np.uint32(value) & _SIGN) | np.uint32(abs(value) << FRACTION_BITS)

    return exact


@compiled
def rescale(coefficients, starts, factors):  # type: ignore[no-untyped-def]
    """Multiplies the magnitudes of each block, which begins at `starts[b]` and ends where the next begins."""
    for b in range(len(starts)):
        end = starts[b + 1] if b + 1 < len(starts) else len(coefficients)
        for k in range(starts[b], end):
            value = coefficients[k]
            magnitude = np.uint32(np.float64(value & ~_SIGN) * factors[b])
            coefficients[k] = (value & _SIGN) | magnitude


@compiled
def _write_line(line, y, band, grids, out):  # type: ignore[no-untyped-def]
    """Quantizes line `y` of a band into its blocks."""
    width, height = grids.block_width, grids.block_height
    inset = grids.inset_x[band]
    scale = grids.scale[band]
    down = (y + grids.inset_y[band]) // height
    inner = y if down == 0 else (y + grids.inset_y[band]) % height
    entry = grids.first[band] + down * grids.across[band]
    n = len(line)
    for k in range(grids.across[band]):
        begin, end = max(0, k * width - inset), min(n, (k + 1) * width - inset)
        size = end - begin
        at = grids.starts[entry + k] + inner * size
        source, target = line[begin:end], out[at : at + size]
        for x in range(size):
            _put(target, x, source[x], scale)


def _lift_line(line: Any, low: Any, high: Any) -> Any:
    raise NotImplementedError


@overload(_lift_line)
def _lift_line_of(line, low, high):  # type: ignore[no-untyped-def]
    """Transforms a line in place: its low half, then its high half. `low` and `high` are room for them."""
    if str(line.dtype) == "float32":

        def lift_97(line, low, high):  # type: ignore[no-untyped-def]
            n = len(line)
            if n == 1:
                return
            lows, highs = (n + 1) >> 1, n >> 1
            _part(line, low, high)
            low[lows + 1] = low[lows]  # the signal is mirrored at both ends
            for i in range(1, highs + 1):
                high[i] += _ALPHA * (low[i] + low[i + 1])
            high[0], high[highs + 1] = high[1], high[highs]
            for i in range(1, lows + 1):
                low[i] += _BETA * (high[i - 1] + high[i])
            low[lows + 1] = low[lows]
            for i in range(1, highs + 1):
                high[i] += _GAMMA * (low[i] + low[i + 1])
            high[0], high[highs + 1] = high[1], high[highs]
            for i in range(1, lows + 1):
                low[i] += _DELTA * (high[i - 1] + high[i])
            for i in range(lows):
                line[i] = low[i + 1] * _INVERSE_K
            for i in range(highs):
                line[lows + i] = high[i + 1] * _K

        return lift_97

    def lift_53(line, low, high):  # type: ignore[no-untyped-def]
        n = len(line)
        if n == 1:
            return
        lows, highs = (n + 1) >> 1, n >> 1
        _part(line, low, high)
        low[lows + 1] = low[lows]
        for i in range(1, highs + 1):
            high[i] -= (low[i] + low[i + 1]) >> 1
        high[0], high[highs + 1] = high[1], high[highs]
        for i in range(1, lows + 1):
            low[i] += (high[i - 1] + high[i] + 2) >> 2
        for i in range(lows):
            line[i] = low[i + 1]
        for i in range(highs):
            line[lows + i] = high[i + 1]

    return lift_53


@compiled
def _part(line, low, high):  # type: ignore[no-untyped-def]
    """Even samples from low[1] on, odd ones from high[1] on."""
    n = len(line)
    for i in range(n >> 1):
        low[i + 1] = line[2 * i]
        high[i + 1] = line[2 * i + 1]
    if n & 1:
        low[(n + 1) >> 1] = line[n - 1]


def _lift_columns(ring: Any, y: Any, height: Any) -> Any:
    raise NotImplementedError


@overload(_lift_columns)
def _lift_columns_of(ring, y, height):  # type: ignore[no-untyped-def]
    """The lifting steps that become due with line `y`, an odd one; lines y - 4 and y - 3 are then done.

    Each step lags one line behind the one before it, so that eight lines are all that is held.
    """
    if str(ring.dtype) == "float32":

        def lift_97(ring, y, height):  # type: ignore[no-untyped-def]
            _add_97(ring, y, height, _ALPHA)
            _add_97(ring, y - 1, height, _BETA)
            _add_97(ring, y - 2, height, _GAMMA)
            _add_97(ring, y - 3, height, _DELTA)

        return lift_97

    def lift_53(ring, y, height):  # type: ignore[no-untyped-def]
        if y < height:
            above, below = ring[(y - 1) & 7], ring[(y + 1 if y + 1 < height else y - 1) & 7]
            line = ring[y & 7]
            for x in range(len(line)):
                line[x] -= (above[x] + below[x]) >> 1
        y -= 1
        if 0 <= y < height:
            above, below = ring[(y - 1 if y > 0 else 1) & 7], ring[(y + 1 if y + 1 < height else y - 1) & 7]
            line = ring[y & 7]
            for x in range(len(line)):
                line[x] += (above[x] + below[x] + 2) >> 2

    return lift_53


@compiled
def _add_97(ring, y, height, factor):  # type: ignore[no-untyped-def]
    """One lifting step of line `y`, mirrored at the picture's upper and lower edge."""
    if 0 <= y < height:
        above, below = ring[(y - 1 if y > 0 else 1) & 7], ring[(y + 1 if y + 1 < height else y - 1) & 7]
        line = ring[y & 7]
        for x in range(len(line)):
            line[x] += factor * (above[x] + below[x])


def _scale_line(line: Any, high: Any) -> Any:
    raise NotImplementedError


@overload(_scale_line)
def _scale_line_of(line, high):  # type: ignore[no-untyped-def]
    """The last step of the 9/7: K for high-pass lines, 1/K for low-pass ones."""
    if str(line.dtype) == "float32":

        def scale_97(line, high):  # type: ignore[no-untyped-def]
            factor = _K if high else _INVERSE_K
            for x in range(len(line)):
                line[x] *= factor

        return scale_97

    def keep_53(line, high):  # type: ignore[no-untyped-def]
        pass

    return keep_53


@compiled
def _finish_line(line, y, height, c, level, grids, out, room):  # type: ignore[no-untyped-def]
    """Transforms a line of component `c` whose columns are done, and sends it where it belongs."""
    band = level.bands[c]
    if height > 1:
        _scale_line(line, y & 1)
    _lift_line(line, room[0], room[1])
    lows = (len(line) + 1) >> 1
    if y & 1:
        _write_line(line[:lows], y >> 1, band + 1, grids, out)  # LH
        _write_line(line[lows:], y >> 1, band + 2, grids, out)  # HH
        return
    if level.last:
        _write_line(line[:lows], y >> 1, band - 1, grids, out)
    else:
        level.low_planes[c, y >> 1, :lows] = line[:lows]
    _write_line(line[lows:], y >> 1, band, grids, out)


@compiled
def _finish_lines(rings, y, height, level, grids, out, room):  # type: ignore[no-untyped-def]
    """Lifts columns up to line `y` (odd), and finishes the two lines of each component that are then done."""
    for c in range(len(rings)):
        if height > 1:
            _lift_columns(rings[c], y, height)
        for done in (y - 4, y - 3):
            if 0 <= done < height:
                line = rings[c, done & 7]
                _finish_line(line, done, height, c, level, grids, out, room)


@compiled
def transform_planes(planes, level, grids, out):  # type: ignore[no-untyped-def]
    """One level of the transform of planes (C, h, w), which stay as they are.

    Args:
      planes: float32 or int32.
      level: `Level`, its planes of the same type.
      grids, out: the blocks.
    """
    components, height, width = planes.shape
    rings = np.empty((components, _RING, width), planes.dtype)
    room = np.empty((2, width // 2 + 3), planes.dtype)
    loaded = 0
    for y in range(1, height + 4, 2):
        while loaded < height and loaded <= y + 1:
            for c in range(components):
                rings[c, loaded & 7] = planes[c, loaded]
            loaded += 1
        _finish_lines(rings, y, height, level, grids, out, room)


@compiled
def transform_pixels(pixels, shift, mixed, rings, level, grids, out):  # type: ignore[no-untyped-def]
    """The first level, from pixels (h, w, C); like `transform_planes`.

    Args:
      pixels: of integers, or of float32 where nothing is to be quantized.
      shift: what is subtracted from every sample (G.1).
      mixed: whether the first three components go through the color transform: ICT for 9/7, RCT for 5/3.
      rings: (C, 8, w) room for lines, whose type chooses the wavelet.
    """
    height = len(pixels)
    room = np.empty((2, pixels.shape[1] // 2 + 3), rings.dtype)
    loaded = 0
    for y in range(1, height + 4, 2):
        while loaded < height and loaded <= y + 1:
            _load_line(pixels[loaded], shift, mixed, rings, loaded & 7)
            loaded += 1
        _finish_lines(rings, y, height, level, grids, out, room)


@compiled
def quantize_pixels(pixels, shift, mixed, rings, bands, grids, out):  # type: ignore[no-untyped-def]
    """No wavelet at all: the color transform's samples are the LL bands, whose rows are `bands`."""
    for y in range(len(pixels)):
        _load_line(pixels[y], shift, mixed, rings, 0)
        for c in range(len(rings)):
            _write_line(rings[c, 0], y, bands[c], grids, out)


def _load_line(pixels: Any, shift: Any, mixed: Any, rings: Any, k: Any) -> Any:
    raise NotImplementedError


@overload(_load_line)
def _load_line_of(pixels, shift, mixed, rings, k):  # type: ignore[no-untyped-def]
    """A line of pixels (w, C), shifted and transformed, into place `k` of each component's ring."""
    if str(rings.dtype) == "float32":

        def load_ict(pixels, shift, mixed, rings, k):  # type: ignore[no-untyped-def]
            for c in range(len(rings)):
                line = rings[c, k]
                for x in range(len(line)):
                    line[x] = np.float32(pixels[x, c]) - shift
            if mixed:
                red, green, blue = rings[0, k], rings[1, k], rings[2, k]
                for x in range(len(red)):
                    luma = (
                        np.float32(0.299) * red[x]
                        + np.float32(0.587) * green[x]
                        + np.float32(0.114) * blue[x]
                    )
                    cb = np.float32(0.5643340857787811) * (blue[x] - luma)
                    cr = np.float32(0.7132667617689016) * (red[x] - luma)
                    red[x], green[x], blue[x] = luma, cb, cr

        return load_ict

    def load_rct(pixels, shift, mixed, rings, k):  # type: ignore[no-untyped-def]
        for c in range(len(rings)):
            line = rings[c, k]
            for x in range(len(line)):
                line[x] = np.int32(pixels[x, c]) - shift
        if mixed:
            red, green, blue = rings[0, k], rings[1, k], rings[2, k]
            for x in range(len(red)):
                luma = (red[x] + 2 * green[x] + blue[x]) >> 2
                red[x], green[x], blue[x] = luma, blue[x] - green[x], red[x] - green[x]

    return load_rct


Rings = NDArray[np.float32] | NDArray[np.int32]


def new_rings(reversible: bool, components: int, width: int) -> Any:
    """Room for eight lines of each component, of the type that chooses the wavelet."""
    return np.empty((components, _RING, width), np.int32 if reversible else np.float32)
