"""Writes finished files whole, each under a name that its source's path alone decides; passes on the rows."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator

from transforms.elements import Archived, KeptSource, MetricsRow
from transforms.files import read_if_there, read_whole, write_whole
from transforms.measure import RunLabels, row_of_kept
from transforms.progress import Progress
from transforms.steps import BadInput, CannotGoOn

# What a name can do to a filesystem; a full disk is nobody's photo's fault and ends the run.
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR}


def url_of(element: Archived | KeptSource) -> str:
    """The source's url."""
    return element.source.url


def write_archived(archived: Archived, archive: str, progress: Progress) -> Iterator[MetricsRow]:
    """Writes a JP2 file unless it is there already; gives its row."""
    if archived.write:
        _write(archived.url, archived.jp2, archive)
    progress.add(archived.row)
    yield archived.row


def write_kept(kept: KeptSource, run: RunLabels, progress: Progress) -> Iterator[MetricsRow]:
    """Copies a source unchanged into the archive unless it is there already; gives its row.

    Raises:
      BadInput: the source has changed since it was looked at.
    """
    row = row_of_kept(kept, run)
    data = read_whole(kept.source.url)
    if hashlib.sha256(data).hexdigest() != kept.source_sha256:
        raise BadInput("it changed while it was being archived: run again")
    if read_if_there(row.archive_url) != data:
        _write(row.archive_url, data, run.archive)
    progress.add(row)
    yield row


def _write(url: str, data: bytes, archive: str) -> None:
    try:
        write_whole(url, data, archive)
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            raise BadInput(f"cannot be written to {url}: {error.strerror}") from error
        raise CannotGoOn(f"{url} cannot be written: {error}") from error
