"""From any JPEG 2000 file to pixels and their coding-noise map; and from pixels to a photo file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.encryption import ENDING
from foveate.archive.keys import ArchiveKey, read_stored
from foveate.archive.names import is_jpeg2000
from foveate.archive.planning.restore_plan import NamedFile
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.excerpt import excerpt, picture_size
from foveate.codec.jp2 import metadata_beside
from foveate.codec.ranged import RangedBytes
from foveate.codec.regions import Region, Window, as_stored, window
from foveate.pictures.formats import turn_to_be_seen
from foveate.pictures.picture import full_range
from foveate.sandbox.client import Limits, check_file_bytes, check_integrity, decode_archive
from foveate.storage.errors import BadInput
from foveate.storage.files import read_range, reads_at_once
from foveate.storage.object_store import StoredFile
from foveate.storage.source import SourceFile
from foveate.transforms.elements import DecodedPhoto
from foveate.transforms.read import require_place
from foveate.transforms.steps import PhotoStage

COPIES = "copies"


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much of a file may be decoded, and is.

    reduce: halvings of its sides.
    layers: how many layers; 0 for all.
    region: of the picture as it should be seen; None for all of it.
    halo: pixels that a network needs around a region.
    """

    limits: Limits
    reduce: int = 0
    layers: int = 0
    region: Region | None = None
    halo: int = 0


def decode_file(element: NamedFile, extent: Extent, key: ArchiveKey | None = None) -> Iterator[Any]:
    """Reads one archive file: a `DecodedPhoto`, or the element itself under "copies" if it is no JPEG 2000.

    Of a region no more is read than it takes, where the file's markers allow that.

    Raises:
      BadInput: empty or too large, of a path that leads elsewhere, or with too few resolutions for
        `extent.reduce`; or the region lies outside of it; or decoding it takes too much or crashes; or
        encrypted otherwise than with `key`.
      BadCodestream: damaged.
      UnsupportedCodestream: of more than `extent.limits.pixels`, or of a kind that is not read.
    """
    file = element.source
    require_place(file)
    if not is_jpeg2000(file.relative_path):
        check_file_bytes(file.size_bytes, extent.limits)
        yield beam.pvalue.TaggedOutput(COPIES, element)
        return
    try:
        data, part = _read(file, extent, key)
        found = decode_archive(data, extent.limits, extent.reduce, extent.layers, part.area if part else None)
    except (BadCodestream, UnsupportedCodestream, BadInput):
        raise
    except ValueError as error:
        about = "" if extent.region is not None else f"cannot be reduced {extent.reduce} times: "
        raise BadInput(f"{about}{error}") from error
    record = found.record
    yield DecodedPhoto(
        source=file,
        output_path=element.path,
        pixels=full_range(found.decoded.pixels, found.decoded.bit_depth),
        metadata=found.metadata,
        noise=found.noise,
        prefiltered=found.prefiltered,
        note=found.note,
        source_sha256=record.source_sha256 if record is not None else b"",
        shown=(part.rows, part.columns) if part else (slice(None), slice(None)),
        damage="" if part or record is None else "; ".join(check_integrity(data, extent.limits).damage),
    )


def _read(file: SourceFile, extent: Extent, key: ArchiveKey | None) -> tuple[bytes, Window | None]:
    """A file's bytes, or those of a smaller file with the region; and what of that to decode.

    Raises:
      ValueError: the region lies outside of the picture.
    """
    if not file.size_bytes:
        raise BadInput("the file is empty")
    limits = extent.limits
    if extent.region is None:
        check_file_bytes(file.size_bytes, limits)
        return read_stored(file.url, key, limits.file_bytes), None
    if key is not None or file.url.endswith(ENDING):
        check_file_bytes(file.size_bytes, limits)
        whole = RangedBytes.of(read_stored(file.url, key, limits.file_bytes))
    else:
        listed = StoredFile(file.url, file.size_bytes, file.modified, file.generation, file.checksum)
        fetch = functools.partial(read_range, file.url, version=listed)
        whole = RangedBytes(file.size_bytes, fetch, at_once=reads_at_once(file.url))
    try:
        size, turn = picture_size(whole), turn_to_be_seen(metadata_beside(whole))
        region = as_stored(extent.region, turn, size.width, size.height)
        part = window(size, region, halo=extent.halo, reduce=extent.reduce)
        data = excerpt(whole, part.area, reduce=extent.reduce, layers=extent.layers)
    except EOFError as error:
        raise BadInput("it changed while being read; run again") from error
    check_file_bytes(len(data), limits)
    return data, part


@dataclasses.dataclass
class DecodeJpeg2000(PhotoStage):
    """`NamedFile` → `DecodedPhoto`; files that are not JPEG 2000 leave under the tag "copies"."""

    extent: Extent
    key: ArchiveKey | None
    step = "decode"
    tags = (COPIES,)

    def work(self) -> Callable[[NamedFile], Iterator[Any]]:
        """`decode_file`."""
        return functools.partial(decode_file, extent=self.extent, key=self.key)
