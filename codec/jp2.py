"""JP2 files around codestreams: boxes and metadata, written and read.

The layout follows ISO/IEC 15444-1 Annex I; references such as (I.5.3.3) are to it. EXIF and XMP stand in the
uuid boxes that ExifTool and libvips read. The archive record (`codec.record`) is one more uuid box,
which other readers skip.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import struct
import uuid
import zlib
from collections.abc import Iterator
from fractions import Fraction

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import (
    CRC_AT,
    FLAGS_AT,
    PLAIN_DECODE,
    SALIENCY_BYTES,
    ArchiveRecord,
    pack_record,
    try_record,
)

SRGB, GRAYSCALE, SYCC = 16, 17, 18

_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_CODESTREAM_START = b"\xff\x4f\xff\x51"

_EXIF_UUID = b"JpgTiffExif->JP2"
_PHOTOSHOP_EXIF_UUID = uuid.UUID("0537cdab-9d0c-4431-a72a-fa561f2a113e").bytes
_XMP_UUID = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_RECORD_UUID = uuid.UUID("9de31d97-f6d9-4392-88d5-000acd786d7d").bytes
RECORD_NAME = "Foveate's archive record"
UUID_NAMES = {
    _EXIF_UUID: "EXIF",
    _PHOTOSHOP_EXIF_UUID: "EXIF as Photoshop has it",
    _XMP_UUID: "XMP",
    _RECORD_UUID: RECORD_NAME,
}

_METERS_PER_INCH = Fraction(127, 5000)
_UUID_BYTES = 16
_MOST_BOXES = 1 << 12  # side by side: no photo has so many, and to walk through millions takes minutes


@dataclasses.dataclass(frozen=True, eq=False)
class Jp2:
    """What is in a JP2 file, or in a bare codestream.

    codestream: the first contiguous codestream, from SOC on.
    metadata: profile, EXIF, XMP and resolution, None where absent or unusable.
    record: our box, or None; `record_problem` says in a sentence why a box that is there could not be read.
    color: enumerated color space (16 sRGB, 17 grayscale, 18 sYCC, or another), None if not enumerated.
    has_alpha: whether the channel definition names an opacity channel.
    has_palette: whether the components are indices into a palette.
    """

    codestream: bytes
    metadata: PhotoMetadata
    record: ArchiveRecord | None
    record_problem: str | None
    color: int | None
    has_alpha: bool
    has_palette: bool


def wrap(
    codestream: bytes,
    *,
    metadata: PhotoMetadata,
    record: ArchiveRecord | None = None,
    saliency_bytes: int = SALIENCY_BYTES,
    open_ended: bool = False,
) -> bytes:
    """Put a JP2 file around a codestream.

    One component is gray, two are gray and alpha, three are RGB, four are RGB and alpha. Metadata that a JP2
    cannot hold are left out: see `unkept_metadata`.

    Args:
        codestream: bare codestream of 1 to 4 components, none of them subsampled.
        metadata: what to embed.
        record: our own box, or None for a file without one.
        saliency_bytes: what the record's saliency may take at most.
        open_ended: let the codestream's box, the last, reach to the end of the file whatever its length, so
            that a prefix of the file with an end-of-codestream marker is a valid file too.

    Raises:
        BadCodestream: the codestream has no valid SIZ at its start.
        UnsupportedCodestream: it has more than 4 components.
        ValueError: a field of the record has the wrong size or range.
    """
    content = None
    if record is not None:
        content = pack_record(record, hashlib.sha256(codestream).digest(), saliency_bytes)
    head = _head(_read_siz(codestream), metadata, content)
    box_head = struct.pack(">I4s", 0, b"jp2c") if open_ended else _box_head(b"jp2c", len(codestream))
    if content is not None:
        crc = zlib.crc32(head + box_head)
        at = len(head) - len(content) + CRC_AT
        head = head[:at] + struct.pack(">I", crc) + head[at + 4 :]
    return b"".join([head, box_head, codestream])


def overhead(
    channels: int,
    *,
    metadata: PhotoMetadata,
    record: ArchiveRecord | None = None,
    saliency_bytes: int = SALIENCY_BYTES,
) -> int:
    """How many bytes `wrap` adds to a codestream under 4 GB with `channels` components of one bit depth."""
    siz = _Siz(1, 1, (7,) * channels)
    content = None if record is None else pack_record(record, bytes(32), saliency_bytes)
    return len(_head(siz, metadata, content)) + len(_box_head(b"jp2c", 0))


def unkept_metadata(metadata: PhotoMetadata, channels: int) -> tuple[str, ...]:
    """The names of the fields of `metadata` that `wrap` would leave out for a picture of so many channels.

    Those are an ICC profile beyond the restricted method, EXIF that is no TIFF structure, and a resolution
    that is not positive and finite.
    """
    kept = {
        "icc": metadata.icc is None or icc_is_restricted(metadata.icc, channels),
        "exif": metadata.exif is None or _bare_tiff(metadata.exif) is not None,
        "dpi": metadata.dpi is None or bool(_resolution_box(metadata.dpi)),
    }
    return tuple(name for name, is_kept in kept.items() if not is_kept)


def parse(data: bytes) -> Jp2:
    """Read a JP2 file, or take a bare codestream as one without metadata.

    Files of others are welcome: JPX boxes are skipped, an "Exif\\0\\0" prefix is removed, and of several
    color specifications the first of an understood method counts. Nothing is decoded. At most 4096 boxes are
    read side by side, so that no file takes long.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream; the message holds the offset.
    """
    if data.startswith(_CODESTREAM_START):
        return Jp2(data, PhotoMetadata(), None, None, None, False, False)
    start, end = codestream_span(data)
    header: _Header | None = None
    exif, xmp, record, problem = None, None, None, None
    for box in _file_boxes(data):
        content = data[box.start : box.end] if box.kind == b"uuid" else b""
        if box.kind == b"jp2h" and header is None:
            header = _parse_header(data, box)
        elif box.kind == b"uuid" and len(content) < 16:
            raise BadCodestream(f"the uuid box at byte {box.offset} is too short for its UUID")
        elif content.startswith((_EXIF_UUID, _PHOTOSHOP_EXIF_UUID)):
            exif = exif or _bare_tiff(content[16:])
        elif content.startswith(_XMP_UUID):
            xmp = xmp or content[16:]
        elif content.startswith(_RECORD_UUID) and record is None:
            record, problem = try_record(content[_UUID_BYTES:])
    header = header or _Header()
    metadata = PhotoMetadata(icc=header.icc, exif=exif, xmp=xmp, dpi=header.dpi)
    return Jp2(data[start:end], metadata, record, problem, header.color, header.has_alpha, header.has_palette)


def marked_for_plain_decode(data: bytes) -> bytes:
    """The same file with the record's `plain_decode` set, and its CRC, if any, made anew.

    Raises:
        BadCodestream: a malformed box, no record, or one whose CRC is not that of the file.
    """
    start, record = _record_start(data), read_record(data)
    if start is None or record is None:
        raise BadCodestream("the file has no archive record that can be read")
    if record.boxes_crc32 not in (None, boxes_crc32(data)):
        raise BadCodestream("the file's boxes have changed since it was written")
    at = start + FLAGS_AT
    marked = data[:at] + bytes([data[at] | PLAIN_DECODE]) + data[at + 1 :]
    if record.boxes_crc32 is None:
        return marked
    at = start + CRC_AT
    return marked[:at] + struct.pack(">I", boxes_crc32(marked)) + marked[at + 4 :]


def boxes_crc32(data: bytes) -> int:
    """The CRC-32 that the record of a JP2 file should hold: of all but the codestream and the CRC itself.

    Raises:
        BadCodestream: a malformed box, no codestream, or no record.
    """
    start, (first, end) = _record_start(data), codestream_span(data)
    if start is None:
        raise BadCodestream("the file has no archive record")
    at = start + CRC_AT
    crc = 0
    for piece in (data[:at], bytes(4), data[at + 4 : first], data[end:]):
        crc = zlib.crc32(piece, crc)
    return crc


def _record_start(data: bytes) -> int | None:
    """Where the content of the first record begins, None if there is none."""
    for box in _file_boxes(data):
        if box.kind == b"uuid" and data[box.start : box.start + _UUID_BYTES] == _RECORD_UUID:
            return box.start + _UUID_BYTES
    return None


def read_record(head: bytes) -> ArchiveRecord | None:
    """The record of a JP2 file, None if it has none that can be read; the file's beginning is enough.

    Raises:
        BadCodestream: a malformed box, or `head` ends before the record's box does.
    """
    for box in _file_boxes(head):
        if box.kind == b"uuid" and head[box.start : box.start + 16] == _RECORD_UUID:
            return try_record(head[box.start + _UUID_BYTES : box.end])[0]
    return None


def codestream_span(data: bytes) -> tuple[int, int]:
    """Where the first codestream begins and ends in a JP2 file, or in a bare codestream.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream.
    """
    if data.startswith(_CODESTREAM_START):
        return 0, len(data)
    for box in _file_boxes(data):
        if box.kind == b"jp2c":
            if not data.startswith(_CODESTREAM_START, box.start, box.end):
                raise BadCodestream(f"the codestream at byte {box.start} does not begin with SOC and SIZ")
            return box.start, box.end
    raise BadCodestream("the JP2 file has no codestream")


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


# Writing boxes -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Siz:
    """What boxes repeat of the codestream's SIZ (A.5.1): size of the image area, Ssiz of each component."""

    width: int
    height: int
    ssiz: tuple[int, ...]


def _read_siz(codestream: bytes) -> _Siz:
    if not codestream.startswith(_CODESTREAM_START) or len(codestream) < 42:
        raise BadCodestream("the codestream does not begin with SOC and SIZ")
    right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
    (count,) = struct.unpack_from(">H", codestream, 40)
    if not (left < right and top < bottom and 1 <= count <= 16384) or len(codestream) < 42 + 3 * count:
        raise BadCodestream("the codestream's SIZ declares an empty picture")
    return _Siz(right - left, bottom - top, tuple(codestream[42 : 42 + 3 * count : 3]))


def _head(siz: _Siz, metadata: PhotoMetadata, record: bytes | None) -> bytes:
    """Everything before the box of the codestream; the record's box, if any, stands last."""
    if not 1 <= len(siz.ssiz) <= 4:
        raise UnsupportedCodestream(f"{len(siz.ssiz)} components are not supported, only 1 to 4")
    file_type = _box(b"ftyp", b"jp2 " + bytes(4) + b"jp2 ")
    boxes = [_SIGNATURE, file_type, _box(b"jp2h", _header_boxes(siz, metadata))]
    exif = _bare_tiff(metadata.exif or b"")
    if exif is not None:
        boxes.append(_box(b"uuid", _EXIF_UUID + exif))
    if metadata.xmp:
        boxes.append(_box(b"uuid", _XMP_UUID + metadata.xmp))
    if record is not None:
        boxes.append(_box(b"uuid", _RECORD_UUID + record))
    return b"".join(boxes)


def _header_boxes(siz: _Siz, metadata: PhotoMetadata) -> bytes:
    """What stands in the JP2 header box (I.5.3)."""
    channels, alike = len(siz.ssiz), len(set(siz.ssiz)) == 1
    known_color, no_rights = 0, 0
    depth = siz.ssiz[0] if alike else 255
    ihdr = struct.pack(">IIH4B", siz.height, siz.width, channels, depth, 7, known_color, no_rights)
    boxes = [_box(b"ihdr", ihdr)]
    if not alike:
        boxes.append(_box(b"bpcc", bytes(siz.ssiz)))
    boxes.append(_color_box(metadata.icc, channels))
    if channels in (2, 4):
        boxes.append(_alpha_box(channels))
    if metadata.dpi is not None:
        boxes.append(_resolution_box(metadata.dpi))
    return b"".join(boxes)


def _color_box(icc: bytes | None, channels: int) -> bytes:
    """Color specification (I.5.3.3): method, precedence, approximation, then the profile or the number."""
    if icc is not None and icc_is_restricted(icc, channels):
        return _box(b"colr", b"\x02\x00\x00" + icc)
    return _box(b"colr", struct.pack(">3BI", 1, 0, 0, GRAYSCALE if channels <= 2 else SRGB))


def _alpha_box(channels: int) -> bytes:
    """Channel definition (I.5.3.6): colors in order, then the opacity of the whole picture."""
    colors = [(channel, 0, channel + 1) for channel in range(channels - 1)]
    entries = b"".join(struct.pack(">3H", *entry) for entry in [*colors, (channels - 1, 1, 0)])
    return _box(b"cdef", struct.pack(">H", channels) + entries)


def _resolution_box(dpi: tuple[float, float]) -> bytes:
    """Capture resolution (I.5.3.7.1) from (horizontal, vertical) dots per inch; b"" for a nonsensical one."""
    if not all(math.isfinite(value) and 1e-3 <= value <= 1e9 for value in dpi):
        return b""
    (across, across_unit, across_power), (down, down_unit, down_power) = map(_per_meter, dpi)
    content = struct.pack(">4H2b", down, down_unit, across, across_unit, down_power, across_power)
    return _box(b"res ", _box(b"resc", content))


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


def _box(kind: bytes, content: bytes) -> bytes:
    return _box_head(kind, len(content)) + content


def _box_head(kind: bytes, content_length: int) -> bytes:
    """LBox and TBox, and XLBox where the length asks for it (I.4)."""
    if content_length + 8 < 1 << 32:
        return struct.pack(">I4s", content_length + 8, kind)
    return struct.pack(">I4sQ", 1, kind, content_length + 16)


# Reading boxes -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Box:
    """Where a box lies: `offset` of its head, [start, end) of its content."""

    kind: bytes
    offset: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class _Header:
    """What is taken from the JP2 header box."""

    color: int | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    has_alpha: bool = False
    has_palette: bool = False


def _file_boxes(data: bytes) -> Iterator[_Box]:
    if not data.startswith(_SIGNATURE):
        start = data[:12].hex(" ") or "nothing"
        raise BadCodestream(f"neither a JP2 file nor a codestream: it begins with {start}")
    return _boxes(data, 0, len(data))


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """The boxes from `start` to `end`, one after the other (I.4)."""
    offset, count = start, 0
    while offset < end:
        if count == _MOST_BOXES:
            raise BadCodestream(f"more than {_MOST_BOXES} boxes up to byte {offset}")
        head, count = 8, count + 1
        if end - offset < head:
            raise BadCodestream(f"the box at byte {offset} is cut off in its head")
        length, kind = struct.unpack_from(">I4s", data, offset)
        if length == 1:
            head = 16
            if end - offset < head:
                raise BadCodestream(f"the box at byte {offset} is cut off in its head")
            (length,) = struct.unpack_from(">Q", data, offset + 8)
        elif length == 0:
            length = end - offset
        if length < head:
            raise BadCodestream(f"the box at byte {offset} has the impossible length {length}")
        if length > end - offset:
            raise BadCodestream(f"the box at byte {offset} ends {length - (end - offset)} bytes past the end")
        yield _Box(kind, offset, offset + head, offset + length)
        offset += length


def _parse_header(data: bytes, header: _Box) -> _Header:
    found, seen_resolution = _Header(), False
    for box in _boxes(data, header.start, header.end):
        content = data[box.start : box.end]
        if box.kind == b"colr" and found.color is None and found.icc is None:
            color, icc = _parse_color(content, box.offset)
            found = dataclasses.replace(found, color=color, icc=icc)
        elif box.kind == b"cdef":
            found = dataclasses.replace(found, has_alpha=_parse_alpha(content, box.offset))
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


def _parse_alpha(content: bytes, offset: int) -> bool:
    (count,) = struct.unpack_from(">H", content) if len(content) >= 2 else (0,)
    if count == 0 or len(content) < 2 + 6 * count:
        raise BadCodestream(f"the cdef box at byte {offset} does not hold the {count} channels it declares")
    types = [struct.unpack_from(">H", content, 4 + 6 * channel)[0] for channel in range(count)]
    return 1 in types or 2 in types


def _parse_resolution(data: bytes, superbox: _Box) -> tuple[float, float] | None:
    """(Horizontal, vertical) dots per inch: of the capture, else for display; None if it is no number."""
    found: dict[bytes, tuple[float, float]] = {}
    for box in _boxes(data, superbox.start, superbox.end):
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


def _bare_tiff(exif: bytes) -> bytes | None:
    """The TIFF structure of EXIF, without the prefix that some writers keep; None if it is none."""
    bare = exif.removeprefix(b"Exif\0\0")
    return bare if bare.startswith((b"II*\0", b"MM\0*")) else None


def _icc_tags(icc: bytes) -> frozenset[bytes] | None:
    """The signatures in a profile's tag table, or None if the profile is malformed (ICC.1, 7.2 and 7.3)."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    size, (count,) = struct.unpack_from(">I", icc)[0], struct.unpack_from(">I", icc, 128)
    if size != len(icc) or 132 + 12 * count > size:
        return None
    return frozenset(icc[132 + 12 * tag : 136 + 12 * tag] for tag in range(count))
