"""The pictures of a report: small, inside the page, none needed."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.reporting.aggregate import PhotoFigures

LONGER_SIDE = 960  # pixels of an embedded picture
WEBP_QUALITY = 82

Picture = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryPictures:
    """One photo in up to four states, each (h, w, 3) uint8 of any size, or None where there is none."""

    original: Picture | None
    saliency: Picture | None
    archived: Picture | None
    reconstructed: Picture | None


LoadGallery = Callable[[PhotoFigures], GalleryPictures | None]


@dataclasses.dataclass(frozen=True)
class EmbeddedPicture:
    """A picture as the page holds it: its state's label and, where there is one, data and size in pixels."""

    label: str
    data_uri: str | None
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class GalleryEntry:
    """One photo of the gallery; `missing` says why it has no pictures, "" if it has."""

    kind: str  # "worst", "median" or "best"
    photo: PhotoFigures
    pictures: tuple[EmbeddedPicture, ...]
    missing: str


def gallery_entries(
    chosen: tuple[tuple[str, PhotoFigures], ...], load_gallery: LoadGallery | None
) -> list[GalleryEntry]:
    """The chosen photos with their pictures embedded.

    What `load_gallery` raises as `OSError` or `ValueError` (the source has moved, the file is broken) becomes
    the entry's text; without `load_gallery` there are no entries.
    """
    return [_entry(kind, photo, load_gallery) for kind, photo in chosen] if load_gallery else []


def _entry(kind: str, photo: PhotoFigures, load_gallery: LoadGallery) -> GalleryEntry:
    try:
        pictures = load_gallery(photo)
    except (OSError, ValueError) as error:
        return GalleryEntry(kind, photo, (), f"The pictures could not be read: {error}")
    if pictures is None:
        return GalleryEntry(kind, photo, (), "The pictures are not at hand.")
    embedded = (
        _embed("Original", pictures.original),
        _embed("Saliency", pictures.saliency),
        _embed("Archived", pictures.archived),
        _embed("Reconstructed", pictures.reconstructed),
    )
    return GalleryEntry(kind, photo, embedded, "")


def _embed(label: str, picture: Picture | None) -> EmbeddedPicture:
    if picture is None:
        return EmbeddedPicture(label, None, 0, 0)
    image = shrink(picture)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY)
    data = base64.b64encode(file.getvalue()).decode()
    return EmbeddedPicture(label, f"data:image/webp;base64,{data}", image.width, image.height)


def shrink(picture: Picture) -> Image.Image:
    """`picture`, its longer side at most `LONGER_SIDE` pixels.

    Raises `ValueError` for anything but (h, w, 3) uint8.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a gallery picture is (h, w, 3) uint8, not {picture.shape} {picture.dtype}")
    image = Image.fromarray(np.ascontiguousarray(picture), "RGB")
    image.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image
