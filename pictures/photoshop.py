"""Photoshop's image resources ("8BIM" blocks): in JPEG's APP13, TIFF's tag 34377, PNG's raw profiles."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from foveate.pictures.accounting import Kind, Known

IPTC = 0x0404
_SIGNATURES = (b"8BIM", b"AgHg", b"DCSR", b"PHUT", b"MeSa")
_THUMBNAILS = (0x0409, 0x040C)
_MOST = 1 << 12

RESOURCES: dict[str, Known] = {
    "IPTC": Known(Kind.CARRIED, "IPTC"),
    "thumbnail": Known(Kind.DESCRIBES, "Photoshop thumbnail"),
    "paths": Known(Kind.CARRIED, "Photoshop paths"),
    "others": Known(Kind.CARRIED, "Photoshop resources"),
    "broken": Known(Kind.UNKNOWN, "unknown Photoshop data"),
}


class Resource(NamedTuple):
    """A resource: its signature, number, name (as stored, with its length byte) and content."""

    signature: bytes
    number: int
    name: bytes
    content: bytes

    @property
    def is_path(self) -> bool:
        """Whether it is a path or names one: coordinates that turn with the picture."""
        return 0x07D0 <= self.number <= 0x0BB7

    @property
    def is_thumbnail(self) -> bool:
        """Whether it is a thumbnail."""
        return self.number in _THUMBNAILS


def parse_resources(data: bytes) -> tuple[list[Resource], bytes]:
    """The resources in order, and whatever follows the last readable one (b"" if nothing does)."""
    found: list[Resource] = []
    at = 0
    while at + 12 <= len(data) and data[at : at + 4] in _SIGNATURES and len(found) < _MOST:
        name_end = at + 7 + data[at + 6]
        content_at = name_end + (name_end - at) % 2 + 4
        if content_at > len(data):
            break
        size = int.from_bytes(data[content_at - 4 : content_at])
        if content_at + size > len(data):
            break
        number = int.from_bytes(data[at + 4 : at + 6])
        content = data[content_at : content_at + size]
        found.append(Resource(data[at : at + 4], number, data[at + 6 : name_end], content))
        at = content_at + size + size % 2
    rest = data[at:]
    return found, rest if rest.strip(b"\0") else b""


def emit_resources(resources: Sequence[Resource]) -> bytes:
    """The inverse of `parse_resources`."""
    return b"".join(_emitted(resources))


def _emitted(resources: Sequence[Resource]) -> Iterator[bytes]:
    for one in resources:
        yield one.signature + struct.pack(">H", one.number) + one.name + bytes(len(one.name) % 2)
        yield struct.pack(">I", len(one.content)) + one.content + bytes(len(one.content) % 2)


def apart(data: bytes) -> tuple[bytes | None, bytes | None, bytes, bytes]:
    """IPTC-IIM, the other resources to carry, the thumbnails left out, and unreadable bytes."""
    found, rest = parse_resources(data)
    iptc = b"".join(one.content for one in found if one.number == IPTC)
    others = emit_resources([one for one in found if one.number != IPTC and not one.is_thumbnail])
    thumbnails = b"".join(one.content for one in found if one.is_thumbnail)
    return iptc or None, others or None, thumbnails, rest


def has_paths(data: bytes | None) -> bool:
    """Whether some resources are paths."""
    return data is not None and any(one.is_path for one in parse_resources(data)[0])


def joined(iptc: bytes | None, photoshop: bytes | None) -> bytes:
    """All resources that a file should contain, including IPTC; b"" for none."""
    own = emit_resources([Resource(b"8BIM", IPTC, b"\0", iptc)]) if iptc else b""
    return own + (photoshop or b"")
