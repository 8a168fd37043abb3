"""The rules of "up to date" written simply and in memory, to compare the planner with.

Uses none of the planner's code except for reading files.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from foveate.archive import tables
from foveate.archive.names import ENDINGS
from foveate.archive.rows import RunLabels
from foveate.codec import jp2
from foveate.codec.errors import BadCodestream
from foveate.storage.files import read_whole
from foveate.storage.listing import ListedFile, list_folder
from foveate.storage.source import SourceFile


@dataclasses.dataclass(frozen=True)
class Known:
    """Everything that tables and listings say."""

    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    files: dict[str, ListedFile]

    @staticmethod
    def of(archive: str) -> Known:
        """Reads it all."""
        files = {file.path: file for file in list_folder(archive)}
        rows, failures = tables.read_metrics(archive), tables.read_failures(archive)
        return Known(rows.to_pylist(), failures.to_pylist(), files)


def verdict(source: SourceFile, run: RunLabels, known: Known) -> str:
    """The outcome for a source: "compress", "skip" without a row, or "renew" with one."""
    row = newest(known.rows, source.relative_path)
    if row is None:
        return "compress"
    ending = next((e for e in ENDINGS if row["archive_url"].endswith(row["relative_path"] + e)), "")
    listed = known.files.get(source.relative_path + ending)
    if listed is None or listed.size_bytes != row["archive_bytes"]:
        return "compress"
    if row["source_bytes"] != source.size_bytes or row["reason_code"] == "missing_extra":
        return "compress"
    if (row["settings_digest"], row["weights_digest"]) != (run.settings_digest, run.weights_digest):
        return "compress"
    as_written = bool(listed.version) and listed.version == row["archive_version"]
    if ending and not as_written and not same_file(Path(run.archive, listed.path), row):
        return "compress"
    if not same_source(source, row):
        return "compress"
    seen = (row["source_url"], row["source_modified"], row["source_checksum"] or "")
    failed = [failure["time"] for failure in known.failures if failure["url"] == row["source_url"]]
    well = all(time < row["finished"].isoformat() for time in failed)
    told = seen == (source.url, source.modified, source.checksum) and well
    return "skip" if told and (as_written or not listed.version) else "renew"


def newest(every: list[dict[str, Any]], path: str) -> dict[str, Any] | None:
    """The row that counts of a photo."""
    rows = [row for row in every if row["relative_path"] == path]
    if not rows:
        return None
    by_age = sorted(rows, key=lambda row: (-row["finished"].timestamp(), row["archive_url"]))
    counts = next((row for row in by_age if row["outcome"] != "skipped"), by_age[0])
    if by_age[0]["archive_bytes"] == counts["archive_bytes"]:
        for name in ("source_url", "source_modified", "source_checksum", "archive_version", "finished"):
            if by_age[0][name] is not None:
                counts = counts | {name: by_age[0][name]}
    return counts


def same_file(path: Path, row: dict[str, Any]) -> bool:
    """Whether an archived file was made as its row says."""
    data = read_whole(str(path))
    if path.name.endswith(".enc"):
        return hashlib.sha256(data).hexdigest() == str(row["archive_sha256"])
    try:
        record = jp2.read_record(data)
    except BadCodestream:
        return False
    made_with = bytes.fromhex(row["settings_digest"]), bytes.fromhex(row["weights_digest"])
    return (
        record is not None
        and record.made_of(bytes.fromhex(row["source_sha256"]))
        and record.made_with(*made_with)
    )


def same_source(source: SourceFile, row: dict[str, Any]) -> bool:
    """Whether a source is the one that a row describes."""
    signed = bool(source.checksum and row["source_checksum"])
    if signed and source.checksum == row["source_checksum"]:
        return True
    untouched = source.modified and source.modified == row["source_modified"]
    if not signed and untouched and row["source_url"] == source.url:
        return True
    try:
        return hashlib.sha256(Path(source.url).read_bytes()).hexdigest() == str(row["source_sha256"])
    except OSError:
        return False
