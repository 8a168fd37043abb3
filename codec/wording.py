"""Describes boxes and marker segments in words (ISO/IEC 15444-1 Annexes A and I)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction

from foveate.codec.codestream import PROGRESSIONS
from foveate.codec.jp2 import UUID_NAMES
from foveate.codec.jp2_boxes import GRAYSCALE, SRGB, SYCC

_MARKERS = {
    0xFF4F: "SOC",
    0xFF50: "CAP",
    0xFF51: "SIZ",
    0xFF52: "COD",
    0xFF53: "COC",
    0xFF55: "TLM",
    0xFF57: "PLM",
    0xFF58: "PLT",
    0xFF59: "CPF",
    0xFF5C: "QCD",
    0xFF5D: "QCC",
    0xFF5E: "RGN",
    0xFF5F: "POC",
    0xFF60: "PPM",
    0xFF61: "PPT",
    0xFF63: "CRG",
    0xFF64: "COM",
    0xFF90: "SOT",
    0xFF93: "SOD",
    0xFFD9: "EOC",
}
_COLOR_SPACES = {SRGB: "sRGB", GRAYSCALE: "grayscale", SYCC: "sYCC"}
_BLOCK_STYLES = (
    "arithmetic coding bypass",
    "contexts reset",
    "termination on each pass",
    "vertically causal contexts",
    "predictable termination",
    "segmentation symbols",
)
_STEPS = ("no quantization", "steps derived from that of LL", "a step for each band")
_METERS_PER_INCH = Fraction(127, 5000)
_SHOWN_CHARACTERS = 200


def marker_name(marker: int) -> str:
    """The marker's name in the standard, or its number: `SIZ`, `0xff77`."""
    return _MARKERS.get(marker, f"0x{marker:04x}")


def box_name(kind: bytes) -> str:
    """A box's type as text: printable characters as they are, others as `\\xNN`."""
    return "".join(chr(c) if 0x20 <= c < 0x7F else f"\\x{c:02x}" for c in kind)


def describe_box(kind: bytes, content: bytes) -> str:
    """Describes a box; says what is wrong where it is malformed, "" for a kind that is not known.

    Args:
        kind: the four bytes of its type.
        content: all of it, without the head.
    """
    try:
        return _BOX_WORDS[kind](content) if kind in _BOX_WORDS else ""
    except (struct.error, IndexError, ZeroDivisionError):
        return "malformed"


def describe_marker(marker: int, payload: bytes, components: int) -> str:
    """Describes a marker segment; "malformed" where it is, "" for a marker that is not known.

    Args:
        marker: its number.
        payload: the segment without marker and length.
        components: how many the codestream has, by which component numbers have one byte or two.
    """
    try:
        name = _MARKERS.get(marker, "")
        if name in ("COC", "QCC", "RGN"):
            component, rest = _component(payload, components)
            return f"component {component}: {_OF_COMPONENT[name](rest)}"
        if name == "POC":
            return _poc(payload, components)
        return _MARKER_WORDS[name](payload) if name in _MARKER_WORDS else ""
    except (struct.error, IndexError, ZeroDivisionError):
        return "malformed"


# Boxes ---------------------------------------------------------------------------------------------


def _file_type(content: bytes) -> str:
    (version,) = struct.unpack_from(">I", content, 4)
    compatible = [_brand(content[at : at + 4]) for at in range(8, len(content), 4)]
    said = f"brand {_brand(content[:4])}, readable as {', '.join(compatible) or 'nothing'}"
    return said + (f", version {version}" if version else "")


def _brand(name: bytes) -> str:
    return box_name(name).strip()


def _image_header(content: bytes) -> str:
    height, width, count, depth, compression = struct.unpack_from(">IIHBB", content)
    bits = "of different depths" if depth == 255 else f"of {_depth(depth)}"
    said = f"{width} × {height}, {_count(count, 'component')} {bits}"
    return said if compression == 7 else f"{said}, compression type {compression}"


def _depth(byte: int) -> str:
    return f"{(byte & 0x7F) + 1} bits" + (" signed" if byte & 0x80 else "")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _color(content: bytes) -> str:
    if content[0] == 1:
        (space,) = struct.unpack_from(">I", content, 3)
        return _COLOR_SPACES.get(space, f"enumerated color space {space}")
    if content[0] in (2, 3):
        kind = "restricted" if content[0] == 2 else "any"
        return f"ICC profile ({kind} method), {len(content) - 3:,} bytes"
    return f"color method {content[0]}"


def _palette(content: bytes) -> str:
    entries, columns = struct.unpack_from(">HB", content)
    return f"palette of {_count(entries, 'color')} in {_count(columns, 'column')}"


def _channels(content: bytes) -> str:
    (count,) = struct.unpack_from(">H", content)
    names = []
    for index in range(count):
        channel, kind, to = struct.unpack_from(">3H", content, 2 + 6 * index)
        name = {0: f"color {to}", 1: "opacity", 2: "premultiplied opacity"}.get(kind, "unspecified")
        names.append(f"{channel} is {name}")
    return f"channel {', '.join(names)}"


def _resolution(content: bytes) -> str:
    down, down_unit, across, across_unit, down_power, across_power = struct.unpack(">4H2b", content)
    axes = (across, across_unit, across_power), (down, down_unit, down_power)
    dpi = (Fraction(n, d) * Fraction(10) ** power * _METERS_PER_INCH for n, d, power in axes)
    return " × ".join(f"{float(value):g}" for value in dpi) + " dots per inch"


def _uuid(content: bytes) -> str:
    name = UUID_NAMES.get(content[:16], f"UUID {content[:16].hex()}")
    return f"{name}, {max(0, len(content) - 16):,} bytes"


_BOX_WORDS: dict[bytes, Callable[[bytes], str]] = {
    b"jP  ": lambda _: "signature",
    b"ftyp": _file_type,
    b"jp2h": lambda _: "header",
    b"ihdr": _image_header,
    b"bpcc": lambda content: "components of " + ", ".join(map(_depth, content)),
    b"colr": _color,
    b"pclr": _palette,
    b"cmap": lambda content: f"mapping of {_count(len(content) // 4, 'channel')}",
    b"cdef": _channels,
    b"res ": lambda _: "resolution",
    b"resc": lambda content: f"captured at {_resolution(content)}",
    b"resd": lambda content: f"to be shown at {_resolution(content)}",
    b"uuid": _uuid,
    b"uinf": lambda _: "UUID information",
    b"xml ": lambda content: f"XML, {len(content):,} bytes",
    b"jp2i": lambda _: "intellectual property",
    b"jp2c": lambda _: "the codestream",
    b"free": lambda _: "free space",
}


# Marker segments -----------------------------------------------------------------------------------


def _component(payload: bytes, components: int) -> tuple[int, bytes]:
    """A component's number at the start of a segment, and what follows."""
    if components > 256:
        return struct.unpack_from(">H", payload)[0], payload[2:]
    return payload[0], payload[1:]


def _size(payload: bytes) -> str:
    _, x1, y1, x0, y0, tile_width, tile_height, tile_x0, tile_y0, count = struct.unpack_from(">H8IH", payload)
    across, down = -(-(x1 - tile_x0) // tile_width), -(-(y1 - tile_y0) // tile_height)
    kinds = [struct.unpack_from(">3B", payload, 36 + 3 * index) for index in range(count)]
    said = [f"{x1 - x0} × {y1 - y0}" + (f" from ({x0}, {y0})" if x0 or y0 else "")]
    if across * down > 1:
        said.append(f"{across} × {down} tiles of {tile_width} × {tile_height}")
    depths = _runs([_depth(depth) for depth, _, _ in kinds])
    said.append(f"{_count(count, 'component')} of {depths}")
    if any((dx, dy) != (1, 1) for _, dx, dy in kinds):
        said.append("subsampled by " + _runs([f"{dx} × {dy}" for _, dx, dy in kinds]))
    return ", ".join(said)


def _runs(names: Sequence[str]) -> str:
    """One name where all are the same, else up to eight of them."""
    if len(set(names)) == 1:
        return names[0]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _coding(payload: bytes) -> str:
    flags, order, layers, transform = struct.unpack_from(">BBHB", payload)
    said = [_progression(order), _count(layers, "layer"), _style(payload[5:], bool(flags & 1))]
    if transform:
        said.insert(2, "color transform")
    said += [name for bit, name in ((2, "SOP"), (4, "EPH")) if flags & bit]
    return ", ".join(said)


def _progression(order: int) -> str:
    return PROGRESSIONS[order] if order < len(PROGRESSIONS) else f"progression {order}"


def _style(payload: bytes, own_precincts: bool) -> str:
    levels, width, height, style, wavelet = struct.unpack_from(">5B", payload)
    kernel = {0: "9/7", 1: "5/3"}.get(wavelet, f"wavelet {wavelet}")
    blocks = f"{4 << width % 16} × {4 << height % 16}"
    said = [f"{kernel} in {_count(levels, 'level')}", f"code-blocks of {blocks}"]
    if own_precincts:
        sizes = [f"{1 << (size & 15)} × {1 << (size >> 4)}" for size in payload[5 : 6 + levels]]
        said.append("precincts of " + _runs(sizes))
    said += [name for bit, name in enumerate(_BLOCK_STYLES) if style >> bit & 1]
    return ", ".join(said)


def _quantization(payload: bytes) -> str:
    kind, guard = payload[0] & 31, payload[0] >> 5
    name = _STEPS[kind] if kind < len(_STEPS) else f"quantization style {kind}"
    return f"{name}, {_count(guard, 'guard bit')}"


def _comment(payload: bytes) -> str:
    (registration,) = struct.unpack_from(">H", payload)
    if registration != 1:
        return f"binary comment, {len(payload) - 2:,} bytes"
    text = payload[2:].decode("latin-1")
    return text[:_SHOWN_CHARACTERS] + ("…" if len(text) > _SHOWN_CHARACTERS else "")


def _poc(payload: bytes, components: int) -> str:
    wide = components > 256
    form = ">BHHBHB" if wide else ">BBHBBB"
    said = []
    for start in range(0, len(payload), struct.calcsize(form)):
        first, component, layers, last, component_end, order = struct.unpack_from(form, payload, start)
        end = component_end or 256
        said.append(
            f"{_progression(order)} for resolutions {first} to {last - 1}, components {component} to "
            f"{min(end, components) - 1}, layers up to {layers}"
        )
    return "; ".join(said)


def _tile_part(payload: bytes) -> str:
    tile, length, part, parts = struct.unpack(">HIBB", payload)
    of = f" of {parts}" if parts else ""
    return f"tile {tile}, part {part + 1}{of}, " + (f"{length:,} bytes" if length else "up to the end")


_OF_COMPONENT: dict[str, Callable[[bytes], str]] = {
    "COC": lambda rest: _style(rest[1:], bool(rest[0] & 1)),
    "QCC": _quantization,
    "RGN": lambda rest: f"region of interest by Maxshift, shift {rest[1]}",
}
_MARKER_WORDS: dict[str, Callable[[bytes], str]] = {
    "SOC": lambda _: "start",
    "CAP": lambda _: "capabilities beyond Part 1",
    "CPF": lambda _: "corresponding profile",
    "SIZ": _size,
    "COD": _coding,
    "QCD": _quantization,
    "TLM": lambda payload: f"lengths of tile-parts, table {payload[0]}",
    "PLM": lambda payload: f"lengths of packets, table {payload[0]}",
    "PLT": lambda payload: f"lengths of packets, table {payload[0]}",
    "PPM": lambda payload: f"packet headers of all tiles, part {payload[0]}",
    "PPT": lambda payload: f"packet headers of the tile, part {payload[0]}",
    "CRG": lambda _: "where components lie against each other",
    "COM": _comment,
    "SOT": _tile_part,
    "SOD": lambda _: "packets follow",
    "EOC": lambda _: "end",
}
