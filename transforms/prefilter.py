"""ComCNN in the pipeline: a coded photo → what to code instead, at the coarseness the plain file has."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from foveate.transforms.elements import CodedPhoto, PrefilteredPhoto
from foveate.transforms.networks import NetworkStage, PhotoHandler

if TYPE_CHECKING:
    from foveate.models.tiling import Network

# Mean normalized step of about half a bit per pixel. What ComCNN wins on finer files, under 0.02 dB on the
# validation photos, is not worth coding a photo twice.
_FINEST_STEP = 0.05
# Two candidates and what they are restored to are five pictures beside the photo, all in memory at once.
_MOST_BYTES = 300_000_000


def prefilter_where_coarse(network: Network, coded: CodedPhoto) -> PrefilteredPhoto:
    """ComCNN's version of a photo whose plain file is coarse; None for others and those archived already.

    None too for photos of more than 300 MB of samples: some 100 megapixels of 8 bits.
    """
    noise = coded.candidates[0].noise
    giant = coded.salient.photo.pixels.nbytes > _MOST_BYTES
    if giant or (noise is not None and float(noise.mean()) < _FINEST_STEP):
        return PrefilteredPhoto(coded, None, 0.0)
    return prefilter_always(network, coded)


def prefilter_always(network: Network, coded: CodedPhoto) -> PrefilteredPhoto:
    """ComCNN's version of a photo; None where nothing was lost, or it is archived already."""
    from foveate.models import tiling

    noise = coded.candidates[0].noise
    if coded.archived or noise is None:
        return PrefilteredPhoto(coded, None, 0.0)
    start = time.perf_counter()
    prefiltered = tiling.run(network, coded.salient.photo.pixels, noise)
    return PrefilteredPhoto(coded, prefiltered, time.perf_counter() - start)


@dataclasses.dataclass
class Prefilter(NetworkStage):
    """`CodedPhoto` → `PrefilteredPhoto`; unless `always`, only coarsely coded photos that are not giants."""

    always: bool

    def handler(self) -> PhotoHandler:
        """ComCNN."""
        from foveate.models import comcnn

        return PhotoHandler(
            "ComCNN", comcnn.load, prefilter_always if self.always else prefilter_where_coarse
        )
