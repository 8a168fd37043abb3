"""A source file: its url, and its path below the output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file to process: where it is, and where it belongs in the output."""

    url: str
    relative_path: str  # below the root it was found under, with forward slashes
    size_bytes: int
    modified: float  # seconds since 1970, 0 where the filesystem does not say
    frame: int = 0  # the one of a file of several that is meant, counted from 1; 0: the file
    generation: str = ""  # of an object whose store numbers its versions
    checksum: str = ""  # of its content, where a listing has one: "md5:...", "crc32c:...", "etag:..."

    @property
    def source(self) -> SourceFile:
        """Itself: every element that flows through a pipeline names its source."""
        return self


class SourcePage(NamedTuple):
    """Some source files, column by column, with a column for each field of `SourceFile`, in order."""

    urls: Sequence[str]
    paths: Sequence[str]
    sizes: Sequence[int]
    modified: Sequence[float]
    frames: Sequence[int]
    generations: Sequence[str]
    checksums: Sequence[str]

    @staticmethod
    def of(sources: Iterable[SourceFile]) -> SourcePage:
        """A page of these files."""
        rows = [
            (s.url, s.relative_path, s.size_bytes, s.modified, s.frame, s.generation, s.checksum)
            for s in sources
        ]
        return SourcePage(*zip(*rows, strict=True)) if rows else SourcePage((), (), (), (), (), (), ())

    def files(self) -> Iterator[SourceFile]:
        """The files, one by one."""
        return map(SourceFile, *self)
