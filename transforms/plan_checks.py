"""Plans a verification: joins an archive's tables with one listing, which gives the files to check.

archive ─▶ tables joined with one listing ─▶ parts ─▶ Check, one per file, for `transforms.verify`
                                                   └▶ Finding: missing, untracked, stale, of another size
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.expected import Check
from foveate.archive.planning.verification import plan_checks, read_checks, write_sums
from foveate.transforms.steps import Element

FINDINGS = "findings"


def read_part(url: str, archive: bytes) -> Iterator[Any]:
    """`read_checks` as outputs of a Beam step: findings go to the tag "findings"."""
    for planned in read_checks(url, archive.decode(errors="surrogatepass")):
        yield planned if isinstance(planned, Check) else beam.pvalue.TaggedOutput(FINDINGS, planned)


@dataclasses.dataclass
class PlanChecks(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """An archive → a `Check` for each file to look at; outputs: "checks" (main) and "findings".

    Args:
      archive: its root, or one file.
      parts: the urls of a plan that is there already; None: a worker plans.
      quick, recheck, folder: as of `plan_checks`, for a worker that plans.
    """

    archive: str
    parts: tuple[str, ...] | None
    quick: bool
    recheck: int
    folder: str

    def expand(self, root: Any) -> Any:
        """Plans, if need be, and reads parts in parallel; a part's files stay on one worker."""
        name = self.archive.encode(errors="surrogatepass")
        if self.parts is not None:
            parts = root | "Name parts" >> beam.Create(list(self.parts)).with_output_types(str)
        else:
            parts = (
                root
                | "Name the archive" >> beam.Create([name])
                | "Join tables and listing"
                >> beam.FlatMap(plan_on_worker, self.quick, self.recheck, self.folder).with_output_types(str)
            )
        return (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Read parts"
            >> beam.FlatMap(read_part, name).with_output_types(Element).with_outputs(FINDINGS, main="checks")
        )


def plan_on_worker(archive: bytes, quick: bool, recheck: int, folder: str) -> Iterator[str]:
    """`plan_checks` as a Beam step; gives the urls of the parts, and leaves its sums in the folder."""
    checks = plan_checks(archive.decode(errors="surrogatepass"), quick, recheck, folder)
    write_sums(checks, folder)
    yield from checks.parts
