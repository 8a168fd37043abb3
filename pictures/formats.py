"""Decodes and encodes every picture format except JPEG 2000: bytes in, upright arrays out, and back.

Nothing is dropped silently: a file that JPEG 2000 cannot hold completely (an animation, a RAW photo, an HDR
gain map, CMYK, ...) raises NotForJpeg2000, and a broken one BadPicture, each with the reason as a sentence.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from typing import Literal

import numpy as np

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures import color, exif, jpegxl, photoshop, xmp
from foveate.pictures.accounting import MOST_UNKNOWN
from foveate.pictures.avif import decode_avif, encode_avif, is_heic
from foveate.pictures.bmp import decode_bmp, is_dib
from foveate.pictures.dicom import decode_dicom
from foveate.pictures.dicom_dataset import is_dicom
from foveate.pictures.exif_salvage import salvaged
from foveate.pictures.exif_turn import follow
from foveate.pictures.gif import decode_gif
from foveate.pictures.heic import decode_heic
from foveate.pictures.jpeg import decode_jpeg, encode_jpeg, jpeg_bytes
from foveate.pictures.picture import (
    BadPicture,
    NotForJpeg2000,
    Picture,
    Pixels,
    turned,
)
from foveate.pictures.png import decode_png, encode_png
from foveate.pictures.png_parts import SIGNATURE as PNG_SIGNATURE
from foveate.pictures.reasons import Reason
from foveate.pictures.tiff import decode_tiff, encode_tiff
from foveate.pictures.webp import decode_webp, encode_webp

__all__ = [
    "DICOM_EXTENSIONS",
    "PICTURE_EXTENSIONS",
    "BadPicture",
    "NotForJpeg2000",
    "Picture",
    "PictureFormat",
    "Pixels",
    "as_it_should_be_seen",
    "decode_picture",
    "encode_picture",
    "extension",
    "jpeg_bytes",
    "turn_to_be_seen",
]

PictureFormat = Literal["png", "tiff", "jpeg", "webp", "avif"]
ON_DEMAND = ("heic", "jxl", "cmyk")
"""Formats that `decode_picture` decodes only on request."""

DROPPED = ("gain-maps",)
"""Parts that pictures may lose on request; they keep a file otherwise."""

_EXTENSIONS: dict[str, str] = {
    "png": ".png",
    "tiff": ".tif",
    "jpeg": ".jpg",
    "webp": ".webp",
    "avif": ".avif",
}
_READ = ".jpg .jpeg .jpe .jfif .png .tif .tiff .webp .bmp .dib .avif .gif"
_KEPT = ".apng .mpo .heic .heif .hif .avifs .jxl"
_RAW = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .rw2 .rwl"
    " .sr2 .srf .srw .x3f"
)
DICOM_EXTENSIONS: frozenset[str] = frozenset((".dcm", ".dicom", ".ima"))
PICTURE_EXTENSIONS: frozenset[str] = frozenset(f"{_READ} {_KEPT} {_RAW}".split()) | DICOM_EXTENSIONS
"""Suffixes of photos, in lower case with the dot: formats that are read, and those kept unchanged."""

_NOT_READ = (
    (0, b"\xff\x0a", Reason.NOT_READ, "JPEG XL is only decoded on request (--also jxl)"),
    (0, b"\0\0\0\x0cJXL ", Reason.NOT_READ, "JPEG XL is only decoded on request (--also jxl)"),
    (0, b"\0\0\0\x0cjP  ", Reason.NOT_READ, "it is already JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", Reason.NOT_READ, "it is already JPEG 2000"),
    (0, b"FUJIFILMCCD-RAW", Reason.RAW, "a RAW photo"),
    (0, b"IIU\0", Reason.RAW, "a RAW photo"),
    (0, b"IIRO", Reason.RAW, "a RAW photo"),
    (0, b"IIRS", Reason.RAW, "a RAW photo"),
    (0, b"MMOR", Reason.RAW, "a RAW photo"),
    (0, b"\0MRM", Reason.RAW, "a RAW photo"),
    (0, b"FOVb", Reason.RAW, "a RAW photo"),
    (6, b"HEAPCCDR", Reason.RAW, "a RAW photo"),
    (0, b"8BPS\0", Reason.NOT_READ, "a Photoshop document"),
    (0, b"II\xbc", Reason.NOT_READ, "a JPEG XR picture"),
    (0, b"v/1\x01", Reason.NOT_READ, "an OpenEXR picture"),
    (0, b"#?R", Reason.NOT_READ, "a Radiance HDR picture"),
    (0, b"gimp xcf", Reason.NOT_READ, "a GIMP picture"),
    (0, b"%PDF", Reason.NOT_READ, "a PDF document"),
    (0, b"DDS ", Reason.NOT_READ, "a DDS texture"),
    (0, b"SIMPLE  =", Reason.NOT_READ, "a FITS picture"),
    (0, b"AT&TFORM", Reason.NOT_READ, "a DjVu document"),
    (0, b"qoif", Reason.NOT_READ, "a QOI picture"),
    (0, b"BPG\xfb", Reason.NOT_READ, "a BPG picture"),
    (0, b"\x8aMNG", Reason.NOT_READ, "an MNG animation"),
    (0, b"\x8bJNG", Reason.NOT_READ, "a JNG picture"),
    (0, b"Y\xa6j\x95", Reason.NOT_READ, "a Sun raster picture"),
    (0, b"\0\0\1\0", Reason.NOT_READ, "an icon"),
)
_NETPBM = re.compile(rb"P[1-7][ \t\r\n]")
_BARE_DATASET = re.compile(rb"[\2\x08]\0.\0(?:[A-Z][A-Z]|..\0\0)", re.DOTALL)
_DEFAULT_JPEG_QUALITY, _DEFAULT_AVIF_QUALITY = 95, 90


def decode_picture(
    data: bytes, *, max_pixels: int | None = None, frame: int = 0, also: Collection[str] = ()
) -> Picture:
    """A JPEG, PNG, TIFF, WebP, BMP, AVIF, DICOM or still GIF as upright pixels, EXIF orientation set to 1.

    `also` names formats that are decoded only on request: "heic", "jxl", and "cmyk" for JPEGs in printing
    inks, which become sRGB; and parts that may be dropped although they would otherwise keep the file
    (`DROPPED`).

    `max_pixels` is compared with the header before anything is decoded; `frame` selects one frame of a DICOM
    file, counted from 1, and 0 refuses files of several. Raises BadPicture for files that are broken or not
    pictures, and NotForJpeg2000 for files that an archive should keep unchanged. Metadata that cannot be read
    is dropped and named in the picture's `metadata_problems`; the pixels are still decoded.
    """
    if is_dicom(data):  # by the mark after its preamble, which may be any bytes
        return decode_dicom(data, max_pixels, frame)
    drop = "gain-maps" in also
    if "jxl" in also and data.startswith((jpegxl.CODESTREAM, jpegxl.CONTAINER)):
        return _upright(jpegxl.decode_jpeg_xl(data, max_pixels, drop_gain_map=drop))
    if "heic" in also and data[4:8] == b"ftyp" and is_heic(data):
        return _upright(decode_heic(data, max_pixels, drop_gain_map=drop))
    if data.startswith(b"\xff\xd8"):
        return _upright(decode_jpeg(data, max_pixels, with_inks="cmyk" in also, drop_gain_map=drop))
    return _upright(_decoded(data, max_pixels, drop))


def encode_picture(
    pixels: Pixels, metadata: PhotoMetadata, format: PictureFormat, *, quality: int | None = None
) -> bytes:
    """The file for a restored picture, with its ICC profile, EXIF, XMP and resolution.

    `pixels` is (H, W, C) uint8 or uint16, C in 1..4. PNG and TIFF keep every bit; JPEG (`quality` 95 unless
    given, 4:4:4), WebP (lossless unless `quality` is given) and AVIF (90, 4:4:4) have 8 bits, to which 16 are
    rounded. JPEG and PNG state the resolution in whole dots per inch or meter; WebP and AVIF, which have no
    field for it, in the EXIF block. Raises ValueError for alpha in a JPEG, for metadata or sizes that the
    format cannot hold, for a quality outside 1 to 100, and for pixels of another shape or type.
    """
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are (H, W, 1 to 4) uint8 or uint16, not {pixels.shape} {pixels.dtype}")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"a quality is a number from 1 to 100, not {quality}")
    if format == "png":
        return encode_png(pixels, metadata)
    if format == "tiff":
        return encode_tiff(pixels, metadata)
    if format == "jpeg":
        return encode_jpeg(pixels, metadata, quality or _DEFAULT_JPEG_QUALITY)
    if format == "webp":
        return encode_webp(pixels, metadata, quality)
    if format == "avif":
        return encode_avif(pixels, metadata, quality or _DEFAULT_AVIF_QUALITY)
    raise ValueError(f"{format!r} is none of the formats {', '.join(_EXTENSIONS)}")


def turn_to_be_seen(metadata: PhotoMetadata) -> int:
    """How the pixels of a decoded JPEG 2000 file have to be turned (1 to 8, as in EXIF); our files are
    upright.

    Many viewers only use the orientation of JPEGs. Pictures that would be wrong when turned (because of map
    coordinates, paths or depth), or whose metadata cannot be read, are not turned: 1.
    """
    turn = _stated_turn(metadata)
    if turn == 1:
        return 1
    try:
        _require_no_data_in_xmp(metadata)
        _require_that_it_may_be_turned(metadata)
        block = metadata.exif and _turned_exif(metadata.exif.removeprefix(b"Exif\0\0"), turn)[0]
    except (NotForJpeg2000, exif.BadExif):
        return 1
    return 1 if metadata.exif and not block else turn


def as_it_should_be_seen(pixels: Pixels, metadata: PhotoMetadata) -> tuple[Pixels, PhotoMetadata]:
    """A decoded JPEG 2000 file turned according to its EXIF or else XMP, with its tags; see above."""
    if turn_to_be_seen(metadata) == 1:
        return pixels, metadata
    sound = PhotoMetadata(exif=metadata.exif, xmp=metadata.xmp, dpi=metadata.dpi)
    found = _upright(Picture(pixels, sound, "jp2", 8, color_by_exif=False))
    seen = found.metadata
    return found.pixels, dataclasses.replace(metadata, exif=seen.exif, xmp=seen.xmp, dpi=seen.dpi)


def extension(format: PictureFormat) -> str:
    """The extension of a format's files, with the dot; raises ValueError for a format that is not written."""
    if format not in _EXTENSIONS:
        raise ValueError(f"{format!r} is none of the formats {', '.join(_EXTENSIONS)}")
    return _EXTENSIONS[format]


def _decoded(data: bytes, max_pixels: int | None, drop_gain_map: bool) -> Picture:
    """The picture as stored, by the decoder for the file's first bytes."""
    if not data:
        raise BadPicture("the file is empty")
    if data.startswith(PNG_SIGNATURE):
        return decode_png(data, max_pixels)
    _refuse_what_is_not_read(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return decode_tiff(data, max_pixels)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return decode_webp(data, max_pixels)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return decode_gif(data, max_pixels)
    if data[4:8] == b"ftyp":
        return decode_avif(data, max_pixels, drop_gain_map=drop_gain_map)
    if data.startswith(b"BM") or is_dib(data):
        return decode_bmp(data, max_pixels)
    raise BadPicture(f"not a picture in a known format: it starts with {bytes(data[:8])!r}")


def _refuse_what_is_not_read(data: bytes) -> None:
    """Raises NotForJpeg2000 for formats that are known, but not decoded here."""
    for at, mark, reason, detail in _NOT_READ:
        if data.startswith(mark, at):
            raise NotForJpeg2000(reason, detail)
    if data.startswith(b"BA") and data[14:16] == b"BM":
        raise NotForJpeg2000(Reason.NOT_READ, "a bitmap array of OS/2")
    if _NETPBM.match(data):
        raise NotForJpeg2000(Reason.NOT_READ, "a Netpbm picture")
    if _BARE_DATASET.match(data):
        raise NotForJpeg2000(Reason.NOT_READ, "a DICOM dataset without a file header")


def _upright(picture: Picture) -> Picture:
    """The picture and its metadata, turned according to EXIF or else XMP."""
    metadata, problems = picture.metadata, list(picture.metadata_problems)
    block, packet = metadata.exif, metadata.xmp or None
    if block:
        block = block.removeprefix(b"Exif\0\0")
    turn = _stated_turn(metadata)
    _require_no_data_in_xmp(metadata)
    if turn != 1:
        _require_that_it_may_be_turned(metadata)
    if block:
        block, lost = _turned_exif(block, turn)
        problems += lost
    dpi = metadata.dpi
    if dpi is not None and turn > 4:
        dpi = dpi[1], dpi[0]
    if dpi is None and block:
        dpi = exif.resolution(block)
    profile, channels = metadata.icc or None, picture.pixels.shape[2]
    if profile is None and picture.color_by_exif:
        profile = color.of_exif(block, gray=channels <= 2)
    if profile is not None:
        profile = color.fitting(profile, channels)
    if packet is not None:
        packet = xmp.upright(packet)
        packet = xmp.with_sides_swapped(packet) if turn > 4 else packet
    return dataclasses.replace(
        picture,
        pixels=turned(picture.pixels, turn),
        metadata=dataclasses.replace(metadata, icc=profile, exif=block or None, xmp=packet, dpi=dpi),
        metadata_problems=tuple(problems),
    )


def _stated_turn(metadata: PhotoMetadata) -> int:
    """The orientation (1 to 8) that EXIF states, or else XMP, or else 1."""
    turn = exif.stated_orientation(metadata.exif.removeprefix(b"Exif\0\0")) if metadata.exif else None
    return xmp.orientation(metadata.xmp or b"") if turn is None else turn


def _turned_exif(block: bytes, turn: int) -> tuple[bytes | None, list[str]]:
    """The EXIF block of a picture that was turned, None if it cannot be read; and what is lost of it.

    Raises:
      NotForJpeg2000: a large block cannot be read.
    """
    try:
        sound, lost = salvaged(block)
        upright, lost_in_turning = follow(sound, turn)
    except exif.BadExif as error:
        if len(block) > MOST_UNKNOWN:
            detail = f"its EXIF block of {len(block):,} bytes cannot be read: {error}"
            raise NotForJpeg2000(Reason.DAMAGED, detail) from error
        return None, [f"EXIF: it cannot be read, {error} ({len(block):,} bytes)"]
    problems = [f"EXIF {name}: it cannot be read" for name in lost]
    return upright, problems + [f"EXIF {name}: it cannot be turned" for name in lost_in_turning]


def _require_no_data_in_xmp(metadata: PhotoMetadata) -> None:
    if data := xmp.data_within(metadata.xmp or b""):
        raise NotForJpeg2000(Reason.EXTRA_DATA, f"a picture with {data}")


def _require_that_it_may_be_turned(metadata: PhotoMetadata) -> None:
    """Raises NotForJpeg2000 for metadata that would be wrong once the picture is turned."""
    if metadata.geo is not None:
        raise NotForJpeg2000(Reason.EXTRA_DATA, "a picture with map coordinates that would have to be turned")
    if photoshop.has_paths(metadata.photoshop):
        raise NotForJpeg2000(Reason.EXTRA_DATA, "a picture with Photoshop paths that would have to be turned")
