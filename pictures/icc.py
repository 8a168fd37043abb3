"""Makes and adapts ICC profiles: from primaries and curves, or from other profiles.

Profiles have version 2 and three matrix columns with tone curves, or a gray curve: this is what the
restricted method of JPEG 2000 allows (ISO/IEC 15444-1 I.5.3.3), and every color management system supports.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Chromaticity = tuple[float, float]

D65: Chromaticity = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the illuminant of the profile connection space (ICC.1, 7.2.16)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_ENTRIES = 1024
_LEAST_GAMMA, _MOST_GAMMA = 1.7, 2.7  # of pictures for a screen; others are data, or coded for calculation


@dataclasses.dataclass(frozen=True)
class Primaries:
    """CIE 1931 x and y of red, green, blue and white."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity = D65

    def is_like(self, other: Primaries) -> bool:
        """Whether all are equal, to the precision of files."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return all(abs(a - b) < 0.0015 for one, two in pairs for a, b in zip(one, two, strict=True))


SRGB_PRIMARIES = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_PRIMARIES = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
CICP_PRIMARIES: Mapping[int, Primaries] = {  # ITU-T H.273, table 2
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
Curve = bytes
"""The content of a `curv` tag."""


class CannotBeAProfile(ValueError):  # noqa: N818
    """A matrix profile cannot express the color exactly; the message says why."""


def gamma_curve(gamma: float) -> Curve:
    """Light as a power of the sample, as precisely as a profile can state it: to 1/512.

    Raises:
      CannotBeAProfile: it is not the gamma of a picture for a screen.
    """
    if not _LEAST_GAMMA <= gamma <= _MOST_GAMMA:
        raise CannotBeAProfile(f"gamma {gamma:.3g}")
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def table_curve(light: NDArray[np.float64]) -> Curve:
    """Light in [0, 1] at equal steps of the sample."""
    values = np.clip(np.rint(light * 65535), 0, 65535).astype(">u2")
    return b"curv" + struct.pack(">II", 0, len(values)) + values.tobytes()


def _sampled(light_of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Curve:
    return table_curve(light_of(np.linspace(0, 1, _ENTRIES)))


def srgb_curve() -> Curve:
    """IEC 61966-2-1."""
    return _sampled(lambda v: np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4))


def bt709_curve() -> Curve:
    """The inverse of ITU-R BT.709's (and BT.601's, BT.2020's) transfer function."""
    return _sampled(lambda v: np.where(v < 0.0812429, v / 4.5, ((v + 0.0992968) / 1.0992968) ** (1 / 0.45)))


def cicp_curve(transfer: int) -> Curve:
    """The curve of transfer characteristics (ITU-T H.273, table 3).

    Raises:
      CannotBeAProfile: for those of high dynamic range, of light itself, and unknown ones.
    """
    if transfer in (2, 13):
        return srgb_curve()
    if transfer in (1, 6, 14, 15):
        return bt709_curve()
    if transfer == 4:
        return gamma_curve(2.2)
    raise CannotBeAProfile(f"transfer characteristics {transfer}")


def matrix_profile(primaries: Primaries, curve: Curve, name: str, curves: tuple[Curve, ...] = ()) -> bytes:
    """A display profile of these primaries, its white adapted to D50 by Bradford's matrix (ICC.1, annex E).

    `curves` are those of red, green and blue if they differ; `name` says what the profile was made from.

    Raises:
      CannotBeAProfile: the primaries span nothing.
    """
    columns = _columns(primaries)
    red, green, blue = curves or (curve, curve, curve)
    tags = {
        b"rXYZ": _xyz(columns[:, 0]),
        b"gXYZ": _xyz(columns[:, 1]),
        b"bXYZ": _xyz(columns[:, 2]),
        b"rTRC": red,
        b"gTRC": green,
        b"bTRC": blue,
    }
    return _profile(b"RGB ", name, tags)


def gray_profile(curve: Curve, name: str) -> bytes:
    """A display profile of gray samples."""
    return _profile(b"GRAY", name, {b"kTRC": curve})


def gray_of_rgb(icc: bytes) -> bytes:
    """The gray profile that shows gray samples as an RGB profile shows equal red, green and blue.

    Raises:
      CannotBeAProfile: it has lookup tables, or curves that differ.
    """
    tags = tags_of(icc)
    if icc[16:20] != b"RGB " or icc[20:24] != b"XYZ " or b"A2B0" in tags:
        raise CannotBeAProfile("the profile has lookup tables")
    curves = {tags.get(name) for name in (b"rTRC", b"gTRC", b"bTRC")}
    curve = curves.pop()
    if curves or curve is None:
        raise CannotBeAProfile("the profile's curves of red, green and blue differ")
    return _profile(b"GRAY", "Gray of the RGB profile", {b"kTRC": curve}, version=icc[8:12])


def tags_of(icc: bytes) -> dict[bytes, bytes]:
    """The contents of a profile's tags; {} if it is broken."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return {}
    (count,) = struct.unpack_from(">I", icc, 128)
    if 132 + 12 * count > len(icc):
        return {}
    entries = struct.iter_unpack(">4sII", icc[132 : 132 + 12 * count])
    return {name: icc[at : at + size] for name, at, size in entries if at + size <= len(icc)}


def _columns(primaries: Primaries) -> NDArray[np.float64]:
    """XYZ of red, green and blue under D50, as columns."""
    stated = (primaries.red, primaries.green, primaries.blue, primaries.white)
    if any(not (0 <= x <= 1 and 1e-4 < y <= 1 and x + y <= 1.001) for x, y in stated):
        raise CannotBeAProfile("invalid primaries")
    red, green, blue, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in stated)
    matrix: NDArray[np.float64] = np.stack([red, green, blue], axis=1)
    if abs(np.linalg.det(matrix)) < 1e-4:
        raise CannotBeAProfile("primaries in a line")
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.solve(_BRADFORD, cones[:, np.newaxis] * (_BRADFORD @ matrix))
    return adapted


def _xyz(values: NDArray[np.float64]) -> bytes:
    fixed: Any = np.rint(values * 65536).astype(">i4")
    return b"XYZ " + bytes(4) + bytes(fixed.tobytes())


def _text(kind: bytes, text: str) -> bytes:
    if kind == b"desc":  # ICC.1:2001-04, 6.5.17, without Unicode and ScriptCode
        said = text.encode("ascii") + b"\0"
        return b"desc" + struct.pack(">II", 0, len(said)) + said + bytes(78)
    return b"text" + bytes(4) + text.encode("ascii") + b"\0"


def _profile(space: bytes, name: str, tags: dict[bytes, bytes], version: bytes = b"\2\x10\0\0") -> bytes:
    """A profile of version 2.1, or of the version of a profile whose tags it takes over."""
    contents = {
        b"desc": _text(b"desc", name),
        b"cprt": _text(b"text", "No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        **tags,
    }
    if version[0] >= 4:
        contents |= {b"desc": _unicode(name), b"cprt": _unicode("No copyright, use freely")}
    at = 132 + 12 * len(contents)
    table, body, places = b"", b"", dict[bytes, int]()
    for tag, content in contents.items():
        if content not in places:
            places[content] = at + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, places[content], len(content))
    head = struct.pack(">I4s4s4s4s4s", at + len(body), bytes(4), version, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += b"".join(struct.pack(">i", round(value * 65536)) for value in _D50) + bytes(48)
    return head + struct.pack(">I", len(contents)) + table + body


def _unicode(text: str) -> bytes:
    """A `mluc` tag, as version 4 wants texts (ICC.1, 10.15)."""
    said = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(said), 28) + said
