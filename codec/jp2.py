"""JP2 files around codestreams: boxes, metadata and our own archive record, written and read.

The layout follows ISO/IEC 15444-1 Annex I; references such as (I.5.3.3) are to it. EXIF and XMP stand in the
uuid boxes that ExifTool and libvips read. The archive record is one more uuid box, which other readers skip.
"""

from __future__ import annotations

import dataclasses
import math
import struct
import uuid
import zlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from codec.errors import BadCodestream, UnsupportedCodestream
from codec.metadata import PhotoMetadata

RECORD_VERSION = 1
SALIENCY_BYTES = 480

SRGB, GRAYSCALE, SYCC = 16, 17, 18

_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_CODESTREAM_START = b"\xff\x4f\xff\x51"
_END_OF_CODESTREAM = b"\xff\xd9"

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

_METRES_PER_INCH = Fraction(127, 5000)
_NO_DIGEST = bytes(8)
_PLAIN_DECODE = 2  # a flag of the record


@dataclasses.dataclass(frozen=True, eq=False)
class ArchiveRecord:
    """How an archived photo came about; the content of our own box.

    source_sha256: 32 bytes, of the source file.
    settings_digest: 8 bytes, of all settings that shaped the archive.
    weights_digest: 8 bytes, of the networks' weights; all zero if there was no network.
    comcnn_used: whether the pixels went through ComCNN before they were coded.
    plain_decode: whether the photo measured better without RecCNN than with it.
    saliency: (h, w) float32 in [0, 1], or None. It is packed with loss: what is read back is coarser.
    version: the format of the box.
    """

    source_sha256: bytes
    settings_digest: bytes
    weights_digest: bytes = _NO_DIGEST
    comcnn_used: bool = False
    plain_decode: bool = False
    saliency: npt.NDArray[np.float32] | None = None
    version: int = RECORD_VERSION


@dataclasses.dataclass(frozen=True, eq=False)
class Jp2:
    """What is in a JP2 file, or in a bare codestream.

    codestream: the first contiguous codestream, from SOC on.
    metadata: profile, EXIF, XMP and resolution, None where absent or unusable.
    record: our box, or None; `record_problem` says in a sentence why a box that is there could not be read.
    color: enumerated colour space (16 sRGB, 17 greyscale, 18 sYCC, or another), None if not enumerated.
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
    head = _head(_read_siz(codestream), metadata, record, saliency_bytes)
    box_head = struct.pack(">I4s", 0, b"jp2c") if open_ended else _box_head(b"jp2c", len(codestream))
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
    return len(_head(siz, metadata, record, saliency_bytes)) + len(_box_head(b"jp2c", 0))


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
    colour specifications the first of an understood method counts. Nothing is decoded.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream; the message holds the offset.
    """
    if data.startswith(_CODESTREAM_START):
        return Jp2(data, PhotoMetadata(), None, None, None, False, False)
    start, end = codestream_span(data)
    header, exif, xmp, record, problem = _Header(), None, None, None, None
    for box in _file_boxes(data):
        content = data[box.start : box.end] if box.kind in (b"jp2h", b"uuid") else b""
        if box.kind == b"jp2h":
            header = _parse_header(data, box)
        elif box.kind == b"uuid" and len(content) < 16:
            raise BadCodestream(f"the uuid box at byte {box.offset} is too short for its UUID")
        elif content.startswith((_EXIF_UUID, _PHOTOSHOP_EXIF_UUID)):
            exif = exif or _bare_tiff(content[16:])
        elif content.startswith(_XMP_UUID):
            xmp = xmp or content[16:]
        elif content.startswith(_RECORD_UUID) and record is None:
            record, problem = _try_record(content[16:])
    metadata = PhotoMetadata(icc=header.icc, exif=exif, xmp=xmp, dpi=header.dpi)
    return Jp2(data[start:end], metadata, record, problem, header.color, header.has_alpha, header.has_palette)


def marked_for_plain_decode(data: bytes) -> bytes:
    """The same file with the record's `plain_decode` set; every other byte stays.

    Raises:
        BadCodestream: a malformed box, or no record.
    """
    for box in _file_boxes(data):
        if box.kind == b"uuid" and data[box.start : box.start + 16] == _RECORD_UUID:
            at = box.start + 17
            return data[:at] + bytes([data[at] | _PLAIN_DECODE]) + data[at + 1 :]
    raise BadCodestream("the file has no archive record")


def read_record(head: bytes) -> ArchiveRecord | None:
    """The record of a JP2 file, None if it has none that can be read; the file's beginning is enough.

    Raises:
        BadCodestream: a malformed box, or `head` ends before the record's box does.
    """
    for box in _file_boxes(head):
        if box.kind == b"uuid" and head[box.start : box.start + 16] == _RECORD_UUID:
            return _try_record(head[box.start + 16 : box.end])[0]
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


# The archive record --------------------------------------------------------------------------------


def pack_record(record: ArchiveRecord, saliency_bytes: int = SALIENCY_BYTES) -> bytes:
    """The content of our box: version, flags, settings, weights, source, packed saliency.

    Bit 0 of the flags stands for ComCNN, bit 1 for the plain decode.

    Raises:
        ValueError: a digest has the wrong size, or the version is not the one written here.
    """
    if record.version != RECORD_VERSION:
        raise ValueError(f"records are written in version {RECORD_VERSION}, not {record.version}")
    for name, size in (("settings_digest", 8), ("weights_digest", 8), ("source_sha256", 32)):
        if len(getattr(record, name)) != size:
            raise ValueError(f"{name} has {len(getattr(record, name))} bytes, not {size}")
    saliency = b"" if record.saliency is None else pack_saliency(record.saliency, saliency_bytes)
    digests = record.settings_digest + record.weights_digest + record.source_sha256
    flags = int(record.comcnn_used) | _PLAIN_DECODE * int(record.plain_decode)
    return bytes([RECORD_VERSION, flags]) + digests + saliency


def unpack_record(content: bytes) -> ArchiveRecord:
    """The inverse of `pack_record`.

    Raises:
        UnsupportedCodestream: a later version wrote it.
        BadCodestream: it is too short, or its saliency is damaged.
    """
    if content and content[0] != RECORD_VERSION:
        raise UnsupportedCodestream(
            f"the archive record has version {content[0]}; this program reads version {RECORD_VERSION} only"
        )
    if len(content) < 50:
        raise BadCodestream(f"the archive record has {len(content)} bytes instead of 50 or more")
    return ArchiveRecord(
        settings_digest=content[2:10],
        weights_digest=content[10:18],
        source_sha256=content[18:50],
        comcnn_used=bool(content[1] & 1),
        plain_decode=bool(content[1] & _PLAIN_DECODE),
        saliency=unpack_saliency(content[50:]) if len(content) > 50 else None,
    )


def _try_record(content: bytes) -> tuple[ArchiveRecord | None, str | None]:
    """The record, or why there is none: a picture can be decoded without it."""
    try:
        return unpack_record(content), None
    except (BadCodestream, UnsupportedCodestream) as error:
        return None, str(error)


def pack_saliency(saliency: npt.NDArray[np.float32], max_bytes: int) -> bytes:
    """A saliency map in few bytes: averaged down to at most 40 cells a side, quantised, predicted, deflated.

    The finest of several grids and numbers of levels is taken that fits and has no 0xFFD9 in it: to FFmpeg's
    demuxer of pipes that is the end of a picture, wherever it stands.

    Args:
        saliency: (h, w) floats in [0, 1].
        max_bytes: what it may take.

    Returns:
        levels, rows, columns, lowest and highest value in 255ths (a byte each), then the deflated cells; or
        b"" if not even the coarsest form (8 cells, 4 levels) fits.

    Raises:
        ValueError: the map is empty, not two-dimensional or not within [0, 1].
    """
    if saliency.ndim != 2 or saliency.size == 0:
        raise ValueError(f"a saliency map has the shape (h, w), not {saliency.shape}")
    if not (np.isfinite(saliency).all() and saliency.min() >= 0 and saliency.max() <= 1):
        raise ValueError("a saliency map has values within [0, 1]")
    for cells, levels in _SALIENCY_FORMS:
        packed = _pack_cells(_average_down(saliency, cells), levels)
        if len(packed) <= max_bytes and _END_OF_CODESTREAM not in packed:
            return packed
    return b""


def unpack_saliency(packed: bytes) -> npt.NDArray[np.float32]:
    """The inverse of `pack_saliency`: (rows, columns) float32 in [0, 1], at the resolution it was packed in.

    Raises:
        BadCodestream: it is damaged.
    """
    if len(packed) < 5 or not all((packed[0] >= 2, packed[1], packed[2], packed[3] <= packed[4])):
        raise BadCodestream("the saliency map in the archive record has no valid head")
    levels, rows, columns, low, high = packed[:5]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        folded = inflater.decompress(packed[5:], rows * columns + 1)
    except zlib.error as error:
        raise BadCodestream(f"the saliency map in the archive record is damaged: {error}") from error
    if len(folded) != rows * columns or not inflater.eof:
        raise BadCodestream(f"the saliency map in the archive record has not {rows} x {columns} cells")
    cells = _unpredict(np.frombuffer(folded, np.uint8).reshape(rows, columns), levels)
    return ((low + cells * ((high - low) / (levels - 1))) / 255).astype(np.float32)


_SALIENCY_FORMS = ((40, 16), (32, 16), (32, 8), (24, 8), (16, 8), (12, 6), (8, 4))


def _average_down(saliency: npt.NDArray[np.float32], cells: int) -> npt.NDArray[np.float64]:
    """Area means on a grid of the same shape whose longer side has at most so many cells."""
    scale = min(1.0, cells / max(saliency.shape))
    rows, columns = (max(1, round(side * scale)) for side in saliency.shape)
    over_rows, over_columns = _overlaps(saliency.shape[0], rows), _overlaps(saliency.shape[1], columns)
    means: npt.NDArray[np.float64] = over_rows @ saliency.astype(np.float64) @ over_columns.T
    return means


def _overlaps(length: int, cells: int) -> npt.NDArray[np.float64]:
    """(cells, length): the share that each sample has in each of `cells` equal parts of an axis."""
    edges = np.arange(cells + 1)[:, np.newaxis] * (length / cells)
    start = np.arange(length)[np.newaxis, :]
    shares: npt.NDArray[np.float64] = np.minimum(edges[1:], start + 1) - np.maximum(edges[:-1], start)
    return np.clip(shares, 0, None) * (cells / length)


def _pack_cells(cells: npt.NDArray[np.float64], levels: int) -> bytes:
    rows, columns = cells.shape
    low, high = math.floor(float(cells.min()) * 255), min(255, math.ceil(float(cells.max()) * 255))
    step = max(high - low, 1) / (levels - 1)
    quantised = np.clip(np.rint((cells * 255 - low) / step), 0, levels - 1).astype(np.int64)
    folded = _predict(quantised, levels)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    deflated = deflater.compress(folded.tobytes()) + deflater.flush()
    return bytes([levels, rows, columns, low, high]) + deflated


def _predict(cells: npt.NDArray[np.int64], levels: int) -> npt.NDArray[np.uint8]:
    """How each cell differs from its prediction, modulo `levels`; small differences become small bytes."""
    folded = np.empty(cells.shape, np.uint8)
    for row, column in np.ndindex(*cells.shape):
        residual = int(cells[row, column] - _prediction(cells, row, column)) % levels
        folded[row, column] = 2 * residual if 2 * residual < levels else 2 * (levels - residual) - 1
    return folded


def _unpredict(folded: npt.NDArray[np.uint8], levels: int) -> npt.NDArray[np.int64]:
    cells = np.zeros(folded.shape, np.int64)
    for row, column in np.ndindex(*folded.shape):
        code = int(folded[row, column])
        residual = -(code + 1) // 2 if code % 2 else code // 2
        cells[row, column] = (_prediction(cells, row, column) + residual) % levels
    return cells


def _prediction(cells: npt.NDArray[np.int64], row: int, column: int) -> int:
    """The median edge detector of JPEG-LS, from the cells to the left and above."""
    if row == 0:
        return int(cells[0, column - 1]) if column else 0
    above = int(cells[row - 1, column])
    if column == 0:
        return above
    left, corner = int(cells[row, column - 1]), int(cells[row - 1, column - 1])
    return min(max(left + above - corner, min(left, above)), max(left, above))


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


def _head(siz: _Siz, metadata: PhotoMetadata, record: ArchiveRecord | None, saliency_bytes: int) -> bytes:
    """Everything before the box of the codestream."""
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
        boxes.append(_box(b"uuid", _RECORD_UUID + pack_record(record, saliency_bytes)))
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
    """Colour specification (I.5.3.3): method, precedence, approximation, then the profile or the number."""
    if icc is not None and icc_is_restricted(icc, channels):
        return _box(b"colr", b"\x02\x00\x00" + icc)
    return _box(b"colr", struct.pack(">3BI", 1, 0, 0, GRAYSCALE if channels <= 2 else SRGB))


def _alpha_box(channels: int) -> bytes:
    """Channel definition (I.5.3.6): colours in order, then the opacity of the whole picture."""
    colors = [(channel, 0, channel + 1) for channel in range(channels - 1)]
    entries = b"".join(struct.pack(">3H", *entry) for entry in [*colors, (channels - 1, 1, 0)])
    return _box(b"cdef", struct.pack(">H", channels) + entries)


def _resolution_box(dpi: tuple[float, float]) -> bytes:
    """Capture resolution (I.5.3.7.1) from (horizontal, vertical) dots per inch; b"" for a nonsensical one."""
    if not all(math.isfinite(value) and 1e-3 <= value <= 1e9 for value in dpi):
        return b""
    (across, across_unit, across_power), (down, down_unit, down_power) = map(_per_metre, dpi)
    content = struct.pack(">4H2b", down, down_unit, across, across_unit, down_power, across_power)
    return _box(b"res ", _box(b"resc", content))


def _per_metre(dpi: float) -> tuple[int, int, int]:
    """Numerator, denominator and power of ten nearest to a resolution; exact for whole dots per inch."""
    exact = Fraction(dpi) / _METRES_PER_INCH

    def error(candidate: tuple[int, int, int]) -> tuple[Fraction, int]:
        return abs(_samples_per_metre(*candidate) - exact), abs(candidate[2])

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


def _samples_per_metre(numerator: int, denominator: int, power: int) -> Fraction:
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
    offset = start
    while offset < end:
        head = 8
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
    found = _Header()
    for box in _boxes(data, header.start, header.end):
        content = data[box.start : box.end]
        if box.kind == b"colr" and found.color is None and found.icc is None:
            color, icc = _parse_color(content, box.offset)
            found = dataclasses.replace(found, color=color, icc=icc)
        elif box.kind == b"cdef":
            found = dataclasses.replace(found, has_alpha=_parse_alpha(content, box.offset))
        elif box.kind == b"pclr":
            found = dataclasses.replace(found, has_palette=True)
        elif box.kind == b"res ":
            found = dataclasses.replace(found, dpi=_parse_resolution(data, box))
    return found


def _parse_color(content: bytes, offset: int) -> tuple[int | None, bytes | None]:
    """Enumerated colour space and profile; both None for a method that is not understood."""
    if len(content) < 3:
        raise BadCodestream(f"the colr box at byte {offset} has {len(content)} bytes instead of 3 or more")
    if content[0] == 1:
        if len(content) < 7:
            raise BadCodestream(f"the colr box at byte {offset} has no enumerated colour space")
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
            horizontal, vertical = (float(_samples_per_metre(*axis) * _METRES_PER_INCH) for axis in axes)
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
