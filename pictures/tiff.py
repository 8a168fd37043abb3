"""TIFF files: pixels by libtiff, directories by pictures.exif; written files begin with the EXIF block."""

from __future__ import annotations

import dataclasses
import io
import re
import struct
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, exif, jumbf, photoshop, strip_ends, tiff_parts
from foveate.pictures.accounting import Kind, Part, part_of, settle
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    check_size,
    damaged,
    decoding,
    gray_if_neutral,
    require_size,
    with_channels,
)
from foveate.pictures.reasons import Reason

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_COLOR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _XMP, _IPTC, _ICC, _DNG = 320, 338, 339, 700, 33723, 34675, 50706
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _MAPPED, _YCBCR = 0, 1, 2, 3, 6
_PHOTOMETRIC_NAMES = {
    4: "a mask",
    5: "CMYK",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL",
    32845: "LogLuv",
}
_SENSOR = (32803, 34892)  # photometric: color filter array, linear raw
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65000, 65535)  # Sony, Epson, Samsung, Nikon, Kodak, Pentax
_READ_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946, 34925, 50000)
_FAX = (2, 3, 4)
_JPEG = 7
_DEFLATE = 8
_JPEG_TABLES = 347
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")
_BASELINE_TO_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
_UNASSOCIATED = 2
_DIFFERENCES = 2
_LUMA, _REFERENCE_LEVELS = 529, 532
_LUMA_OF_JPEG = (0.299, 0.587, 0.114)  # the only ones that libjpeg knows
_STRIP_SIZE = 1 << 20
_STRUCTURE = (
    _SUBFILE,
    _SUBFILE + 1,
    263,
    266,
    280,
    281,
    301,
    _COLOR_MAP,
    *range(322, 326),
    exif.SUB_DIRECTORIES,
)
_STRUCTURE += (_EXTRA_SAMPLES, 347, *range(512, 522), *range(529, 533), 700, _IPTC, 34377, _ICC)


def decode_tiff(data: bytes, max_pixels: int | None) -> Picture:
    """The picture as stored (orientation not applied); raises BadPicture and NotForJpeg2000."""
    try:
        directory = next(exif.directories(data), None)
        if directory is None:
            raise BadPicture("broken TIFF: it has no directory")
        _refuse_raw(data, directory)
        width, height = (_number(data, directory, tag, 0) for tag in (_WIDTH, _HEIGHT))
        check_size(width, height, max_pixels)
        _refuse_what_jpeg2000_should_not_hold(data, directory)
        metadata, lost = _metadata(data, directory)
        rest = strip_ends.rest_of_strips(data, directory)
        problems = settle([*tiff_parts.walk(data), *lost, *rest], "a TIFF")
        pixels = _pixels(data, directory)
        require_size(pixels, height, width, "a TIFF")
        if metadata.icc is None:
            profile = _stated_color(data, directory, pixels)
            metadata = dataclasses.replace(metadata, icc=profile)
    except exif.BadExif as error:
        raise BadPicture(f"broken TIFF: {error}") from error
    bits = exif.numbers(data, directory, _BITS) or (1,)
    return Picture(pixels, metadata, "tiff", max(8, bits[0]), problems)


def _stated_color(data: bytes, directory: exif.Directory, pixels: Pixels) -> bytes | None:
    """The profile for tags that state a white point, primaries or a transfer function."""
    return color.of_tiff(
        exif.ratios(data, directory, tiff_parts.WHITE),
        exif.ratios(data, directory, tiff_parts.PRIMARIES),
        exif.numbers(data, directory, tiff_parts.TRANSFER),
        gray=pixels.shape[2] <= 2,
    )


def encode_tiff(pixels: Pixels, metadata: PhotoMetadata) -> bytes:
    """A TIFF of 8 or 16 bits, deflated in strips; pixels (H, W, 1 to 4). Raises ValueError beyond 4 GiB.

    The file begins with the unchanged EXIF block, so that every offset in it stays valid, even in maker
    notes; a new first directory at the end adds what a TIFF needs. Nothing points to the block's thumbnail
    any more.
    """
    order = exif.byte_order(metadata.exif or metadata.geo or b"II")
    block = metadata.exif or exif.block_of({}, order)
    rows = max(1, _STRIP_SIZE // (pixels[0].nbytes))
    strips = [_strip(pixels[top : top + rows], order) for top in range(0, pixels.shape[0], rows)]
    starts = np.cumsum([len(block) + len(block) % 2, *(len(strip) for strip in strips)])
    end = int(starts[-1])
    if end >= 1 << 32:
        raise ValueError(f"the TIFF would have {end:,} bytes, more than the 4 GiB that it can hold")
    values = _values(pixels, metadata, order, rows)
    values[_STRIP_OFFSETS] = exif.long(order, *(int(start) for start in starts[:-1]))
    values[_STRIP_BYTES] = exif.long(order, *(len(strip) for strip in strips))
    directory, tail = exif.new_first_directory(block, end, values, _STRUCTURE, alone=True)
    old = tiff_parts.without_first_directory(block)
    head = block[:4] + struct.pack(order + "I", directory) + old[8:] + bytes(len(block) % 2)
    return b"".join((head, *strips, tail))


def _number(data: bytes, directory: exif.Directory, tag: int, default: int) -> int:
    return (exif.numbers(data, directory, tag) or (default,))[0]


def _refuse_raw(data: bytes, directory: exif.Directory) -> None:
    """Refuses raw files of cameras, known by their marks or by the pixels that their directories describe."""
    raw = NotForJpeg2000(Reason.RAW, "a RAW photo")
    if _DNG in directory.fields or data[8:10] == b"CR":
        raise raw
    below = exif.numbers(data, directory, exif.SUB_DIRECTORIES)[:16]
    for one in (directory, *(exif.read_directory(data, offset) for offset in below)):
        if _number(data, one, _PHOTOMETRIC, 0) in _SENSOR:
            raise raw
        if _number(data, one, _COMPRESSION, 1) in _RAW_COMPRESSIONS:
            raise raw


def _refuse_what_jpeg2000_should_not_hold(data: bytes, directory: exif.Directory) -> None:
    _refuse_pages(data)
    samples, photometric = (_number(data, directory, tag, 1) for tag in (_SAMPLES, _PHOTOMETRIC))
    bits = exif.numbers(data, directory, _BITS) or (1,)
    kinds = set(exif.numbers(data, directory, _SAMPLE_FORMAT)) - {1, 4}
    compression = _number(data, directory, _COMPRESSION, 1)
    if 3 in kinds:
        raise NotForJpeg2000(Reason.NOT_READ, "a floating-point TIFF")
    if kinds:
        raise NotForJpeg2000(
            Reason.NOT_READ, f"a TIFF whose samples are not plain numbers (format {min(kinds)})"
        )
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _MAPPED, _YCBCR):
        name = _PHOTOMETRIC_NAMES.get(photometric, f"photometric {photometric}")
        raise NotForJpeg2000(Reason.COLOR, f"a TIFF in {name}")
    _refuse_other_levels(data, directory, photometric, (1 << bits[0]) - 1)
    if compression in _FAX:
        raise NotForJpeg2000(Reason.NOT_READ, "a fax in TIFF, whose decoder hides damage")
    if compression not in _READ_COMPRESSIONS or (photometric == _YCBCR and compression != _JPEG):
        raise NotForJpeg2000(Reason.NOT_READ, f"a TIFF with compression {compression} in an unsupported form")
    if tiff_parts.missing_strips(data, directory):
        raise damaged("a TIFF", "some of its pixels are missing")
    if samples > 4:
        raise NotForJpeg2000(Reason.NOT_READ, f"a TIFF of {samples} channels")
    if len(set(bits)) > 1 or bits[0] not in (1, 2, 4, 8, 16) or (bits[0] < 8 and samples > 1):
        raise NotForJpeg2000(Reason.NOT_READ, f"a TIFF of {'/'.join(map(str, bits))} bits per sample")
    _refuse_strange_extra_samples(data, directory, samples - (3 if photometric in (_RGB, _YCBCR) else 1))


def _refuse_other_levels(data: bytes, directory: exif.Directory, photometric: int, peak: int) -> None:
    """Raises NotForJpeg2000 for levels and luma (TIFF 6.0, sections 20 and 21) that decoders ignore."""
    levels = exif.ratios(data, directory, _REFERENCE_LEVELS)
    usual = (0, peak, 128, peak, 128, peak), (0, peak) * 3, (0, peak, 127, peak, 127, peak)
    if photometric in (_RGB, _YCBCR) and levels and levels not in usual:
        raise NotForJpeg2000(Reason.COLOR, "a TIFF with custom black and white levels")
    luma = exif.ratios(data, directory, _LUMA)
    if photometric == _YCBCR and luma and not np.allclose(luma, _LUMA_OF_JPEG, atol=0.002):
        raise NotForJpeg2000(Reason.COLOR, "a YCbCr TIFF with custom coefficients")


def _refuse_pages(data: bytes) -> None:
    pages = 0
    for number, directory in enumerate(exif.directories(data)):
        reduced = _number(data, directory, _SUBFILE, 0) & 1
        if reduced and not number:
            raise NotForJpeg2000(Reason.SEVERAL_PICTURES, "a TIFF whose first page is a preview of another")
        pages += not reduced
        if pages > 1:
            raise NotForJpeg2000(Reason.SEVERAL_PICTURES, "a TIFF of several pages")


def _refuse_strange_extra_samples(data: bytes, directory: exif.Directory, extra: int) -> None:
    if extra < 0:
        raise BadPicture(f"broken TIFF: it lacks {-extra} of its three color channels")
    meaning = exif.numbers(data, directory, _EXTRA_SAMPLES)
    if extra == 1 and meaning[:1] == (1,):
        raise NotForJpeg2000(
            Reason.NOT_READ, "a TIFF with premultiplied alpha, which cannot be undone exactly"
        )
    if extra and (extra > 1 or meaning[:1] != (_UNASSOCIATED,)):
        raise NotForJpeg2000(Reason.NOT_READ, f"a TIFF with {extra} extra channel(s) of unknown meaning")


def _pixels(data: bytes, directory: exif.Directory) -> Pixels:
    photometric = _number(data, directory, _PHOTOMETRIC, 1)
    bits = _number(data, directory, _BITS, 1)
    if _number(data, directory, _COMPRESSION, 1) == _JPEG:
        _check_jpegs(data, directory, bits)
    with decoding("a TIFF"):
        samples = _packed_samples(data) if bits < 8 else imagecodecs.tiff_decode(data)
    if samples.ndim == 3 and _number(data, directory, _PLANAR, 1) == 2:
        samples = samples.transpose(1, 2, 0)
    if samples.dtype == np.bool_:
        samples = samples.astype(np.uint8) * np.uint8(255 if photometric != _MAPPED else 1)
    if samples.dtype not in (np.uint8, np.uint16):
        raise BadPicture(f"broken TIFF: its samples decode as {samples.dtype}")
    if samples.dtype.itemsize * 8 != max(8, bits):
        detail = f"a TIFF of {bits} bits that decodes to {samples.dtype.itemsize * 8}"
        raise NotForJpeg2000(Reason.NOT_READ, detail)
    if photometric == _MAPPED:
        return _mapped(samples, exif.numbers(data, directory, _COLOR_MAP))
    # libtiff leaves "white is zero" to its caller, Pillow (below 8 bits) does not; alpha is never inverted.
    pixels = with_channels(samples)
    if photometric == _WHITE_IS_ZERO and bits >= 8:
        pixels[:, :, 0] = np.iinfo(pixels.dtype).max - pixels[:, :, 0]
    return pixels


def _check_jpegs(data: bytes, directory: exif.Directory, bits: int) -> None:
    """Raises NotForJpeg2000 if JPEG data are damaged, or of a kind that libtiff decodes wrongly."""
    if bits != 8:
        raise NotForJpeg2000(Reason.NOT_READ, f"a TIFF of JPEG data of {bits} bits")
    tables = exif.raw(data, directory, _JPEG_TABLES)
    for part in tiff_parts.strips(data, directory):
        strip = data[part.start : part.end]
        if len(tables) > 4:
            strip = tables[:-2] + strip[2:]
        frame = _JPEG_FRAME.search(strip)
        if frame is None or frame[0][1] not in _BASELINE_TO_PROGRESSIVE:
            raise NotForJpeg2000(Reason.NOT_READ, "a TIFF of lossless or unusual JPEG data")
        try:
            simplejpeg.decode_jpeg(strip, "GRAY", strict=True)
        except ValueError as error:
            raise damaged("a JPEG in a TIFF", str(error)) from error


def _packed_samples(data: bytes) -> NDArray[Any]:
    """(H, W) of 1, 2 or 4 bits per sample, unpacked by Pillow: bool, gray in [0, 255], or palette indices."""
    with TiffImagePlugin.TiffImageFile(io.BytesIO(exif.upright(data))) as image:
        return np.array(image)


def _mapped(indices: NDArray[Any], color_map: tuple[int, ...]) -> Pixels:
    """(H, W) palette indices as RGB, or gray if all colors are; the map has 16-bit values, all reds first."""
    table: NDArray[Any] = np.array(color_map[: len(color_map) // 3 * 3], np.uint16).reshape(3, -1).T
    if indices.ndim == 3 and indices.shape[2] == 2:  # with alpha
        colors = _mapped(indices[:, :, 0], color_map)
        return with_channels(np.dstack([colors, indices[:, :, 1:].astype(np.uint8)]))
    if indices.ndim != 2 or int(indices.max()) >= len(table):
        raise damaged("a TIFF", "a palette index beyond its palette")
    # Some writers store 8-bit colors in the low byte.
    table = table >> 8 if table.max() > 255 else table
    return gray_if_neutral(table.astype(np.uint8)[indices])


def _metadata(data: bytes, directory: exif.Directory) -> tuple[PhotoMetadata, list[Part]]:
    """The metadata as stored, and what cannot be read or carried."""
    lost: list[Part] = []

    def lose(name: str, content: bytes, why: str = "") -> None:
        lost.append(Part(Kind.UNKNOWN, name, 0, len(content), why))

    icc, xmp, iptc, resources, jumb = (
        exif.raw(data, directory, tag) or None
        for tag in (_ICC, _XMP, _IPTC, tiff_parts.PHOTOSHOP, tiff_parts.C2PA)
    )
    if iptc is not None and iptc[:1] != b"\x1c":  # written as numbers in the other byte order
        swapped = b"".join(iptc[at : at + 4][::-1] for at in range(0, len(iptc), 4))
        if swapped[:1] != b"\x1c":
            lose("IPTC", iptc, "it cannot be read")
        iptc = swapped if swapped[:1] == b"\x1c" else None
    if resources is not None:
        inner, resources, thumbnails, rest = photoshop.apart(resources)
        if inner and iptc and inner.rstrip(b"\0") != iptc.rstrip(b"\0"):
            lose("a second IPTC", inner)
        iptc = iptc or inner
        if thumbnails:
            lost.append(part_of(photoshop.RESOURCES["thumbnail"], 0, len(thumbnails)))
        if rest:
            lost.append(part_of(photoshop.RESOURCES["broken"], 0, len(rest)))
    if jumb is not None and not jumbf.is_whole(jumb):
        lose("C2PA", jumb, "damaged")
        jumb = None
    metadata = PhotoMetadata(
        icc=icc,
        exif=exif.from_tiff(data),
        xmp=xmp,
        dpi=exif.resolution(data),
        iptc=iptc.rstrip(b"\0") if iptc else None,
        photoshop=resources,
        geo=_geo_block(data, directory),
        jumbf=jumb,
    )
    return metadata, lost


def _geo_block(data: bytes, directory: exif.Directory) -> bytes | None:
    """The tags of GeoTIFF as a picture of one pixel, as in a GeoJP2 box; None if there are none."""
    fields = {tag: field for tag, field in directory.fields.items() if tag in tiff_parts.GEO}
    if not fields:
        return None
    order = exif.byte_order(data)
    one_pixel = {
        _WIDTH: exif.short(order, 1),
        _HEIGHT: exif.short(order, 1),
        _BITS: exif.short(order, 8),
        _COMPRESSION: exif.short(order, 1),
        _PHOTOMETRIC: exif.short(order, _BLACK_IS_ZERO),
        _STRIP_OFFSETS: exif.long(order, 0),
        _SAMPLES: exif.short(order, 1),
        _ROWS_PER_STRIP: exif.short(order, 1),
        _STRIP_BYTES: exif.long(order, 1),
    }
    geo = {
        tag: exif.Value(one.type, one.count, exif.raw(data, directory, tag)) for tag, one in fields.items()
    }
    size = len(exif.block_of(one_pixel | geo, order))
    one_pixel[_STRIP_OFFSETS] = exif.long(order, size)
    return exif.block_of(one_pixel | geo, order) + b"\0"


def _strip(pixels: Pixels, order: str) -> bytes:
    """Rows of pixels as differences along the row, deflated."""
    differences = pixels.copy()
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=differences[:, 1:])
    stored = differences.astype(f"{order}u{pixels.dtype.itemsize}", copy=False)
    deflated = bytes(imagecodecs.deflate_encode(stored.tobytes(), 6))
    return deflated + bytes(len(deflated) % 2)


def _values(pixels: Pixels, metadata: PhotoMetadata, order: str, rows: int) -> dict[int, exif.Value]:
    """Content of the first directory, without the positions of strips."""
    height, width, channels = pixels.shape
    values = {
        _WIDTH: exif.long(order, width),
        _HEIGHT: exif.long(order, height),
        _BITS: exif.short(order, *[pixels.dtype.itemsize * 8] * channels),
        _COMPRESSION: exif.short(order, _DEFLATE),
        _PHOTOMETRIC: exif.short(order, _BLACK_IS_ZERO if channels < 3 else _RGB),
        _SAMPLES: exif.short(order, channels),
        _ROWS_PER_STRIP: exif.long(order, rows),
        _PLANAR: exif.short(order, 1),
        _PREDICTOR: exif.short(order, _DIFFERENCES),
        _SAMPLE_FORMAT: exif.short(order, *[1] * channels),
    }
    if channels in (2, 4):
        values[_EXTRA_SAMPLES] = exif.short(order, _UNASSOCIATED)
    if metadata.dpi is not None:
        values |= exif.resolution_values(order, metadata.dpi)
    if metadata.icc is not None:
        values[_ICC] = exif.Value(exif.UNDEFINED, len(metadata.icc), metadata.icc)
    for tag, kind, content in (
        (_XMP, exif.BYTE, metadata.xmp),
        (_IPTC, exif.UNDEFINED, metadata.iptc),
        (tiff_parts.PHOTOSHOP, exif.BYTE, photoshop.joined(metadata.iptc, metadata.photoshop) or None),
        (tiff_parts.C2PA, exif.UNDEFINED, metadata.jumbf),
    ):
        if content is not None:
            values[tag] = exif.Value(kind, len(content), content)
    if metadata.geo is not None:
        values |= _geo_values(metadata.geo, order)
    return values


def _geo_values(geo: bytes, order: str) -> dict[int, exif.Value]:
    """The tags of GeoTIFF in a byte order; {} if the block cannot be read."""
    try:
        own, directory = exif.byte_order(geo), exif.read_directory(geo, exif.first_directory(geo))
    except exif.BadExif:
        return {}
    found = {tag: field for tag, field in directory.fields.items() if tag in tiff_parts.GEO}
    stored = {
        tag: exif.Value(one.type, one.count, exif.raw(geo, directory, tag)) for tag, one in found.items()
    }
    return {tag: exif.in_order(value, own, order) for tag, value in stored.items()}
