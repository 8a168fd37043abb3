"""Checks a JP2 file against its own archive record, without tables and without decoding.

Boxes that have changed around a whole codestream were edited by somebody, or are damaged. They are taken for
damaged where no program would leave them so: a box that is malformed, XMP that is no text, or exactly one
flipped bit. The CRC-32 finds that bit, since it is linear: its difference depends only on which bit it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib

from foveate.codec import codestream, jp2
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.record import ArchiveRecord

BOXES_CHANGED = "its boxes have changed since it was written: CRC-32"
BOXES_DAMAGED = "its boxes are damaged: CRC-32"

_MOST_SEARCHED = 1 << 20  # bytes; among more, chance would find a bit too (2**23 / 2**32)
_SMALL_VALUES = range(1, 16)  # orientations and ratings, as numbers
# The CRC-32 of a message that ends in a byte i, less that of the same with a zero there (ISO/IEC 3309).
_STEPS = [zlib.crc32(bytes([i])) ^ zlib.crc32(b"\0") for i in range(256)]
_STEP_OF_TOP = {step >> 24: i for i, step in enumerate(_STEPS)}


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

    @property
    def damage(self) -> tuple[str, ...]:
        """The problems that are not edits, such as changed tags."""
        return tuple(problem for problem in self.problems if problem != BOXES_CHANGED)


def is_edited(data: bytes) -> bool:
    """Whether somebody has changed the boxes around an unchanged codestream, such as tags.

    Raises:
        BadCodestream: a box is malformed, or there is no codestream.
    """
    found = check(data)
    return found.sealed and found.cut_after is None and found.problems == (BOXES_CHANGED,)


def check(data: bytes) -> Integrity:
    """Checks a file against its record.

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
    sealed = jp2.sealed_bytes(data)
    difference = record.boxes_crc32 ^ zlib.crc32(sealed)
    if difference:
        is_damage = _is_flipped_bit(sealed, difference) or _is_no_text(parsed.metadata.xmp)
        problems.append(BOXES_DAMAGED if is_damage else BOXES_CHANGED)
    digest = hashlib.sha256(parsed.codestream).digest()
    if digest.startswith(record.codestream_sha256):
        cut = None
    elif cut is None:
        problems.append("its codestream has changed since it was written: SHA-256")
    return Integrity(record, True, cut, tuple(problems))


def _cut_after(data: bytes) -> tuple[int, int] | None:
    """(layers left, layers) of a codestream cut between two layers; None if it is not."""
    try:
        stream = codestream.parse(data)
    except (BadCodestream, UnsupportedCodestream):
        return None
    cod = next(segment for segment in stream.header_segments if segment[:2] == codestream.COD.to_bytes(2))
    layers = int.from_bytes(cod[6:8])  # marker, length, Scod, progression, layers (A.6.1)
    return (stream.layers, layers) if stream.layers < layers else None


def _is_flipped_bit(data: bytes, difference: int) -> bool:
    """Whether one bit of some bytes, or of their CRC-32, was flipped, other than by editing a value.

    A digit that is another digit now, or a small number another one, may be a date or a rating.
    """
    if difference.bit_count() == 1:
        return True  # in the CRC itself
    bits = {_STEPS[1 << bit]: 1 << bit for bit in range(8)}
    for byte in data[: -_MOST_SEARCHED - 1 : -1]:
        if difference in bits:
            values = byte, byte ^ bits[difference]
            return not all(value in _SMALL_VALUES or value in b"0123456789" for value in values)
        # Back over one zero byte: its step is known by the highest byte, which only that step has set.
        step = _STEP_OF_TOP[difference >> 24]
        difference = (difference ^ _STEPS[step]) << 8 & 0xFFFFFFFF | step
    return False


def _is_no_text(packet: bytes | None) -> bool:
    """Whether an XMP packet is neither UTF-8 nor UTF-16 or UTF-32."""
    if not packet or packet[:2] in (b"\xfe\xff", b"\xff\xfe") or packet[:2].count(0):
        return False
    try:
        return "\0" in packet.decode()
    except UnicodeDecodeError:
        return True
