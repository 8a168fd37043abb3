"""Writes restored pictures, and copies what the archive kept unchanged."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any, cast

import apache_beam as beam
import numpy as np

from foveate.archive.keys import ArchiveKey, read_stored
from foveate.archive.planning.restore_plan import NamedFile
from foveate.codec.errors import BadCodestream
from foveate.pictures.formats import PictureFormat, as_it_should_be_seen, encode_picture
from foveate.storage.errors import BadInput
from foveate.storage.files import join, write_whole
from foveate.transforms.elements import DecodedPhoto, Pixels
from foveate.transforms.progress import Progress
from foveate.transforms.steps import FAILURES, PhotoStage, failure


@dataclasses.dataclass(frozen=True)
class Output:
    """Where restored files go: the folder, and whether files that are there already may be replaced."""

    folder: str
    overwrite: bool
    progress: Progress


def write_picture(file: DecodedPhoto, output: Output, file_format: PictureFormat) -> Iterator[Any]:
    """Writes a decoded file as a photo with its metadata; gives its url, as bytes: not every name is text.

    A damaged file is written as far as it could be decoded, and gives a failure row, too.

    Raises:
      BadInput: the format cannot hold it, or another file is in its place: without `overwrite` any other,
        with it only the photo that the file was made of.
    """
    url = join(output.folder, file.output_path)
    pixels = cast(Pixels, np.ascontiguousarray(file.pixels[file.shown]))
    pixels, metadata = as_it_should_be_seen(pixels, file.metadata)
    try:
        data = encode_picture(pixels, metadata, file_format)
    except ValueError as error:
        raise BadInput(f"cannot be written as {file_format}: {error}") from error

    def may_replace(there: bytes) -> bool:
        original = file.source_sha256
        return output.overwrite and not (original and hashlib.sha256(there).digest().startswith(original))

    write_whole(url, data, output.folder, may_replace, file.source)
    yield os.fsencode(url)
    if file.damage:
        damaged = BadCodestream(f"restored as far as possible, but the file is damaged: {file.damage}")
        yield beam.pvalue.TaggedOutput(FAILURES, failure(file.source.url, "decode", damaged))
    else:
        output.progress.count("restored", pixels.shape[0] * pixels.shape[1], file.source.size_bytes)


def copy_unchanged(
    element: NamedFile, output: Output, key: ArchiveKey | None = None, most: int | None = None
) -> Iterator[bytes]:
    """Copies a file that the archive kept as it was; gives its url, as bytes: not every name is text.

    Raises:
      BadInput: another file is in its place, and not to be overwritten; or it is encrypted otherwise than
        with `key`; or it has more than `most` bytes.
    """
    file, url = element.source, join(output.folder, element.path)
    write_whole(url, read_stored(file.url, key, most), output.folder, lambda _: output.overwrite, file)
    output.progress.count("copied unchanged", 0, file.size_bytes)
    yield os.fsencode(url)


@dataclasses.dataclass
class WritePictures(PhotoStage):
    """`DecodedPhoto` → the url of the picture written, as bytes."""

    destination: Output
    file_format: PictureFormat
    step = "write"
    output = bytes

    def work(self) -> Callable[[DecodedPhoto], Iterator[bytes]]:
        """`write_picture`."""
        return functools.partial(write_picture, output=self.destination, file_format=self.file_format)


@dataclasses.dataclass
class CopyUnchanged(PhotoStage):
    """`NamedFile` → the url of the copy, as bytes."""

    destination: Output
    key: ArchiveKey | None
    most: int
    step = "copy"
    output = bytes

    def work(self) -> Callable[[NamedFile], Iterator[bytes]]:
        """`copy_unchanged`."""
        return functools.partial(copy_unchanged, output=self.destination, key=self.key, most=self.most)
