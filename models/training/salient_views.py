"""Augmented photos with object masks, as features of the frozen backbone, for training MS-ROI's decoder.

Views are the photo whole, mirrored, cropped with other colors and JPEG noise, and composed with writing and
cut-outs. Their features are worked out once and held in memory as float16.
"""

from __future__ import annotations

import dataclasses
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from foveate.models import efficientnet, msroi
from foveate.models.array_files import Arrays
from foveate.models.training.compositions import Material, with_cutout, with_writing

Plane = NDArray[np.float32]
Photo = NDArray[np.uint8]
Pair = tuple[Photo, Plane]

SMALLEST_CROP = 0.6  # of a side
_ALTERED_SHARE = 0.4  # of the crops have other colors, as many JPEG noise
_COLOR_FACTORS = {"Brightness": (0.7, 1.3), "Contrast": (0.7, 1.3), "Color": (0.0, 1.5)}
_JPEG_QUALITIES = (25, 90)

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Mix:
    """How many views of each photo there are: plain ones, with writing, and with a cut-out."""

    plain: int = 7
    writing: int = 1
    cutouts: int = 1

    def kinds(self, material: Material) -> list[str]:
        """One word a view; without cut-outs there are none of that kind."""
        return [*["plain"] * self.plain, *["writing"] * self.writing] + ["cutout"] * (
            self.cutouts if material.cutouts else 0
        )


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A view's features (float16), its target (mask and validity, (h, w, 2) in [0, 1]), its photo's index."""

    features: dict[str, NDArray[np.float16]]
    target: NDArray[np.float16]
    photo: int


def read_pairs(images: Path, masks: Path) -> list[Pair]:
    """Photos (H, W, 3) uint8 with their masks (H, W) float32 of 0 and 1, in the order of their names.

    Raises ValueError where a photo has no mask, where their sizes differ, or for an empty folder.
    """
    found = {path.stem: path for path in sorted(masks.iterdir())}
    pairs = []
    for path in sorted(images.iterdir()):
        if path.stem not in found:
            raise ValueError(f"{path.name} has no mask in {masks}")
        with Image.open(path) as photo, Image.open(found[path.stem]) as mask:
            if photo.size != mask.size:
                raise ValueError(f"{path.name} is {photo.size}, its mask {mask.size}")
            pairs.append((np.asarray(photo.convert("RGB")), np.asarray(mask.convert("L")) >= 128))
    if not pairs:
        raise ValueError(f"no photos in {images}")
    return [(photo, mask.astype(np.float32)) for photo, mask in pairs]


def prepare(arrays: Arrays, pairs: Sequence[Pair], mix: Mix, material: Material, seed: int) -> list[View]:
    """Features of every view of every photo, with the backbone's and classifier's `arrays`."""
    from keras import ops

    network = efficientnet.load(arrays)
    kernel, bias = (arrays[f"classifier/{part}"].astype(np.float32) for part in ("kernel", "bias"))
    views = []
    for index, pair in enumerate(pairs):
        for small, target in _views(pair, mix, material, np.random.default_rng((seed, index))):
            features: dict[str, Any] = dict(network.predict_on_batch(small[None]))
            features["cam"] = msroi.class_activation_map(features.pop("head"), kernel, bias)
            halves = {
                name: ops.convert_to_numpy(value)[0].astype(np.float16) for name, value in features.items()
            }
            views.append(View(halves, target, index))
        if (index + 1) % 100 == 0:
            logger.info("features of %d of %d photos", index + 1, len(pairs))
    return views


def _views(
    pair: Pair, mix: Mix, material: Material, generator: np.random.Generator
) -> Iterator[tuple[Plane, NDArray[np.float16]]]:
    for number, kind in enumerate(mix.kinds(material)):
        photo, mask = pair
        if kind == "writing":
            photo, mask = with_writing(photo, mask, material.fonts, generator)
        elif kind == "cutout":
            photo, mask = with_cutout(photo, mask, material.cutouts, generator)
        if number > 1:
            photo = _altered(photo, generator)
        if kind == "plain" and number > 1:
            photo, mask = _cropped(photo, mask, generator)
        if number == 1 or (kind != "writing" and number > 1 and generator.random() < 0.5):
            photo, mask = photo[:, ::-1], mask[:, ::-1]
        yield view_of(photo, mask)


def view_of(photo: Photo, mask: Plane) -> tuple[Plane, NDArray[np.float16]]:
    """A photo as padded thumbnail (h, w, 3), and its mask as target (h / 4, w / 4, 2)."""
    small = msroi.thumbnail(photo)
    padded = msroi.pad(small)
    target = np.zeros((*(side // msroi.OUTPUT_STRIDE for side in padded.shape[:2]), 2), np.float16)
    height, width = (side // msroi.OUTPUT_STRIDE for side in small.shape[:2])
    target[:height, :width, 0] = resized(mask, height, width)
    target[:height, :width, 1] = 1
    return padded, target


def _cropped(photo: Photo, mask: Plane, generator: np.random.Generator) -> Pair:
    height, width = (int(side * generator.uniform(SMALLEST_CROP, 1)) + 1 for side in mask.shape)
    top = int(generator.integers(0, max(mask.shape[0] - height, 0) + 1))
    left = int(generator.integers(0, max(mask.shape[1] - width, 0) + 1))
    crop = np.s_[top : top + height, left : left + width]
    return photo[crop], mask[crop]


def _altered(photo: Photo, generator: np.random.Generator) -> Photo:
    """Other brightness, contrast and color; then JPEG noise."""
    image = Image.fromarray(photo)
    if generator.random() < _ALTERED_SHARE:
        for name, limits in _COLOR_FACTORS.items():
            image = getattr(ImageEnhance, name)(image).enhance(float(generator.uniform(*limits)))
    if generator.random() < _ALTERED_SHARE:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(generator.integers(*_JPEG_QUALITIES)))
        image = Image.open(stream)
    return np.asarray(image)


def resized(plane: Plane, height: int, width: int) -> Plane:
    """A plane (h, w) stretched or shrunk bilinearly to (height, width)."""
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)
