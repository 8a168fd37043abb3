"""Puts together files of several formats byte by byte, even such as no program would write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
TIFF_HEAD = struct.Struct("<2sHI")
_EXPLICIT, _DEFLATED = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"


def png(
    width: int,
    height: int,
    deflated: bytes,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    *,
    bits: int = 8,
    color: int = 0,
) -> bytes:
    """A PNG of that header, its rows deflated already, with further chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", deflated), (b"IEND", b""))
    return PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def tiff(fields: dict[int, int], strip: bytes) -> bytes:
    """A little-endian TIFF of one strip with these fields of one number each, all of them LONG."""
    values = {273: 8, 279: len(strip)} | fields
    at = 8 + len(strip)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    head = TIFF_HEAD.pack(b"II", 42, at) + strip
    return head + struct.pack("<H", len(values)) + entries + bytes(4)


def tiff_block(fields: Iterable[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """An EXIF block of one directory: (tag, type, count, value or offset) each, and the next one's offset."""
    entries = [struct.pack("<HHII", *field) for field in fields]
    head = TIFF_HEAD.pack(b"II", 42, 8)
    return head + struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)


def riff(kind: bytes, body: bytes) -> bytes:
    """The beginning of a WebP file whose first chunk this is."""
    return b"RIFF" + struct.pack("<I", 1 << 20) + b"WEBP" + chunk_of(kind, body)


def riff_of(chunks: bytes) -> bytes:
    """A WebP file of these chunks."""
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def chunk_of(kind: bytes, body: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def dicom(
    rows: int, columns: int, samples: bytes, *, deflated: bool = False, length: int | None = None
) -> bytes:
    """A DICOM file (PS3.10) of one gray frame of 8 bits; `length` is what its pixels claim to have."""
    number = struct.Struct("<HH2sHH")
    numbers = ((2, 1), (0x10, rows), (0x11, columns), (0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0))
    fields = [number.pack(0x28, tag, b"US", 2, value) for tag, value in numbers]
    fields.insert(1, struct.pack("<HH2sH", 0x28, 4, b"CS", 12) + b"MONOCHROME2 ")
    size = len(samples) + len(samples) % 2 if length is None else length
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, size) + samples + bytes(len(samples) % 2)
    dataset = b"".join(fields) + pixels
    if deflated:
        packer = zlib.compressobj(9, wbits=-15)
        dataset = packer.compress(dataset) + packer.flush()
    syntax = _DEFLATED if deflated else _EXPLICIT
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    length_of_meta = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + length_of_meta + meta + dataset


def deflated_zeros(count: int) -> bytes:
    """So many zeros, deflated without holding them."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count % (1 << 20))), packer.flush()])


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
