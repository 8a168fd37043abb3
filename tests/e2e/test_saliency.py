"""Tests maps, masks and boxes through the command line, on photos like those of cameras."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from foveate.archive import tables
from foveate.codec import openjpeg
from foveate.pictures.formats import decode_picture
from foveate.pipelines.cli import main
from foveate.quality.psnr import psnr, psnr_s
from foveate.transforms.elements import Pixels
from tests import picture_files
from tests.picture_files import exif_block, jpeg, png, tiff, webp

# Quality is compared by PSNR here.
QUICK = ("--bpp", "0.5", "--tune", "psnr", "--comcnn", "off", "--reccnn", "off")
BOX = np.s_[40:200, 200:330]  # of the astronaut: the space shuttle


def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.astronaut()[:300, 60:420])


def turned_left(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG whose EXIF block says that it must be turned right to look like `pixels`."""
    return png(np.rot90(pixels), {b"eXIf": exif_block(6)})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo upright and turned, others of other kinds, one that is kept, and one that is broken."""
    folder = tmp_path_factory.mktemp("in") / "photos"
    files = {
        "upright.png": png(astronaut()),
        "turned.png": turned_left(astronaut()),
        "trip/2019 [best]/ü #1.webp": webp(skimage.data.chelsea()[:120, 90:300]),
        "deep-gray.tif": tiff(astronaut()[:90, :, :1].astype(np.uint16) * 257),
        "cmyk.jpg": picture_files.cmyk_jpeg(),
        "header-only.jpg": picture_files.broken_pictures()["header-only.jpg"],
        "notes.txt": b"no photo",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


GOOD = ("upright.png", "turned.png", "trip/2019 [best]/ü #1.webp", "deep-gray.tif")


@pytest.fixture(scope="module")
def mapped(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The maps of all of them."""
    output = tmp_path_factory.mktemp("out") / "maps"
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert main(["saliency", str(photos), "--output", str(output), "--overlay"]) == 3
    (output.parent / "said").write_text(said.getvalue())
    return output


def files_below(folder: Path) -> set[str]:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("_foveate/")}


def test_every_good_photo_has_a_map_of_its_size_and_the_broken_one_a_reason(
    photos: Path, mapped: Path
) -> None:
    assert files_below(mapped) == {f"{name}{end}" for name in GOOD for end in (".png", ".overlay.jpg")}
    for name in GOOD:
        upright = decode_picture((photos / name).read_bytes()).pixels
        saliency = decode_picture((mapped / f"{name}.png").read_bytes()).pixels
        assert saliency.shape == (*upright.shape[:2], 1) and saliency.dtype == np.uint8
        assert saliency.max() > 128 > saliency.min()
        overlay = imagecodecs.jpeg_decode((mapped / f"{name}.overlay.jpg").read_bytes())
        assert overlay.shape == (*upright.shape[:2], 3)
    (failed,) = tables.read_failures(str(mapped)).to_pylist()
    assert failed["url"] == str(photos / "header-only.jpg") and "truncated" in failed["message"]


def test_maps_are_oriented_as_the_photo_is_seen(mapped: Path) -> None:
    upright, turned = ((mapped / f"{name}.png.png").read_bytes() for name in ("upright", "turned"))
    assert upright == turned


def test_the_last_line_accounts_for_every_file(mapped: Path) -> None:
    said = (mapped.parent / "said").read_text()
    assert "4 mapped, 1 skipped, 1 failed" in said and "_foveate/failures" in said


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photo alone."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "upright.png").write_bytes(png(astronaut()))
    return folder


@pytest.fixture(scope="module")
def boxed(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of that photo with a box around the shuttle."""
    archive = tmp_path_factory.mktemp("boxed")
    compressed(one, archive, "--roi-box", "200,40,130,160")
    return archive


@pytest.fixture(scope="module")
def evenly(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Pixels:
    """The photo compressed with no place favored."""
    return compressed(one, tmp_path_factory.mktemp("evenly"), "--roi", "none")[1]


def pixels_in(archive: Path) -> Pixels:
    """The pixels of the only photo in an archive."""
    (path,) = archive.glob("*.jp2")
    return openjpeg.decode(path.read_bytes()).pixels


def compressed(folder: Path, archive: Path, *options: str) -> tuple[bytes, Pixels]:
    """The file that a run makes of the only photo in a folder, and its pixels."""
    assert main(["compress", str(folder), "--output", str(archive), *QUICK, *options]) == 0
    (path,) = archive.glob("*.jp2")
    return path.read_bytes(), pixels_in(archive)


def test_maps_given_back_as_masks_make_nearly_the_archive_that_the_network_makes(
    tmp_path: Path,
) -> None:
    one, maps = tmp_path / "one", tmp_path / "maps"
    coffee = skimage.data.coffee()
    one.mkdir()
    (one / "coffee.png").write_bytes(png(coffee))
    assert main(["saliency", str(one), "--output", str(maps)]) == 0
    assert files_below(maps) == {"coffee.png.png"}
    direct, by_network = compressed(one, tmp_path / "direct", "--roi", "msroi")
    around, by_masks = compressed(one, tmp_path / "around", "--roi", f"masks:{maps}")
    _, evenly = compressed(one, tmp_path / "evenly", "--roi", "none")
    assert abs(len(direct) - len(around)) < 30
    saliency = decode_picture((maps / "coffee.png.png").read_bytes()).pixels[..., 0].astype(np.float32)
    network, masks, even = (psnr_s(coffee, pixels, saliency) for pixels in (by_network, by_masks, evenly))
    assert network > even + 1
    assert abs(network - masks) < 0.1 * (network - even)
    assert psnr(by_network, by_masks) > psnr(by_network, evenly) + 10


def test_a_box_moves_quality_into_it_and_percent_mean_the_same_box(
    one: Path, boxed: Path, evenly: Pixels, tmp_path: Path
) -> None:
    pixels = pixels_in(boxed)
    outside = np.s_[210:, :190]
    assert psnr(astronaut()[BOX], pixels[BOX]) > psnr(astronaut()[BOX], evenly[BOX]) + 1.5
    assert psnr(astronaut()[outside], pixels[outside]) < psnr(astronaut()[outside], evenly[outside])
    shares = [f"{100 * part / side:.9f}%" for part, side in ((200, 360), (40, 300), (130, 360), (160, 300))]
    _, shared = compressed(one, tmp_path / "shared", "--roi-box", ",".join(shares))
    np.testing.assert_array_equal(shared, pixels)


def test_boxes_are_in_the_upright_photo(boxed: Path, tmp_path: Path) -> None:
    (tmp_path / "turned").mkdir()
    (tmp_path / "turned/turned.png").write_bytes(turned_left(astronaut()))
    upright = pixels_in(boxed)
    _, turned = compressed(tmp_path / "turned", tmp_path / "b", "--roi-box", "200,40,130,160")
    assert upright.shape == turned.shape
    inside, there = (psnr(astronaut()[BOX], pixels[BOX]) for pixels in (upright, turned))
    assert there == pytest.approx(inside, abs=0.5)  # its EXIF block takes 2 % of the bytes


def test_a_photo_that_no_box_reaches_is_coded_evenly(one: Path, evenly: Pixels, tmp_path: Path) -> None:
    _, pixels = compressed(one, tmp_path / "boxed", "--roi-box", "5000,0,10,10")
    assert abs(psnr(astronaut(), pixels) - psnr(astronaut(), evenly)) < 0.05
    (row,) = tables.read_metrics(str(tmp_path / "boxed")).to_pylist()
    assert row["saliency_mean"] == 0 and row["psnr_s_db"] == pytest.approx(row["psnr_db"], abs=1e-4)


def test_the_same_boxes_are_up_to_date_and_others_are_not(
    one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("--roi-box", "10%,10%,30%,30%", "--roi-box", "200,40,130,160")
    same = ("--roi-box", "200,40,130,160", "--roi-box", "10.0%,10%,30%,30%")
    other = ("--roi-box", "200,40,130,161", "--roi-box", "10%,10%,30%,30%")
    for options, outcome in ((first, "1 compressed"), (same, "1 skipped"), (other, "1 compressed")):
        compressed(one, tmp_path / "archive", *options)
        assert outcome in capsys.readouterr().err


def test_the_report_shows_where_the_bits_were_wanted(boxed: Path, tmp_path: Path) -> None:
    assert main(["report", str(boxed), "--output", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    (data,) = re.findall(r'<img src="data:image/webp;base64,([^"]+)"[^>]*data-label="Saliency"', page)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
    inside = np.zeros((300, 360), bool)
    inside[BOX] = True
    assert shown.shape[:2] == inside.shape
    assert shown[inside, 0].mean() > 2 * shown[~inside, 0].mean()


@pytest.mark.parametrize("named", ["folder", "both photos"])
def test_maps_never_replace_photos(tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpg", "a.jpg.png"):
        (tmp_path / name).write_bytes(jpeg(astronaut()))
    sources = [tmp_path] if named == "folder" else [tmp_path / "a.jpg", tmp_path / "a.jpg.png"]
    assert main(["saliency", *map(str, sources), "--output", str(tmp_path)]) == 2
    assert ("the folder of the photos" if named == "folder" else "would overwrite") in capsys.readouterr().err
    assert files_below(tmp_path) == {"a.jpg", "a.jpg.png"}
    assert (tmp_path / "a.jpg.png").read_bytes() == jpeg(astronaut())
