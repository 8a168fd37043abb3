"""Lines of writing: their ink, their cores, and how they bend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate.models.training import written_strips
from foveate.models.training.written_strips import Strip, drawn, strip
from tests.models.training.test_written_views import pillows_font


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    return [[pillows_font(tmp_path_factory.mktemp("fonts"))]]


def test_a_core_is_in_the_middle_of_its_line(fonts: list[list[Path]]) -> None:
    for seed in range(8):
        ink, core, region = drawn(30.0, fonts, np.random.default_rng(seed))
        assert core.max() == 255
        rows = np.flatnonzero((core > 0).any(1))
        lines = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        for line in lines:
            assert ink[line].any()
            assert not core[:, 0].any()
        assert region[core > 0].min() == 255
        assert (core > 0).sum() < 0.5 * ink.size


def test_a_page_has_many_long_lines(fonts: list[list[Path]]) -> None:
    for seed in range(8):
        _, core, _ = drawn(8.0, fonts, np.random.default_rng(seed), page=True)
        rows = np.flatnonzero((core > 0).any(1))
        assert 1 + (np.diff(rows) > 1).sum() >= 4
        assert core.shape[1] > 100


def test_stacked_letters_have_one_upright_core(
    fonts: list[list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_strips, "_STACKED_SHARE", 1.0)
    for seed in range(5):
        ink, core, _ = drawn(20.0, fonts, np.random.default_rng(seed))
        rows, columns = (np.ptp(np.flatnonzero((core > 0).any(axis))) for axis in (1, 0))
        assert rows > columns
        assert ink[core > 0].any()


def test_an_arc_keeps_the_core_in_the_ink(fonts: list[list[Path]]) -> None:
    generator = np.random.default_rng(2)
    flat = Strip(*(np.zeros((40, 300), np.uint8) for _ in range(3)))
    flat.ink[10:30, 20:280], flat.cores[16:24, 30:270], flat.region[2:38, 2:298] = 255, 255, 255
    for _ in range(8):
        bent = written_strips._on_arc(flat, generator)
        assert bent.ink.shape != flat.ink.shape
        assert bent.cores.max() == 255
        assert bent.ink[bent.cores > 128].min() == 255
        area = (bent.cores > 128).sum() / (flat.cores > 128).sum()
        assert 0.8 < area < 1.25


def test_the_same_seed_gives_the_same_lines(fonts: list[list[Path]]) -> None:
    for seed in range(12):
        (one, height), (other, same) = (strip(fonts, np.random.default_rng(seed)) for _ in range(2))
        assert height == same
        for layer, its in zip(one, other, strict=True):
            assert layer.dtype == np.uint8
            np.testing.assert_array_equal(layer, its)
