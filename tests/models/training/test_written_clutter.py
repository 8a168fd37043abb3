"""Tests drawing clutter: things that look like writing but are not."""

from __future__ import annotations

import numpy as np

from foveate.models.training.written_clutter import cluttered


def test_every_kind_of_clutter_covers_what_was_written_below_it() -> None:
    generator = np.random.default_rng(1)
    for _ in range(60):
        picture = generator.uniform(0, 255, (96, 96, 3)).astype(np.float32)
        core = np.zeros((96, 96), np.float32)
        core[40:50, 20:70] = 1
        covered, left = cluttered(picture, core, generator)
        changed = np.abs(covered - picture).max(2) > 100
        assert covered.shape == picture.shape
        assert (left <= core).all()
        assert not left[changed].any()
