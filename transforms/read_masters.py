"""Reads JPEG 2000 files that are to be made smaller without re-encoding."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from foveate.archive.rows import KeptSource
from foveate.codec.envelope import Envelope
from foveate.codec.errors import UnsupportedCodestream
from foveate.codec.metadata import PhotoMetadata
from foveate.pictures.picture import full_range
from foveate.pictures.reasons import Reason
from foveate.sandbox.client import Limits, check_file_bytes, decode_archive
from foveate.storage.errors import BadInput
from foveate.storage.files import read_source
from foveate.storage.source import SourceFile
from foveate.transforms.elements import Photo
from foveate.transforms.read import KEPT, require_place
from foveate.transforms.steps import PhotoStage

_FORMAT = "jpeg2000"


def read_master(source: SourceFile, limits: Limits) -> Iterator[Any]:
    """Reads one JPEG 2000 file and decodes it in isolation: a `Photo`, or a `KeptSource` tagged "kept".

    Raises:
      BadCodestream: damaged.
      BadInput: its path leads elsewhere, it has too many bytes, or decoding it takes too much or crashes.
    """
    start = time.perf_counter()
    require_place(source)
    check_file_bytes(source.size_bytes, limits)
    data = read_source(source, limits.file_bytes)
    if not data:
        raise BadInput("the file is empty")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        left_out = Envelope.of(data).left_out
        found = decode_archive(data, limits)
    except UnsupportedCodestream as error:
        yield beam.pvalue.TaggedOutput(KEPT, KeptSource(source, _FORMAT, sha256, Reason.NOT_READ, str(error)))
        return
    yield Photo(
        source=source,
        pixels=full_range(found.decoded.pixels, found.decoded.bit_depth),
        metadata=PhotoMetadata(exif=found.metadata.exif),  # boxes are carried as they are
        source_format=_FORMAT,
        bit_depth=found.decoded.bit_depth,
        source_sha256=sha256,
        metadata_problems=tuple(f"{kind}: an index of the former codestream" for kind in left_out),
        read_seconds=time.perf_counter() - start,
    )


@dataclasses.dataclass
class ReadMasters(PhotoStage):
    """`SourceFile` → `Photo` of a JPEG 2000 file; kinds that are not read leave under the tag "kept"."""

    limits: Limits
    step = "read"
    tags = (KEPT,)

    def work(self) -> Callable[[SourceFile], Iterator[Any]]:
        """`read_master`."""
        return functools.partial(read_master, limits=self.limits)
