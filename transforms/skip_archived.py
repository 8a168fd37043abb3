"""Skips sources that are archived already with the same settings and networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from foveate.archive.names import ending_of
from foveate.archive.newest import ArchivedRow
from foveate.archive.rows import MetricsRow, RunLabels, make_row
from foveate.archive.up_to_date import ArchiveIndex
from foveate.storage.errors import BadInput
from foveate.storage.files import join, stored_version
from foveate.storage.source import SourceFile

ROWS = "rows"
SIZES = "sizes"


class SkipArchived(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Passes on sources not archived with these settings and weights.

    Of the others go (source bytes, archive bytes) to the tag "sizes", or where a new row says something new,
    that row to the tag "rows".
    """

    def __init__(self, run: RunLabels) -> None:
        self.run = run
        self.shared = Shared()
        self.index: ArchiveIndex | None = None

    def setup(self) -> None:
        """Reads what the archive holds, once for all threads of a process."""
        self.index = self.shared.acquire(lambda: ArchiveIndex.read(self.run.archive), self.run.run_id)

    def process(self, source: SourceFile) -> Iterator[Any]:
        """One source in, itself or its "skipped" row out."""
        if self.index is None:
            raise AssertionError("setup has not run")
        try:
            row = self.index.up_to_date(source, self.run.settings_digest, self.run.weights_digest)
        except (OSError, BadInput):  # it cannot be read: the next step will say why
            row = None
        if row is None:
            yield source
        elif self.index.knows(source, row):
            yield beam.pvalue.TaggedOutput(SIZES, (source.size_bytes, row.archive_bytes))
        else:
            yield beam.pvalue.TaggedOutput(ROWS, self.skipped(source, row))

    def skipped(self, source: SourceFile, row: ArchivedRow) -> MetricsRow:
        """The row of a source that was left alone."""
        url = join(self.run.archive, source.relative_path + ending_of(row.archive_url, row.relative_path))
        return make_row(
            source,
            self.run,
            "skipped",
            archive_url=url,
            reason="archived already with the same settings",
            archive_bytes=row.archive_bytes,
            source_sha256=row.source_sha256,
            target="",
            archive_version=stored_version(url) or None,
            archive_sha256=row.archive_sha256,
        )
