"""From what a person names to the files to work on: each once, and only what is not done yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.names import claim_of, file_of, name_bytes
from foveate.storage.errors import BadInput
from foveate.storage.folding import folded, folds_names
from foveate.storage.listing import find_files
from foveate.storage.source import SourceFile
from foveate.transforms.frames import DicomFrames, ExpandFrames
from foveate.transforms.steps import FAILURES, failure


@dataclasses.dataclass
class MatchSources(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Sources as named on a command line → `SourceFile`s, each place once; outputs: main and "failures".

    Paths are all that is shuffled: by name, and before that where the frames of files are asked for.
    """

    sources: tuple[str, ...]
    extensions: frozenset[str]
    archive: str
    dicom_frames: DicomFrames = "keep"

    def expand(self, root: Any) -> Any:
        """Lists, groups by name, and takes one of each."""
        return (
            root
            | "Name sources" >> beam.Create([name_bytes(source) for source in self.sources])
            | "List files"
            >> beam.FlatMap(_find_named, self.extensions, self.archive).with_output_types(SourceFile)
            | "Expand frames" >> ExpandFrames(self.dicom_frames)
            | "Key by name"
            >> beam.Map(lambda source: (name_bytes(folded(claim_of(source.relative_path))), source))
            | "Gather names" >> beam.GroupByKey()
            | "Take each once"
            >> beam.FlatMap(one_of_each_name, self.archive).with_outputs(FAILURES, main="sources")
        )


def _find_named(source: bytes, extensions: frozenset[str], archive: str) -> Iterator[SourceFile]:
    return find_files(source.decode(errors="surrogatepass"), extensions, archive)


def one_of_each_name(named: tuple[bytes, Iterable[SourceFile]], archive: str) -> Iterator[Any]:
    """The first source of a place by its url; others there become failures, repetitions are dropped.

    Names that differ in case alone, or in how accents are written, are one place where the archive's
    filesystem takes them for one.
    """
    by_file: dict[tuple[str, str], SourceFile] = {}
    for source in sorted(named[1], key=lambda source: source.url):
        by_file.setdefault(file_of(source), source)
    places: dict[str, list[SourceFile]] = {}
    for source in by_file.values():
        places.setdefault(claim_of(source.relative_path), []).append(source)
    if len(places) > 1 and folds_names(archive):
        places = {"": list(by_file.values())}
    for sources in places.values():
        yield from _first_of_a_place(sources)


def _first_of_a_place(sources: list[SourceFile]) -> Iterator[Any]:
    yield sources[0]
    for other in sources[1:]:
        place = max(other.relative_path, sources[0].relative_path, key=len)
        error = BadInput(
            f"its place in the output, {place}, is taken by {sources[0].url}: give it another destination"
        )
        yield beam.pvalue.TaggedOutput(FAILURES, failure(other.url, "match", error))
