"""Names restored files, so that no two want one place."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.encryption import ENDING
from foveate.archive.names import JPEG2000_EXTENSIONS, is_jpeg2000
from foveate.archive.tables import lies_in_archive
from foveate.pictures.formats import PICTURE_EXTENSIONS, PictureFormat, extension
from foveate.storage.errors import BadInput
from foveate.storage.listing import find_files
from foveate.storage.source import SourceFile
from foveate.transforms.steps import FAILURES, failure

EXTENSIONS = JPEG2000_EXTENSIONS | PICTURE_EXTENSIONS | {ENDING}
"""The files of a folder that are restored: lower case, with the dot."""


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file to restore and its path below the output."""

    source: SourceFile
    path: str


def name_outputs(
    named: tuple[bytes, Iterable[SourceFile]], file_format: PictureFormat
) -> Iterator[NamedFile]:
    """Names the files that share a short name: one alone gets it, several keep their full names."""
    files = sorted({file.url: file for file in named[1]}.values(), key=lambda file: file.url)
    for file in files:
        if len(files) == 1 or not is_jpeg2000(file.relative_path):
            yield NamedFile(file, short_name(file, file_format))
        else:
            yield NamedFile(file, _without_jp2(file.relative_path) + extension(file_format))


def one_of_each_path(named: tuple[bytes, Iterable[NamedFile]]) -> Iterator[Any]:
    """The first file of a path by its url; others become failures."""
    first, *others = sorted(named[1], key=lambda file: file.source.url)
    yield first
    for other in others:
        error = BadInput(
            f"its place, {first.path}, is taken by {first.source.url}: restore it to another destination"
        )
        yield beam.pvalue.TaggedOutput(FAILURES, failure(other.source.url, "match", error))


def short_name(file: SourceFile, file_format: PictureFormat) -> str:
    """Where a file belongs if no other wants the place: photo.jpg.jp2 -> photo.png; others keep theirs."""
    if not is_jpeg2000(file.relative_path):
        return file.relative_path
    name = _without_jp2(file.relative_path)
    stem, dot, ending = name.rpartition(".")
    if dot and f".{ending.lower()}" in PICTURE_EXTENSIONS:
        name = stem
    return name + extension(file_format)


def _without_jp2(path: str) -> str:
    return path.rpartition(".")[0]


@dataclasses.dataclass
class NameOutputs(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Sources as named on a command line → `NamedFile`s, each place once; outputs: "files" and "failures".

    Names travel as bytes: not every file name is text.
    """

    sources: tuple[str, ...]
    folder: str
    file_format: PictureFormat

    def expand(self, root: Any) -> Any:
        """Lists, gives short names where one file alone wants them, and takes each path once."""
        return (
            root
            | "Name sources" >> beam.Create([os.fsencode(source) for source in self.sources])
            | "List files" >> beam.FlatMap(_find, self.folder).with_output_types(SourceFile)
            | "Key by short name"
            >> beam.Map(lambda file: (os.fsencode(short_name(file, self.file_format)), file))
            | "Gather short names" >> beam.GroupByKey()
            | "Name outputs" >> beam.FlatMap(name_outputs, self.file_format)
            | "Key by path" >> beam.Map(lambda file: (os.fsencode(file.path), file))
            | "Gather paths" >> beam.GroupByKey()
            | "Take each path once" >> beam.FlatMap(one_of_each_path).with_outputs(FAILURES, main="files")
        )


def find_restorable(
    source: str, output: str, other_kinds: collections.Counter[str] | None = None
) -> Iterator[SourceFile]:
    """The files that a source names, encrypted ones by the names of what they hold.

    Of an archive, or a folder in one, all files are taken: it holds nothing that does not belong there. Other
    arguments are as of `find_files`.

    Raises:
      NothingFound: there is no such file or folder, or nothing in it.
    """
    every_kind = lies_in_archive(source)
    for file in find_files(source, EXTENSIONS, output, other_kinds, every_kind=every_kind):
        yield dataclasses.replace(file, relative_path=file.relative_path.removesuffix(ENDING))


def _find(source: bytes, output: str) -> Iterator[SourceFile]:
    return find_restorable(os.fsdecode(source), output)
