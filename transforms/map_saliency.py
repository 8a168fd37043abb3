"""Maps what matters in a photo, by networks, masks or boxes, or not at all."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.archive.roi_boxes import RoiBox, saliency_of_boxes
from foveate.archive.roi_weights import RoiWeights
from foveate.archive.settings import CompressSettings
from foveate.pictures.picture import BadPicture, NotForJpeg2000, pillow_image
from foveate.sandbox.children import DecoderFailed
from foveate.sandbox.client import Limits, decode_picture
from foveate.storage.errors import BadInput
from foveate.storage.files import join, read_if_there
from foveate.transforms.elements import Photo, SalientPhoto
from foveate.transforms.networks import NetworkStage, PhotoHandler
from foveate.transforms.steps import PhotoStage

if TYPE_CHECKING:
    from foveate.models.structures import StructureFinder

_MASK_SIDE = 1024  # masks are averaged down to this: finer than any code-block's footprint


def find_structures(finder: StructureFinder, photo: Photo, weights: RoiWeights) -> SalientPhoto:
    """A photo with the map of its objects, faces and writing."""
    from foveate.models import structures

    start = time.perf_counter()
    found = structures.find(finder, photo.pixels)
    saliency = structures.combine(found, weights.values)
    return SalientPhoto(photo, saliency, time.perf_counter() - start, found=found)


def without_saliency(photo: Photo) -> Iterator[SalientPhoto]:
    """A photo in which all places matter alike."""
    yield SalientPhoto(photo, None, 0.0)


def with_mask(photo: Photo, folder: str, limits: Limits) -> Iterator[SalientPhoto]:
    """A photo with a drawn mask: `folder`/<relative path>.png, or with .png replacing its extension.

    Masks are pictures of any size, stretched over the upright photo: white matters, black does not. Of a
    colored mask its luma counts; alpha does not.

    Args:
      photo: the photo.
      folder: of the masks.
      limits: what a mask may be and take.

    Raises:
      BadInput: there is no mask, or it cannot be read.
    """
    start = time.perf_counter()
    relative = photo.source.relative_path
    names = (f"{relative}.png", f"{relative.rpartition('.')[0]}.png")
    for name in names:
        data = read_if_there(join(folder, name), limits.file_bytes)
        if data is not None:
            mask, sha256 = _read_mask(data, name, limits), hashlib.sha256(data).digest()
            yield SalientPhoto(photo, mask, time.perf_counter() - start, sha256)
            return
    raise BadInput(f"no mask for this photo in {folder}: looked for {' and '.join(names)}")


def with_boxes(photo: Photo, boxes: Sequence[RoiBox]) -> Iterator[SalientPhoto]:
    """A photo in which the inside of boxes matters, or everything alike if none of them touches it."""
    height, width = photo.pixels.shape[:2]
    yield SalientPhoto(photo, saliency_of_boxes(boxes, height, width), 0.0)


def _read_mask(data: bytes, name: str, limits: Limits) -> NDArray[np.float32]:
    try:
        picture = decode_picture(data, limits)
    except (BadPicture, NotForJpeg2000, DecoderFailed) as error:
        raise BadInput(f"the mask {name} cannot be read: {error}") from error
    mask = pillow_image(picture.pixels, gray=True).convert("L")
    mask.thumbnail((_MASK_SIDE, _MASK_SIDE), Image.Resampling.BOX)
    return np.asarray(mask, np.float32) / np.float32(255)


@dataclasses.dataclass
class FindStructures(NetworkStage):
    """`Photo` → `SalientPhoto` by MS-ROI and the networks for faces and writing."""

    weights: RoiWeights

    def handler(self) -> PhotoHandler:
        """The networks of the structures with a weight."""
        from foveate.models import structures

        load = functools.partial(structures.load, self.weights.values)
        return PhotoHandler("MS-ROI", load, functools.partial(find_structures, weights=self.weights))


@dataclasses.dataclass
class DrawSaliency(PhotoStage):
    """`Photo` → `SalientPhoto` by masks or boxes, or with all places alike."""

    settings: CompressSettings
    limits: Limits
    step = "saliency"

    def work(self) -> Callable[[Photo], Iterator[SalientPhoto]]:
        """Boxes for all photos, a mask for each, or nothing."""
        if self.settings.boxes:
            return functools.partial(with_boxes, boxes=self.settings.boxes)
        if self.settings.mask_folder is not None:
            return functools.partial(with_mask, folder=self.settings.mask_folder, limits=self.limits)
        return without_saliency


@dataclasses.dataclass
class MapSaliency(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`Photo` → `SalientPhoto`, as the settings say; outputs: "good" (main) and "failures"."""

    settings: CompressSettings
    limits: Limits

    def expand(self, photos: Any) -> Any:
        """Chooses between the network and what was drawn."""
        if self.settings.roi == "msroi":
            return photos | "Find structures" >> FindStructures(self.settings.roi_weights)
        return photos | "Draw" >> DrawSaliency(self.settings, self.limits)
