"""JPEG XL files: boxes, the codestream's header (ISO/IEC 18181-1, annex A), and pixels by libjxl."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import imagecodecs
import numpy as np

from foveate.codec.jp2_boxes import pack_box
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, gain_map, isobmff, xmp
from foveate.pictures.accounting import Kind, Known, Part, behind, part_of, printable, settle, unknown
from foveate.pictures.coded_ends import end_by_trial
from foveate.pictures.exif_turn import already_upright
from foveate.pictures.isobmff import Box
from foveate.pictures.jpeg import decode_jpeg
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    check_size,
    damaged,
    decoding,
    with_channels,
)
from foveate.pictures.reasons import Reason

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL "
BOXES: Mapping[bytes, Known] = {
    **dict.fromkeys((b"JXL ", b"ftyp", b"jxll", b"jxli"), Known(Kind.PICTURE, "structure", most=4096)),
    b"jxlc": Known(Kind.PICTURE, "codestream", once=True),
    b"jxlp": Known(Kind.PICTURE, "pieces of the codestream"),
    b"jbrd": Known(Kind.CARRIED, "what makes it a JPEG again", once=True),
    b"Exif": Known(Kind.CARRIED, "EXIF", once=True),
    b"xml ": Known(Kind.CARRIED, "XMP", once=True),
    b"jumb": Known(Kind.CARRIED, "C2PA", once=True),
    b"jhgm": Known(Kind.HOLDS_DATA, "a gain map", Reason.HIGH_DYNAMIC_RANGE),
}
_PACKED = b"brob"
_MOST_UNPACKED = 1 << 26
_OF_PIXELS = (b"jxlc", b"jxlp", b"jbrd")
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_DEPTHS = ((8, 0), (10, 0), (12, 0), (1, 6))
_GRAY, _D65, _ALPHA, _P3, _P3_CICP = 1, 1, 0, 11, 12


@dataclasses.dataclass(frozen=True)
class _Header:
    """The pixel format of a codestream; `points` are its code points of H.273, if known."""

    width: int
    height: int
    bits: int = 8
    orientation: int = 1
    channels: int = 3
    is_xyb: bool = True
    points: tuple[int, int] = (1, 13)


def decode_jpeg_xl(data: bytes, max_pixels: int | None, *, drop_gain_map: bool = False) -> Picture:
    """The picture, upright; for a repacked JPEG, that JPEG's.

    Raises:
      BadPicture: it is broken.
      NotForJpeg2000: it has several pictures, or unsupported samples or colors.
    """
    boxes = [] if data.startswith(CODESTREAM) else list(isobmff.boxes(data, 0, len(data), _OF_PIXELS))
    contents, parts = _apart(data, boxes)
    problems = settle(gain_map.dropped(parts) if drop_gain_map else parts, "a JPEG XL")
    if any(box.is_cut for box in boxes):
        raise damaged("a JPEG XL", "it ends within its pixels")
    if any(box.kind == b"jbrd" for box in boxes):
        with decoding("a JPEG XL"):
            jpeg = imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)
        problems += _rest(_codestream(data, boxes))
        found = decode_jpeg(bytes(jpeg), max_pixels, drop_gain_map=drop_gain_map)
        return dataclasses.replace(
            found, format="jpeg xl", metadata_problems=(*problems, *found.metadata_problems)
        )
    header = _header(_codestream(data, boxes))
    check_size(header.width, header.height, max_pixels)
    if header.is_xyb and header.points != (1, 13):
        raise NotForJpeg2000(Reason.COLOR, "a lossy JPEG XL in a color space other than sRGB")
    profile = color.of_cicp(*header.points, "a JPEG XL", header.channels <= 2)
    with decoding("a JPEG XL"):
        pixels = with_channels(imagecodecs.jpegxl_decode(data))
    size = (header.height, header.width) if header.orientation < 5 else (header.width, header.height)
    wanted = (*size, header.channels), np.dtype(np.uint8 if header.bits == 8 else np.uint16)
    if (pixels.shape, pixels.dtype) != wanted:
        raise damaged("a JPEG XL", f"{pixels.shape} decoded where its header says {wanted[0]}")
    problems += _rest(_codestream(data, boxes))
    block, packet = contents.get(b"Exif"), contents.get(b"xml ")
    metadata = PhotoMetadata(
        profile,
        already_upright(block or None),
        xmp.upright(packet) if packet else None,
        jumbf=contents.get(b"jumb"),
    )
    return Picture(pixels, metadata, "jpeg xl", header.bits, problems, color_by_exif=False)


def _rest(codestream: bytes) -> tuple[str, ...]:
    """The losses behind the end of a codestream.

    Raises:
      NotForJpeg2000: it keeps the source.
    """

    def decodes(size: int) -> bool:
        try:
            imagecodecs.jpegxl_decode(codestream[:size])
        except MemoryError:
            raise
        except Exception:  # decoders raise all kinds of exceptions on truncated data
            return False
        return True

    end = end_by_trial(len(codestream), decodes, 1)
    return settle([behind(codestream, end)], "a JPEG XL") if end < len(codestream) else ()


def _apart(data: bytes, boxes: list[Box]) -> tuple[dict[bytes, bytes], list[Part]]:
    """The first content of each type of metadata (C2PA as a box), unpacked; and all parts."""
    contents: dict[bytes, bytes] = {}
    parts: list[Part] = []
    for box in boxes:
        kind, content, length = box.kind, data[box.start : box.end], box.end - box.offset
        if kind == _PACKED:
            kind = content[:4]
            unpacked = _unpacked(content[4:])
            if unpacked is None:
                parts.append(
                    unknown("packed boxes (they cannot be read)", box.offset, length, printable(kind))
                )
                continue
            content = unpacked
        known = BOXES.get(kind)
        if known is None:
            parts.append(unknown("boxes", box.offset, length, printable(kind)))
            continue
        if kind == b"Exif":
            content = content[4 + int.from_bytes(content[:4]) :]  # where its header begins
            if not content:
                parts.append(unknown("EXIF (it cannot be read)", box.offset, length))
                continue
        parts.append(part_of(known, box.offset, length))
        if known.kind is Kind.CARRIED:
            contents.setdefault(kind, pack_box(kind, content) if kind == b"jumb" else content)
    return contents, parts


def _unpacked(content: bytes) -> bytes | None:
    """Unpacks Brotli data; None if that fails or would be too large."""
    try:
        return bytes(imagecodecs.brotli_decode(content, out=_MOST_UNPACKED))
    except MemoryError:
        raise
    except Exception:
        return None


def _codestream(data: bytes, boxes: list[Box]) -> bytes:
    """The codestream, joined from its boxes."""
    if not boxes:
        return data
    for box in boxes:
        if box.kind == b"jxlc":
            return data[box.start : box.end]
    return b"".join(data[box.start + 4 : box.end] for box in boxes if box.kind == b"jxlp")


class _Bits:
    """Reads a codestream's header bit by bit, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data[:4096], "little")
        self._left = 8 * len(data[:4096])

    def take(self, count: int) -> int:
        """The next bits as a number; raises BadPicture at the end."""
        if count > self._left:
            raise BadPicture("truncated JPEG XL: it ends in its header")
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        self._left -= count
        return value

    def choice(self, forms: tuple[tuple[int, int], ...]) -> int:
        """A number whose form (what is added to how many bits) two bits choose among four."""
        base, count = forms[self.take(2)]
        return base + self.take(count)


def _header(codestream: bytes) -> _Header:
    """Parses the header; raises NotForJpeg2000 for variants that are not read."""
    if not codestream.startswith(CODESTREAM):
        raise BadPicture("broken JPEG XL: it has no codestream")
    bits = _Bits(codestream[2:])
    width, height = _size(bits)
    if bits.take(1):  # all as usual
        return _Header(width, height)
    orientation, further = 1, bits.take(1)
    if further:
        orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)  # for display
        if bits.take(1):
            raise NotForJpeg2000(Reason.SEVERAL_PICTURES, "a JPEG XL with a preview")
        if bits.take(1):
            raise NotForJpeg2000(Reason.ANIMATED, "an animated JPEG XL")
    depth = _depth(bits)
    bits.take(1)
    extra = bits.choice(((0, 0), (1, 0), (2, 4), (1, 12)))
    if extra > 1 or (extra and not _is_alpha(bits)):
        raise NotForJpeg2000(Reason.NOT_READ, "a JPEG XL with extra channels other than straight alpha")
    is_xyb = bool(bits.take(1))
    gray, points = _color(bits)
    return _Header(width, height, depth, orientation, (1 if gray else 3) + extra, is_xyb, points)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choice(_SIZES)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return (8 * (bits.take(5) + 1) if small else bits.choice(_SIZES)), height


def _depth(bits: _Bits) -> int:
    if bits.take(1):
        raise NotForJpeg2000(Reason.NOT_READ, "a floating-point JPEG XL")
    depth = bits.choice(_DEPTHS)
    if not 8 <= depth <= 16:
        raise NotForJpeg2000(Reason.NOT_READ, f"a JPEG XL of {depth} bits per sample")
    return depth


def _is_alpha(bits: _Bits) -> bool:
    """Whether an extra channel is straight alpha."""
    if bits.take(1):
        return True
    kind = bits.choice(_ENUM)
    _depth(bits)
    bits.choice(((0, 0), (3, 0), (4, 0), (1, 3)))
    name = bits.choice(((0, 0), (0, 4), (16, 5), (48, 10)))
    bits.take(8 * name)
    return kind == _ALPHA and not bits.take(1)


def _color(bits: _Bits) -> tuple[bool, tuple[int, int]]:
    """Whether the picture is gray, and its code points."""
    if bits.take(1):
        return False, (1, 13)
    profile, space = bits.take(1), bits.choice(_ENUM)
    if profile or space > _GRAY:
        raise NotForJpeg2000(Reason.COLOR, "a JPEG XL with a color profile, which is not supported")
    gray = space == _GRAY
    if bits.choice(_ENUM) != _D65:
        raise NotForJpeg2000(Reason.COLOR, "a JPEG XL with a white point other than D65")
    primaries = 1 if gray else bits.choice(_ENUM)
    if bits.take(1):
        raise NotForJpeg2000(Reason.COLOR, "a JPEG XL with a custom gamma")
    return gray, (_P3_CICP if primaries == _P3 else primaries, bits.choice(_ENUM))
