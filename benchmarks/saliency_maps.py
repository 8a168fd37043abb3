"""Compares maps with masks: MS-ROI and baselines, the meaning of values, and the stability of maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import saliency_measures as measures
from benchmarks.photos import Photo
from benchmarks.saliency_baselines import Map, center_prior, fine_grained, spectral_residual
from benchmarks.tables import Bar, Section, Table, number
from foveate.models import msroi
from foveate.models.training.salient_views import Pair, resized

MSROI = "MS-ROI"
_HEAD = ("MAE", "max F", "mean F", "weighted F", "S", "AUC")
_BINS = 10
_SHIFT, _SCALE = 9, 0.8  # pixels cut off at two sides; a photo made smaller


@dataclasses.dataclass(frozen=True)
class Scored:
    """Means over the photos, in the order of the table's head."""

    values: tuple[float, ...]


def stretched(maps: Sequence[Map], pairs: Sequence[Pair]) -> list[Map]:
    """Each map stretched bilinearly over its photo, in [0, 1]."""
    return [resized(m, *mask.shape).clip(0, 1) for m, (_, mask) in zip(maps, pairs, strict=True)]


def maps_of(model: msroi.MsRoi, pairs: Sequence[Pair]) -> list[Map]:
    """MS-ROI's maps, each over its photo."""
    return stretched(msroi.saliency_maps(model, [photo for photo, _ in pairs]), pairs)


def score(maps: Sequence[Map], masks: Sequence[NDArray[np.bool_]]) -> Scored:
    """All measures, as `maps_section` words them."""
    precision, recall, rows = [], [], []
    for saliency, mask in zip(maps, masks, strict=True):
        p, r = measures.precision_recall(saliency, mask)
        precision.append(p)
        recall.append(r)
        rows.append(
            (
                measures.mean_absolute_error(saliency, mask),
                float(measures.f_measure(p, r).mean()),
                measures.weighted_f(saliency, mask),
                measures.structure_measure(saliency, mask),
                measures.auc_judd(saliency, mask),
            )
        )
    best = float(measures.f_measure(np.mean(precision, 0), np.mean(recall, 0)).max())
    error, *others = (float(mean) for mean in np.mean(rows, 0))
    return Scored((error, best, *others))


def maps_section(pairs: Sequence[Pair], model: msroi.MsRoi) -> Section:
    """MS-ROI compared with methods that need no training on masks."""
    ways: dict[str, Callable[[list[Photo]], Sequence[Map]]] = {
        "center prior": lambda photos: [center_prior(*photo.shape[:2]) for photo in photos],
        "spectral residual (Hou, Zhang 2007)": lambda photos: [spectral_residual(p) for p in photos],
        "fine-grained (Montabone, Soto 2010)": lambda photos: [fine_grained(p) for p in photos],
        "class-activation maps": lambda photos: msroi.class_activation_maps(model, photos),
        MSROI: lambda photos: msroi.saliency_maps(model, photos),
    }
    photos, masks = [photo for photo, _ in pairs], [mask > 0.5 for _, mask in pairs]
    scores = {name: score(stretched(way(photos), pairs), masks).values for name, way in ways.items()}
    rows = tuple((name, *(number(value, ".3f") for value in values)) for name, values in scores.items())
    ours = dict(zip(_HEAD, scores[MSROI], strict=True))
    text = (
        "Maps are stretched over the photo and otherwise used as they are. F-measures use beta² = 0.3: max "
        "F takes precision and recall averaged over the photos, at the best of 256 thresholds; mean F is "
        "averaged over thresholds and photos; weighted F follows Margolin et al. 2014, the S-measure Fan "
        "et al. 2017, and AUC Judd et al. 2009, treating every pixel of the mask as a fixation, since the "
        "set has none."
    )
    bars = (
        Bar("mean absolute error", 100 * ours["MAE"], 10.0, "%", True),
        Bar("mean absolute error, the goal", 100 * ours["MAE"], 6.0, "%", True),
        Bar("max F", ours["max F"], 0.80, "", False),
        Bar("max F, the goal", ours["max F"], 0.88, "", False),
        Bar("AUC", ours["AUC"], 0.93, "", False),
    )
    table = Table(f"Means over {len(pairs)} photos", ("maps", *_HEAD), rows)
    figures = {name: dict(zip(_HEAD, values, strict=True)) for name, values in scores.items()}
    return Section("maps", "Maps against masks", text, (table,), bars, figures)


def calibration_section(pairs: Sequence[Pair], model: msroi.MsRoi) -> Section:
    """How often pixels are salient, by value of the map."""
    said, true, count = np.zeros(_BINS), np.zeros(_BINS), np.zeros(_BINS)
    for saliency, (_, mask) in zip(maps_of(model, pairs), pairs, strict=True):
        index = np.minimum((saliency * _BINS).astype(np.intp), _BINS - 1).ravel()
        said += np.bincount(index, saliency.ravel(), _BINS)
        true += np.bincount(index, mask.ravel(), _BINS)
        count += np.bincount(index, minlength=_BINS)
    pixels = np.maximum(count, 1)
    error = float(np.abs(said - true).sum() / count.sum())
    rows = tuple(
        (f"{k / _BINS:.1f} to {(k + 1) / _BINS:.1f}", *(number(v, ".3f") for v in values))
        for k, values in enumerate(zip(said / pixels, true / pixels, count / count.sum(), strict=True))
    )
    head = ("the map says", "mean", "share that is salient", "of all pixels")
    text = f"0 should mean background and 1 certainly salient. Expected calibration error: {error:.3f}."
    figures = {"expected_calibration_error": error, "salient": (true / pixels).tolist()}
    return Section(
        "calibration", "What the values mean", text, (Table("All pixels", head, rows),), (), figures
    )


def steadiness_section(pairs: Sequence[Pair], model: msroi.MsRoi) -> Section:
    """How much maps change when the photo changes slightly."""
    changes: dict[str, Callable[[Any], Any]] = {
        "cropped": _cropped, "smaller": _smaller, "mirrored": _mirrored,
    }  # fmt: skip
    before = maps_of(model, pairs)
    rows, figures = [], {}
    for name, change in changes.items():
        after = maps_of(model, [(change(photo), change(mask)) for photo, mask in pairs])
        differences = [
            float(np.abs(change(old) - new).mean()) for old, new in zip(before, after, strict=True)
        ]
        figures[name] = float(np.mean(differences))
        rows.append((name, number(figures[name], ".4f"), number(float(np.max(differences)), ".4f")))
    text = (
        "Mean absolute difference between the map of a changed photo and the equally changed map of the "
        f"original. The photo is cropped by {_SHIFT} pixels at the top and left, scaled to {_SCALE:.0%}, or "
        "mirrored."
    )
    table = Table("Difference of maps", ("the photo", "mean", "most of any photo"), tuple(rows))
    return Section("steadiness", "Steadiness", text, (table,), (), figures)


def _cropped(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    return plane[_SHIFT:, _SHIFT:]


def _mirrored(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    return plane[:, ::-1]


def _smaller(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    size = tuple(round(side * _SCALE) for side in plane.shape[1::-1])
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR, reducing_gap=3))
