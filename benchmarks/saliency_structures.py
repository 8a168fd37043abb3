"""Measures which faces and writing are found, what is mistaken for them, and what maps cost without any."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import foveate
from benchmarks import ours
from benchmarks.photos import Photo
from benchmarks.place_photos import HALVES, place_photos
from benchmarks.saliency_baselines import Map
from benchmarks.saliency_bytes import GAIN_DB, RATE, coded
from benchmarks.saliency_places import BOXES, in_boxes, labeled_photos
from benchmarks.tables import Bar, Section, Table, number
from foveate.codec.encoder import Encoder
from foveate.models import faces, looks, msroi, structures, writing
from foveate.models.structures import StructureFinder, Structures, stretched
from foveate.quality.psnr import psnr

_FOUND = 0.5
_SIZES = (24, 48, 96, 10**6)  # upper limits of classes, in pixels of a box's smaller side
_CHANNELS = {"faces": "faces", "heads": "faces", "writing": "writing", "things": "objects"}
_PEOPLE_AND_WRITING = ("faces", "heads", "writing")
_LEAST_FACES, _LEAST_WRITING, _MOST_FALSE = 0.95, 0.9, 0.03
_FLAT = ("landscape", "building", "texture", "page")  # kinds in which often nothing stands out


@dataclasses.dataclass(frozen=True, eq=False)
class Labeled:
    """A photo, its labels, what was found in it, and MS-ROI's map as it was before.

    unclear: the kinds of which the photo has instances too blurred or too small to label.
    """

    kind: str
    half: str
    photo: Photo
    boxes: dict[str, Sequence[tuple[float, float, float, float]]]
    unclear: frozenset[str]
    found: Structures
    alone: Map


def structures_section(folders: Sequence[Path]) -> Section:
    """Recall, false alarms, and what the map costs the whole photo."""
    finder = structures.load()
    photos = list(_labeled(folders, finder))
    halves = [half for half in HALVES if any(each.half == half for each in photos)]
    recalls = [
        Table(
            f"{half.capitalize()} half: boxes in which the map is above {_FOUND:g} on average",
            ("", "boxes", "MS-ROI alone", "combined", "own channel"),
            tuple(_recall([each for each in photos if each.half == half])),
        )
        for half in halves
    ]
    tables = (
        *recalls,
        Table(
            f"Area above {_FOUND:g} in photos that have neither people nor writing",
            ("", "photos", "mean", "worst"),
            tuple(row for half in halves for row in _false_alarms(photos, half)),
        ),
        Table(
            f"dB of PSNR all over against --roi none, at {RATE:g} bits per pixel, gain {GAIN_DB:g} dB",
            ("kind", "photos", "MS-ROI alone: mean", "worst", "combined: mean", "worst"),
            tuple(_floors(photos)),
        ),
        Table(
            f"Processor time in milliseconds, the best of three; encodes at {RATE:g} bits per pixel",
            (
                "megapixels",
                "MS-ROI",
                "faces",
                "writing",
                "code blocks",
                "encode",
                "faces and writing of that",
            ),
            tuple(_times(photos, finder)),
        ),
    )
    text = (
        "The photos were labeled by hand, following the rules in `benchmarks/label.py`; no network was "
        "trained on them (`make places` fetches them; `benchmarks/place_photos.csv` names their authors). "
        "Settings were chosen on the development half; nothing was chosen on the test half, whose photos "
        "come from other sources. Sizes are those of a box's smaller side, in pixels of the photo."
    )
    tested = [each for each in photos if each.half == "test"]
    return Section(
        "structures", "Faces, writing, and what has neither", text, tables, tuple(_bars(tested)), {}
    )


def _labeled(folders: Sequence[Path], finder: StructureFinder) -> Iterator[Labeled]:
    """The labeled photos that the folders have, and what is found in them."""
    labels = json.loads(BOXES.read_text())
    kind_of = {name: kind for kind, names in labels["kinds"].items() for name in names}
    half_of = {photo.name: photo.half for photo in place_photos()}
    assert finder.objects is not None
    for name, photo in labeled_photos(folders, set(kind_of)):
        boxes = {kind: labels[kind].get(name, []) for kind in _CHANNELS}
        unclear = frozenset(kind for kind, names in labels["unclear"].items() if name in names)
        found = structures.find(finder, photo)
        alone = stretched(msroi.saliency(finder.objects, photo), found.objects.shape)
        yield Labeled(kind_of[name], half_of[name], photo, boxes, unclear, found, alone)


def _recall(photos: Sequence[Labeled]) -> list[tuple[str, ...]]:
    rows = []
    for kind, channel in _CHANNELS.items():
        entries = [entry for each in photos for entry in _brightness(each, kind, channel)]
        lower = 0
        for upper in (*_SIZES, 0):
            part = np.array([values for size, *values in entries if not upper or lower <= size < upper])
            if len(part):
                name = f"{kind}, {lower} to {upper} pixels" if upper else f"{kind}, all"
                name = name.replace(f"to {_SIZES[-1]} pixels", "pixels and more")
                shares = [number(share, ".0%") for share in (part >= _FOUND).mean(0)]
                rows.append((name, str(len(part)), *shares))
            lower = upper
    return rows


def _brightness(each: Labeled, kind: str, channel: str) -> list[tuple[float, ...]]:
    """The smaller side of each box of a kind, and the means of three maps in it."""
    height, width = each.photo.shape[:2]
    maps = (each.alone, structures.combine(each.found), getattr(each.found, channel))
    means = [in_boxes(values, each.boxes[kind]) for values in maps]
    sides = [
        min((right - left) * width, (bottom - top) * height) for left, top, right, bottom in each.boxes[kind]
    ]
    return list(zip(sides, *means, strict=True))


def _false_alarms(photos: Sequence[Labeled], half: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind in ("faces", "writing"):
        if areas := _false_areas([each for each in photos if each.half == half], kind):
            mean = sum(areas) / len(areas)
            rows.append(
                (f"{kind}, {half} half", str(len(areas)), number(mean, ".2%"), number(max(areas), ".2%"))
            )
    return rows


def _false_areas(photos: Sequence[Labeled], kind: str) -> list[float]:
    """The area that is mistaken for a kind, of each photo without people and writing."""
    return [
        float((getattr(each.found, kind) > _FOUND).mean())
        for each in photos
        if not any(each.boxes[label] for label in _PEOPLE_AND_WRITING) and kind not in each.unclear
    ]


def _bars(photos: Sequence[Labeled]) -> Iterator[Bar]:
    """The limits that the test half must meet."""
    for kind, what, least in (
        ("faces", f"faces of {_SIZES[0]} pixels and more, share found", _LEAST_FACES),
        ("writing", "writing, share found", _LEAST_WRITING),
    ):
        entries = [entry for each in photos for entry in _brightness(each, kind, _CHANNELS[kind])]
        found = [
            combined >= _FOUND for size, _, combined, _ in entries if size >= _SIZES[0] or kind != "faces"
        ]
        if found:
            yield Bar(what, 100 * float(np.mean(found)), 100 * least, "%", at_most=False)
        if areas := _false_areas(photos, kind):
            yield Bar(
                f"{kind}, false alarms", 100 * float(np.mean(areas)), 100 * _MOST_FALSE, "%", at_most=True
            )


def _floors(photos: Sequence[Labeled]) -> list[tuple[str, ...]]:
    rows = []
    for kind in _FLAT:
        part = [each for each in photos if each.kind == kind]
        if not part:
            continue
        losses = np.array([_losses(each) for each in part])
        means, worst = losses.mean(0), losses.min(0)
        rows.append(
            (
                kind,
                str(len(part)),
                *(number(x, "+.2f") for pair in zip(means, worst, strict=True) for x in pair),
            )
        )
    return rows


def _losses(each: Labeled) -> list[float]:
    """PSNR with MS-ROI's map alone and with the combined one, less that without a map."""
    even = _psnr(each.photo, None)
    return [_psnr(each.photo, values) - even for values in (each.alone, structures.combine(each.found))]


def _psnr(photo: Photo, saliency: Map | None) -> float:
    return float(psnr(photo, coded(photo, saliency)))


def _times(photos: Sequence[Labeled], finder: StructureFinder) -> list[tuple[str, ...]]:
    rows = []
    for small in (True, False):
        part = [each.photo for each in photos if (each.photo.size < 10**6) == small][:6]
        if not part:
            continue
        costs = np.array([_milliseconds(photo, finder) for photo in part]).mean(0)
        megapixels = np.mean([photo.shape[0] * photo.shape[1] for photo in part]) / 1e6
        share = (costs[1] + costs[2]) / costs[4]
        rows.append((number(megapixels), *(number(cost, ".0f") for cost in costs), number(share, ".0%")))
    return rows


def _milliseconds(photo: Photo, finder: StructureFinder) -> list[float]:
    assert finder.objects is not None and finder.faces is not None and finder.writing is not None
    size = photo.shape[:2]
    shape = structures.map_shape(*size)
    work = (
        lambda: msroi.saliency(finder.objects, photo),
        lambda: faces.find_faces(finder.faces, photo, looks.fine_view(photo)),
        lambda: writing.writing_map(finder.writing, looks.fine_view(photo), size, shape),
        lambda: Encoder(photo).within(ours.budget_of(RATE, *size)),
        lambda: foveate.encode(photo, bpp=RATE),  # as compress does: visibility, checks, decoding back
    )
    result = []
    for each in work:
        times = []
        for _ in range(3):
            start = time.process_time()
            each()
            times.append(time.process_time() - start)
        result.append(1000 * min(times))
    return result
