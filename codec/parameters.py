"""Parses the coding parameters in a codestream's marker segments (ISO/IEC 15444-1 A.5 and A.6).

SIZ, and the parameters that COD, COC, QCD, QCC, RGN and POC set for the whole codestream or for one tile.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from foveate.codec.errors import BadCodestream, UnsupportedCodestream

SIZ, COD, COC, QCD, QCC, RGN, POC = 0xFF51, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F
NAMES = {SIZ: "SIZ", COD: "COD", COC: "COC", QCD: "QCD", QCC: "QCC", RGN: "RGN", POC: "POC"}
PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
REVERSIBLE, IRREVERSIBLE = 1, 0  # the transformation byte of COD: 5/3 and 9/7
# Code-block styles (Table A.19). The first two cut contributions into several segments.
BYPASS, TERMALL, PREDTERM = 1, 4, 16
_PART_2 = 0x8000  # of Rsiz: capabilities of ISO/IEC 15444-2
_MAX_COMPONENTS, _MAX_TILES = 16384, 65535

Segments = Iterable[tuple[int, bytes]]  # marker, payload


@dataclasses.dataclass(frozen=True)
class Component:
    """One component of SIZ: bits per sample, signedness, sub-sampling."""

    bit_depth: int
    signed: bool
    dx: int
    dy: int


@dataclasses.dataclass(frozen=True)
class Size:
    """SIZ: the reference grid (A.5.1). All in samples of the grid."""

    x1: int
    y1: int
    x0: int
    y0: int
    tile_width: int
    tile_height: int
    tile_x0: int
    tile_y0: int
    components: tuple[Component, ...]

    @property
    def width(self) -> int:
        """Width of the picture on the reference grid."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Height of the picture on the reference grid."""
        return self.y1 - self.y0

    @property
    def tiles_across(self) -> int:
        """Number of tiles in a row."""
        return -(-(self.x1 - self.tile_x0) // self.tile_width)

    @property
    def tiles_down(self) -> int:
        """Number of tiles in a column."""
        return -(-(self.y1 - self.tile_y0) // self.tile_height)


@dataclasses.dataclass(frozen=True)
class CodingStyle:
    """COD or COC: how one component is transformed and divided into code-blocks (A.6.1, A.6.2)."""

    levels: int
    block_width_log2: int
    block_height_log2: int
    block_style: int
    transformation: int  # REVERSIBLE or IRREVERSIBLE
    precincts_log2: tuple[tuple[int, int], ...]  # (width, height) of each resolution, coarsest first


@dataclasses.dataclass(frozen=True)
class Quantization:
    """QCD or QCC: the step of each band (A.6.4), LL first, then HL, LH, HH of each resolution."""

    style: int  # 0 none, 1 derived from LL, 2 each band its own
    guard_bits: int
    steps: tuple[tuple[int, int], ...]  # (exponent, mantissa)

    def band(self, resolution: int, band: int) -> tuple[int, int]:
        """(exponent, mantissa) of a band: `band` 0 is LL, 1 HL, 2 LH, 3 HH (E.1.1)."""
        index = 0 if resolution == 0 else 3 * (resolution - 1) + band
        if self.style == 1:
            exponent, mantissa = self.steps[0]
            return max(0, exponent - max(0, resolution - 1)), mantissa
        if index >= len(self.steps):
            raise BadCodestream(f"QCD has {len(self.steps)} steps, band {index} has none")
        return self.steps[index]


@dataclasses.dataclass(frozen=True)
class ProgressionVolume:
    """One progression of POC (A.6.6): packets of these resolutions and components, up to these layers.

    Starts are inclusive, ends exclusive; layers start at 0, and packets sent before are left out (B.12.2).
    """

    progression: str
    first_resolution: int
    first_component: int
    end_layer: int
    end_resolution: int
    end_component: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """Coding parameters of a tile: those of the main header, or as changed by its own tile-part headers."""

    progression: str
    layers: int
    color_transform: bool
    sop: bool
    eph: bool
    coding: tuple[CodingStyle, ...]  # one a component
    quantization: tuple[Quantization, ...]  # one a component
    region_shifts: tuple[int, ...]  # of RGN, one a component; 0 where there is no region (Annex H)
    volumes: tuple[ProgressionVolume, ...]  # of POC; where there are none, `progression` holds for all


def parse_size(payload: bytes) -> Size:
    """Reads SIZ (A.5.1); raises like `codestream.parse`."""
    try:
        capabilities, x1, y1, x0, y0, tw, th, tx0, ty0, count = struct.unpack_from(">HIIIIIIIIH", payload)
        if not 1 <= count <= _MAX_COMPONENTS:
            raise BadCodestream(f"SIZ: {count} components")
        shapes = [struct.unpack_from(">BBB", payload, 36 + 3 * i) for i in range(count)]
    except struct.error as error:
        raise BadCodestream("SIZ is too short") from error
    if capabilities & _PART_2:
        raise UnsupportedCodestream(
            f"the codestream asks for extensions of ISO/IEC 15444-2 (Rsiz 0x{capabilities:04x})"
        )
    components = []
    for i, (depth, dx, dy) in enumerate(shapes):
        if not dx or not dy or (depth & 0x7F) + 1 > 38:
            raise BadCodestream(
                f"SIZ: component {i} has sub-sampling {dx}x{dy} and {(depth & 0x7F) + 1} bits"
            )
        components.append(Component((depth & 0x7F) + 1, bool(depth & 0x80), dx, dy))
    size = Size(x1, y1, x0, y0, tw, th, tx0, ty0, tuple(components))
    if x1 <= x0 or y1 <= y0 or not tw or not th:
        raise BadCodestream(f"SIZ: picture from ({x0}, {y0}) to ({x1}, {y1}), tiles of {tw}x{th}")
    if tx0 > x0 or ty0 > y0 or tx0 + tw <= x0 or ty0 + th <= y0:
        raise BadCodestream(
            f"SIZ: the first tile at ({tx0}, {ty0}) does not hold the picture's corner ({x0}, {y0})"
        )
    if size.tiles_across * size.tiles_down > _MAX_TILES:
        raise BadCodestream(f"SIZ: {size.tiles_across} x {size.tiles_down} tiles, more than {_MAX_TILES}")
    return size


def emit_size(size: Size) -> bytes:
    """SIZ as a marker segment (A.5.1)."""
    payload = struct.pack(
        ">HIIIIIIIIH", 0, size.x1, size.y1, size.x0, size.y0, size.tile_width, size.tile_height,
        size.tile_x0, size.tile_y0, len(size.components),
    )  # fmt: skip
    for component in size.components:
        depth = component.bit_depth - 1 | 0x80 * component.signed
        payload += struct.pack(">BBB", depth, component.dx, component.dy)
    return emit_segment(SIZ, payload)


def emit_coding(coding: CodingStyle, color_transform: bool, layers: int = 1) -> bytes:
    """COD as a marker segment (A.6.1): LRCP, no SOP, no EPH."""
    default = all(size == (15, 15) for size in coding.precincts_log2)
    payload = struct.pack(
        ">BBHBBBBBB", not default, 0, layers, color_transform, coding.levels, coding.block_width_log2 - 2,
        coding.block_height_log2 - 2, coding.block_style, coding.transformation,
    )  # fmt: skip
    if not default:
        payload += bytes(width | height << 4 for width, height in coding.precincts_log2)
    return emit_segment(COD, payload)


def emit_quantization(quantization: Quantization) -> bytes:
    """QCD as a marker segment (A.6.4)."""
    payload = bytes([quantization.style | quantization.guard_bits << 5])
    for exponent, mantissa in quantization.steps:
        payload += (
            bytes([exponent << 3]) if not quantization.style else struct.pack(">H", exponent << 11 | mantissa)
        )
    return emit_segment(QCD, payload)


def emit_segment(marker: int, payload: bytes) -> bytes:
    """A marker segment: marker, length, payload."""
    return struct.pack(">HH", marker, 2 + len(payload)) + payload


def parse_parameters(segments: Segments, components: int, main: Parameters | None = None) -> Parameters:
    """Parameters of a header's segments, which override the main header's; raises like `codestream.parse`.

    A tile's COC comes before its COD, that before the main header's COC, and that before the main COD; so
    with QCC and QCD, RGN, and POC (A.6).

    Args:
      segments: (marker, payload) of one header; others than COD to POC are passed over.
      components: number of components.
      main: of the main header, where the segments are a tile's; None where they are the main header's own.
    """
    found = [(marker, payload) for marker, payload in segments if marker in NAMES]
    changes: dict[str, Any] = {} if main is None else dict(vars(main))
    try:
        for marker, payload in found:
            if marker == COD:
                changes |= _parse_cod(payload, components)
            elif marker == QCD:
                changes["quantization"] = (_parse_quantization(payload),) * components
        for marker, name in ((COD, "coding"), (QCD, "quantization")):
            if name not in changes:
                raise BadCodestream(f"the main header has no {NAMES[marker]}")
        changes["coding"] = _replaced(changes["coding"], _of_components(COC, found, components))
        changes["quantization"] = _replaced(changes["quantization"], _of_components(QCC, found, components))
        shifts = changes.get("region_shifts", (0,) * components)
        changes["region_shifts"] = _replaced(shifts, _of_components(RGN, found, components))
        changes["volumes"] = _volumes(found, components) or changes.get("volumes", ())
    except (struct.error, IndexError) as error:
        raise BadCodestream("a marker segment of a header is too short") from error
    return Parameters(**{field.name: changes[field.name] for field in dataclasses.fields(Parameters)})


def _replaced(values: tuple[Any, ...], own: dict[int, Any]) -> tuple[Any, ...]:
    return tuple(own.get(i, value) for i, value in enumerate(values)) if own else values


def _of_components(marker: int, segments: Sequence[tuple[int, bytes]], components: int) -> dict[int, Any]:
    """The parameters in COC, QCC or RGN segments, by component."""
    own: dict[int, Any] = {}
    for other, payload in segments:
        if other != marker:
            continue
        component, rest = _component_number(payload, components)
        if component >= components:
            raise BadCodestream(f"{NAMES[marker]} for component {component} of {components}")
        if marker == COC:
            own[component] = _parse_coding(rest, 1, bool(rest[0] & 1))
        elif marker == QCC:
            own[component] = _parse_quantization(rest)
        else:
            own[component] = _parse_region(rest)
    return own


def _component_number(payload: bytes, components: int) -> tuple[int, bytes]:
    """One byte for up to 256 components, else two; and what follows."""
    if components <= 256:
        return payload[0], payload[1:]
    return struct.unpack_from(">H", payload)[0], payload[2:]


def _parse_cod(payload: bytes, components: int) -> dict[str, Any]:
    scod, progression, layers, transform = struct.unpack_from(">BBHB", payload)
    if scod & 0xF8:
        raise UnsupportedCodestream(f"coding style 0x{scod:02x} is not of Part 1")
    if transform > 1:
        raise UnsupportedCodestream(f"component transformation {transform} is not of Part 1")
    if not layers:
        raise BadCodestream("the number of quality layers is zero")
    return {
        "progression": _progression(progression),
        "layers": layers,
        "color_transform": bool(transform),
        "sop": bool(scod & 2),
        "eph": bool(scod & 4),
        "coding": (_parse_coding(payload, 5, bool(scod & 1)),) * components,
    }


def _progression(number: int) -> str:
    if number >= len(PROGRESSIONS):
        raise BadCodestream(f"progression order {number} is not defined")
    return PROGRESSIONS[number]


def _parse_coding(payload: bytes, at: int, own_precincts: bool) -> CodingStyle:
    levels, width, height, style, transformation = struct.unpack_from(">BBBBB", payload, at)
    if levels > 32:
        raise BadCodestream(f"COD: {levels} decomposition levels, more than 32")
    width, height = (width & 15) + 2, (height & 15) + 2
    if width > 10 or height > 10 or width + height > 12:
        raise BadCodestream(f"COD: code-blocks of {1 << width}x{1 << height}")
    if style & 0xC0:
        raise UnsupportedCodestream(f"code-block style 0x{style:02x} is not of Part 1")
    if transformation > 1:
        raise UnsupportedCodestream(f"wavelet transformation {transformation} is not of Part 1")
    precincts = ((15, 15),) * (levels + 1)
    if own_precincts:
        sizes = payload[at + 5 : at + 6 + levels]
        if len(sizes) <= levels:
            raise BadCodestream("COD: precinct sizes are missing")
        precincts = tuple((size & 15, size >> 4) for size in sizes)
        if any(0 in size for size in precincts[1:]):
            raise BadCodestream("COD: a precinct of one sample above resolution 0")
    return CodingStyle(levels, width, height, style, transformation, precincts)


def _parse_quantization(payload: bytes) -> Quantization:
    style, guard = payload[0] & 31, payload[0] >> 5
    steps: tuple[tuple[int, int], ...]
    if style == 0:
        steps = tuple((byte >> 3, 0) for byte in payload[1:98])  # one LL band, three of each of 32 levels
    elif style in (1, 2):
        values = struct.unpack_from(f">{min(97, (len(payload) - 1) // 2)}H", payload, 1)
        steps = tuple((value >> 11, value & 0x7FF) for value in values)
    else:
        raise BadCodestream(f"QCD: quantization style {style} is not defined")
    if not steps:
        raise BadCodestream("QCD: no step sizes")
    return Quantization(style, guard, steps)


def _parse_region(payload: bytes) -> int:
    """The shift of RGN (A.6.3)."""
    style, shift = payload[0], payload[1]
    if style:
        raise UnsupportedCodestream(f"region of interest style {style} is not of Part 1")
    return shift


def _volumes(segments: Sequence[tuple[int, bytes]], components: int) -> tuple[ProgressionVolume, ...]:
    """The entries of all POC segments (A.6.6)."""
    entry = struct.Struct(">BBHBBB" if components <= 256 else ">BHHBHB")
    payload = b"".join(payload for marker, payload in segments if marker == POC)
    if len(payload) % entry.size:
        raise BadCodestream(f"POC of {len(payload)} bytes, not of entries of {entry.size}")
    volumes = []
    for first_resolution, first, layers, end_resolution, end, order in entry.iter_unpack(payload):
        end_component = end or (256 if components <= 256 else _MAX_COMPONENTS)
        if first_resolution >= end_resolution or first >= end_component or not layers:
            raise BadCodestream(
                f"POC: no packets in resolutions {first_resolution} to {end_resolution}, "
                f"components {first} to {end_component}, {layers} layers"
            )
        volumes.append(
            ProgressionVolume(
                _progression(order), first_resolution, first, layers, end_resolution, end_component
            )
        )
    return tuple(volumes)
