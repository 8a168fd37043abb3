"""From any JPEG 2000 file to pixels and their coding-noise map; and from pixels to a photo file."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from foveate.codec.errors import BadCodestream, UnsupportedCodestream
from foveate.codec.pictures import PICTURE_EXTENSIONS, PictureFormat, encode_picture, extension
from foveate.transforms.elements import DecodedFile, Pixels, SourceFile
from foveate.transforms.encryption import ArchiveKey, read_stored
from foveate.transforms.files import join, write_whole
from foveate.transforms.isolation import Limits, check_file_bytes, decode_archive
from foveate.transforms.progress import Progress
from foveate.transforms.read import require_place
from foveate.transforms.steps import FAILURES, BadInput, failure

JPEG2000_EXTENSIONS = frozenset({".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"})
COPIES = "copies"


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file to restore and its path below the output."""

    source: SourceFile
    path: str


def name_outputs(
    named: tuple[bytes, Iterable[SourceFile]], file_format: PictureFormat
) -> Iterator[NamedFile]:
    """Names the files that share a short name: one alone gets it, several keep their full names."""
    files = sorted({file.url: file for file in named[1]}.values(), key=lambda file: file.url)
    for file in files:
        if len(files) == 1 or not _is_jpeg2000(file):
            yield NamedFile(file, short_name(file, file_format))
        else:
            yield NamedFile(file, _without_jp2(file.relative_path) + extension(file_format))


def one_of_each_path(named: tuple[bytes, Iterable[NamedFile]]) -> Iterator[Any]:
    """The first file of a path by its url; others become failures."""
    first, *others = sorted(named[1], key=lambda file: file.source.url)
    yield first
    for other in others:
        error = BadInput(
            f"its place, {first.path}, is taken by {first.source.url}: restore it to another destination"
        )
        yield beam.pvalue.TaggedOutput(FAILURES, failure(other.source.url, "match", error))


def short_name(file: SourceFile, file_format: PictureFormat) -> str:
    """Where a file belongs if no other wants the place: photo.jpg.jp2 -> photo.png; others keep theirs."""
    if not _is_jpeg2000(file):
        return file.relative_path
    name = _without_jp2(file.relative_path)
    stem, dot, ending = name.rpartition(".")
    if dot and f".{ending.lower()}" in PICTURE_EXTENSIONS:
        name = stem
    return name + extension(file_format)


def _is_jpeg2000(file: SourceFile) -> bool:
    return f".{file.relative_path.rpartition('.')[2].lower()}" in JPEG2000_EXTENSIONS


def _without_jp2(path: str) -> str:
    return path.rpartition(".")[0]


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
    if not _is_jpeg2000(file):
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
    # The mark is for the whole file; what has fewer layers is coarser.
    plain = record is not None and record.plain_decode and not extent.layers
    yield DecodedFile(
        source=file,
        output_path=element.path,
        pixels=full_range(found.decoded.pixels, found.decoded.bit_depth),
        metadata=found.metadata,
        noise=None if plain else found.noise,
        comcnn_used=record is not None and record.comcnn_used,
        note=found.note,
        source_sha256=record.source_sha256 if record is not None else b"",
    )


def full_range(pixels: Pixels, bit_depth: int) -> Pixels:
    """Samples of any depth stretched to the whole range of their type, rounded."""
    peak, top = 2**bit_depth - 1, int(np.iinfo(pixels.dtype).max)
    if peak == top:
        return pixels
    stretched: Pixels = ((pixels.astype(np.uint32) * top + peak // 2) // peak).astype(pixels.dtype)
    return stretched


def write_picture(
    file: DecodedFile, output: str, file_format: PictureFormat, progress: Progress, overwrite: bool = False
) -> Iterator[bytes]:
    """Writes a decoded file as a photo with its metadata; gives its url, as bytes: not every name is text.

    Raises:
      BadInput: the format cannot hold it, or another file is in its place: without `overwrite` any other,
        with it only the photo that the file was made of.
    """
    url = join(output, file.output_path)
    try:
        data = encode_picture(file.pixels, file.metadata, file_format)
    except ValueError as error:
        raise BadInput(f"cannot be written as {file_format}: {error}") from error

    def may_replace(there: bytes) -> bool:
        original = file.source_sha256
        return overwrite and not (original and hashlib.sha256(there).digest().startswith(original))

    write_whole(url, data, output, may_replace)
    progress.add_restored(file.pixels.shape[0] * file.pixels.shape[1], file.source.size_bytes)
    yield os.fsencode(url)


def copy_unchanged(
    element: NamedFile,
    output: str,
    progress: Progress,
    key: ArchiveKey | None = None,
    overwrite: bool = False,
    most: int | None = None,
) -> Iterator[bytes]:
    """Copies a file that the archive kept as it was; gives its url, as bytes: not every name is text.

    Raises:
      BadInput: another file is in its place, and not to be overwritten; or it is encrypted otherwise than
        with `key`; or it has more than `most` bytes.
    """
    file, url = element.source, join(output, element.path)
    write_whole(url, read_stored(file.url, key, most), output, lambda _: overwrite)
    progress.add_restored(0, file.size_bytes)
    yield os.fsencode(url)
