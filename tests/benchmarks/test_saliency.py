"""Tests measures against PySODMetrics' figures, baselines, and the sections on maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks import (
    label,
    saliency,
    saliency_baselines,
    saliency_bytes,
    saliency_maps,
    saliency_measures,
    saliency_places,
    saliency_sheets,
    saliency_speed,
    saliency_structures,
)
from benchmarks.tables import Section
from foveate.models import msroi
from foveate.models.training.salient_views import Pair, resized


@pytest.fixture(scope="module")
def model() -> msroi.MsRoi:
    return msroi.load()


def disc(height: int, width: int, y: int, x: int, radius: int, noise: float) -> tuple[Any, Any]:
    """A soft disc with ripples in steps of 1/255, and a nearby disc as its mask."""
    rows, columns = np.mgrid[:height, :width]
    soft = 1 / (1 + np.exp((np.hypot(rows - y - 4, columns - x + 3) - radius) / 6))
    soft += noise * np.sin(columns / 5) * np.cos(rows / 7)
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    return np.rint(soft * 255) / 255, np.hypot(rows - y, columns - x) < radius


def photo_and_mask(seed: int, height: int = 150, width: int = 200) -> Pair:
    """A bright square on dark noise."""
    generator = np.random.default_rng(seed)
    photo = generator.integers(0, 80, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.float32)
    mask[40:110, 60:130] = 1
    photo[mask > 0] += np.array([150, 100, 20], np.uint8)
    return photo, mask


@pytest.mark.parametrize(
    ("case", "error", "structure", "weighted", "max_f", "mean_f"),
    [
        ((61, 90, 30, 40, 18, 0.1), 0.228236, 0.763114, 0.438105, 0.854197, 0.573673),
        ((80, 50, 10, 40, 25, 0.6), 0.342758, 0.561379, 0.414321, 0.742774, 0.495099),
        ((40, 40, 20, 20, 5, 0.3), 0.385691, 0.447347, 0.105022, 0.567887, 0.260114),
    ],
)
def test_measures_give_what_pysodmetrics_gives(
    case: Any, error: float, structure: float, weighted: float, max_f: float, mean_f: float
) -> None:
    """The figures are those of PySODMetrics 1.6.2 for the same maps and masks."""
    soft, mask = disc(*case)
    f = saliency_measures.f_measure(*saliency_measures.precision_recall(soft, mask))
    assert saliency_measures.mean_absolute_error(soft, mask) == pytest.approx(error, abs=1e-6)
    assert saliency_measures.structure_measure(soft, mask) == pytest.approx(structure, abs=1e-6)
    assert saliency_measures.weighted_f(soft, mask) == pytest.approx(weighted, abs=1e-6)
    assert f.max() == pytest.approx(max_f, abs=1e-6)
    assert f.mean() == pytest.approx(mean_f, abs=1e-6)


def test_the_area_under_the_curve_by_counting_pairs() -> None:
    values = np.array([[0.1, 0.5, 0.5], [0.9, 0.2, 0.7]])
    fixated = np.array([[False, True, False], [True, False, False]])
    pairs = [(1.0 if a > b else 0.5 if a == b else 0.0) for a in values[fixated] for b in values[~fixated]]
    assert saliency_measures.auc_judd(values, fixated) == pytest.approx(np.mean(pairs))
    assert saliency_measures.auc_judd(values, np.zeros_like(fixated)) == 0.5


def test_exact_maps_are_perfect_and_opposite_ones_worthless() -> None:
    _, mask = disc(61, 90, 30, 40, 18, 0)
    for values, expected in ((mask.astype(float), 1.0), (1.0 - mask, 0.0)):
        assert saliency_measures.weighted_f(values, mask) == pytest.approx(expected, abs=1e-6)
        assert saliency_measures.auc_judd(values, mask) == expected
        assert saliency_measures.structure_measure(values, mask) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("mask", [np.zeros((20, 30), bool), np.ones((20, 30), bool)])
def test_empty_and_full_masks_have_figures(mask: Any) -> None:
    values = np.full(mask.shape, 0.25)
    assert 0 <= saliency_measures.weighted_f(values, mask) <= 1
    assert saliency_measures.structure_measure(values, mask) == (0.25 if mask.all() else 0.75)


def test_baselines_see_what_stands_out() -> None:
    generator = np.random.default_rng(0)
    photo = np.tile(generator.integers(90, 110, (12, 12, 3)), (16, 20, 1)).astype(np.uint8)
    photo[50:80, 150:180] = 250
    spectral, fine = saliency_baselines.spectral_residual(photo), saliency_baselines.fine_grained(photo)
    assert fine.shape == photo.shape[:2]
    for values in (resized(spectral, *photo.shape[:2]), fine):
        assert values.min() >= 0
        assert values.max() <= 1
        assert values[45:85, 145:185].mean() > 3 * values.mean()
    center = saliency_baselines.center_prior(40, 61)
    assert center.argmax() == 19 * 61 + 30 or center.argmax() == 20 * 61 + 30


def test_a_surround_is_the_mean_without_its_center() -> None:
    gray = np.random.default_rng(3).uniform(0, 255, (30, 41))
    table = np.pad(gray, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    around = saliency_baselines._surround(gray, table, 5)
    window = gray[12 - 5 : 12 + 6, 20 - 5 : 20 + 6]
    assert around[12, 20] == pytest.approx((window.sum() - gray[12, 20]) / (window.size - 1))
    corner = gray[:6, :6]
    assert around[0, 0] == pytest.approx((corner.sum() - gray[0, 0]) / (corner.size - 1))


def test_perfect_maps_reach_the_best_figures() -> None:
    pairs = [photo_and_mask(seed) for seed in range(2)]
    masks = [mask > 0.5 for _, mask in pairs]
    error, *others = saliency_maps.score([mask for _, mask in pairs], masks).values
    assert error == 0
    assert others == pytest.approx([1, others[1], 1, 1, 1], abs=0.02)
    assert others[1] > 0.99  # at threshold 0 all is found, in the 255 others the mask alone


def test_the_sections_of_maps_say_what_the_network_does(model: msroi.MsRoi) -> None:
    pairs = [photo_and_mask(seed) for seed in range(2)]
    maps = saliency_maps.maps_section(pairs, model)
    assert [row[0] for row in maps.tables[0].rows][-1] == "MS-ROI"
    assert maps.figures["MS-ROI"]["max F"] > maps.figures["center prior"]["max F"] - 0.3
    calibration = saliency_maps.calibration_section(pairs, model)
    assert sum(float(row[3]) for row in calibration.tables[0].rows) == pytest.approx(1, abs=0.01)
    steadiness = saliency_maps.steadiness_section(pairs, model)
    assert all(0 <= value < 0.2 for value in steadiness.figures.values())


def test_the_share_of_the_masks_gain_is_that_of_the_means() -> None:
    def photo(none: float, network: float, mask: float) -> saliency_bytes.Compared:
        names = (saliency_bytes.NONE, saliency_bytes.NETWORK, saliency_bytes.MASK)
        return saliency_bytes.Compared(
            {
                name: dict.fromkeys(saliency_bytes.FIGURES, value)
                for name, value in zip(names, (none, network, mask), strict=True)
            }
        )

    section = saliency_bytes.bytes_section([photo(30, 31, 32), photo(32, 34, 34)])
    assert section.figures["share_percent"] == pytest.approx(75)
    assert section.bars[0].met


def test_a_true_mask_brings_decibels_inside_at_equal_bytes(model: msroi.MsRoi) -> None:
    photo = data.chelsea()
    mask = np.zeros(photo.shape[:2], np.float32)
    mask[40:230, 90:330] = 1
    (found,) = saliency_bytes.compared([(photo, mask)], model)
    none, favored = found.figures[saliency_bytes.NONE], found.figures[saliency_bytes.MASK]
    assert favored["inside"] > none["inside"] + 0.2
    assert favored["outside"] < none["outside"]


def test_boxes_are_read_as_shares_of_the_sides() -> None:
    values = np.zeros((10, 20), np.float32)
    values[5:, 10:] = 1
    whole, quarter, tiny = saliency_places.in_boxes(
        values, [(0, 0, 1, 1), (0.5, 0.5, 1, 1), (0.999, 0.999, 1.0, 1.0)]
    )
    assert (whole, quarter, tiny) == (0.25, 1, 1)


def test_the_boxes_are_inside_their_photos() -> None:
    boxes = json.loads(saliency_places.BOXES.read_text())
    for kind in saliency_places.KINDS:
        for those in boxes[kind].values():
            for left, top, right, bottom in those:
                assert 0 <= left < right <= 1
                assert 0 <= top < bottom <= 1


@pytest.mark.slow
def test_faces_and_writing_are_measured_in_labeled_photos() -> None:
    section = saliency_structures.structures_section([])
    found, alarms, floors, times = section.tables
    assert ("faces, all", "1", "100%", "100%", "100%") in found.rows
    assert alarms.rows == () and [row[0] for row in floors.rows] == ["page"]
    assert len(times.rows) == 1


def test_every_labeled_photo_has_a_kind_and_boxes_can_be_drawn() -> None:
    places = json.loads(label.PLACES.read_text())
    names = [name for those in places["kinds"].values() for name in those]
    assert len(names) == len(set(names))
    assert {name for kind in label.COLORS for name in places[kind]} <= set(names)
    drawn = label.drawn(Image.new("RGB", (300, 150)), {"faces": [(0.5, 0.5, 1, 1)]})
    assert drawn.size == (1200, 600) and drawn.getpixel((600, 450)) == (255, 0, 0)


def test_words_are_written_outside_of_the_mask() -> None:
    photo, mask = photo_and_mask(1)
    written, place = saliency_places._with_words((photo, mask), 3)
    assert (written != photo).any()
    assert not (place & (mask > 0)).any()
    changed = (written != photo).any(-1) & (mask == 0)
    assert place[changed].mean() > 0.8


@pytest.mark.slow
def test_time_is_measured_in_a_process_of_its_own() -> None:
    found = saliency_speed.timed(photo_and_mask(0)[0], msroi.WEIGHTS, rounds=1, size=(128, 192))
    assert found.maps > 0
    assert found.single > 0 and found.ours > 0
    section = saliency_speed.speed_section(found)
    assert section.bars[0].value == found.maps


def test_the_command_writes_a_document_and_pictures_and_keeps_other_sections(tmp_path: Path) -> None:
    for index in range(2):
        photo, mask = photo_and_mask(index)
        for name, plane in (("images", photo), ("masks", (mask * 255).astype(np.uint8))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(plane).save(tmp_path / name / f"{index}.png")
    output = tmp_path / "docs"
    shown: list[str] = []
    saliency.write(output, [Section("speed", "Time", "Kept.", (), (), {})])
    options = ["--only", "maps", "--count", "1", "--output", str(output), "--sheets", str(tmp_path)]
    saliency.main([str(tmp_path), *options], shown.append)
    document = (output / "benchmarks-saliency.md").read_text()
    assert "Means over 1 photos" in document
    assert "Kept." in document
    assert len(shown) == 1
    for which in ("best", "worst"):
        with Image.open(tmp_path / f"{which}.webp") as sheet:
            assert sheet.width == saliency_sheets._SIDE
