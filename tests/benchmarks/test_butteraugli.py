"""Butteraugli's distances of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import butteraugli
from benchmarks.kept import Kept
from tests import streams


def _distances(visual: float) -> butteraugli.Distances:
    values = {"OpenJPEG": 2.0, "Foveate, psnr": 1.9, "Foveate, visual": visual}
    return {
        codec: {rate: dict.fromkeys(butteraugli.NORMS, value / rate) for rate in butteraugli.RATES}
        for codec, value in values.items()
    }


@pytest.mark.parametrize(("visual", "met"), [(1.5, True), (2.1, False)])
def test_the_section_compares_means_with_those_of_openjpeg(visual: float, met: bool) -> None:
    section = butteraugli.butteraugli_section([_distances(visual), _distances(visual)])
    assert all(bar.met == met for bar in section.bars)
    assert section.bars[0].value == pytest.approx(visual / 2)
    largest, norm = section.tables
    assert largest.rows[0] == ("OpenJPEG", "8.00", "4.00", "2.00", "1.00")
    assert norm.rows == largest.rows


@pytest.mark.skipif(not butteraugli.is_available(), reason="butteraugli-cli is not installed")
def test_more_bytes_come_nearer_to_the_photo(tmp_path: Path) -> None:
    Image.fromarray(streams.texture(128, 150, 3)).save(tmp_path / "a.png")
    found = butteraugli.distances(tmp_path / "a.png", Kept(None))
    for of_rates in found.values():
        values = [figures["norm"] for figures in of_rates.values()]
        assert values == sorted(values, reverse=True)
        assert values[-1] > 0
