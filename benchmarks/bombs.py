"""Makes bombs: small files that expand hugely or take long to read, through their pixels or metadata."""

from __future__ import annotations

import functools
import struct
import zlib

import imagecodecs
import numpy as np
from PIL import Image

from benchmarks.hostile_files import sound_files
from benchmarks.raw_files import (
    TIFF_HEAD,
    chunk_of,
    deflated_zeros,
    dicom,
    png,
    riff,
    riff_of,
    saved,
    tiff,
    tiff_block,
)

_HUGE = 0xFFFFFFFF


@functools.cache
def bombs(side: int = 6000, inflated: int = 1 << 28) -> dict[str, bytes]:
    """Small files that expand hugely or take long to read, with or without saying so in their header.

    Args:
      side: of flat pictures of a permitted size, whose cost must stay bounded.
      inflated: the size to which deflated data expand without the header saying so.
    """
    return {
        **_png_bombs(side, inflated),
        **_tiff_bombs(side, inflated),
        **_webp_bombs(side),
        **_avif_bombs(side),
        **_jpeg_bombs(side),
        **_jpeg2000_bombs(side),
        **_other_bombs(side, inflated),
    }


def _png_bombs(side: int, inflated: int) -> dict[str, bytes]:
    rows = deflated_zeros(side * (1 + 8 * side))
    return {
        "header.png": png(0x7FFFFFFF, 0x7FFFFFFF, zlib.compress(b"")),
        "flat.png": png(side, side, rows, bits=16, color=6),
        "strip.png": png(1 << 26, 1, deflated_zeros(1 << 20)),
        "inflates.png": png(9, 7, deflated_zeros(inflated)),
        "nothing.png": png(0, 9, zlib.compress(b"")),
    }


def _tiff_bombs(side: int, inflated: int) -> dict[str, bytes]:
    rows = deflated_zeros(side * side * 6)
    plain = {257: side, 258: 16, 259: 8, 262: 2, 277: 3, 278: side}
    return {
        "header.tif": tiff({256: _HUGE, 257: _HUGE, 258: 8, 262: 1}, bytes(9)),
        "flat.tif": tiff({256: side} | plain, rows),
        "strip-of-more.tif": tiff({256: 9, 257: 7, 258: 8, 259: 8, 262: 1, 278: 7}, deflated_zeros(inflated)),
        "strips.tif": tiff({256: side, 257: side, 258: 8, 262: 1, 278: 1}, bytes(9)),
        "tiles.tif": tiff({256: 9, 257: 9, 258: 8, 262: 1, 322: 1 << 31, 323: 1 << 31, 324: 8, 325: 9}, b""),
        "strip-from-beyond.tif": tiff({256: 9, 257: 7, 258: 8, 262: 1, 273: _HUGE - 8}, bytes(63)),
        "strip-without-end.tif": tiff({256: 9, 257: 7, 258: 8, 262: 1, 279: _HUGE}, bytes(63)),
        "bits.tif": tiff({256: 9, 257: 7, 258: 64, 262: 1, 277: 60_000}, bytes(63)),
    }


def _webp_bombs(side: int) -> dict[str, bytes]:
    flat = imagecodecs.webp_encode(np.zeros((side, side, 4), np.uint8), lossless=True)
    canvas = bytes(4) + (9).to_bytes(3, "little") + (9).to_bytes(3, "little")
    picture = flat[12:]
    return {
        "header.webp": riff(b"VP8X", bytes(4) + b"\xff" * 6) + picture,
        "flat.webp": bytes(flat),
        "more-than-canvas.webp": riff_of(chunk_of(b"VP8X", canvas) + picture),
        "chunk.webp": b"RIFF"
        + struct.pack("<I", _HUGE)
        + b"WEBPVP8 "
        + struct.pack("<I", _HUGE - 9)
        + bytes(9),
    }


def _avif_bombs(side: int) -> dict[str, bytes]:
    flat = bytes(imagecodecs.avif_encode(np.full((side // 3, side // 3, 3), 7, np.uint8), level=50, speed=10))
    sizes = flat.find(b"ispe") + 8
    huge = flat[:sizes] + struct.pack(">II", 65_000, 65_000) + flat[sizes + 8 :]
    tiny = flat[:sizes] + struct.pack(">II", 9, 9) + flat[sizes + 8 :]
    return {"header.avif": huge, "flat.avif": flat, "more-than-header.avif": tiny}


def _jpeg_bombs(side: int) -> dict[str, bytes]:
    image = Image.new("RGB", (side // 3, side // 4), (9, 99, 200))
    progressive = saved(image, "JPEG", progressive=True)
    whole = saved(image, "JPEG")
    frame = whole.find(b"\xff\xc0")
    huge = whole[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + whole[frame + 9 :]
    last = progressive.rfind(b"\xff\xc4", 0, progressive.rfind(b"\xff\xda"))
    scan = progressive[last if last > 0 else progressive.rfind(b"\xff\xda") : -2]
    return {
        "header.jpg": huge,
        "in-bounds.jpg": huge[: frame + 5] + struct.pack(">HH", side, side) + huge[frame + 9 :],
        "scans.jpg": progressive[:-2] + scan * 4000 + b"\xff\xd9",
        "frames.jpg": whole[:frame] + whole[frame : frame + 19] * 3 + whole[frame + 19 :],
        "no-height.jpg": whole[: frame + 5] + bytes(2) + whole[frame + 7 :],
    }


def _jpeg2000_bombs(side: int) -> dict[str, bytes]:
    whole = sound_files()["j2k"]

    def sized(width: int, height: int, tile: int, more: bytes = b"") -> bytes:
        fields = struct.pack(">8I", width, height, 0, 0, tile, tile, 0, 0)
        return whole[:8] + fields + (more or whole[40:])

    style = whole.find(b"\xff\x52")
    layers = whole[: style + 6] + struct.pack(">H", 65_535) + whole[style + 8 :]
    precincts = bytearray(sized(side, side, side))
    precincts[style + 4] |= 1
    levels = precincts[style + 9]
    precincts[style + 2 : style + 4] = struct.pack(">H", 12 + levels + 1)
    precincts[style + 14 : style + 14] = b"\x11" * (levels + 1)
    components = struct.pack(">H", 16_384) + bytes((7, 1, 1)) * 16_384
    many = whole[:4] + struct.pack(">H", 38 + 3 * 16_384) + whole[6:40] + components + whole[51:]
    return {
        "header.j2k": sized(_HUGE, _HUGE, _HUGE),
        "in-bounds.j2k": sized(side, side, side),
        "tiles.j2k": sized(side, side, 1),
        "tiles-many.j2k": sized(side, side, max(1, side // 250)),
        "layers.j2k": layers,
        "precincts.j2k": bytes(precincts),
        "components.j2k": many,
        "box.jp2": sound_files()["jp2"][:-9] + struct.pack(">I4sQ", 1, b"jp2c", (1 << 64) - 1),
    }


def _other_bombs(side: int, inflated: int) -> dict[str, bytes]:
    bitmap, gif = sound_files()["bmp"], sound_files()["gif"]
    runs = bitmap[:18] + struct.pack("<iiHHI", side, side, 1, 8, 1) + bitmap[34:54] + bytes(1024) + b"\0\1"
    return {
        "header.bmp": bitmap[:18] + struct.pack("<ii", 0x7FFFFFFF, -0x7FFFFFFF) + bitmap[26:],
        "in-bounds.bmp": bitmap[:18] + struct.pack("<ii", side, side) + bitmap[26:],
        "runs.bmp": runs,
        "header.gif": gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:],
        "in-bounds.gif": gif[:6] + struct.pack("<HH", side, side) + gif[10:],
        "frames.gif": gif[:-1] + gif[gif.find(b",") : -1] * 2000 + b";",
        "header.dcm": dicom(65_535, 65_535, bytes(9)),
        "deflated.dcm": dicom(9, 7, bytes(inflated), deflated=True),
        "length.dcm": dicom(9, 7, bytes(63), length=_HUGE - 1),
    }


@functools.cache
def metadata_bombs(inflated: int = 1 << 28) -> dict[str, bytes]:
    """Good pixels with metadata that are giant, endless or explosive; `inflated` as for `bombs`."""
    zeros = deflated_zeros(inflated)
    rows = zlib.compress(bytes(41 * 58), 9)
    whole = sound_files()["jpg"]
    bare = whole[:2] + whole[_after_metadata(whole) :]
    profile = b"ICC_PROFILE\0"
    giant_icc = b"".join(
        _segment(0xE2, profile + bytes((part, 255)) + bytes(65_519)) for part in range(1, 256)
    )
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    blocks = {
        "loop": tiff_block([(0x0112, 3, 1, 1)], following=8),
        "sub-loop": tiff_block([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x014A, 4, 1, 8)]),
        "count": tiff_block([(0x010E, 2, _HUGE, 26), (0x927C, 7, _HUGE - 3, 8)]),
        "offset": tiff_block([(0x8769, 4, 1, _HUGE), (0x011A, 5, 1, _HUGE - 1)]),
        "fields": TIFF_HEAD.pack(b"II", 42, 8) + b"\xff\xff" + bytes(60_000),
        "division": tiff_block([(0x011A, 5, 1, 40), (0x011B, 5, 1, 40), (0x0128, 3, 1, 2)]) + bytes(60),
    }
    return {
        **{
            f"exif-{name}.jpg": bare[:2] + _segment(0xE1, b"Exif\0\0" + block) + bare[2:]
            for name, block in blocks.items()
        },
        **{f"exif-{name}.png": png(57, 41, rows, [(b"eXIf", block)]) for name, block in blocks.items()},
        **{f"directory-{name}.tif": block for name, block in blocks.items()},
        "icc-giant.jpg": bare[:2] + giant_icc + bare[2:],
        "icc-inflates.png": png(57, 41, rows, [(b"iCCP", b"p\0\0" + zeros)]),
        "icc-in-bounds.png": png(57, 41, rows, [(b"iCCP", b"p\0\0" + deflated_zeros(inflated // 5))]),
        "text-inflates.png": png(57, 41, rows, [(b"zTXt", b"t\0\0" + zeros)]),
        "xmp-inflates.png": png(57, 41, rows, [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros)]),
        "texts.png": png(57, 41, rows, [(b"tEXt", b"name %d\0" % number) for number in range(50_000)]),
        "xmp-expands.jpg": bare[:2] + _segment(0xE1, xmp + _expanding_xml()) + bare[2:],
        "xmp-expands.png": png(57, 41, rows, [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _expanding_xml())]),
        "comments.jpg": bare[:2] + _segment(0xFE, bytes(60_000)) * 300 + bare[2:],
    }


def _after_metadata(whole: bytes) -> int:
    """Where a JPEG's first segment begins that is no application's."""
    at = 2
    while 0xE0 <= whole[at + 1] <= 0xEF:
        at += 2 + int.from_bytes(whole[at + 2 : at + 4])
    return at


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _expanding_xml() -> bytes:
    """Nine entities, each ten times the one before: a billion of the first."""
    entities = [b'<!ENTITY e0 "lol">'] + [
        b'<!ENTITY e%d "%b">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 10)
    ]
    return b"<!DOCTYPE x [" + b"".join(entities) + b"]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&e9;</x:xmpmeta>"
