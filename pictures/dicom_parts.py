"""Sorts the elements of a DICOM file (PS3.6): a JP2 can only hold pixels and their profile.

Users who compress DICOM accept losing the dataset; its contents are named. Anything drawn, measured or
written beside the pixels keeps the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from foveate.pictures.accounting import PREVIEW, Kind, Known, Part, behind, is_padding, part_of, unknown

_MOST_OF_DATASET = 1 << 20  # bytes: descriptions of many frames are long

PIXELS = Known(Kind.PICTURE, "pixels")
DESCRIPTION = Known(Kind.PICTURE, "description of the pixels")
PALETTE = Known(Kind.PICTURE, "palette of a picture that has one")
OFFSETS = Known(Kind.PICTURE, "offsets of compressed frames")
PADDING = Known(Kind.PICTURE, "padding")
PROFILE = Known(Kind.CARRIED, "color profile", most=1 << 22)
GRAY_PROFILE = Known(Kind.DESCRIBES, "color profile of a gray picture")
DATASET = Known(Kind.DESCRIBES, "the DICOM dataset, patient and study", most=_MOST_OF_DATASET)
PRIVATE = Known(Kind.DESCRIBES, "private elements of the device")


class Rule(NamedTuple):
    """A set of tags (as in PS3.6): those that equal a value under a bit mask."""

    tags: str
    mask: int
    value: int
    known: Known


def _tag(tags: str, known: Known) -> Rule:
    """The rule of a tag such as "0028,0010"; an x stands for any digit."""
    digits = tags.replace(",", "")
    mask = int("".join("0" if digit == "x" else "F" for digit in digits), 16)
    return Rule(tags, mask, int(digits.replace("x", "0"), 16), known)


def _data(name: str) -> Known:
    return Known(Kind.HOLDS_DATA, name)


RULES = (
    *(_tag(tag, DESCRIPTION) for tag in ("0002,0000", "0002,0001", "0002,0010")),
    *(_tag(f"0028,{number}", DESCRIPTION) for number in ("0002", "0004", "0006", "0008", "0010", "0011")),
    *(_tag(f"0028,010{number}", DESCRIPTION) for number in range(4)),
    *(_tag(f"0028,1{row}0{number}", PALETTE) for row in (1, 2) for number in (1, 2, 3)),
    *(_tag(f"7FE0,000{number}", OFFSETS) for number in (1, 2, 3)),
    _tag("7FE0,0010", PIXELS),
    _tag("FFFC,FFFC", PADDING),
    _tag("0028,2000", PROFILE),
    _tag("0088,0200", PREVIEW),
    _tag("60xx,xxxx", _data("overlays")),
    _tag("50xx,xxxx", _data("curves or sound")),
    _tag("54xx,xxxx", _data("waveforms")),
    _tag("56xx,xxxx", _data("spectra")),
    _tag("30xx,xxxx", _data("radiotherapy")),
    _tag("0042,xxxx", _data("a document")),
    _tag("0062,xxxx", _data("segments")),
    _tag("0066,xxxx", _data("surfaces")),
    _tag("0068,xxxx", _data("implants")),
    _tag("0070,0001", _data("annotations")),
    _tag("0040,A730", _data("a report")),
)
OTHERS = (("other elements of even groups", DATASET), ("elements of odd groups", PRIVATE))


_MOST_VALUE = {0x00020000: 4, 0x00020010: 64, 0x00280004: 16, 0x00280008: 12}
"""Bytes of values that describe the pixels; others have two."""


class Use(NamedTuple):
    """The elements that a picture of a dataset needs.

    is_color, has_palette: whether it is not gray, and whether its colors come from a palette.
    frames: how many compressed frames there are; 0 if they are not compressed.
    """

    is_color: bool
    has_palette: bool
    frames: int


class Value(NamedTuple):
    """An element: its tag, where it and its value begin, and where the value ends."""

    tag: int
    start: int
    value: int
    end: int


def known_of(tag: int) -> Known:
    """How an element is classified, by its tag."""
    if tag >> 16 & 1:
        return PRIVATE
    return next((rule.known for rule in RULES if tag & rule.mask == rule.value), DATASET)


def parts_of(data: bytes, elements: Iterable[Value], use: Use) -> Iterator[Part]:
    """The elements of a dataset as parts of `data`.

    If a tag occurs twice, readers use one of the elements; the other counts as unknown.
    """
    seen = set()
    for element in elements:
        known = known_of(element.tag)
        size, detail = element.end - element.start, f"{element.tag >> 16:04X},{element.tag & 0xFFFF:04X}"
        if known is PROFILE and not use.is_color:
            known = GRAY_PROFILE
        if known in (DATASET, PRIVATE):
            yield part_of(known, element.start, size)
        elif known.kind not in (Kind.PICTURE, Kind.CARRIED):
            yield part_of(known, element.start, size, detail)
        elif element.tag in seen or not _is_used(data, element, known, use):
            yield unknown("elements", element.start, size, detail)
        else:
            yield part_of(known, element.start, size)
        seen.add(element.tag)


def _is_used(data: bytes, element: Value, known: Known, use: Use) -> bool:
    """Whether all bytes of an element are used for the picture, or are meaningless."""
    size = element.end - element.value
    if known is DESCRIPTION:
        return size <= _MOST_VALUE.get(element.tag, 2)
    if known is PALETTE:
        return use.has_palette and size <= (6 if element.tag < 0x00281200 else 1 << 17)
    if known is OFFSETS:
        return size <= 8 * use.frames
    return known is not PADDING or is_padding(data, element.value, element.end)


def of_preamble(preamble: bytes) -> Iterator[Part]:
    """The 128 bytes before the mark, which programs may use freely (PS3.10 clause 7.1)."""
    if not is_padding(preamble, 0, len(preamble)):
        yield unknown("preamble", 0, len(preamble.rstrip(b"\0")))


def behind_pixels(data: bytes, end: int) -> Iterator[Part]:
    """The bytes behind the last element, if there are any."""
    if end < len(data):
        yield behind(data, end)
