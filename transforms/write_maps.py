"""Writes saliency maps: grayscale pictures for `--roi masks:`, and overlays to look at."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from foveate.archive.rows import KeptSource
from foveate.codec.metadata import PhotoMetadata
from foveate.models.structures import NAMES
from foveate.pictures.formats import encode_picture
from foveate.quality.overlay import overlay_picture
from foveate.quality.saliency import StretchedMap
from foveate.storage.files import join, write_whole
from foveate.storage.source import SourceFile
from foveate.transforms.elements import SalientPhoto
from foveate.transforms.progress import Progress
from foveate.transforms.steps import PhotoStage

ENDINGS = (".png", ".jpg")
"""The endings of all files that are written."""

_ROWS = 1024  # that are stretched at a time
_OVERLAY_QUALITY = 90


@dataclasses.dataclass(frozen=True)
class Extras:
    """Pictures beside a map: its colors over the photo, and the maps that it is made of."""

    overlay: bool = False
    channels: bool = False


def map_url(output: str, source: SourceFile) -> str:
    """Where a source's map belongs: the name under which `--roi masks:` looks for it."""
    return join(output, f"{source.relative_path}.png")


def overlay_url(output: str, source: SourceFile) -> str:
    """Where the map over the photo belongs: no name of a mask."""
    return join(output, f"{source.relative_path}.overlay.jpg")


def channel_url(output: str, source: SourceFile, name: str) -> str:
    """Where the map of one kind of structure belongs."""
    return join(output, f"{source.relative_path}.{name}.png")


def all_urls(output: str, source: SourceFile) -> list[str]:
    """Every file that may be written for a source."""
    channels = [channel_url(output, source, name) for name in NAMES]
    return [map_url(output, source), overlay_url(output, source), *channels]


def write_map(salient: SalientPhoto, output: str, extras: Extras, progress: Progress) -> Iterator[bytes]:
    """Writes a photo's map and what else is asked; gives the urls (bytes: not every name is text)."""
    photo, saliency = salient.photo, salient.saliency
    if saliency is None:
        raise AssertionError("a photo without saliency has no map")
    height, width = photo.pixels.shape[:2]
    plain = PhotoMetadata()
    files = {map_url(output, photo.source): encode_picture(gray(saliency, height, width), plain, "png")}
    if extras.overlay:
        files[overlay_url(output, photo.source)] = encode_picture(
            overlay_picture(saliency, photo.pixels), plain, "jpeg", quality=_OVERLAY_QUALITY
        )
    if extras.channels and salient.found is not None:
        for name in NAMES:
            channel = gray(getattr(salient.found, name), height, width)
            files[channel_url(output, photo.source, name)] = encode_picture(channel, plain, "png")
    for url, data in files.items():
        write_whole(url, data, output)
    progress.count("mapped", height * width, photo.source.size_bytes)
    for url in files:
        yield os.fsencode(url)


def gray(saliency: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """A map (h, w) in [0, 1] stretched over a photo of that size: (height, width, 1) uint8, rounded."""
    stretched = StretchedMap.over(saliency, height, width)
    result = np.empty((height, width, 1), np.uint8)
    for top in range(0, height, _ROWS):
        rows = stretched.rows(slice(top, min(top + _ROWS, height)))
        result[top : top + _ROWS, :, 0] = np.rint(255 * rows)
    return result


def skip_kept(kept: KeptSource, progress: Progress) -> None:
    """Counts a file that an archive keeps unchanged, and that needs no map for it."""
    progress.count("skipped", 0, kept.source.size_bytes)


@dataclasses.dataclass
class WriteMaps(PhotoStage):
    """`SalientPhoto` → urls of the maps written, as bytes."""

    folder: str
    extras: Extras
    progress: Progress
    step = "write"
    output = bytes

    def work(self) -> Callable[[SalientPhoto], Iterator[bytes]]:
        """`write_map`."""
        return functools.partial(write_map, output=self.folder, extras=self.extras, progress=self.progress)
