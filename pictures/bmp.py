"""BMP files, with and without a file header (DIB): headers, masks, palettes, run lengths and color."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
from numpy.typing import NDArray

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import icc
from foveate.pictures.accounting import Kind, Known, Part, gaps, part_of, printable, settle
from foveate.pictures.icc import CannotBeAProfile, Primaries
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    damaged,
    gray_if_neutral,
    with_channels,
)
from foveate.pictures.reasons import Reason

PARTS: dict[str, Known] = {
    "picture": Known(Kind.PICTURE, "headers, palette, pixels"),
    "profile": Known(Kind.CARRIED, "ICC profile, or what stands for one in a V4 or V5 header"),
    "linked": Known(Kind.HOLDS_DATA, "the name of a profile in another file", Reason.COLOR),
}
_CORE, _INFO, _V4, _V5 = 12, 40, 108, 124
_HEADERS = (_CORE, _INFO, 52, 56, 64, _V4, _V5)
_OF_WINDOWS = (_INFO, 52, 56, _V4, _V5)
_RGB, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _ALPHA_MASKS = 0, 1, 2, 3, 4, 5, 6
_DEVICE_RGB = b"\0\0\0\1"
_INKS = (11, 12, 13)
_PLAIN_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_METERS_PER_INCH = 0.0254
_MOST_RUNS = 1 << 26


@dataclasses.dataclass(frozen=True)
class _Header:
    """The pixel format of a file; the header begins at `at`, the pixels at `pixels_at`."""

    at: int
    size: int
    width: int
    height: int
    upside_down: bool
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette_at: int
    colors: int  # of a palette; 0 if pixels are colors themselves
    pixels_at: int
    dpi: tuple[float, float] | None

    @property
    def entry_bytes(self) -> int:
        """Bytes of a color in the palette."""
        return 3 if self.size == _CORE else 4

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, padded to a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def is_dib(data: bytes) -> bool:
    """Whether bytes begin with a bitmap header without a file header before it."""
    if len(data) < 16 or int.from_bytes(data[:4], "little") not in _HEADERS:
        return False
    at = 8 if data[0] == _CORE else 12
    planes, bits = struct.unpack_from("<HH", data, at)
    return planes == 1 and bits in (1, 2, 4, 8, 16, 24, 32)


def decode_bmp(data: bytes, max_pixels: int | None) -> Picture:
    """The picture; raises BadPicture and NotForJpeg2000."""
    header = _header(data)
    check_size(header.width, header.height, max_pixels)
    profile, profile_part = _profile(data, header)
    end, pixels = _pixels(data, header)
    problems = settle(_parts(data, header, end, profile_part), "a BMP")
    if header.bits <= 8:
        pixels = gray_if_neutral(pixels)
    return Picture(pixels, PhotoMetadata(icc=profile, dpi=header.dpi), "bmp", 8, problems)


def _header(data: bytes) -> _Header:
    at = 14 if data.startswith(b"BM") else 0
    if len(data) < at + 16:
        raise BadPicture("truncated BMP: it ends in its header")
    (size,) = struct.unpack_from("<I", data, at)
    if size not in _HEADERS and not _INFO < size <= _V5:
        raise NotForJpeg2000(Reason.NOT_READ, f"a BMP with a header of {size} bytes")
    if at + size > len(data):
        raise BadPicture("truncated BMP: it ends in its header")
    dpi, compression, colors = None, _RGB, 0
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, at + 4)
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, at + 4)
        across, down, colors = struct.unpack_from("<iiI", data, at + 24)
        if across > 0 and down > 0:
            dpi = across * _METERS_PER_INCH, down * _METERS_PER_INCH
    _refuse_compression(compression, size)
    if bits not in (1, 2, 4, 8, 16, 24, 32) or width < 0:
        raise BadPicture(f"broken BMP: {bits} bits per pixel, {width} pixels across")
    masks, masks_bytes = _PLAIN_MASKS.get(bits, (0, 0, 0, 0)), 0
    if compression in (_MASKS, _ALPHA_MASKS) and size >= _INFO:
        if size == _INFO:
            masks_bytes = 16 if compression == _ALPHA_MASKS else 12
        count = 4 if size >= 56 or masks_bytes == 16 else 3
        if at + 40 + 4 * count > len(data):
            raise BadPicture("truncated BMP: it ends in its masks")
        masks = (*struct.unpack_from(f"<{count}I", data, at + 40), 0)[:4]
    palette_at, entry = at + size + masks_bytes, 3 if size == _CORE else 4
    whole = 1 << bits if bits <= 8 else 0
    stored = min(colors or whole, whole) if whole else colors  # deep pictures may suggest a palette
    pixels_at = palette_at + stored * entry
    if at:
        pixels_at = int.from_bytes(data[10:14], "little") or pixels_at
    return _Header(
        at=at,
        size=size,
        width=width,
        height=abs(height),
        upside_down=height < 0,
        bits=bits,
        compression=compression,
        masks=masks,
        palette_at=palette_at,
        colors=max(0, min(stored, (pixels_at - palette_at) // entry)) if whole else 0,
        pixels_at=pixels_at,
        dpi=dpi,
    )


def _refuse_compression(compression: int, size: int) -> None:
    """Raises NotForJpeg2000 for unsupported compression, as stated in a header of `size` bytes."""
    if compression in (_MASKS, _JPEG) and size not in _OF_WINDOWS:  # OS/2 means Huffman codes, RLE24
        raise NotForJpeg2000(Reason.NOT_READ, f"a BMP of OS/2 with compression {compression}")
    if compression in (_JPEG, _PNG):
        raise NotForJpeg2000(Reason.NOT_READ, "a BMP of JPEG or PNG data")
    if compression in _INKS:
        raise NotForJpeg2000(Reason.COLOR, "a BMP in CMYK")
    if compression > _ALPHA_MASKS:
        raise NotForJpeg2000(Reason.NOT_READ, f"a BMP with compression {compression}")


def _pixels(data: bytes, header: _Header) -> tuple[int, Pixels]:
    """Where the pixels end, and the pixels: (H, W, C) uint8."""
    if header.compression in (_RLE8, _RLE4):
        end, indices = _run_lengths(data, header)
        return end, _mapped(data, header, indices)
    size = header.row_bytes * header.height
    end = header.pixels_at + size
    if end > len(data):
        if header.pixels_at + header.row_bytes > len(data):
            raise BadPicture(f"truncated BMP: it ends at byte {len(data):,}, before any pixels")
        raise damaged("a BMP", f"it ends {end - len(data):,} bytes too early")
    rows: NDArray[np.uint8] = np.frombuffer(data, np.uint8, size, header.pixels_at).reshape(header.height, -1)
    rows = rows if header.upside_down else rows[::-1]
    if header.bits <= 8:
        return end, _mapped(data, header, _unpacked(rows, header.bits)[:, : header.width])
    if header.bits == 24:
        colors = rows[:, : 3 * header.width].reshape(header.height, header.width, 3)
        return end, with_channels(colors[:, :, ::-1])
    words = np.ascontiguousarray(rows).view("<u2" if header.bits == 16 else "<u4")[:, : header.width]
    return end, _masked(words.astype(np.uint32), header)


def _unpacked(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Indices of 1, 2, 4 or 8 bits, the first in the highest bits."""
    if bits == 8:
        return rows
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    unpacked: NDArray[np.uint8] = rows[:, :, np.newaxis] >> shifts & np.uint8((1 << bits) - 1)
    return unpacked.reshape(rows.shape[0], -1)


def _masked(words: NDArray[np.uint32], header: _Header) -> Pixels:
    """Channels by their masks, each stretched to 8 bits; an alpha channel of zeros alone means none."""
    channels: list[NDArray[np.uint8] | None] = []
    for mask in header.masks:
        if not mask:
            channels.append(None)
            continue
        shift = (mask & -mask).bit_length() - 1
        peak = mask >> shift
        if peak & (peak + 1):
            raise NotForJpeg2000(Reason.NOT_READ, "a BMP with non-contiguous channel masks")
        if peak > 255:
            raise NotForJpeg2000(Reason.NOT_READ, "a BMP of more than 8 bits per channel")
        values = (words & np.uint32(mask)) >> np.uint32(shift)
        channels.append(((values * 255 + peak // 2) // peak).astype(np.uint8))
    red, green, blue, alpha = channels
    zeros = np.zeros(words.shape, np.uint8)
    planes = [zeros if one is None else one for one in (red, green, blue)]
    if alpha is not None and alpha.any():
        planes.append(alpha)
    elif alpha is None and header.compression == _RGB and _has_fourth(words, header):
        raise NotForJpeg2000(Reason.NOT_READ, "a BMP with an undefined fourth channel")
    return with_channels(np.stack(planes, axis=2))


def _has_fourth(words: NDArray[np.uint32], header: _Header) -> bool:
    """Whether the bits outside all masks, which should be unused, are in use after all."""
    red, green, blue, _ = header.masks
    unused = ((1 << header.bits) - 1) & ~(red | green | blue)
    values = words & np.uint32(unused)
    return bool(values.any() and not (values == unused).all())


def _mapped(data: bytes, header: _Header, indices: NDArray[np.uint8]) -> Pixels:
    size = header.colors * header.entry_bytes
    stored = data[header.palette_at : header.palette_at + size]
    if len(stored) < size or not size:
        raise BadPicture("truncated BMP: it ends in its palette")
    table = np.frombuffer(stored, np.uint8).reshape(-1, header.entry_bytes)[:, 2::-1]
    whole = np.zeros((256, 3), np.uint8)  # indices beyond the palette are black
    whole[: len(table)] = table
    return with_channels(whole[indices])


def _run_lengths(data: bytes, header: _Header) -> tuple[int, NDArray[np.uint8]]:
    """Where the data end, and (H, W) indices of RLE8 or RLE4; pixels that are skipped have index 0."""
    four = header.compression == _RLE4
    if header.bits != (4 if four else 8):
        raise BadPicture(f"broken BMP: run lengths of {header.bits} bits per pixel")
    height, width = header.height, header.width
    canvas = np.zeros((height, width), np.uint8)
    at, x, y = header.pixels_at, 0, 0
    values = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    pairs = np.tile(np.hstack([values >> 4, values & 15] if four else [values, values]), 128)
    for _ in range(_MOST_RUNS):
        if at + 2 > len(data):
            raise damaged("a BMP", "its run lengths have no end")
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            run = pairs[value][:count]
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            if at + 2 > len(data):
                raise damaged("a BMP", "its run lengths have no end")
            x, y, at = x + data[at], y + data[at + 1], at + 2
            continue
        else:
            stored = (value + 1) // 2 if four else value
            plain = np.frombuffer(data[at : at + stored], np.uint8)
            run = _unpacked(plain[np.newaxis], 4)[0, :value] if four else plain
            at += stored + stored % 2
        if y >= height or x + len(run) > width + (7 if four else 0):
            raise damaged("a BMP", "its run lengths run past the picture")
        canvas[y, x : x + len(run)] = run[: width - x] if x < width else run[:0]
        x += len(run)
    return at, canvas if header.upside_down else canvas[::-1]


# Color and the rest --------------------------------------------------------------------------------


def _profile(data: bytes, header: _Header) -> tuple[bytes | None, Part | None]:
    """The profile that a V4 or V5 header contains or states (MS-WMF, 2.2.2.11), and where it is."""
    if header.size < _V4:
        return None, None
    kind = struct.unpack_from("<I", data, header.at + 56)[0].to_bytes(4)
    if kind in (b"MBED", b"LINK") and header.size >= _V5:
        offset, size = struct.unpack_from("<II", data, header.at + 112)
        start = header.at + offset
        part = part_of(PARTS["profile" if kind == b"MBED" else "linked"], start, size)
        if start + size > len(data) or not size:
            raise NotForJpeg2000(Reason.COLOR, "a BMP whose color profile is cut off")
        return (data[start : start + size] if kind == b"MBED" else None), part
    if kind in (b"sRGB", b"Win ", _DEVICE_RGB):  # Windows' own is sRGB too
        return None, None
    if kind != bytes(4):
        raise NotForJpeg2000(Reason.COLOR, f"a BMP in the unknown color space {printable(kind)}")
    points = [value / (1 << 30) for value in struct.unpack_from("<9I", data, header.at + 60)]
    gammas = [value / 65536 for value in struct.unpack_from("<3I", data, header.at + 96)]
    if not any(points) or not any(gammas):
        return None, None
    try:
        red, green, blue = (_xy(*points[start : start + 3]) for start in (0, 3, 6))
        white = _xy(*(sum(points[axis::3]) for axis in range(3)))
        curves = tuple(icc.gamma_curve(gamma) for gamma in gammas)
        profile = icc.matrix_profile(Primaries(red, green, blue, white), curves[0], "BMP header", curves)
    except CannotBeAProfile as error:
        raise NotForJpeg2000(
            Reason.COLOR, f"a BMP with {error}, which cannot be expressed exactly as an ICC profile"
        ) from error
    return profile, None


def _xy(x: float, y: float, z: float) -> tuple[float, float]:
    total = x + y + z
    if total <= 0:
        raise CannotBeAProfile("invalid primaries")
    return x / total, y / total


def _parts(data: bytes, header: _Header, end: int, profile: Part | None) -> list[Part]:
    """All parts of a file whose pixels end at `end`."""
    table_end = min(header.palette_at + header.colors * header.entry_bytes, header.pixels_at)
    parts = [
        part_of(PARTS["picture"], 0, table_end),
        part_of(PARTS["picture"], header.pixels_at, end - header.pixels_at),
        *([profile] if profile is not None else []),
    ]
    return [*parts, *gaps(parts, data)]
