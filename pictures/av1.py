"""Reads color from the sequence header of AV1 data (AV1 bitstream specification, 5.5)."""

from __future__ import annotations

from foveate.pictures.bits import Bits, CannotBeRead

_SEQUENCE_HEADER = 1
_MOST_BYTES = 4096


def code_points(data: bytes) -> tuple[int, int] | None:
    """Color primaries and transfer characteristics (ITU-T H.273) of the first sequence header in OBUs.

    None if the header does not state them.

    Raises:
      CannotBeRead: see the class.
    """
    bits = Bits(_sequence_header(data[:_MOST_BYTES]), "the sequence header")
    profile = bits.take(3)
    bits.take()  # still picture
    is_short = bits.take()
    if is_short:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    bits.take(across + down)
    if not is_short and bits.take():
        bits.take(4 + 3)  # lengths of frame numbers
    bits.take(3)
    if not is_short:
        _skip_prediction(bits)
    bits.take(3)
    is_deep = bits.take()
    if profile == 2 and is_deep:
        bits.take()
    if profile != 1:
        bits.take()  # gray
    return (bits.take(8), bits.take(8)) if bits.take() else None


def _sequence_header(data: bytes) -> bytes:
    at = 0
    while at < len(data):
        kind, has_extension, has_size = data[at] >> 3 & 15, data[at] & 4, data[at] & 2
        at += 2 if has_extension else 1
        size, shift = len(data) - at, 0
        if has_size:
            size = 0
            while at < len(data):
                size |= (data[at] & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if not data[at - 1] & 0x80:
                    break
        if kind == _SEQUENCE_HEADER:
            return data[at : at + size]
        at += size
    raise CannotBeRead("there is no sequence header")


def _skip_operating_points(bits: Bits) -> None:
    if bits.take():
        raise CannotBeRead("the sequence header has a clock")
    has_delay = bits.take()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take()  # tier
        if has_delay and bits.take():
            bits.take(4)


def _skip_prediction(bits: Bits) -> None:
    bits.take(4)
    has_order = bits.take()
    if has_order:
        bits.take(2)
    has_screen_tools = bits.take() or bits.take()  # chosen for each frame, or for all
    if has_screen_tools and not bits.take():
        bits.take()
    if has_order:
        bits.take(3)
