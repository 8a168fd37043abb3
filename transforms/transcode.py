"""Makes JPEG 2000 files smaller, or rearranges them, without re-encoding."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.rows import KeptSource
from foveate.codec.block_weights import Emphasis
from foveate.codec.errors import BudgetTooSmall, UnsupportedCodestream
from foveate.codec.file import Recipe
from foveate.codec.transcoded_file import Back, Source, transcode_file
from foveate.goals import goal_of
from foveate.pictures.picture import full_range
from foveate.pictures.reasons import Reason
from foveate.sandbox.client import decode_archive
from foveate.storage.errors import BadInput
from foveate.storage.files import read_source
from foveate.transforms.elements import CodedFile, CodedPhoto, SalientPhoto
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.read import KEPT
from foveate.transforms.reuse_archived import already_archived
from foveate.transforms.steps import PhotoStage
from foveate.transforms.worth_archiving import NO_ROOM, not_worth_it, too_coarse


def transcode(salient: SalientPhoto, encoder: EncodeOptions) -> Iterator[Any]:
    """A JPEG 2000 file → `CodedPhoto`, or a `KeptSource` under the tag "kept".

    Raises:
      BadCodestream: its packets are damaged.
      BadInput: it has changed since it was read.
    """
    archived = already_archived(salient, encoder) if encoder.resume else None
    if archived is not None:
        yield CodedPhoto(salient, archived, archived=True)
        return
    photo, settings = salient.photo, encoder.settings
    try:
        coded = _transcoded(salient, encoder)
        kept = None
        if settings.target.kind != "lossless" and not settings.access:
            archive_bytes = len(coded.jp2) + encoder.stored_overhead(photo)
            kept = not_worth_it(archive_bytes, photo.source.size_bytes, settings.min_saving)
        kept = kept or too_coarse(photo.pixels, coded.decoded)
    except BudgetTooSmall:
        kept = NO_ROOM
    except UnsupportedCodestream as error:
        kept = Reason.NOT_READ, str(error)
    if kept:
        element = KeptSource(photo.source, photo.source_format, photo.source_sha256, *kept)
        yield beam.pvalue.TaggedOutput(KEPT, element)
    else:
        yield CodedPhoto(salient, coded)


def _transcoded(salient: SalientPhoto, encoder: EncodeOptions) -> CodedFile:
    start = time.perf_counter()
    photo, settings = salient.photo, encoder.settings
    data = read_source(photo.source, encoder.limits.file_bytes)
    if hashlib.sha256(data).hexdigest() != photo.source_sha256:
        raise BadInput("it changed while being archived; run again")
    overhead = encoder.stored_overhead(photo)
    recipe = Recipe(
        goal=goal_of(settings.target, photo.pixels, salient.saliency, photo.source.size_bytes, overhead),
        emphasis=Emphasis(salient.saliency, settings.roi_gain_db, settings.tune),
        layers=settings.layers,
        access=settings.access,
    )

    def decode(jp2: bytes) -> Back:
        found = decode_archive(jp2, encoder.limits)
        return Back(full_range(found.decoded.pixels, found.decoded.bit_depth), found.noise)

    source = Source(data, photo.pixels, encoder.record(salient, False), decode)
    made = transcode_file(source, recipe)
    return CodedFile(made.jp2, made.pixels, made.noise, False, time.perf_counter() - start)


@dataclasses.dataclass
class TranscodeJpeg2000(PhotoStage):
    """`SalientPhoto` → `CodedPhoto`; files that are not worth it leave under the tag "kept"."""

    encoder: EncodeOptions
    step = "transcode"
    tags = (KEPT,)

    def work(self) -> Callable[[SalientPhoto], Iterator[Any]]:
        """`transcode`."""
        return functools.partial(transcode, encoder=self.encoder)
