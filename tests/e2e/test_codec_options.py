"""Tests targets, tuning and layers through the command line, and truncated files in other decoders."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import foveate
from foveate.archive import tables
from foveate.codec import codestream, jp2, openjpeg
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr, psnr_s
from foveate.quality.saliency import resize_saliency
from foveate.quality.ssim import ms_ssim, ssim
from tests import picture_files

# Quality is compared by PSNR here.
QUICK = ("--tune", "psnr", "--comcnn", "off", "--reccnn", "off")
LAYERS = 5


def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.astronaut()[:300, 60:420])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and a mask over its right half."""
    root = tmp_path_factory.mktemp("photos")
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    (root / "photos/astronaut.png").write_bytes(picture_files.png(astronaut()))
    mask = np.zeros((30, 36, 1), np.uint8)
    mask[:, 18:] = 255
    (root / "masks/astronaut.png.png").write_bytes(picture_files.png(mask))
    return root


def compressed(folder: Path, archive: Path, *options: str) -> tuple[bytes, dict[str, Any]]:
    """The file and the row that a run makes of the photo."""
    assert main(["compress", str(folder / "photos"), "--output", str(archive), *QUICK, *options]) == 0
    (row,) = tables.read_metrics(str(archive)).to_pylist()
    return (archive / "astronaut.png.jp2").read_bytes(), row


def masked(folder: Path) -> tuple[str, str]:
    return "--roi", f"masks:{folder / 'masks'}"


@pytest.mark.parametrize("layers", ["1", "4"])
@pytest.mark.parametrize(
    ("option", "value", "tolerance"),
    [("--psnr", 36.0, 0.1), ("--roi-psnr", 38.0, 0.1), ("--ssim", 0.95, 0.002)],
)
def test_a_quality_is_met_from_above(
    folder: Path, tmp_path: Path, option: str, value: float, tolerance: float, layers: str
) -> None:
    data, row = compressed(folder, tmp_path, option, str(value), "--layers", layers, *masked(folder))
    decoded = openjpeg.decode(data).pixels
    mask = np.zeros((30, 36), np.float32)
    mask[:, 18:] = 1
    reached = {
        "--psnr": psnr(astronaut(), decoded),
        "--roi-psnr": psnr_s(astronaut(), decoded, resize_saliency(mask, *decoded.shape[:2])),
        "--ssim": ssim(astronaut(), decoded),
    }[option]
    assert value <= reached <= value + tolerance
    assert row["target_reached"] == pytest.approx(reached, rel=1e-4)


def test_tuning_for_the_eye_moves_bytes_to_where_it_shows(folder: Path, tmp_path: Path) -> None:
    found = {}
    for tune in ("psnr", "visual"):
        data, _ = compressed(folder, tmp_path / tune, "--bpp", "0.5", "--roi", "none", "--tune", tune)
        found[tune] = openjpeg.decode(data).pixels
    assert psnr(astronaut(), found["psnr"]) > psnr(astronaut(), found["visual"])
    assert 1 - ms_ssim(astronaut(), found["visual"]) < 0.85 * (1 - ms_ssim(astronaut(), found["psnr"]))


def test_what_contradicts_itself_is_wrong_usage(folder: Path, tmp_path: Path, capsys: Any) -> None:
    source, archive = str(folder / "photos"), str(tmp_path)
    assert main(["compress", source, "--output", archive, "--roi-psnr", "40", "--roi", "none"]) == 2
    assert "--roi none" in capsys.readouterr().err
    for option in (["--layers", "0"], ["--layers", "51"], ["--ssim", "1.5"], ["--tune", "vmaf"]):
        with pytest.raises(SystemExit) as stop:
            main(["compress", source, "--output", archive, *option])
        assert stop.value.code == 2


@pytest.fixture(scope="module")
def layered(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photo at 1 bit per pixel in several layers, its right half first."""
    archive = tmp_path_factory.mktemp("layered")
    compressed(folder, archive, "--bpp", "1", "--layers", str(LAYERS), *masked(folder))
    return archive / "astronaut.png.jp2"


def cut(path: Path, layers: int) -> bytes:
    """A file up to a layer's end, and the end-of-codestream marker."""
    data = path.read_bytes()
    stream = codestream.parse(jp2.parse(data).codestream)
    start = data.index(b"jp2c") + 4
    return data[: start + stream.tile_parts[layers - 1].end] + b"\xff\xd9"


@pytest.mark.parametrize("layers", range(1, LAYERS + 1))
def test_a_file_cut_after_any_layer_is_a_file_to_every_decoder(
    layered: Path, tmp_path: Path, layers: int
) -> None:
    part = tmp_path / "cut.jp2"
    part.write_bytes(cut(layered, layers))
    decoded = openjpeg.decode(part.read_bytes())
    assert not decoded.warnings
    expected = openjpeg.decode(layered.read_bytes(), layers=layers).pixels
    np.testing.assert_array_equal(decoded.pixels, expected)
    with Image.open(part) as picture:
        assert_near(np.asarray(picture), expected)
    for name in ("opj_decompress", "ffmpeg"):
        if shutil.which(name) is None and os.environ.get("FOVEATE_REQUIRE_TOOLS") != "1":
            continue
        assert_near(by_program(name, part, tmp_path), expected)


def by_program(name: str, path: Path, folder: Path) -> NDArray[np.uint8]:
    """Decodes with an independent program that must print nothing."""
    if name == "ffmpeg":
        command = [name, "-v", "warning", "-c:v", "jpeg2000", "-i", str(path), "-pix_fmt", "rgb24"]
        done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True)
        assert not done.stderr
        return np.frombuffer(done.stdout, np.uint8)
    output = folder / "decoded.png"
    done = subprocess.run([name, "-i", str(path), "-o", str(output)], capture_output=True, check=True)
    assert not done.stderr.strip() and b"WARN" not in done.stdout.upper()
    pixels: NDArray[np.uint8] = imagecodecs.png_decode(output.read_bytes())
    return pixels


def assert_near(pixels: NDArray[np.uint8], expected: NDArray[Any]) -> None:
    assert np.abs(pixels.reshape(expected.shape).astype(int) - expected).max() <= 1


def test_the_first_layers_show_the_salient_half_sharper_than_plain_files_of_their_size(
    layered: Path,
) -> None:
    right = slice(180, None)
    for layers in (3, 4, 5):
        part = cut(layered, layers)
        bpp = 8 * len(part) / (300 * 360)
        plain = foveate.encode(astronaut(), bpp=bpp, tune="psnr")
        ours, others = (openjpeg.decode(data).pixels for data in (part, plain))
        assert (
            psnr(astronaut()[:, right], ours[:, right]) > psnr(astronaut()[:, right], others[:, right]) + 0.3
        )


def test_restore_decodes_fewer_layers_and_smaller_pictures(layered: Path, tmp_path: Path) -> None:
    def restored(*options: str) -> NDArray[np.uint8]:
        output = tmp_path / "_".join(options)
        assert main(["restore", str(layered), "--output", str(output), *options]) == 0
        pixels: NDArray[np.uint8] = imagecodecs.png_decode((output / "astronaut.png").read_bytes())
        return pixels

    plain = restored("--layers", "2", "--reccnn", "off")
    np.testing.assert_array_equal(plain, openjpeg.decode(layered.read_bytes(), layers=2).pixels)
    assert psnr(astronaut(), restored("--layers", "2")) > psnr(astronaut(), plain)
    small = restored("--reduce", "2")
    np.testing.assert_array_equal(small, openjpeg.decode(layered.read_bytes(), reduce=2).pixels)
    assert small.shape == (75, 90, 3)


def test_lossless_in_layers_comes_back_bit_for_bit_and_shows_what_matters_first(
    folder: Path, tmp_path: Path
) -> None:
    data, _ = compressed(folder, tmp_path, "--lossless", "--layers", "6", *masked(folder))
    np.testing.assert_array_equal(openjpeg.decode(data).pixels, astronaut())
    part = openjpeg.decode(cut(tmp_path / "astronaut.png.jp2", 4)).pixels
    right, left = slice(180, None), slice(0, 180)
    assert psnr(astronaut()[:, right], part[:, right]) > psnr(astronaut()[:, left], part[:, left]) + 2
    plain = foveate.encode(astronaut(), lossless=True)
    assert len(data) <= 1.03 * len(plain)


def test_an_archive_for_access_is_whole_and_meets_its_target(folder: Path, tmp_path: Path) -> None:
    options = ("--bpp", "1", "--access", "--tile-size", "128", "--layers", "2", "--roi", "none")
    data, row = compressed(folder, tmp_path / "archive", *options)
    assert 0.98 <= row["bits_per_pixel"] <= 1
    stream = codestream.parse(jp2.parse(data).codestream)
    assert (stream.progression, stream.layers, stream.size.tile_width) == ("RPCL", 2, 128)
    assert main(["verify", str(tmp_path / "archive")]) == 0
    assert main(["inspect", str(tmp_path / "archive/astronaut.png.jp2")]) == 0
    assert main(["restore", str(tmp_path / "archive"), "--output", str(tmp_path / "restored")]) == 0
    assert Image.open(tmp_path / "restored/astronaut.png").size == (360, 300)
    again, _ = compressed(folder, tmp_path / "archive", *options)
    assert again == data


@pytest.mark.parametrize("size", ["0", "100", "8192", "many"])
def test_tiles_of_impossible_sizes_are_refused(folder: Path, tmp_path: Path, size: str) -> None:
    with pytest.raises(SystemExit):
        compressed(folder, tmp_path, "--tile-size", size)


def test_a_region_is_restored_from_the_bytes_that_it_takes(folder: Path, tmp_path: Path) -> None:
    compressed(folder, tmp_path / "archive", "--bpp", "1", "--access", "--roi", "none")
    file, whole, part = tmp_path / "archive/astronaut.png.jp2", tmp_path / "whole", tmp_path / "part"
    common = ("--precision", "float32")
    assert main(["restore", str(file), "--output", str(whole), *common]) == 0
    assert main(["restore", str(file), "--output", str(part), *common, "--region", "130,60,100,90"]) == 0
    expected = np.asarray(Image.open(whole / "astronaut.png")).astype(int)[60:150, 130:230]
    found = np.asarray(Image.open(part / "astronaut.png"))
    assert found.shape == (90, 100, 3)
    assert np.abs(found - expected).max() <= 1
    half = tmp_path / "half"
    options = ("--region", "130,60,100,90", "--reduce", "1", "--reccnn", "off")
    assert main(["restore", str(file), "--output", str(half), *options]) == 0
    assert Image.open(half / "astronaut.png").size == (50, 45)
    assert main(["restore", str(file), "--output", str(tmp_path / "no"), "--region", "900,0,9,9"]) == 3
    (failure,) = (tmp_path / "no/_foveate/failures").rglob("*.jsonl")
    assert "outside of the picture of 360 x 300" in failure.read_text()


@pytest.mark.parametrize("region", ["1,2,3", "1,2,0,4", "-1,0,5,5", "a,b,c,d"])
def test_impossible_regions_are_refused(tmp_path: Path, region: str) -> None:
    with pytest.raises(SystemExit):
        main(["restore", str(tmp_path), "--output", str(tmp_path / "out"), f"--region={region}"])
