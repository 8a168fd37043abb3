"""EXIF blocks, and the TIFF structure they share with TIFF files: directories of tagged fields.

Everything here works on the bytes: untouched parts stay where they are, so that maker notes survive, whose
inner offsets must not change. Classic TIFF is read and written, BigTIFF is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import struct
from collections.abc import Collection, Iterator, Mapping

MAKE, MODEL = 271, 272
ORIENTATION = 274
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
DATE_TIME, DATE_TIME_ORIGINAL = 306, 36867
SUB_DIRECTORIES = 330
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY_DIRECTORY = 34665, 34853, 40965
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_SIZES |= {16: 8, 17: 8, 18: 8, 129: 1}
_UNSIGNED = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
POINTERS = (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY_DIRECTORY)
# What a TIFF file's first directory says about the photo, not about how its own pixels are stored.
DESCRIPTIVE = frozenset(
    (269, 270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 40091, 40092, 40093, 40094, 40095)
)
_UNINTERESTING = frozenset((ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))
_MOST_DIRECTORIES = 64
_MOST_RATIOS = 64
MOST_LEVELS = 3  # of directories, one below the other
_LONGEST_TEXT = 200  # bytes of a name


class BadExif(ValueError):  # noqa: N818
    """The block is not a readable TIFF structure; the message says where it is broken."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a directory: its type and count, and where its value lies in the block."""

    type: int
    count: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the value; 0 for an unknown type."""
        return _TYPE_SIZES.get(self.type, 0) * self.count


@dataclasses.dataclass(frozen=True)
class Directory:
    """The fields of one directory by tag, the offset of the next (0: last), tags of values out of bounds."""

    fields: dict[int, Field]
    next: int
    beyond: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Value:
    """A value to write: its type, count, and bytes in the byte order of the block."""

    type: int
    count: int
    data: bytes


def byte_order(block: bytes) -> str:
    """ "<" or ">", from the first two bytes of a TIFF structure; raises BadExif for any other."""
    if block[:2] == b"II":
        return "<"
    if block[:2] == b"MM":
        return ">"
    raise BadExif(f"it starts with {bytes(block[:4])!r}, not with a TIFF header")


def is_big(block: bytes) -> bool:
    """Whether the structure is BigTIFF (64-bit offsets)."""
    version = _unpack(block, "H", 2)[0]
    if version not in (42, 43):
        raise BadExif(f"it starts with {bytes(block[:4])!r}, not with a TIFF header")
    return version == 43


def first_directory(block: bytes) -> int:
    """The offset of the first directory."""
    return _unpack(block, "Q", 8)[0] if is_big(block) else _unpack(block, "I", 4)[0]


def read_directory(block: bytes, offset: int) -> Directory:
    """The directory at `offset`; fields of unknown type or with a value outside the block are left out."""
    big = is_big(block)
    count = _unpack(block, "Q" if big else "H", offset)[0]
    at, stride = (offset + 8, 20) if big else (offset + 2, 12)
    if at + count * stride > len(block):
        raise BadExif(f"the directory at byte {offset} has {count} fields, more than the block can hold")
    fields: dict[int, Field] = {}
    beyond: list[int] = []
    for entry in range(at, at + count * stride, stride):
        tag, kind = _unpack(block, "HH", entry)
        length = _unpack(block, "Q" if big else "I", entry + 4)[0]
        field = Field(kind, length, entry + (12 if big else 8))
        if field.size > (8 if big else 4):
            field = Field(kind, length, _unpack(block, "Q" if big else "I", field.offset)[0])
        if 0 < field.size <= len(block) - field.offset:
            fields.setdefault(tag, field)
        elif field.size:
            beyond.append(tag)
    end = at + count * stride
    if end + (8 if big else 4) > len(block):
        return Directory(fields, 0, tuple(beyond))  # many writers forget the last four bytes
    return Directory(fields, _unpack(block, "Q" if big else "I", end)[0], tuple(beyond))


def directories(block: bytes) -> Iterator[Directory]:
    """The chain of directories from the first; raises BadExif at a loop, when it is reached."""
    offset = first_directory(block)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) == _MOST_DIRECTORIES:
            raise BadExif(f"the chain of directories comes back to byte {offset}, or does not end")
        seen.add(offset)
        directory = read_directory(block, offset)
        yield directory
        offset = directory.next


def numbers(block: bytes, directory: Directory, tag: int) -> tuple[int, ...]:
    """The unsigned whole numbers of a field; () if it is absent or of another type."""
    field = directory.fields.get(tag)
    if field is None or field.type not in _UNSIGNED:
        return ()
    return _unpack(block, f"{field.count}{_UNSIGNED[field.type]}", field.offset)


def ratios(block: bytes, directory: Directory, tag: int) -> tuple[float, ...]:
    """The unsigned fractions of a field; () if it is absent, of another type, or has a zero below."""
    field = directory.fields.get(tag)
    if field is None or field.type != RATIONAL or field.count > _MOST_RATIOS:
        return ()
    values = _unpack(block, f"{2 * field.count}I", field.offset)
    return tuple(a / b for a, b in zip(values[::2], values[1::2], strict=True)) if all(values[1::2]) else ()


def raw(block: bytes, directory: Directory, tag: int) -> bytes:
    """The bytes of a field's value; b"" if it is absent."""
    field = directory.fields.get(tag)
    return b"" if field is None else bytes(block[field.offset : field.offset + field.size])


def orientation(block: bytes) -> int:
    """The orientation tag, 1 to 8; 1 if it is missing or unreadable."""
    return stated_orientation(block) or 1


def stated_orientation(block: bytes) -> int | None:
    """The orientation tag, 1 to 8; None if it is missing or unreadable."""
    try:
        values = numbers(block, next(directories(block)), ORIENTATION)
    except (BadExif, StopIteration):
        return None
    return values[0] if values and 1 <= values[0] <= 8 else None


def has_orientation(block: bytes) -> bool:
    """Whether the first directory has an orientation tag."""
    return ORIENTATION in read_directory(block, first_directory(block)).fields


def upright(block: bytes) -> bytes:
    """The block with its orientation tag set to 1 and every other byte unchanged."""
    field = read_directory(block, first_directory(block)).fields.get(ORIENTATION)
    if field is None or field.type not in _UNSIGNED:
        return block
    one = struct.pack(byte_order(block) + _UNSIGNED[field.type], 1)
    return block[: field.offset] + one + block[field.offset + len(one) :]


def camera(block: bytes) -> str | None:
    """The maker and model of the camera as one name; None if the first directory names neither.

    A model that starts with its maker's name stands alone: `Canon EOS 5D`, not `Canon Canon EOS 5D`.
    """
    try:
        directory = next(directories(block))
    except (BadExif, StopIteration):
        return None
    make, model = (_text(block, directory, tag) for tag in (MAKE, MODEL))
    first = make.partition(" ")[0].casefold()  # "NIKON CORPORATION" makes the "NIKON D850"
    return (model if model.casefold().startswith(first) and model else f"{make} {model}".strip()) or None


def taken(block: bytes) -> datetime.datetime | None:
    """When the photo was taken by the camera's clock, without a zone; None if not stated.

    DateTimeOriginal of the Exif directory, else DateTime of the first.
    """
    try:
        main = next(directories(block))
        below = numbers(block, main, EXIF_DIRECTORY)[:1]
        exif = read_directory(block, below[0]) if below else Directory({}, 0)
    except (BadExif, StopIteration):
        return None
    for directory, tag in ((exif, DATE_TIME_ORIGINAL), (main, DATE_TIME)):
        # A clock that was never set gives zeros or blanks.
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(_text(block, directory, tag), "%Y:%m:%d %H:%M:%S")
    return None


def resolution(block: bytes) -> tuple[float, float] | None:
    """(horizontal, vertical) dots per inch; None if the first directory does not say."""
    try:
        directory = next(directories(block))
    except (BadExif, StopIteration):
        return None
    unit = (numbers(block, directory, RESOLUTION_UNIT) or (2,))[0]
    inches = {2: 1.0, 3: 2.54}.get(unit)
    across, down = (_ratio(block, directory, tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
    if inches is None or across is None or down is None:
        return None
    return across * inches, down * inches


def resolution_values(order: str, dpi: tuple[float, float]) -> dict[int, Value]:
    """The three fields that state `dpi`, in byte order `order`."""
    across, down = (Value(RATIONAL, 1, struct.pack(order + "II", *_as_ratio(one))) for one in dpi)
    return {X_RESOLUTION: across, Y_RESOLUTION: down, RESOLUTION_UNIT: short(order, 2)}


def with_resolution(block: bytes | None, dpi: tuple[float, float] | None) -> bytes | None:
    """The block with `dpi` added, for formats with no other place for it; unchanged if `dpi` is None."""
    if dpi is None:
        return block
    block = block or empty_block()
    stated = resolution(block)
    if stated is not None and all(
        math.isclose(one, other, rel_tol=1e-4) for one, other in zip(stated, dpi, strict=True)
    ):
        return block
    return with_values(block, resolution_values(byte_order(block), dpi))


def short(order: str, *values: int) -> Value:
    """16-bit unsigned numbers."""
    return Value(SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def long(order: str, *values: int) -> Value:
    """32-bit unsigned numbers."""
    return Value(LONG, len(values), struct.pack(f"{order}{len(values)}I", *values))


def with_values(block: bytes, values: Mapping[int, Value], without: Collection[int] = ()) -> bytes:
    """The block with fields of its first directory set to `values`, and the tags `without` removed.

    The old bytes stay where they are: a new first directory is written at the end, and the header points to
    it.
    """
    directory, tail = new_first_directory(block, len(block), values, without)
    return block[:4] + struct.pack(byte_order(block) + "I", directory) + block[8:] + tail


def new_first_directory(
    block: bytes, end: int, values: Mapping[int, Value], without: Collection[int] = (), *, alone: bool = False
) -> tuple[int, bytes]:
    """A first directory for byte `end` of a file that starts with `block`: its offset and bytes.

    It has the fields of the block's first directory except those in `without`, updated by `values`. `alone`
    cuts off the directories that follow (a thumbnail's).
    """
    old = next(directories(block), Directory({}, 0))
    fields = {
        tag: Value(field.type, field.count, raw(block, old, tag))
        for tag, field in old.fields.items()
        if tag not in without
    }
    padding = end % 2
    return end + padding, bytes(padding) + _emit(
        fields | dict(values), end + padding, byte_order(block), 0 if alone else old.next
    )


def empty_block() -> bytes:
    """An EXIF block without any fields."""
    return b"II*\0" + struct.pack("<IHI", 8, 0, 0)


def block_of(values: Mapping[int, Value], order: str) -> bytes:
    """A TIFF structure of one directory, in byte order `order`."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    return head + _emit(values, 8, order, 0)


def in_order(value: Value, old: str, new: str) -> Value:
    """A value in another byte order."""
    size = {10: 4, 5: 4}.get(value.type, _TYPE_SIZES.get(value.type, 1))
    if old == new or size == 1:
        return value
    swapped = b"".join(value.data[at : at + size][::-1] for at in range(0, len(value.data), size))
    return Value(value.type, value.count, swapped)


def from_tiff(tiff: bytes) -> bytes | None:
    """An EXIF block with what the first directory of a TIFF file says about the photo; None if nothing.

    Leaves out fields about how its pixels are stored, and broken nested directories. Raises BadExif.
    """
    order = byte_order(tiff)
    fields = _copied(tiff, first_directory(tiff), DESCRIPTIVE.union(_UNINTERESTING, POINTERS), 0)
    if not fields.keys() - _UNINTERESTING and orientation(tiff) == 1:
        return None
    return _emit_tree(tiff[:2] + struct.pack(order + "HI", 42, 8), fields, order)


Tree = dict[int, "Value | Tree"]


def _copied(block: bytes, offset: int, tags: Collection[int] | None, depth: int) -> Tree:
    """The fields of a directory (of `tags`; None: all), with nested directories in place of their offsets."""
    if depth > MOST_LEVELS:
        raise BadExif(f"the directory at byte {offset} lies too deep")
    directory = read_directory(block, offset)
    tree: Tree = {}
    for tag, field in directory.fields.items():
        if (tags is not None and tag not in tags) or field.type in (16, 17, 18):
            continue
        if tag in POINTERS:
            with contextlib.suppress(BadExif):  # accounting for a file's parts names what is left out
                tree[tag] = _copied(block, (numbers(block, directory, tag) or (0,))[0], None, depth + 1)
        else:
            tree[tag] = Value(field.type, field.count, raw(block, directory, tag))
    return tree


def _emit_tree(before: bytes, tree: Tree, order: str) -> bytes:
    """`before` followed by the directory `tree` and its nested ones."""
    at = len(before)
    flat = {tag: node if isinstance(node, Value) else long(order, 0) for tag, node in tree.items()}
    below = b""
    size = len(_emit(flat, at, order, 0))
    for tag, node in tree.items():
        if not isinstance(node, Value):
            start = at + size + len(below)
            flat[tag] = long(order, start)
            below += _emit_tree(bytes(start), node, order)[start:]
    return before + _emit(flat, at, order, 0) + below


def _emit(fields: Mapping[int, Value], at: int, order: str, following: int) -> bytes:
    """A directory to be written at the even offset `at`: its entries, then the values too long for them."""
    outside = b""
    entries = struct.pack(order + "H", len(fields))
    values_at = at + 2 + 12 * len(fields) + 4
    for tag, value in sorted(fields.items()):
        entries += struct.pack(order + "HHI", tag, value.type, value.count)
        if len(value.data) <= 4:
            entries += value.data.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", values_at + len(outside))
            outside += value.data + bytes(len(value.data) % 2)
    return entries + struct.pack(order + "I", following) + outside


def _text(block: bytes, directory: Directory, tag: int) -> str:
    """An ASCII field up to its first NUL as one line of printable text; "" if it is absent or no text."""
    field = directory.fields.get(tag)
    if field is None or field.type != ASCII:
        return ""
    said = raw(block, directory, tag).partition(b"\0")[0][:_LONGEST_TEXT].decode("utf-8", "replace")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())


def _ratio(block: bytes, directory: Directory, tag: int) -> float | None:
    field = directory.fields.get(tag)
    if field is None or field.type != RATIONAL:
        return None
    above, below = _unpack(block, "II", field.offset)
    return above / below if above and below else None


def _as_ratio(value: float) -> tuple[int, int]:
    """`value` as a fraction of two 32-bit numbers, exact to a ten-thousandth where it has a fraction."""
    if not (math.isfinite(value) and 0 < value < 400_000):
        raise ValueError(f"a resolution of {value} dots per inch cannot be written")
    return (round(value), 1) if value == round(value) else (round(value * 10_000), 10_000)


def _unpack(block: bytes, layout: str, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(byte_order(block) + layout, block, offset)
    except (struct.error, OverflowError) as error:
        raise BadExif(f"it ends before byte {offset + struct.calcsize('=' + layout)}") from error
