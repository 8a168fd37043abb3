"""The parts of an AVIF or HEIC file, to its last byte: boxes, items, properties (ISO/IEC 23008-12)."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from foveate.pictures import jumbf
from foveate.pictures.accounting import (
    PREVIEW,
    Kind,
    Known,
    Part,
    behind,
    is_padding,
    part_of,
    printable,
    unknown,
)
from foveate.pictures.picture import BadPicture
from foveate.pictures.reasons import Reason

_MOST_BOXES, _MOST_ITEMS, _MOST_EXTENTS = 1 << 12, 1 << 12, 1 << 16
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_APPLE_MAP = (b"urn:com:apple:photo:2020:aux:hdrgainmap",)
_IMAGES = (b"av01", b"hvc1", b"hev1", b"grid", b"iden", b"iovl", b"jpeg", b"unci", b"j2k1", b"avc1", b"vvc1")

_STRUCTURE = Known(Kind.PICTURE, "structure")
_STORE = Known(Kind.PICTURE, "places of items")
_MOST_OF_STRUCTURE, _MOST_OF_ITEM = 4096, 256  # bytes of boxes that describe a file, and more for each item
BOXES: Mapping[bytes, Known] = {
    **dict.fromkeys((b"ftyp", b"meta", b"mdat"), _STRUCTURE),
    b"pdin": Known(Kind.DESCRIBES, "how to play while loading"),
    **dict.fromkeys(
        (b"moov", b"moof", b"sidx", b"mfra"), Known(Kind.HOLDS_DATA, "a video or sequence", Reason.ANIMATED)
    ),
}
_IN_META = (b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"idat", b"dinf", b"grpl", b"ipro")
PROPERTIES: Mapping[bytes, Known] = {
    **dict.fromkeys(
        (b"ispe", b"pixi", b"av1C", b"hvcC", b"auxC", b"a1op", b"a1lx", b"lsel", b"irot", b"imir", b"clap"),
        _STRUCTURE,
    ),
    **dict.fromkeys((b"rloc", b"lhvC", b"oinf", b"tols"), _STRUCTURE),
    b"pasp": Known(Kind.DESCRIBES, "shape of pixels that are not square"),
    b"colr": Known(Kind.CARRIED, "color"),
    **dict.fromkeys((b"clli", b"mdcv", b"cclv", b"amve"), Known(Kind.DESCRIBES, "light level")),
    **dict.fromkeys((b"crtt", b"mdft", b"udes", b"altt"), Known(Kind.DESCRIBES, "descriptions")),
    **dict.fromkeys((b"aebr", b"afbr"), Known(Kind.DESCRIBES, "descriptions")),
}
ITEMS: Mapping[str, Known] = {
    "picture": Known(Kind.PICTURE, "picture, its tiles and its alpha"),
    "Exif": Known(Kind.CARRIED, "EXIF", once=True),
    "XMP": Known(Kind.CARRIED, "XMP", once=True),
    "thumbnail": PREVIEW,
    "auxiliary": Known(Kind.HOLDS_DATA, "depth or other auxiliary pictures"),
    "tmap": Known(Kind.HOLDS_DATA, "a gain map", Reason.HIGH_DYNAMIC_RANGE),
    "another": Known(Kind.HOLDS_DATA, "another picture", Reason.SEVERAL_PICTURES),
}


class Box(NamedTuple):
    """A box: its type, where it begins, where its content begins and ends; whether the file ends earlier."""

    kind: bytes
    offset: int
    start: int
    end: int
    is_cut: bool = False


@dataclasses.dataclass
class Item:
    """An item: its type, MIME type, where its bytes are, and its properties."""

    kind: bytes = b""
    mime: bytes = b""
    extents: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    properties: list[Box] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class IsoWalk:
    """The parsed file: items by number, the primary item's number, references (type, from, to), parts."""

    items: dict[int, Item] = dataclasses.field(default_factory=dict)
    primary: int = 0
    references: list[tuple[bytes, int, int]] = dataclasses.field(default_factory=list)
    parts: list[Part] = dataclasses.field(default_factory=list)
    jumbf: bytes = b""
    stores: list[Box] = dataclasses.field(default_factory=list)  # boxes of data that items point to

    @property
    def is_cut(self) -> bool:
        """Whether the file ends before its data do."""
        return any(box.is_cut for box in self.stores)

    def properties(self) -> list[Box]:
        """The primary item's properties, and those of the first item it is derived from, if any."""
        found = list(self.items.get(self.primary, Item()).properties)
        for kind, start, to in self.references:
            if kind == b"dimg" and start == self.primary and to in self.items:
                return found + self.items[to].properties
        return found


def boxes(data: bytes, start: int, end: int, may_be_cut: tuple[bytes, ...] = ()) -> Iterator[Box]:
    """The boxes from `start` to `end`; raises BadPicture if one is malformed.

    Boxes of the types `may_be_cut` may reach beyond `end`.
    """
    at = start
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= end:
            head, length = 16, int.from_bytes(data[at + 8 : at + 16])
        elif length == 0:
            length = end - at
        is_cut = at + length > end
        if length < head or (is_cut and kind not in may_be_cut):
            raise BadPicture(f"truncated or broken file: the box at byte {at:,} has {length:,} bytes")
        yield Box(kind, at, at + head, min(at + length, end), is_cut)
        at += length
    raise BadPicture(f"broken file: more than {_MOST_BOXES:,} boxes")


def walk(data: bytes) -> IsoWalk:
    """Parses a file; raises BadPicture if it is malformed."""
    found = IsoWalk()
    at = 0
    try:
        for box in _outer(data):
            at = box.end
            if box.kind == b"meta":
                _read_meta(data, box, found)
            elif box.kind == b"mdat":
                found.stores.append(box)
            else:
                found.parts.append(_outer_part(data, box, found))
    except (struct.error, IndexError) as error:
        raise BadPicture("broken file: its boxes are cut off") from error
    found.parts += _items(data, found)
    found.parts = list(_bounded(found))
    for box in found.stores:
        found.parts.append(part_of(_STORE, box.offset, box.start - box.offset))
        found.parts += _unused(data, box, found)
    if at < len(data):
        found.parts.append(behind(data, at))
    return found


def _bounded(found: IsoWalk) -> Iterator[Part]:
    """The parts; bytes of structure beyond what the items need count as unknown."""
    most = _MOST_OF_STRUCTURE + _MOST_OF_ITEM * len(found.items)
    for part in found.parts:
        yield dataclasses.replace(part, most=most) if part.name == _STRUCTURE.name else part


def _outer(data: bytes) -> Iterator[Box]:
    """The outermost boxes, as far as what follows looks like one."""
    at, count = 0, 0
    while at + 8 <= len(data) and (not at or _is_kind(data[at + 4 : at + 8])):
        try:
            box = next(boxes(data, at, len(data), may_be_cut=(b"mdat",)))
        except BadPicture:
            if at and data[at + 4 : at + 8] != b"meta":
                return
            raise
        count += 1
        if count > _MOST_BOXES:
            raise BadPicture(f"broken file: more than {_MOST_BOXES:,} boxes")
        yield box
        at = box.end


def _is_kind(kind: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in kind)


def _outer_part(data: bytes, box: Box, found: IsoWalk) -> Part:
    length = box.end - box.offset
    if box.kind in BOXES:
        if box.kind == b"ftyp" and box.offset:
            return behind(data, box.offset, box.end)
        return part_of(BOXES[box.kind], box.offset, length)
    if box.kind in (b"free", b"skip") and is_padding(data, box.start, box.end):
        return Part(Kind.PICTURE, "padding", box.offset, length)
    if box.kind == b"uuid" and data[box.start : box.start + 16] == _C2PA:
        content = data[box.start + 20 : box.end]
        purpose, _, rest = content.partition(b"\0")
        if purpose == b"manifest" and jumbf.is_whole(rest[8:]):
            found.jumbf += rest[8:]
            return Part(Kind.CARRIED, "C2PA", box.offset, length)
    return unknown("boxes", box.offset, length, printable(box.kind))


def _read_meta(data: bytes, meta: Box, found: IsoWalk) -> None:
    idat = meta.start
    found.parts.append(part_of(_STRUCTURE, meta.offset, meta.start + 4 - meta.offset))
    children = list(boxes(data, meta.start + 4, meta.end))
    for box in children:
        if box.kind == b"idat":
            idat = box.start
            found.stores.append(box)
        elif box.kind in _IN_META and box.kind != b"iprp":
            found.parts.append(part_of(_STRUCTURE, box.offset, box.end - box.offset))
    for box in children:
        version = data[box.start] if box.end > box.start else 0
        if box.kind == b"pitm":
            found.primary = int.from_bytes(data[box.start + 4 : box.start + (8 if version else 6)])
        elif box.kind == b"iinf":
            _read_infos(data, box, version, found)
        elif box.kind == b"iloc":
            _read_places(data, box, version, idat, found)
        elif box.kind == b"iref":
            _read_references(data, box, version, found)
        elif box.kind == b"iprp":
            _read_properties(data, box, found)
        elif box.kind not in _IN_META and not (box.kind == b"free" and is_padding(data, box.start, box.end)):
            found.parts.append(unknown("boxes", box.offset, box.end - box.offset, printable(box.kind)))


def _item(found: IsoWalk, number: int) -> Item:
    if number not in found.items and len(found.items) >= _MOST_ITEMS:
        raise BadPicture(f"broken file: more than {_MOST_ITEMS:,} items")
    return found.items.setdefault(number, Item())


def _read_infos(data: bytes, iinf: Box, version: int, found: IsoWalk) -> None:
    for box in boxes(data, iinf.start + (8 if version else 6), iinf.end):
        wide = data[box.start] >= 3
        number = int.from_bytes(data[box.start + 4 : box.start + (8 if wide else 6)])
        at = box.start + (10 if wide else 8)
        item = _item(found, number)
        item.kind = data[at : at + 4]
        item.mime = data[at + 4 : box.end].split(b"\0", 2)[1] if b"\0" in data[at + 4 : box.end] else b""


def _read_places(data: bytes, iloc: Box, version: int, idat: int, found: IsoWalk) -> None:
    sizes = int.from_bytes(data[iloc.start + 4 : iloc.start + 6])
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    at = iloc.start + 6
    wide = 4 if version == 2 else 2
    at, total = at + wide, int.from_bytes(data[at : at + wide])
    extents = 0
    for _ in range(min(total, _MOST_ITEMS)):
        number, at = int.from_bytes(data[at : at + wide]), at + wide
        method = 0
        if version:
            method, at = int.from_bytes(data[at : at + 2]) & 15, at + 2
        at += 2  # data reference
        base, at = int.from_bytes(data[at : at + base_size]), at + base_size
        count, at = int.from_bytes(data[at : at + 2]), at + 2
        for _ in range(count):
            extents += 1
            if extents > _MOST_EXTENTS or at > iloc.end:
                raise BadPicture("broken file: its items have too many places")
            at += index_size
            offset, at = int.from_bytes(data[at : at + offset_size]), at + offset_size
            length, at = int.from_bytes(data[at : at + length_size]), at + length_size
            start = base + offset + (idat if method == 1 else 0)
            if method < 2:
                _item(found, number).extents.append((start, length))


def _read_references(data: bytes, iref: Box, version: int, found: IsoWalk) -> None:
    size = 4 if version else 2
    for box in boxes(data, iref.start + 4, iref.end):
        start, at = int.from_bytes(data[box.start : box.start + size]), box.start + size
        count, at = int.from_bytes(data[at : at + 2]), at + 2
        for place in range(at, min(at + size * count, box.end), size):
            if len(found.references) >= _MOST_EXTENTS:
                raise BadPicture("broken file: its items have too many references")
            found.references.append((box.kind, start, int.from_bytes(data[place : place + size])))


def _read_properties(data: bytes, iprp: Box, found: IsoWalk) -> None:
    stored: list[Box] = []
    for box in boxes(data, iprp.start, iprp.end):
        if box.kind == b"ipco":
            stored = list(boxes(data, box.start, box.end))
            for one in stored:
                length = one.end - one.offset
                known = PROPERTIES.get(one.kind)
                if one.kind == b"pasp" and data[one.start : one.start + 4] == data[one.start + 4 : one.end]:
                    known = _STRUCTURE
                name = printable(one.kind)
                found.parts.append(
                    part_of(known, one.offset, length)
                    if known
                    else unknown("properties", one.offset, length, name)
                )
        elif box.kind == b"ipma":
            found.parts.append(part_of(_STRUCTURE, box.offset, box.end - box.offset))
            _read_associations(data, box, stored, found)


def _read_associations(data: bytes, ipma: Box, stored: list[Box], found: IsoWalk) -> None:
    wide, large = data[ipma.start] >= 1, data[ipma.start + 3] & 1
    at = ipma.start + 8
    for _ in range(min(int.from_bytes(data[ipma.start + 4 : at]), _MOST_ITEMS)):
        number, at = int.from_bytes(data[at : at + (4 if wide else 2)]), at + (4 if wide else 2)
        count, at = data[at], at + 1
        for _ in range(count):
            index = int.from_bytes(data[at : at + 2]) & 0x7FFF if large else data[at] & 0x7F
            at += 2 if large else 1
            if 0 < index <= len(stored):
                _item(found, number).properties.append(stored[index - 1])


def code_points(data: bytes, walked: IsoWalk) -> tuple[int, int] | None:
    """Color primaries and transfer characteristics (ITU-T H.273) of the color box; None without any."""
    for box in walked.properties():
        if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx" and box.end - box.start >= 10:
            primaries, transfer = struct.unpack_from(">HH", data, box.start + 4)
            return primaries, transfer
    return None


# What items are ------------------------------------------------------------------------------------


def _items(data: bytes, found: IsoWalk) -> Iterator[Part]:
    """All items as parts, by their relation to the primary one."""
    kinds: dict[int, set[bytes]] = {}
    for kind, start, _ in found.references:
        kinds.setdefault(start, set()).add(kind)
    ours = {found.primary}
    for _ in range(3):  # a grid of tiles, with alpha of tiles
        ours |= {to for kind, start, to in found.references if kind == b"dimg" and start in ours}
        ours |= {
            start
            for kind, start, to in found.references
            if kind == b"auxl" and to in ours and _is_auxiliary(data, found, start, _ALPHA)
        }
    maps = {to for _, start, to in found.references if found.items.get(start, Item()).kind == b"tmap"}
    maps |= {number for number in found.items if _is_auxiliary(data, found, number, _APPLE_MAP)}
    for number, item in found.items.items():
        size = sum(length for _, length in item.extents)
        start = item.extents[0][0] if item.extents else 0
        role = _role(item, kinds.get(number, set()))
        role = "picture" if number in ours else "tmap" if number in maps else role
        if role in ITEMS:
            yield part_of(ITEMS[role], start, size)
        else:
            yield unknown(
                "items", start, size, f"{printable(item.kind)} {item.mime.decode('latin-1')}".strip()
            )


def _role(item: Item, kinds: set[bytes]) -> str:
    """Classifies an item outside the picture, by its type and the kinds of its references."""
    if item.kind == b"Exif":
        return "Exif"
    if item.kind == b"mime" and item.mime == b"application/rdf+xml":
        return "XMP"
    if item.kind == b"tmap":
        return "tmap"
    if b"thmb" in kinds:
        return "thumbnail"
    if b"auxl" in kinds:
        return "auxiliary"
    return "another" if item.kind in _IMAGES else ""


def _is_auxiliary(data: bytes, found: IsoWalk, number: int, names: tuple[bytes, ...]) -> bool:
    """Whether an item is an auxiliary picture by one of these names."""
    return any(
        box.kind == b"auxC" and data[box.start + 4 : box.end].rstrip(b"\0").startswith(names)
        for box in found.items.get(number, Item()).properties
    )


def _unused(data: bytes, mdat: Box, found: IsoWalk) -> Iterator[Part]:
    """Finds media data that no item uses."""
    used = sorted(
        (start, start + length if length else mdat.end)
        for item in found.items.values()
        for start, length in item.extents
    )
    at = mdat.start
    for start, end in [*used, (mdat.end, mdat.end)]:
        stop = min(max(start, mdat.start), mdat.end)
        if stop > at and not is_padding(data, at, stop):
            yield unknown("bytes between its parts", at, stop - at, printable(data[at : at + 8]))
        at = max(at, min(end, mdat.end))
