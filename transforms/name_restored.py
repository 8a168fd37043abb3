"""Gives every restored file a name of its own.

sources ─▶ plan ─▶ slices of its parts, spread over all workers ─▶ files, each with its path; failures
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.names import name_bytes
from foveate.archive.planning.restore_plan import (
    NamedFile,
    RestorePlan,
    Unnamed,
    plan_restore,
    read_restore_plan,
)
from foveate.archive.planning.slices import Slice, cut_part
from foveate.pictures.formats import PictureFormat
from foveate.transforms.steps import FAILURES, Element, failure


@dataclasses.dataclass
class NameRestored(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """A restore's sources → `NamedFile`s, each place once; outputs: "files" (main) and "failures".

    Args:
      plan: a plan that is there already; None: a worker plans.
      sources, output, file_format, folder: as of `plan_restore`, for a worker that plans.
    """

    plan: RestorePlan | None
    sources: tuple[str, ...]
    output: str
    file_format: PictureFormat
    folder: str

    def expand(self, root: Any) -> Any:
        """Plans, if need be, and reads slices in parallel; a slice's files stay on one worker."""
        return (
            self._parts(root)
            | "Spread parts" >> beam.Reshuffle()
            | "Cut parts" >> beam.FlatMap(cut_part).with_output_types(Element)
            | "Spread slices" >> beam.Reshuffle()
            | "Read slices"
            >> beam.FlatMap(_read, self.file_format)
            .with_output_types(NamedFile)
            .with_outputs(FAILURES, main="files")
        )

    def _parts(self, root: Any) -> Any:
        if self.plan is not None:
            return root | "Name parts" >> beam.Create(list(self.plan.parts)).with_output_types(str)
        named = tuple(name_bytes(source) for source in self.sources)  # not every file name is text
        asked = name_bytes(self.output), self.file_format, self.folder
        return (
            root
            | "Name sources" >> beam.Create([named])
            | "Plan" >> beam.FlatMap(_plan, *asked).with_output_types(str)
        )


def _plan(
    sources: tuple[bytes, ...], output: bytes, file_format: PictureFormat, folder: str
) -> tuple[str, ...]:
    """`plan_restore` as a Beam step; returns the urls of the parts."""
    names = tuple(name.decode(errors="surrogatepass") for name in sources)
    return plan_restore(names, output.decode(errors="surrogatepass"), file_format, folder).parts


def _read(part: Slice, file_format: PictureFormat) -> Iterator[Any]:
    """`read_restore_plan` as outputs of a Beam step: a file whose place is taken becomes a failure."""
    for file in read_restore_plan(part, file_format):
        if isinstance(file, Unnamed):
            yield beam.pvalue.TaggedOutput(FAILURES, failure(file.source.url, "match", file.error))
        else:
            yield file
