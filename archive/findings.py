"""Findings of a verification, as rows of a Parquet table.

PCollection[Finding] ─▶ shard by path ─▶ FOLDER/findings-<shard>.parquet
"""

from __future__ import annotations

import dataclasses
import io
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.tables import open_whole
from foveate.storage.files import read_whole
from foveate.storage.listing import list_private

Kind = Literal[
    "missing",  # a row's file is not there
    "untracked",  # no row of the metrics table has it
    "stale",  # an earlier run's file of a photo that is stored otherwise by now
    "unreadable",  # cannot be read
    "truncated",  # shorter than when it was written
    "layer_truncated",  # cut at the end of a quality layer: a whole picture of less quality than was written
    "damaged",  # its bytes are not those that were written
    "swapped",  # whole, but another photo's
    "changed",  # whole, but not the file that its row describes
    "undecodable",  # a decoder refuses it
    "wrong_format",  # decoded, its size, channels or depth differ from its row
    "quality",  # measured again, it is less like its source than its row says
    "no_checksum",  # no fault, but neither its row nor the file has a checksum: damage may go unnoticed
    "locked",  # no fault, but encrypted, and there is no key to look inside
]
_NO_FAULT: frozenset[Kind] = frozenset({"no_checksum", "locked"})
FILE_PREFIX = "findings-"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about one file of an archive: the only definition of the table's columns.

    `sha256` is of the file as it is, "" where it was not read.
    """

    path: str  # below the archive's root
    url: str
    kind: Kind
    detail: str  # a sentence
    sha256: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong; else it is only to be known."""
        return self.kind not in _NO_FAULT


def write_table(table: pa.Table, url: str) -> None:
    """Writes a table of findings whole."""
    with open_whole(url) as file:
        pq.write_table(table, file, compression="zstd")


def read_findings(folder: str) -> list[Finding]:
    """The findings below a folder, faults first, then by path."""
    found = []
    for url in list_private(folder):
        if url.rpartition("/")[2].startswith(FILE_PREFIX):
            rows = pq.read_table(io.BytesIO(read_whole(url))).to_pylist()
            found += [Finding(**typing.cast(Any, row)) for row in rows]
    return in_order(found)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Faults first, then by path."""
    return sorted(findings, key=lambda finding: (not finding.is_fault, finding.path, finding.kind))


def counts_of(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings there are of each kind that there is."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts
