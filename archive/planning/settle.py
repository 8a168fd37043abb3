"""Settles doubtful cases of a plan by reading files, where listings and tables are not enough."""

from __future__ import annotations

import hashlib

from foveate.archive.encryption import ENDING
from foveate.archive.planning.plan import Former, Planned
from foveate.archive.rows import MetricsRow, RunLabels, make_row
from foveate.codec import jp2
from foveate.codec.errors import BadCodestream
from foveate.codec.record import ArchiveRecord
from foveate.storage.errors import BadInput
from foveate.storage.files import join, read_head, read_source, read_whole, stored_version

_HEAD_BYTES = 1 << 16  # of an archived file: its record stands before the codestream


def is_up_to_date(planned: Planned, archive: str, settings_digest: str, weights_digest: str) -> bool:
    """Whether a source need not be archived again.

    Files are read only where listings and tables leave a doubt. A JP2 file that is not the one its row
    describes has the last word on what made it. A source that was moved or touched is unchanged if its bytes
    are. What cannot be read is not up to date: the next step will say why.
    """
    former = planned.former
    if former is None or planned.action not in ("check", "renew"):
        return False
    if planned.action == "renew":
        return True
    try:
        if former.ending and not former.as_written:
            place = join(archive, planned.source.relative_path + former.ending)
            if not _is_still_the_file(place, former, settings_digest, weights_digest):
                return False
        return former.same_source or (
            hashlib.sha256(read_source(planned.source)).hexdigest() == former.source_sha256
        )
    except (OSError, BadInput):
        return False


def skipped_row(planned: Planned, run: RunLabels) -> MetricsRow:
    """The row of a source that was skipped, if there is something new to record."""
    former = planned.former
    if former is None:
        raise AssertionError("there is nothing of it in the archive")
    url = join(run.archive, planned.source.relative_path + former.ending)
    return make_row(
        planned.source,
        run,
        "skipped",
        archive_url=url,
        reason="archived already with the same settings",
        archive_bytes=former.archive_bytes,
        source_sha256=former.source_sha256,
        target="",
        archive_version=stored_version(url) or None,
        archive_sha256=former.archive_sha256,
    )


def _is_still_the_file(url: str, former: Former, settings_digest: str, weights_digest: str) -> bool:
    """Whether a row's file matches the row, by its own record or, if encrypted, by its checksum."""
    if not url.endswith(ENDING):
        record = archived_record(url)
        made_with = bytes.fromhex(settings_digest), bytes.fromhex(weights_digest)
        return (
            record is not None
            and record.made_of(bytes.fromhex(former.source_sha256))
            and record.made_with(*made_with)
        )
    try:
        return hashlib.sha256(read_whole(url)).hexdigest() == former.archive_sha256
    except OSError:
        return False


def archived_record(url: str) -> ArchiveRecord | None:
    """The record of an archived file, or None; usually by reading only the beginning of the file."""
    try:
        try:
            return jp2.read_record(read_head(url, _HEAD_BYTES))
        except BadCodestream:  # there is more metadata than that before it
            return jp2.read_record(read_whole(url))
    except (BadCodestream, OSError):  # damaged or foreign: it is made again
        return None
