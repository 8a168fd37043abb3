"""Defines what verification expects of an archived file, according to the tables."""

from __future__ import annotations

import dataclasses

from foveate.archive.findings import Finding, Kind
from foveate.storage.source import SourceFile


@dataclasses.dataclass(frozen=True)
class Expected:
    """The tables' record of one file; fields as in `MetricsRow`.

    ending: what its name has more than its source's.
    """

    relative_path: str
    ending: str
    source_url: str
    outcome: str
    source_format: str
    source_sha256: str
    archive_bytes: int
    archive_version: str | None
    archive_sha256: str | None
    settings_digest: str
    weights_digest: str
    width: int | None
    height: int | None
    channels: int | None
    bit_depth: int | None
    psnr_db: float | None


@dataclasses.dataclass(frozen=True)
class Check:
    """One file to verify: where it is, what is expected (None: nothing), and whether to measure it again."""

    path: str
    url: str
    size_bytes: int
    expected: Expected | None
    recheck: bool

    def finding(self, kind: Kind, detail: str, sha256: str = "") -> Finding:
        """A finding about this file."""
        return Finding(self.path, self.url, kind, detail, sha256)

    @property
    def source(self) -> SourceFile:
        """The archived file itself, which verification reads."""
        return SourceFile(self.url, self.path, self.size_bytes, 0.0)


def size_mismatch(size: int, written: int) -> str:
    """A sentence about a file whose size differs from the one it was written with."""
    return f"it has {size:,} bytes, but was written with {written:,}"
