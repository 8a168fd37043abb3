"""Computes how many bytes of a file a reader needs for a smaller size or a region."""

from __future__ import annotations

import dataclasses

from foveate.codec import excerpt
from foveate.codec.packet_stream import PacketStream
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, window

_SIDE = 512  # pixels of the region that is shown if none is asked for


@dataclasses.dataclass(frozen=True)
class Reading:
    """The bytes needed to read a part of a file.

    left, top, width, height: the region, in full-size pixels.
    reduce: how often it is halved.
    bytes: that have to be read, including headers.
    requests: in how many pieces.
    """

    left: int
    top: int
    width: int
    height: int
    reduce: int
    bytes: int
    requests: int


def readings(data: bytes, packets: PacketStream, region: Region | None = None) -> tuple[Reading, ...]:
    """Every size of the picture, then a region at full size and half: by default 512 x 512 in the middle.

    Raises:
      UnsupportedCodestream: regions of it cannot be read.
      ValueError: the region is outside the picture.
    """
    size = packets.stream.size
    whole = Region(0, 0, size.width, size.height)
    left, top = max(0, size.width - _SIDE) // 2, max(0, size.height - _SIDE) // 2
    part = (region or Region(left, top, _SIDE, _SIDE)).clipped(size.width, size.height)
    levels = min(coding.levels for coding in packets.stream.coding)
    wanted = [(whole, reduce) for reduce in range(levels + 1)]
    wanted += [(part, reduce) for reduce in range(min(levels, 1) + 1)] if part != whole else []
    return tuple(_reading(data, packets, place, reduce) for place, reduce in wanted)


def _reading(data: bytes, packets: PacketStream, region: Region, reduce: int) -> Reading:
    area = window(packets.stream.size, region, reduce=reduce).area
    read, requests = excerpt.plan(RangedBytes.of(data), area, reduce=reduce, boxes=False).cost()
    return Reading(*region, reduce, min(read, len(data)), requests)
