"""Splits DICOM files with several frames: each frame becomes a source, and a photo with its own outcome.

    scan.dcm (3 frames) ─▶ scan.dcm.0001, scan.dcm.0002, scan.dcm.0003

A frame's place in the archive depends on its file's path and its number alone. It is expanded before places
are given away and anything is looked up in the archive, so every later step treats it like a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import apache_beam as beam

from foveate.pictures.dicom_dataset import MAGIC, MAGIC_AT, is_dicom
from foveate.pictures.formats import DICOM_EXTENSIONS, PICTURE_EXTENSIONS
from foveate.sandbox.client import Limits, check_file_bytes, frame_count
from foveate.storage.errors import BadInput
from foveate.storage.files import read_head, read_whole
from foveate.storage.selection import ending_of_name
from foveate.storage.source import SourceFile, SourcePage

DicomFrames = Literal["keep", "first", "all"]


@dataclasses.dataclass
class ExpandFrames(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`SourceFile`s → `SourceFile`s; files with several frames become one source per requested frame."""

    frames: DicomFrames

    def expand(self, sources: Any) -> Any:
        """Spreads the sources, since each DICOM file is read, and expands them."""
        if self.frames == "keep":
            return sources
        return (
            sources
            | "Spread files" >> beam.Reshuffle()
            | "Expand files" >> beam.FlatMap(expand_frames, self.frames).with_output_types(SourceFile)
        )


def expand_frames(source: SourceFile, frames: DicomFrames) -> Iterator[SourceFile]:
    """The first frame, or all, of a DICOM file with several; any other source unchanged.

    A frame counts as its even share of the file's bytes, so that all frames sum up to the file.
    """
    count = 1 if frames == "keep" or not _may_be_dicom(source.relative_path) else _frame_count(source)
    if count == 1:
        yield source
        return
    for frame in range(1, 1 + (count if frames == "all" else 1)):
        size = source.size_bytes * frame // count - source.size_bytes * (frame - 1) // count
        name = f"{source.relative_path}.{frame:04d}"
        yield dataclasses.replace(source, relative_path=name, size_bytes=size, frame=frame)


def expand_page(page: SourcePage, frames: DicomFrames) -> SourcePage:
    """`expand_frames` of several sources."""
    if frames == "keep" or not any(map(_may_be_dicom, page.paths)):
        return page
    return SourcePage.of(frame for source in page.files() for frame in expand_frames(source, frames))


def file_of_frame(source: SourceFile) -> SourceFile:
    """The file that a source is a frame of, except for its size; a whole file itself."""
    if not source.frame:
        return source
    path = source.relative_path.removesuffix(f".{source.frame:04d}")
    return dataclasses.replace(source, relative_path=path, frame=0)


def _may_be_dicom(path: str) -> bool:
    """Whether a name suggests DICOM: by its extension, or for lack of a picture's, since many are numbers."""
    ending = ending_of_name(path)
    return ending in DICOM_EXTENSIONS or ending not in PICTURE_EXTENSIONS


def _frame_count(source: SourceFile) -> int:
    limits = Limits()
    try:
        check_file_bytes(source.size_bytes, limits)
        if not is_dicom(read_head(source.url, MAGIC_AT + len(MAGIC))):
            return 1
        return frame_count(read_whole(source.url), limits)
    except (OSError, BadInput):  # the step that reads it will say why
        return 1
