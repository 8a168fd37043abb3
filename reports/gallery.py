"""Draws the gallery of a report: small pictures inside the page.

original, archived, restored, saliency, found, bits ─▶ whole: all of them, shrunk
                                                    └▶ detail: the same pixels, where most was lost
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.reports.contents import GalleryKind, GalleryPhoto, PhotoFigures
from foveate.reports.viewer.places import densest

LONGER_SIDE = 960  # pixels of an embedded picture
DETAIL_SIDE = 400  # pixels of a detail, shown as they are
WHOLE_QUALITY, DETAIL_QUALITY = 82, 92
_STEP = 16  # pixels between the places that are tried for the detail

Picture = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryPictures:
    """One photo in its states, each (h, w, 3) uint8 of any size, or None if there is none.

    `found` shows faces, objects and writing in different colors, `bits` where the bits went; `most_bits` is
    the rate of its brightest places, in bits per pixel.
    """

    original: Picture | None
    archived: Picture | None
    reconstructed: Picture | None
    saliency: Picture | None
    bits: Picture | None
    most_bits: float | None = None
    found: Picture | None = None


LoadGallery = Callable[[PhotoFigures], GalleryPictures | None]


@dataclasses.dataclass(frozen=True)
class EmbeddedPicture:
    """A picture in the page: its state's label, data, and size in pixels."""

    label: str
    data_uri: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Stage:
    """Overlaid pictures of one size: those left of the slider, and those right of it.

    `left` is None if there is only one picture, or none to compare the others with.
    """

    title: str
    left: EmbeddedPicture | None
    right: tuple[EmbeddedPicture, ...]


@dataclasses.dataclass(frozen=True)
class GalleryEntry:
    """One photo of the gallery; `missing` says why it has no pictures, "" if it has."""

    kind: GalleryKind
    photo: PhotoFigures
    stages: tuple[Stage, ...]
    missing: str


def gallery_entries(chosen: Sequence[GalleryPhoto], load_gallery: LoadGallery | None) -> list[GalleryEntry]:
    """The chosen photos with their pictures embedded.

    `OSError` and `ValueError` from `load_gallery` (the source has moved, the file is broken) become the
    entry's text; without `load_gallery` there are no entries.
    """
    return [_entry(each.kind, each.photo, load_gallery) for each in chosen] if load_gallery else []


def _entry(kind: GalleryKind, photo: PhotoFigures, load_gallery: LoadGallery) -> GalleryEntry:
    try:
        pictures = load_gallery(photo)
    except (OSError, ValueError) as error:
        return GalleryEntry(kind, photo, (), f"The pictures could not be read: {error}")
    stages = [] if pictures is None else [_whole(pictures), _detail(pictures)]
    shown = tuple(stage for stage in stages if stage is not None)
    return GalleryEntry(kind, photo, shown, "" if shown else "The pictures are not at hand.")


def _whole(pictures: GalleryPictures) -> Stage | None:
    bits = "Bits" if pictures.most_bits is None else f"Bits (bright: {pictures.most_bits:.2g} bpp)"
    states = [
        ("Original", pictures.original),
        ("Restored", pictures.reconstructed),
        ("As archived", pictures.archived),
        ("Saliency", pictures.saliency),
        ("Found: faces red, objects green, writing blue", pictures.found),
        (bits, pictures.bits),
    ]
    return _stage("The whole photo", [(label, shrink(each)) for label, each in states if each is not None])


def _detail(pictures: GalleryPictures) -> Stage | None:
    """The same pixels of original and result; None if one is missing, or the photo is no larger."""
    original, result = pictures.original, pictures.reconstructed
    if original is None or result is None or original.shape != result.shape:
        return None
    if max(original.shape[:2]) <= DETAIL_SIDE:
        return None
    top, left = worst_place(original, result, DETAIL_SIDE)
    rows, columns = slice(top, top + DETAIL_SIDE), slice(left, left + DETAIL_SIDE)
    states = [("Original", original), ("Restored", result), ("As archived", pictures.archived)]
    crops = [
        (label, Image.fromarray(np.ascontiguousarray(each[rows, columns])))
        for label, each in states
        if each is not None and each.shape == original.shape
    ]
    return _stage("Where most was lost, pixel by pixel", crops, DETAIL_QUALITY)


def worst_place(original: Picture, result: Picture, side: int) -> tuple[int, int]:
    """Top and left of the square of `side` pixels with the largest squared error, to 16 pixels.

    Args:
        original, result: (h, w, 3) of one size.
        side: limited to the picture's own sides.
    """
    height, width = original.shape[:2]
    rows, columns = -(-height // _STEP), -(-width // _STEP)
    cells = np.zeros((rows, columns))
    for row in range(rows):  # a strip at a time: a giant's error need not be there at once
        strip = slice(row * _STEP, (row + 1) * _STEP)
        error = np.square(original[strip].astype(np.int32) - result[strip]).sum((0, 2))
        cells[row] = np.add.reduceat(error, np.arange(0, width, _STEP))
    top, left = densest(cells, side // _STEP)
    return max(0, min(top * _STEP, height - side)), max(0, min(left * _STEP, width - side))


def _stage(title: str, states: list[tuple[str, Image.Image]], quality: int = WHOLE_QUALITY) -> Stage | None:
    pictures = [_embed(label, image, quality) for label, image in states]
    if len(pictures) < 2:
        return Stage(title, None, tuple(pictures)) if pictures else None
    return Stage(title, pictures[0], tuple(pictures[1:]))


def _embed(label: str, image: Image.Image, quality: int) -> EmbeddedPicture:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality)
    coded = base64.b64encode(file.getvalue()).decode()
    return EmbeddedPicture(label, f"data:image/webp;base64,{coded}", image.width, image.height)


def shrink(picture: Picture) -> Image.Image:
    """`picture` scaled down to at most `LONGER_SIDE` pixels on its longer side.

    Raises `ValueError` for anything but (h, w, 3) uint8.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a gallery picture is (h, w, 3) uint8, not {picture.shape} {picture.dtype}")
    image = Image.fromarray(np.ascontiguousarray(picture), "RGB")
    image.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image
