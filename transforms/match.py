"""From what a person names to the files to work on: each once, and only what is not done yet."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared
from numpy.typing import NDArray

from foveate.codec import jp2
from foveate.codec.archive_record import ArchiveRecord
from foveate.codec.dicom import MISSING_EXTRA
from foveate.codec.encryption import ENDING
from foveate.codec.errors import BadCodestream
from foveate.transforms.elements import MetricsRow, SourceFile
from foveate.transforms.files import (
    ListedFile,
    find_files,
    join,
    list_folder,
    read_head,
    read_source,
    read_whole,
    stored_version,
)
from foveate.transforms.folding import folded, folds_names
from foveate.transforms.frames import DicomFrames, ExpandFrames
from foveate.transforms.latest import ArchivedRow, LatestRows
from foveate.transforms.steps import FAILURES, BadInput, failure
from foveate.transforms.tables import read_failures, table_text

ROWS = "rows"
SIZES = "sizes"
_HEAD_BYTES = 1 << 16  # of an archived file: its record stands before the codestream
ENDINGS = (f".jp2{ENDING}", ".jp2", ENDING, "")  # what an archived file's name has more than its source's


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


def name_bytes(name: str) -> bytes:
    """A name as Beam's coders take it: a file's name need not be UTF-8, a string that they write must be."""
    return name.encode(errors="surrogatepass")


def _find_named(source: bytes, extensions: frozenset[str], archive: str) -> Iterator[SourceFile]:
    return find_files(source.decode(errors="surrogatepass"), extensions, archive)


def claim_of(relative_path: str) -> str:
    """What sources share that may want one place: `p.png` becomes `p.png.jp2`, and that may be one too."""
    while relative_path.endswith(".jp2"):
        relative_path = relative_path.removesuffix(".jp2")
    return relative_path


def file_of(source: SourceFile) -> tuple[str, str]:
    """What is alike for one file under several spellings: relative, absolute, through links to folders."""
    url = source.url if "://" in source.url else os.path.realpath(source.url)
    return url, source.relative_path


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
    made_by = bytes.fromhex(settings_digest), bytes.fromhex(weights_digest)
    return record is not None and record.made_of(bytes.fromhex(source_sha256)) and record.made_with(*made_by)


def _is_still_the_file(url: str, row: ArchivedRow) -> bool:
    """Whether the file of a row is what the row says, by its own record, or encrypted, by its checksum."""
    if not url.endswith(ENDING):
        return made_alike(_archived_record(url), row.source_sha256, row.settings_digest, row.weights_digest)
    try:
        return hashlib.sha256(read_whole(url)).hexdigest() == row.archive_sha256
    except OSError:
        return False


def _archived_record(url: str) -> ArchiveRecord | None:
    """The record of an archived file, None if it cannot be read; mostly from the file's beginning alone."""
    try:
        try:
            return jp2.read_record(read_head(url, _HEAD_BYTES))
        except BadCodestream:  # there is more metadata than that before it
            return jp2.read_record(read_whole(url))
    except (BadCodestream, OSError):  # damaged or foreign: it is made again
        return None


_MISSING, _UNSIGNED, _OTHER, _AS_WRITTEN = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True, eq=False)
class ArchiveIndex:
    """What an archive holds already: its newest rows, and what one listing of its files makes of them.

    states: (rows,) uint8. Missing: the row's file is not there, or of another size. Other: a file of that
    size is there, of another version than the row says. Unsigned: likewise, and its filesystem has no
    versions. As written: it has the version that the row says.
    failed: when a source failed last, by its url.
    """

    archive: str
    rows: LatestRows
    states: NDArray[np.uint8]
    failed: dict[str, datetime.datetime]

    @staticmethod
    def read(archive: str) -> ArchiveIndex:
        """Reads the tables, and lists the files once.

        Raises:
          BadTable: a table is none.
          NothingFound: the archive's store cannot be listed.
        """
        rows = LatestRows.read(archive)
        states = np.zeros(len(rows), np.uint8)
        for file in list_folder(archive) if len(rows) else ():
            for ending in filter(file.path.endswith, ENDINGS):
                number = rows.find(table_text(file.path.removesuffix(ending)))
                row = rows[number] if number is not None else None
                if row is not None and _ending(row) == ending:
                    states[number] = _state(row, file)
        return ArchiveIndex(archive, rows, states, _last_failures(archive))

    def up_to_date(self, source: SourceFile, settings_digest: str, weights_digest: str) -> ArchivedRow | None:
        """The row of a source that need not be archived again, None if it must be.

        Rows and listings decide; files are read only where these leave a doubt. A JP2 file that is not the
        one its row tells of has the last word on what made it. A source that moved or was touched is the same
        if its checksum is, or its bytes are.
        """
        number = self.rows.find(table_text(source.relative_path))
        if number is None or self.states[number] == _MISSING:
            return None
        row = self.rows[number]
        if row.source_bytes != source.size_bytes:
            return None
        if row.reason.startswith(MISSING_EXTRA):  # it may be there now
            return None
        if (row.settings_digest, row.weights_digest) != (settings_digest, weights_digest):
            return None
        ending = _ending(row)
        if ending and self.states[number] != _AS_WRITTEN:
            place = join(self.archive, source.relative_path + ending)
            if not _is_still_the_file(place, row):
                return None
        return row if _same_source(source, row) else None

    def knows(self, source: SourceFile, row: ArchivedRow) -> bool:
        """Whether a row says all that there is to say of a source that is up to date.

        Where it does not, a new row saves the next run from reading the source to know it again, or says that
        what failed is well now.
        """
        seen = (row.source_url, row.source_modified, row.source_checksum or "")
        if seen != (table_text(source.url), source.modified, source.checksum):
            return False
        number = self.rows.find(table_text(source.relative_path))
        failed = self.failed.get(row.source_url)
        return self.states[number] != _OTHER and (failed is None or failed < row.finished)


def _last_failures(archive: str) -> dict[str, datetime.datetime]:
    """When each source that ever failed did so last."""
    failures = read_failures(archive)
    found: dict[str, datetime.datetime] = {}
    for url, time in zip(*failures.select(["url", "time"]).to_pydict().values(), strict=True):
        with contextlib.suppress(ValueError):  # a time that is none is of no use
            when = datetime.datetime.fromisoformat(time)
            if when.tzinfo is not None and (url not in found or found[url] < when):
                found[url] = when
    return found


def _ending(row: ArchivedRow) -> str:
    """What the name of a row's file has more than its source's."""
    endings = (ending for ending in ENDINGS if row.archive_url.endswith(row.relative_path + ending))
    return next(endings, "")


def _state(row: ArchivedRow, file: ListedFile) -> int:
    if row.archive_bytes != file.size_bytes:
        return _MISSING
    if not file.version:
        return _UNSIGNED
    return _AS_WRITTEN if file.version == row.archive_version else _OTHER


def _same_source(source: SourceFile, row: ArchivedRow) -> bool:
    """Whether a source of the same size is the one that a row tells of."""
    signed = bool(source.checksum and row.source_checksum)
    if signed and source.checksum == row.source_checksum:
        return True
    untouched = source.modified and source.modified == row.source_modified
    if not signed and untouched and row.source_url == table_text(source.url):
        return True
    return hashlib.sha256(read_source(source)).hexdigest() == row.source_sha256


class SkipArchived(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Passes on sources not archived with these settings and weights.

    Of the others go (source bytes, archive bytes) to the tag "sizes", or where a new row says something new,
    that row to the tag "rows".
    """

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
        url = join(self.archive, source.relative_path + _ending(row))
        return row_of_unmeasured(
            source,
            archive_url=url,
            outcome="skipped",
            reason="archived already with the same settings",
            archive_bytes=row.archive_bytes,
            source_sha256=row.source_sha256,
            settings_digest=self.settings_digest,
            weights_digest=self.weights_digest,
            foveate_version=self.version,
            run_id=self.run_id,
            archive_version=stored_version(url) or None,
            archive_sha256=row.archive_sha256,
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
        source_generation=source.generation or None,
        source_checksum=source.checksum or None,
        finished=datetime.datetime.now(datetime.UTC),
    )
    return MetricsRow(**values)
