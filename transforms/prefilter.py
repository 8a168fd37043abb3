"""Prefilters coded photos with ComCNN, at the coarseness of the plain file, to be coded again."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from foveate.transforms.elements import CodedPhoto, PrefilteredPhoto
from foveate.transforms.networks import NetworkStage, PhotoHandler

if TYPE_CHECKING:
    from foveate.models.tiling import Network

# A photo, its file and what these are filtered to are four pictures in memory at once.
_MOST_BYTES = 300_000_000


def prefilter_where_it_helps(network: Network, coded: CodedPhoto) -> PrefilteredPhoto:
    """ComCNN's version of a photo whose plain file is as coarse as it takes; None for others.

    None too for photos of more than 300 MB of samples: some 100 megapixels of 8 bits.
    """
    from foveate.models import comcnn

    noise = coded.file.noise
    giant = coded.salient.photo.pixels.nbytes > _MOST_BYTES
    if giant or noise is None or not comcnn.helps(noise):
        return PrefilteredPhoto(coded, None, 0.0)
    return prefilter_always(network, coded)


def prefilter_always(network: Network, coded: CodedPhoto) -> PrefilteredPhoto:
    """ComCNN's version of a photo; None where nothing was lost, or it is archived already."""
    from foveate.models import tiling

    noise = coded.file.noise
    if coded.archived or noise is None:
        return PrefilteredPhoto(coded, None, 0.0)
    start = time.perf_counter()
    prefiltered = tiling.run(network, coded.salient.photo.pixels, noise)
    return PrefilteredPhoto(coded, prefiltered, time.perf_counter() - start)


@dataclasses.dataclass
class Prefilter(NetworkStage):
    """`CodedPhoto` → `PrefilteredPhoto`; unless `always`, only where it helps, and not giants."""

    always: bool

    def handler(self) -> PhotoHandler:
        """ComCNN."""
        from foveate.models import comcnn

        return PhotoHandler(
            "ComCNN", comcnn.load, prefilter_always if self.always else prefilter_where_it_helps
        )
