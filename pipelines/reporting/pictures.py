"""The pictures of a report's gallery, from source and archive: what was, what is, where the bits went."""

from __future__ import annotations

import numpy as np

from codec import allocation, jp2, openjpeg, spending
from codec.errors import BadCodestream, UnsupportedCodestream
from codec.pictures import NotForJpeg2000, decode_picture
from pipelines.reporting.contents import PhotoFigures
from pipelines.reporting.gallery import GalleryPictures, LoadGallery, Picture, shrink
from transforms.decode import full_range
from transforms.files import read_if_there, read_whole
from transforms.inference import Deferred
from transforms.noise import read_noise
from transforms.overlay import as_rgb, heat_over
from transforms.restore import restore_pixels

_BRIGHTEST_SHARE = 99.0  # per cent of the bits map that lies below its brightest colour
_FEWEST_BITS = 0.01  # per pixel, for the brightest colour


def gallery_loader() -> LoadGallery:
    """Reads a photo's pictures from its archive file; loads RecCNN when first needed."""
    reccnn = Deferred(_load_reccnn)

    def load(photo: PhotoFigures) -> GalleryPictures | None:
        if photo.outcome == "kept":
            return None
        data = read_whole(photo.archive_url)
        parsed = jp2.parse(data)
        decoded = openjpeg.decode(data)
        pixels = full_range(decoded.pixels, decoded.bit_depth)
        noise, _ = read_noise(parsed)
        record = parsed.record
        if noise is None or (record is not None and record.plain_decode):
            restored = None
        else:
            restored = restore_pixels(reccnn.get(), pixels, noise, record is not None and record.comcnn_used)
        archived = as_rgb(pixels)
        small = np.asarray(shrink(archived))
        saliency = record.saliency if record is not None else None
        bits, most_bits = _bits_over(small, parsed.codestream)
        return GalleryPictures(
            original=_original(photo.source_url, archived.shape),
            archived=archived,
            reconstructed=archived if restored is None else as_rgb(restored),
            saliency=None if saliency is None else heat_over(saliency, small),
            bits=bits,
            most_bits=most_bits,
        )

    return load


def _load_reccnn() -> object:
    from models import reccnn

    return reccnn.load()


def _original(url: str, shape: tuple[int, ...]) -> Picture | None:
    """The source's picture; None where it is not there any more, or is another one by now."""
    data = read_if_there(url)
    try:
        picture = None if data is None else as_rgb(decode_picture(data).pixels)
    except NotForJpeg2000:  # one frame of a file, or what reads it is not installed here
        return None
    return None if picture is None or picture.shape != shape else picture


def _bits_over(photo: Picture, codestream: bytes) -> tuple[Picture | None, float | None]:
    """Where the bits went, as heat over the photo, and the rate in bits per pixel of its brightest colour.

    By the square root, as most of a photo has few bits and some places have many times the mean. (None, None)
    where the packets cannot be read.
    """
    try:
        bits = spending.bits_per_pixel(*allocation.parse_layers(codestream), *photo.shape[:2])
    except (BadCodestream, UnsupportedCodestream):
        return None, None
    most = max(float(np.percentile(bits, _BRIGHTEST_SHARE)), _FEWEST_BITS)
    dimmed = (photo // 2 + 16).astype(np.uint8)  # so that the colours stay what they are
    return heat_over(np.sqrt(np.clip(bits / most, 0, 1)), dimmed), most
