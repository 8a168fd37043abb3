"""Makes DICOM files for tests element by element, without a DICOM package."""

from __future__ import annotations

import importlib.util
import os
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# Without the extra these tests skip; where FOVEATE_REQUIRE_TFIO=1 they fail.
needs_tfio = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_io") is None and os.environ.get("FOVEATE_REQUIRE_TFIO") != "1",
    reason="the extra tfio is not installed (make test-tfio installs it)",
)

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"

Element = tuple[int, bytes, Any]  # tag, value representation, value: bytes, a text, or a number of two bytes


def element(tag: int, vr: bytes, value: Any, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """One data element; `length` is what it claims to have."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    raw: bytes = struct.pack(f"{order}H", value) if isinstance(value, int) else value
    raw = value.encode() if isinstance(value, str) else raw
    raw += (b"\0" if vr in (b"UI", b"OB", b"OW", b"UN") else b" ") * (len(raw) % 2)
    length = len(raw) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", length) + raw
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF"):
        return head + vr + bytes(2) + struct.pack(f"{order}I", length) + raw
    return head + vr + struct.pack(f"{order}H", length) + raw


def file(elements: Sequence[bytes], syntax: str = EXPLICIT) -> bytes:
    """A DICOM file of a dataset's elements."""
    meta = element(0x00020001, b"OB", b"\0\1") + element(0x00020010, b"UI", syntax)
    head = bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta)))
    return head + meta + b"".join(elements)


def fragments(frames: Sequence[bytes | bytearray], offsets: Sequence[int] = ()) -> bytes:
    """Compressed frames as the value of pixel data, one fragment each."""
    parts = [struct.pack(f"<{len(offsets)}I", *offsets), *(frame + bytes(len(frame) % 2) for frame in frames)]
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    return b"".join(items) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def dicom(
    samples: NDArray[Any],
    bits: int | None = None,
    *,
    syntax: str = EXPLICIT,
    photometric: str | None = None,
    frames: int = 1,
    coded: bytes | None = None,
    also: Sequence[Element] = (),
    without: Sequence[int] = (),
) -> bytes:
    """A file of stored samples (frames * H, W) or (H, W, 3) of 8, 16 or 32 bits, of which `bits` are stored.

    `coded` are compressed pixels instead of the samples; `also` are elements to add or replace, and `without`
    are left out.
    """
    rows, columns = samples.shape[0] // frames, samples.shape[1]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    allocated = 8 * samples.dtype.itemsize
    pixels = samples.astype(samples.dtype.newbyteorder(">" if syntax == BIG_ENDIAN else "<")).tobytes()
    elements: dict[int, tuple[bytes, Any]] = {
        0x00080060: (b"CS", "OT"),
        0x00100010: (b"PN", "Doe^Jane"),
        0x00280002: (b"US", channels),
        0x00280004: (b"CS", photometric or ("MONOCHROME2" if channels == 1 else "RGB")),
        0x00280010: (b"US", rows),
        0x00280011: (b"US", columns),
        0x00280100: (b"US", allocated),
        0x00280101: (b"US", bits or allocated),
        0x00280102: (b"US", (bits or allocated) - 1),
        0x00280103: (b"US", int(samples.dtype.kind == "i")),
        0x7FE00010: (b"OW" if allocated == 16 else b"OB", pixels if coded is None else coded),
    }
    if channels > 1:
        elements[0x00280006] = (b"US", 0)
    if frames > 1:
        elements[0x00280008] = (b"IS", str(frames))
    elements |= {tag: (vr, value) for tag, vr, value in also}
    whole = None if coded is None else 0xFFFFFFFF
    return file(
        [
            element(tag, vr, value, syntax, whole if tag == 0x7FE00010 else None)
            for tag, (vr, value) in sorted(elements.items())
            if tag not in without
        ],
        syntax,
    )


def scan(rows: int = 61, columns: int = 47, bits: int = 12, signed: bool = False) -> NDArray[Any]:
    """Stored samples that use the whole range of `bits`, smooth enough to be worth compressing."""
    y, x = np.mgrid[0:rows, 0:columns]
    wave = (np.sin(x / 9.0) * np.cos(y / 7.0) + 1) / 2
    values = np.rint(wave * ((1 << bits) - 1)).astype(np.int64)
    values[0, 0], values[-1, -1] = 0, (1 << bits) - 1
    if signed:
        values -= 1 << (bits - 1)
    kind = f"{'i' if signed else 'u'}{1 if bits == 8 else 2}"
    samples: NDArray[Any] = values.astype(kind)
    return samples


def unstretched(pixels: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """A picture's samples as stored (signed ones raised): undoes the stretch."""
    peak = (1 << bits) - 1
    whole = 255 if pixels.dtype == np.uint8 else 65535
    values: NDArray[np.int64] = (pixels.astype(np.int64) * peak + whole // 2) // whole
    return values
