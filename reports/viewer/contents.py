"""Collects the figures and pictures for the page of `compare`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.quality.local_error import local_error
from foveate.quality.saliency import resize_saliency
from foveate.reports.viewer.pictures import cells_of, heat_uri, lossless_uri, thumbnail_uri, top_of
from foveate.reports.viewer.places import Block, Cells, Place, places_of, worst_block
from foveate.reports.viewer.versions import PhotoInVersions, Version
from foveate.sandbox.client import Limits, bits_per_pixel

ORIGINAL = "Original"


@dataclasses.dataclass(frozen=True)
class VersionFigures:
    """A row of a photo's table; `ratio` is of the source file's bytes. Other fields as in `Version`."""

    name: str
    detail: str
    file_bytes: int
    bits_per_pixel: float
    ratio: float
    score: float
    psnr_db: float
    flags: str


@dataclasses.dataclass(frozen=True)
class View:
    """A part of a photo in all versions.

    pictures: data URIs, first of the original, then of each version.
    saliency: a data URI to lay over them, None if all places matter alike.
    bits, errors: maps for each version, or None.
    blocks: the worst of each version.
    """

    place: Place
    pictures: tuple[str, ...]
    saliency: str | None
    bits: tuple[str | None, ...]
    errors: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class ComparedPhoto:
    """A photo as the page shows it.

    most_bits: the bits per pixel at the brightest color of `View.bits`.
    notes: sentences for people.
    """

    name: str
    source_format: str
    source_bytes: int
    width: int
    height: int
    thumbnail: str
    versions: tuple[VersionFigures, ...]
    views: tuple[View, ...]
    most_bits: float | None
    notes: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is shown."""
        return (self.views[0].place.width, self.views[0].place.height) == (self.width, self.height)


@dataclasses.dataclass(frozen=True)
class Total:
    """One of our settings over all photos that have it.

    lowest: the photo with the lowest score, and that score.
    """

    name: str
    flags: str
    photos: int
    source_bytes: int
    file_bytes: int
    mean_score: float
    lowest: tuple[str, float]


def compared(photo: PhotoInVersions, limits: Limits, *, full: bool = False) -> ComparedPhoto:
    """A photo's figures and pictures.

    Args:
      photo: the photo and its versions.
      limits: for decoding our files.
      full: whether to show photos of any size as a whole.
    """
    height, width = photo.pixels.shape[:2]
    rows, columns = cells_of(height, width)
    saliency = None if photo.saliency is None else resize_saliency(photo.saliency, rows, columns)
    errors = [local_error(photo.pixels, version.pixels) for version in photo.versions]
    ours = [error for error, version in zip(errors, photo.versions, strict=True) if version.jp2]
    bits = [_bits(version, limits, rows, columns) for version in photo.versions]
    known = [one for one in bits if one is not None]
    most_bits = top_of(known) if known else None
    maps = _Maps(saliency, bits, most_bits or 0.0, errors, top_of(errors))
    places = places_of(height, width, saliency, ours, full=full)
    notes = list(photo.notes)
    if photo.pixels.dtype != "uint8":
        notes.append("Its samples have 16 bits; the page shows the upper 8, figures are for all 16.")
    if photo.pixels.shape[2] % 2 == 0:
        notes.append("Transparency is shown over gray; files of other codecs are without it.")
    return ComparedPhoto(
        name=photo.name,
        source_format=photo.source_format,
        source_bytes=photo.source_bytes,
        width=width,
        height=height,
        thumbnail=thumbnail_uri(photo.pixels, photo.icc),
        versions=tuple(_figures(version, photo) for version in photo.versions),
        views=tuple(_view(place, photo, maps) for place in places),
        most_bits=most_bits,
        notes=tuple(notes),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Maps:
    """A photo's maps of cells, in the order of versions, and the values of their brightest colors."""

    saliency: Cells | None
    bits: list[Cells | None]
    most_bits: float
    errors: list[Cells]
    most_error: float


def _view(place: Place, photo: PhotoInVersions, maps: _Maps) -> View:
    pictures = [photo.pixels, *(version.pixels for version in photo.versions)]
    squared = None if maps.saliency is None else maps.saliency**2  # as `heat_uri` takes the square root
    return View(
        place=place,
        pictures=tuple(lossless_uri(pixels[place.pixels], photo.icc) for pixels in pictures),
        saliency=None if squared is None else heat_uri(squared, 1.0, place),
        bits=tuple(None if one is None else heat_uri(one, maps.most_bits, place) for one in maps.bits),
        errors=tuple(heat_uri(error, maps.most_error, place) for error in maps.errors),
        blocks=tuple(worst_block(error, place) for error in maps.errors),
    )


def _bits(version: Version, limits: Limits, rows: int, columns: int) -> Cells | None:
    if version.jp2 is None:
        return None
    try:
        return bits_per_pixel(version.jp2, limits, rows, columns)
    except (BadCodestream, UnsupportedCodestream):
        return None


def _figures(version: Version, photo: PhotoInVersions) -> VersionFigures:
    height, width = photo.pixels.shape[:2]
    return VersionFigures(
        name=version.name,
        detail=version.detail,
        file_bytes=version.file_bytes,
        bits_per_pixel=8 * version.file_bytes / (width * height),
        ratio=photo.source_bytes / version.file_bytes,
        score=version.score,
        psnr_db=version.psnr_db,
        flags=version.flags,
    )


def totals_of(photos: Sequence[ComparedPhoto]) -> tuple[Total, ...]:
    """Each of our settings over all photos, in the order in which they first appear."""
    names = dict.fromkeys(version.name for photo in photos for version in photo.versions if version.flags)
    return tuple(_total(name, photos) for name in names)


def _total(name: str, photos: Sequence[ComparedPhoto]) -> Total:
    found = [(photo, version) for photo in photos for version in photo.versions if version.name == name]
    worst, lowest = min(found, key=lambda pair: pair[1].score)
    return Total(
        name=name,
        flags=found[0][1].flags,
        photos=len(found),
        source_bytes=sum(photo.source_bytes for photo, _ in found),
        file_bytes=sum(version.file_bytes for _, version in found),
        mean_score=sum(version.score for _, version in found) / len(found),
        lowest=(worst.name, lowest.score),
    )
