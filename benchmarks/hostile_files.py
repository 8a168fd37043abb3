"""Makes files that harm careless readers: truncated, with flipped bits, with awkward names; and good ones."""

from __future__ import annotations

import functools
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.raw_files import PNG, dicom, saved, tiff_block
from foveate.codec import allocation, jp2
from foveate.codec.coding import Coding
from foveate.codec.encoder import Encoder
from foveate.codec.metadata import PhotoMetadata

# Sound files ----------------------------------------------------------------------------------------


@functools.cache
def sound_files() -> dict[str, bytes]:
    """One small sound file of each format that is read, by its ending; archives too."""
    rng = np.random.default_rng(5)
    smooth = np.add.outer(np.arange(41), np.arange(57))[..., None] + np.array([20, 60, 90])
    pixels = (smooth + rng.integers(0, 25, smooth.shape)).astype(np.uint8)
    image = Image.fromarray(pixels)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = tiff_block([(0x0112, 3, 1, 1), (0x0100, 4, 1, 57)])
    carried = {"icc_profile": icc, "exif": b"Exif\0\0" + exif, "xmp": b"<x:xmpmeta/>"}
    coded = _two_layers(pixels)
    return {
        "jpg": saved(image, "JPEG", quality=90, **carried),
        "png": saved(image, "PNG", icc_profile=icc),
        "tif": saved(image, "TIFF", compression="tiff_lzw"),
        "webp": saved(image, "WEBP", quality=90, **carried),
        "avif": saved(image, "AVIF", quality=90, speed=10),
        "bmp": saved(image, "BMP"),
        "gif": saved(image, "GIF"),
        "dcm": dicom(41, 57, pixels[..., 0].tobytes()),
        "j2k": coded,
        "jp2": jp2.wrap(coded, metadata=PhotoMetadata(icc=icc, exif=exif)),
    }


def _two_layers(pixels: NDArray[np.uint8]) -> bytes:
    return allocation.encode(Encoder(pixels, coding=Coding(block_size=16)).at_slope(30.0, layers=2))


# Damage ---------------------------------------------------------------------------------------------


def cuts(data: bytes) -> dict[str, bytes]:
    """A file truncated at every power of two below its size."""
    return {f"cut-{1 << power}": data[: 1 << power] for power in range(len(data).bit_length() - 1)}


def flipped(data: bytes, seed: int, index: int) -> bytes:
    """A file with one to eight flipped bits, every third time in its head; most PNGs get correct checksums.

    Otherwise, readers would stop at the checksums.
    """
    rng = np.random.default_rng([seed, index])
    broken = np.frombuffer(data, np.uint8).copy()
    reach = min(len(data), 200) if index % 3 == 0 else len(data)
    for place in rng.integers(0, reach, int(rng.integers(1, 9))):
        broken[place] ^= 1 << rng.integers(8)
    damaged = broken.tobytes()
    return mended_png(damaged) if data.startswith(PNG) and index % 4 else damaged


def mended_png(data: bytes) -> bytes:
    """A PNG with correct checksums in all chunks that can be found."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        if at + 12 + length > len(data):
            break
        parts.append(data[at : at + 8 + length])
        parts.append(struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + length])))
        at += 12 + length
    return b"".join(parts) + data[at:]


# Names ----------------------------------------------------------------------------------------------


def write_hostile_names(folder: Path, data: bytes) -> int:
    """Writes the same photo (of any format) under awkward names; returns how many."""
    names: list[bytes] = [
        b"new\nline.png",
        b"tab\tand\rreturn.png",
        b"\x1b[31mred.png",
        b"not-text-\xff\xe9.png",
        b"-rf.png",
        b" leading and trailing .png",
        b"..png",
        b"...png",
        b"a..png",
        b"%2e%2e%2fup.png",
        b"back\\slash.png",
        b"<script>alert(1)</script>.png",
        b"quote'\".png",
        b"*.png",
        b"[x]?.png",
        b"{a,b}.png",
        b"$(touch x).png",
        b"con.png",
        b"photo.png",
        b"Photo.png",
        "caf\u00e9.png".encode(),
        "cafe\u0301.png".encode(),
        "\u202egpj.png".encode(),
        b"n" * 247 + b".png",  # with .jp2 just as long as a name may be
        b"n" * 251 + b".png",  # and too long
        b"/".join([b"deep" * 20] * 4) + b"/" + b"m" * 60 + b".png",
        b"photo.png.jp2",
    ]
    for name in names:
        path = Path(folder) / Path(name.decode(errors="surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return len(names)


def noisy_png(height: int = 64, width: int = 64) -> bytes:
    """A photo that gets smaller as JPEG 2000."""
    noise: NDArray[np.uint8] = np.random.default_rng(0).integers(90, 160, (height, width, 3), np.uint8)
    return bytes(imagecodecs.png_encode(noise))
