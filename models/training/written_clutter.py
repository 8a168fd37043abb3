"""Draws clutter, which looks like writing but is not, onto pictures that a text network learns from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from foveate.models.training.written_paint import Plane, ink_color

_KINDS = ("rails", "tiles", "rings", "windows", "bricks", "twigs", "repetition")
_UNSEEN = 0.1  # probability of writing below which a teacher sees none
_OPAQUE = 0.3  # ink that hides a core


def cluttered(picture: Plane, core: Plane, generator: np.random.Generator) -> tuple[Plane, Plane]:
    """A picture (side, side, 3) in 0..255 with some clutter, and what is left of the cores (side, side)."""
    side = len(core)
    kind = _KINDS[int(generator.integers(len(_KINDS)))]
    if kind == "repetition":
        return _repeated(picture, core, generator)
    layer = Image.new("L", (2 * side, 2 * side))
    draw = ImageDraw.Draw(layer)
    if kind == "twigs":
        _draw_twigs(draw, side, generator)
    else:
        _draw_grid(draw, kind, side, generator)
    angle = float(generator.choice([0, 90, generator.uniform(0, 360)]))
    turned = layer.rotate(angle, Image.Resampling.BILINEAR, center=(side, side))
    ink = np.asarray(turned, np.float32)[side // 2 :, side // 2 :][:side, :side] / np.float32(255)
    color = ink_color(picture.mean((0, 1)), generator)
    left = np.where(ink > _OPAQUE, 0, core).astype(np.float32)
    return picture + ink[..., None] * (color - picture), left


class _Grid(NamedTuple):
    """A rectangle, the distance of its lines, and how thick they are."""

    left: float
    top: float
    right: float
    bottom: float
    step: float
    thick: int


def _draw_grid(draw: ImageDraw.ImageDraw, kind: str, side: int, generator: np.random.Generator) -> None:
    step = float(np.exp(generator.uniform(np.log(5), np.log(60))))
    thick = max(1, int(step * generator.uniform(0.1, 0.5)))
    left, top = generator.uniform(0, side, 2)
    right, bottom = (left, top) + generator.uniform(0.2, 1.0, 2) * side
    grid = _Grid(left, top, right, bottom, step, thick)
    if kind == "bricks":
        _draw_bricks(draw, grid)
    elif kind == "rings":
        _draw_rings(draw, grid)
    else:
        _draw_bars(draw, grid, {"rails": 0, "tiles": 1, "windows": 4}[kind])


def _draw_bars(draw: ImageDraw.ImageDraw, grid: _Grid, apart: int) -> None:
    """Upright bars and, unless `apart` is 0, level ones so many times as far from each other."""
    for x in np.arange(grid.left, grid.right, grid.step):
        draw.line((x, grid.top, x, grid.bottom), 255, grid.thick)
    if apart:
        for y in np.arange(grid.top, grid.bottom, grid.step * apart):
            draw.line((grid.left, y, grid.right, y), 255, grid.thick)


def _draw_rings(draw: ImageDraw.ImageDraw, grid: _Grid) -> None:
    size = grid.step * 0.8
    for x in np.arange(grid.left, grid.right, grid.step):
        box = (x, grid.top, x + size, grid.top + size)
        draw.ellipse(box, outline=255, width=max(1, grid.thick // 2))


def _draw_bricks(draw: ImageDraw.ImageDraw, grid: _Grid) -> None:
    step, joint = grid.step, grid.thick / 2
    for number, y in enumerate(np.arange(grid.top, grid.bottom, step)):
        for x in np.arange(grid.left - number % 2 * step, grid.right, 2 * step):
            draw.rectangle((x, y, x + 2 * step - joint, y + step - joint), fill=255)


def _draw_twigs(draw: ImageDraw.ImageDraw, side: int, generator: np.random.Generator) -> None:
    """Long lines that bend a little, crossing each other."""
    for _ in range(int(generator.integers(4, 30))):
        heading = generator.uniform(-np.pi, np.pi) + np.cumsum(generator.normal(0, 0.15, 40))
        steps = generator.uniform(3, 12) * np.stack([np.cos(heading), np.sin(heading)], 1)
        points = generator.uniform(0.3, 1.7, 2) * side + np.cumsum(steps, 0)
        draw.line([tuple(point) for point in points], 255, int(generator.integers(1, 5)))


def _repeated(picture: Plane, core: Plane, generator: np.random.Generator) -> tuple[Plane, Plane]:
    """With a small part repeated side by side, like windows of a house or heads in a crowd."""
    side = len(core)
    height, width = generator.integers(8, 40, 2)
    top, left = (int(generator.integers(side - length)) for length in (height, width))
    if core[top : top + height, left : left + width].max() > _UNSEEN:
        return picture, core
    rows, columns = int(generator.integers(1, 6)), int(generator.integers(3, 16))
    part = np.tile(picture[top : top + height, left : left + width], (rows, columns, 1))[:side, :side]
    y, x = (int(generator.integers(side - length + 1)) for length in part.shape[:2])
    picture, core = picture.copy(), core.copy()
    here = np.s_[y : y + part.shape[0], x : x + part.shape[1]]
    picture[here], core[here] = part, 0
    return picture, core
