"""Measures whether maps are bright at people and writing: boxes drawn by hand, words written onto photos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from benchmarks.photos import Photo, read_photo
from benchmarks.saliency_baselines import Map
from benchmarks.tables import Section, Table, number
from foveate.models import msroi
from foveate.models.training.salient_views import Pair, resized

Box = tuple[float, float, float, float]

BOXES = Path(__file__).parent / "places.json"
KINDS = ("heads", "writing")
_BUNDLED = {"skimage-astronaut": data.astronaut, "skimage-page": data.page}
_WORDS = ("Fresh bread", "Way out", "Open daily\nfrom 8 to 18", "Platform 4", "No parking", "Summer 1974")
_LETTER_HEIGHT, _FOUND = 0.09, 0.5


def places_section(folders: Sequence[Path], pairs: Sequence[Pair], model: msroi.MsRoi) -> Section:
    """Brightness in the boxes, compared with the whole photo."""
    boxes = json.loads(BOXES.read_text())
    photos = dict(labeled_photos(folders, {name for kind in KINDS for name in boxes[kind]}))
    maps = dict(zip(photos, msroi.saliency_maps(model, list(photos.values())), strict=True))
    figures = {}
    means = []
    for kind in KINDS:
        found = {name: in_boxes(maps[name], those) for name, those in boxes[kind].items() if name in maps}
        every = [value for inside in found.values() for value in inside]
        whole = float(np.mean([maps[name].mean() for name in found]))
        figures[kind] = _summary(every, whole)
        means.append((f"{kind}, {len(every)} boxes in {len(found)} photos", *_cells(figures[kind])))
    inside, outside, before = _written(pairs, model)
    figures["words on photos"] = _summary(inside, float(np.mean(outside)))
    figures["there before"] = _summary(before, float(np.mean(outside)))
    means += [
        (f"words written on {len(pairs)} photos", *_cells(figures["words on photos"])),
        ("the same places without them", *_cells(figures["there before"])),
    ]
    head = ("", "inside", "whole photo", f"above {_FOUND:g}")
    table = Table("Mean of the map, and the share of boxes in which it is that bright", head, tuple(means))
    text = (
        "Boxes were drawn by hand around heads and writing, in photos that nothing was trained on "
        "(`benchmarks/places.json`). The words are written in Pillow's built-in font, which training did "
        "not use, outside the masks of the photos of the other sections."
    )
    return Section("places", "People and writing", text, (table,), (), figures)


def in_boxes(saliency: Map, boxes: Sequence[Box]) -> list[float]:
    """The mean of a map (h, w) in each box, given as shares of its sides; at least one sample of it."""
    height, width = saliency.shape
    means = []
    for left, top, right, bottom in boxes:
        x, y = min(int(left * width), width - 1), min(int(top * height), height - 1)
        x1, y1 = max(x + 1, round(right * width)), max(y + 1, round(bottom * height))
        means.append(float(saliency[y:y1, x:x1].mean()))
    return means


def labeled_photos(folders: Sequence[Path], names: set[str]) -> Iterator[tuple[str, Photo]]:
    """The bundled ones, and those that the folders have."""
    for name in sorted(names & _BUNDLED.keys()):
        photo = _BUNDLED[name]()
        yield name, photo if photo.ndim == 3 else photo[..., None]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.stem in names:
                yield path.stem, read_photo(path)


def _written(pairs: Sequence[Pair], model: msroi.MsRoi) -> tuple[list[float], list[float], list[float]]:
    """The map's mean in words that were written on photos, in the whole photo, and in their place before."""
    written, places = zip(*(_with_words(pair, index) for index, pair in enumerate(pairs)), strict=True)
    after = msroi.saliency_maps(model, list(written))
    before = msroi.saliency_maps(model, [photo for photo, _ in pairs])
    inside, whole, was = [], [], []
    for new, old, place in zip(after, before, places, strict=True):
        if place.any():
            inside.append(float(resized(new, *place.shape)[place].mean()))
            was.append(float(resized(old, *place.shape)[place].mean()))
            whole.append(float(new.mean()))
    return inside, whole, was


def _with_words(pair: Pair, index: int) -> tuple[Photo, NDArray[np.bool_]]:
    """A photo with words somewhere, and where they are outside the object."""
    photo, mask = pair
    generator = np.random.default_rng(index)
    size = max(8, round(_LETTER_HEIGHT * min(mask.shape)))
    picture, rows = Image.fromarray(photo), Image.new("1", mask.shape[::-1])
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    words = _WORDS[index % len(_WORDS)]
    box = draw.textbbox((0, 0), words, font)
    left, top = (
        float(generator.uniform(0, max(1, whole - part)))
        for whole, part in zip(picture.size, box[2:], strict=True)
    )
    light = index % 2 * 255
    outline = {"stroke_width": max(1, size // 12), "stroke_fill": (255 - light,) * 3}
    draw.text((left, top), words, fill=(light,) * 3, font=font, **outline)
    ImageDraw.Draw(rows).rectangle([left + box[0], top + box[1], left + box[2], top + box[3]], fill=1)
    return np.asarray(picture), np.asarray(rows) & (mask < 0.5)


def _summary(inside: Sequence[float], whole: float) -> dict[str, float]:
    return {
        "inside": float(np.mean(inside)),
        "whole": whole,
        "found": float(np.mean(np.asarray(inside) >= _FOUND)),
    }


def _cells(summary: dict[str, float]) -> tuple[str, str, str]:
    return number(summary["inside"]), number(summary["whole"]), number(summary["found"], ".0%")
