"""`foveate transcode`: an archive of JPEG 2000 files, from the command to the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate
from foveate.archive import tables
from foveate.codec import codestream, jp2
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr
from tests import streams

QUICK = ("--roi", "none", "--reccnn", "off", "--tune", "psnr")


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    """A lossless master, a lossy one, and one that is broken."""
    folder = tmp_path / "masters"
    (folder / "1901").mkdir(parents=True)
    pixels = streams.texture(140, 170, 3)
    Image.fromarray(pixels).save(folder / "1901/lossless.jp2", irreversible=False)
    Image.fromarray(pixels).save(
        folder / "lossy.jp2", irreversible=True, quality_mode="rates", quality_layers=[4]
    )
    (folder / "broken.jp2").write_bytes((folder / "lossy.jp2").read_bytes()[:3000])
    return folder


def test_masters_become_an_archive_and_pictures_again(masters: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    command = ["transcode", str(masters), "--output", str(archive), "--bpp", "2", "--access", *QUICK]
    assert main(command) == 3
    rows = {row["relative_path"]: row for row in tables.read_metrics(str(archive)).to_pylist()}
    assert set(rows) == {"1901/lossless.jp2", "lossy.jp2"}
    for name, row in rows.items():
        data = (archive / f"{name}.jp2").read_bytes()
        assert row["outcome"] == "compressed" and row["source_format"] == "jpeg2000"
        assert 1.95 <= row["bits_per_pixel"] <= 2
        source, made = foveate.decode(masters / name), foveate.decode(data)
        assert row["psnr_db"] == pytest.approx(psnr(source, made), abs=0.01)
        stream = codestream.parse(jp2.parse(data).codestream)
        assert stream.progression == "RPCL"
        assert stream.reversible == ("lossless" in name)
    (failure,) = (archive / "_foveate/failures").rglob("*.jsonl")
    assert "broken.jp2" in failure.read_text()
    assert main(["verify", str(archive)]) == 0
    assert main(["report", str(archive)]) == 0
    assert main(["restore", str(archive), "--output", str(tmp_path / "back"), "--reccnn", "off"]) == 0
    before = {path: path.stat().st_mtime_ns for path in archive.glob("**/*.jp2")}
    assert main(command) == 3
    assert {path: path.stat().st_mtime_ns for path in archive.glob("**/*.jp2")} == before


def test_rearranged_masters_keep_every_bit(masters: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    options = ["--lossless", "--access", *QUICK]
    options += ["--metrics", "csv", "--plan", "new"]
    assert main(["transcode", str(masters / "1901"), "--output", str(archive), *options]) == 0
    assert list((archive / "_foveate/metrics").rglob("*.csv"))
    source, made = (masters / "1901/lossless.jp2"), archive / "lossless.jp2.jp2"
    assert np.array_equal(foveate.decode(source), foveate.decode(made))
    (row,) = tables.read_metrics(str(archive)).to_pylist()
    assert row["psnr_db"] == float("inf") and row["outcome"] == "compressed"


def test_a_target_has_to_be_named(masters: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["transcode", str(masters), "--output", str(tmp_path / "a")])
