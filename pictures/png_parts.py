"""What a PNG file consists of, to its last byte: chunks, and what stands behind the last."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import jumbf, photoshop
from foveate.pictures.accounting import Kind, Known, Part, behind, part_of, unknown
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason
from foveate.pictures.texts import carried_texts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_MOST_CHUNKS = 1 << 20  # writers cut gigabytes into fewer; empty ones, 12 bytes each, would take minutes
_MOST_TEXT = 1 << 26  # what a compressed profile or packet may grow to
METERS_PER_INCH = 0.0254
LONGEST_KEYWORD, _NAMES_SHOWN = 79, 12
_RAW_PROFILE = re.compile(rb"Raw profile type (\w+)")

CHUNKS: Mapping[bytes, Known] = {
    **dict.fromkeys(
        (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iDOT", b"hIST"), Known(Kind.PICTURE, "picture")
    ),
    **dict.fromkeys((b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP"), Known(Kind.CARRIED, "color")),
    **dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), Known(Kind.CARRIED, "texts and XMP")),
    b"eXIf": Known(Kind.CARRIED, "EXIF"),
    b"pHYs": Known(Kind.CARRIED, "resolution"),
    b"caBX": Known(Kind.CARRIED, "C2PA"),
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
    **dict.fromkeys(
        (b"JHDR", b"MHDR", b"gMAP"), Known(Kind.HOLDS_DATA, "more pictures", Reason.SEVERAL_PICTURES)
    ),
    b"CgBI": Known(Kind.HOLDS_DATA, "Apple's own form of PNG", Reason.NOT_READ),
}


class Chunk(NamedTuple):
    """A chunk: its type, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


class PngWalk(NamedTuple):
    """A file taken apart: its chunks, all its parts, and what is wrong with its end, "" if nothing is."""

    chunks: list[Chunk]
    parts: list[Part]
    problem: str


def walk(data: bytes) -> PngWalk:
    """Takes a PNG file apart; raises BadPicture where there are too many chunks."""
    chunks: list[Chunk] = []
    parts = [part_of(CHUNKS[b"IHDR"], 0, len(SIGNATURE))]
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
        part = part_of(known, at, 12 + length) if known else unknown("PNG chunks", at, 12 + length, name)
        if kind == b"sBIT" and _says_nothing(data, chunks[0], chunks[-1]):
            part = part_of(CHUNKS[b"IHDR"], at, 12 + length)
        parts.append(part)
        at += 12 + length
    if at < len(data) and not problem:
        parts.append(behind(data, at))
    return PngWalk(chunks, parts, problem)


def is_intact(data: bytes, chunk: Chunk) -> bool:
    """Whether a chunk's checksum, if it is there, is right; decoders only warn where it is not."""
    stored = data[chunk.end : chunk.end + 4]
    return len(stored) < 4 or zlib.crc32(data[chunk.start - 4 : chunk.end]) == int.from_bytes(stored)


def _says_nothing(data: bytes, header: Chunk, significant: Chunk) -> bool:
    """Whether all bits of all samples are significant."""
    depth = data[header.start + 8 : header.start + 9]
    return not data[significant.start : significant.end].strip(depth)


def metadata_of(chunks: Mapping[bytes, list[bytes]]) -> tuple[PhotoMetadata, tuple[str, ...]]:
    """The metadata of chunks' contents by type, but color; and in words what cannot be read or carried."""
    found: dict[str, bytes] = {}
    texts: list[tuple[str, str]] = []
    unreadable: list[str] = []
    for keyword, content in _all_texts(chunks, unreadable):
        raw = _RAW_PROFILE.fullmatch(keyword)
        name = keyword.decode("latin-1")
        if keyword == XMP_KEYWORD:
            found.setdefault("xmp", content)
        elif raw is not None:
            if not _take_raw_profile(raw[1].lower(), content, found):
                unreadable.append(name)
        else:
            texts.append((name, content.decode("utf-8", "replace")))
    held, lost = carried_texts(texts)
    problems = [*lost, *_unreadable(unreadable)]
    if chunks.get(b"eXIf"):
        found["exif"] = chunks[b"eXIf"][0]
    boxes = b"".join(chunks.get(b"caBX", ()))
    if boxes and jumbf.is_whole(boxes):
        found["jumbf"] = boxes
    elif boxes:
        problems.append("C2PA: it is damaged")
    metadata = PhotoMetadata(**found, dpi=_density(chunks), texts=held)
    return metadata, tuple(problems)


def _all_texts(chunks: Mapping[bytes, list[bytes]], unreadable: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Keywords and texts of all text chunks, as UTF-8 (Latin-1 made so)."""
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        for chunk in chunks.get(kind, ()):
            try:
                yield _text_of(kind, chunk)
            except (ValueError, zlib.error):
                unreadable.append(chunk.split(b"\0", 1)[0][:LONGEST_KEYWORD].decode("latin-1"))


def _unreadable(keywords: list[str]) -> Iterator[str]:
    """What is said of texts that cannot be read."""
    names = list(dict.fromkeys("XMP" if name.encode() == XMP_KEYWORD else repr(name) for name in keywords))
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        yield f"texts: {', '.join(names[:_NAMES_SHOWN])}{more}, which cannot be read"


def _text_of(kind: bytes, chunk: bytes) -> tuple[bytes, bytes]:
    keyword, rest = cut(chunk)
    if kind == b"tEXt":
        return keyword, rest if _RAW_PROFILE.fullmatch(keyword) else rest.decode("latin-1").encode()
    if kind == b"zTXt":
        text = inflated(rest[1:])
        return keyword, text if _RAW_PROFILE.fullmatch(keyword) else text.decode("latin-1").encode()
    text = cut(cut(rest[2:])[1])[1]
    return keyword, inflated(text) if rest[:1] == b"\1" else text


def _take_raw_profile(kind: bytes, content: bytes, found: dict[str, bytes]) -> bool:
    """Takes what ImageMagick writes as hexadecimal text; whether it could be read."""
    lines = content.split(None, 2)
    try:
        profile = bytes.fromhex(b"".join(lines[2].split()).decode("ascii"))
        if len(profile) != int(lines[1]):
            return False
    except (ValueError, IndexError):
        return False
    if kind in (b"exif", b"app1") and profile.startswith(b"Exif\0\0"):
        found.setdefault("exif", profile[6:])
    elif kind == b"xmp" or (kind == b"app1" and b"<" in profile):
        found.setdefault("xmp", profile.removeprefix(b"http://ns.adobe.com/xap/1.0/\0"))
    elif kind in (b"iptc", b"8bim"):
        iptc, others, _, rest = photoshop.apart(profile)
        found.update({name: value for name, value in (("iptc", iptc), ("photoshop", others)) if value})
        if rest.startswith(b"\x1c"):
            found["iptc"] = rest
        elif rest:
            return False
    elif kind in (b"icc", b"icm"):
        found.setdefault("icc", profile)
    else:
        return False
    return True


def _density(chunks: Mapping[bytes, list[bytes]]) -> tuple[float, float] | None:
    """Dots per inch."""
    physical = chunks.get(b"pHYs", [b""])[0]
    if len(physical) != 9:
        return None
    across, down, unit = struct.unpack(">IIB", physical)
    return (across * METERS_PER_INCH, down * METERS_PER_INCH) if unit == 1 and across and down else None


def cut(chunk: bytes) -> tuple[bytes, bytes]:
    """What stands before the first NUL, and what behind it; raises ValueError where there is none."""
    before, zero, after = chunk.partition(b"\0")
    if not zero:
        raise ValueError("it has no name")
    return before, after


def inflated(data: bytes) -> bytes:
    """Zlib's data, of a size that is believable; raises ValueError or zlib.error for others."""
    inflater = zlib.decompressobj()
    plain = inflater.decompress(data, _MOST_TEXT)
    if not inflater.eof:
        raise ValueError("it is cut off, or far too large")
    return plain
