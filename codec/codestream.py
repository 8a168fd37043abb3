"""JPEG 2000 codestreams: marker segments in, marker segments out (ISO/IEC 15444-1 Annex A).

`parse` reads the main header and finds the tile-parts; `emit` writes a codestream around new packets. What
lies inside the tile-parts is the packets' business (`codec.packets`).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

from codec.errors import BadCodestream, UnsupportedCodestream

SOC, SOT, SOD, EOC = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9
SIZ, COD, COC, QCD, QCC = 0xFF51, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D
_UNSUPPORTED = {
    0xFF5E: "RGN (region of interest by Maxshift)",
    0xFF5F: "POC (progression order change)",
    0xFF60: "PPM (packed packet headers)",
    0xFF61: "PPT (packed packet headers)",
    0xFF50: "CAP (ISO/IEC 15444-15 or later)",
}
PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
REVERSIBLE, IRREVERSIBLE = 1, 0  # the transformation byte of COD: 5/3 and 9/7
_MAX_COMPONENTS, _MAX_TILES = 16384, 65535


@dataclasses.dataclass(frozen=True)
class Component:
    """One component of SIZ: bits a sample, signedness, sub-sampling."""

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
    """COD or COC: how one component is transformed and cut into code-blocks (A.6.1, A.6.2)."""

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
class TilePart:
    """Where the packets of one tile-part lie in the codestream."""

    tile: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Codestream:
    """A parsed codestream; `data` is the whole of it, markers included."""

    data: bytes
    size: Size
    progression: str
    layers: int
    color_transform: bool
    sop: bool
    eph: bool
    coding: tuple[CodingStyle, ...]  # one a component
    quantization: tuple[Quantization, ...]  # one a component
    tile_parts: tuple[TilePart, ...]
    header_segments: tuple[bytes, ...]  # SIZ, COD, COC, QCD, QCC as they stand, marker and length included


def parse(data: bytes) -> Codestream:
    """Reads the main header and finds every tile-part.

    Raises:
      BadCodestream: malformed or cut off.
      UnsupportedCodestream: legal, but uses something named in the message.
    """
    if data[:4] != b"\xff\x4f\xff\x51":
        raise BadCodestream(f"not a JPEG 2000 codestream: it starts with {data[:4]!r}")
    segments: list[tuple[int, bytes]] = []
    position = 2
    while True:
        marker = _u16(data, position)
        if marker == SOT:
            break
        if marker in _UNSUPPORTED:
            raise UnsupportedCodestream(f"the codestream uses {_UNSUPPORTED[marker]}")
        if marker < 0xFF00:
            raise BadCodestream(f"no marker at byte {position} of the main header: 0x{marker:04x}")
        length = _u16(data, position + 2)
        if length < 2 or position + 2 + length > len(data):
            raise BadCodestream(f"marker 0x{marker:04x} at byte {position}: length {length} is impossible")
        segments.append((marker, data[position : position + 2 + length]))
        position += 2 + length
    return _assemble(data, segments, _find_tile_parts(data, position))


def _assemble(data: bytes, segments: list[tuple[int, bytes]], tile_parts: tuple[TilePart, ...]) -> Codestream:
    payloads = {marker: segment[4:] for marker, segment in segments if marker in (SIZ, COD, QCD)}
    for marker, name in ((SIZ, "SIZ"), (COD, "COD"), (QCD, "QCD")):
        if marker not in payloads:
            raise BadCodestream(f"the main header has no {name}")
    try:
        size = _parse_siz(payloads[SIZ])
        cod = payloads[COD]
        scod, progression, layers, transform = struct.unpack_from(">BBHB", cod)
        count = len(size.components)
        coding = [_parse_coding(cod, 5, bool(scod & 1))] * count
        quantization = [_parse_quantization(payloads[QCD])] * count
        wide = count > 256
        for marker, segment in segments:
            if marker not in (COC, QCC):
                continue
            payload = segment[4:]
            component = struct.unpack_from(">H", payload)[0] if wide else payload[0]
            if component >= count:
                raise BadCodestream(f"COC or QCC for component {component} of {count}")
            rest = payload[2 if wide else 1 :]
            if marker == COC:
                coding[component] = _parse_coding(rest, 1, bool(rest[0] & 1))
            else:
                quantization[component] = _parse_quantization(rest)
    except (struct.error, IndexError) as error:
        raise BadCodestream("a marker segment of the main header is too short") from error
    if progression >= len(PROGRESSIONS):
        raise BadCodestream(f"progression order {progression} is not defined")
    if not layers:
        raise BadCodestream("the number of quality layers is zero")
    tiles = size.tiles_across * size.tiles_down
    for part in tile_parts:
        if part.tile >= tiles:
            raise BadCodestream(f"a tile-part of tile {part.tile}, but there are {tiles} tiles")
    kept = tuple(segment for marker, segment in segments if marker in (SIZ, COD, COC, QCD, QCC))
    return Codestream(
        data=data,
        size=size,
        progression=PROGRESSIONS[progression],
        layers=layers,
        color_transform=bool(transform),
        sop=bool(scod & 2),
        eph=bool(scod & 4),
        coding=tuple(coding),
        quantization=tuple(quantization),
        tile_parts=tile_parts,
        header_segments=kept,
    )


def _parse_siz(payload: bytes) -> Size:
    _, x1, y1, x0, y0, tw, th, tx0, ty0, count = struct.unpack_from(">HIIIIIIIIH", payload)
    if not 1 <= count <= _MAX_COMPONENTS:
        raise BadCodestream(f"SIZ: {count} components")
    components = []
    for i in range(count):
        depth, dx, dy = struct.unpack_from(">BBB", payload, 36 + 3 * i)
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
        steps = tuple((byte >> 3, 0) for byte in payload[1:])
    elif style in (1, 2):
        values = struct.unpack_from(f">{(len(payload) - 1) // 2}H", payload, 1)
        steps = tuple((value >> 11, value & 0x7FF) for value in values)
    else:
        raise BadCodestream(f"QCD: quantization style {style} is not defined")
    if not steps:
        raise BadCodestream("QCD: no step sizes")
    return Quantization(style, guard, steps)


def _find_tile_parts(data: bytes, position: int) -> tuple[TilePart, ...]:
    """Follows Psot from tile-part to tile-part (A.4.2)."""
    parts = []
    while position + 2 <= len(data) and _u16(data, position) == SOT:
        if position + 12 > len(data):
            raise BadCodestream(f"the tile-part at byte {position} is cut off")
        tile, length = struct.unpack_from(">HI", data, position + 4)
        if length == 0:
            end = data.rfind(b"\xff\xd9", position + 12)  # padding may follow
            if end < 0:
                raise BadCodestream("no end-of-codestream marker: the file is cut off")
        else:
            end = position + length
        if (length and length < 14) or end > len(data):
            raise BadCodestream(
                f"the tile-part at byte {position} has length {length}, {len(data) - position} are left"
            )
        parts.append(TilePart(tile, _skip_tile_header(data, position + 12, end), end))
        position = end
    if not parts:
        raise BadCodestream("the codestream has no tile-part")
    if data[position : position + 2] != b"\xff\xd9":
        raise BadCodestream(f"no end-of-codestream marker at byte {position}: the file is cut off")
    return tuple(parts)


def _skip_tile_header(data: bytes, position: int, end: int) -> int:
    while position + 2 <= end:
        marker = _u16(data, position)
        if marker == SOD:
            return position + 2
        if marker in (COD, COC, QCD, QCC):
            raise UnsupportedCodestream(
                "a tile has coding parameters of its own (COD, COC, QCD or QCC in its header)"
            )
        if marker in _UNSUPPORTED:
            raise UnsupportedCodestream(f"the codestream uses {_UNSUPPORTED[marker]}")
        length = _u16(data, position + 2)
        if marker < 0xFF00 or length < 2:
            raise BadCodestream(f"no marker segment at byte {position} of a tile-part header")
        position += 2 + length
    raise BadCodestream("a tile-part has no start-of-data marker")


def _u16(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise BadCodestream(f"cut off at byte {len(data)} inside a header")
    return data[position] << 8 | data[position + 1]


def emit(source: Codestream, layers: int, tile_parts: Sequence[tuple[int, bytes]]) -> bytes:
    """A codestream with the parameters of `source` around new packets in LRCP order, without SOP and EPH.

    Args:
      source: where SIZ, COD, COC, QCD and QCC are taken from.
      layers: number of quality layers in the new packets.
      tile_parts: (tile, packets) in the order in which they are to stand.
    """
    header = b"".join(_with_layers(segment, layers) for segment in source.header_segments)
    counts: dict[int, int] = {}
    for tile, _ in tile_parts:
        counts[tile] = counts.get(tile, 0) + 1
    written: dict[int, int] = {}
    chunks = [struct.pack(">H", SOC), header]
    for tile, packets in tile_parts:
        part = written.get(tile, 0)
        written[tile] = part + 1
        chunks.append(struct.pack(">HHHIBBH", SOT, 10, tile, 14 + len(packets), part, counts[tile], SOD))
        chunks.append(packets)
    chunks.append(struct.pack(">H", EOC))
    return b"".join(chunks)


def emitted_overhead(source: Codestream, tile_parts: int) -> int:
    """Bytes of what `emit` writes beside the packets."""
    return 2 + sum(map(len, source.header_segments)) + 14 * tile_parts + 2


def _with_layers(segment: bytes, layers: int) -> bytes:
    """COD with the layer count, LRCP and neither SOP nor EPH; other segments as they are."""
    if segment[:2] != struct.pack(">H", COD):
        return segment
    scod = segment[4] & 1
    return segment[:4] + struct.pack(">BBH", scod, 0, layers) + segment[8:]
