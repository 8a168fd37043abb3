"""Reads color from the sequence parameter set of HEVC data (ITU-T H.265, 7.3.2.2 and E.2.1)."""

from __future__ import annotations

from foveate.pictures.bits import Bits, CannotBeRead

_SEQUENCE_PARAMETERS = 33  # NAL unit type (Table 7-1)
_ARRAYS_AT = 22  # bytes of an hvcC box before its arrays of NAL units (ISO/IEC 14496-15, 8.3.3.1.2)
_GENERAL_BITS = 88  # of profile and tier
_EXTENDED_SHAPE = 255
_MOST_SETS = 64


def code_points(configuration: bytes) -> tuple[int, int] | None:
    """Color primaries and transfer characteristics (ITU-T H.273) of the content of an hvcC box.

    None if it does not state them.

    Raises:
      CannotBeRead: see the class.
    """
    bits = Bits(_sequence_parameters(configuration), "its sequence parameter set")
    bits.take(16 + 4)  # NAL unit header, video parameter set
    layers = bits.take(3)
    bits.take()
    _skip_profiles(bits, layers)
    bits.number()
    if bits.number() == 3:  # chroma format
        bits.take()
    bits.skip_numbers(2)
    if bits.take():  # conformance window
        bits.skip_numbers(4)
    bits.skip_numbers(2)
    order_bits = bits.number() + 4
    bits.skip_numbers(3 * (layers + 1 if bits.take() else 1))
    bits.skip_numbers(6)
    if bits.take() and bits.take():
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.take():  # PCM
        bits.take(8)
        bits.skip_numbers(2)
        bits.take()
    _skip_references(bits, order_bits)
    bits.take(2)
    return _usability(bits) if bits.take() else None


def _sequence_parameters(configuration: bytes) -> bytes:
    """The first sequence parameter set, without emulation prevention bytes (7.4.2)."""
    at = _ARRAYS_AT + 1
    for _ in range(int.from_bytes(configuration[_ARRAYS_AT:at])):
        kind, count = configuration[at : at + 1], int.from_bytes(configuration[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2])
            unit = configuration[at + 2 : at + 2 + size]
            if kind and kind[0] & 63 == _SEQUENCE_PARAMETERS and len(unit) == size:
                return unit.replace(b"\0\0\3", b"\0\0")
            at += 2 + size
    raise CannotBeRead("it has no sequence parameters")


def _skip_profiles(bits: Bits, layers: int) -> None:
    """Passes over profile, tier and level (7.3.3)."""
    bits.take(_GENERAL_BITS + 8)
    present = [(bits.take(), bits.take()) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.take(_GENERAL_BITS * has_profile + 8 * has_level)


def _skip_scaling_lists(bits: Bits) -> None:
    """Passes over scaling list data (7.3.4)."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.take():
                bits.number()
            else:
                bits.skip_numbers((size > 1) + min(64, 1 << (4 + 2 * size)))


def _skip_references(bits: Bits, order_bits: int) -> None:
    """Passes over reference picture sets (7.3.7), none of which is predicted from another in a still."""
    count = bits.number()
    if count > _MOST_SETS:
        raise CannotBeRead("it has too many reference picture sets")
    for number in range(count):
        if number and bits.take():
            raise CannotBeRead("its sequence parameters are those of a video")
        for _ in range(bits.number() + bits.number()):
            bits.number()
            bits.take()
    if bits.take():
        for _ in range(bits.number()):
            bits.take(order_bits + 1)


def _usability(bits: Bits) -> tuple[int, int] | None:
    """The color description of the video usability information (E.2.1), None without one."""
    if bits.take() and bits.take(8) == _EXTENDED_SHAPE:
        bits.take(32)
    if bits.take():
        bits.take()
    if not bits.take():
        return None
    bits.take(4)
    return (bits.take(8), bits.take(8)) if bits.take() else None
