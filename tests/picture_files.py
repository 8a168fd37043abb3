"""Small irregular picture files for tests, as bytes: odd sizes, every kind of pixel, broken and unusual ones.

They are built with Pillow, imagecodecs and by hand, not with the code under test.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from foveate.pictures.reasons import Reason

DESCRIPTION = "A lighthouse, left of the pier"
CREATOR = "Ada Painter"


def sample(height: int, width: int, channels: int, bits: int = 8) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16 that no turn or flip maps to itself: slopes, a bright corner, some grain."""
    rng = np.random.default_rng(height * 1000 + width)
    down, across = np.mgrid[0:height, 0:width]
    planes = [
        0.2 + 0.3 * across / width + 0.2 * (channel + 1) * down / height / channels
        for channel in range(channels)
    ]
    values = np.stack(planes, axis=2) + rng.uniform(0, 0.04, (height, width, channels))
    values[: max(1, height // 3), : max(1, width // 4)] += 0.25
    peak = (1 << bits) - 1
    return (np.clip(values, 0, 1) * peak).round().astype(np.uint8 if bits == 8 else np.uint16)


def image(pixels: NDArray[Any]) -> Image.Image:
    """A Pillow image of (H, W, C) uint8."""
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    """Encodes a picture with Pillow."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


@functools.cache
def icc_profile() -> bytes:
    """An sRGB profile; it is made once, since it contains the time of its creation."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def xmp_packet(orientation: int | None = None) -> bytes:
    """An XMP packet with a creator and, if given, an orientation."""
    turned = "" if orientation is None else f' tiff:Orientation="{orientation}"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f"{turned}><dc:creator><rdf:Seq><rdf:li>{CREATOR}</rdf:li></rdf:Seq></dc:creator></rdf:Description>"
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def exif_block(orientation: int | None = None, order: str = "<", thumbnail: bool = False) -> bytes:
    """A bare EXIF block: description, orientation, an Exif directory with a time and a maker note, GPS.

    `thumbnail` adds a second directory whose own orientation is 6.
    """
    note = b"NOTE\0" + bytes(range(40))
    taken = b"2024:05:06 07:08:09\0"
    main = [(0x010E, 2, DESCRIPTION.encode() + b"\0"), (0x8769, 4, b"exif"), (0x8825, 4, b"gps ")]
    if orientation is not None:
        main.append((0x0112, 3, struct.pack(order + "H", orientation)))
    below = [(0x9003, 2, taken), (0x927C, 7, note)]
    gps = [(0x0001, 2, b"N\0"), (0x0002, 5, struct.pack(order + "6I", 59, 1, 21, 1, 30, 1))]
    sizes = [len(directory(fields, 0, order, 0)) for fields in (main, below, gps)]
    starts = [8, 8 + sizes[0], 8 + sizes[0] + sizes[1], 8 + sum(sizes)]
    pointers = {b"exif": starts[1], b"gps ": starts[2]}
    main = [
        (tag, kind, struct.pack(order + "I", pointers[v]) if v in pointers else v) for tag, kind, v in main
    ]
    block = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    block += directory(main, 8, order, starts[3] if thumbnail else 0)
    block += directory(below, starts[1], order, 0) + directory(gps, starts[2], order, 0)
    if thumbnail:
        block += directory([(0x0112, 3, struct.pack(order + "H", 6))], starts[3], order, 0)
    return block


def exif_with_jpeg(orientation: int = 1) -> bytes:
    """A bare EXIF block with a description, and a JPEG as its thumbnail, 12 x 8 pixels."""
    said = [
        (0x10E, 2, DESCRIPTION.encode() + b"\0"),
        (0x112, 3, struct.pack("<H", orientation)),
    ]
    small = jpeg(sample(8, 12, 3))
    at = 8 + len(directory(said, 8, "<", 0))
    fields = [
        (0x103, 3, struct.pack("<H", 6)),
        (0x201, 4, struct.pack("<I", at + 2 + 3 * 12 + 4)),
        (0x202, 4, struct.pack("<I", len(small))),
    ]
    head = b"II*\0" + struct.pack("<I", 8) + directory(said, 8, "<", at)
    return head + directory(fields, at, "<", 0) + small


def directory(fields: Sequence[tuple[int, int, bytes]], at: int, order: str, following: int) -> bytes:
    """A TIFF directory for offset `at`, of (tag, type, value)."""
    unit = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}
    entries, outside = struct.pack(order + "H", len(fields)), b""
    for tag, kind, value in sorted(fields):
        entries += struct.pack(order + "HHI", tag, kind, len(value) // unit[kind])
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", at + 2 + 12 * len(fields) + 4 + len(outside))
            outside += value + bytes(len(value) % 2)
    return entries + struct.pack(order + "I", following) + outside


def jpeg(pixels: NDArray[Any], quality: int = 92, **options: Any) -> bytes:
    """A JPEG by Pillow; `exif` is a bare block."""
    if "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"]
    return saved(image(pixels), "JPEG", quality=quality, **options)


def png(pixels: NDArray[Any], chunks: Mapping[bytes, bytes] | None = None) -> bytes:
    """A PNG of 8 or 16 bits, with extra chunks after the header."""
    plain = imagecodecs.png_encode(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (chunks or {}).items()
    )
    return b"".join((plain[:33], extra, plain[33:]))


def tiff(
    pixels: NDArray[Any],
    order: str = "<",
    tags: Mapping[int, tuple[int, bytes]] | None = None,
    pages: int = 1,
) -> bytes:
    """An uncompressed TIFF of (H, W, C) integers or floats in one strip; `tags` (type, value) overrule."""
    height, width, channels = pixels.shape
    stored = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    stored += bytes(len(stored) % 2)

    def short(*values: int) -> tuple[int, bytes]:
        return 3, struct.pack(f"{order}{len(values)}H", *values)

    def long(value: int) -> tuple[int, bytes]:
        return 4, struct.pack(order + "I", value)

    fields = {
        256: long(width),
        257: long(height),
        258: short(*[pixels.dtype.itemsize * 8] * channels),
        259: short(1),
        262: short(1 if channels < 3 else 2),
        273: long(8),
        277: short(channels),
        278: long(height),
        279: long(pixels.nbytes),
    }
    if channels in (2, 4):
        fields[338] = short(2)
    if pixels.dtype.kind == "f":
        fields[339] = short(*[3] * channels)
    fields |= dict(tags or {})
    flat = [(tag, kind, value) for tag, (kind, value) in fields.items()]
    at = 8 + len(stored)
    size = len(directory(flat, 0, order, 0))
    chain = b"".join(
        directory(flat, at + page * size, order, at + (page + 1) * size if page + 1 < pages else 0)
        for page in range(pages)
    )
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", at) + stored + chain


def webp(pixels: NDArray[Any], **options: Any) -> bytes:
    """A lossless WebP."""
    return saved(image(pixels), "WEBP", lossless=True, exact=True, **options)


def avif(pixels: NDArray[Any], **options: Any) -> bytes:
    """A nearly lossless AVIF."""
    return saved(image(pixels), "AVIF", **{"quality": 95, "subsampling": "4:4:4", "speed": 8} | options)


def palette_png(transparent: bool = False) -> bytes:
    """A PNG with a palette, 13 x 9."""
    picture = image(sample(9, 13, 3)).quantize(16)
    return saved(picture, "PNG", **({"transparency": 3} if transparent else {}))


def bilevel_png() -> bytes:
    """A PNG of one bit per pixel, 13 x 9."""
    return saved(image(sample(9, 13, 1)).convert("1"), "PNG")


def one_pixel_png() -> bytes:
    """A PNG of 1 x 1."""
    return png(np.array([[[7, 77, 177]]], np.uint8))


def strip_png() -> bytes:
    """A PNG one pixel wide and 5000 high."""
    return png(sample(5000, 1, 3))


def cmyk_jpeg() -> bytes:
    """A JPEG in CMYK."""
    return saved(image(sample(21, 17, 3)).convert("CMYK"), "JPEG")


def ultra_hdr_jpeg() -> bytes:
    """A JPEG whose XMP announces a gain map."""
    packet = xmp_packet().replace(
        b' xmlns:tiff="',
        b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" xmlns:tiff="',
    )
    return jpeg(sample(21, 17, 3), xmp=packet)


def motion_photo() -> bytes:
    """A JPEG that says in its XMP that a video follows."""
    packet = xmp_packet().replace(
        b' xmlns:tiff="',
        b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1" xmlns:tiff="',
    )
    return jpeg(sample(21, 17, 3), xmp=packet) + b"the video"


def stereo_jpeg() -> bytes:
    """A JPEG whose multi-picture index lists two views of one scene."""
    views = b"".join(struct.pack("<IIIHH", 0x020002, 0, 0, 0, 0) for _ in range(2))
    index = b"II*\0" + struct.pack("<I", 8) + directory([(0xB002, 7, views)], 8, "<", 0)
    body = b"MPF\0" + index
    plain = jpeg(sample(21, 17, 3))
    return plain[:2] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def animated(format: str) -> bytes:
    """Two frames as "GIF", "PNG", "WEBP" or "AVIF"."""
    frames = [image(sample(18, 22, 3)), image(sample(18, 22, 3)[::-1])]
    return saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def dng() -> bytes:
    """The beginnings of a DNG: a TIFF with a DNG version."""
    return tiff(sample(9, 13, 3), tags={50706: (1, b"\1\4\0\0")})


def nef() -> bytes:
    """The mark of a camera's raw file: a directory below the first whose pixels are a sensor's."""
    sensor = directory([(262, 3, struct.pack("<H", 32803))], 0, "<", 0)
    preview = tiff(sample(9, 13, 3), tags={330: (4, bytes(4))})
    at = len(preview)
    entry = preview.rindex(struct.pack("<HHI", 330, 4, 1)) + 8
    return preview[:entry] + struct.pack("<I", at) + preview[entry + 4 :] + sensor


def heic() -> bytes:
    """The first box of a HEIC file."""
    return struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(64)


def good_pictures() -> dict[str, bytes]:
    """Files that decode, by name; the sizes differ and few are even."""
    return {
        "gray.jpg": jpeg(sample(31, 45, 1)),
        "color.jpg": jpeg(sample(53, 75, 3)),
        "progressive.jpeg": jpeg(sample(33, 47, 3), progressive=True),
        "turned.jpg": jpeg(
            sample(40, 25, 3), exif=exif_block(6), xmp=xmp_packet(6), icc_profile=icc_profile()
        ),
        "gray.png": png(sample(7, 11, 1)),
        "gray-alpha.png": png(sample(11, 7, 2)),
        "color.png": png(sample(25, 39, 3)),
        "color-alpha.png": png(sample(39, 25, 4)),
        "gray-16.png": png(sample(13, 9, 1, 16)),
        "gray-alpha-16.png": png(sample(13, 10, 2, 16)),
        "color-16.png": png(sample(19, 23, 3, 16)),
        "color-alpha-16.png": png(sample(23, 19, 4, 16)),
        "palette.png": palette_png(),
        "palette-transparent.png": palette_png(transparent=True),
        "bilevel.png": bilevel_png(),
        "pixel.png": one_pixel_png(),
        "strip.png": strip_png(),
        "color.tif": tiff(sample(27, 33, 3)),
        "color-16.tif": tiff(sample(33, 27, 3, 16), ">"),
        "color-alpha-16.tiff": tiff(sample(15, 27, 4, 16)),
        "color.webp": webp(sample(29, 37, 3)),
        "color-alpha.webp": webp(sample(37, 29, 4)),
        "color.bmp": saved(image(sample(14, 15, 3)), "BMP"),
        "color.avif": avif(sample(34, 41, 3)),
        "still.gif": saved(image(sample(16, 19, 3)), "GIF"),
    }


def without_codes(data: bytes) -> bytes:
    """A lossless WebP with zeros where its prefix codes should be, right behind the header of the pixels."""
    return data[:25] + bytes(30) + data[55:]


def kept_pictures() -> dict[str, bytes]:
    """Good files that an archive keeps unchanged, by name."""
    return {
        "cmyk.jpg": cmyk_jpeg(),
        "ultra-hdr.jpg": ultra_hdr_jpeg(),
        "motion.jpg": motion_photo(),
        "stereo.jpg": stereo_jpeg(),
        "animated.gif": animated("GIF"),
        "animated.png": animated("PNG"),
        "animated.webp": animated("WEBP"),
        "animated.avif": animated("AVIF"),
        "pages.tif": tiff(sample(9, 13, 3), pages=2),
        "floating.tif": tiff(sample(9, 13, 3).astype(np.float32)),
        "premultiplied.tif": tiff(sample(9, 13, 4), tags={338: (3, b"\1\0")}),
        "five-channels.tif": tiff(sample(9, 13, 5)),
        "raw.dng": dng(),
        "raw.nef": nef(),
        "phone.heic": heic(),
        "truncated.jpg": jpeg(sample(53, 75, 3))[:-700],
        "no-end.jpg": jpeg(sample(53, 75, 3))[:-2],
        "truncated.png": png(sample(25, 39, 3))[:-900],
        "truncated.bmp": saved(image(sample(14, 15, 3)), "BMP")[:-100],
        "truncated.gif": saved(image(sample(16, 19, 3)), "GIF")[:-100],
        "truncated.webp": webp(sample(25, 39, 3))[:-100],
        "truncated.avif": avif(sample(25, 39, 3))[:-100],
        "damaged.webp": without_codes(webp(sample(25, 39, 3))),
    }


REASONS = {  # why each of `kept_pictures` is kept
    "cmyk.jpg": Reason.COLOR,
    "ultra-hdr.jpg": Reason.HIGH_DYNAMIC_RANGE,
    "motion.jpg": Reason.EXTRA_DATA,
    "stereo.jpg": Reason.SEVERAL_PICTURES,
    "animated.gif": Reason.ANIMATED,
    "animated.png": Reason.ANIMATED,
    "animated.webp": Reason.ANIMATED,
    "animated.avif": Reason.ANIMATED,
    "pages.tif": Reason.SEVERAL_PICTURES,
    "floating.tif": Reason.NOT_READ,
    "premultiplied.tif": Reason.NOT_READ,
    "five-channels.tif": Reason.NOT_READ,
    "raw.dng": Reason.RAW,
    "raw.nef": Reason.RAW,
    "phone.heic": Reason.NOT_READ,
    "truncated.jpg": Reason.DAMAGED,
    "no-end.jpg": Reason.DAMAGED,
    "truncated.png": Reason.DAMAGED,
    "truncated.bmp": Reason.DAMAGED,
    "truncated.gif": Reason.DAMAGED,
    "truncated.webp": Reason.DAMAGED,
    "truncated.avif": Reason.DAMAGED,
    "damaged.webp": Reason.DAMAGED,
}


def broken_pictures() -> dict[str, bytes]:
    """Files that are broken or not pictures, by name."""
    whole = jpeg(sample(53, 75, 3))
    return {
        "empty.jpg": b"",
        "text.jpg": b"hello world, this is not a photo\n",
        "header-only.jpg": whole[:20],
        "header-only.webp": webp(sample(25, 39, 3))[:22],
        "truncated.tif": tiff(sample(25, 39, 3))[:-40],
        "cut-in-its-header.avif": avif(sample(25, 39, 3))[:150],
        "directory.tif": b"II*\0\xff\xff\xff\x7f",
    }
