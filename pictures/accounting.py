"""Accounts for every byte of a source: what each part of a file is, and what happens to it.

A reader walks its file to the last byte and names the parts it finds. Whatever a JP2 cannot hold is either a
description, whose loss is named, or data, in which case the source is kept unchanged. Unknown parts are named
if they are small, and keep the source if they are large.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from foveate.pictures.picture import NotForJpeg2000
from foveate.pictures.reasons import Reason

MOST_UNKNOWN = 4096
"""Limit for the bytes of unknown parts in one file, beyond which they count as data."""

MOST_DESCRIBED = 1 << 16
"""Limit for the bytes of all descriptions of one name in a file, beyond which they count as data."""

ANY_SIZE = 1 << 62
"""`Known.most` of smaller copies of the picture."""

_NAMES_SHOWN = 12
_LONGEST_DETAIL = 60


class Kind(enum.StrEnum):
    """Classes of parts, by what becomes of them."""

    PICTURE = "picture"  # pixels, what is needed to decode them, structure, padding
    CARRIED = "carried"  # metadata that the archive holds as well
    DESCRIBES = "describes"  # dropped, and named
    HOLDS_DATA = "holds data"  # keeps the source unchanged
    UNKNOWN = "unknown"  # named if small; large ones count as data


class Known(NamedTuple):
    """Facts about one kind of part.

    kind: what becomes of it.
    name: a short name for people.
    reason: why the source is kept because of it, if it is.
    most: bytes that all parts of this name in a file may have together. Beyond that, parts that are carried
      or belong to the picture count as unknown (None: no limit), and descriptions count as data (None:
      `MOST_DESCRIBED`).
    once: whether readers use only the first of this name, so that any other is unknown.
    """

    kind: Kind
    name: str
    reason: Reason = Reason.EXTRA_DATA
    most: int | None = None
    once: bool = False


PREVIEW = Known(Kind.DESCRIBES, "preview", most=ANY_SIZE)
"""A smaller copy of the picture."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Some bytes of a file.

    kind, name: as in `Known`.
    start, length: where they are.
    detail: which one of its kind it is: a keyword or a number.
    reason, most, once: as in `Known`.
    """

    kind: Kind
    name: str
    start: int
    length: int
    detail: str = ""
    reason: Reason = Reason.EXTRA_DATA
    most: int | None = None
    once: bool = False

    @property
    def end(self) -> int:
        """Where the next part begins."""
        return self.start + self.length


def part_of(known: Known, start: int, length: int, detail: str = "") -> Part:
    """A part of a known kind."""
    return Part(known.kind, known.name, start, length, detail, known.reason, known.most, known.once)


def unknown(name: str, start: int, length: int, detail: str = "") -> Part:
    """An unknown part."""
    return Part(Kind.UNKNOWN, f"unknown {name}", start, length, detail)


def unreadable(known: Known, start: int, length: int, detail: str = "") -> Part:
    """A part named like one of this kind, with other content."""
    return Part(Kind.UNKNOWN, f"unreadable {known.name}", start, length, detail)


def pixel_shape(across: int, down: int) -> list[Part]:
    """The shape of pixels of which so many across equal so many down in length, unless they are square."""
    detail = f"{across} to {down}"
    return (
        [] if across == down else [Part(Kind.DESCRIBES, "shape of pixels that are not square", 0, 8, detail)]
    )


def printable(mark: bytes) -> str:
    """The beginning of some bytes as text for a message, with a point for unprintable characters."""
    return "".join(chr(byte) if 0x20 < byte < 0x7F else "." for byte in mark[:24])


def is_padding(data: bytes, start: int, end: int) -> bool:
    """Whether all bits are zeros, or all are ones, as in padding to round sizes."""
    piece = data[start:end]
    return not piece.strip(b"\0") or not piece.strip(b"\xff")


def gaps(parts: Iterable[Part], data: bytes, start: int = 0) -> Iterator[Part]:
    """Classifies bytes that no part covers from `start` on: padding, or unknown."""
    at = start
    for part in sorted(parts, key=lambda part: part.start):
        if part.start > at:
            yield _gap(data, at, part.start)
        at = max(at, part.end)
    if at < len(data):
        yield behind(data, at)


def behind(data: bytes, at: int, end: int | None = None) -> Part:
    """Classifies the bytes behind the end of a picture: another picture, a video, or by their first bytes.

    It reaches to `end`, or to the end of the file.
    """
    stop = len(data) if end is None else end
    length = stop - at
    if is_padding(data, at, stop):
        return Part(Kind.PICTURE, "padding", at, length)
    beginning = data[at : min(at + 4096, stop)]
    first = at + len(beginning) - len(beginning.lstrip(b"\0"))  # behind padding
    head = data[first : min(first + 16, stop)]
    for mark, offset, name, reason in _TRAILERS:
        # A box begins with its size, whose first bytes may also be zeros.
        if any(data.startswith(mark, max(at, first - zeros) + offset, stop) for zeros in range(4)):
            return Part(Kind.HOLDS_DATA, f"{name} after the picture", at, length, reason=reason)
    return unknown("bytes after the picture", at, length, printable(head))


_TRAILERS = (
    (b"\xff\xd8\xff", 0, "another picture", Reason.SEVERAL_PICTURES),
    (b"\x89PNG", 0, "another picture", Reason.SEVERAL_PICTURES),
    (b"II*\0", 0, "another picture", Reason.SEVERAL_PICTURES),
    (b"MM\0*", 0, "another picture", Reason.SEVERAL_PICTURES),
    (b"GIF8", 0, "another picture", Reason.SEVERAL_PICTURES),
    (b"RIFF", 0, "a picture, sound or video", Reason.EXTRA_DATA),
    (b"ftyp", 4, "a video", Reason.EXTRA_DATA),
    (b"moov", 4, "a video", Reason.EXTRA_DATA),
    (b"mdat", 4, "a video", Reason.EXTRA_DATA),
    (b"OggS", 0, "sound or video", Reason.EXTRA_DATA),
    (b"ID3", 0, "sound", Reason.EXTRA_DATA),
    (b"fLaC", 0, "sound", Reason.EXTRA_DATA),
    (b"\x1aE\xdf\xa3", 0, "a video", Reason.EXTRA_DATA),
    (b"PK\3\4", 0, "a ZIP archive", Reason.EXTRA_DATA),
    (b"Rar!", 0, "an archive", Reason.EXTRA_DATA),
    (b"7z\xbc\xaf", 0, "an archive", Reason.EXTRA_DATA),
    (b"\x1f\x8b", 0, "an archive", Reason.EXTRA_DATA),
    (b"%PDF", 0, "a document", Reason.EXTRA_DATA),
)


def _gap(data: bytes, start: int, end: int) -> Part:
    if is_padding(data, start, end):
        return Part(Kind.PICTURE, "padding", start, end - start)
    return unknown("bytes between its parts", start, end - start, printable(data[start : start + 8]))


def settle(parts: Sequence[Part], form: str) -> tuple[str, ...]:
    """Lists what is lost of these parts if their picture becomes a JP2: "name: details" for each name.

    Args:
      parts: everything that a walk found.
      form: how the file is called in a reason, such as "a JPEG".

    Raises:
      NotForJpeg2000: the source should be kept unchanged because of its contents.
    """
    judged = list(_judged(parts))
    large = _too_large(judged)
    holding = [part for part in judged if part.kind is Kind.HOLDS_DATA or part.name in large]
    if holding:
        largest = max(holding, key=lambda part: part.length)
        what = "; ".join(_grouped(holding))
        raise NotForJpeg2000(largest.reason, f"{form} that holds {what}")
    strange = [part for part in judged if part.kind is Kind.UNKNOWN]
    if sum(part.length for part in strange) > MOST_UNKNOWN:
        raise NotForJpeg2000(Reason.EXTRA_DATA, f"{form} that holds {'; '.join(_grouped(strange))}")
    return tuple(_grouped([part for part in judged if part.kind in (Kind.DESCRIBES, Kind.UNKNOWN)]))


def _judged(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts; those that are too many, or have too many bytes, count as unknown from there on."""
    sizes: dict[str, int] = {}
    for part in parts:
        if part.kind not in (Kind.PICTURE, Kind.CARRIED):
            yield part
            continue
        before = sizes.get(part.name)
        sizes[part.name] = (before or 0) + part.length
        if part.once and before is not None:
            yield Part(Kind.UNKNOWN, f"a second {part.name}", part.start, part.length, part.detail)
            continue
        excess = 0 if part.most is None else min(part.length, sizes[part.name] - part.most)
        if excess > 0:
            yield Part(Kind.UNKNOWN, f"too many bytes of {part.name}", part.end - excess, excess, part.detail)
        yield dataclasses.replace(part, length=part.length - max(0, excess))


def _too_large(parts: Iterable[Part]) -> set[str]:
    """The names of descriptions with too many bytes."""
    sizes: dict[str, int] = {}
    most: dict[str, int] = {}
    for part in parts:
        if part.kind is Kind.DESCRIBES:
            sizes[part.name] = sizes.get(part.name, 0) + part.length
            most[part.name] = MOST_DESCRIBED if part.most is None else part.most
    return {name for name, size in sizes.items() if size > most[name]}


def _grouped(parts: Iterable[Part]) -> Iterator[str]:
    """Groups parts by name, with their details and bytes."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.name, []).append(part)
    for name, group in groups.items():
        details = list(dict.fromkeys(part.detail[:_LONGEST_DETAIL] for part in group if part.detail))
        more = f" and {len(details) - _NAMES_SHOWN} more" if len(details) > _NAMES_SHOWN else ""
        size = f"{sum(part.length for part in group):,} bytes"
        listed = ", ".join(details[:_NAMES_SHOWN]) + more
        yield f"{name}: {listed} ({size})" if listed else f"{name}: {size}"
