"""Tests that the benchmark restores Foveate's files just as compress and restore do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import restored
from benchmarks.curves import Point
from benchmarks.kept import Kept
from benchmarks.networks import Networks
from benchmarks.restored import RATES, Task, Way, as_restored, our_curves
from foveate.archive.rows import RunLabels
from foveate.archive.settings import CompressSettings, Target
from foveate.codec.metadata import PhotoMetadata
from foveate.models import comcnn, reccnn, tiling
from foveate.storage.source import SourceFile
from foveate.transforms.elements import CodedPhoto, Photo, SalientPhoto
from foveate.transforms.encode import encode
from foveate.transforms.encode_options import EncodeOptions
from foveate.transforms.encode_prefiltered import encode_prefiltered
from foveate.transforms.measure import measure_photo
from foveate.transforms.prefilter import prefilter_where_it_helps
from foveate.transforms.run_reccnn import restore_coded
from tests import streams

NETWORKS = Networks()
FAST, BOTH = Way("fast"), Way("fast", comcnn=True)


def _task(favored: bool) -> Task:
    saliency = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    return Task(streams.texture(160, 176, 3), saliency, favored)


@pytest.mark.parametrize("favored", [False, True])
def test_figures_are_those_of_the_pipelines_rows(favored: bool, tmp_path: Path) -> None:
    task, at = _task(favored), 2
    found = our_curves(task, (Way(), FAST, BOTH), NETWORKS, Kept(None))
    settings = CompressSettings(Target("bpp", RATES[at]), roi="msroi" if favored else "none", tune="psnr")
    source = SourceFile("a.png", "a.png", 10**6, 0.0)
    photo = Photo(source, task.photo, PhotoMetadata(), "png", 8, "00" * 32, (), 0.0)
    salient = SalientPhoto(photo, task.map, 0.0)
    encoder = EncodeOptions(settings, bytes(8), "", resume=False)
    coded = CodedPhoto(salient, encode(salient, task.photo, encoder, prefiltered=False))
    (coded,) = encode_prefiltered(prefilter_where_it_helps(comcnn.load(), coded), encoder)
    labels = RunLabels(str(tmp_path), settings.target, "", "", "", "")
    (archived,) = measure_photo(restore_coded(reccnn.load(), coded), labels)
    expected, figures = archived.row, found[BOTH.name][at].figures
    assert coded.file.prefiltered
    assert figures["psnr"] == pytest.approx(expected.rec_psnr_db, abs=1e-4)
    assert figures["psnr_y"] == pytest.approx(expected.rec_psnr_y_db, abs=1e-4)
    if favored:
        assert figures["psnr_s"] == pytest.approx(expected.rec_psnr_s_db, abs=1e-4)
    assert found[BOTH.name][at].size == pytest.approx(expected.archive_bytes, abs=8)
    merit = "psnr_s" if favored else "psnr"
    # Not so with ComCNN, whose use is decided before anything is measured.
    for plain, best in zip(found["Foveate"], found[FAST.name], strict=True):
        assert best.figures[merit] >= plain.figures[merit]


def test_what_a_network_made_of_a_file_is_kept_by_its_weights(tmp_path: Path) -> None:
    task, kept = _task(False), Kept(tmp_path / "kept")
    first = our_curves(task, (FAST,), NETWORKS, kept)
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == len(RATES)
    for file in files:
        (point,) = json.loads(file.read_text())
        point["figures"]["psnr"] = 77.0
        file.write_text(json.dumps([point]))
    again = our_curves(task, (FAST,), NETWORKS, kept)
    assert [point.figures["psnr"] for point in again[FAST.name]] == [77.0] * len(RATES)
    assert all(point.figures["psnr"] < 77 for point in first[FAST.name])
    other = Networks(tmp_path / "weights")
    shutil.copytree(tiling.WEIGHTS, other.folder)
    assert other.reccnn_name("fast") == NETWORKS.reccnn_name("fast")
    changed = Networks(tmp_path / "changed")
    changed.folder.mkdir()
    reccnn.weights_file("fast", changed.folder).write_bytes(b"other weights")
    assert changed.reccnn_name("fast") != NETWORKS.reccnn_name("fast")
    assert changed.sizes == ("fast",)
    assert restored.ways(changed) == (Way(), Way("fast"))


def test_a_file_that_is_worse_restored_is_decoded_plainly_and_says_what_it_was_spared() -> None:
    decoded = Point(100, {"psnr": 30.0, "psnr_s": 33.0})
    for psnr, psnr_s, merit, marked in (
        (30.5, 32.0, "psnr", 0.0),
        (30.5, 32.0, "psnr_s", 1.0),
        (30.0, 33.0, "psnr", 0.0),
        (29.9, 34.0, "psnr", 1.0),
    ):
        point = as_restored(decoded, Point(100, {"psnr": psnr, "psnr_s": psnr_s}), merit)
        assert point.figures["marked"] == marked
        assert point.figures["unmarked"] == psnr
        assert point.figures["psnr"] == (30.0 if marked else psnr)
