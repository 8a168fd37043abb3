"""Wraps a new codestream of a picture in the boxes of its old file."""

from __future__ import annotations

import dataclasses
import hashlib
import struct

from foveate.codec import jp2, walk
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.jp2 import RECORD_UUID, joined
from foveate.codec.jp2_boxes import SRGB, SYCC, pack_box
from foveate.codec.metadata import PhotoMetadata
from foveate.codec.record import SALIENCY_BYTES, ArchiveRecord, pack_record
from foveate.codec.walk import CODESTREAM_START, codestream_span, strict

_END_MARK = b"\xff\xd9"
# Boxes that say where parts of the codestream are (ISO/IEC 15444-9), which is no longer so.
_INDICES = (b"cidx", b"fidx", b"iptr", b"prxy", b"mani")


@dataclasses.dataclass(frozen=True)
class Envelope:
    """All boxes of a file, unchanged, except those of its codestream and Foveate's record.

    head: before the codestream.
    tail: behind it.
    left_out: the kinds of boxes that cannot be carried.
    """

    head: bytes
    tail: bytes
    left_out: tuple[str, ...] = ()

    @staticmethod
    def of(data: bytes) -> Envelope:
        """The envelope of a JP2 file; of a bare codestream, that of a JP2 file without metadata.

        Raises:
          BadCodestream: a box is malformed, or there is no codestream.
          UnsupportedCodestream: several codestreams; a bare one of more than 4 components.
        """
        if data.startswith(CODESTREAM_START):
            whole = jp2.wrap(data[slice(*codestream_span(data))], metadata=PhotoMetadata())
            head = whole[: codestream_span(whole).start - 8]
            if _counts_as_ycc(data):
                head = head.replace(_color_box(SRGB), _color_box(SYCC))
            return Envelope(head, b"")
        around: tuple[list[bytes], list[bytes]] = [], []
        codestreams, left_out = 0, []
        for box in strict(walk.file_boxes(data)):
            if box.kind == b"jp2c":
                codestreams += 1
            elif box.kind in _INDICES:
                left_out.append(box.kind.decode())
            elif not (box.kind == b"uuid" and data.startswith(RECORD_UUID, box.start)):
                around[codestreams > 0].append(data[box.offset : box.end])
        if codestreams > 1:
            raise UnsupportedCodestream(f"the file has {codestreams} pictures")
        return Envelope(b"".join(around[0]), b"".join(around[1]), tuple(left_out))

    def overhead(self, record: ArchiveRecord | None, saliency_bytes: int = SALIENCY_BYTES) -> int:
        """How many bytes `around` adds to a codestream under 4 GB."""
        box = b""
        if record is not None:
            box = pack_box(b"uuid", RECORD_UUID + pack_record(record, bytes(32), saliency_bytes))
        return len(self.head) + len(self.tail) + len(box) + 8

    def around(
        self,
        codestream: bytes,
        record: ArchiveRecord | None,
        saliency_bytes: int = SALIENCY_BYTES,
        *,
        open_ended: bool = False,
    ) -> bytes:
        """A file of the same boxes, with a record (if there is one) and another codestream.

        `open_ended` puts the codestream last, to the end of the file whatever its length, as in `jp2.wrap`;
        but not where a box behind it holds what decoders might take for the end of the picture.
        """
        head, tail = self.head, self.tail
        if open_ended and _END_MARK not in tail:
            head, tail = head + tail, b""
        open_ended = open_ended and not tail
        content = None
        if record is not None:
            content = pack_record(record, hashlib.sha256(codestream).digest(), saliency_bytes)
            head += pack_box(b"uuid", RECORD_UUID + content)
        return joined(head, content, codestream, tail, open_ended=open_ended)


def _counts_as_ycc(codestream: bytes) -> bool:
    """Whether a bare codestream decodes as sYCC: three components, coarser chroma."""
    (count,) = struct.unpack_from(">H", codestream, 40)
    return count == 3 and codestream[43:45] == b"\1\1" and codestream[46:47] != b"\1"


def _color_box(color: int) -> bytes:
    return pack_box(b"colr", struct.pack(">3BI", 1, 0, 0, color))
