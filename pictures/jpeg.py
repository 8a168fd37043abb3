"""JPEG files: their segments, what is in them, and where they end."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import gain_map, jumbf, photoshop, xmp
from foveate.pictures.accounting import Kind, Part, pixel_shape, settle
from foveate.pictures.cmyk import CONVERTED, srgb_of_cmyk_jpeg
from foveate.pictures.jpeg_parts import (
    APP0,
    APP1,
    APP2,
    APP11,
    APP13,
    COMMENT,
    EXIF,
    FRAMES,
    ICC,
    MORE_XMP,
    PHOTOSHOP,
    XMP,
    Segment,
    holds_several_pictures,
    marked_as_motion,
    marked_with_gain_map,
    photoshop_parts,
    walk,
)
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    as_8_bit,
    check_size,
    damaged,
    decoding,
    require_size,
    saved,
    with_channels,
)
from foveate.pictures.reasons import Reason
from foveate.pictures.texts import carried_texts, decoded_text

_MOST_IN_SEGMENT = 65533
_DQT = 0xDB
# ITU-T T.81 Table K.1, in the zigzag order of a DQT segment.
_LUMINANCE_STEPS = np.array([
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
])  # fmt: skip
_SOF_LS, _SOS = 0xF7, 0xDA  # of JPEG-LS (ITU-T T.87), and of a scan
_LARGEST_STEP = 255  # in files of 8 bits
# Beginnings of the library's warnings that mean lost pixels (jerror.h).
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression")


def decode_jpeg(
    data: bytes, max_pixels: int | None, *, with_inks: bool = False, drop_gain_map: bool = False
) -> Picture:
    """The picture as stored (orientation not applied), CMYK as sRGB if `with_inks`.

    Raises BadPicture and NotForJpeg2000.
    """
    dropped: tuple[str, ...] = ()
    if drop_gain_map:
        data, dropped = gain_map.without(data)
    if _first_frame(data) == _SOF_LS:
        raise NotForJpeg2000(Reason.NOT_READ, "a JPEG-LS picture")
    walked = walk(data)
    segments = walked.segments
    precision, height, width, components = _frame(segments)
    if not height:
        raise NotForJpeg2000(Reason.NOT_READ, "a JPEG whose height comes after its pixels")
    check_size(width, height, max_pixels)
    if precision != 8:
        raise NotForJpeg2000(
            Reason.NOT_READ, f"a JPEG of {precision} bits per sample, whose decoder hides damage"
        )
    if components == 4 and not with_inks:
        raise NotForJpeg2000(Reason.COLOR, "a CMYK or YCCK JPEG")
    metadata, lost = _metadata(segments)
    _refuse_what_jpeg2000_should_not_hold(data, segments, components, metadata.xmp or b"")
    problems = settle((*walked.parts, *lost), "a JPEG") + dropped
    if walked.end is None:
        raise damaged("a JPEG", "it has no end marker")
    if components == 4:
        pixels = srgb_of_cmyk_jpeg(data[: walked.end], metadata.icc)
        metadata, problems = dataclasses.replace(metadata, icc=None), (*problems, CONVERTED)
    else:
        pixels = _pixels(data[: walked.end], components)
    require_size(pixels, height, width, "a JPEG")
    return Picture(pixels, metadata, "jpeg", 8, problems, quality(segments))


def quality(segments: Sequence[Segment]) -> float | None:
    """The quality, 0 to 100, at which libjpeg's luminance table is as coarse as the file's; None without a
    table.

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


def _pixels(data: bytes, components: int) -> Pixels:
    """The samples as the library decodes them.

    libjpeg decodes almost anything and only warns: whatever follows an error in the entropy-coded data is
    displaced or gray. Such files are kept, so that they may still be rescued.

    Raises:
      NotForJpeg2000: some pixels are damaged, or nothing can be decoded.
    """
    try:
        strictly: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB" if components == 3 else "GRAY", strict=True
        )
        return with_channels(strictly)
    except ValueError as error:
        warning = str(error)
    with decoding("a JPEG"):
        pixels = with_channels(imagecodecs.jpeg8_decode(data))
    if warning.startswith(_DAMAGE):
        raise damaged("a JPEG", warning)
    return pixels


def encode_jpeg(pixels: Pixels, metadata: PhotoMetadata, quality: int) -> bytes:
    """A JPEG without chroma subsampling; pixels (H, W, 1 or 3).

    Raises ValueError for alpha and for EXIF that is too large.
    """
    if pixels.shape[2] not in (1, 3):
        raise ValueError("JPEG has no alpha channel: choose PNG, TIFF, WebP or AVIF for this picture")
    dpi = None if metadata.dpi is None else tuple(min(round(one), 65535) for one in metadata.dpi)
    samples = as_8_bit(pixels)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    plain = saved(image, "JPEG", quality=quality, subsampling=0, icc_profile=metadata.icc, dpi=dpi)
    head = 4 + int.from_bytes(plain[4:6])  # SOI and the JFIF segment
    return plain[:head] + b"".join(_emitted(metadata)) + plain[head:]


def _emitted(metadata: PhotoMetadata) -> Iterator[bytes]:
    """The segments of a photo's metadata, without the profile."""
    if metadata.exif is not None:
        if len(metadata.exif) + len(EXIF) > _MOST_IN_SEGMENT:
            raise ValueError(f"the EXIF block of {len(metadata.exif):,} bytes is more than a JPEG can hold")
        yield _segment(APP1, EXIF + metadata.exif)
    if metadata.xmp is not None:
        packet, more = xmp.in_two(metadata.xmp, _MOST_IN_SEGMENT - len(XMP))
        yield _segment(APP1, XMP + packet)
        for piece in more:
            yield _segment(APP1, MORE_XMP + piece)
    resources = photoshop.joined(metadata.iptc, metadata.photoshop)
    room = _MOST_IN_SEGMENT - len(PHOTOSHOP)
    for at in range(0, len(resources), room):
        yield _segment(APP13, PHOTOSHOP + resources[at : at + room])
    for payload in jumbf.as_segments(metadata.jumbf or b""):
        yield _segment(APP11, payload)
    for keyword, text in metadata.texts:
        said = text if keyword == "Comment" else f"{keyword}: {text}"
        for piece in _pieces(said):
            yield _segment(COMMENT, piece)


def _segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


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


def _pieces(text: str) -> Iterator[bytes]:
    """A text in UTF-8, in pieces that fit into segments without splitting characters."""
    rest = text.encode()
    while len(rest) > _MOST_IN_SEGMENT:
        end = _MOST_IN_SEGMENT
        while rest[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _first_frame(data: bytes) -> int:
    """The marker of the first frame or scan; 0 if something else stands between segments."""
    at = 2
    while data[at : at + 1] == b"\xff":
        marker = data[at + 1] if at + 1 < len(data) else 0
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in FRAMES or marker in (_SOF_LS, _SOS):
            return marker
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return 0


def _frame(segments: Sequence[Segment]) -> tuple[int, int, int, int]:
    """(bits per sample, height, width, components) from the frame header."""
    for segment in segments:
        if segment.marker in FRAMES and len(segment.payload) >= 6:
            precision, height, width, components = struct.unpack_from(">BHHB", segment.payload)
            return precision, height, width, components
    raise BadPicture("broken JPEG: it has no frame header")


def _refuse_what_jpeg2000_should_not_hold(
    data: bytes, segments: Sequence[Segment], components: int, packet: bytes
) -> None:
    if components not in (1, 3, 4):
        raise NotForJpeg2000(Reason.NOT_READ, f"a JPEG of {components} components")
    if marked_with_gain_map(data):
        raise NotForJpeg2000(Reason.HIGH_DYNAMIC_RANGE, "a JPEG with an HDR gain map")
    if marked_as_motion(packet) or b"MotionPhoto_Data" in data:
        raise NotForJpeg2000(Reason.EXTRA_DATA, "a motion photo (a JPEG with a video in it)")
    if holds_several_pictures(segments):
        raise NotForJpeg2000(
            Reason.SEVERAL_PICTURES, "a JPEG of several pictures (stereo, panorama, burst or multi-angle)"
        )


def _metadata(segments: Sequence[Segment]) -> tuple[PhotoMetadata, list[Part]]:
    """The metadata as stored (EXIF not yet checked), and parts that are lost.

    Raises:
      NotForJpeg2000: a profile without some of its parts, or data in XMP.
    """
    pieces = _all(segments, APP1, MORE_XMP)
    if data := xmp.data_within(b"".join(piece[40:] for piece in pieces)):
        raise NotForJpeg2000(Reason.EXTRA_DATA, f"a JPEG with {data}")
    joined = xmp.joined(_first(segments, APP1, XMP), pieces)
    iptc, resources, lost = photoshop_parts(segments)
    if joined.lost:
        lost.append(Part(Kind.UNKNOWN, "XMP, extended", 0, joined.lost, joined.why))
    boxes = [one for one in _all(segments, APP11, b"JP", keep=True) if not jumbf.is_of_jpeg_xt(one)]
    jumb, damaged = jumbf.from_segments(boxes)
    if damaged:
        lost.append(Part(Kind.UNKNOWN, "C2PA and other JUMBF boxes", 0, damaged, "damaged"))
    comments = [decoded_text(one.rstrip(b"\0")) for one in _all(segments, COMMENT, b"")]
    texts, more = carried_texts(("Comment", text) for text in comments if text)
    density, shape = _density(segments)
    metadata = PhotoMetadata(
        icc=_icc(segments),
        exif=_first(segments, APP1, EXIF),
        xmp=joined.packet,
        dpi=density,
        iptc=iptc,
        photoshop=resources,
        jumbf=jumb or None,
        texts=texts,
    )
    return metadata, [*lost, *more, *shape]


def _all(segments: Sequence[Segment], marker: int, prefix: bytes, *, keep: bool = False) -> list[bytes]:
    """Content after `prefix` (or including it, with `keep`) of all segments of that kind."""
    return [
        one.payload if keep else one.payload[len(prefix) :]
        for one in segments
        if one.marker == marker and one.payload.startswith(prefix)
    ]


def _first(segments: Sequence[Segment], marker: int, prefix: bytes) -> bytes | None:
    """Content after `prefix` of the first segment of that kind."""
    for segment in segments:
        if segment.marker == marker and segment.payload.startswith(prefix):
            return segment.payload[len(prefix) :]
    return None


def _icc(segments: Sequence[Segment]) -> bytes | None:
    """The ICC profile from its numbered parts; None without any.

    Raises:
      NotForJpeg2000: a part is missing or repeated, so the picture's color is unknown.
    """
    pieces = _all(segments, APP2, ICC)
    parts = {piece[0]: piece[2:] for piece in pieces if len(piece) > 2}
    if not pieces:
        return None
    if len(parts) != len(pieces) or any(piece[1] != len(pieces) for piece in pieces):
        raise NotForJpeg2000(Reason.COLOR, "a JPEG whose color profile has missing or extra parts")
    if set(parts) != set(range(1, len(pieces) + 1)):
        raise NotForJpeg2000(Reason.COLOR, "a JPEG whose color profile has missing parts")
    return b"".join(parts[number] for number in sorted(parts))


def _density(segments: Sequence[Segment]) -> tuple[tuple[float, float] | None, list[Part]]:
    """Dots per inch from the JFIF segment; or the shape of non-square pixels, which is lost."""
    jfif = _first(segments, APP0, b"JFIF\0")
    if jfif is None or len(jfif) < 7:
        return None, []
    unit, across, down = struct.unpack_from(">BHH", jfif, 2)
    if not across or not down:
        return None, []
    if unit == 0:
        return None, pixel_shape(across, down)
    inches = {1: 1.0, 2: 2.54}.get(unit)
    return (None if inches is None else (across * inches, down * inches)), []
