"""Training the autoencoder: it learns, resumes, and writes weights that are read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import autoencoder, autoencoder_training
from foveate.models.training.fitting import LOG, read_log
from tests import streams


@pytest.mark.slow
def test_a_short_training_lowers_the_cost_and_its_weights_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder_training, "_CROPS", 4)
    for name in ("photos", "watch"):
        (tmp_path / name).mkdir()
        Image.fromarray(streams.texture(256, 256, 3)).save(tmp_path / name / "a.png")
    command = [
        str(tmp_path / "photos"),
        *("--watch", str(tmp_path / "watch"), "--output", str(tmp_path / "out")),
        "--precision=float32",
    ]
    autoencoder_training.main([*command, "--steps=1"])
    autoencoder_training.main([*command, "--steps=20"])
    log = read_log(tmp_path / "out" / LOG)
    assert [row["step"] for row in log] == [1, 20]
    assert log[1]["loss"] < log[0]["loss"]
    network = autoencoder.load(tmp_path / "out" / autoencoder.WEIGHTS.name)
    assert autoencoder.decode(network, autoencoder.encode(network, np.zeros((20, 20, 3), np.uint8), 0)).shape
