"""Makes odd files of every format: good pictures with planted parts that no program would write there.

Each planter adds a part to a good file, in a legal place and under a legal name, known or unknown to the
readers, with a recognizable token in it.
"""

from __future__ import annotations

import functools
import itertools
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np

from benchmarks.hostile_files import sound_files
from foveate.pictures import dicom_parts, gif, isobmff, jpeg_parts, jpegxl, png_parts, tiff_parts, webp
from foveate.pictures.accounting import Kind

Dice = np.random.Generator
Planter = Callable[[Dice, bytes, bytes], bytes]

_Choice = TypeVar("_Choice")

_MOST = (40, 1000, 9000, 80_000)  # bytes of a token
_LETTERS = np.frombuffer(b"ABCDEFGHabcdefghXYZxyz", np.uint8)


def odd_file(form: str, seed: int, index: int) -> tuple[bytes, list[bytes]]:
    """A file of a format (a key of `PLANTERS`), the same for the same numbers; and the tokens in it."""
    dice = np.random.default_rng([seed, index, *form.encode()])
    data, tokens = sound(form), []
    for _ in range(int(dice.integers(1, 4))):
        tokens.append(_token(dice))
        data = _one_of(dice, PLANTERS[form])(dice, data, tokens[-1])
    return data, [token for token in tokens if token in data]  # a tag may have been given another value


@functools.cache
def sound(form: str) -> bytes:
    """A small good file."""
    if form == "tif":
        return _tiff(())
    if form == "heic":  # no other encoder is installed everywhere
        return (Path(__file__).parents[1] / "tests/pictures/heic/plain.heic").read_bytes()
    if form == "jxl":
        pixels = np.arange(41 * 57 * 3, dtype=np.uint32).astype(np.uint8).reshape(41, 57, 3)
        codestream = bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
        signature = struct.pack(">I4sI", 12, b"JXL ", 0x0D0A870A)
        return signature + _box(b"ftyp", b"jxl \0\0\0\0jxl ") + _box(b"jxlc", codestream)
    return sound_files()[form]


def _token(dice: Dice) -> bytes:
    """Meaningless bytes: none of them zero or FF, so that no padding or marker begins in them."""
    size = int(dice.integers(1, _one_of(dice, _MOST)))
    return dice.integers(1, 255, size, np.uint8).tobytes()


def _name(dice: Dice, size: int = 4) -> bytes:
    name: bytes = dice.choice(_LETTERS, size).tobytes()
    return name


def _one_of(dice: Dice, choices: Sequence[_Choice]) -> _Choice:
    return choices[int(dice.integers(len(choices)))]


def _behind(dice: Dice, data: bytes, token: bytes) -> bytes:
    """Behind the end of the file."""
    return data + token


# JPEG -----------------------------------------------------------------------------------------------


def _places(data: bytes) -> list[int]:
    """Where segments begin, up to the first scan's; not that of the first."""
    before = itertools.takewhile(lambda one: one.marker != jpeg_parts.SOS, jpeg_parts.walk(data).segments)
    return [segment.start for segment in before][1:]


def _segment(dice: Dice, data: bytes, token: bytes) -> bytes:
    unknown = (int(dice.integers(0xE0, 0xF0)), _name(dice, 5) + b"\0")
    marker, prefix = _one_of(dice, (unknown, _one_of(dice, _SEGMENTS)))
    payload, place = prefix + token, _one_of(dice, _places(data))
    if len(payload) > 65533 or len(token) == _FIXED.get(prefix):
        return _behind(dice, data, token)
    segment = struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
    return data[:place] + segment + data[place:]


def _stray(dice: Dice, data: bytes, token: bytes) -> bytes:
    place: int = _one_of(dice, _places(data))
    return data[:place] + token + data[place:]


_SEGMENTS = tuple((marker, prefix) for marker, prefix, _ in jpeg_parts.SEGMENTS)
_FIXED = {b"Adobe": 7, b"iDOT": 28}  # bytes of segments that are not metadata, and may be any bytes

# PNG ------------------------------------------------------------------------------------------------


def _chunk(dice: Dice, data: bytes, token: bytes) -> bytes:
    unknown = _name(dice).lower()[:1] + _name(dice).lower()[:1] + b"Z" + _name(dice).lower()[:1]
    kind = _one_of(dice, (unknown, _one_of(dice, _ANCILLARY)))
    if len(token) == _FIXED.get(kind):
        kind = unknown
    keyword = b"Comment\0" * (kind in (b"tEXt", b"zTXt", b"iTXt"))
    content = keyword + token
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    place = _one_of(dice, (33, data.index(b"IEND") - 4))
    return data[:place] + chunk + data[place:]


def _behind_idat(dice: Dice, data: bytes, token: bytes) -> bytes:
    """In a chunk of pixels, behind all of them."""
    at = data.index(b"IEND") - 4
    chunk = struct.pack(">I", len(token)) + b"IDAT" + token + struct.pack(">I", zlib.crc32(b"IDAT" + token))
    return data[:at] + chunk + data[at:]


_ANCILLARY = [kind for kind in png_parts.CHUNKS if kind[:1].islower() and kind != b"tRNS"]

# TIFF -----------------------------------------------------------------------------------------------


def _tiff(fields: Sequence[tuple[int, int, bytes]], tail: bytes = b"") -> bytes:
    """A TIFF of 9 x 13 colors whose directory comes last; fields are (tag, type of one byte, value).

    `tail` stands in its one strip, behind the pixels.
    """
    pixels = bytes(range(117)) * 3 + tail
    values = {tag: (kind, value) for tag, kind, value in fields}
    numbers = {256: 13, 257: 9, 259: 1, 262: 2, 273: 8, 277: 3, 278: 9, 279: len(pixels)}
    entries, outside = b"", b""
    count = len(values) + len(numbers) + 1
    at = 8 + len(pixels) + len(pixels) % 2 + 2 + 12 * count + 4
    for tag in sorted({*values, *numbers, 258}):
        kind, value = values.get(tag, (4, struct.pack("<I", numbers.get(tag, 0))))
        if tag == 258:
            kind, value = 3, struct.pack("<3H", 8, 8, 8)
        entries += struct.pack("<HHI", tag, kind, len(value) // {3: 2, 4: 4}.get(kind, 1))
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", at + len(outside))
            outside += value + bytes(len(value) % 2)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels) + len(pixels) % 2) + pixels + bytes(len(pixels) % 2)
    return head + struct.pack("<H", count) + entries + bytes(4) + outside


def _field(dice: Dice, data: bytes, token: bytes) -> bytes:
    """Adds a field to a file of `_tiff`."""
    unknown = int(dice.integers(40000, 65000))
    tag = _one_of(dice, (unknown, _one_of(dice, _FIELDS)))
    return _tiff([*_added(data), (tag, 7, token)], _tail(data))


def _in_strip(dice: Dice, data: bytes, token: bytes) -> bytes:
    return _tiff(_added(data), _tail(data) + token)


def _tail(data: bytes) -> bytes:
    """The bytes after the pixels of a file of `_tiff`."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = (struct.unpack_from("<HHII", data, entry) for entry in range(at + 2, at + 2 + 12 * count, 12))
    size = next(value for tag, _, _, value in entries if tag == 279)
    return data[8 + 351 : 8 + size]


def _added(data: bytes) -> list[tuple[int, int, bytes]]:
    """The fields of bytes of a file of `_tiff`."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    found = []
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, size, place = struct.unpack_from("<HHII", data, entry)
        if kind == 7:
            start = entry + 8 if size <= 4 else place
            found.append((tag, kind, data[start : start + size]))
    return found


_FIELDS = [tag for tag, known in tiff_parts.TAGS.items() if known.kind is not Kind.PICTURE]

# Others ---------------------------------------------------------------------------------------------


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _in_riff(dice: Dice, data: bytes, token: bytes) -> bytes:
    kind = _one_of(dice, (_name(dice), _one_of(dice, _WEBP)))
    added = data + kind + struct.pack("<I", len(token)) + token + bytes(len(token) % 2)
    return added[:4] + struct.pack("<I", len(added) - 8) + added[8:]


def _behind_webp_pixels(dice: Dice, data: bytes, token: bytes) -> bytes:
    """In the chunk of pixels, behind them; longer than padding that encoders write."""
    at = next(data.index(kind) for kind in (b"VP8 ", b"VP8L") if kind in data)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    token = token if len(token) > 40 else token * 40
    content = data[at + 8 : at + 8 + size] + token
    rest = data[at + 8 + size + size % 2 :]
    chunk = data[at : at + 4] + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    added = data[:at] + chunk + rest
    return added[:4] + struct.pack("<I", len(added) - 8) + added[8:]


_WEBP = [kind for kind, known in webp.CHUNKS.items() if known.kind is not Kind.PICTURE]


def _extension(dice: Dice, data: bytes, token: bytes) -> bytes:
    blocks = b"".join(
        bytes([len(token[at : at + 255])]) + token[at : at + 255] for at in range(0, len(token), 255)
    )
    name = _one_of(dice, (_name(dice, 11), _one_of(dice, _APPLICATIONS).encode()))
    head = _one_of(dice, (b"!\xfe", b"!\xff\x0b" + name))
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:place] + head + blocks + b"\0" + data[place:]


_APPLICATIONS = [name for name in gif.PARTS if len(name) == 11]


def _before_pixels(dice: Dice, data: bytes, token: bytes) -> bytes:
    (at,) = struct.unpack_from("<I", data, 10)
    added = data[:at] + token + data[at:]
    return added[:2] + struct.pack("<II", len(added), 0) + struct.pack("<I", at + len(token)) + added[14:]


def _media_box(dice: Dice, data: bytes, token: bytes) -> bytes:
    """A box behind the others; its name, if known, is not that of a box that stores items."""
    known = [kind for kind in isobmff.BOXES if kind not in (b"ftyp", b"meta", b"mdat")]
    return data + _box(_one_of(dice, (_name(dice), b"free", b"uuid", _one_of(dice, known))), token)


def _in_store(dice: Dice, data: bytes, token: bytes) -> bytes:
    """At the end of the box of pixels, which is the last."""
    at = data.index(b"mdat") - 4
    (size,) = struct.unpack_from(">I", data, at)
    end = at + size
    return data[:at] + struct.pack(">I", size + len(token)) + data[at + 4 : end] + token + data[end:]


def _xl_box(dice: Dice, data: bytes, token: bytes) -> bytes:
    kind = _one_of(dice, (_name(dice), _one_of(dice, _XL)))
    at = data.index(b"jxlc") - 4
    return data[:at] + _box(kind, token) + data[at:]


def _behind_xl_codestream(dice: Dice, data: bytes, token: bytes) -> bytes:
    at = data.index(b"jxlc") - 4
    (size,) = struct.unpack_from(">I", data, at)
    return data[:at] + _box(b"jxlc", data[at + 8 : at + size] + token) + data[at + size :]


_XL = [kind for kind, known in jpegxl.BOXES.items() if known.kind is not Kind.PICTURE and kind != b"jbrd"]

# DICOM ----------------------------------------------------------------------------------------------


def _element(dice: Dice, data: bytes, token: bytes) -> bytes:
    """An element before or behind the pixels; one that the reader uses then occurs twice."""
    group = int(dice.integers(0x08, 0x7F00))
    unknown = group << 16 | int(dice.integers(1, 0xFFFF))
    tag = _one_of(dice, (unknown, _one_of(dice, _TAGS)))
    element = struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"UN", 0, len(token)) + token
    place = _one_of(dice, (data.rindex(_PIXELS), len(data)))
    return data[:place] + element + data[place:]


def _in_preamble(dice: Dice, data: bytes, token: bytes) -> bytes:
    if len(token) > 128 or any(data[:128]):
        return _behind(dice, data, token)
    return token.ljust(128, b"\0") + data[128:]


_PIXELS = struct.pack("<HH2s", 0x7FE0, 0x10, b"OB")
_TAGS = [
    rule.value
    for rule in dicom_parts.RULES
    if rule.known not in (dicom_parts.DESCRIPTION, dicom_parts.PIXELS)
]

PLANTERS: dict[str, tuple[Planter, ...]] = {
    "jpg": (_segment, _segment, _segment, _stray, _behind),
    "png": (_chunk, _chunk, _chunk, _behind_idat, _behind),
    "tif": (_field, _field, _field, _in_strip),
    "webp": (_in_riff, _in_riff, _in_riff, _behind_webp_pixels),
    "gif": (_extension, _extension, _extension, _behind),
    "bmp": (_behind, _before_pixels),
    "avif": (_media_box, _media_box, _in_store),
    "heic": (_media_box, _media_box, _in_store),
    "jxl": (_xl_box, _xl_box, _xl_box, _behind_xl_codestream),
    "dcm": (_element, _element, _element, _in_preamble, _behind),
}
