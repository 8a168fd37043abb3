"""Tests maps as files: of the photo's size, usable as masks; and overlays, which are not."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from foveate.models.structures import NAMES, Structures
from foveate.pictures.formats import decode_picture
from foveate.quality.overlay import heat_over, overlay_picture
from foveate.quality.saliency import resize_saliency
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.transforms import map_saliency, write_maps
from foveate.transforms.elements import SalientPhoto
from foveate.transforms.progress import Progress, ProgressLine, read_progress
from foveate.transforms.read import KEPT, read_photo
from foveate.transforms.write_maps import Extras
from tests.photos import a_photo, corner, one, outputs, salient, source
from tests.picture_files import cmyk_jpeg
from tests.streams import texture


def written(element: SalientPhoto, folder: Path, extras: Extras = Extras()) -> list[Path]:  # noqa: B008 (frozen)
    progress = Progress(str(folder / "progress"))
    urls = list(write_maps.write_map(element, str(folder), extras, progress))
    return [Path(os.fsdecode(url)) for url in urls]


@pytest.mark.parametrize(
    ("height", "width", "channels", "bits"), [(2500, 3, 1, 8), (61, 90, 4, 16), (1, 1, 3, 8)]
)
def test_a_map_is_gray_and_of_the_photos_size(
    tmp_path: Path, height: int, width: int, channels: int, bits: int
) -> None:
    element = salient(texture(height, width, channels, bits), corner(9, 7) * np.float32(0.8))
    (path,) = written(element, tmp_path)
    assert path == tmp_path / "trip/a.png.png"
    picture = decode_picture(path.read_bytes())
    assert picture.pixels.shape == (height, width, 1) and picture.pixels.dtype == np.uint8
    expected = 255 * resize_saliency(corner(9, 7) * np.float32(0.8), height, width)
    np.testing.assert_allclose(picture.pixels[..., 0], expected, atol=0.501)
    assert read_progress(tmp_path / "progress")[0] == [
        ProgressLine("mapped", height * width, element.photo.source.size_bytes, 0)
    ]


def test_a_map_is_its_photos_mask(tmp_path: Path) -> None:
    levels = np.rint(255 * np.random.default_rng(3).random((48, 64))).astype(np.float32) / np.float32(255)
    element = salient(texture(48, 64, 3), levels)
    written(element, tmp_path)
    masked = one(map_saliency.with_mask, element.photo, folder=str(tmp_path), limits=Limits())
    np.testing.assert_array_equal(masked.saliency, levels)


def test_each_structure_has_a_map_where_asked(tmp_path: Path) -> None:
    low, middle, high = (np.full((6, 8), level, np.float32) for level in (0.2, 0.4, 0.6))
    found = Structures(low, middle, high, ())
    element = dataclasses.replace(salient(texture(48, 64, 3), corner()), found=found)
    paths = written(element, tmp_path, Extras(channels=True))[1:]
    assert [path.name for path in paths] == [f"a.png.{name}.png" for name in NAMES]
    for path, level in zip(paths, (51, 102, 153), strict=True):
        np.testing.assert_array_equal(decode_picture(path.read_bytes()).pixels, level)
    assert {str(path) for path in paths} < set(write_maps.all_urls(str(tmp_path), element.source))


def test_an_overlay_is_no_mask(tmp_path: Path) -> None:
    path, overlay = written(salient(texture(48, 64, 3), corner()), tmp_path, Extras(overlay=True))
    assert overlay == tmp_path / "trip/a.png.overlay.jpg"
    assert decode_picture(overlay.read_bytes()).pixels.shape == (48, 64, 3)
    path.unlink()
    with pytest.raises(BadInput, match="no mask"):
        list(map_saliency.with_mask(a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits()))


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (2, 16), (3, 16), (4, 8)])
def test_overlays_are_bright_where_the_map_is(channels: int, bits: int) -> None:
    shown = overlay_picture(corner(), texture(90, 130, channels, bits)).astype(int)
    assert shown.shape == (90, 130, 3)
    assert shown[50:, 70:, 0].min() > shown[:40, :60, 0].max() + 50


def test_overlays_of_large_photos_are_for_the_screen() -> None:
    assert overlay_picture(corner(), texture(30, 4100, 3)).shape == (15, 2048, 3)


def test_heat_rises_with_salience_alone_where_the_photo_is_even() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[np.newaxis]
    heat = heat_over(ramp, np.full((1, 64, 3), 90, np.uint8)).astype(int)
    assert (np.diff(heat[0].sum(-1)) > 0).all()


def test_a_file_that_has_no_map_is_counted(tmp_path: Path) -> None:
    (tmp_path / "cmyk.jpg").write_bytes(cmyk_jpeg())
    (kept,) = outputs(read_photo(source(tmp_path / "cmyk.jpg"), Limits()))[KEPT]
    write_maps.skip_kept(kept, Progress(str(tmp_path / "progress")))
    assert read_progress(tmp_path / "progress")[0] == [ProgressLine("skipped", 0, kept.source.size_bytes, 0)]
