"""Loads the pictures of a report's gallery: source, archived photo, and where the bits went."""

from __future__ import annotations

import functools

import numpy as np

from foveate.archive.keys import ArchiveKey, read_stored
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.models.loading import shared
from foveate.models.reccnn import restore_pixels
from foveate.pictures.formats import NotForJpeg2000
from foveate.pictures.picture import full_range
from foveate.quality.overlay import as_rgb, heat_over, structures_over
from foveate.reports.contents import PhotoFigures
from foveate.reports.gallery import GalleryPictures, LoadGallery, Picture, shrink
from foveate.sandbox.client import Limits, bits_per_pixel, decode_archive, decode_picture
from foveate.storage.files import read_if_there

_BRIGHTEST_SHARE = 99.0  # percent of the bits map that lies below its brightest color
_FEWEST_BITS = 0.01  # per pixel, for the brightest color


def gallery_loader(key: ArchiveKey | None = None) -> LoadGallery:
    """Reads a photo's pictures from its archive file; loads RecCNN when first needed.

    Files are decoded in isolation, so that one that crashes a decoder does not affect the rest of the report.

    Args:
        key: of an encrypted archive.
    """
    limits = Limits()
    network = shared("RecCNN", _load_reccnn)

    def load(photo: PhotoFigures) -> GalleryPictures | None:
        if photo.outcome == "kept":
            return None
        data = read_stored(photo.archive_url, key, limits.file_bytes)
        found = decode_archive(data, limits)
        pixels = full_range(found.decoded.pixels, found.decoded.bit_depth)
        noise, record, restored = found.noise, found.record, None
        if noise is not None:
            restored = restore_pixels(network.get(), pixels, noise, found.prefiltered)
        archived = as_rgb(pixels)
        small = np.asarray(shrink(archived))
        saliency = record.saliency if record is not None else None
        original = _original(photo.source_url, archived.shape, limits)
        bits, most_bits = _bits_over(small, data, limits)
        return GalleryPictures(
            original=original,
            archived=archived,
            reconstructed=archived if restored is None else as_rgb(restored),
            saliency=None if saliency is None else heat_over(saliency, small),
            bits=bits,
            most_bits=most_bits,
            found=None if original is None or photo.faces is None else _found_over(small, original),
        )

    return load


def _load_reccnn() -> object:
    from foveate.models import reccnn

    return reccnn.load("fast", precision="float32")


def _found_over(small: Picture, original: Picture) -> Picture:
    """Draws what the networks find in a photo over the photo."""
    from foveate.models import structures

    finder = shared("MS-ROI", functools.partial(structures.load, structures.DEFAULT_WEIGHTS)).get()
    found = structures.find(finder, original)
    return structures_over(found.objects, found.faces, found.writing, small)


def _original(url: str, shape: tuple[int, ...], limits: Limits) -> Picture | None:
    """The source's picture; None if it is gone or has changed."""
    data = read_if_there(url, limits.file_bytes)
    try:
        picture = None if data is None else as_rgb(decode_picture(data, limits).pixels)
    except NotForJpeg2000:  # one frame of a file, or what reads it is not installed here
        return None
    return None if picture is None or picture.shape != shape else picture


def _bits_over(photo: Picture, data: bytes, limits: Limits) -> tuple[Picture | None, float | None]:
    """Where the bits went, as heat over the photo, and the rate in bits per pixel of its brightest color.

    On a square-root scale, since most of a photo has few bits and some places have many times the mean.
    (None, None) if the packets cannot be read.
    """
    try:
        bits = bits_per_pixel(data, limits, *photo.shape[:2])
    except (BadCodestream, UnsupportedCodestream):
        return None, None
    most = max(float(np.percentile(bits, _BRIGHTEST_SHARE)), _FEWEST_BITS)
    dimmed = (photo // 2 + 16).astype(np.uint8)  # so that the colors stay what they are
    return heat_over(np.sqrt(np.clip(bits / most, 0, 1)), dimmed), most
