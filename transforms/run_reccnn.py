"""RecCNN in the pipelines: decoded pixels and their coding-noise map → what the photo was."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from foveate.models.reccnn import restore_pixels
from foveate.transforms.elements import CodedPhoto, DecodedFile, RestoredPhoto
from foveate.transforms.networks import PhotoHandler

_log = logging.getLogger("foveate")

if TYPE_CHECKING:
    from foveate.models.tiling import Network


def url_of(element: CodedPhoto | DecodedFile) -> str:
    """The source's url."""
    source = element.source if isinstance(element, DecodedFile) else element.salient.photo.source
    return source.url


def candidates_handler(size: str, precision: str) -> PhotoHandler:
    """`CodedPhoto` → `RestoredPhoto`, to measure what a restored archive will be worth."""
    return PhotoHandler("RecCNN", url_of, _load(size, precision), restore_candidates)


def files_handler(size: str, precision: str) -> PhotoHandler:
    """`DecodedFile` → `DecodedFile` with restored pixels, by a RecCNN of a size and a precision."""
    return PhotoHandler("RecCNN", url_of, _load(size, precision), restore_file)


def _load(size: str, precision: str) -> Callable[[], Network]:
    from foveate.models import reccnn

    return functools.partial(reccnn.load, size, precision=reccnn.PRECISIONS[precision])


def restore_candidates(network: Network, coded: CodedPhoto) -> RestoredPhoto:
    """Every candidate of a photo as it will be after restoring."""
    start = time.perf_counter()
    restored = tuple(restore_pixels(network, c.decoded, c.noise, c.comcnn_used) for c in coded.candidates)
    return RestoredPhoto(coded, restored, time.perf_counter() - start)


def without_reccnn(coded: CodedPhoto) -> Iterator[RestoredPhoto]:
    """A coded photo that is not restored."""
    yield RestoredPhoto(coded, (None,) * len(coded.candidates), 0.0)


def restore_file(network: Network, file: DecodedFile) -> DecodedFile:
    """A decoded file with RecCNN's pixels in place of its own; says so where RecCNN cannot help."""
    restored = restore_pixels(network, file.pixels, file.noise, file.comcnn_used)
    if restored is None:
        if file.note:
            _log.warning("%s: %s", file.source.url, file.note)
        return file
    return dataclasses.replace(file, pixels=restored)
