"""Encodes photos as region-weighted JP2 files that meet their target."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.rows import KeptSource
from foveate.codec import file
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import BudgetTooSmall
from foveate.goals import goal_of
from foveate.pictures.exif_turn import without_thumbnail
from foveate.quality.score_gradient import gradient_of
from foveate.transforms.elements import (
    CodedFile,
    CodedPhoto,
    Photo,
    Pixels,
    SalientPhoto,
)
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.read import KEPT
from foveate.transforms.reuse_archived import already_archived
from foveate.transforms.steps import PhotoStage
from foveate.transforms.worth_archiving import NO_ROOM, not_worth_it, too_coarse

_END_MARK = b"\xff\xd9"  # EOI of JPEG, and EOC of JPEG 2000


def encode_plain(salient: SalientPhoto, encoder: EncodeOptions) -> Iterator[Any]:
    """A photo → `CodedPhoto` as it is, or a `KeptSource` under the tag "kept".

    A file that an interrupted run made of the same source with the same settings is taken as it is.
    """
    if encoder.settings.layers > 1:
        salient = dataclasses.replace(salient, photo=_without_end_marks(salient.photo))
    archived = already_archived(salient, encoder) if encoder.resume else None
    if archived is not None:
        yield CodedPhoto(salient, archived, archived=True)
        return
    photo, settings = salient.photo, encoder.settings
    source_bytes = photo.source.size_bytes
    try:
        coded = encode(salient, photo.pixels, encoder, prefiltered=False)
        archive_bytes = len(coded.jp2) + encoder.stored_overhead(photo)
        kept = not_worth_it(archive_bytes, source_bytes, settings.min_saving)
        kept = kept or too_coarse(photo.pixels, coded.decoded)
        if photo.source.frame:  # it cannot be kept: its file holds the other frames too
            kept = None
    except BudgetTooSmall:
        kept = NO_ROOM
    if kept:
        element = KeptSource(photo.source, photo.source_format, photo.source_sha256, *kept)
        yield beam.pvalue.TaggedOutput(KEPT, element)
    else:
        yield CodedPhoto(salient, coded)


def _without_end_marks(photo: Photo) -> Photo:
    """The photo without a JPEG in its EXIF block.

    A file of several layers, which may be cut, holds its metadata before the codestream: decoders that look
    for markers without regard to boxes would take the end of the thumbnail for that of the picture.
    """
    block = photo.metadata.exif
    if block is None or _END_MARK not in block:
        return photo
    smaller = without_thumbnail(block)
    if smaller == block:
        return photo
    lost = (*photo.metadata_problems, "EXIF thumbnail: omitted from files with several layers")
    metadata = dataclasses.replace(photo.metadata, exif=smaller)
    return dataclasses.replace(photo, metadata=metadata, metadata_problems=lost)


def encode(salient: SalientPhoto, pixels: Pixels, encoder: EncodeOptions, *, prefiltered: bool) -> CodedFile:
    """One JP2 of `pixels` (the photo's own, or ComCNN's) with the photo's metadata, and its decoded pixels.

    Raises:
      BudgetTooSmall: the target does not even hold headers and metadata.
    """
    start = time.perf_counter()
    settings, photo = encoder.settings, salient.photo
    recipe = file.Recipe(
        goal=goal_of(
            settings.target,
            photo.pixels,
            salient.saliency,
            photo.source.size_bytes,
            encoder.stored_overhead(photo),
        ),
        emphasis=Emphasis(
            salient.saliency,
            settings.roi_gain_db,
            settings.tune,
            functools.partial(gradient_of, photo.pixels),
        ),
        layers=settings.layers,
        effort=settings.effort,
        access=settings.access,
        tile_size=settings.tile_size,
    )
    boxes = file.Boxes(photo.metadata, encoder.record(salient, prefiltered))
    encoded = file.encode_file(pixels, recipe, boxes)
    seconds = time.perf_counter() - start
    return CodedFile(encoded.jp2, encoded.pixels, encoded.noise, prefiltered, seconds, encoded.score)


@dataclasses.dataclass
class EncodeJpeg2000(PhotoStage):
    """`SalientPhoto` → `CodedPhoto`; photos that are not worth it leave under the tag "kept"."""

    encoder: EncodeOptions
    step = "encode"
    tags = (KEPT,)

    def work(self) -> Callable[[SalientPhoto], Iterator[Any]]:
        """`encode_plain`."""
        return functools.partial(encode_plain, encoder=self.encoder)
