"""Photos with made-up versions for tests of the page."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import foveate
from foveate.reports.viewer import places
from foveate.reports.viewer.contents import ComparedPhoto, compared
from foveate.reports.viewer.versions import PhotoInVersions, Version, version_of_ours
from foveate.sandbox.client import Limits
from tests.streams import texture

NAME = "<b>trip</b> & 'home'.jpg"


def in_versions(
    height: int, width: int, channels: int = 3, bits: int = 8, name: str = NAME
) -> PhotoInVersions:
    """A photo whose upper left matters, at 1 and 3 bits per pixel, and one of another codec's."""
    pixels = texture(height, width, channels, bits)
    saliency = np.zeros((6, 8), np.float32)
    saliency[:2, :2] = 1
    versions = [_at(pixels, rate) for rate in (1, 3)]
    peer = Version("AVIF like 1 bpp", "quality 30", 99, versions[0].pixels, 31.25, 28.5)
    return PhotoInVersions(
        name, "jpeg", 3 * height * width, pixels, None, saliency, (versions[0], peer, versions[1])
    )


@contextlib.contextmanager
def small_crops() -> Iterator[None]:
    """Shows photos above 0.06 megapixels in crops of 256 pixels, since large ones take longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "WHOLE_PIXELS", 60_000)
        patch.setattr(places, "CROP_SIDE", 256)
        yield


def _at(pixels: NDArray[np.uint8], rate: float) -> Version:
    data = foveate.encode(pixels, bpp=rate)
    decoded = foveate.decode(data)
    return version_of_ours(f"{rate:g} bpp", "", f"--bpp {rate:g}", pixels, data, decoded, 10.0 * rate)


@functools.cache
def small() -> ComparedPhoto:
    """A photo that is shown whole."""
    return compared(in_versions(180, 300), Limits())
