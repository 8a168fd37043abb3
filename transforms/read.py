"""From a path to pixels: reads a source, decides whether it is a photo for JPEG 2000."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from foveate.archive.names import JP2_ENDING
from foveate.archive.rows import KeptSource
from foveate.codec.jp2_boxes import icc_is_restricted
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pictures.picture import NotForJpeg2000
from foveate.pictures.reasons import Reason
from foveate.sandbox.client import Limits, check_file_bytes, decode_picture
from foveate.storage.errors import BadInput
from foveate.storage.files import read_source
from foveate.storage.selection import ending_of_name
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Photo
from foveate.transforms.steps import PhotoStage

KEPT = "kept"
# Endings that are not the format's name.
_FORMATS = {"jpg": "jpeg", "tif": "tiff", "heif": "heic", "dcm": "dicom", "ima": "dicom"}
_LONGEST_NAME = 255 - len(JP2_ENDING)  # bytes of a file's name, of 255 that most file systems allow


def read_photo(
    source: SourceFile, limits: Limits, also: Sequence[str] = (), *, sidecars: bool = False
) -> Iterator[Any]:
    """Reads one source and decodes it in isolation: a `Photo`, or a `KeptSource` under the tag "kept".

    `also` names what is decoded on demand, and what may be lost (`pictures.formats.ON_DEMAND`, `DROPPED`).
    With `sidecars` a file whose name is not a photo's is kept, whatever it is.

    Raises:
      BadPicture: broken, not a picture, or of more than `limits.pixels`.
      BadInput: its path leads elsewhere, it has too many bytes, or decoding it takes too much or crashes.
    """
    start = time.perf_counter()
    require_place(source)
    check_file_bytes(source.size_bytes, limits)
    data = read_source(source, limits.file_bytes)
    sha256 = hashlib.sha256(data).hexdigest()
    if sidecars and not _is_named_like_a_photo(source):
        kind = ending_of_name(source.relative_path).removeprefix(".")
        detail = "not a photo: copied along with the photos beside it"
        yield beam.pvalue.TaggedOutput(KEPT, KeptSource(source, kind, sha256, Reason.OTHER_KIND, detail))
        return
    try:
        picture = decode_picture(data, limits, source.frame, also)
    except NotForJpeg2000 as kept:
        ending = source.relative_path.rpartition(".")[2].lower()
        element = KeptSource(source, _FORMATS.get(ending, ending), sha256, kept.reason, str(kept))
        yield beam.pvalue.TaggedOutput(KEPT, element)
        return
    icc = picture.metadata.icc
    if icc is not None and not icc_is_restricted(icc, picture.pixels.shape[2]):
        detail = "its color profile has lookup tables, which a JP2 file cannot hold"
        kept_source = KeptSource(source, picture.format, sha256, Reason.COLOR, detail)
        yield beam.pvalue.TaggedOutput(KEPT, kept_source)
        return
    if len(os.fsencode(source.relative_path.rpartition("/")[2])) > _LONGEST_NAME:
        detail = "its name is too long to append .jp2"
        too_long = KeptSource(source, picture.format, sha256, Reason.NO_ROOM, detail)
        yield beam.pvalue.TaggedOutput(KEPT, too_long)
        return
    yield Photo(
        source=source,
        pixels=picture.pixels,
        metadata=picture.metadata,
        source_format=picture.format,
        bit_depth=picture.bit_depth,
        source_sha256=sha256,
        metadata_problems=picture.metadata_problems,
        jpeg_quality=picture.jpeg_quality,
        read_seconds=time.perf_counter() - start,
    )


def _is_named_like_a_photo(source: SourceFile) -> bool:
    """Whether a source is one by its ending, or the frame of a file that has been read."""
    return source.frame > 0 or ending_of_name(source.relative_path) in PICTURE_EXTENSIONS


def require_place(source: SourceFile) -> None:
    """Raises BadInput for a path that does not name one place below a folder: stores allow any name."""
    if not {"", ".", ".."}.isdisjoint(source.relative_path.split("/")) or "\0" in source.relative_path:
        raise BadInput(f"its path, {source.relative_path!r}, is not a valid path below a folder; rename it")


@dataclasses.dataclass
class ReadPhotos(PhotoStage):
    """`SourceFile` → `Photo`; files that should stay as they are leave under the tag "kept"."""

    limits: Limits
    also: Sequence[str] = ()
    sidecars: bool = False
    step = "read"
    tags = (KEPT,)

    def work(self) -> Callable[[SourceFile], Iterator[Any]]:
        """`read_photo`."""
        return functools.partial(read_photo, limits=self.limits, also=self.also, sidecars=self.sidecars)
