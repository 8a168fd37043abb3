"""From what a person names to the files to work on: each once, and only what is not done yet."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils.shared import Shared

from codec import jp2
from codec.dicom import MISSING_EXTRA
from codec.errors import BadCodestream
from codec.jp2 import ArchiveRecord
from transforms.elements import MetricsRow, SourceFile
from transforms.files import find_files, join, list_folder, read_whole
from transforms.frames import DicomFrames, ExpandFrames
from transforms.steps import FAILURES, BadInput, failure
from transforms.tables import ArchivedRow, latest_rows, table_text

ROWS = "rows"
_HEAD_BYTES = 1 << 16  # of an archived file: its record stands before the codestream


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
            | "Key by name" >> beam.Map(lambda source: (name_bytes(_claim(source.relative_path)), source))
            | "Gather names" >> beam.GroupByKey()
            | "Take each once" >> beam.FlatMap(one_of_each_name).with_outputs(FAILURES, main="sources")
        )


def name_bytes(name: str) -> bytes:
    """A name as Beam's coders take it: a file's name need not be UTF-8, a string that they write must be."""
    return name.encode(errors="surrogatepass")


def _find_named(source: bytes, extensions: frozenset[str], archive: str) -> Iterator[SourceFile]:
    return find_files(source.decode(errors="surrogatepass"), extensions, archive)


def _claim(relative_path: str) -> str:
    """What sources share that may want one place: `p.png` becomes `p.png.jp2`, and that may be one too."""
    while relative_path.endswith(".jp2"):
        relative_path = relative_path.removesuffix(".jp2")
    return relative_path


def _file_of(source: SourceFile) -> tuple[str, str]:
    """What is alike for one file under several spellings: relative, absolute, through links to folders."""
    url = source.url if "://" in source.url else os.path.realpath(source.url)
    return url, source.relative_path


def one_of_each_name(named: tuple[bytes, Iterable[SourceFile]]) -> Iterator[Any]:
    """The first source of a place by its url; others there become failures, repetitions are dropped."""
    by_file: dict[tuple[str, str], SourceFile] = {}
    for source in sorted(named[1], key=lambda source: source.url):
        by_file.setdefault(_file_of(source), source)
    sources = list(by_file.values())
    yield sources[0]
    for other in sources[1:]:
        place = max(other.relative_path, sources[0].relative_path, key=len)
        error = BadInput(
            f"its place in the output, {place}, is taken by {sources[0].url}: give it another destination"
        )
        yield beam.pvalue.TaggedOutput(FAILURES, failure(other.url, "match", error))


def archive_url(archive: str, source: SourceFile) -> str:
    """Where a source's JP2 belongs: its full name is kept, so that the source's path alone decides."""
    return join(archive, source.relative_path + ".jp2")


def kept_url(archive: str, source: SourceFile) -> str:
    """Where a source that is kept unchanged belongs."""
    return join(archive, source.relative_path)


def made_alike(
    record: ArchiveRecord | None, source_sha256: str, settings_digest: str, weights_digest: str
) -> bool:
    """Whether a file's own record says that it was made of this source, with these settings and weights."""
    return record is not None and (
        record.source_sha256.hex(),
        record.settings_digest.hex(),
        record.weights_digest.hex(),
    ) == (source_sha256, settings_digest, weights_digest)


def _archived_record(url: str) -> ArchiveRecord | None:
    """The record of an archived file, None if it cannot be read; mostly from the file's beginning alone."""
    try:
        with FileSystems.open(url, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            head = file.read(_HEAD_BYTES)
            try:
                return jp2.read_record(head)
            except BadCodestream:  # there is more metadata than that before it
                return jp2.read_record(head + file.read())
    except (BadCodestream, OSError):  # damaged or foreign: it is made again
        return None


@dataclasses.dataclass(frozen=True)
class ArchiveIndex:
    """What an archive holds already: its newest rows, and the sizes of its files by their paths below it."""

    archive: str
    rows: dict[str, ArchivedRow]
    sizes: dict[str, int]

    @staticmethod
    def read(archive: str) -> ArchiveIndex:
        """Reads the tables, and lists the files once."""
        rows = latest_rows(archive)
        return ArchiveIndex(archive, rows, dict(list_folder(archive)) if rows else {})

    def up_to_date(self, source: SourceFile, settings_digest: str, weights_digest: str) -> ArchivedRow | None:
        """The row of a source that need not be archived again, None if it must be.

        A source that moved or was touched is read, and is the same if its bytes are. A JP2 file has the last
        word on what made it: rows are written at a run's end, and a run that was killed has left files only.
        """
        row = self.rows.get(table_text(source.relative_path))
        if row is None or row.source_bytes != source.size_bytes:
            return None
        if row.reason.startswith(MISSING_EXTRA):  # it may be there now
            return None
        if (row.settings_digest, row.weights_digest) != (settings_digest, weights_digest):
            return None
        compressed = row.archive_url.endswith(table_text(source.relative_path) + ".jp2")
        place = source.relative_path + (".jp2" if compressed else "")
        if self.sizes.get(place) != row.archive_bytes:
            return None
        if compressed and not made_alike(
            _archived_record(join(self.archive, place)), row.source_sha256, settings_digest, weights_digest
        ):
            return None
        untouched = source.modified and source.modified == row.source_modified
        if untouched and row.source_url == table_text(source.url):
            return row
        return row if hashlib.sha256(read_whole(source.url)).hexdigest() == row.source_sha256 else None


class SkipArchived(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Passes on sources not archived with these settings and weights; the others' rows to the tag "rows"."""

    def __init__(
        self, archive: str, settings_digest: str, weights_digest: str, version: str, run_id: str
    ) -> None:
        self.archive, self.version, self.run_id = archive, version, run_id
        self.settings_digest, self.weights_digest = settings_digest, weights_digest
        self.shared = Shared()
        self.index: ArchiveIndex | None = None

    def setup(self) -> None:
        """Reads what the archive holds, once for all threads of a process."""
        self.index = self.shared.acquire(lambda: ArchiveIndex.read(self.archive), self.run_id)

    def process(self, source: SourceFile) -> Iterator[Any]:
        """One source in, itself or its "skipped" row out."""
        if self.index is None:
            raise AssertionError("setup has not run")
        try:
            row = self.index.up_to_date(source, self.settings_digest, self.weights_digest)
        except OSError:  # it cannot be read: the next step will say why
            row = None
        if row is None:
            yield source
        else:
            yield beam.pvalue.TaggedOutput(ROWS, self.skipped(source, row))

    def skipped(self, source: SourceFile, row: ArchivedRow) -> MetricsRow:
        """The row of a source that was left alone."""
        return row_of_unmeasured(
            source,
            archive_url=row.archive_url,
            outcome="skipped",
            reason="archived already with the same settings",
            archive_bytes=row.archive_bytes,
            source_sha256=row.source_sha256,
            settings_digest=self.settings_digest,
            weights_digest=self.weights_digest,
            foveate_version=self.version,
            run_id=self.run_id,
        )


def row_of_unmeasured(source: SourceFile, **known: Any) -> MetricsRow:
    """A metrics row with None (or "") for everything that is not `known`."""
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(MetricsRow)}
    values.update(dict.fromkeys(("source_format", "target", "metadata_lost"), ""))
    values.update(known)
    values.update(
        source_url=source.url,
        relative_path=source.relative_path,
        source_bytes=source.size_bytes,
        source_modified=source.modified,
        finished=datetime.datetime.now(datetime.UTC),
    )
    return MetricsRow(**values)
