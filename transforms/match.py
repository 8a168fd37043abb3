"""From what a person names to the files to work on: each once, and only what is not done yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.names import claim_of, name_bytes
from foveate.archive.planning.first import Taken, first_of_each_place
from foveate.storage.folding import folded
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
    """`first_of_each_place` as outputs of a Beam step: sources whose place another has become failures."""
    for found in first_of_each_place(named[1], archive):
        if isinstance(found, Taken):
            yield beam.pvalue.TaggedOutput(FAILURES, failure(found.source.url, "match", found.error))
        else:
            yield found
