"""The parts of a JPEG file, to its last byte: marker segments, scans, stray bytes, trailers."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from foveate.pictures import exif, jumbf, photoshop
from foveate.pictures.accounting import (
    PREVIEW,
    Kind,
    Known,
    Part,
    behind,
    is_padding,
    part_of,
    printable,
    unknown,
    unreadable,
)
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason

SOS, EOI, APP0, APP1, APP2, APP11, APP13, COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
EXIF, XMP, MORE_XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
ICC, MULTI_PICTURE, PHOTOSHOP = b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0"
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1"

_PICTURE_MARKERS = FRAMES | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, SOS, EOI}
PICTURE = Known(Kind.PICTURE, "frame, scans")
TABLES = Known(Kind.PICTURE, "tables", most=1 << 16)
_TABLE_MARKERS = (0xC4, 0xCC, 0xDB, 0xDC, 0xDD)
_MOST_SCANS = 500  # photos have ten or so; every bit of every coefficient by itself would take as many
_MOST_SEGMENTS = 1 << 16
_PREVIEWS = (0x010001, 0x010002, 0x010003)  # multi-picture types: large thumbnails (CIPA DC-007, 5.2.3.3)

_JFIF_THUMBNAIL = Known(Kind.DESCRIBES, "JFIF thumbnail")
JPEG_XT = Known(Kind.HOLDS_DATA, "JPEG XT data", Reason.HIGH_DYNAMIC_RANGE)
SEGMENTS: Sequence[tuple[int, bytes, Known]] = (
    (APP0, b"JFIF\0", Known(Kind.CARRIED, "JFIF resolution", once=True)),
    (APP0, b"JFXX\0", _JFIF_THUMBNAIL),
    (APP0, b"CIFF", Known(Kind.HOLDS_DATA, "camera data (CIFF)")),
    (APP0, b"HEAPJPGM", Known(Kind.HOLDS_DATA, "camera data (CIFF)")),
    (APP1, EXIF, Known(Kind.CARRIED, "EXIF", once=True)),
    (APP1, XMP, Known(Kind.CARRIED, "XMP", once=True)),
    (APP1, MORE_XMP, Known(Kind.CARRIED, "XMP, extended")),
    (APP1, b"FLIR\0", Known(Kind.HOLDS_DATA, "thermal data (FLIR)")),
    (APP2, ICC, Known(Kind.CARRIED, "ICC profile")),
    (APP2, MULTI_PICTURE, Known(Kind.PICTURE, "multi-picture index", most=1024, once=True)),
    (APP2, GAIN_MAP, Known(Kind.HOLDS_DATA, "a gain map", Reason.HIGH_DYNAMIC_RANGE)),
    (APP2, b"FPXR\0", Known(Kind.UNKNOWN, "FlashPix data")),
    (0xE3, b"Meta\0\0", Known(Kind.DESCRIBES, "Kodak metadata")),
    (0xE3, b"META\0\0", Known(Kind.DESCRIBES, "Kodak metadata")),
    (0xE3, b"_JPSJPS_", Known(Kind.HOLDS_DATA, "a stereo pair (JPS)", Reason.SEVERAL_PICTURES)),
    (APP11, b"JP", Known(Kind.CARRIED, "C2PA and other JUMBF boxes")),
    (APP11, b"HDR_RI", Known(Kind.HOLDS_DATA, "high dynamic range (JPEG-HDR)", Reason.HIGH_DYNAMIC_RANGE)),
    (0xEC, b"Ducky", Known(Kind.DESCRIBES, "Photoshop's web settings")),
    (APP13, PHOTOSHOP, Known(Kind.CARRIED, "IPTC and Photoshop resources")),
    (0xEE, b"Adobe", Known(Kind.PICTURE, "color transform (Adobe)", most=16, once=True)),
    (COMMENT, b"", Known(Kind.CARRIED, "comment")),
)
TRAILERS: Sequence[tuple[bytes, Known]] = (
    (b"AXS!", Known(Kind.UNKNOWN, "AFCP trailer")),
    (b"cbipcbbl", Known(Kind.UNKNOWN, "PhotoMechanic trailer")),
)
_ADOBE_BYTES = 12
_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']\s*[1-9]|>\s*[1-9])")
_GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/", b"HDRGainMap", GAIN_MAP)


@dataclasses.dataclass(frozen=True)
class Segment:
    """One marker segment: the marker's second byte, the bytes after the length, and where it begins."""

    marker: int
    payload: bytes
    start: int = 0


@dataclasses.dataclass(frozen=True)
class JpegWalk:
    """A file taken apart.

    segments: in order, including those between scans.
    parts: all of it.
    end: where the picture ends, after EOI; None if there is no EOI.
    """

    segments: tuple[Segment, ...]
    parts: tuple[Part, ...]
    end: int | None


def walk(data: bytes) -> JpegWalk:
    """Parses a JPEG file; raises BadPicture if it has no scan, or too many."""
    segments: list[Segment] = []
    strays: list[Part] = []
    end = None
    for item in _walked(data):
        if isinstance(item, int):
            end = item
        elif isinstance(item, Segment):
            segments.append(item)
        else:
            strays.append(item)
    parts = [*_named(segments), *strays]
    stop = len(data) if end is None else end
    parts += _pixels_between(segments, strays, stop)
    if end is not None and end < len(data):
        parts += _trailers(data, segments, end)
    return JpegWalk(tuple(segments), tuple(parts), end)


def _walked(data: bytes) -> Iterator[Segment | Part | int]:
    """Segments, stray bytes, and finally the end of the picture, if there is one."""
    stream = np.frombuffer(data, np.uint8)
    after = np.flatnonzero(stream[:-1] == 0xFF) + 1
    kinds = stream[after]
    markers = after[(kinds != 0x00) & (kinds != 0xFF) & (kinds & 0xF8 != 0xD0) & (kinds != 0x01)]
    at, scans, count, in_scan = 2, 0, 0, False
    while True:
        index = int(np.searchsorted(markers, at + 1))
        if index == len(markers):
            break
        place = int(markers[index]) - 1
        marker = data[place + 1]
        if place > at and not in_scan and not is_padding(data, at, place):
            yield unknown("bytes between segments", at, place - at, printable(data[at:place]))
        if marker == EOI:
            yield place + 2
            break
        scans, count = scans + (marker == SOS), count + 1
        if scans > _MOST_SCANS or count > _MOST_SEGMENTS:
            raise BadPicture(f"broken JPEG: it has more than {_MOST_SCANS} scans, each of which takes time")
        length = int.from_bytes(data[place + 2 : place + 4])
        if place + 2 + length > len(data) or length < 2:
            if scans:
                break  # damaged: the decoder will report it
            raise BadPicture(f"truncated JPEG: it ends at byte {len(data):,}, before any pixels")
        yield Segment(marker, data[place + 4 : place + 2 + length], place)
        at, in_scan = place + 2 + length, marker == SOS
    if not scans:
        raise BadPicture(f"truncated JPEG: it ends at byte {len(data):,}, before any pixels")


def _named(segments: Sequence[Segment]) -> Iterator[Part]:
    """The segments as parts."""
    for segment in segments:
        length = len(segment.payload) + 4
        if segment.marker in _PICTURE_MARKERS:
            known = TABLES if segment.marker in _TABLE_MARKERS else PICTURE
            yield part_of(known, segment.start, length)
        elif segment.marker == APP11 and jumbf.is_of_jpeg_xt(segment.payload):
            yield part_of(JPEG_XT, segment.start, length, printable(segment.payload[12:16]))
        else:
            yield from _of_application(segment, length)


def _of_application(segment: Segment, length: int) -> Iterator[Part]:
    for marker, prefix, known in SEGMENTS:
        if segment.marker == marker and segment.payload.startswith(prefix):
            if prefix == b"JFIF\0":
                yield from _jfif(segment, known)
            elif _is_strange(prefix, segment.payload):
                yield unreadable(known, segment.start, length)
            else:
                yield part_of(known, segment.start, length)
            return
    name = f"APP{segment.marker - 0xE0}" if 0xE0 <= segment.marker < 0xF0 else f"FF{segment.marker:02X}"
    detail = f"{name} {printable(segment.payload.partition(bytes(1))[0])}".strip()
    yield unknown("JPEG segments", segment.start, length, detail)


def _is_strange(prefix: bytes, payload: bytes) -> bool:
    """Whether a segment cannot be what its first bytes say."""
    if prefix == b"Adobe":
        return len(payload) != _ADOBE_BYTES
    return prefix == MULTI_PICTURE and not payload[len(prefix) :].startswith((b"II*\0", b"MM\0*"))


def _jfif(segment: Segment, known: Known) -> Iterator[Part]:
    """The resolution, a thumbnail of the size that it states, and anything else (T.871, 10.1)."""
    payload, start = segment.payload, segment.start
    yield part_of(known, start, 4 + min(14, len(payload)))
    thumbnail = 3 * payload[12] * payload[13] if len(payload) >= 14 else 0
    thumbnail = min(thumbnail, max(0, len(payload) - 14))
    if thumbnail:
        yield part_of(_JFIF_THUMBNAIL, start + 18, thumbnail)
    if len(payload) > 14 + thumbnail:
        yield unknown("bytes in a JFIF segment", start + 18 + thumbnail, len(payload) - 14 - thumbnail)


def _pixels_between(segments: Sequence[Segment], strays: Sequence[Part], end: int) -> Iterator[Part]:
    """The coded pixels: whatever lies between segments up to the end."""
    taken = sorted(
        [(one.start, one.start + len(one.payload) + 4) for one in segments]
        + [(s.start, s.end) for s in strays]
    )
    at = 0
    for start, stop in taken:
        if start > at:
            yield part_of(PICTURE, at, start - at)
        at = max(at, stop)
    if end > at:
        yield part_of(PICTURE, at, end - at)


# Behind the picture ---------------------------------------------------------------------------------


def _trailers(data: bytes, segments: Sequence[Segment], end: int) -> Iterator[Part]:
    """Classifies the bytes after the picture: previews that the multi-picture index lists, and the rest."""
    at = end
    for start, length in _previews(segments, end):
        if start < at or start + length > len(data) or not data.startswith(b"\xff\xd8", start):
            continue
        if start > at:
            yield _trailer(data, at, start)
        yield from _preview(data, start, start + length)
        at = start + length
    if at < len(data):
        yield _trailer(data, at, len(data))


def _preview(data: bytes, start: int, end: int) -> Iterator[Part]:
    """A preview, and whatever the same bytes contain beyond it or beside its pixels."""
    segments: list[Segment] = []
    stop = end
    with contextlib.suppress(BadPicture):
        for item in _walked(data[start:end]):
            if isinstance(item, int):
                stop = start + item
            elif isinstance(item, Segment):
                segments.append(item)
    yield part_of(PREVIEW, start, stop - start)
    for part in _named(segments):
        if part.kind in (Kind.HOLDS_DATA, Kind.UNKNOWN):
            yield dataclasses.replace(part, start=start + part.start)
    if stop < end:
        yield _trailer(data, stop, end)


def _trailer(data: bytes, at: int, end: int) -> Part:
    for mark, known in TRAILERS:
        if data.startswith(mark, at, end) or data.endswith(mark, at, end):
            return part_of(known, at, end - at)
    part = behind(data, at, end)
    if part.kind is Kind.UNKNOWN and data.endswith(b"SEFT", at, end):
        return unknown("Samsung data", at, end - at)
    return part


def _previews(segments: Sequence[Segment], end: int) -> Iterator[tuple[int, int]]:
    """The positions of pictures that a multi-picture index calls previews of the first."""
    for segment in segments:
        if segment.marker != APP2 or not segment.payload.startswith(MULTI_PICTURE):
            continue
        base = segment.start + 4 + len(MULTI_PICTURE)
        entries = sorted(_entries(segment.payload[len(MULTI_PICTURE) :]), key=lambda entry: entry[2])
        for kind, size, offset in entries:
            if kind in _PREVIEWS and offset:
                yield base + offset, size


def _entries(index: bytes) -> list[tuple[int, int, int]]:
    """(type, size, offset) of the pictures of a multi-picture index (CIPA DC-007); [] if it is broken."""
    try:
        directory = exif.read_directory(index, exif.first_directory(index))
        entries = exif.raw(index, directory, 0xB002)
        order = exif.byte_order(index)
    except exif.BadExif:
        return []
    whole = entries[: len(entries) // 16 * 16]
    return [
        (kind & 0xFFFFFF, size, at) for kind, size, at, _, _ in struct.iter_unpack(order + "IIIHH", whole)
    ]


def holds_several_pictures(segments: Sequence[Segment]) -> bool:
    """Whether a multi-picture index lists independent pictures, not just previews of the first."""
    for segment in segments:
        if segment.marker == APP2 and segment.payload.startswith(MULTI_PICTURE):
            entries = _entries(segment.payload[len(MULTI_PICTURE) :])
            if any(kind not in _PREVIEWS for kind, _, _ in entries[1:]):
                return True
            if entries and entries[0][0] & 0xFF0000 == 0x020000:
                return True
    return False


def marked_as_motion(packet: bytes) -> bool:
    """Whether an XMP packet says that a video follows the picture."""
    return bool(_MOTION.search(packet))


def marked_with_gain_map(data: bytes) -> bool:
    """Whether a file announces a gain map."""
    return any(mark in data for mark in _GAIN_MAPS)


def photoshop_parts(segments: Sequence[Segment]) -> tuple[bytes | None, bytes | None, list[Part]]:
    """IPTC-IIM and other resources of all Photoshop segments, and what is not carried of them."""
    ours = [one for one in segments if one.marker == APP13 and one.payload.startswith(PHOTOSHOP)]
    if not ours:
        return None, None, []
    iptc, others, thumbnails, rest = photoshop.apart(b"".join(one.payload[len(PHOTOSHOP) :] for one in ours))
    lost = []
    for name, content in (("thumbnail", thumbnails), ("broken", rest)):
        if content:
            lost.append(part_of(photoshop.RESOURCES[name], ours[0].start, len(content)))
    return iptc, others, lost
