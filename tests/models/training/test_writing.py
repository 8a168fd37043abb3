"""Fine-tuning of the text network, for a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.models import text_detector, writing
from foveate.models.array_files import read_arrays
from foveate.models.training import fitting
from foveate.models.training import writing as training
from tests.models.training.test_written_views import pillows_font

FEW = training.Recipe(views=1, batch=1, side=64, course=fitting.Course(2, 1e-4, every=1), seed=3)


@pytest.fixture
def material(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a photo, and one with a font."""
    photos, fonts = tmp_path / "photos", tmp_path / "fonts"
    photos.mkdir()
    fonts.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (70, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).save(photos / "noise.png")
    pillows_font(fonts)
    return photos, fonts


@pytest.mark.slow
def test_a_training_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, material: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    training.train(*material, tmp_path / "whole", FEW)

    def broken(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "write_arrays", broken)
        training.train(*material, tmp_path / "cut", FEW)
    training.train(*material, tmp_path / "cut", FEW)
    paths = (tmp_path / "whole" / "writing.npz", tmp_path / "cut" / "writing.npz", FEW.start)
    whole, cut, start = map(read_arrays, paths)
    assert whole.keys() == cut.keys() == start.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, cut[name])
    assert any((array != start[name]).any() for name, array in whole.items())
    writing.load(tmp_path / "whole" / "writing.npz")


def test_pixels_are_put_where_they_belong() -> None:
    places = np.zeros((1, 2, 3, text_detector.CELL**2), np.float32)
    places[0, 1, 2, 4 * 2 + 1] = 1  # third quarter: left below; its second pixel: right above
    found = np.asarray(training.pixels(places))
    assert found.shape == (1, 8, 12)
    assert np.argwhere(found[0]).tolist() == [[4 + 2, 8 + 1]]


def test_a_perfect_map_loses_nothing() -> None:
    target = np.zeros((2, 8, 12), np.float32)
    target[:, 3:5, 2:9] = 1
    quarters = target.reshape(2, 2, 2, 2, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3, 6).reshape(2, 2, 3, 16)
    batch = {"photo": 40 * quarters - 20, "writing": target, "weight": np.ones_like(target)}

    def logits(places: Any, training: bool) -> Any:
        return places

    figures = training.measure(logits, batch)
    assert float(figures["loss"]) == pytest.approx(0, abs=1e-6)
    nothing = {**batch, "photo": np.full_like(quarters, -20)}
    missed = training.measure(logits, nothing)
    unknown = training.measure(logits, {**nothing, "weight": np.zeros_like(target)})
    assert float(missed["loss"]) > 0.3
    assert float(unknown["loss"]) == pytest.approx(0, abs=1e-6)


def test_a_blend_is_between_two_networks() -> None:
    start, trained = ({"kernel": np.array(values, np.float16)} for values in ([1.0, -2.0], [3.0, -6.0]))
    np.testing.assert_allclose(training.blended(start, trained, 0.25)["kernel"], [1.5, -3])


def test_a_folder_without_fonts_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no fonts"):
        training.font_groups(tmp_path)
