"""Writes finished files whole, each under a name that its source's path alone decides; passes on the rows."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Iterator

from codec import jp2
from codec.errors import BadCodestream
from transforms.elements import Archived, KeptSource, MetricsRow
from transforms.files import delete_file, read_if_there, read_source, stored_version, write_whole
from transforms.match import archive_url
from transforms.measure import RunLabels, row_of_kept
from transforms.progress import Progress
from transforms.steps import BadInput


def url_of(element: Archived | KeptSource) -> str:
    """The source's url."""
    return element.source.url


def write_archived(archived: Archived, archive: str, progress: Progress) -> Iterator[MetricsRow]:
    """Writes a JP2 file unless it is there already; gives its row."""
    if archived.write:
        version = write_whole(archived.url, archived.jp2, archive)
    else:
        version = stored_version(archived.url)
    row = dataclasses.replace(archived.row, archive_version=version or None)
    progress.add(row)
    yield row


def write_kept(kept: KeptSource, run: RunLabels, progress: Progress) -> Iterator[MetricsRow]:
    """Copies a source unchanged into the archive unless it is there already; gives its row.

    Raises:
      BadInput: the source has changed since it was looked at, or is one frame of a file.
    """
    if kept.source.frame:
        reason = re.sub("[,:;] kept unchanged.*", "", kept.reason)
        raise BadInput(f"frame {kept.source.frame} cannot be archived by itself: {reason}")
    row = row_of_kept(kept, run)
    data = read_source(kept.source)
    if hashlib.sha256(data).hexdigest() != kept.source_sha256:
        raise BadInput("it changed while it was being archived: run again")
    # An object store compares checksums itself, without sending the bytes back.
    if "://" in row.archive_url or read_if_there(row.archive_url) != data:
        version = write_whole(row.archive_url, data, run.archive)
    else:
        version = stored_version(row.archive_url)
    _drop_former_jp2(kept, run)
    row = dataclasses.replace(row, archive_version=version or None)
    progress.add(row)
    yield row


def _drop_former_jp2(kept: KeptSource, run: RunLabels) -> None:
    """Removes the file that an earlier run, with other settings, made of a photo that is kept now.

    Only what carries our record is ours to remove.
    """
    url = archive_url(run.archive, kept.source)
    data = read_if_there(url)
    with contextlib.suppress(BadCodestream):  # not ours
        if data is not None and jp2.read_record(data) is not None:
            delete_file(url)
