"""The boxes that describe a JP2 file's picture: color, opacity, resolution (ISO/IEC 15444-1 I.5.3)."""

from __future__ import annotations

import dataclasses
import math
import struct
from fractions import Fraction

from foveate.codec.errors import BadCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.walk import BoxSpan, boxes, strict

SRGB, GRAYSCALE, SYCC = 16, 17, 18

_METERS_PER_INCH = Fraction(127, 5000)


@dataclasses.dataclass(frozen=True)
class Header:
    """The properties read from the JP2 header box."""

    color: int | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    has_alpha: bool = False
    has_palette: bool = False
    channel_kinds: tuple[int, ...] = ()
    channel_places: tuple[int, ...] = ()  # the color that each channel is, or is the opacity of; 0 for all
    color_method: int | None = None  # of the first color specification
    has_layer_channels: bool = False  # channels or opacity of a compositing layer


@dataclasses.dataclass(frozen=True)
class Siz:
    """The parts of SIZ (A.5.1) that boxes repeat: size of the image area, Ssiz of each component."""

    width: int
    height: int
    ssiz: tuple[int, ...]


def header_boxes(siz: Siz, metadata: PhotoMetadata) -> bytes:
    """The contents of the JP2 header box (I.5.3)."""
    channels, alike = len(siz.ssiz), len(set(siz.ssiz)) == 1
    known_color, no_rights = 0, 0
    depth = siz.ssiz[0] if alike else 255
    ihdr = struct.pack(">IIH4B", siz.height, siz.width, channels, depth, 7, known_color, no_rights)
    found = [pack_box(b"ihdr", ihdr)]
    if not alike:
        found.append(pack_box(b"bpcc", bytes(siz.ssiz)))
    found.append(_color_box(metadata.icc, channels))
    if channels in (2, 4):
        found.append(_alpha_box(channels))
    if metadata.dpi is not None:
        found.append(resolution_box(metadata.dpi))
    return b"".join(found)


def _color_box(icc: bytes | None, channels: int) -> bytes:
    """Color specification (I.5.3.3): method, precedence, approximation, then the profile or the number."""
    if icc is not None and icc_is_restricted(icc, channels):
        return pack_box(b"colr", b"\x02\x00\x00" + icc)
    return pack_box(b"colr", struct.pack(">3BI", 1, 0, 0, GRAYSCALE if channels <= 2 else SRGB))


def _alpha_box(channels: int) -> bytes:
    """Channel definition (I.5.3.6): colors in order, then the opacity of the whole picture."""
    colors = [(channel, 0, channel + 1) for channel in range(channels - 1)]
    entries = b"".join(struct.pack(">3H", *entry) for entry in [*colors, (channels - 1, 1, 0)])
    return pack_box(b"cdef", struct.pack(">H", channels) + entries)


def resolution_box(dpi: tuple[float, float]) -> bytes:
    """Capture resolution (I.5.3.7.1) from (horizontal, vertical) dots per inch; b"" for a nonsensical one."""
    if not all(math.isfinite(value) and 1e-3 <= value <= 1e9 for value in dpi):
        return b""
    (across, across_unit, across_power), (down, down_unit, down_power) = map(_per_meter, dpi)
    content = struct.pack(">4H2b", down, down_unit, across, across_unit, down_power, across_power)
    return pack_box(b"res ", pack_box(b"resc", content))


def _per_meter(dpi: float) -> tuple[int, int, int]:
    """Numerator, denominator and power of ten nearest to a resolution; exact for whole dots per inch."""
    exact = Fraction(dpi) / _METERS_PER_INCH

    def error(candidate: tuple[int, int, int]) -> tuple[Fraction, int]:
        return abs(_samples_per_meter(*candidate) - exact), abs(candidate[2])

    candidates = []
    for power in range(-3, 10):
        scaled = exact / Fraction(10) ** power
        if Fraction(1, 65535) <= scaled <= 65535:
            candidates.append((*_nearest_ratio(scaled), power))
    return min(candidates, key=error)


def _nearest_ratio(value: Fraction) -> tuple[int, int]:
    """The ratio of two numbers up to 65535 nearest to a value that lies within their reach."""
    if value > 1:
        denominator, numerator = _nearest_ratio(1 / value)
        return numerator, denominator
    nearest = value.limit_denominator(65535)
    return max(1, nearest.numerator), nearest.denominator


def _samples_per_meter(numerator: int, denominator: int, power: int) -> Fraction:
    return Fraction(numerator, denominator) * Fraction(10) ** power


def pack_box(kind: bytes, content: bytes) -> bytes:
    """A box (I.4)."""
    return pack_box_head(kind, len(content)) + content


def pack_box_head(kind: bytes, content_length: int) -> bytes:
    """LBox and TBox, and XLBox where the length asks for it (I.4)."""
    if content_length + 8 < 1 << 32:
        return struct.pack(">I4s", content_length + 8, kind)
    return struct.pack(">I4sQ", 1, kind, content_length + 16)


def parse_header(data: bytes, header: BoxSpan) -> Header:
    """Parses the JP2 header box; raises BadCodestream if a box in it is malformed."""
    found, seen_resolution = Header(), False
    for box in strict(boxes(data, header.start, header.end)):
        content = data[box.start : box.end]
        if box.kind == b"colr" and found.color is None and found.icc is None:
            color, icc = _parse_color(content, box.offset)
            method = content[0] if found.color_method is None else found.color_method
            found = dataclasses.replace(found, color=color, icc=icc, color_method=method)
        elif box.kind == b"cdef":
            kinds, places = _parse_channels(content, box.offset)
            has_alpha = bool({1, 2} & set(kinds))
            found = dataclasses.replace(
                found, has_alpha=has_alpha, channel_kinds=kinds, channel_places=places
            )
        elif box.kind == b"pclr":
            found = dataclasses.replace(found, has_palette=True)
        elif box.kind == b"res " and not seen_resolution:
            seen_resolution = True
            found = dataclasses.replace(found, dpi=_parse_resolution(data, box))
    return found


def _parse_color(content: bytes, offset: int) -> tuple[int | None, bytes | None]:
    """Enumerated color space and profile; both None for a method that is not understood."""
    if len(content) < 3:
        raise BadCodestream(f"the colr box at byte {offset} has {len(content)} bytes instead of 3 or more")
    if content[0] == 1:
        if len(content) < 7:
            raise BadCodestream(f"the colr box at byte {offset} has no enumerated color space")
        (color,) = struct.unpack_from(">I", content, 3)
        return color, None
    # Method 3, any ICC profile, is that of JPX (ISO/IEC 15444-2).
    return None, (content[3:] or None) if content[0] in (2, 3) else None


def _parse_channels(content: bytes, offset: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The type and the association of each channel (I.5.3.6).

    Types: 0 color, 1 opacity, 2 premultiplied opacity, 65535 unspecified.
    """
    (count,) = struct.unpack_from(">H", content) if len(content) >= 2 else (0,)
    if count == 0 or len(content) < 2 + 6 * count:
        raise BadCodestream(f"the cdef box at byte {offset} does not hold the {count} channels it declares")
    entries = list(struct.iter_unpack(">3H", content[2 : 2 + 6 * count]))
    return tuple(kind for _, kind, _ in entries), tuple(place for _, _, place in entries)


def with_layer(header: Header, data: bytes, layer: BoxSpan) -> Header:
    """The header with the color of a compositing layer (`jplh`), which counts more.

    See ISO/IEC 15444-2, M.11.7.

    Raises:
        BadCodestream: a box in it is malformed.
    """
    for box in strict(boxes(data, layer.start, layer.end)):
        if box.kind in (b"cdef", b"opct"):
            header = dataclasses.replace(header, has_layer_channels=True)
        if box.kind == b"cgrp":
            own = parse_header(data, box)
            header = dataclasses.replace(header, color=own.color, icc=own.icc, color_method=own.color_method)
    return header


def _parse_resolution(data: bytes, superbox: BoxSpan) -> tuple[float, float] | None:
    """(Horizontal, vertical) dots per inch: of the capture, else for display; None if it is not a number."""
    found: dict[bytes, tuple[float, float]] = {}
    for box in strict(boxes(data, superbox.start, superbox.end)):
        if box.kind not in (b"resc", b"resd"):
            continue
        if box.end - box.start != 10:
            raise BadCodestream(f"the resolution box at byte {box.offset} has not 10 bytes of content")
        down, down_unit, across, across_unit, down_power, across_power = struct.unpack_from(
            ">4H2b", data, box.start
        )
        if all((down, down_unit, across, across_unit)):
            axes = (across, across_unit, across_power), (down, down_unit, down_power)
            horizontal, vertical = (float(_samples_per_meter(*axis) * _METERS_PER_INCH) for axis in axes)
            found[box.kind] = (horizontal, vertical)
    return found.get(b"resc", found.get(b"resd"))


def bare_tiff(exif: bytes) -> bytes | None:
    """The TIFF structure of EXIF, without the prefix that some writers keep; None if it is none."""
    bare = exif.removeprefix(b"Exif\0\0")
    return bare if bare.startswith((b"II*\0", b"MM\0*")) else None


def icc_is_restricted(icc: bytes, channels: int) -> bool:
    """Whether a profile may stand in a JP2 (Restricted ICC method, I.5.3.3) of a picture of 1 to 4 channels.

    It must be an input or display profile over XYZ without a lookup table: with a gray curve for 1 and 2
    channels, with matrix columns and curves for 3 and 4.
    """
    tags = _icc_tags(icc)
    if tags is None or icc[12:16] not in (b"scnr", b"mntr") or icc[20:24] != b"XYZ " or b"A2B0" in tags:
        return False
    if channels <= 2:
        return icc[16:20] == b"GRAY" and b"kTRC" in tags
    matrix = {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}
    return icc[16:20] == b"RGB " and matrix <= tags


def _icc_tags(icc: bytes) -> frozenset[bytes] | None:
    """The signatures in a profile's tag table, or None if the profile is malformed (ICC.1, 7.2 and 7.3)."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    size, (count,) = struct.unpack_from(">I", icc)[0], struct.unpack_from(">I", icc, 128)
    if size != len(icc) or 132 + 12 * count > size:
        return None
    return frozenset(icc[132 + 12 * tag : 136 + 12 * tag] for tag in range(count))
