"""Draws lines of writing: their ink, and the cores that a text network is to find.

lines, one below the other or letters stacked -> bolder -> along a wave or an arc
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

Fonts = Sequence[Sequence[Path]]  # groups of files, each group as likely as any other
Layer = NDArray[np.uint8]

SHRINKING = 0.4  # of the area to perimeter ratio of a line: its core, as Liao et al. 2020 have it
_LETTER_HEIGHTS = (7.0, 120.0)  # in a view
_PAGE_SHARE, _PAGE_LETTERS, _PAGE_LINES = 0.12, (4.0, 9.0), (4, 14)  # small print, as of a page far away
_STACKED_SHARE, _JUMPY_SHARE, _BOLD_SHARE = 0.06, 0.4, 0.15
_WAVE_SHARE, _ARC_SHARE = 0.3, 0.15
_MOST_PIXELS = 2400  # of a strip, each way
_LATIN = "aabcdeeefghiijklmnnooprrsstttuuvwxyz"
_CJK = (
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后"
    "小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长"
    "知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最"
    "间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市"
    "店酒茶食出口駅前営業中"
)
_OTHERS = "0123456789&!?%-.,:/@#"


class Strip(NamedTuple):
    """Lines of writing, as layers (h, w) in 0..255.

    ink: the letters.
    cores: of the lines.
    region: what belongs to them.
    """

    ink: Layer
    cores: Layer
    region: Layer


def strip(fonts: Fonts, generator: np.random.Generator) -> tuple[Strip, float]:
    """Random lines, and how high their letters are."""
    page = generator.random() < _PAGE_SHARE
    height = float(np.exp(generator.uniform(*np.log(_PAGE_LETTERS if page else _LETTER_HEIGHTS))))
    flat = drawn(height, fonts, generator, page)
    style = generator.random()
    if style < _WAVE_SHARE:
        flat = _on_wave(flat, height, generator)
    elif style < _WAVE_SHARE + _ARC_SHARE and not page:
        flat = _on_arc(flat, generator)
    return flat, height


def drawn(height: float, fonts: Fonts, generator: np.random.Generator, page: bool = False) -> Strip:
    """Straight lines of letters of a height, one below the other; a page has many long ones."""
    size = max(6, round(height * 1.35))  # of a font with capitals of that height
    font, chinese = _font(size, fonts, generator)
    if generator.random() < _STACKED_SHARE and not page:
        return _stacked(size, font, chinese, generator)
    longest = max(1, int(generator.uniform(20, 60) if page else generator.uniform(3, 26)))
    count = int(generator.integers(*_PAGE_LINES)) if page else 1 + int(generator.integers(4)) * (size < 60)
    lines = [_line(chinese, longest, generator) for _ in range(count)]
    step = round(size * generator.uniform(1.15, 1.8))
    edge = size // 2 + 2
    width = min(_MOST_PIXELS, max(int(font.getlength(line)) for line in lines) + 3 * edge)
    shape = (width, step * len(lines) + 2 * edge)
    jumps = size * 0.1 * (generator.random() < _JUMPY_SHARE and not page)
    bold = size >= 24 and generator.random() < _BOLD_SHARE
    ink, cores = Image.new("L", shape), Image.new("L", shape)
    for number, line in enumerate(lines):
        one = Image.new("L", shape)
        left = edge + (int(generator.uniform(0, size)) if generator.random() < 0.3 else 0)
        _write(one, (left, edge + number * step), line, font, jumps, generator)
        if bold:
            one = one.filter(ImageFilter.MaxFilter(3 if size < 60 else 5))
        _add(ink, cores, one)
    return Strip(np.asarray(ink), np.asarray(cores), _region(shape, size))


def _stacked(size: int, font: ImageFont.FreeTypeFont, chinese: bool, generator: np.random.Generator) -> Strip:
    """Letters one below the other, as signs on houses have them."""
    letters = _line(chinese, int(generator.uniform(4, 9)), generator).upper().replace(" ", "")[:9]
    step, edge = round(size * generator.uniform(0.95, 1.25)), size // 2 + 2
    width = max(int(font.getlength(letter)) for letter in letters) + 2 * edge
    shape = (width, step * len(letters) + 2 * edge)
    one, ink, cores = (Image.new("L", shape) for _ in range(3))
    draw = ImageDraw.Draw(one)
    for number, letter in enumerate(letters):
        draw.text(((width - font.getlength(letter)) / 2, edge + number * step), letter, 255, font)
    _add(ink, cores, one)
    return Strip(np.asarray(ink), np.asarray(cores), _region(shape, size))


def _region(shape: tuple[int, int], size: int) -> Layer:
    region = Image.new("L", shape)
    edge = size // 5
    ImageDraw.Draw(region).rectangle((edge, edge, shape[0] - edge, shape[1] - edge), fill=255)
    return np.asarray(region)


def _add(ink: Image.Image, cores: Image.Image, one: Image.Image) -> None:
    """Adds a line to others, and its core to theirs."""
    box = one.getbbox()
    if box is not None:
        ink.paste(255, mask=one)
        _mark(cores, box)


def _write(
    layer: Image.Image,
    place: tuple[int, int],
    line: str,
    font: ImageFont.FreeTypeFont,
    jumps: float,
    generator: np.random.Generator,
) -> None:
    """A line at a place; with `jumps`, letter by letter, each a little off."""
    draw = ImageDraw.Draw(layer)
    if not jumps:
        draw.text(place, line, 255, font)
        return
    x, slope = float(place[0]), generator.normal(0, 0.03)
    for letter in line:
        y = place[1] + slope * (x - place[0]) + generator.normal(0, jumps / 2)
        draw.text((x, y), letter, 255, font)
        x += font.getlength(letter) + abs(generator.normal(0, jumps))


def _mark(cores: Image.Image, box: tuple[int, int, int, int]) -> None:
    """The core of a line with that box: smaller on all sides, as `SHRINKING` says."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    off = width * height * (1 - SHRINKING**2) / (2 * (width + height))
    off = min(off, min(width, height) / 2 - 0.75)
    ImageDraw.Draw(cores).rectangle((left + off, top + off, right - off, bottom - off), fill=255)


def _on_wave(flat: Strip, height: float, generator: np.random.Generator) -> Strip:
    """Columns moved up and down along a wave."""
    rows, width = flat.ink.shape
    swing = generator.uniform(0.1, 0.7) * height
    phase = generator.uniform(0, 2 * np.pi)
    waves = generator.uniform(0.3, 1.0) * min(1.5, width / (8 * height))
    moved = np.rint(swing * np.sin(phase + waves * 2 * np.pi * np.arange(width) / width)).astype(int)
    most = int(np.ceil(swing))
    at = np.arange(rows + 2 * most)[:, None] - most - moved
    valid = (at >= 0) & (at < rows)
    columns = np.arange(width)[None]
    return Strip(*(np.where(valid, layer[at.clip(0, rows - 1), columns], 0) for layer in flat))


def _on_arc(flat: Strip, generator: np.random.Generator) -> Strip:
    """Along an arc, over its center or, mirrored, below it."""
    rows, width = flat.ink.shape
    angle = float(generator.uniform(0.5, 4.0))
    radius = max(width / angle, 0.8 * rows)
    angle = width / radius
    outer, inner = radius + rows / 2, radius - rows / 2
    right = outer * np.sin(min(angle, np.pi) / 2)
    bottom = -np.cos(angle / 2) * (inner if angle < np.pi else outer)
    if max(2 * right, outer + bottom) > _MOST_PIXELS:
        return flat
    y, x = np.mgrid[-outer:bottom, -right:right].astype(np.float32)
    at = np.stack([rows / 2 - np.hypot(x, y) + radius, width / 2 + np.arctan2(x, -y) * radius])
    below = generator.random() < 0.4
    layers = [layer[::-1] if below else layer for layer in flat]
    bent = [ndimage.map_coordinates(layer, at, order=1) for layer in layers]
    return Strip(*(layer[::-1] if below else layer for layer in bent))


def _font(size: int, fonts: Fonts, generator: np.random.Generator) -> tuple[ImageFont.FreeTypeFont, bool]:
    """A font of one of the groups, and whether to write Chinese with it."""
    group = fonts[int(generator.integers(len(fonts)))]
    font = ImageFont.truetype(group[int(generator.integers(len(group)))], size)
    knows_chinese = bytes(font.getmask("中")) != bytes(font.getmask("国"))  # or both are an empty box
    return font, knows_chinese and generator.random() < 0.5


def _line(chinese: bool, longest: int, generator: np.random.Generator) -> str:
    """Letters, or words that mean nothing, up to a length."""
    count = max(1, int(generator.uniform(0.4, 1) * longest))
    if chinese:
        return "".join(generator.choice(list(_CJK), max(2, count // 2)))
    words: list[str] = []
    while sum(map(len, words)) + len(words) <= count:
        if generator.random() < 0.15:
            words.append("".join(generator.choice(list(_OTHERS), int(generator.integers(1, 6)))))
        else:
            words.append("".join(generator.choice(list(_LATIN), int(generator.integers(1, 10)))))
    line = " ".join(words)
    return (line, line, line.upper(), line.title())[int(generator.integers(4))]
