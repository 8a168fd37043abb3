"""Writes finished files whole, each under a name that its source's path alone decides; passes on the rows.

What lies in a file's place is replaced only if it is ours: if it carries our record, is encrypted by us, or
an earlier run's row describes it. A file whose tags somebody has edited since is replaced only on demand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from foveate.archive import encryption
from foveate.archive.keys import ArchiveKey, from_store, stored_name, to_store
from foveate.archive.names import JP2_ENDINGS, archive_url
from foveate.archive.newest import newest_row
from foveate.archive.rows import KeptSource, MetricsRow, RunLabels, row_of_kept
from foveate.archive.tables import table_text
from foveate.codec import jp2
from foveate.codec.errors import BadCodestream
from foveate.codec.integrity import is_edited
from foveate.storage.errors import BadInput
from foveate.storage.files import (
    delete_file,
    read_if_there,
    read_source,
    read_whole,
    stored_version,
    write_whole,
)
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Archived
from foveate.transforms.progress import Progress
from foveate.transforms.steps import PhotoStage


def write_archived(
    archived: Archived, run: RunLabels, progress: Progress, replace_edited: bool = False
) -> Iterator[MetricsRow]:
    """Writes a JP2 file unless it is there already; gives its row.

    Raises:
      BadInput: a file that is not ours is in its place, or one that was edited, unless those are replaced.
    """
    ours = functools.partial(_is_our_jp2, source=archived.source, run=run, replace_edited=replace_edited)
    path = f"{archived.source.relative_path}.jp2"
    if archived.write:
        version, stored = _store(archived.jp2, path, archived.url, run, ours, archived.source)
    else:
        stored = archived.jp2 if run.key is None else read_whole(archived.url)
        version = stored_version(archived.url)
    if run.key is not None:
        _drop_former_jp2(archived.source, archived.url, run)
    yield _finished(archived.row, version, stored, progress)


def write_kept(kept: KeptSource, run: RunLabels, progress: Progress) -> Iterator[MetricsRow]:
    """Copies a source unchanged into the archive unless it is there already; gives its row.

    Raises:
      BadInput: the source has changed since it was looked at, is one frame of a file, or a file that is not
        ours is in its place.
    """
    if kept.source.frame:
        raise BadInput(f"frame {kept.source.frame} cannot be archived on its own: {kept.detail}")
    row = row_of_kept(kept, run)
    data = read_source(kept.source)
    if hashlib.sha256(data).hexdigest() != kept.source_sha256:
        raise BadInput("it changed while being archived; run again")
    ours = functools.partial(_is_our_copy, source=kept.source, run=run)
    version, stored = _store(data, kept.source.relative_path, row.archive_url, run, ours, kept.source)
    _drop_former_jp2(kept.source, row.archive_url, run)
    yield _finished(row, version, stored, progress)


def _store(
    data: bytes, path: str, url: str, run: RunLabels, ours: functools.partial[bool], source: SourceFile
) -> tuple[str, bytes]:
    """Writes a file, encrypted if there is a key; its version, and its bytes as they are stored."""
    if run.key is not None and (there := _same_encrypted(data, url, run.key)):
        return stored_version(url), there
    stored = to_store(data, path, run.key)
    try:
        return write_whole(url, stored, run.archive, ours, source), stored
    except BadInput:
        there = _same_encrypted(data, url, run.key) if run.key is not None else None
        if there is None:
            raise
        return stored_version(url), there  # another run wrote it at the same time


def _same_encrypted(data: bytes, url: str, key: ArchiveKey) -> bytes | None:
    """An encrypted file, if it holds these bytes: encrypted anew, the same file would have others."""
    there = read_if_there(url)
    with contextlib.suppress(BadInput):
        if there is not None and from_store(there, url, key) == data:
            return there
    return None


def _finished(row: MetricsRow, version: str, stored: bytes, progress: Progress) -> MetricsRow:
    sha256 = hashlib.sha256(stored).hexdigest()
    row = dataclasses.replace(row, archive_version=version or None, archive_sha256=sha256)
    progress.add(row)
    return row


def _is_our_jp2(there: bytes, source: SourceFile, run: RunLabels, replace_edited: bool) -> bool:
    """Whether what is in a JP2 file's place was put there by us, however damaged it may be by now."""
    if not replace_edited and _is_edited(there):
        raise BadInput(
            "the boxes of the archived file were edited (or damaged) since it was written, so it is not "
            "overwritten: move it away, or add --replace-edited"
        )
    if encryption.is_encrypted(there) or _has_record(there):
        return True
    row = _former_row(source, run)
    return row is not None and row["archive_url"].endswith(JP2_ENDINGS)


def _is_our_copy(there: bytes, source: SourceFile, run: RunLabels) -> bool:
    """Whether what is in a copy's place is an earlier one, bit for bit: else it may be anybody's photo."""
    if encryption.is_encrypted(there):
        return True
    row = _former_row(source, run)
    return row is not None and row["source_sha256"] == hashlib.sha256(there).hexdigest()


def _is_edited(data: bytes) -> bool:
    try:
        return is_edited(data)
    except BadCodestream:
        return False


def _has_record(data: bytes) -> bool:
    try:
        return jp2.read_record(data) is not None
    except BadCodestream:
        return False


def _former_row(source: SourceFile, run: RunLabels) -> dict[str, Any] | None:
    """The newest row of a photo from earlier runs; read only where a file is in another's way."""
    return newest_row(run.archive, table_text(source.relative_path))


def _drop_former_jp2(source: SourceFile, url: str, run: RunLabels) -> None:
    """Removes what an earlier run, with other settings, made of a photo that is stored otherwise now.

    Only what carries our record is ours to remove, and never the source itself.
    """
    plain = archive_url(run.archive, source)
    for former in {plain, stored_name(plain, run.key)} - {url, source.url}:
        data = read_if_there(former)
        with contextlib.suppress(BadCodestream, BadInput):  # not ours
            if data is not None and jp2.read_record(from_store(data, former, run.key)) is not None:
                delete_file(former)


@dataclasses.dataclass
class WriteArchives(PhotoStage):
    """`Archived` → `MetricsRow`, once the file is in its place."""

    run: RunLabels
    progress: Progress
    replace_edited: bool = False  # whether archived files whose tags were edited are replaced too
    step = "write"
    output = MetricsRow

    def work(self) -> Callable[[Archived], Iterator[MetricsRow]]:
        """`write_archived`."""
        return functools.partial(
            write_archived, run=self.run, progress=self.progress, replace_edited=self.replace_edited
        )


@dataclasses.dataclass
class CopyKept(PhotoStage):
    """`KeptSource` → `MetricsRow`, once the copy is in its place."""

    run: RunLabels
    progress: Progress
    step = "copy"
    output = MetricsRow

    def work(self) -> Callable[[KeptSource], Iterator[MetricsRow]]:
        """`write_kept`."""
        return functools.partial(write_kept, run=self.run, progress=self.progress)
