"""Tests saliency maps: from drawn masks and boxes, from the network, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.archive.roi_boxes import parse_box
from foveate.archive.roi_weights import DEFAULT_ROI_WEIGHTS
from foveate.sandbox.client import Limits
from foveate.storage.errors import BadInput
from foveate.transforms import map_saliency
from foveate.transforms.encode import encode_plain
from tests.photos import a_photo, encoder, one
from tests.picture_files import animated, png
from tests.streams import texture


def mask(path: Path, height: int = 12, width: int = 16) -> None:
    pixels = np.zeros((height, width), np.uint8)
    pixels[: height // 2, width // 2 :] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("name", ["trip/a.png.png", "trip/a.png"])
def test_a_mask_is_found_by_the_full_name_or_by_png_for_the_ending(tmp_path: Path, name: str) -> None:
    mask(tmp_path / name)
    salient = one(map_saliency.with_mask, a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits())
    assert salient.saliency.dtype == np.float32
    np.testing.assert_array_equal(salient.saliency[:6, 8:], 1)
    assert salient.saliency.sum() == 48
    assert salient.saliency_seconds > 0


def test_the_full_name_is_preferred(tmp_path: Path) -> None:
    mask(tmp_path / "trip/a.png", 20, 20)
    mask(tmp_path / "trip/a.png.png", 10, 10)
    salient = one(map_saliency.with_mask, a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits())
    assert salient.saliency.shape == (10, 10)


def test_a_large_mask_is_averaged_down(tmp_path: Path) -> None:
    mask(tmp_path / "trip/a.png", 100, 3000)
    salient = one(map_saliency.with_mask, a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits())
    assert max(salient.saliency.shape) == 1024
    assert salient.saliency.mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_masks_of_every_kind_are_as_bright_as_they_look(tmp_path: Path, channels: int, bits: int) -> None:
    levels = np.repeat(np.array([[0, 64, 128, 255]], np.uint8), 3, 0)[:, :, np.newaxis]
    pixels = np.repeat(levels, channels, 2)
    if channels in (2, 4):
        pixels[:, :, -1] = 255
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.png").write_bytes(png(pixels if bits == 8 else pixels.astype(np.uint16) * 257))
    salient = one(map_saliency.with_mask, a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits())
    np.testing.assert_allclose(salient.saliency, levels[:, :, 0] / 255, atol=1e-6)


def test_a_mask_of_two_values_is_black_and_white(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    drawn = np.array([[False, True, True], [True, False, False]])
    Image.fromarray(drawn).save(tmp_path / "trip" / "a.png", bits=1)
    salient = one(map_saliency.with_mask, a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits())
    np.testing.assert_array_equal(salient.saliency, drawn)


def test_a_missing_mask_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"trip/a\.png\.png and trip/a\.png"):
        list(map_saliency.with_mask(a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits()))


def test_a_mask_that_is_not_a_picture_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.png").write_text("no picture")
    with pytest.raises(BadInput, match=r"the mask trip/a\.png cannot be read"):
        list(map_saliency.with_mask(a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits()))


def test_another_mask_is_another_file_in_the_archive(tmp_path: Path) -> None:
    photo = a_photo(texture(48, 64, 3))
    archive = tmp_path / "archive"
    made_by = encoder("bpp", 3, str(archive), resume=True, roi=f"masks:{tmp_path}")
    mask(tmp_path / "trip/a.png")
    first = one(map_saliency.with_mask, photo, folder=str(tmp_path), limits=Limits())
    made = one(encode_plain, first, made_by)
    assert not made.archived
    (archive / "trip").mkdir(parents=True)
    (archive / "trip/a.png.jp2").write_bytes(made.file.jp2)
    assert one(
        encode_plain, one(map_saliency.with_mask, photo, folder=str(tmp_path), limits=Limits()), made_by
    ).archived
    mask(tmp_path / "trip/a.png", 12, 20)
    assert not one(
        encode_plain, one(map_saliency.with_mask, photo, folder=str(tmp_path), limits=Limits()), made_by
    ).archived


def test_a_mask_that_moves_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.png").write_bytes(animated("PNG"))
    with pytest.raises(BadInput, match=r"the mask trip/a\.png cannot be read: an? .*animat[^,]*$"):
        list(map_saliency.with_mask(a_photo(texture(48, 64, 3)), folder=str(tmp_path), limits=Limits()))


def test_the_inside_of_a_box_matters() -> None:
    photo = a_photo(texture(48, 64, 3))
    salient = one(map_saliency.with_boxes, photo, boxes=(parse_box("75%,50%,999,999"), parse_box("0,0,1,1")))
    assert salient.photo is photo and not salient.mask_sha256
    np.testing.assert_array_equal(salient.saliency[24:, 48:], 1)
    assert salient.saliency.sum() == 24 * 16 + 1


def test_without_saliency_all_places_are_alike() -> None:
    photo = a_photo(texture(48, 64, 3))
    salient = one(map_saliency.without_saliency, photo)
    assert salient.photo is photo and salient.saliency is None


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (2, 16), (3, 16), (4, 8)])
def test_the_networks_map_photos_of_every_kind(channels: int, bits: int) -> None:
    handler = map_saliency.FindStructures(DEFAULT_ROI_WEIGHTS).handler()
    photo = a_photo(texture(90, 131, channels, bits))
    (salient,) = handler.run_inference([photo], handler.load_model())
    assert salient.photo is photo
    assert salient.saliency.ndim == 2 and salient.saliency.dtype == np.float32
    assert salient.saliency.min() >= 0 and salient.saliency.max() <= 1
    assert salient.found.faces.shape == salient.found.writing.shape == salient.saliency.shape


def test_a_mask_is_held_to_the_limits_of_a_photo(tmp_path: Path) -> None:
    mask(tmp_path / "trip/a.png", 100, 100)
    photo = a_photo(texture(48, 64, 3))
    for limits, reason in (
        (Limits(pixels=9999), "10,?000 pixels"),
        (Limits(file_bytes=50), "limit of 50 bytes"),
    ):
        with pytest.raises(BadInput, match=reason):
            list(map_saliency.with_mask(photo, folder=str(tmp_path), limits=limits))
