"""JPEG files: their segments, what is in them, and where they end."""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import exif
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    as_8_bit,
    check_size,
    reading,
    stretched,
    with_channels,
)
from foveate.pictures.reasons import Reason

_SOS, _EOI, _APP1, _APP2, _APP13, _COMMENT = 0xDA, 0xD9, 0xE1, 0xE2, 0xED, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF, _XMP, _MORE_XMP = (
    b"Exif\0\0",
    b"http://ns.adobe.com/xap/1.0/\0",
    b"http://ns.adobe.com/xmp/extension/\0",
)
_ICC, _MULTI_PICTURE, _PHOTOSHOP = b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0"
_GAIN_MAP_MARKS = (b"http://ns.adobe.com/hdr-gain-map/", b"HDRGainMap", b"urn:iso:std:iso:ts:21496:-1")
_MOTION_MARKS = (b'MotionPhoto="1"', b'MicroVideo="1"', b"MotionPhoto>1<", b"MicroVideo>1<")
_MOST_IN_SEGMENT = 65533
_DQT = 0xDB
# ITU-T T.81 Table K.1, in the zigzag order of a DQT segment.
_LUMINANCE_STEPS = np.array([
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
])  # fmt: skip
_LARGEST_STEP = 255  # in files of 8 bits
_MOST_SCANS = 500  # photos have ten or so; every bit of every coefficient by itself would take as many
# How the library's warnings begin that mean lost pixels (jerror.h).
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression")


@dataclasses.dataclass(frozen=True)
class Segment:
    """One marker segment before the first scan: the marker's second byte, and the bytes after the length."""

    marker: int
    payload: bytes


def decode_jpeg(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored (orientation not applied); raises BadPicture and NotForJpeg2000."""
    segments = list(_segments(data))
    precision, height, width, components = _frame(segments)
    check_size(width, height, max_pixels)
    _refuse_what_jpeg2000_should_not_hold(data, segments, components)
    _check_end(data)
    pixels = _pixels(data, precision, components)
    if pixels.shape[:2] != (height, width):
        raise BadPicture(f"broken JPEG: {pixels.shape} decoded where the header says {height} x {width}")
    if pixels.dtype == np.uint16:
        pixels = stretched(pixels.astype(np.uint16, copy=False), precision)
    metadata, problems = _metadata(segments)
    return Picture(pixels, metadata, "jpeg", precision, problems, quality(segments))


def quality(segments: list[Segment]) -> float | None:
    """The quality, 0 to 100, at which libjpeg's luminance table is as coarse as the file's; None without one.

    By the ratio of the steps to those of Table K.1 of ITU-T T.81, which libjpeg scales.
    """
    for segment in segments:
        if segment.marker != _DQT or segment.payload[:1] not in (b"\x00", b"\x10"):
            continue
        kind = ">u2" if segment.payload[0] else "u1"
        steps = np.frombuffer(segment.payload[1:129], np.dtype(kind))[:64].astype(np.float64)
        if len(steps) < 64:
            return None
        whole = steps < _LARGEST_STEP  # others were cut off there
        percent = 100 * float(steps[whole].sum() / max(1, _LUMINANCE_STEPS[whole].sum()))
        return max(0.0, (200 - percent) / 2 if percent <= 100 else 5000 / percent)
    return None


def _pixels(data: bytes, precision: int, components: int) -> Pixels:
    """The samples as the library decodes them.

    libjpeg makes a picture of almost anything and only warns: what comes after an error in the entropy-coded
    data is displaced or gray. Such a file is to be kept, whatever somebody may yet rescue from it.

    Raises:
      BadPicture: nothing can be decoded.
      NotForJpeg2000: damaged pixels can be.
    """
    warning = ""
    if precision == 8:
        try:
            strictly: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, "RGB" if components == 3 else "GRAY", strict=True
            )
            return with_channels(strictly)
        except ValueError as error:
            warning = str(error)
    with reading("JPEG"):
        pixels = with_channels(imagecodecs.jpeg8_decode(data))
    if warning.startswith(_DAMAGE):
        raise NotForJpeg2000(Reason.DAMAGED, f"a damaged JPEG ({warning})")
    return pixels


def encode_jpeg(pixels: Pixels, metadata: PhotoMetadata, quality: int) -> bytes:
    """A JPEG without chroma subsampling; pixels (H, W, 1 or 3).

    Raises ValueError for alpha and for metadata that is too large.
    """
    if pixels.shape[2] not in (1, 3):
        raise ValueError("JPEG has no alpha channel: choose PNG, TIFF, WebP or AVIF for this picture")
    for name, block, prefix in (("EXIF", metadata.exif, _EXIF), ("XMP", metadata.xmp, _XMP)):
        if block is not None and len(block) + len(prefix) > _MOST_IN_SEGMENT:
            raise ValueError(f"the {name} block of {len(block):,} bytes is more than a JPEG can hold")
    options: dict[str, bytes | tuple[float, float]] = {}
    if metadata.exif is not None:
        options["exif"] = _EXIF + metadata.exif
    if metadata.xmp is not None:
        options["xmp"] = metadata.xmp
    if metadata.icc is not None:
        options["icc_profile"] = metadata.icc
    if metadata.dpi is not None:
        options["dpi"] = (min(round(metadata.dpi[0]), 65535), min(round(metadata.dpi[1]), 65535))
    samples = as_8_bit(pixels)
    file = io.BytesIO()
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    image.save(file, "JPEG", quality=quality, subsampling=0, **options)
    return file.getvalue()


def jpeg_bytes(pixels: Pixels, quality: int) -> int:
    """Bytes of a plain JPEG of `quality` (1 to 100): baseline, 4:2:0, optimized Huffman tables, no metadata.

    `pixels` is (H, W, C) uint8 or uint16, C in 1..4; alpha is left out, 16 bits are scaled to 8.
    """
    samples = as_8_bit(pixels)
    samples = samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, 0]
    return len(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(samples), level=quality, subsampling="420", optimize=True
        )
    )


def _segments(data: bytes) -> Iterator[Segment]:
    """The segments before the first scan; raises BadPicture where there is no scan."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        head = data[at : at + 4]
        if len(head) < 4:
            raise BadPicture(f"truncated JPEG: it ends at byte {len(data):,}, before any pixels")
        if head[0] != 0xFF or head[1] in (0x00, _EOI):
            raise BadPicture(f"broken JPEG: {head[:2]!r} at byte {at:,} where a marker should be")
        if head[1] == _SOS:
            return
        length = int.from_bytes(head[2:], "big")
        if at + 2 + length > len(data):
            raise BadPicture(f"truncated JPEG: it ends at byte {len(data):,}, before any pixels")
        yield Segment(head[1], data[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)


def _frame(segments: list[Segment]) -> tuple[int, int, int, int]:
    """(bits a sample, height, width, components) from the frame header."""
    for segment in segments:
        if segment.marker in _FRAMES and len(segment.payload) >= 6:
            precision, height, width, components = struct.unpack_from(">BHHB", segment.payload)
            return precision, height, width, components
    raise BadPicture("broken JPEG: it has no frame header")


def _refuse_what_jpeg2000_should_not_hold(data: bytes, segments: list[Segment], components: int) -> None:
    if components == 4:
        raise NotForJpeg2000(Reason.COLOR, "a CMYK or YCCK JPEG")
    if components not in (1, 3):
        raise NotForJpeg2000(Reason.NOT_READ, f"a JPEG of {components} components")
    if any(mark in data for mark in _GAIN_MAP_MARKS):
        raise NotForJpeg2000(Reason.HIGH_DYNAMIC_RANGE, "a JPEG with an HDR gain map")
    packet = _first(segments, _APP1, _XMP) or b""
    if any(mark in packet for mark in _MOTION_MARKS) or b"MotionPhoto_Data" in data:
        raise NotForJpeg2000(Reason.EXTRA_DATA, "a motion photo (a JPEG with a video in it)")
    if _holds_several_views(_first(segments, _APP2, _MULTI_PICTURE)):
        raise NotForJpeg2000(
            Reason.SEVERAL_PICTURES, "a JPEG of several pictures (stereo, panorama or multi-angle)"
        )


def _holds_several_views(index: bytes | None) -> bool:
    """Whether a multi-picture index (CIPA DC-007) lists views of their own, not just previews."""
    if index is None:
        return False
    try:
        directory = exif.read_directory(index, exif.first_directory(index))
        entries = exif.raw(index, directory, 0xB002)
        order = exif.byte_order(index)
    except exif.BadExif:
        return False
    kinds = struct.unpack(f"{order}{len(entries) // 4}I", entries[: len(entries) // 4 * 4])[::4]
    return any(kind & 0xFF0000 == 0x020000 for kind in kinds)


def _check_end(data: bytes) -> None:
    """Raises BadPicture where scans have no number, or no end-of-image marker (libjpeg would only warn)."""
    stream = np.frombuffer(data, np.uint8)
    after = np.flatnonzero(stream[:-1] == 0xFF) + 1
    kinds = stream[after]
    after = after[(kinds != 0x00) & (kinds != 0xFF) & (kinds & 0xF8 != 0xD0)]
    at, scans = 2, 0
    while True:
        index = int(np.searchsorted(after, at + 1))
        if index == len(after):
            raise BadPicture(f"truncated JPEG: it ends at byte {len(data):,} without an end marker")
        at = int(after[index])
        if data[at] == _EOI:
            return
        scans += data[at] == _SOS
        if scans > _MOST_SCANS:
            raise BadPicture(f"broken JPEG: it has more than {_MOST_SCANS} scans, each of which takes time")
        at += 1 + int.from_bytes(data[at + 1 : at + 3], "big")


def _metadata(segments: list[Segment]) -> tuple[PhotoMetadata, tuple[str, ...]]:
    """The metadata as stored (EXIF not yet checked), and what could not be carried."""
    problems = []
    icc = _icc(segments)
    if icc is None and _first(segments, _APP2, _ICC) is not None:
        problems.append("the ICC profile lacks some of its parts and is dropped")
    if _first(segments, _APP1, _MORE_XMP) is not None:
        problems.append("the extended part of the XMP packet is not carried over")
    if b"8BIM\x04\x04" in (_first(segments, _APP13, _PHOTOSHOP) or b""):
        problems.append("the IPTC block is not carried over")
    if any(segment.marker == _COMMENT for segment in segments):
        problems.append("the JPEG comment is not carried over")
    block, xmp = _first(segments, _APP1, _EXIF), _first(segments, _APP1, _XMP)
    return PhotoMetadata(icc, block, xmp, _density(segments)), tuple(problems)


def _first(segments: list[Segment], marker: int, prefix: bytes) -> bytes | None:
    """What follows `prefix` in the first segment of that kind."""
    for segment in segments:
        if segment.marker == marker and segment.payload.startswith(prefix):
            return segment.payload[len(prefix) :]
    return None


def _icc(segments: list[Segment]) -> bytes | None:
    """The ICC profile from its numbered parts; None where one is missing."""
    parts: dict[int, bytes] = {}
    total = 0
    for segment in segments:
        if segment.marker == _APP2 and segment.payload.startswith(_ICC) and len(segment.payload) > 14:
            number, total = segment.payload[12], segment.payload[13]
            parts.setdefault(number, segment.payload[14:])
    if not parts or set(parts) != set(range(1, total + 1)):
        return None
    return b"".join(parts[number] for number in sorted(parts))


def _density(segments: list[Segment]) -> tuple[float, float] | None:
    """Dots per inch from the JFIF segment."""
    jfif = _first(segments, 0xE0, b"JFIF\0")
    if jfif is None or len(jfif) < 7:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif, 2)
    inches = {1: 1.0, 2: 2.54}.get(unit)
    return None if inches is None or not across or not down else (across * inches, down * inches)
