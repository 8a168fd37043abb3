"""Restores decoded photos with RecCNN, given their coding-noise maps."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from foveate.archive.in_sample import is_in_sample
from foveate.models.reccnn import SIZES, restore_pixels, restore_window
from foveate.quality import sample
from foveate.transforms.elements import CodedPhoto, DecodedPhoto, Pixels, RestoredPhoto
from foveate.transforms.networks import NetworkStage, PhotoHandler
from foveate.transforms.steps import PhotoStage

_log = logging.getLogger("foveate")

if TYPE_CHECKING:
    from foveate.models.tiling import Network


def restore_coded(network: Network, coded: CodedPhoto, restore_all: bool = False) -> RestoredPhoto:
    """A photo as it will be after restoring, so that it can be measured and compared.

    Of a large photo RecCNN restores a sample only, which tells whether it helps, in a tenth of the time: all
    of it for one photo in eight, the same in every run, or with `restore_all`.
    """
    start, file, photo = time.perf_counter(), coded.file, coded.salient.photo
    whole: Pixels | None = None
    windows: tuple[Pixels, ...] = ()
    if file.noise is not None and not (
        restore_all or sample.is_whole(photo.pixels) or is_in_sample(photo.source_sha256)
    ):
        windows = tuple(
            restore_window(network, file.decoded, file.noise, at, prefiltered=file.prefiltered)
            for at in sample.windows(photo.pixels)
        )
    else:
        whole = restore_pixels(network, file.decoded, file.noise, file.prefiltered)
    return RestoredPhoto(coded, whole, time.perf_counter() - start, windows)


def without_reccnn(coded: CodedPhoto) -> Iterator[RestoredPhoto]:
    """A coded photo that is not restored."""
    yield RestoredPhoto(coded, None, 0.0)


def restore_file(network: Network, file: DecodedPhoto) -> DecodedPhoto:
    """A decoded file with RecCNN's pixels in place of its own; says so where RecCNN cannot help."""
    restored = restore_pixels(network, file.pixels, file.noise, file.prefiltered)
    if restored is None:
        if file.note:
            _log.warning("%s: %s", file.source.url, file.note)
        return file
    return dataclasses.replace(file, pixels=restored)


def halo_of(size: str) -> int:
    """How many pixels around a region RecCNN of a size ("fast", "best" or "off") has to see."""
    return 0 if size == "off" else SIZES[size].receptive_field


@dataclasses.dataclass(frozen=True)
class RecCnn:
    """Which reconstruction network runs.

    size: "fast" or "best".
    precision: of its features, one of `reccnn.PRECISIONS`; each worker decides for itself what "auto" is.
    """

    size: str
    precision: str

    def handler(self, work: Callable[[Network, Any], Any]) -> PhotoHandler:
        """The network, applying `work` to each element."""
        from foveate.models import reccnn

        load = functools.partial(reccnn.load, self.size, precision=self.precision)
        return PhotoHandler("RecCNN", load, work)


@dataclasses.dataclass
class RestoreCoded(NetworkStage):
    """`CodedPhoto` → `RestoredPhoto`, to measure what a restored archive will be worth."""

    network: RecCnn
    restore_all: bool = False  # whether all of every photo is restored

    def handler(self) -> PhotoHandler:
        """RecCNN on every photo, or on a sample of it."""
        return self.network.handler(functools.partial(restore_coded, restore_all=self.restore_all))


class SkipRestoring(PhotoStage):
    """`CodedPhoto` → `RestoredPhoto` without restored pixels."""

    step = "skip RecCNN"

    def work(self) -> Callable[[CodedPhoto], Iterator[RestoredPhoto]]:
        """`without_reccnn`."""
        return without_reccnn


@dataclasses.dataclass
class RestorePixels(NetworkStage):
    """`DecodedPhoto` → `DecodedPhoto` with RecCNN's pixels."""

    network: RecCnn

    def handler(self) -> PhotoHandler:
        """RecCNN on every file."""
        return self.network.handler(restore_file)
