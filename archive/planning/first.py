"""Gives each place in an archive to one source: repeated sources count once, and clashes are reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from foveate.archive.names import claim_of, file_of
from foveate.storage.errors import BadInput
from foveate.storage.folding import folds_names
from foveate.storage.source import SourceFile


@dataclasses.dataclass(frozen=True)
class Taken:
    """A source whose place in the output is taken by another."""

    source: SourceFile
    first: SourceFile

    @property
    def error(self) -> BadInput:
        """The problem, for a failure row."""
        place = max(self.source.relative_path, self.first.relative_path, key=len)
        return BadInput(
            f"its place in the output, {place}, is taken by {self.first.url}; use another destination"
        )


def first_of_each_place(alike: Iterable[SourceFile], archive: str) -> Iterator[SourceFile | Taken]:
    """The first source of each place by its url, and the others; drops repetitions.

    Names that differ in case alone, or in how accents are written, are one place where the archive's
    filesystem takes them for one.

    Args:
      alike: sources that may want one place, all that there are: alike by `spool.place_of`.
      archive: the root below which the places are.
    """
    by_file: dict[tuple[str, str], SourceFile] = {}
    for source in sorted(alike, key=lambda source: source.url):
        by_file.setdefault(file_of(source), source)
    places: dict[str, list[SourceFile]] = {}
    for source in by_file.values():
        places.setdefault(claim_of(source.relative_path), []).append(source)
    if len(places) > 1 and folds_names(archive):
        places = {"": list(by_file.values())}
    for first, *others in places.values():
        yield first
        yield from (Taken(other, first) for other in others)
