"""Contact sheets: each photo, its mask, and MS-ROI's map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.saliency_baselines import Map
from benchmarks.saliency_maps import maps_of
from benchmarks.saliency_measures import weighted_f
from models import msroi
from models.training.salient_views import Pair

COUNT = 10
_SIDE, _GAP = 128, 4


def sheets(pairs: Sequence[Pair], model: msroi.MsRoi) -> tuple[Image.Image, Image.Image]:
    """The best ten and the worst ten by weighted F."""
    maps = maps_of(model, pairs)
    marks = [weighted_f(saliency, mask > 0.5) for saliency, (_, mask) in zip(maps, pairs, strict=True)]
    order = np.argsort(marks, kind="stable")
    best, worst = order[::-1][:COUNT], order[:COUNT]
    one, other = ([(*pairs[index], maps[index]) for index in some] for some in (best, worst))
    return sheet(one), sheet(other)


def sheet(rows: Sequence[tuple[np.ndarray, Map, Map]]) -> Image.Image:
    """A column a photo: photo (H, W, 3), mask and map (H, W) below each other."""
    step = _SIDE + _GAP
    picture = Image.new("RGB", (len(rows) * step - _GAP, 3 * step - _GAP), "white")
    for column, (photo, *planes) in enumerate(rows):
        pictures = [photo, *(np.rint(plane * 255).astype(np.uint8) for plane in planes)]
        for row, each in enumerate(pictures):
            image = Image.fromarray(each)
            image.thumbnail((_SIDE, _SIDE))
            left, top = (_SIDE - image.width) // 2, (_SIDE - image.height) // 2
            picture.paste(image, (column * step + left, row * step + top))
    return picture
