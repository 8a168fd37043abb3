"""Decides which sources are archived already, from the tables and one listing."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib

import numpy as np
from numpy.typing import NDArray

from foveate.archive.encryption import ENDING
from foveate.archive.names import ENDINGS, ending_of
from foveate.archive.newest import ArchivedRow, LatestRows
from foveate.archive.tables import read_failures, table_text
from foveate.codec import jp2
from foveate.codec.errors import BadCodestream
from foveate.codec.record import ArchiveRecord
from foveate.pictures.reasons import Reason
from foveate.storage.files import join, read_head, read_source, read_whole
from foveate.storage.listing import ListedFile, list_folder
from foveate.storage.source import SourceFile

_MISSING, _UNSIGNED, _OTHER, _AS_WRITTEN = 0, 1, 2, 3
_HEAD_BYTES = 1 << 16  # of an archived file: its record stands before the codestream


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
                if row is not None and ending_of(row.archive_url, row.relative_path) == ending:
                    states[number] = _state(row, file)
        return ArchiveIndex(archive, rows, states, _last_failures(archive))

    def up_to_date(self, source: SourceFile, settings_digest: str, weights_digest: str) -> ArchivedRow | None:
        """The row of a source that need not be archived again, None if it must be.

        Rows and listings decide; files are read only where these leave a doubt. A JP2 file that is not the
        one its row describes has the last word on what made it. A source that moved or was touched is the
        same if its checksum is, or its bytes are.
        """
        number = self.rows.find(table_text(source.relative_path))
        if number is None or self.states[number] == _MISSING:
            return None
        row = self.rows[number]
        if row.source_bytes != source.size_bytes:
            return None
        if row.reason_code == Reason.MISSING_EXTRA:  # it may be installed now
            return None
        if (row.settings_digest, row.weights_digest) != (settings_digest, weights_digest):
            return None
        ending = ending_of(row.archive_url, row.relative_path)
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


def _state(row: ArchivedRow, file: ListedFile) -> int:
    if row.archive_bytes != file.size_bytes:
        return _MISSING
    if not file.version:
        return _UNSIGNED
    return _AS_WRITTEN if file.version == row.archive_version else _OTHER


def _same_source(source: SourceFile, row: ArchivedRow) -> bool:
    """Whether a source of the same size is the one that a row describes."""
    signed = bool(source.checksum and row.source_checksum)
    if signed and source.checksum == row.source_checksum:
        return True
    untouched = source.modified and source.modified == row.source_modified
    if not signed and untouched and row.source_url == table_text(source.url):
        return True
    return hashlib.sha256(read_source(source)).hexdigest() == row.source_sha256
