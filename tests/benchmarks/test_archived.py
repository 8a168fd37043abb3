"""Archives made by the command itself, and the tables made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import camera, jpegs
from benchmarks.archived import Archived, archived
from benchmarks.kept import Kept
from tests import streams


def row(name: str, outcome: str, archive_bytes: int, **more: Any) -> dict[str, Any]:
    row = {"relative_path": name, "outcome": outcome, "archive_bytes": archive_bytes, "source_bytes": 1000}
    fidelity = {"psnr_db": 38.2, "ssim": 0.97, "rec_psnr_db": 38.6, "rec_ssim": 0.975}
    return row | {"pixels": 5000, "channels": 3, "bit_depth": 8} | fidelity | more


ROWS = (row("a.jpg", "compressed", 200), row("b.jpg", "kept", 1000, psnr_db=float("inf")))


def test_what_was_kept_counts_as_it_is() -> None:
    archive = Archived(Path("archive"), ROWS, 4000.0)
    assert archive.ratio == pytest.approx(2000 / 1200)
    section = camera.camera_section([camera.CameraSet("camera", archive, archive, (81.5, 78.0))])
    (default,), (at_psnr,) = (table.rows for table in section.tables)
    assert default[3:] == ("40.0", "50", "79.8", "78.0", "4,000")
    assert at_psnr[1:] == ("1.67", "38.20", "38.20", "0.9700")
    assert [bar.met for bar in section.bars] == [False]
    assert section.figures["camera"]["saved_share"] == pytest.approx(0.4)


def test_a_set_without_a_score_has_a_dash() -> None:
    other = camera.CameraSet("other", Archived(Path("archive"), ROWS[1:], 1.0), None, ())
    ((default,), ()) = (table.rows for table in camera.camera_section([other]).tables)
    assert default[3:7] == ("0.0", "100", "–", "–")


def test_rows_of_jpegs_are_ordered_by_setting() -> None:
    archive = Archived(Path("archive"), ROWS, 4000.0)
    found = [
        jpegs.JpegArchive(quality, setting, archive) for quality in (50, 92) for setting in jpegs.SETTINGS
    ]
    section = jpegs.jpegs_section(found)
    (table,) = section.tables
    assert [cells[:2] for cells in table.rows] == [(s, q) for s in jpegs.SETTINGS for q in ("50", "92")]
    assert table.rows[0][2:] == ("1.60", "1.67", "50", "38.20", "0.9700", "38.60", "0.9750")
    assert [bar.what[-2:] for bar in section.bars] == ["92"]  # the coarse ones have none


def test_archives_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--keep"):
        jpegs.jpeg_archives([], Kept(None))
    with pytest.raises(ValueError, match="photo_set"):
        camera.camera_sets(tmp_path, Kept(tmp_path))


@pytest.mark.slow
def test_an_interrupted_archive_is_resumed_and_only_the_work_done_is_counted(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(streams.texture(60, 80, 3)).save(photos / name)
        found = archived(photos, tmp_path / "archive", ("--roi=none", "--reccnn=off", "--bpp=1"))
    assert [row["relative_path"] for row in found.rows] == ["a.png", "b.png"]
    cost = json.loads((tmp_path / "archive.cost.json").read_text())
    assert cost["megapixels"] == pytest.approx(2 * 60 * 80 / 1e6)
    again = archived(photos, tmp_path / "archive", ("--roi=none", "--reccnn=off", "--bpp=1"))
    assert again == found
