"""The model of scores is fitted on photos, and written in a file that the codec reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from benchmarks import fit_scores
from foveate.codec.score_model import FEATURES


def test_a_regression_of_exact_rows_finds_their_coefficients() -> None:
    rng = np.random.default_rng(5)
    wanted = rng.normal(0, 0.1, len(FEATURES))
    features = rng.normal(0, 1, (3000, len(FEATURES)))
    features[:, 0] = 1
    rows = np.column_stack([features, features @ wanted])
    np.testing.assert_allclose(fit_scores.fitted(rows), wanted, atol=1e-3)
    assert np.abs(fit_scores.errors_of(wanted, rows)).max() < 1e-9


def test_the_command_writes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for at in range(5):
        Image.fromarray(skimage.data.astronaut()[60 * at :][:96, 100:196]).save(photos / f"{at}.png")
    output = tmp_path / "model.json"
    fit_scores.main([str(photos), "--output", str(output)])
    model = json.loads(output.read_text())
    assert tuple(model["coefficients"]) == FEATURES
    assert json.loads(capsys.readouterr().out) == model["cross_validated"]
    assert model["cross_validated"]["photos"] == 6  # the first in gray too
