"""Tests whole runs on DICOM files: alone and beside photos, frame by frame, with and without the extra."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from foveate.pictures.dicom import MISSING_EXTRA
from foveate.pictures.formats import decode_picture
from foveate.pipelines.cli import main
from foveate.sandbox import client
from foveate.sandbox.children import Children
from tests.dicoms import JPEG_LS, dicom, fragments, needs_tfio, scan, unstretched
from tests.e2e.test_compress_restore import WITHOUT_NETWORKS, Run, compress, hashes
from tests.picture_files import jpeg
from tests.streams import texture

FRAMES = [np.roll(scan(90, 120), 11 * i, 1) for i in range(3)]


def scans() -> dict[str, bytes]:
    """DICOM files that become JP2 files, and a photo."""
    rescale = [(0x00281052, b"DS", "-1024"), (0x00281053, b"DS", "1")]
    return {
        "ct/slice.dcm": dicom(scan(90, 120, 16, signed=True), also=rescale),
        "ct/slice.IMA": dicom(scan(120, 90, 12), 12),
        "xray.dicom": dicom(scan(90, 120, 14), 14, photometric="MONOCHROME1"),
        "skin.dcm": dicom(texture(90, 120, 3) // 8),
        "photo.jpg": jpeg(texture(150, 210, 3), 98),
    }


def placed(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def restored(run: Run, output: Path) -> dict[str, bytes]:
    assert main(["restore", str(run.archive), "--output", str(output)]) == 0
    return {name: (output / name).read_bytes() for name in hashes(output)}


@needs_tfio
def test_a_lossless_archive_gives_back_every_stored_value(tmp_path: Path) -> None:
    files = {name: data for name, data in scans().items() if name != "photo.jpg"}
    run = compress(
        placed(tmp_path / "in", files),
        tmp_path / "archive",
        "--lossless",
        "--min-saving",
        "0",
        "--roi",
        "none",
    )
    assert run.status == 0
    assert set(hashes(run.archive)) == {f"{name}.jp2" for name in files}
    pictures = {name: decode_picture(data) for name, data in restored(run, tmp_path / "out").items()}
    wanted = {
        "ct/slice.dcm.png": (16, scan(90, 120, 16)),
        "ct/slice.IMA.png": (12, scan(120, 90, 12)),
        "xray.png": (14, 16383 - scan(90, 120, 14)),
        "skin.png": (8, texture(90, 120, 3) // 8),
    }
    assert pictures.keys() == wanted.keys()
    for name, (bits, samples) in wanted.items():
        found = unstretched(pictures[name].pixels, bits)
        assert np.array_equal(found, samples.reshape(found.shape)), name
    for row in run.table():
        assert (row["outcome"], row["source_format"]) == ("compressed", "dicom")
        assert "patient" in row["metadata_lost"]
    assert {row["bit_depth"] for row in run.table()} == {8, 12, 14, 16}


@needs_tfio
def test_a_folder_of_dicom_and_photos_goes_through_all_networks_and_back(tmp_path: Path) -> None:
    files = scans()
    photos = placed(tmp_path / "in", files)
    run = compress(photos, tmp_path / "archive", "--bpp", "2")
    assert run.status == 0
    for name in files:
        row = run.rows()[name]
        assert row["outcome"] == "compressed" and row["psnr_db"] > 30, (name, row["psnr_db"])
        assert row["bits_per_pixel"] <= 2
    assert len(restored(run, tmp_path / "out")) == len(files)
    assert _again(run, "--bpp", "2") == []


@needs_tfio
def test_a_file_of_several_frames_is_kept_unless_they_are_asked_for(tmp_path: Path) -> None:
    data = dicom(np.concatenate(FRAMES), 12, frames=3)
    photos = placed(tmp_path / "in", {"cine.dcm": data, "slice.dcm": dicom(FRAMES[1], 12)})
    options = ("--lossless", *WITHOUT_NETWORKS)
    kept = compress(photos, tmp_path / "kept", *options)
    assert kept.status == 0
    assert set(hashes(kept.archive)) == {"cine.dcm", "slice.dcm.jp2"}
    assert "3 frames" in kept.rows()["cine.dcm"]["reason"]
    assert restored(kept, tmp_path / "kept-out")["cine.dcm"] == data


@needs_tfio
@pytest.mark.parametrize("compressed", [False, True])
def test_frames_are_photos_by_themselves(
    tmp_path: Path, compressed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [frame >> 4 for frame in FRAMES] if compressed else FRAMES
    bits = 8 if compressed else 12
    coded = fragments([imagecodecs.jpegls_encode(frame.astype(np.uint8)) for frame in frames])
    stack = np.concatenate(frames).astype(np.uint8 if compressed else np.uint16)
    data = (
        dicom(stack, bits, frames=3, syntax=JPEG_LS, coded=coded)
        if compressed
        else dicom(stack, bits, frames=3)
    )
    photos = placed(tmp_path / "in", {"trip/cine.dcm": data, "slice.dcm": dicom(FRAMES[1], 12)})
    options = ("--lossless", *WITHOUT_NETWORKS)
    first = compress(photos, tmp_path / "archive", *options, "--dicom-frames", "first")
    assert first.status == 0
    assert set(hashes(first.archive)) == {"trip/cine.dcm.0001.jp2", "slice.dcm.jp2"}

    assert compress(photos, first.archive, *options, "--dicom-frames", "all", "--dry-run").status == 0
    assert "2 of 4 photos" in capsys.readouterr().out
    rows = {row["relative_path"]: row for row in _again(first, *options, "--dicom-frames", "all")}
    names = [f"trip/cine.dcm.{number:04d}" for number in (1, 2, 3)]
    outcomes = {name: row["outcome"] for name, row in rows.items()}
    assert outcomes == dict.fromkeys(names[1:], "compressed")
    assert sum(first.rows()[name]["source_bytes"] for name in names) == len(data)
    assert _again(first, *options, "--dicom-frames", "all") == []

    back = restored(first, tmp_path / "out")
    assert set(back) == {"slice.png", *(f"{name}.png" for name in names)}
    for name, frame in zip(names, frames, strict=True):
        found = unstretched(decode_picture(back[f"{name}.png"]).pixels, bits)
        assert np.array_equal(found[:, :, 0], frame)


@needs_tfio
def test_a_frame_that_cannot_be_decoded_is_a_failure_and_the_others_are_archived(tmp_path: Path) -> None:
    good = [imagecodecs.jpegls_encode((frame >> 4).astype(np.uint8)) for frame in FRAMES]
    coded = fragments([good[0], b"no JPEG-LS", good[2]])
    stack = np.concatenate(FRAMES).astype(np.uint8)
    data = dicom(stack, frames=3, syntax=JPEG_LS, coded=coded)
    photos = placed(tmp_path / "in", {"cine.dcm": data})
    run = compress(photos, tmp_path / "archive", "--dicom-frames", "all", *WITHOUT_NETWORKS)
    assert run.status == 3
    assert set(hashes(run.archive)) == {"cine.dcm.0001.jp2", "cine.dcm.0003.jp2"}
    assert "frame 2 cannot be archived on its own" in run.failures()["cine.dcm"]["message"]


@needs_tfio
def test_a_file_that_has_a_frames_name_does_not_share_its_place(tmp_path: Path) -> None:
    cine = dicom(np.concatenate(FRAMES), 12, frames=3)
    photos = placed(tmp_path / "in", {"cine.dcm": cine, "cine.dcm.0002": dicom(FRAMES[0], 12)})
    sources = [str(photos / name) for name in ("cine.dcm", "cine.dcm.0002")]
    archive = tmp_path / "archive"
    command = ["compress", *sources, "--output", str(archive), "--dicom-frames", "all", *WITHOUT_NETWORKS]
    assert main(command) == 3
    run = Run(photos, archive, 3)
    assert set(run.rows()) == {f"cine.dcm.000{number}" for number in (1, 2, 3)}
    assert "is taken by" in run.failures()["cine.dcm.0002"]["message"]


def test_without_the_extra_dicom_is_kept_and_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    monkeypatch.setattr(client, "_children", Children())
    monkeypatch.setattr(sys, "executable", None)  # so that files are decoded here
    files = {name: data for name, data in scans().items() if name in ("ct/slice.dcm", "photo.jpg")}
    files["cine.dcm"] = dicom(np.concatenate(FRAMES), 12, frames=3)
    photos = placed(tmp_path / "in", files)
    run = compress(photos, tmp_path / "archive", "--dicom-frames", "all", *WITHOUT_NETWORKS)
    assert run.status == 0
    assert set(hashes(run.archive)) == {"ct/slice.dcm", "cine.dcm", "photo.jpg.jp2"}
    row = run.rows()["ct/slice.dcm"]
    assert (row["outcome"], row["source_format"]) == ("kept", "dicom")
    assert (row["reason"], row["reason_code"]) == (MISSING_EXTRA, "missing_extra")
    assert (run.archive / "ct/slice.dcm").read_bytes() == files["ct/slice.dcm"]
    outcomes = {row["relative_path"]: row["outcome"] for row in _again(run, *WITHOUT_NETWORKS)}
    assert outcomes == {"ct/slice.dcm": "kept"}  # what is missing may be there now, frames stay


def _again(run: Run, *options: str) -> list[dict[str, Any]]:
    """Rows that another run over the same archive writes."""
    runs = run.runs()
    assert compress(run.photos, run.archive, *options).status == 0
    (run_id,) = run.runs() - runs
    return run.table(run_id)
