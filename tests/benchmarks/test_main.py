"""The command: `python -m benchmarks`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.curve_plot import curves_svg
from benchmarks.curves import Point
from benchmarks.kept import Kept
from benchmarks.restored import RATES
from tests import streams


def _photos(folder: Path) -> Path:
    folder.mkdir()
    for name, width in (("a", 256), ("b", 240)):
        Image.fromarray(streams.texture(224, width, 3)).save(folder / f"{name}.png")
    return folder


@pytest.mark.slow
def test_sections_run_alone_and_leave_the_others_as_they_were(tmp_path: Path) -> None:
    shown: list[str] = []
    arguments = [str(_photos(tmp_path / "photos")), "--output", str(tmp_path / "docs")]
    main([*arguments, "--only", "plain,progressive", "--keep", str(tmp_path / "kept")], shown.append)
    assert [text.splitlines()[0] for text in shown] == ["Nothing favored: PSNR", "Beginnings of files"]
    before = json.loads((tmp_path / "docs/benchmarks.json").read_text())
    assert len(before["plain"]["figures"]["whole_file_percent"]) == 2
    main([*arguments, "--only", "salient,lossless", "--count", "1"], shown.append)
    after = json.loads((tmp_path / "docs/benchmarks.json").read_text())
    assert list(after) == ["plain", "salient", "progressive", "lossless"]
    assert after["plain"] == before["plain"]
    document = (tmp_path / "docs/benchmarks.md").read_text()
    headings = [line for line in document.splitlines() if line.startswith("## ")]
    assert headings == [f"## {section['title']}" for section in after.values()]


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    photo = streams.texture(24, 26, 3)
    point, saliency = Point(12, {"psnr": 30.5}), np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert kept.curve(photo, "this", lambda: (point,)) == (point,)
    assert kept.curve(photo, "this", pytest.fail) == (point,)
    assert kept.curve(photo, "another", lambda: ()) == ()
    assert kept.curve(photo[:, ::-1], "this", lambda: ()) == ()
    np.testing.assert_array_equal(kept.map(photo, "map", lambda: saliency), saliency)
    np.testing.assert_array_equal(kept.map(photo, "map", pytest.fail), saliency)
    assert not list((tmp_path / "kept").glob("*.part"))


@pytest.mark.parametrize("arguments", [["nowhere"], ["--only", "plain,nothing"]])
def test_wrong_usage_is_said(arguments: list[str], tmp_path: Path) -> None:
    if arguments[0].startswith("--"):
        arguments = [str(tmp_path), *arguments]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_the_picture_has_a_line_for_each_codec_and_a_panel_for_each_figure() -> None:
    names = ["OpenJPEG", "Foveate + RecCNN fast", "AVIF"]
    points: list[dict[str, float | str]] = [
        {"codec": name, "bits_per_pixel": rate, "figure": figure, "value": 30 + rate}
        for name in names
        for rate in RATES
        for figure in ("psnr", "psnr_s")
    ]
    svg = curves_svg(points)
    assert svg.startswith("<svg")
    assert all(f">{name}</text>" in svg for name in names)
    assert "PSNR-S" in svg
    assert "MS-SSIM" not in svg
    assert "WebP" not in svg
