"""Draws pictures that are not photos: a scanned page of text, and a screenshot."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.photos import Photo, mirrored_to

_WORDS = [
    "archive", "block", "packet", "layer", "slope", "plane", "wavelet", "photo", "bit", "rate", "error",
    "region", "codeword", "precinct", "quality", "marker", "1997", "2004", "3.14", "(see", "below)", "and",
    "the", "of", "to", "in", "which", "is",
]  # fmt: skip


def scanned_page(height: int, width: int) -> Photo:
    """(H, W, 3) uint8: lines of black words on paper, a little soft and noisy as scanners make them."""
    rng = np.random.default_rng(7)
    page = Image.new("L", (width, height), 244)
    draw = ImageDraw.Draw(page)
    size = 34  # a text of 8 points at 300 dots per inch
    for top in range(2 * size, height - 2 * size, round(1.5 * size)):
        if rng.random() < 0.1:  # a paragraph ends
            continue
        _write_line(draw, rng, top, width, size)
    paper = np.asarray(page.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    light = np.linspace(1, 0.94, width, dtype=np.float32)
    noisy = paper * light + rng.normal(0, 2.0, paper.shape).astype(np.float32)
    tint = np.array([1.0, 0.985, 0.95], np.float32)
    scan: Photo = np.clip(np.rint(noisy[:, :, None] * tint), 0, 255).astype(np.uint8)
    return scan


def _write_line(draw: ImageDraw.ImageDraw, rng: np.random.Generator, top: int, width: int, size: int) -> None:
    font = ImageFont.load_default(size)
    left = 2.0 * size
    while left < width - 4 * size:
        word = str(rng.choice(_WORDS))
        draw.text((left, top), word, fill=20, font=font)
        left += draw.textlength(word + " ", font=font)


def screenshot(height: int, width: int, photo: Photo) -> Photo:
    """(H, W, 3) uint8: windows of flat color with sharp text, a grid of icons, and a photo in one of them."""
    rng = np.random.default_rng(11)
    screen = Image.new("RGB", (width, height), (32, 78, 120))
    draw = ImageDraw.Draw(screen)
    font = ImageFont.load_default(15)
    for left in range(16, width - 400, 620):
        for top in range(16, height - 300, 460):
            _draw_window(draw, rng, (left, top), font)
    view = mirrored_to(photo, min(height // 2, 800), min(width // 3, 1000))
    screen.paste(Image.fromarray(view), (width // 2, height // 3))
    return np.asarray(screen)


def _draw_window(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    corner: tuple[int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    left, top = corner
    draw.rectangle((left, top, left + 590, top + 430), fill=(250, 250, 250), outline=(90, 90, 90))
    draw.rectangle((left, top, left + 590, top + 28), fill=tuple(rng.integers(60, 200, 3).tolist()))
    for line in range(14):
        words = " ".join(rng.choice(_WORDS, 9))
        draw.text((left + 12, top + 40 + 22 * line), words, fill=(20, 20, 20), font=font)
    for icon in range(8):
        x = left + 16 + 70 * icon
        draw.ellipse((x, top + 370, x + 40, top + 410), fill=tuple(rng.integers(0, 255, 3).tolist()))
