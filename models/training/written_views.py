"""Writes onto views of photos, at any angle, and marks the cores of the lines that a text network is to find.

part of a view -> clutter -> lines in perspective, perhaps on a board -> as a camera sees it
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from foveate.models.training.written_clutter import cluttered
from foveate.models.training.written_paint import LUMA, Pixels, Plane, board, painted, placed, warped
from foveate.models.training.written_strips import Fonts, strip
from foveate.models.writing import GRAY

Predict = Callable[[Pixels], NDArray[np.float32]]

VIEW_SIDES = (320, 1100)  # longer side of a view of a photo
_PLAIN_SHARE, _CLUTTER_SHARE = 0.25, 0.35  # of pictures
_BOARD_SHARE, _WARPED_SHARE = 0.5, 0.2  # of blocks of lines
_LEAST_SEEN = 18  # change of luma by ink that is meant to be found
_SURE = 0.3  # a teacher's probability of writing


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A photo made small (h, w, 3) uint8, and the teacher's probability of writing (h, w) uint8 in 0..255.

    known: (h, w) whether the teacher is to be believed.
    """

    picture: Pixels
    writing: Pixels
    known: NDArray[np.bool_]


class _Square(NamedTuple):
    """A picture (side, side, 3) in 0..255, cores of lines (side, side) in 0..1, and 0 where nobody knows."""

    picture: Plane
    core: Plane
    weight: Plane


def views(photo: Pixels, predict: Predict, count: int, generator: np.random.Generator) -> list[View]:
    """Views of a photo at random scales; `predict` takes (h, w, 3) and gives the teacher's (h, w) in 0..1.

    Writing that the teacher finds only if the photo is turned by a quarter is left open.
    """
    result = []
    for _ in range(count):
        scale = np.exp(generator.uniform(*np.log(VIEW_SIDES))) / max(photo.shape[:2])
        size = tuple(max(32, round(side * min(1.0, scale))) for side in photo.shape[1::-1])
        picture = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
        level = predict(picture)
        turned = np.rot90(predict(np.ascontiguousarray(np.rot90(picture))), -1)
        near = Image.fromarray(((turned > _SURE) & (level < _SURE)).astype(np.uint8) * 255)
        known = np.asarray(near.filter(ImageFilter.MaxFilter(9))) == 0
        result.append(View(picture, np.rint(level * 255).astype(np.uint8), known))
    return result


def written(
    pool: Sequence[View], fonts: Fonts, side: int, generator: np.random.Generator
) -> Mapping[str, NDArray[np.float32]]:
    """A part of a view, (side, side, 3), perhaps with writing, as a camera would see it.

    Gives "photo" in 0..255; "writing" (side, side), the cores in 0..1; and "weight", 0 where nobody knows.
    """
    picture, core, weight = _part(pool[int(generator.integers(len(pool)))], side, generator)
    if generator.random() < _CLUTTER_SHARE:
        picture, core = cluttered(picture, core, generator)
    square = _Square(picture, core, weight)
    if generator.random() >= _PLAIN_SHARE:
        for _ in range(int(generator.integers(1, 4))):
            other = pool[int(generator.integers(len(pool)))].picture
            square = _with_block(square, other, fonts, generator)
    return {"photo": _seen(square.picture, generator), "writing": square.core, "weight": square.weight}


def _part(view: View, side: int, generator: np.random.Generator) -> _Square:
    """A square of a view, in gray where the view ends, turned by quarters at random."""
    height, width = view.picture.shape[:2]
    top, left = (int(generator.integers(max(0, length - side) + 1)) for length in (height, width))
    here = np.s_[top : top + side, left : left + side]
    picture, core, known = (
        part[here].astype(np.float32) for part in (view.picture, view.writing, view.known)
    )
    edges = [(0, side - length) for length in core.shape]
    padded = (
        np.pad(picture, (*edges, (0, 0)), constant_values=GRAY),
        np.pad(core, edges),
        np.pad(known, edges, constant_values=1),
    )
    quarters = int(generator.integers(4)) if generator.random() < 0.5 else 0
    picture, core, known = (np.rot90(part, quarters) for part in padded)
    return _Square(picture.copy(), core / np.float32(255), known.copy())


def _with_block(square: _Square, other: Pixels, fonts: Fonts, generator: np.random.Generator) -> _Square:
    """Some lines written onto a picture, perhaps on a board that covers what is below it.

    Nobody knows whether lines that are hardly seen are to be found.
    """
    picture, core, weight = square
    side = len(core)
    lines, height = strip(fonts, generator)
    block = placed(lines, side, generator)
    if generator.random() < _WARPED_SHARE:
        block = warped(block, height, generator)
    if block.region.max() == 0:
        return square
    if generator.random() < _BOARD_SHARE:
        picture = picture + (board(side, other, generator) - picture) * block.region[..., None]
        core = np.where(block.region > 0, 0, core)
    result, letters = painted(picture, block, height, generator)
    contrast = np.abs((result - picture) @ LUMA)[letters > 0.5]
    is_seen = contrast.size > 0 and contrast.mean() >= _LEAST_SEEN
    weight = np.where(block.region > 0.5, is_seen, weight).astype(np.float32)
    return _Square(result, np.maximum(core, block.cores), weight)


def _seen(picture: Plane, generator: np.random.Generator) -> Plane:
    """As a camera would give it: a little blurred, noisy, in other light, compressed."""
    image = _blurred(Image.fromarray(picture.clip(0, 255).astype(np.uint8)), generator)
    values = _lit(np.asarray(image, np.float32), generator)
    if generator.random() < 0.4:
        values = values + generator.normal(0, generator.uniform(1, 10), values.shape).astype(np.float32)
    values = values.clip(0, 255).astype(np.float32)
    if generator.random() < 0.4:
        file = io.BytesIO()
        Image.fromarray(values.astype(np.uint8)).save(file, "JPEG", quality=int(generator.integers(25, 95)))
        values = np.asarray(Image.open(file), np.float32)
    return values


def _blurred(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Out of focus, enlarged or moved; half of the pictures stay as they are."""
    blur = generator.random()
    if blur < 0.4:
        return image.filter(ImageFilter.GaussianBlur(float(generator.uniform(0.2, 1.3))))
    if blur < 0.5:
        small = [max(1, round(length * generator.uniform(0.45, 0.9))) for length in image.size]
        return image.resize((small[0], small[1]), Image.Resampling.BOX).resize(image.size)
    if blur < 0.55:
        return image.filter(ImageFilter.BoxBlur((int(generator.integers(3)), int(generator.integers(3)))))
    return image


def _lit(values: Plane, generator: np.random.Generator) -> Plane:
    """In other light, hazy, or in gray."""
    if generator.random() < 0.4:
        gamma = np.float32(np.exp(generator.uniform(-0.6, 0.6)))
        values = np.float32(255) * (values / np.float32(255)) ** gamma
    if generator.random() < 0.3:
        values = values * np.float32(generator.uniform(0.4, 1)) + np.float32(generator.uniform(0, 60))
    if generator.random() < 0.1:
        values = np.repeat(values.mean(2, keepdims=True), 3, 2)
    return values
