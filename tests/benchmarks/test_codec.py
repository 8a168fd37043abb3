"""The command: `python -m benchmarks.codec`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import codec, fidelity
from benchmarks.curve_plot import curves_svg
from benchmarks.kept import Kept
from tests import streams


def _photos(folder: Path) -> Path:
    folder.mkdir()
    for name, width in (("a", 256), ("b", 240)):
        Image.fromarray(streams.texture(224, width, 3)).save(folder / f"{name}.png")
    return folder


def test_sections_run_alone_and_leave_the_others_as_they_were(tmp_path: Path) -> None:
    shown: list[str] = []
    arguments = [str(_photos(tmp_path / "photos")), "--output", str(tmp_path / "docs")]
    codec.main([*arguments, "--only", "plain,progressive", "--keep", str(tmp_path / "kept")], shown.append)
    assert [text.splitlines()[0] for text in shown] == ["Nothing favoured: PSNR", "Beginnings of files"]
    before = json.loads((tmp_path / "docs/benchmarks-codec.json").read_text())
    assert len(before["plain"]["figures"]["whole_file_percent"]) == 2
    codec.main([*arguments, "--only", "salient,lossless", "--count", "1"], shown.append)
    after = json.loads((tmp_path / "docs/benchmarks-codec.json").read_text())
    assert list(after) == ["plain", "salient", "progressive", "lossless"]
    assert after["plain"] == before["plain"]
    document = (tmp_path / "docs/benchmarks-codec.md").read_text()
    headings = [line for line in document.splitlines() if line.startswith("## ")]
    assert headings == [f"## {section['title']}" for section in after.values()]


def test_what_other_codecs_did_is_measured_once(tmp_path: Path) -> None:
    photo = streams.texture(224, 256, 3)
    path = _photos(tmp_path / "photos") / "a.png"
    kept = Kept(tmp_path / "kept")
    first = fidelity.measured(path, ["OpenJPEG", "AVIF"], (), kept)
    (file,) = (tmp_path / "kept").iterdir()
    file.write_text(file.read_text().replace('"psnr"', '"other"'))
    again = fidelity.measured(path, ["OpenJPEG", "AVIF"], (), kept)
    assert "psnr" in first.curves["OpenJPEG"][0].figures
    assert "other" in again.curves["OpenJPEG"][0].figures
    assert kept.curve(photo, "another", lambda: ()) == ()


@pytest.mark.parametrize("arguments", [["nowhere"], ["--only", "plain,nothing"]])
def test_wrong_usage_is_said(arguments: list[str], tmp_path: Path) -> None:
    if arguments[0].startswith("--"):
        arguments = [str(tmp_path), *arguments]
    with pytest.raises(SystemExit) as stopped:
        codec.main(arguments)
    assert stopped.value.code == 2


def test_the_picture_has_a_line_for_each_codec() -> None:
    points: list[dict[str, float | str]] = [
        {"codec": name, "bits_per_pixel": rate, "psnr": 30 + rate, "ms_ssim": 15 + rate}
        for name in fidelity.CODECS
        for rate in fidelity.RATES
    ]
    svg = curves_svg(points)
    assert svg.startswith("<svg")
    assert all(f">{name}</text>" in svg for name in fidelity.CODECS)
    assert len(svg) < 60_000
