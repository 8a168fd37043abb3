"""The headline beside the published figures: what is off by more than its tolerance is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import quick
from benchmarks.quick import Figure


def test_a_figure_is_off_when_it_is_farther_than_its_tolerance_or_not_published() -> None:
    published = {"score": 70.0, "speed": 4000.0}
    assert not quick.is_off(Figure("score", 70.4, 0.5), published)
    assert quick.is_off(Figure("score", 69.4, 0.5), published)
    assert quick.is_off(Figure("another", 70.0, 0.5), published)
    assert not quick.is_off(Figure("speed", 100.0, None), published)  # another machine's


def test_measured_and_published_stand_side_by_side() -> None:
    lines = quick.compared(
        [Figure("score", 70.4, 0.5), Figure("speed", 100.0, None)], {"score": 70.0}
    ).splitlines()
    assert lines[2].split() == ["score", "70.40", "70.00", "±", "0.5"]
    assert lines[3].split() == ["speed", "100.00", "–", "–"]


def test_what_is_off_is_named() -> None:
    figures = [Figure("score", 70.4, 0.5), Figure("PSNR", 35.0, 0.1)]
    assert quick.judged(figures, {"score": 70.0, "PSNR": 34.95}) == ""
    assert quick.judged(figures, {"score": 70.0, "PSNR": 34.5}) == "Off by more than their tolerance: PSNR"
    assert quick.judged(figures, {}).endswith("score, PSNR")


@pytest.mark.slow
def test_all_codecs_and_the_archive_are_measured(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    with Image.open(quick.ROOT / "examples" / "photos" / "lake-jetty.jpg") as image:
        image.resize((320, 208)).save(photos / "a.png")
    assert quick.main([str(photos), "--write", str(tmp_path / "figures.json")]) == 0
    found = json.loads((tmp_path / "figures.json").read_text())
    codecs = {name.partition(", ")[0] for name in found if "bpp" in name}
    assert codecs == {"JPEG", "JPEG XL", "AVIF", "OpenJPEG", "Foveate"}
    scores = [found[f"{codec}, 1 bpp: SSIMULACRA 2"] for codec in ("JPEG", "Foveate", "AVIF")]
    assert scores == sorted(scores)
    assert 0 < found["foveate compress: bytes saved, %"] < 100
