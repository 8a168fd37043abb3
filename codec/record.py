"""The archive record: the box that says how a file was made, and by which it can be verified.

The content of the box, behind its UUID; numbers are big-endian:

    version 2   0 version   1 flags   2 settings (6)   8 weights (6)   14 source (16)   30 codestream (16)
                46 CRC (4)   50 saliency map, if there is one (`codec.packed_saliency`)
    version 1   0 version   1 flags   2 settings (8)   10 weights (8)   18 source (32)
                50 saliency map

Source and codestream are SHA-256 digests of the source file's bytes and of the codestream, cut to their
first 16 bytes (NIST SP 800-107 Rev. 1, 5.1); settings and weights are the first bytes of their digests. The
CRC, that of zlib, is over the whole file but the codestream, its own four bytes taken as zeros. Bit 0 of the
flags says whether ComCNN was used, bit 1 whether RecCNN is to be left out, bits 2 and 3 whether faces and
writing were found in the photo.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import numpy.typing as npt

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.packed_saliency import pack_saliency, unpack_saliency

RECORD_VERSION = 2
SALIENCY_BYTES = 480
_SALIENCY_SHARE = 100  # the saliency map may take one in this many of a file's bytes
FLAGS_AT, CRC_AT = 1, 46  # bytes of the content
PLAIN_DECODE = 2  # a flag

_HEAD_BYTES = 50
_COMCNN, _FACES, _WRITING = 1, 4, 8  # flags
_LAYOUTS = {1: struct.Struct(">BB8s8s32s"), 2: struct.Struct(">BB6s6s16s16sI")}


@dataclasses.dataclass(frozen=True, eq=False)
class ArchiveRecord:
    """How an archived photo was made; the content of our own box.

    Digests are given whole to be written; read back, they have as many of their first bytes as the box holds.

    source_sha256: of the source file; 32 bytes, 16 where version 2 was read.
    settings_digest: of all settings that shaped the archive; 8 bytes, 6 where version 2 was read.
    weights_digest: of the networks' weights, all zero if there was no network; as long as `settings_digest`.
    prefiltered: whether the pixels went through ComCNN before they were coded.
    plain_decode: whether the photo measured better without RecCNN than with it.
    saliency: (h, w) float32 in [0, 1], or None. It is packed with loss: what is read back is coarser.
    codestream_sha256: of the codestream; 16 bytes where version 2 was read, else b"". Writers fill it in.
    boxes_crc32: of everything but the codestream; None in version 1. Writers fill it in.
    faces, writing: whether the networks found any when the saliency map was made.
    version: the format of the box.
    """

    source_sha256: bytes
    settings_digest: bytes
    weights_digest: bytes = bytes(8)
    prefiltered: bool = False
    plain_decode: bool = False
    saliency: npt.NDArray[np.float32] | None = None
    codestream_sha256: bytes = b""
    boxes_crc32: int | None = None
    faces: bool = False
    writing: bool = False
    version: int = RECORD_VERSION

    def made_of(self, source_sha256: bytes) -> bool:
        """Whether this is the source with that digest (32 bytes), as far as the record tells."""
        return source_sha256.startswith(self.source_sha256)

    def made_with(self, settings_digest: bytes, weights_digest: bytes) -> bool:
        """Whether these are the settings and the weights (8 bytes each), as far as the record tells."""
        return settings_digest.startswith(self.settings_digest) and weights_digest.startswith(
            self.weights_digest
        )


def saliency_bytes_within(file_bytes: int) -> int:
    """How many bytes the saliency map may take in a file of at most so many."""
    return min(SALIENCY_BYTES, max(0, file_bytes) // _SALIENCY_SHARE)


def pack_record(
    record: ArchiveRecord, codestream_sha256: bytes, saliency_bytes: int = SALIENCY_BYTES
) -> bytes:
    """The content of our box in version 2, its CRC still zero.

    Args:
        record: digests of 8, 8 and 32 bytes; its own digest of a codestream and its CRC are not looked at.
        codestream_sha256: 32 bytes, of the codestream that the file will hold.
        saliency_bytes: what the saliency may take at most.

    Raises:
        ValueError: a digest has the wrong size, or the version is not the one written here.
    """
    if record.version != RECORD_VERSION:
        raise ValueError(f"records are written in version {RECORD_VERSION}, not {record.version}")
    for name, size in (("settings_digest", 8), ("weights_digest", 8), ("source_sha256", 32)):
        if len(getattr(record, name)) != size:
            raise ValueError(f"{name} has {len(getattr(record, name))} bytes, not {size}")
    flags = _COMCNN * record.prefiltered | PLAIN_DECODE * record.plain_decode
    flags |= _FACES * record.faces | _WRITING * record.writing
    digests = record.settings_digest, record.weights_digest, record.source_sha256, codestream_sha256
    saliency = b"" if record.saliency is None else pack_saliency(record.saliency, saliency_bytes)
    return _LAYOUTS[RECORD_VERSION].pack(RECORD_VERSION, flags, *digests, 0) + saliency


def unpack_record(content: bytes) -> ArchiveRecord:
    """The inverse of `pack_record`; older versions are read too.

    Raises:
        UnsupportedCodestream: a later version wrote it.
        BadCodestream: it is too short, or its saliency is damaged.
    """
    if content and content[0] not in _LAYOUTS:
        raise UnsupportedCodestream(
            f"the archive record has version {content[0]}; this program reads versions 1 to {RECORD_VERSION}"
        )
    if len(content) < _HEAD_BYTES:
        raise BadCodestream(f"the archive record has {len(content)} bytes instead of {_HEAD_BYTES} or more")
    version, flags, settings, weights, source, *sums = _LAYOUTS[content[0]].unpack_from(content)
    codestream, crc = sums if sums else (b"", None)
    return ArchiveRecord(
        source_sha256=source,
        settings_digest=settings,
        weights_digest=weights,
        prefiltered=bool(flags & _COMCNN),
        plain_decode=bool(flags & PLAIN_DECODE),
        saliency=unpack_saliency(content[_HEAD_BYTES:]) if len(content) > _HEAD_BYTES else None,
        codestream_sha256=codestream,
        boxes_crc32=crc,
        faces=bool(flags & _FACES),
        writing=bool(flags & _WRITING),
        version=version,
    )


def saliency_bytes_of(content_bytes: int) -> int:
    """The bytes of a record's content that are its saliency map."""
    return max(0, content_bytes - _HEAD_BYTES)


def try_record(content: bytes) -> tuple[ArchiveRecord | None, str | None]:
    """The record, or why there is none, since a picture can be decoded without it."""
    try:
        return unpack_record(content), None
    except (BadCodestream, UnsupportedCodestream) as error:
        return None, str(error)
