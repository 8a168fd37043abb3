"""Paints lines of writing, and other marks, onto pictures: in perspective, at any angle, in any color."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from foveate.models.training.written_strips import Strip

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

_LEAST_CONTRAST = 28  # in luma, of an ink's color
_SHADED_SHARE, _SHADOW_SHARE = 0.5, 0.1
_UPRIGHT_SHARE = 0.3  # of strips that run up, down or stand on their heads, nearly
LUMA = np.array([0.3, 0.59, 0.11], np.float32)


class Placed(NamedTuple):
    """A strip's layers on a square picture: (side, side) in 0..1 each."""

    ink: Plane
    cores: Plane
    region: Plane


def placed(lines: Strip, side: int, generator: np.random.Generator) -> Placed:
    """A strip somewhere on a square, in perspective and turned by any angle."""
    height, width = lines.ink.shape
    angle = _angle(generator)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    corners = source - (width / 2, height / 2)
    if generator.random() < 0.5:
        corners *= 1 + generator.uniform(-0.18, 0.18, (4, 2)) * (1, 0.6)
        corners[:, 1] += generator.normal(0, 0.08) * corners[:, 0]
        corners[:, 0] += generator.normal(0, 0.2) * corners[:, 1]
    cosine, sine = np.cos(angle), np.sin(angle)
    corners = corners @ np.array([[cosine, sine], [-sine, cosine]])
    # Inside where there is room; what is too long hangs over, so that its middle is seen.
    room = np.maximum(side / 2 - np.abs(corners).max(0), side * 0.12)
    corners += side / 2 + generator.uniform(-1, 1, 2) * room
    coefficients = _homography(corners, source)
    perspective, bilinear = Image.Transform.PERSPECTIVE, Image.Resampling.BILINEAR
    images = [
        Image.fromarray(layer).transform((side, side), perspective, coefficients, bilinear) for layer in lines
    ]
    return Placed(*(_plane(image) for image in images))


def _angle(generator: np.random.Generator) -> float:
    if generator.random() < _UPRIGHT_SHARE:
        return float(np.pi / 2 * generator.choice([1, 1, 2, 3, 3]) + generator.normal(0, 0.05))
    if generator.random() < 0.5:
        return generator.normal(0, 0.12)
    return generator.uniform(-np.pi, np.pi)


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> list[float]:
    """The eight coefficients that take four points to four others, as Pillow wants them."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return list(map(float, np.linalg.solve(np.array(rows), np.array(values))))


def warped(layers: Placed, height: float, generator: np.random.Generator) -> Placed:
    """As on cloth: everything moved a little, neighbors alike; `height` is that of a letter."""
    side = len(layers.ink)
    far = height * generator.uniform(0.1, 0.3)
    coarse = generator.normal(0, far, (2, *(max(3, round(side / max(16.0, 2 * height))),) * 2))
    zoom = (1, *(side / length for length in coarse.shape[1:]))
    at = ndimage.zoom(coarse, zoom, order=1) + np.mgrid[:side, :side]
    return Placed(*(ndimage.map_coordinates(layer, at, order=1) for layer in layers))


def painted(
    picture: Plane, marks: Placed, height: float, generator: np.random.Generator
) -> tuple[Plane, Plane]:
    """A picture with ink on it in some style, and what of the ink is left; `height` is that of a letter."""
    inside = marks.region > 0.5
    ground = picture[inside].mean(0) if inside.any() else picture.mean((0, 1))
    color = ink_color(ground, generator)
    picture, ink = _styled(picture, marks.ink, color, height, generator)
    ink = ink * np.float32(generator.uniform(0.7, 1))
    paint = color
    if generator.random() < _SHADED_SHARE:  # folds and grain of what is written on show through
        light = (picture @ LUMA) / max(1.0, float(ground @ LUMA))
        paint = color * light.clip(0.5, 1.6)[..., None]
    return (picture + ink[..., None] * (paint - picture)).clip(0, 255).astype(np.float32), ink


def _styled(
    picture: Plane, ink: Plane, color: Plane, height: float, generator: np.random.Generator
) -> tuple[Plane, Plane]:
    """A picture and ink, one of them changed for a style, or neither."""
    style = generator.random()
    if style < 0.2:  # chalk, worn print
        grain = generator.normal(0.75, 0.35, ink.shape).astype(np.float32)
        return picture, (ink * grain.clip(0, 1)).astype(np.float32)
    if style < 0.3:  # neon
        glow = _plane(_image(ink).filter(ImageFilter.GaussianBlur(height / 5))) * np.float32(0.6)
        return picture + glow[..., None] * (color - picture), ink
    if style < 0.4:  # an outline
        thick = _plane(_image(ink).filter(ImageFilter.MaxFilter(3)))
        return picture + thick[..., None] * (255 - color - picture), ink
    if style < 0.4 + _SHADOW_SHARE:
        shadow = np.roll(ink, (max(1, round(height / 12)),) * 2, (0, 1))
        return picture * (1 - np.float32(0.7) * shadow)[..., None], ink
    return picture, ink


def ink_color(ground: Plane, generator: np.random.Generator) -> Plane:
    """A color that differs from the ground: by little now and then."""
    for _ in range(20):
        if generator.random() < 0.4:
            color = np.full(3, generator.choice([generator.uniform(0, 50), generator.uniform(205, 255)]))
        elif generator.random() < 0.3:
            color = ground + generator.choice([-1, 1]) * generator.uniform(_LEAST_CONTRAST, 70)
        else:
            color = generator.uniform(0, 255, 3)
        luma = abs(float((color.clip(0, 255) - ground) @ LUMA))
        if luma >= _LEAST_CONTRAST:
            break
    return color.clip(0, 255).astype(np.float32)


def board(side: int, other: Pixels, generator: np.random.Generator) -> Plane:
    """A ground to write on: of one color, lit unevenly and rough, or part of another photo, flattened."""
    color = generator.uniform(10, 245, 3) if generator.random() < 0.5 else generator.uniform(0, 255)
    ground = np.full((side, side, 3), color, np.float32)
    first, last = generator.uniform(0.7, 1.2, 2)
    light = np.linspace(first, last, side, dtype=np.float32)[None, :, None]
    ground *= light if generator.random() < 0.5 else light.transpose(1, 0, 2)
    if generator.random() < 0.5:
        texture = np.asarray(Image.fromarray(other).resize((side, side)), np.float32)
        ground += (texture - texture.mean((0, 1))) * np.float32(generator.uniform(0.05, 0.4))
    else:
        small = generator.normal(0, generator.uniform(0, 15), (side // 2 + 1, side // 2 + 1))
        ground += np.kron(small, np.ones((2, 2)))[:side, :side, None]
    return ground.clip(0, 255)


def _image(plane: Plane) -> Image.Image:
    return Image.fromarray((plane * 255).clip(0, 255).astype(np.uint8))


def _plane(image: Image.Image | NDArray[Any]) -> Plane:
    return np.asarray(image, np.float32) / np.float32(255)
