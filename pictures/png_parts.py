"""The parts of a PNG file, to its last byte: chunks, and what follows the last."""

from __future__ import annotations

import dataclasses
import re
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import jumbf, photoshop
from foveate.pictures.accounting import Kind, Known, Part, behind, part_of, pixel_shape, unknown, unreadable
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason
from foveate.pictures.texts import carried_texts, decoded_text

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_MOST_CHUNKS = 1 << 20  # gigabytes are split into fewer; more of them would take minutes to read
_MOST_TEXT = 1 << 26  # the size to which all compressed texts of a file, or its profile, may expand
METERS_PER_INCH = 0.0254
LONGEST_KEYWORD = 79
_SIGNATURE = Known(Kind.PICTURE, "signature")
_SIGNIFICANT = Known(Kind.PICTURE, "significant bits, all of them", most=12 + 4, once=True)
_NAMES = {"xmp": "XMP", "exif": "EXIF", "iptc": "IPTC", "icc": "ICC profile", "photoshop": "Photoshop data"}
_SIZES = {
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"cICP": 4,
    b"pHYs": 9,
    b"iDOT": 28,
}  # others are ignored
_RAW_PROFILE = re.compile(rb"Raw profile type (\w+)")

CHUNKS: Mapping[bytes, Known] = {
    b"IDAT": Known(Kind.PICTURE, "pixels"),
    **{
        kind: Known(Kind.PICTURE, kind.decode(), most=12 + size, once=True)
        for kind, size in (
            (b"IHDR", 13),
            (b"PLTE", 768),
            (b"IEND", 0),
            (b"tRNS", 256),
            (b"iDOT", 28),
        )
    },
    **{
        kind: Known(Kind.CARRIED, f"color ({kind.decode()})", once=True)
        for kind in (b"gAMA", b"cHRM", b"sRGB", b"cICP")
    },
    b"iCCP": Known(Kind.CARRIED, "ICC profile", once=True),
    **dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), Known(Kind.CARRIED, "texts and XMP")),
    b"eXIf": Known(Kind.CARRIED, "EXIF", once=True),
    b"pHYs": Known(Kind.CARRIED, "resolution", once=True),
    b"caBX": Known(Kind.CARRIED, "C2PA"),
    b"hIST": Known(Kind.DESCRIBES, "histogram"),
    b"sBIT": Known(Kind.DESCRIBES, "significant bits"),
    b"bKGD": Known(Kind.DESCRIBES, "background color"),
    b"sPLT": Known(Kind.DESCRIBES, "suggested palette"),
    b"tIME": Known(Kind.DESCRIBES, "time of the last change"),
    b"oFFs": Known(Kind.DESCRIBES, "offset on a page"),
    b"sCAL": Known(Kind.DESCRIBES, "scale of the subject"),
    b"pCAL": Known(Kind.DESCRIBES, "calibration of samples"),
    b"mDCV": Known(Kind.DESCRIBES, "mastering display"),
    b"mDCv": Known(Kind.DESCRIBES, "mastering display"),
    b"cLLI": Known(Kind.DESCRIBES, "light level"),
    b"cLLi": Known(Kind.DESCRIBES, "light level"),
    b"dSIG": Known(Kind.DESCRIBES, "digital signature"),
    b"gIFg": Known(Kind.DESCRIBES, "GIF control data"),
    b"gIFx": Known(Kind.DESCRIBES, "GIF application data"),
    b"sTER": Known(Kind.HOLDS_DATA, "a stereo pair", Reason.SEVERAL_PICTURES),
    **dict.fromkeys((b"acTL", b"fcTL", b"fdAT"), Known(Kind.HOLDS_DATA, "an animation", Reason.ANIMATED)),
    b"gMAP": Known(Kind.HOLDS_DATA, "a gain map", Reason.HIGH_DYNAMIC_RANGE),
    b"CgBI": Known(Kind.HOLDS_DATA, "Apple's own form of PNG", Reason.NOT_READ),
}


class Chunk(NamedTuple):
    """A chunk: its type, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


class PngWalk(NamedTuple):
    """The parsed file: its chunks, all its parts, and what is wrong with its end, "" if nothing is."""

    chunks: list[Chunk]
    parts: list[Part]
    problem: str


def walk(data: bytes) -> PngWalk:
    """Parses a PNG file; raises BadPicture if there are too many chunks."""
    chunks: list[Chunk] = []
    parts = [part_of(_SIGNATURE, 0, len(SIGNATURE))]
    at, problem, kind = len(SIGNATURE), "", b""
    while kind != b"IEND":
        if len(chunks) == _MOST_CHUNKS:
            raise BadPicture(f"broken PNG: more than {_MOST_CHUNKS:,} chunks up to byte {at:,}")
        if at + 12 > len(data):
            problem = f"it ends at byte {len(data):,} without an end chunk"
            break
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            problem = f"it ends at byte {len(data):,} inside a {kind!r} chunk"
            chunks.append(Chunk(kind, at + 8, len(data)))
            break
        chunks.append(Chunk(kind, at + 8, at + 8 + length))
        known = CHUNKS.get(kind)
        name = kind.decode("latin-1")
        if known is None:
            part = unknown("PNG chunks", at, 12 + length, name)
        elif _SIZES.get(kind, length) != length:
            part = unreadable(known, at, 12 + length)
        else:
            part = part_of(known, at, 12 + length)
        if kind == b"sBIT" and _says_nothing(data, chunks[0], chunks[-1]):
            part = part_of(_SIGNIFICANT, at, 12 + length)
        parts.append(part)
        at += 12 + length
    if at < len(data) and not problem:
        parts.append(behind(data, at))
    return PngWalk(chunks, parts, problem)


def is_intact(data: bytes, chunk: Chunk) -> bool:
    """Whether a chunk's checksum, if present, is right; decoders only warn if it is not."""
    stored = data[chunk.end : chunk.end + 4]
    return len(stored) < 4 or zlib.crc32(data[chunk.start - 4 : chunk.end]) == int.from_bytes(stored)


def _says_nothing(data: bytes, header: Chunk, significant: Chunk) -> bool:
    """Whether all bits of all samples are significant."""
    depth = data[header.start + 8 : header.start + 9]
    return not data[significant.start : significant.end].strip(depth)


@dataclasses.dataclass
class _Texts:
    """Content of a file's text chunks: metadata by name, comments, and what is lost."""

    found: dict[str, bytes] = dataclasses.field(default_factory=dict)
    comments: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    lost: list[Part] = dataclasses.field(default_factory=list)
    room: int = dataclasses.field(default_factory=lambda: _MOST_TEXT)

    def take(self, name: str, content: bytes | None) -> None:
        """Takes metadata of a kind; if several of a kind differ, the first."""
        if content and self.found.setdefault(name, content) != content:
            self.lost.append(Part(Kind.UNKNOWN, f"a second {_NAMES.get(name, name)}", 0, len(content)))

    def lose(self, keyword: bytes, size: int) -> None:
        """Notes a text that cannot be read."""
        name = "XMP" if keyword == XMP_KEYWORD else repr(keyword[:LONGEST_KEYWORD].decode("latin-1"))
        self.lost.append(unknown("texts (they cannot be read)", 0, size, name))

    def inflated(self, data: bytes) -> bytes:
        """Inflates zlib data, whose total size must be plausible."""
        plain = inflated(data, self.room)
        self.room -= len(plain)
        return plain


def metadata_of(chunks: Mapping[bytes, list[bytes]]) -> tuple[PhotoMetadata, list[Part]]:
    """The metadata (except color) in chunks' contents by type; and what cannot be read or carried."""
    texts = _Texts()
    if chunks.get(b"eXIf"):
        texts.take("exif", chunks[b"eXIf"][0])
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        for chunk in chunks.get(kind, ()):
            try:
                _take_text(kind, chunk, texts)
            except (ValueError, zlib.error):
                texts.lose(chunk.split(b"\0", 1)[0], len(chunk))
    held, lost = carried_texts(texts.comments)
    boxes = b"".join(chunks.get(b"caBX", ()))
    if boxes and jumbf.is_whole(boxes):
        texts.take("jumbf", boxes)
    elif boxes:
        lost.append(Part(Kind.UNKNOWN, "C2PA", 0, len(boxes), "damaged"))
    dpi, shape = _density(chunks)
    return PhotoMetadata(**texts.found, dpi=dpi, texts=held), [*texts.lost, *lost, *shape]


def _take_text(kind: bytes, chunk: bytes, texts: _Texts) -> None:
    """Takes a text chunk's content; raises ValueError or zlib.error if it cannot be read."""
    keyword, rest = cut(chunk)
    if kind == b"zTXt":
        rest = texts.inflated(rest[1:])
    elif kind == b"iTXt":
        language, rest_of_it = cut(rest[2:])
        translated, text = cut(rest_of_it)
        for name, value in (("language", language), ("translated keyword", translated)):
            if value:
                detail = repr(keyword[:LONGEST_KEYWORD].decode("latin-1"))
                texts.lost.append(Part(Kind.UNKNOWN, f"{name} of texts", 0, len(value), detail))
        rest = texts.inflated(text) if rest[:1] == b"\1" else text
    raw = _RAW_PROFILE.fullmatch(keyword)
    if keyword == XMP_KEYWORD:
        texts.take("xmp", rest)
    elif raw is not None:
        _take_raw_profile(raw[1].lower(), rest, texts)
    else:
        said = decoded_text(rest) if kind == b"iTXt" else rest.decode("latin-1")
        texts.comments.append((keyword.decode("latin-1"), said))


def _take_raw_profile(kind: bytes, content: bytes, texts: _Texts) -> None:
    """Takes ImageMagick's profiles in hexadecimal text; raises ValueError if they cannot be read."""
    lines = content.split(None, 2)
    if len(lines) < 3:
        raise ValueError("it has no data")
    profile = bytes.fromhex(b"".join(lines[2].split()).decode("ascii"))
    if len(profile) != int(lines[1]):
        raise ValueError("it is cut off")
    if kind in (b"exif", b"app1") and profile.startswith(b"Exif\0\0"):
        texts.take("exif", profile[6:])
    elif kind == b"xmp" or (kind == b"app1" and b"<" in profile):
        texts.take("xmp", profile.removeprefix(b"http://ns.adobe.com/xap/1.0/\0"))
    elif kind in (b"iptc", b"8bim"):
        _take_resources(profile, texts)
    elif kind in (b"icc", b"icm"):
        texts.take("icc", profile)
    else:
        raise ValueError("it is of an unknown kind")


def _take_resources(profile: bytes, texts: _Texts) -> None:
    """Takes Photoshop's resources, or bare IPTC-IIM."""
    iptc, others, thumbnails, rest = photoshop.apart(profile)
    texts.take("iptc", rest if iptc is None and rest.startswith(b"\x1c") else iptc)
    texts.take("photoshop", others)
    if thumbnails:
        texts.lost.append(part_of(photoshop.RESOURCES["thumbnail"], 0, len(thumbnails)))
    if rest and (iptc is not None or not rest.startswith(b"\x1c")):
        texts.lost.append(part_of(photoshop.RESOURCES["broken"], 0, len(rest)))


def _density(chunks: Mapping[bytes, list[bytes]]) -> tuple[tuple[float, float] | None, list[Part]]:
    """Dots per inch; or the shape of non-square pixels, which is lost."""
    physical = chunks.get(b"pHYs", [b""])[0]
    if len(physical) != 9:
        return None, []
    across, down, unit = struct.unpack(">IIB", physical)
    if not across or not down:
        return None, []
    if unit != 1:
        return None, pixel_shape(down, across)  # pixels per unit: the more of them, the shorter
    return (across * METERS_PER_INCH, down * METERS_PER_INCH), []


def cut(chunk: bytes) -> tuple[bytes, bytes]:
    """Splits data at the first NUL; raises ValueError if there is none."""
    before, zero, after = chunk.partition(b"\0")
    if not zero:
        raise ValueError("it has no name")
    return before, after


def inflated(data: bytes, most: int = _MOST_TEXT) -> bytes:
    """Inflates zlib data of at most `most` bytes; raises ValueError or zlib.error for others."""
    inflater = zlib.decompressobj()
    plain = inflater.decompress(data, max(1, most))
    if not inflater.eof:
        raise ValueError(f"truncated, or larger than {most:,} bytes")
    if inflater.unused_data.strip(b"\0"):
        raise ValueError(f"{len(inflater.unused_data):,} bytes after its end")
    return plain
