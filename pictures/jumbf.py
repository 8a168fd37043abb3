"""JUMBF boxes (ISO/IEC 19566-5), of which C2PA's manifests are made, in the segments of a JPEG and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_HEAD = 8  # "JP", number of the box, number of the packet
_MOST_IN_SEGMENT = 65_533 - _HEAD


def is_whole(data: bytes) -> bool:
    """Whether data are JUMBF superboxes, one after the other, and nothing else."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] != b"jumb" or size < 8:
            return False
        at += size
    return at == len(data) and at > 0


def from_segments(payloads: Sequence[bytes]) -> tuple[bytes, bool]:
    """The boxes in JPEG's APP11 segments, joined, and whether all of them are whole."""
    if not payloads:
        return b"", True
    packets: dict[int, dict[int, bytes]] = {}
    for payload in payloads:
        if len(payload) < _HEAD + 8:
            return b"", False
        number, packet = struct.unpack(">HI", payload[2:_HEAD])
        packets.setdefault(number, {}).setdefault(packet, payload[_HEAD:])
    boxes = b""
    for of_box in packets.values():
        first, *others = (of_box[number] for number in sorted(of_box))
        boxes += first + b"".join(part[8:] for part in others)
    return (boxes, True) if is_whole(boxes) else (b"", False)


def as_segments(boxes: bytes) -> Iterator[bytes]:
    """The payloads of JPEG's APP11 segments that hold the boxes."""
    at, number = 0, 1
    while at + 8 <= len(boxes):
        size = max(8, int.from_bytes(boxes[at : at + 4]))
        head, content = boxes[at : at + 8], boxes[at + 8 : at + size]
        room = _MOST_IN_SEGMENT - 8
        for packet, start in enumerate(range(0, max(1, len(content)), room), 1):
            yield b"JP" + struct.pack(">HI", number, packet) + head + content[start : start + room]
        at, number = at + size, number + 1
