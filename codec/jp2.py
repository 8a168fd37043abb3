"""Writes and reads JP2 files: boxes and metadata around a codestream.

The layout follows ISO/IEC 15444-1 Annex I; references such as (I.5.3.3) are to it. The archive record
(`codec.record`) is a uuid box, which other readers skip, before the codestream, so that the beginning of a
file tells of it. Metadata (`codec.jp2_metadata`) stand behind the codestream: decoders that look for markers
without regard to boxes would take the end of an EXIF thumbnail for that of the picture.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import uuid
import zlib
from collections.abc import Iterator

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.jp2_boxes import (
    Header,
    Siz,
    bare_tiff,
    header_boxes,
    icc_is_restricted,
    pack_box,
    pack_box_head,
    parse_header,
    resolution_box,
    with_layer,
)
from foveate.codec.jp2_metadata import METADATA_UUIDS, metadata_boxes, read_metadata
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
from foveate.codec.walk import (
    CODESTREAM_START,
    JP2_START,
    BoxSpan,
    Readable,
    codestream_span,
    file_boxes,
    strict,
)

RECORD_UUID = uuid.UUID("9de31d97-f6d9-4392-88d5-000acd786d7d").bytes
RECORD_NAME = "Foveate's archive record"
UUID_NAMES = METADATA_UUIDS | {RECORD_UUID: RECORD_NAME}

_UUID_BYTES = 16
_MOST_BESIDE = 1 << 26  # bytes of a box that is read with a part of a picture


@dataclasses.dataclass(frozen=True, eq=False)
class Jp2:
    """The contents of a JP2 file, or of a bare codestream.

    codestream: the first contiguous codestream, from SOC on.
    metadata: profile, EXIF, XMP and resolution, None where absent or unusable.
    record: our box, or None; `record_problem` says in a sentence why a box that is there could not be read.
    color: enumerated color space (16 sRGB, 17 grayscale, 18 sYCC, or another), None if not enumerated.
    has_alpha: whether the channel definition names an opacity channel.
    has_palette: whether the components are indices into a palette.
    channel_kinds: what the channel definition says of each channel (I.5.3.6); () without one.
    codestreams: how many contiguous codestreams there are.
    color_method: that of the first color specification (I.5.3.3), None without one.
    channel_places: what the channel definition associates each channel with; () without one.
    layers: how many compositing layers a JPX file has (ISO/IEC 15444-2, M.11.7).
    has_layer_channels: whether the first of them has channels or opacity of its own.
    """

    codestream: bytes
    metadata: PhotoMetadata
    record: ArchiveRecord | None
    record_problem: str | None
    color: int | None
    has_alpha: bool
    has_palette: bool
    channel_kinds: tuple[int, ...] = ()
    codestreams: int = 1
    color_method: int | None = None
    channel_places: tuple[int, ...] = ()
    layers: int = 0
    has_layer_channels: bool = False


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
        open_ended: put the codestream's box last, and let it reach to the end of the file whatever its
            length, so that a prefix of the file with an end-of-codestream marker is a valid file too.

    Raises:
        BadCodestream: the codestream has no valid SIZ at its start.
        UnsupportedCodestream: it has more than 4 components.
        ValueError: a field of the record has the wrong size or range.
    """
    content = None
    if record is not None:
        content = pack_record(record, hashlib.sha256(codestream).digest(), saliency_bytes)
    head = _head(_read_siz(codestream), metadata, content)
    tail = metadata_boxes(metadata)
    if open_ended:
        head, tail = tail.join(_apart(head, content)), b""
    return joined(head, content, codestream, tail, open_ended=open_ended)


def joined(
    head: bytes, record_content: bytes | None, codestream: bytes, tail: bytes, *, open_ended: bool
) -> bytes:
    """A file of boxes before and behind a codestream, with the CRC of its record filled in.

    Args:
      head: boxes before the codestream.
      record_content: the record's content, at the end of `head`; None if there is no record.
      codestream: the codestream, for which a box is made.
      tail: boxes behind it; empty if `open_ended`.
      open_ended: as for `wrap`.
    """
    box_head = struct.pack(">I4s", 0, b"jp2c") if open_ended else pack_box_head(b"jp2c", len(codestream))
    if record_content is not None:
        crc = zlib.crc32(tail, zlib.crc32(head + box_head))
        at = len(head) - len(record_content) + CRC_AT
        head = head[:at] + struct.pack(">I", crc) + head[at + 4 :]
    return b"".join([head, box_head, codestream, tail])


def overhead(
    channels: int,
    *,
    metadata: PhotoMetadata,
    record: ArchiveRecord | None = None,
    saliency_bytes: int = SALIENCY_BYTES,
) -> int:
    """How many bytes `wrap` adds to a codestream under 4 GB with `channels` components of one bit depth."""
    siz = Siz(1, 1, (7,) * channels)
    content = None if record is None else pack_record(record, bytes(32), saliency_bytes)
    boxes = _head(siz, metadata, content), pack_box_head(b"jp2c", 0), metadata_boxes(metadata)
    return sum(map(len, boxes))


def unkept_metadata(metadata: PhotoMetadata, channels: int) -> tuple[str, ...]:
    """The names of the fields of `metadata` that `wrap` would leave out for a picture of so many channels.

    Those are an ICC profile beyond the restricted method, EXIF that is no TIFF structure, and a resolution
    that is not positive and finite.
    """
    kept = {
        "icc": metadata.icc is None or icc_is_restricted(metadata.icc, channels),
        "exif": metadata.exif is None or bare_tiff(metadata.exif) is not None,
        "dpi": metadata.dpi is None or bool(resolution_box(metadata.dpi)),
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
    if data.startswith(CODESTREAM_START):
        return Jp2(data[slice(*codestream_span(data))], PhotoMetadata(), None, None, None, False, False)
    start, end = codestream_span(data)
    header: Header | None = None
    record, problem = None, None
    others: list[tuple[bytes, bytes, bytes]] = []
    layers: list[BoxSpan] = []
    for box in _boxes_around(data):
        content = data[box.start : box.end]
        if box.kind == b"jp2h" and header is None:
            header = parse_header(data, box)
        elif box.kind == b"uuid" and content.startswith(RECORD_UUID):
            if record is None and problem is None:
                record, problem = try_record(content[_UUID_BYTES:])
        elif box.kind == b"jplh":
            layers.append(box)
        else:
            others.append((box.kind, content, data[box.offset : box.end]))
    header = header or Header()
    for layer in layers[:1]:
        header = with_layer(header, data, layer)
    metadata = dataclasses.replace(read_metadata(others), icc=header.icc, dpi=header.dpi)
    return Jp2(
        codestream=data[start:end],
        metadata=metadata,
        record=record,
        record_problem=problem,
        color=header.color,
        has_alpha=header.has_alpha,
        has_palette=header.has_palette,
        channel_kinds=header.channel_kinds,
        codestreams=sum(box.kind == b"jp2c" for box in file_boxes(data)),
        color_method=header.color_method,
        channel_places=header.channel_places,
        layers=len(layers),
        has_layer_channels=header.has_layer_channels,
    )


def metadata_beside(data: Readable) -> PhotoMetadata:
    """The metadata in the boxes of a file, but what its header box says; no more of the file is read."""
    found: list[tuple[bytes, bytes, bytes]] = []
    if not data.startswith(CODESTREAM_START):
        for box in file_boxes(data):
            start = data[box.start : min(box.start + _UUID_BYTES, box.end)]
            if box.kind == b"uuid" and start in METADATA_UUIDS and box.end - box.start <= _MOST_BESIDE:
                found.append((box.kind, data[box.start : box.end], b""))
    return read_metadata(found)


def _boxes_around(data: bytes) -> Iterator[BoxSpan]:
    """The outermost boxes but the codestream's; behind the header box they end where one is broken.

    Raises:
        BadCodestream: a box up to the header box is malformed.
    """
    has_header = False
    for box in file_boxes(data):
        if box.problem and box.kind != b"jp2c":
            if has_header:
                return
            raise BadCodestream(box.problem)
        has_header = has_header or box.kind == b"jp2h"
        if box.kind != b"jp2c":
            yield box


def marked_for_plain_decode(data: bytes) -> bytes:
    """The same file with the record's `plain_decode` set, and its CRC, if any, recomputed.

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
    """The CRC-32 that the record of a JP2 file should hold, over `sealed_bytes`.

    Raises:
        BadCodestream: a malformed box, no codestream, or no record.
    """
    return zlib.crc32(sealed_bytes(data))


def sealed_bytes(data: bytes) -> bytes:
    """The bytes under the record's CRC-32: the whole file but its codestream, the CRC itself taken as zeros.

    Raises:
        BadCodestream: a malformed box, no codestream, or no record.
    """
    start, (first, end) = _record_start(data), codestream_span(data)
    if start is None:
        raise BadCodestream("the file has no archive record")
    at = start + CRC_AT
    return b"".join((data[:at], bytes(4), data[at + 4 : first], data[end:]))


def _record_start(data: bytes) -> int | None:
    """Where the content of the first record begins, None if there is none."""
    for box in strict(file_boxes(data)):
        if box.kind == b"uuid" and data[box.start : box.start + _UUID_BYTES] == RECORD_UUID:
            return box.start + _UUID_BYTES
    return None


def read_record(head: bytes) -> ArchiveRecord | None:
    """The record of a JP2 file, None if it has none that can be read; the file's beginning is enough.

    Raises:
        BadCodestream: a malformed box, or `head` ends before the record's box does.
    """
    for box in strict(file_boxes(head)):
        if box.kind == b"jp2c":
            return None
        if box.kind == b"uuid" and head[box.start : box.start + 16] == RECORD_UUID:
            return try_record(head[box.start + _UUID_BYTES : box.end])[0]
    return None


def _read_siz(codestream: bytes) -> Siz:
    if not codestream.startswith(CODESTREAM_START) or len(codestream) < 42:
        raise BadCodestream("the codestream does not begin with SOC and SIZ")
    right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
    (count,) = struct.unpack_from(">H", codestream, 40)
    if not (left < right and top < bottom and 1 <= count <= 16384) or len(codestream) < 42 + 3 * count:
        raise BadCodestream("the codestream's SIZ declares an empty picture")
    return Siz(right - left, bottom - top, tuple(codestream[42 : 42 + 3 * count : 3]))


def _head(siz: Siz, metadata: PhotoMetadata, record: bytes | None) -> bytes:
    """All that has to stand before the box of the codestream; the record's box, if any, stands last."""
    if not 1 <= len(siz.ssiz) <= 4:
        raise UnsupportedCodestream(f"{len(siz.ssiz)} components are not supported, only 1 to 4")
    file_type = pack_box(b"ftyp", b"jp2 " + bytes(4) + b"jp2 ")
    found = [JP2_START, file_type, pack_box(b"jp2h", header_boxes(siz, metadata))]
    if record is not None:
        found.append(pack_box(b"uuid", RECORD_UUID + record))
    return b"".join(found)


def _apart(head: bytes, record: bytes | None) -> tuple[bytes, bytes]:
    """The head that `_head` made without the record's box, and that box."""
    at = len(head) if record is None else len(head) - len(pack_box(b"uuid", RECORD_UUID + record))
    return head[:at], head[at:]
