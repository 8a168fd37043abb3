"""A decoded picture, and the two errors for files that do not become one."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.reasons import Reason

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class BadPicture(ValueError):  # noqa: N818
    """The bytes are broken or not a picture; the message is a sentence that says what is wrong."""


class NotForJpeg2000(ValueError):  # noqa: N818
    """A good file that an archive should keep: `reason` says why for programs, the message for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it should be viewed, and what came with it.

    `pixels` is (H, W, C), C-contiguous, uint8 in [0, 255] or uint16 in [0, 65535]; C is 1 (gray), 2 (gray and
    alpha), 3 (RGB) or 4 (RGB and alpha, not premultiplied). `bit_depth` is the source's: 8 or less is given
    as 8, and samples of 9 to 15 bits are stretched to the whole range of uint16 (round(v * 65535 /
    (2**bit_depth - 1)), which can be undone exactly). `metadata_problems` names, in sentences, the metadata
    that could not be read or carried. `jpeg_quality` is a JPEG's on libjpeg's scale, None for others.
    """

    pixels: Pixels
    metadata: PhotoMetadata
    format: str  # "jpeg", "png", "tiff", "webp", "bmp", "avif", "gif" or "dicom"
    bit_depth: int  # 8 to 16
    metadata_problems: tuple[str, ...] = ()
    jpeg_quality: float | None = None
    color_by_exif: bool = True  # whether EXIF may state its color if there is no profile


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Raises BadPicture if a picture has no pixels, or more than `max_pixels` (None: no limit)."""
    if width < 1 or height < 1:
        raise BadPicture(f"the picture is {width} x {height} pixels, so there is nothing in it")
    if max_pixels is not None and width * height > max_pixels:
        size = f"{width} x {height} = {width * height:,} pixels"
        raise BadPicture(f"the picture is {size}, more than the limit of {max_pixels:,}")


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Wraps a library's decoder: exceptions on a broken file of format `name` become BadPicture."""
    try:
        yield
    except (BadPicture, NotForJpeg2000, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds of exceptions on broken data, even SyntaxError
        raise BadPicture(f"broken {name}: {error}") from error


@contextlib.contextmanager
def decoding(form: str) -> Iterator[None]:
    """Wraps the decoder of a file whose header is valid: if it fails, the picture is damaged and kept.

    `form` is how the file is called in the reason, such as "a WebP".
    """
    try:
        yield
    except (BadPicture, NotForJpeg2000, MemoryError):
        raise
    except Exception as error:  # decoders raise all kinds of exceptions on broken data
        # A library's message may contain bytes of the file that are not text.
        why = "" if isinstance(error, UnicodeError) else str(error)
        raise damaged(form, why or "its pixels cannot be decoded") from error


def damaged(form: str, why: str) -> NotForJpeg2000:
    """The error for a file with an incomplete picture; `form` such as "a WebP"."""
    return NotForJpeg2000(Reason.DAMAGED, f"a damaged {form.partition(' ')[2]} ({why})")


def require_size(pixels: Pixels, height: int, width: int, form: str) -> None:
    """Raises NotForJpeg2000 if a decoder's picture does not have the size that the header states."""
    if pixels.shape[:2] != (height, width):
        raise damaged(form, f"{pixels.shape} decoded where its header says {height} x {width}")


def with_channels(pixels: NDArray[Any]) -> Pixels:
    """(H, W) as (H, W, 1), (H, W, C) unchanged; always C-contiguous."""
    whole: Any = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis])
    samples: Pixels = whole
    return samples


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels stored with an EXIF `orientation` of 1 to 8 as they should be seen; 1 copies nothing."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return with_channels(pixels)


def gray_if_neutral(pixels: Pixels) -> Pixels:
    """(H, W, 3 or 4) whose red, green and blue are equal everywhere, as (H, W, 1 or 2); others unchanged."""
    if pixels.shape[2] < 3:
        return pixels
    red = pixels[:, :, 0]
    if not (np.array_equal(red, pixels[:, :, 1]) and np.array_equal(red, pixels[:, :, 2])):
        return pixels
    return with_channels(pixels[:, :, 2:])


def stretched(samples: NDArray[np.uint16], bit_depth: int) -> NDArray[np.uint16]:
    """Samples in [0, 2**bit_depth - 1] stretched to [0, 65535], rounded to nearest."""
    peak = (1 << bit_depth) - 1
    table = (np.arange(peak + 1, dtype=np.uint32) * 65535 + peak // 2) // peak
    stretched_samples: NDArray[np.uint16] = table.astype(np.uint16)[samples]
    return stretched_samples


def as_8_bit(pixels: Pixels) -> NDArray[np.uint8]:
    """Samples in [0, 255]: uint8 unchanged, uint16 scaled by 255 / 65535 and rounded to nearest."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    table = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
    scaled: NDArray[np.uint8] = table[pixels]
    return scaled


def pillow_image(pixels: Pixels, *, gray: bool) -> Image.Image:
    """An 8-bit RGB or RGBA image, or L if `gray` is allowed."""
    samples: NDArray[np.uint8] = as_8_bit(pixels)
    if samples.shape[2] == 1 and gray:
        return Image.fromarray(np.ascontiguousarray(samples[:, :, 0]))
    if samples.shape[2] < 3:
        samples = samples[:, :, [0, 0, 0, 1][: samples.shape[2] + 2]]
    return Image.fromarray(np.ascontiguousarray(samples))


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes that Pillow writes; options that are None are left out."""
    file = io.BytesIO()
    image.save(file, format, **{name: value for name, value in options.items() if value is not None})
    return file.getvalue()


def full_range(pixels: Pixels, bit_depth: int) -> Pixels:
    """Samples of any depth stretched to the whole range of their type, rounded."""
    peak, top = 2**bit_depth - 1, int(np.iinfo(pixels.dtype).max)
    if peak == top:
        return pixels
    stretched: Pixels = ((pixels.astype(np.uint32) * top + peak // 2) // peak).astype(pixels.dtype)
    return stretched
