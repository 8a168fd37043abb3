"""`foveate.transcode`: its targets and its errors; tests/test_api.py runs its example."""

from __future__ import annotations

import numpy as np
import pytest

import foveate
from tests import streams

PIXELS = streams.texture(97, 131, 3)


def test_targets_count_the_whole_file() -> None:
    master = foveate.encode(PIXELS, lossless=True)
    assert 0.98 < len(foveate.transcode(master, bpp=2)) / (97 * 131 / 4) <= 1
    assert 0.98 < len(foveate.transcode(master, ratio=4, layers=2)) / (len(master) / 4) <= 1


def test_saliency_decides_where_the_bits_stay() -> None:
    pixels = streams.texture(300, 320, 3)
    mask = np.zeros((4, 4), np.float32)
    mask[:2] = 1
    master = foveate.encode(pixels, lossless=True)
    made = [foveate.transcode(master, bpp=1, saliency=map_, access=True) for map_ in (None, mask)]
    even, favored = (np.square(foveate.decode(one).astype(float) - pixels) for one in made)
    assert favored[:130].mean() < 0.9 * even[:130].mean()
    assert favored[170:].mean() > even[170:].mean()


def test_exactly_one_target_is_asked_for() -> None:
    master = foveate.encode(PIXELS, bpp=2)
    for named in ({}, {"bpp": 1.0, "ratio": 3.0}):
        with pytest.raises(ValueError, match="target"):
            foveate.transcode(master, **named)  # type: ignore[arg-type]
    for name, value in (("layers", 99), ("threads", 0), ("gain_db", 41)):
        with pytest.raises(ValueError, match=name):
            foveate.transcode(master, bpp=1, **{name: value})  # type: ignore[arg-type]


def test_threads_do_not_change_the_bytes() -> None:
    master = foveate.encode(PIXELS, bpp=3)
    one, four = (foveate.transcode(master, bpp=1, threads=threads) for threads in (1, 4))
    assert one == four
