"""Adds writing and cut-outs to photos, and marks them in the masks.

The photos with masks that there are show animals, things and people, hardly a word. What is added has a mask
of its own, so it teaches that writing is salient wherever it stands, and that what stands out need not be
large or in the middle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

PAGE_SHARE = 0.15  # of the pictures with writing are pages of nothing else
_MOST_BLOCKS = 2
_LETTER_HEIGHT = (0.03, 0.16)  # of a photo's shorter side, drawn evenly on a logarithmic scale
_PAGE_LETTER_HEIGHT = (0.018, 0.06)
_CUTOUT_SIDE = (0.2, 0.65)  # longer side of a cut-out, of a photo's shorter side
_LEAST_CUTOUT_SIDE = 64  # pixels of a file that is used
_CONSONANTS, _VOWELS, _OTHERS = "bcdfghjklmnprstvwz", "aeiou", "0123456789&!?%-"


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """Things added to photos: fonts (files; if none, Pillow's own), and cut-outs (h, w, 4) uint8."""

    fonts: Sequence[Path] = ()
    cutouts: Sequence[Pixels] = ()


def read_material(fonts: Path | None, cutouts: Path | None) -> Material:
    """The .ttf and .otf files below `fonts`, and the PNGs with transparency below `cutouts`.

    Raises FileNotFoundError for a folder that holds none.
    """
    found = [] if fonts is None else sorted(p for p in fonts.rglob("*") if p.suffix in (".ttf", ".otf"))
    read = [] if cutouts is None else _read_cutouts(cutouts)
    for folder, things, name in ((fonts, found, "font"), (cutouts, read, "cut-out")):
        if folder is not None and not things:
            raise FileNotFoundError(f"no {name} in {folder}")
    return Material(tuple(found), tuple(read))


def _read_cutouts(folder: Path) -> list[Pixels]:
    cutouts = []
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            box = image.convert("RGBA").getchannel("A").getbbox()
            if box is None or not image.has_transparency_data:
                continue
            cutout = image.convert("RGBA").crop(box)
        if max(cutout.size) >= _LEAST_CUTOUT_SIDE:
            cutouts.append(np.asarray(cutout))
    return cutouts


def with_cutout(
    photo: Pixels, mask: Plane, cutouts: Sequence[Pixels], generator: np.random.Generator
) -> tuple[Pixels, Plane]:
    """A photo (H, W, 3) with one of the cut-outs somewhere in it, and its mask (H, W) with that added."""
    cutout = Image.fromarray(cutouts[int(generator.integers(len(cutouts)))])
    height, width = mask.shape
    scale = generator.uniform(*_CUTOUT_SIDE) * min(height, width) / max(cutout.size)
    columns, rows = (max(1, round(side * scale)) for side in cutout.size)
    cutout = cutout.resize((columns, rows), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if generator.random() < 0.5:
        cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    place = (int(generator.integers(width - columns + 1)), int(generator.integers(height - rows + 1)))
    layer = Image.new("RGBA", (width, height))
    layer.paste(cutout, place)
    return _over(photo, mask, layer, layer.getchannel("A"))


def with_writing(
    photo: Pixels, mask: Plane, fonts: Sequence[Path], generator: np.random.Generator
) -> tuple[Pixels, Plane]:
    """A photo (H, W, 3) with some writing, and its mask (H, W) with the lines of it added.

    Some are pages instead: writing on plain ground.
    """
    if generator.random() < PAGE_SHARE:
        return _page(mask.shape, fonts, generator)
    for _ in range(int(generator.integers(1, _MOST_BLOCKS + 1))):
        size = _letter_height(_LETTER_HEIGHT, mask.shape, generator)
        lines = [_line(generator, 1, 4) for _ in range(int(generator.integers(1, 5)))]
        words, rows = _block(lines, size, fonts, generator)
        words, rows = _turned(words, rows, generator)
        layer, ground = Image.new("RGBA", mask.shape[::-1]), Image.new("L", mask.shape[::-1])
        left, top = (
            _inside(generator.uniform(-0.1, 1) * whole, whole - part)
            for whole, part in zip(mask.shape[::-1], words.size, strict=True)
        )
        layer.paste(words, (left, top))
        ground.paste(rows, (left, top))
        photo, mask = _over(photo, mask, layer, ground)
    return photo, mask


def _inside(place: float, room: int) -> int:
    """A place from 0 to `room`; what is larger than the photo may hang over."""
    return max(min(int(place), room), min(0, room))


def _page(
    shape: tuple[int, ...], fonts: Sequence[Path], generator: np.random.Generator
) -> tuple[Pixels, Plane]:
    """Lines of writing on a ground that is light or dark, lit unevenly and slightly noisy."""
    height, width = shape
    size = _letter_height(_PAGE_LETTER_HEIGHT, shape, generator)
    ink, paper = sorted(generator.uniform((0, 170), (80, 255)), reverse=bool(generator.random() < 0.2))
    left, right = generator.uniform(0.8, 1.05, 2)
    light = np.linspace(left, right, width)[None, :, None]
    ground = paper * light + generator.normal(0, 2, (height, width, 3)) + generator.uniform(-8, 8, 3)
    page = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    rows, draw = Image.new("L", page.size), ImageDraw.Draw(page)
    font = _font(fonts, size, generator)
    top, margin = float(generator.uniform(0, 0.3)) * height, int(generator.uniform(0.01, 0.2) * width)
    step = size * float(generator.uniform(1.2, 2))
    while top + size < height and generator.random() < 0.97:
        line, room = _line(generator, 2, 30), width - 2 * margin
        while line and draw.textlength(line, font) > room:
            line = line.rpartition(" ")[0]
        draw.text((margin, top), line, fill=(int(ink),) * 3, font=font)
        _mark(rows, (margin, top, margin + draw.textlength(line, font), top + step), size)
        top += step * (2 if generator.random() < 0.15 else 1)
    return np.asarray(page), _shares(rows)


def _block(
    lines: Sequence[str], size: int, fonts: Sequence[Path], generator: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Lines below each other, perhaps on a plate, and where they are."""
    font = _font(fonts, size, generator)
    step, edge = round(size * 1.25), max(2, size // 2)
    width = max(round(font.getlength(line)) for line in lines) + 2 * edge
    words = Image.new("RGBA", (width, step * len(lines) + 2 * edge))
    rows = Image.new("L", words.size)
    ink = (
        generator.integers(0, 256, 3) if generator.random() < 0.5 else np.full(3, generator.choice([0, 255]))
    )
    other = (ink + generator.integers(100, 157, 3)) % 256
    draw = ImageDraw.Draw(words)
    if generator.random() < 0.4:
        draw.rectangle((0, 0, *words.size), fill=(*map(int, other), 255))
    outline = max(1, size // 12) if generator.random() < 0.3 else 0
    for number, line in enumerate(lines):
        top = edge + number * step
        colors = (*map(int, ink), 255), (*map(int, other), 255)
        draw.text((edge, top), line, colors[0], font, stroke_width=outline, stroke_fill=colors[1])
        _mark(rows, (edge, top, edge + font.getlength(line), top + step), size)
    return words, rows


def _turned(
    words: Image.Image, rows: Image.Image, generator: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Both turned alike, a little and seldom a quarter, and the words as sharp as a photo."""
    angle = float(generator.normal(0, 6)) + (90 if generator.random() < 0.1 else 0)
    words, rows = (layer.rotate(angle, Image.Resampling.BILINEAR, expand=True) for layer in (words, rows))
    return words.filter(ImageFilter.GaussianBlur(float(generator.uniform(0, 1)))), rows


def _mark(rows: Image.Image, box: tuple[float, float, float, float], size: int) -> None:
    left, top, right, bottom = box
    if right > left:
        edge = size // 6
        ImageDraw.Draw(rows).rectangle((left - edge, top - edge, right + edge, bottom + edge), fill=255)


def _over(photo: Pixels, mask: Plane, layer: Image.Image, added: Image.Image) -> tuple[Pixels, Plane]:
    """A layer (RGBA) over a photo, and what it adds to the mask."""
    picture = Image.fromarray(photo).convert("RGBA")
    picture.alpha_composite(layer)
    return np.asarray(picture.convert("RGB")), np.maximum(mask, _shares(added))


def _shares(layer: Image.Image) -> Plane:
    """A gray layer as values in [0, 1]."""
    values: Plane = np.asarray(layer, np.float32) / np.float32(255)
    return values


def _font(
    fonts: Sequence[Path], size: int, generator: np.random.Generator
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if not fonts:
        return ImageFont.load_default(size)
    return ImageFont.truetype(fonts[int(generator.integers(len(fonts)))], size)


def _letter_height(
    limits: tuple[float, float], shape: tuple[int, ...], generator: np.random.Generator
) -> int:
    share = float(np.exp(generator.uniform(*np.log(limits))))
    return max(4, round(share * min(shape)))


def _line(generator: np.random.Generator, least: int, most: int) -> str:
    """Some words that mean nothing, now and then in capitals or with digits."""
    words = [_word(generator) for _ in range(int(generator.integers(least, most + 1)))]
    line = " ".join(words)
    return (line, line.upper(), line.capitalize())[int(generator.integers(3))]


def _word(generator: np.random.Generator) -> str:
    if generator.random() < 0.12:
        return "".join(generator.choice(list(_OTHERS), int(generator.integers(1, 5))))
    syllables = int(generator.integers(1, 5))
    return "".join(
        str(generator.choice(list(letters))) for _ in range(syllables) for letters in (_CONSONANTS, _VOWELS)
    )
