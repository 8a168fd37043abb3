"""XMP packets: their orientation, data other than descriptions, and JPEG's packets in two parts."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)([1-8])(?=\s*[\"'<])")
_PAIRS = (
    (b"exif:PixelXDimension", b"exif:PixelYDimension"),
    (b"tiff:ImageWidth", b"tiff:ImageLength"),
    (b"tiff:XResolution", b"tiff:YResolution"),
)
_OTHER_SIDE = dict(_PAIRS) | {down: across for across, down in _PAIRS}
_SIDES = re.compile(b"|".join(rb"\b%s\b" % name for name in _OTHER_SIDE))
_HOLDS_DATA = re.compile(rb"\b(GDepth|GImage|GAudio|Device|Camera):Data\b|\b(CropMask|DepthMap|HDRGainMap):")
_NAMES = {b"GDepth": "a depth map", b"GImage": "another picture", b"GAudio": "sound"}
_HAS_MORE = re.compile(rb"xmpNote:HasExtendedXMP\s*=\s*[\"']\s*([0-9A-Fa-f]{32})\s*[\"']")
_HAS_MORE_ELEMENT = re.compile(rb"<xmpNote:HasExtendedXMP>\s*([0-9A-Fa-f]{32})\s*</xmpNote:HasExtendedXMP>")
_RDF_START = re.compile(rb"<rdf:RDF[^>]*>")
_RDF_END = b"</rdf:RDF>"
_MOST_EXTENDED = 1 << 27
_PIECE = 65_400
_PIECE_HEAD = 40  # a digest, the size of the whole, and where the piece begins
_MOST_AROUND = 1024  # what an extended packet has around its descriptions

_STUB = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s"/></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)


def orientation(packet: bytes) -> int:
    """The orientation that a packet states, 1 to 8; 1 if there is none."""
    found = _ORIENTATION.search(packet)
    return int(found[2]) if found else 1


def upright(packet: bytes) -> bytes:
    """The packet with every orientation set to 1."""
    return _ORIENTATION.sub(rb"\g<1>1", packet)


def with_sides_swapped(packet: bytes) -> bytes:
    """The packet with the names of widths and heights swapped, for a picture turned by a quarter."""
    return _SIDES.sub(lambda found: _OTHER_SIDE[found[0]], packet)


def data_within(packet: bytes) -> str:
    """Names the data in a packet that is not a description; "" if there is none."""
    found = _HOLDS_DATA.search(packet)
    if not found:
        return ""
    return _NAMES.get(found[1] or b"", "embedded data") + " in its XMP"


class Joined(NamedTuple):
    """A packet joined from two parts; how many bytes are lost, and why ("" if none are)."""

    packet: bytes | None
    lost: int = 0
    why: str = ""


def joined(packet: bytes | None, pieces: Sequence[bytes]) -> Joined:
    """A main packet and its extended part as one packet (XMP Specification Part 3, 1.1.3.1).

    Args:
      packet: the main one.
      pieces: the contents of segments behind the mark of extended XMP.
    """
    if not pieces:
        return Joined(packet)
    total = sum(map(len, pieces))
    if packet is None:
        return Joined(None, total, "there is no main packet")
    found = _HAS_MORE.search(packet) or _HAS_MORE_ELEMENT.search(packet)
    if found is None:
        return Joined(packet, total, "the main packet does not refer to it")
    more = _assembled(found[1].upper(), pieces)
    if more is None:
        return Joined(packet, total, "it lacks some of its parts")
    start, end = _RDF_START.search(more), more.rfind(_RDF_END)
    place = packet.rfind(_RDF_END)
    if start is None or end < start.end() or place < 0:
        return Joined(packet, total, "it is not in the usual form")
    around = len((more[: start.start()] + more[end:]).strip())
    lost = total - _PIECE_HEAD * len(pieces) - len(more) + max(0, around - _MOST_AROUND)
    before, after = packet[: found.start()].rstrip(), packet[found.end() : place]
    whole = before + after + more[start.end() : end] + packet[place:]
    return Joined(whole, lost, "it has parts that do not belong to it" if lost else "")


def _assembled(digest: bytes, pieces: Sequence[bytes]) -> bytes | None:
    """The extended packet with an MD5 digest in hexadecimal; None if a piece is missing."""
    parts: dict[int, bytes] = {}
    total = 0
    for piece in pieces:
        if len(piece) < _PIECE_HEAD or piece[:32].upper() != digest:
            continue
        total, offset = struct.unpack(">II", piece[32:_PIECE_HEAD])
        parts.setdefault(offset, piece[_PIECE_HEAD:])
    length = 0
    for offset in sorted(parts):
        if offset != length:
            return None
        length += len(parts[offset])
    if not length or length != total or total > _MOST_EXTENDED:
        return None
    return b"".join(parts[offset] for offset in sorted(parts))


def in_two(packet: bytes, most: int) -> tuple[bytes, Iterator[bytes]]:
    """The inverse of `joined`: a main packet of at most `most` bytes, and the pieces of the rest."""
    if len(packet) <= most:
        return packet, iter(())
    digest = hashlib.md5(packet).hexdigest().upper().encode()  # the format asks for it
    pieces = (
        digest + struct.pack(">II", len(packet), at) + packet[at : at + _PIECE]
        for at in range(0, len(packet), _PIECE)
    )
    return _STUB % digest, pieces
