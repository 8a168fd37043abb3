"""From any JPEG 2000 file to pixels and their coding-noise map; and from pixels to a photo file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.keys import ArchiveKey, read_stored
from foveate.archive.names import is_jpeg2000
from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.pictures.picture import full_range
from foveate.sandbox.client import Limits, check_file_bytes, decode_archive
from foveate.storage.errors import BadInput
from foveate.transforms.elements import DecodedFile
from foveate.transforms.name_outputs import NamedFile
from foveate.transforms.read import require_place
from foveate.transforms.steps import PhotoStage

COPIES = "copies"


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much of a file may be decoded, and is: `reduce` halvings of its sides, `layers` layers (0: all)."""

    limits: Limits
    reduce: int = 0
    layers: int = 0


def decode_file(element: NamedFile, extent: Extent, key: ArchiveKey | None = None) -> Iterator[Any]:
    """Reads one archive file: a `DecodedFile`, or the element itself under "copies" if it is no JPEG 2000.

    Raises:
      BadInput: empty or too large, of a path that leads elsewhere, or with too few resolutions for
        `extent.reduce`; or decoding it takes too much or crashes; or encrypted otherwise than with `key`.
      BadCodestream: damaged.
      UnsupportedCodestream: of more than `extent.limits.pixels`, or of a kind that is not read.
    """
    file, limits = element.source, extent.limits
    require_place(file)
    check_file_bytes(file.size_bytes, limits)
    if not is_jpeg2000(file.relative_path):
        yield beam.pvalue.TaggedOutput(COPIES, element)
        return
    data = read_stored(file.url, key, limits.file_bytes)
    if not data:
        raise BadInput("the file is empty")
    try:
        found = decode_archive(data, limits, extent.reduce, extent.layers)
    except (BadCodestream, UnsupportedCodestream, BadInput):
        raise
    except ValueError as error:
        raise BadInput(f"cannot be reduced {extent.reduce} times: {error}") from error
    record = found.record
    yield DecodedFile(
        source=file,
        output_path=element.path,
        pixels=full_range(found.decoded.pixels, found.decoded.bit_depth),
        metadata=found.metadata,
        noise=found.noise,
        prefiltered=found.prefiltered,
        note=found.note,
        source_sha256=record.source_sha256 if record is not None else b"",
    )


@dataclasses.dataclass
class DecodeJpeg2000(PhotoStage):
    """`NamedFile` → `DecodedFile`; files that are not JPEG 2000 leave under the tag "copies"."""

    extent: Extent
    key: ArchiveKey | None
    step = "decode"
    tags = (COPIES,)

    def work(self) -> Callable[[NamedFile], Iterator[Any]]:
        """`decode_file`."""
        return functools.partial(decode_file, extent=self.extent, key=self.key)
