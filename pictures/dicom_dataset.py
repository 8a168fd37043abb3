"""The data elements of DICOM files (PS3.5, PS3.10): finds them, and writes single ones."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import struct
import zlib
from collections.abc import Iterator

from foveate.pictures.dicom_parts import Value
from foveate.pictures.picture import BadPicture, NotForJpeg2000, reading
from foveate.pictures.reasons import Reason

MAGIC, MAGIC_AT = b"DICM", 128
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT, DEFLATED, BIG_ENDIAN = f"{IMPLICIT}.1", f"{IMPLICIT}.1.99", f"{IMPLICIT}.2"
PIXEL_DATA = 0x7FE00010
FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)
UNDEFINED = 0xFFFFFFFF  # a length

_TRANSFER_SYNTAX = 0x00020010
_LONG_VRS = frozenset((b"OB OD OF OL OV OW SQ SV UC UN UR UT UV").split())  # PS3.5 table 7.1-1
_MOST_INFLATED = 1 << 31
_MOST_ELEMENTS = 1 << 18
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The top level of a file; `data` begins with the first element, never deflated.

    elements: up to the pixels, by their tags.
    every: all elements, including those behind the pixels and repeated tags.
    rest: what follows a deflated dataset.
    """

    data: bytes
    syntax: str
    elements: dict[int, Value]
    every: tuple[Value, ...]
    rest: bytes

    @property
    def order(self) -> str:
        """The order of bytes, as `struct` writes it."""
        return ">" if self.syntax == BIG_ENDIAN else "<"

    def bytes_of(self, tag: int) -> bytes | None:
        """The value of an element, None if there is none."""
        element = self.elements.get(tag)
        return None if element is None else self.data[element.value : element.end]

    def text(self, tag: int) -> str:
        """The value of an element as text, without padding; "" if there is none."""
        return (self.bytes_of(tag) or b"").rstrip(b" \0").decode("ascii", "replace").strip()

    def number(self, tag: int) -> int | None:
        """An unsigned number of two bytes, None if there is none."""
        value = self.bytes_of(tag)
        if value is None or len(value) < 2:
            return None
        found: int = struct.unpack_from(f"{self.order}H", value)[0]
        return found


def is_dicom(data: bytes) -> bool:
    """Whether a file has the preamble of a DICOM file (PS3.10 clause 7.1)."""
    return data[MAGIC_AT : MAGIC_AT + 4] == MAGIC


def parse_dataset(data: bytes) -> Dataset:
    """The elements of a file's top level; raises BadPicture if it is truncated or not DICOM."""
    with reading("DICOM"):
        at, syntax = _after_meta(data)
        body, rest = data[at:], b""
        if syntax == DEFLATED:
            inflater = zlib.decompressobj(-15)
            body = inflater.decompress(body, _MOST_INFLATED)
            if inflater.unconsumed_tail:
                raise NotForJpeg2000(Reason.NOT_READ, "a deflated DICOM file of more than 2 GiB")
            rest = inflater.unused_data
        elements = []
        order = ">" if syntax == BIG_ENDIAN else "<"
        following = _elements(body, 0, order, implicit=syntax == IMPLICIT)
        for element in following:
            elements.append(element)
            if element.tag in (PIXEL_DATA, *FLOAT_PIXELS):
                break
            if len(elements) > _MOST_ELEMENTS:
                raise BadPicture(f"broken DICOM: it has more than {_MOST_ELEMENTS:,} elements")
        found = {element.tag: element for element in elements}
        with contextlib.suppress(BadPicture, struct.error):  # anything but an element is named
            elements.extend(itertools.takewhile(_may_stand_behind_pixels, following))
        return Dataset(body, syntax, found, tuple(elements), rest)


def _may_stand_behind_pixels(element: Value) -> bool:
    """Whether an element may come behind the pixels: signatures and padding."""
    return element.tag > PIXEL_DATA


def _after_meta(data: bytes) -> tuple[int, str]:
    """Where the dataset begins, and its transfer syntax, from the file meta information (PS3.10 7.1)."""
    at, syntax = MAGIC_AT + len(MAGIC), ""
    for element in meta_elements(data):
        at = element.end
        if element.tag == _TRANSFER_SYNTAX:
            syntax = data[element.value : element.end].rstrip(b"\0 ").decode("ascii")
    if not syntax:
        raise BadPicture("broken DICOM: it does not say how it is encoded")
    return at, syntax


def meta_elements(data: bytes) -> Iterator[Value]:
    """The elements of the file meta information."""
    at = MAGIC_AT + len(MAGIC)
    while data[at : at + 2] == b"\2\0":
        element = next(_elements(data, at, "<", implicit=False))
        at = element.end
        yield element


def _elements(data: bytes, at: int, order: str, *, implicit: bool) -> Iterator[Value]:
    """The elements from a position on, to the data's end or an item's."""
    while at < len(data):
        start = at
        group, number = struct.unpack_from(f"{order}HH", data, at)
        tag = group << 16 | number
        at += 4
        vr = b"" if implicit or group == 0xFFFE else data[at : at + 2]
        if vr and not vr.isalpha():
            raise BadPicture(f"broken DICOM: element ({group:04x},{number:04x}) is of no known kind")
        short = bool(vr) and vr not in _LONG_VRS
        at += len(vr) if short or not vr else 4
        (length,) = struct.unpack_from(f"{order}{'H' if short else 'I'}", data, at)
        at += 2 if short else 4
        if tag == _ITEM_END:
            return
        end = at + length
        if length == UNDEFINED and not short:
            nested = (order, True) if vr == b"UN" else (order, implicit)
            end = _after_items(data, at, *nested)
        if end > len(data):
            raise BadPicture(f"broken DICOM: cut off in element ({group:04x},{number:04x})")
        yield Value(tag, start, at, end)
        at = end


def _after_items(data: bytes, at: int, order: str, implicit: bool) -> int:
    """Where a value of undefined length ends: after its items and their end mark."""
    while True:
        group, number, length = struct.unpack_from(f"{order}HHI", data, at)
        at += 8
        if group << 16 | number == _SEQUENCE_END:
            return at
        if group << 16 | number != _ITEM:
            raise BadPicture(f"broken DICOM: element ({group:04x},{number:04x}) stands where an item should")
        if length != UNDEFINED:
            at += length
            continue
        last = at
        for element in _elements(data, at, order, implicit=implicit):
            last = element.end
        at = last + 8  # the mark of the item's end


def items(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """The items of compressed pixels: where each one, its value and its end are."""
    while True:
        group, number, length = struct.unpack_from("<HHI", data, at)
        if group << 16 | number == _SEQUENCE_END:
            return
        yield at, at + 8, at + 8 + length
        at += 8 + length


def emit_element(dataset: Dataset, tag: int, vr: bytes, value: bytes) -> bytes:
    """A data element in the encoding of a dataset."""
    value += b" " * (len(value) % 2) if vr == b"CS" else b"\0" * (len(value) % 2)
    head = struct.pack(f"{dataset.order}HH", tag >> 16, tag & 0xFFFF)
    if dataset.syntax == IMPLICIT:
        return head + struct.pack("<I", len(value)) + value
    if vr in _LONG_VRS:
        return head + vr + bytes(2) + struct.pack(f"{dataset.order}I", len(value)) + value
    return head + vr + struct.pack(f"{dataset.order}H", len(value)) + value
