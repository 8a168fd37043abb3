"""`foveate compare`: the page of small photos, what is said of others, and what is refused."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate.pipelines import compare
from foveate.pipelines.cli import main
from foveate.pipelines.compare import comparer_of, spread
from foveate.storage.source import SourceFile
from tests.photos import source
from tests.picture_files import png
from tests.streams import texture


def run(*arguments: object) -> int:
    return main(["compare", *map(str, arguments)])


def data_of(page: Path) -> Any:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(texture(97, 131, 3)))
    (folder / "gray.png").write_bytes(png(texture(60, 80, 1)))
    return folder


def test_photos_are_shown_at_each_quality_next_to_other_codecs(photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    assert run(photos, "--output", page, "--roi", "none", "--quality", "70,50", "--beside", "webp,jpeg") == 0
    first, gray = data_of(page)
    expected = ["Original", "Quality 50", "JPEG, size of quality 50", "WebP, size of quality 50"]
    assert first["names"][:4] == expected and len(first["names"]) == 7
    assert gray["names"][0] == "Original" and gray["views"][0]["bits"][1].startswith("data:image/png")
    assert first["commands"][1] == "foveate compress PHOTOS --output ARCHIVE --quality 50 --roi none"
    assert first["views"][0]["saliency"] is None
    assert [place.name for place in page.parent.iterdir()] == ["page.html"]


def test_a_version_is_the_file_that_compress_writes(photos: Path, tmp_path: Path) -> None:
    flags = ["--roi-box", "0,0,40,40", "--bpp", "2", "--tune", "psnr"]
    archive = [
        "--output",
        str(tmp_path / "archive"),
        "--reccnn",
        "off",
        "--comcnn",
        "off",
        "--min-saving",
        "0",
    ]
    assert main(["compress", str(photos / "a.png"), *archive, *flags]) == 0
    comparer = comparer_of(parsed(str(photos / "a.png"), *flags))
    (version,) = comparer.compare(source(photos / "a.png")).versions  # type: ignore[union-attr]
    written = (tmp_path / "archive" / "a.png.jp2").read_bytes()
    assert version.file_bytes == len(written)
    assert version.flags == "--bpp 2 --comcnn off --roi-box 0,0,40,40 --tune psnr"
    assert version.jp2 is not None and sum(map(int.__ne__, version.jp2, written)) < 64  # digests alone differ


def test_a_broken_photo_is_named_and_the_others_are_compared(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    page = tmp_path / "page.html"
    assert run(photos, "--output", page, "--roi", "none", "--quality", "50") == 3
    assert len(data_of(page)) == 2
    assert "broken.png" in page.read_text() and "broken.png: " in capfd.readouterr().err


def test_what_compress_keeps_is_named_and_no_failure(photos: Path, tmp_path: Path) -> None:
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    frame = b"\x21\xf9\x04\x00\x0a\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00"
    (photos / "moving.gif").write_bytes(gif + frame + frame + b";")
    page = tmp_path / "page.html"
    assert run(photos, "--output", page, "--roi", "none", "--bpp", "2") == 0
    assert "compress keeps it unchanged" in page.read_text()


def test_a_rate_without_room_is_a_note_and_without_any_a_failure(photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run(photos / "a.png", "--output", page, "--roi", "none", "--bpp", "0.01,2") == 0
    assert "0.01 bpp cannot be made" in page.read_text()
    page.unlink()
    assert run(photos / "a.png", "--output", page, "--roi", "none", "--bpp", "0.01") == 1
    assert not page.exists()


def test_wrong_usage_is_refused_before_anything_is_read(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(photos, "--output", photos / "a.png") == 2
    assert "that ends in .html" in capfd.readouterr().err
    (tmp_path / "folder.html").mkdir()
    assert run(photos, "--output", tmp_path / "folder.html") == 2
    assert run(tmp_path / "nowhere", "--output", tmp_path / "page.html") == 2
    for number in range(30):
        (photos / f"{number}.png").write_bytes(b"")
    assert run(photos, "--output", tmp_path / "page.html") == 2
    assert "--sample" in capfd.readouterr().err
    for flags in (("--quality", "0"), ("--quality", "50,"), ("--beside", "gif"), ("--bpp", "-1")):
        with pytest.raises(SystemExit, match="2"):
            run(photos, *flags)


def test_a_place_that_cannot_be_written_is_reported(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (photos / "file").write_bytes(b"")
    page = photos / "file" / "page.html"
    assert run(photos / "gray.png", "--output", page, "--roi", "none", "--quality", "30") == 1
    assert "cannot be written" in capfd.readouterr().err


def test_a_sample_is_spread_over_all_photos() -> None:
    files = [SourceFile(name, name, 0, 0.0) for name in "hgfedcba"]
    assert [file.url for file in spread(files, 2)] == ["c", "g"]
    assert [file.url for file in spread(files, 20)] == list("abcdefgh")
    assert spread(files, 8) == spread(files, 9)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return parser.parse_args(arguments)


def test_qualities_are_the_default_unless_rates_are_given() -> None:
    def targets(*flags: str) -> list[str]:
        return [str(target) for target in comparer_of(parsed("a.jpg", *flags)).targets]

    assert targets() == ["quality=40", "quality=60", "quality=80", "quality=90"]
    assert targets("--bpp", "1,.5") == ["bpp=0.5", "bpp=1"]
    assert targets("--bpp", "1", "--quality", "70,70") == ["quality=70", "bpp=1"]
    chosen = comparer_of(parsed("a.jpg", "--roi", "masks:my maps", "--roi-gain", "6", "--effort", "fast"))
    assert chosen.flags == "--roi 'masks:my maps' --roi-gain 6 --effort fast"
    arranged = comparer_of(parsed("a.jpg", "--access", "--tile-size", "512", "--roi-weights", "faces=2"))
    assert arranged.flags == "--roi-weights objects=1,faces=2,writing=1.2 --tile-size 512 --access"
    assert arranged.settings.access and arranged.settings.tile_size == 512
    assert np.isclose(chosen.settings.roi_gain_db, 6) and chosen.settings.effort == "fast"


@pytest.mark.slow
def test_the_saliency_network_decides_by_default(photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run(photos / "a.png", "--output", page, "--quality", "50") == 0
    assert data_of(page)[0]["views"][0]["saliency"].startswith("data:image/png")
