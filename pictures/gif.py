"""Still GIF files: blocks, to the last byte, and pixels by Pillow."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import GifImagePlugin

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.accounting import (
    Kind,
    Known,
    Part,
    behind,
    is_padding,
    part_of,
    pixel_shape,
    printable,
    settle,
    unknown,
    unreadable,
)
from foveate.pictures.coded_ends import end_of_lzw
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    check_size,
    damaged,
    decoding,
    gray_if_neutral,
    with_channels,
)
from foveate.pictures.reasons import Reason
from foveate.pictures.texts import carried_texts, decoded_text

PARTS: dict[str, Known] = {
    "picture": Known(Kind.PICTURE, "descriptors, palettes, pixels"),
    "control": Known(Kind.PICTURE, "transparent color", most=8, once=True),
    "comment": Known(Kind.CARRIED, "comment"),
    "text": Known(Kind.HOLDS_DATA, "text to be drawn", Reason.NOT_READ),
    "NETSCAPE2.0": Known(Kind.PICTURE, "how often an animation runs", most=19, once=True),
    "ANIMEXTS1.0": Known(Kind.PICTURE, "how often an animation runs by ANIMEXTS", most=19, once=True),
    "XMP DataXMP": Known(Kind.CARRIED, "XMP", once=True),
    "ICCRGBG1012": Known(Kind.CARRIED, "ICC profile", once=True),
}
# Ends a packet for readers that do not know it: wherever they start, they are led to its end.
_XMP_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_MOST_BLOCKS = 1 << 20
_MOST_BITS = 8  # of a sample
_LOOPS = ("NETSCAPE2.0", "ANIMEXTS1.0")


class _Block(NamedTuple):
    """A block: "image", "comment", "text", "control", or an application's name; where it is; its data.

    bits: of a sample of an image.
    """

    name: str
    start: int
    end: int
    content: bytes
    bits: int = 0


def decode_gif(data: bytes, max_pixels: int | None) -> Picture:
    """The picture; raises BadPicture and NotForJpeg2000."""
    if len(data) < 13:
        raise BadPicture("truncated GIF: it ends in its header")
    check_size(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"), max_pixels)
    blocks, end = _walk(data)
    images = sum(block.name == "image" for block in blocks)
    if images > 1:
        raise NotForJpeg2000(Reason.ANIMATED, "an animated GIF")
    if not images:
        raise BadPicture("broken GIF: it has no picture")
    _require_the_whole_screen(data, next(block for block in blocks if block.name == "image"))
    comments = [("Comment", decoded_text(one.content)) for one in blocks if one.name == "comment"]
    texts, lost = carried_texts(comments)
    aspect = data[12]
    shape = pixel_shape(aspect + 15, 64) if aspect else []
    problems = settle([*_parts(data, blocks, end), *lost, *shape], "a GIF")
    if end is None:
        raise damaged("a GIF", "it ends early")
    with decoding("a GIF"):
        image: Any = GifImagePlugin.GifImageFile(io.BytesIO(data))
        mode = "RGBA" if "transparency" in image.info else {"P": "RGB", "1": "L"}.get(image.mode, image.mode)
        pixels = with_channels(np.array(image.convert(mode)))
    named = {block.name: block for block in reversed(blocks)}
    packet, profile = named.get("XMP DataXMP"), named.get("ICCRGBG1012")
    metadata = PhotoMetadata(
        icc=profile.content if profile else None,
        xmp=_packet(data, packet) if packet else None,
        texts=texts,
    )
    return Picture(gray_if_neutral(pixels), metadata, "gif", 8, problems)


def _require_the_whole_screen(data: bytes, image: _Block) -> None:
    """Raises NotForJpeg2000 for a picture that does not fill the screen."""
    screen = struct.unpack_from("<HH", data, 6)
    left, top, width, height = struct.unpack_from("<HHHH", data, image.start + 1)
    if (left, top, width, height) != (0, 0, *screen):
        raise NotForJpeg2000(
            Reason.NOT_READ,
            f"a GIF of {width} x {height} pixels at {left}, {top} on a screen of {screen[0]} x {screen[1]}",
        )


def _packet(data: bytes, block: _Block) -> bytes:
    """An XMP packet, stored as a whole or, by some writers, in sub-blocks."""
    stored = data[block.start + 14 : block.end]
    return stored.removesuffix(_XMP_TRAILER) if stored.endswith(_XMP_TRAILER) else block.content


def _walk(data: bytes) -> tuple[list[_Block], int | None]:
    """The blocks, and where the file's end mark ends; None if it is not reached."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    blocks: list[_Block] = []
    while at < len(data) and len(blocks) < _MOST_BLOCKS:
        kind = data[at]
        if kind == 0x3B:
            return blocks, at + 1
        start, name, bits = at, "image", 0
        if kind == 0x2C and at + 11 <= len(data):
            flags = data[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            bits = data[at - 1] if at <= len(data) else 0
        elif kind == 0x21 and at + 3 <= len(data):
            name = {0xFE: "comment", 0xF9: "control", 0x01: "text"}.get(data[at + 1], "other")
            at += 2
            if data[at - 1] == 0xFF and data[at] == 11:
                name = data[at + 1 : at + 12].decode("latin-1")
                at += 12
        else:
            return blocks, None
        content, at, whole = _sub_blocks(data, at)
        blocks.append(_Block(name, start, at, content, bits))
        if not whole:
            return blocks, None
    return blocks, None


def _sub_blocks(data: bytes, at: int) -> tuple[bytes, int, bool]:
    """The joined content, where it ends, and whether it does."""
    content = bytearray()
    while at < len(data):
        size = data[at]
        if not size:
            return bytes(content), at + 1, True
        content += data[at + 1 : at + 1 + size]
        at += 1 + size
    return bytes(content), len(data), False


def _parts(data: bytes, blocks: list[_Block], end: int | None) -> Iterator[Part]:
    """All parts except the header."""
    for block in blocks:
        known = PARTS.get("picture" if block.name == "image" else block.name)
        length = block.end - block.start
        if known is None:
            yield unknown("GIF extensions", block.start, length, printable(block.name.encode()))
        elif block.name in _LOOPS and (len(block.content) != 3 or block.content[:1] != b"\1"):
            yield unreadable(known, block.start, length)
        else:
            yield part_of(known, block.start, length)
        if block.name == "image" and 1 <= block.bits <= _MOST_BITS:
            ends = end_of_lzw(block.content, block.bits)
            if ends is not None and not is_padding(block.content, ends, len(block.content)):
                yield unknown("bytes after the coded pixels", block.start, len(block.content) - ends)
    if end is not None and end < len(data):
        yield behind(data, end)
