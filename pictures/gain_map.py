"""Removes gain maps, on request: what remains is the picture in standard dynamic range.

A file with a gain map contains a picture for standard screens, and a smaller one that says how much brighter
an HDR screen may show each place (ISO 21496-1, and the earlier formats of Adobe and Apple).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from foveate.pictures.accounting import ANY_SIZE, Kind, Part
from foveate.pictures.jpeg_parts import (
    APP1,
    APP2,
    GAIN_MAP,
    MULTI_PICTURE,
    XMP,
    Segment,
    marked_with_gain_map,
    walk,
)
from foveate.pictures.picture import BadPicture

NAME = "gain map"
_HELD = "a gain map"  # the name of parts that keep a file
_ATTRIBUTE = re.compile(rb"""\s+hdrgm:[\w.-]+\s*=\s*(?:"[^"]*"|'[^']*')""")
_ELEMENT = re.compile(rb"<hdrgm:([\w.-]+)>[^<]*</hdrgm:\1>")
_NAMESPACE = re.compile(rb"""\s+xmlns:hdrgm\s*=\s*(?:"[^"]*"|'[^']*')""")


def dropped(parts: Iterable[Part]) -> list[Part]:
    """The parts, with gain maps as descriptions, which are dropped and named."""
    return [
        dataclasses.replace(part, kind=Kind.DESCRIBES, name=NAME, most=ANY_SIZE)
        if part.kind is Kind.HOLDS_DATA and part.name == _HELD
        else part
        for part in parts
    ]


def without(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A JPEG without its gain map, and the loss; unchanged if there is none, or anything else behind it."""
    try:
        walked = walk(data)
        if walked.end is None or not marked_with_gain_map(data):
            return data, ()
        behind = data[walked.end :].strip(b"\0")
        if behind and (not marked_with_gain_map(behind) or walk(behind).end != len(behind)):
            return data, ()
    except BadPicture:
        return data, ()
    pieces, at = [], 0
    for segment in walked.segments:
        end = segment.start + 4 + len(segment.payload)
        pieces += [data[at : segment.start], _kept(segment, data[segment.start : end])]
        at = end
    smaller = b"".join((*pieces, data[at : walked.end]))
    return smaller, (f"{NAME}: {len(data) - len(smaller):,} bytes",)


def _kept(segment: Segment, whole: bytes) -> bytes:
    """What is kept of a segment: all, nothing, or XMP that announces no gain map."""
    payload = segment.payload
    if segment.marker == APP2 and payload.startswith((GAIN_MAP, MULTI_PICTURE)):
        return b""
    if segment.marker != APP1 or not payload.startswith(XMP):
        return whole
    packet = _ELEMENT.sub(b"", _ATTRIBUTE.sub(b"", payload))
    packet = packet if b"hdrgm:" in packet else _NAMESPACE.sub(b"", packet)
    return whole[:2] + (len(packet) + 2).to_bytes(2) + packet
