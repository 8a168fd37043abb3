"""The pictures of a report's gallery, from the archive: original, saliency, archived, reconstructed."""

from __future__ import annotations

from codec import jp2, openjpeg
from codec.pictures import NotForJpeg2000, decode_picture
from pipelines.reporting.aggregate import PhotoFigures
from pipelines.reporting.gallery import GalleryPictures, LoadGallery, Picture
from transforms.decode import full_range
from transforms.files import read_if_there, read_whole
from transforms.inference import Deferred
from transforms.noise import read_noise
from transforms.overlay import as_rgb, heat_over
from transforms.restore import restore_pixels


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
