"""The pictures of a report's gallery, from the archive: original, saliency, archived, reconstructed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec import jp2, openjpeg
from codec.pictures import NotForJpeg2000, decode_picture
from pipelines.reporting.aggregate import PhotoFigures
from pipelines.reporting.gallery import GalleryPictures, LoadGallery, Picture
from quality.saliency import resize_saliency
from transforms.decode import full_range, read_noise
from transforms.elements import Pixels
from transforms.files import read_if_there, read_whole
from transforms.inference import Deferred
from transforms.restore import restore_pixels

# From nothing through blue and red to yellow, dark to light: readable without telling colours apart.
_HEAT = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], float
)
_HEAT_SHARE = 0.6  # of the saliency colours over the gray photo


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
        saliency = record.saliency if record is not None else None
        return GalleryPictures(
            original=_original(photo.source_url),
            saliency=None if saliency is None else heat_over(saliency, as_rgb(pixels)),
            archived=as_rgb(pixels),
            reconstructed=as_rgb(pixels if restored is None else restored),
        )

    return load


def _load_reccnn() -> object:
    from models import reccnn

    return reccnn.load()


def _original(url: str) -> Picture | None:
    data = read_if_there(url)
    try:
        return None if data is None else as_rgb(decode_picture(data).pixels)
    except NotForJpeg2000:  # one frame of a file, or what reads it is not installed here
        return None


def as_rgb(pixels: Pixels) -> Picture:
    """8-bit RGB of any kind of picture; what is transparent is shown over mid-gray."""
    channels = pixels.shape[2]
    bits: Picture = pixels.astype(np.uint8) if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    colors: Picture = bits[..., :3] if channels >= 3 else np.repeat(bits[..., :1], 3, 2)
    if channels in (1, 3):
        return np.ascontiguousarray(colors)
    alpha = bits[..., -1:].astype(np.float32) / 255
    shown: Picture = np.rint(colors * alpha + 128 * (1 - alpha)).astype(np.uint8)
    return shown


def heat_over(saliency: NDArray[np.float32], photo: Picture) -> Picture:
    """A saliency map (h, w) in [0, 1] as colours over the photo in gray, (H, W, 3) uint8."""
    height, width = photo.shape[:2]
    stretched = resize_saliency(saliency, height, width)
    steps = np.linspace(0, 1, len(_HEAT))
    heat = np.stack([np.interp(stretched, steps, _HEAT[:, i]) for i in range(3)], -1)
    gray = photo.mean(-1, keepdims=True)
    mixed: Picture = np.rint(_HEAT_SHARE * heat + (1 - _HEAT_SHARE) * gray).astype(np.uint8)
    return mixed
