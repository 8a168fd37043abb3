"""Findings of a verification, as rows of a Parquet table.

PCollection[Finding] ─▶ shard by path ─▶ FOLDER/findings-<shard>.parquet
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.archive.tables import open_whole

Kind = Literal[
    "missing",  # a row's file is not there
    "untracked",  # not in the metrics table
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
NO_FAULT: frozenset[Kind] = frozenset({"no_checksum", "locked"})
FILE_PREFIX = "findings"  # how the names of the table's files begin


@dataclasses.dataclass(frozen=True)
class Finding:
    """A finding about one file of an archive: the only definition of the table's columns.

    `sha256` is of the file as it is, "" where it was not read.
    """

    path: str  # below the archive's root
    url: str
    kind: Kind
    detail: str  # a sentence
    sha256: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether this is a fault rather than a note."""
        return self.kind not in NO_FAULT


_SCHEMA = pa.schema(
    [pa.field(field.name, pa.string(), nullable=False) for field in dataclasses.fields(Finding)]
)


def write_findings(rows: Iterable[tuple[str, ...]], url: str) -> None:
    """Writes the values of findings as one file, sorted by path; whole or not at all."""
    columns = [list(column) for column in zip(*sorted(rows), strict=True)] or [[] for _ in _SCHEMA]
    arrays = [pa.array(column, pa.string()) for column in columns]
    with open_whole(url) as file:
        pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), file, compression="zstd")
