"""Whether a JP2 file is as it was written, by its own archive record alone: no table, no pixel is needed."""

from __future__ import annotations

import dataclasses
import hashlib

from foveate.codec import codestream, jp2
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.record import ArchiveRecord

BOXES_CHANGED = "its boxes are not as they were written: CRC-32"


@dataclasses.dataclass(frozen=True, eq=False)
class Integrity:
    """The result of checking a file against its record.

    record: the record, None where there is none that can be read.
    sealed: whether it holds sums of codestream and boxes: records of version 1 do not.
    cut_after: (layers left, layers that there were) of a file that was cut where a quality layer ends. There
        is no sum of what is left of its codestream.
    problems: sentences on what is not as it was written; a cut is none of them.
    """

    record: ArchiveRecord | None
    sealed: bool
    cut_after: tuple[int, int] | None
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether the file is known to be as it was written, to the last bit."""
        return self.sealed and self.cut_after is None and not self.problems


def is_edited(data: bytes) -> bool:
    """Whether somebody has changed the boxes around a codestream that is as it was written: tags, for one.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream.
    """
    parsed = jp2.parse(data)
    record = parsed.record
    if record is None or record.boxes_crc32 in (None, jp2.boxes_crc32(data)):
        return False
    return hashlib.sha256(parsed.codestream).digest().startswith(record.codestream_sha256)


def check(data: bytes) -> Integrity:
    """Holds a file against its record.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream.
    """
    parsed = jp2.parse(data)
    record = parsed.record
    cut = _cut_after(parsed.codestream)
    if record is None:
        problem = parsed.record_problem or "it has no archive record"
        return Integrity(None, False, cut, (problem,))
    if record.boxes_crc32 is None:
        return Integrity(record, False, cut, ())
    problems = []
    if record.boxes_crc32 != jp2.boxes_crc32(data):
        problems.append(BOXES_CHANGED)
    digest = hashlib.sha256(parsed.codestream).digest()
    if digest.startswith(record.codestream_sha256):
        cut = None
    elif cut is None:
        problems.append("its codestream is not as it was written: SHA-256")
    return Integrity(record, True, cut, tuple(problems))


def _cut_after(data: bytes) -> tuple[int, int] | None:
    """How many quality layers are left of how many, of a codestream cut between two; None if it is not."""
    try:
        stream = codestream.parse(data)
    except (BadCodestream, UnsupportedCodestream):
        return None
    cod = next(segment for segment in stream.header_segments if segment[:2] == codestream.COD.to_bytes(2))
    layers = int.from_bytes(cod[6:8])  # marker, length, Scod, progression, layers (A.6.1)
    return (stream.layers, layers) if stream.layers < layers else None
