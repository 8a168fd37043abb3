"""The parts of a TIFF, to its last byte: directories, fields, strips, and what nothing points to."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from foveate.pictures import exif
from foveate.pictures.accounting import ANY_SIZE, Kind, Known, Part, gaps, part_of, printable, unknown
from foveate.pictures.exif import BadExif, Directory
from foveate.pictures.picture import BadPicture, NotForJpeg2000
from foveate.pictures.reasons import Reason

SUBFILE, STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 254, 273, 279, 324, 325
GEO = (33550, 33920, 33922, 34264, 34735, 34736, 34737)
XMP, IPTC, PHOTOSHOP, ICC, C2PA = 700, 33723, 34377, 34675, 52545
TRANSFER, WHITE, PRIMARIES, DESCRIPTION = 301, 318, 319, 270
_REDUCED, _MASK = 1, 4
_MOST_STRIPS = 1 << 18
_MOST_DIRECTORIES = 64
_MOST_PARTS = 1 << 19
_STACK = re.compile(rb"\A(?:ImageJ=|SCIFIO=)[^\0]*?^images=(\d+)", re.MULTILINE | re.DOTALL)

_PICTURE = Known(Kind.PICTURE, "picture")
_RESOLUTION = Known(Kind.CARRIED, "resolution")
_ORIENTATION, _COLOR = Known(Kind.CARRIED, "orientation"), Known(Kind.CARRIED, "color")
_FURTHER = Known(Kind.CARRIED, "EXIF directories")
_BOUNDED = (_PICTURE, _RESOLUTION, _ORIENTATION, _COLOR, _FURTHER)
TAGS: Mapping[int, Known] = {
    **dict.fromkeys((*range(254, 260), *range(262, 267), 273, *range(277, 282), 284, 288, 289), _PICTURE),
    **dict.fromkeys((292, 293, 317, 320, *range(322, 329), *range(338, 342), 347), _PICTURE),
    **dict.fromkeys((*range(512, 522), *range(529, 533), 32995, 32996), _PICTURE),
    **dict.fromkeys((282, 283, 296), _RESOLUTION),
    274: _ORIENTATION,
    **dict.fromkeys(sorted(exif.DESCRIPTIVE), Known(Kind.CARRIED, "EXIF")),
    **dict.fromkeys(exif.POINTERS, _FURTHER),
    **dict.fromkeys((TRANSFER, WHITE, PRIMARIES), _COLOR),
    **dict.fromkeys(GEO, Known(Kind.CARRIED, "GeoTIFF")),
    XMP: Known(Kind.CARRIED, "XMP"),
    IPTC: Known(Kind.CARRIED, "IPTC"),
    PHOTOSHOP: Known(Kind.CARRIED, "Photoshop resources"),
    ICC: Known(Kind.CARRIED, "ICC profile"),
    C2PA: Known(Kind.CARRIED, "C2PA"),
    330: Known(Kind.PICTURE, "further directories"),
    **dict.fromkeys((290, 291, 300, 342), Known(Kind.DESCRIBES, "response curves")),
    **dict.fromkeys((285, 286, 287, 297), Known(Kind.DESCRIBES, "place in a document")),
    **dict.fromkeys((321, 332, 333, 334, 336, 337), Known(Kind.DESCRIBES, "printing inks")),
    32781: Known(Kind.DESCRIBES, "image ID"),
    42112: Known(Kind.DESCRIBES, "GDAL metadata"),
    42113: Known(Kind.HOLDS_DATA, "a value that stands for no data"),
    50844: Known(Kind.HOLDS_DATA, "map projection coefficients"),
    37724: Known(Kind.HOLDS_DATA, "Photoshop layers"),
    50255: Known(Kind.DESCRIBES, "annotations"),
    343: Known(Kind.HOLDS_DATA, "a clipping path"),
    32997: Known(Kind.HOLDS_DATA, "a volume", Reason.SEVERAL_PICTURES),
    **dict.fromkeys((50838, 50839), Known(Kind.HOLDS_DATA, "ImageJ data")),
    34412: Known(Kind.HOLDS_DATA, "microscope data (LSM)"),
    51023: Known(Kind.HOLDS_DATA, "microscope data (FluoView)"),
    65426: Known(Kind.HOLDS_DATA, "microscope data"),
}
_DEPTH = 32997
_PAGE = 297
_MOST_OF_FIELD = 64
_POINTER_BYTES = 8
_NO_NUMBERS = (exif.ASCII, 7)  # 7: of no meaning known
_COLOR_MAP, _JPEG_TABLES = 320, 347
_WORTH_KEEPING = (XMP, IPTC, PHOTOSHOP, ICC, C2PA, *GEO)
_OF_PREVIEW = Known(Kind.DESCRIBES, "metadata of a preview")
_SECOND_PICTURE = Known(Kind.HOLDS_DATA, "another picture", Reason.SEVERAL_PICTURES)


def walk(data: bytes) -> list[Part]:
    """All parts of a file.

    Raises:
      BadExif: the first directory cannot be read.
    """
    parts = [part_of(_PICTURE, 0, 16 if exif.is_big(data) else 8)]
    first = exif.first_directory(data)
    parts += itertools.islice(_of_first(data, first), _MOST_PARTS)
    if len(parts) > _MOST_PARTS:
        raise BadPicture(f"broken TIFF: it has more than {_MOST_PARTS:,} fields and strips")
    parts += gaps(parts, data)
    return parts


def _of_first(data: bytes, at: int) -> Iterator[Part]:
    directory = exif.read_directory(data, at)
    yield _entries(data, at)
    yield from strips(data, directory)
    for tag in directory.fields:
        yield _field(data, directory, tag)
    found = _STACK.search(exif.raw(data, directory, DESCRIPTION)[:4096])
    if found and int(found[1][:9]) > 1:
        raise NotForJpeg2000(
            Reason.SEVERAL_PICTURES, f"a TIFF that holds a stack of {int(found[1][:9])} pictures"
        )
    for tag in directory.beyond:
        if tag in _WORTH_KEEPING:
            raise NotForJpeg2000(
                Reason.DAMAGED, f"a damaged TIFF (its {TAGS[tag].name} should lie beyond its end)"
            )
        yield unknown("TIFF tags beyond the end of the file", at, 12, str(tag))
    seen = {at}
    for tag in exif.POINTERS:
        for offset in exif.numbers(data, directory, tag)[:1]:
            yield from _below(data, offset, seen, exif.MOST_LEVELS)
    for offset in exif.numbers(data, directory, exif.SUB_DIRECTORIES)[:_MOST_DIRECTORIES]:
        yield from _further(data, offset, seen)
    if directory.next:
        yield from _further(data, directory.next, seen)


def _further(data: bytes, at: int, seen: set[int]) -> Iterator[Part]:
    """Directories of further pictures: smaller versions of the picture are named, others keep the file."""
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        try:
            directory = exif.read_directory(data, at)
        except BadExif:
            return
        kind = (exif.numbers(data, directory, SUBFILE) or (0,))[0]
        pixels = list(strips(data, directory))
        size = min(sum(part.length for part in pixels), len(data))
        yield _entries(data, at)
        if kind & _REDUCED and not kind & _MASK:
            yield Part(Kind.DESCRIBES, "preview", at, size, most=ANY_SIZE)
        else:
            known = Known(Kind.HOLDS_DATA, "a mask") if kind & _MASK else _SECOND_PICTURE
            yield Part(known.kind, known.name, at, size, reason=known.reason)
        yield from pixels
        yield from _of_further(data, directory)
        at = directory.next


def _of_further(data: bytes, directory: Directory) -> Iterator[Part]:
    """The fields of a directory after the first, whose metadata are dropped."""
    for tag, field in directory.fields.items():
        if TAGS.get(tag, _PICTURE).kind is Kind.CARRIED and field.size > _MOST_OF_FIELD:
            yield part_of(_OF_PREVIEW, field.offset, field.size, str(tag))
        else:
            yield _field(data, directory, tag)


def _field(data: bytes, directory: Directory, tag: int) -> Part:
    """The value of a field: unknown if it has more bytes than a picture of this size needs."""
    known, field = TAGS.get(tag), directory.fields[tag]
    is_strange = known in _BOUNDED and (
        field.size > _most_bytes(data, directory, tag)
        or (field.type in _NO_NUMBERS and tag != _JPEG_TABLES)
        or (tag in exif.POINTERS and field.size > _POINTER_BYTES)
    )
    if known is None or is_strange:
        value = printable(exif.raw(data, directory, tag)) if field.type == exif.ASCII else ""
        return unknown("TIFF tags", field.offset, field.size, f"{tag} {value}".strip())
    if tag == _DEPTH and exif.numbers(data, directory, tag) in ((), (1,)):
        return part_of(_PICTURE, field.offset, min(field.size, 8))
    if tag == _PAGE and exif.numbers(data, directory, tag) in ((0, 0), (0, 1)):  # the only one
        return part_of(_PICTURE, field.offset, field.size)
    return part_of(known, field.offset, field.size, str(tag))


def _most_bytes(data: bytes, directory: Directory, tag: int) -> int:
    """Bytes that the value of a tag of structure or color may have."""
    width, height, bits, compression, samples = (
        (exif.numbers(data, directory, one) or (1,))[0] for one in (256, 257, 258, 259, 277)
    )
    if tag in (STRIP_OFFSETS, STRIP_BYTES):
        return _MOST_OF_FIELD + 8 * height * samples
    if tag in (TILE_OFFSETS, TILE_BYTES):
        return _MOST_OF_FIELD + 8 * (width // 16 + 1) * (height // 16 + 1) * samples
    if tag in (TRANSFER, _COLOR_MAP):
        return 6 << min(bits, 16)
    return 1 << 12 if tag == _JPEG_TABLES and compression == 7 else _MOST_OF_FIELD


def _below(data: bytes, at: int, seen: set[int], levels: int) -> Iterator[Part]:
    """A directory of EXIF, and the nested ones, to the depth that is carried."""
    if at in seen:
        return
    seen.add(at)
    try:
        directory = exif.read_directory(data, at)
        if not levels:
            raise BadExif("it lies too deep")
    except BadExif as error:
        yield unknown("EXIF directories (they cannot be read)", at, 0, str(error))
        return
    yield _entries(data, at)
    yield from _values(data, directory)
    for tag in directory.beyond:
        yield unknown("EXIF fields beyond the end of the file", at, 12, str(tag))
    for tag in exif.POINTERS:
        for offset in exif.numbers(data, directory, tag)[:1]:
            yield from _below(data, offset, seen, levels - 1)


def _values(data: bytes, directory: Directory) -> Iterator[Part]:
    for field in directory.fields.values():
        yield part_of(_PICTURE, field.offset, field.size)


def _entries(data: bytes, at: int) -> Part:
    """The table of a directory itself."""
    big = exif.is_big(data)
    count = int.from_bytes(
        data[at : at + (8 if big else 2)], "little" if exif.byte_order(data) == "<" else "big"
    )
    size = 16 + 20 * count if big else 6 + 12 * count
    return part_of(_PICTURE, at, max(0, min(size, len(data) - at)))


def strips(data: bytes, directory: Directory) -> Iterator[Part]:
    """The coded pixels of a directory."""
    for starts, sizes in ((STRIP_OFFSETS, STRIP_BYTES), (TILE_OFFSETS, TILE_BYTES), (513, 514)):
        offsets, lengths = (exif.numbers(data, directory, tag)[:_MOST_STRIPS] for tag in (starts, sizes))
        for at, length in zip(offsets, lengths, strict=False):
            if at < len(data):
                yield part_of(_PICTURE, at, min(length, len(data) - at))


def missing_strips(data: bytes, directory: Directory) -> bool:
    """Whether some strips or tiles are empty, or reach beyond the file."""
    for starts, sizes in ((STRIP_OFFSETS, STRIP_BYTES), (TILE_OFFSETS, TILE_BYTES)):
        offsets, lengths = (exif.numbers(data, directory, tag)[:_MOST_STRIPS] for tag in (starts, sizes))
        if lengths and any(
            not length or at + length > len(data) for at, length in zip(offsets, lengths, strict=False)
        ):
            return True
    return False


def without_first_directory(block: bytes) -> bytes:
    """An EXIF block with zeros in place of its first directory and a thumbnail's, which are both rewritten.

    Whatever the directories below the first use stays.
    """
    first = exif.first_directory(block)
    used: list[Part] = []
    dead: list[Part] = []
    for number, (at, directory) in enumerate(_chain(block, first)):
        dead += [_entries(block, at), *_values(block, directory), *strips(block, directory)]
        for tag in exif.POINTERS if not number else ():
            for offset in exif.numbers(block, directory, tag)[:1]:
                used += _below(block, offset, {first}, exif.MOST_LEVELS)
    blank = bytearray(block)
    for part in dead:
        blank[part.start : part.end] = bytes(part.length)
    for part in used:
        blank[part.start : part.end] = block[part.start : part.end]
    return block[:8] + bytes(blank[8:])


def _chain(block: bytes, first: int) -> Iterator[tuple[int, Directory]]:
    at, seen = first, set[int]()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        directory = exif.read_directory(block, at)
        yield at, directory
        at = directory.next
