"""Encodes photos as region-weighted JP2 files that meet their target."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from foveate.archive.keys import ArchiveKey, from_store, stored_name, stored_overhead
from foveate.archive.names import archive_url
from foveate.archive.rows import KeptSource
from foveate.archive.settings import CompressSettings
from foveate.codec import file
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import BudgetTooSmall
from foveate.codec.integrity import BOXES_CHANGED
from foveate.codec.record import ArchiveRecord
from foveate.goals import goal_of
from foveate.pictures.exif_turn import without_thumbnail
from foveate.pictures.picture import full_range
from foveate.pictures.reasons import Reason
from foveate.quality.psnr import alpha_error
from foveate.quality.score_gradient import gradient_of
from foveate.sandbox.client import Limits, check_integrity, decode_archive
from foveate.storage.files import read_if_there
from foveate.transforms.elements import (
    Coded,
    CodedPhoto,
    Photo,
    Pixels,
    PrefilteredPhoto,
    SalientPhoto,
)
from foveate.transforms.read import KEPT
from foveate.transforms.steps import PhotoStage

_END_MARK = b"\xff\xd9"  # EOI of JPEG, and EOC of JPEG 2000

MOST_ALPHA_ERROR = 48.0
"""The largest error of an alpha channel, on a scale of 255, with which a photo is compressed."""


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """Everything the encoding steps need to know besides the photo."""

    settings: CompressSettings
    weights_digest: bytes
    archive: str
    resume: bool  # look for files that an interrupted run left without a row
    key: ArchiveKey | None = None  # of an archive whose files are encrypted
    limits: Limits = dataclasses.field(default_factory=Limits)  # of what lies in the archive already

    def record(self, salient: SalientPhoto, prefiltered: bool) -> ArchiveRecord:
        """Foveate's record of a photo."""
        found = salient.found
        return ArchiveRecord(
            source_sha256=bytes.fromhex(salient.photo.source_sha256),
            settings_digest=self.settings.digest(salient.mask_sha256),
            weights_digest=self.weights_digest,
            prefiltered=prefiltered,
            saliency=salient.saliency,
            faces=found is not None and bool(found.found_faces),
            writing=found is not None and found.writing_share > 0,
        )

    def stored_overhead(self, photo: Photo) -> int:
        """How many more bytes a photo's file has when stored."""
        return stored_overhead(f"{photo.source.relative_path}.jp2", self.key)


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
        detail = "the target leaves no room for the picture besides headers and metadata"
        kept = Reason.NO_ROOM, detail
    if kept:
        element = KeptSource(photo.source, photo.source_format, photo.source_sha256, *kept)
        yield beam.pvalue.TaggedOutput(KEPT, element)
    else:
        yield CodedPhoto(salient, coded)


def encode_prefiltered(element: PrefilteredPhoto, encoder: EncodeOptions) -> Iterator[CodedPhoto]:
    """The same photo with the file of its prefiltered pixels, if there are any."""
    coded = element.coded
    if element.prefiltered is None:
        yield coded
        return
    file = encode(coded.salient, element.prefiltered, encoder, prefiltered=True)
    seconds = coded.file.encode_seconds + element.comcnn_seconds + file.encode_seconds
    yield dataclasses.replace(coded, file=dataclasses.replace(file, encode_seconds=seconds))


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


def not_worth_it(archive_bytes: int, source_bytes: int, min_saving: float) -> tuple[Reason, str] | None:
    """Why a photo is kept, or None; the texts are always the same, since the report counts them."""
    saving = 1 - archive_bytes / source_bytes
    if saving >= min_saving and archive_bytes < source_bytes:
        return None
    if saving <= 0:
        return Reason.NO_SAVING, "JPEG 2000 would take more bytes"
    return Reason.LITTLE_SAVING, f"JPEG 2000 would save less than {min_saving:.0%} of its bytes"


def too_coarse(pixels: Pixels, decoded: Pixels) -> tuple[Reason, str] | None:
    """Why a photo is kept for its alpha channel, which no target controls; None if that is good enough."""
    error = alpha_error(pixels, decoded)
    if error is None or error <= MOST_ALPHA_ERROR:
        return None
    return Reason.TRANSPARENCY, "its alpha channel would be coded too coarsely"


def already_archived(salient: SalientPhoto, encoder: EncodeOptions) -> Coded | None:
    """The file that an interrupted run made from the same source with the same settings, or None."""
    url = stored_name(archive_url(encoder.archive, salient.photo.source), encoder.key)
    try:
        data = read_if_there(url, encoder.limits.file_bytes)
        if data is None:
            return None
        data = from_store(data, url, encoder.key)
        found = check_integrity(data, encoder.limits)
        record, wanted = found.record, encoder.record(salient, False)
        if record is None or not record.made_of(wanted.source_sha256):
            return None
        if not record.made_with(wanted.settings_digest, wanted.weights_digest):
            return None
        # Tags that somebody wrote into the file are no reason to make it again; damage is.
        if set(found.problems) - {BOXES_CHANGED} or found.cut_after is not None:
            return None
        back = decode_archive(data, encoder.limits)
    except ValueError:  # damaged or foreign: it is made again
        return None
    pixels = full_range(back.decoded.pixels, back.decoded.bit_depth)
    source = salient.photo.pixels
    if (pixels.shape, pixels.dtype) != (source.shape, source.dtype):
        return None
    if encoder.settings.target.kind == "lossless" and not np.array_equal(pixels, source):
        return None
    return Coded(data, pixels, back.noise, record.prefiltered, 0.0)


def encode(salient: SalientPhoto, pixels: Pixels, encoder: EncodeOptions, *, prefiltered: bool) -> Coded:
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
    return Coded(encoded.jp2, encoded.pixels, encoded.noise, prefiltered, seconds, encoded.score)


@dataclasses.dataclass
class EncodeJpeg2000(PhotoStage):
    """`SalientPhoto` → `CodedPhoto`; photos that are not worth it leave under the tag "kept"."""

    encoder: EncodeOptions
    step = "encode"
    tags = (KEPT,)

    def work(self) -> Callable[[SalientPhoto], Iterator[Any]]:
        """`encode_plain`."""
        return functools.partial(encode_plain, encoder=self.encoder)


@dataclasses.dataclass
class EncodePrefiltered(PhotoStage):
    """`PrefilteredPhoto` → `CodedPhoto`: codes prefiltered photos again."""

    encoder: EncodeOptions
    step = "encode prefiltered"

    def work(self) -> Callable[[PrefilteredPhoto], Iterator[CodedPhoto]]:
        """`encode_prefiltered`."""
        return functools.partial(encode_prefiltered, encoder=self.encoder)
