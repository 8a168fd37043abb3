"""Reads JUMBF boxes (ISO/IEC 19566-5), such as C2PA manifests, from segments of a JPEG, and writes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_HEAD = 8  # "JP", number of the box, number of the packet
_MOST_IN_SEGMENT = 65_533 - _HEAD


def is_whole(data: bytes) -> bool:
    """Whether data consist of JUMBF superboxes and nothing else."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] != b"jumb" or size < 8:
            return False
        at += size
    return at == len(data) and at > 0


def is_of_jpeg_xt(payload: bytes) -> bool:
    """Whether an APP11 segment holds a piece of a box of JPEG XT (ISO/IEC 18477-3) rather than of JUMBF."""
    return payload.startswith(b"JP") and payload[_HEAD + 4 : _HEAD + 8] not in (b"jumb", b"")


def from_segments(payloads: Sequence[bytes]) -> tuple[bytes, int]:
    """The whole boxes in JPEG's APP11 segments, joined, and the bytes of incomplete ones."""
    packets: dict[int, dict[int, bytes]] = {}
    total = 0
    for payload in payloads:
        total += len(payload)
        if len(payload) >= _HEAD + 8:
            number, packet = struct.unpack(">HI", payload[2:_HEAD])
            packets.setdefault(number, {}).setdefault(packet, payload[_HEAD:])
    boxes: list[bytes] = []
    for of_box in packets.values():
        first, *others = (of_box[number] for number in sorted(of_box))
        box = first + b"".join(part[8:] for part in others)
        if is_whole(box):
            boxes.append(box)
            total -= sum(len(part) + _HEAD for part in of_box.values())
    return b"".join(boxes), total


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
