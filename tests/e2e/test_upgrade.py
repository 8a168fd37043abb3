r"""Tests that archives of release 0.1.0 are read, verified, restored, reported and recompressed by today's
code.

release-0.1.0.zip was made by that release of small photos, one of which is broken, and of another one:

    foveate compress photos --output archive --bpp 1
    foveate compress locked --output locked-archive --bpp 2 --layers 4 --tune ssim --roi none \
        --encrypt-key key
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import foveate
from foveate.archive.tables import read_failures, read_metrics
from foveate.pipelines.cli import main
from foveate.pipelines.running import runner
from foveate.quality.psnr import psnr

RELEASE = Path(__file__).with_name("release-0.1.0.zip")
pytestmark = pytest.mark.slow
COMPRESSED = ("cut-out.png", "deep.png", "portrait.jpg", "sub/gray.png", "sub/lake.jpg")
KEPT = "ink.jpg"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of the archives and their photos; dates are those of the unpacking, as after a copy."""
    with zipfile.ZipFile(RELEASE) as files:
        files.extractall(tmp_path)
    return tmp_path


def rows(archive: Path) -> dict[str, dict[str, Any]]:
    return {row["relative_path"]: row for row in read_metrics(str(archive)).to_pylist()}


def test_an_old_archive_is_whole(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(old / "archive")]) == 0
    assert "Nothing is wrong" in capsys.readouterr().out
    assert main(["verify", str(old / "locked-archive"), "--encrypt-key", str(old / "key")]) == 0
    damaged = old / "archive" / "portrait.jpg.jp2"
    data = bytearray(damaged.read_bytes())
    data[3000] ^= 1
    damaged.write_bytes(data)
    assert main(["verify", str(old / "archive")]) == 3
    assert "damaged" in capsys.readouterr().out


def test_an_old_archive_is_restored_as_its_tables_say(old: Path) -> None:
    target = old / "restored"
    assert main(["restore", str(old / "archive"), "--output", str(target), "--reccnn", "off"]) == 0
    table = rows(old / "archive")
    assert set(table) == {*COMPRESSED, KEPT}
    assert (target / KEPT).read_bytes() == (old / "photos" / KEPT).read_bytes()
    for name in COMPRESSED:
        jp2 = (old / "archive" / f"{name}.jp2").read_bytes()
        pixels = foveate.decode(jp2)
        row = table[name]
        assert pixels.shape == (row["height"], row["width"], row["channels"])
        if row["bit_depth"] == 8 and row["channels"] == 3:
            with Image.open(old / "photos" / name) as photo:
                assert psnr(np.asarray(photo.convert("RGB")), pixels) == pytest.approx(
                    row["psnr_db"], abs=0.05
                )
        with Image.open(target / Path(name).with_suffix(".png")) as restored:
            assert restored.size == (row["width"], row["height"])
    key = ["--encrypt-key", str(old / "key")]
    assert (
        main(["restore", str(old / "locked-archive"), "--output", str(target), "--reccnn", "off", *key]) == 0
    )
    assert (target / "van.png").exists()


def test_an_old_archive_is_reported(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = old / "report.html"
    assert main(["report", str(old / "archive"), "--json", "--output", str(page), "--gallery", "1"]) == 0
    told = capsys.readouterr().out
    assert all(f'"{outcome}": {photos}' in told for outcome, photos in (("compressed", 5), ("kept", 1)))
    assert '"failed": 1' in told
    assert "portrait.jpg" in page.read_text()


def test_an_old_archive_is_made_again_once(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = old / "archive"
    again = ["compress", str(old / "photos"), "--output", str(archive), "--bpp", "1", "--roi", "none"]
    again += ["--reccnn", "off"]
    before = {name: (archive / f"{name}.jp2").read_bytes() for name in COMPRESSED}
    assert main([*again, "--dry-run"]) == 0
    assert "7 of 7 photos" in capsys.readouterr().out
    assert main(again) == 3  # the broken photo
    assert all((archive / f"{name}.jp2").read_bytes() != data for name, data in before.items())
    assert (archive / KEPT).read_bytes() == (old / "photos" / KEPT).read_bytes()
    versions = {row["foveate_version"] for row in read_metrics(str(archive)).to_pylist()}
    assert versions == {"0.1.0", runner.version()}
    assert len(read_failures(str(archive))) == 2
    assert main([*again, "--dry-run"]) == 0
    assert "1 of 7 photos" in capsys.readouterr().out
    assert main(["verify", str(archive)]) == 0


def test_the_record_of_an_old_file_is_read(old: Path) -> None:
    """The record says which photo a file is of, without any table."""
    found = foveate.inspect((old / "archive" / "portrait.jpg.jp2").read_bytes())
    assert found.record is not None
    assert found.record.saliency is not None
