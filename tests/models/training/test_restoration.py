"""Tests training on a few generated photos: every stage writes usable weights."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.models import comcnn, reccnn, tiling
from foveate.models.training import fitting, photos, restoration, similarity
from foveate.pipelines.train import code_region, validation_regions
from foveate.quality.ssim import ms_ssim
from tests.picture_files import sample
from tests.streams import texture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    (root / "below").mkdir()
    Image.fromarray(texture(150, 210, 3)).save(root / "b.png")
    Image.fromarray(texture(170, 140, 1)[..., 0]).save(root / "below" / "a.webp", lossless=True)
    Image.fromarray(sample(300, 290, 3)).save(root / "c.jpg")
    (root / "notes.txt").write_text("not a photo")
    return root


@functools.cache
def region(size: int = 128) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = texture(size, size, 3)
    return pixels


def test_photos_are_found_below_a_folder_in_order_and_as_color(folder: Path) -> None:
    assert [photo.shape for photo in photos.load_photos(folder)] == [
        (150, 210, 3),
        (170, 140, 3),
        (300, 290, 3),
    ]


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        photos.load_photos(tmp_path)


def test_the_same_seed_draws_the_same_patches(folder: Path) -> None:
    loaded = photos.load_photos(folder)
    first, again, other = (
        [photos.random_patch(loaded, 32, rng) for _ in range(6)]
        for rng in (np.random.default_rng(seed) for seed in (4, 4, 5))
    )
    assert all(patch.shape == (32, 32, 3) and patch.dtype == np.uint8 for patch in first)
    np.testing.assert_array_equal(first, again)
    assert (np.array(first) != np.array(other)).any()


def test_some_patches_are_gray(folder: Path) -> None:
    loaded = photos.load_photos(folder)[:1]
    patch = photos.random_patch(loaded, 32, np.random.default_rng(1), gray_share=1)
    assert (patch == patch[..., :1]).all()
    assert np.ptp(patch) > 0


@pytest.mark.parametrize("seed", range(8))
def test_noise_maps_stay_within_the_steps_that_files_have(seed: int) -> None:
    noise = restoration.random_noise_map(12, np.random.default_rng(seed))
    assert noise.shape == (12, 12, 4) and noise.dtype == np.float32
    assert noise.min() >= restoration.FINEST / 4 and noise.max() <= 1


def test_a_coded_region_comes_with_the_noise_map_of_its_own_stream() -> None:
    rng = np.random.default_rng(0)
    errors, steps = [], []
    for _ in range(8):
        coded = code_region(region(), rng)
        assert coded.decoded.shape == region().shape and coded.decoded.dtype == np.uint8
        assert coded.noise.shape == (16, 16, 5) and not coded.noise[..., 4].any()
        errors.append(np.mean((coded.decoded.astype(float) - region()) ** 2))
        steps.append(float(np.mean(np.log(coded.noise[..., :4]))))
    assert np.corrcoef(np.log(errors), steps)[0, 1] > 0.8


def test_the_same_generator_codes_the_same_region() -> None:
    first, again = (code_region(region(), np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first.decoded, again.decoded)
    np.testing.assert_array_equal(first.noise, again.noise)


def test_some_regions_are_prefiltered_and_say_so() -> None:
    prefilter = comcnn.load()
    prefiltered = 0
    for seed in range(12):
        plain, other = (
            code_region(region(), np.random.default_rng(seed), network) for network in (None, prefilter)
        )
        if other.noise[0, 0, 4]:
            prefiltered += 1
            assert (other.noise[..., 4] == 1).all() and (other.decoded != plain.decoded).any()
        else:
            np.testing.assert_array_equal(other.decoded, plain.decoded)
    assert 0 < prefiltered < 12


def coding(count: int = 6) -> restoration.PatchSource:
    return restoration.PatchSource(code_region, "generated photos", regions=count, side=128)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where joint/ had one step of the joint stage, and codec/ two more of the other."""
    root = tmp_path_factory.mktemp("trained")
    restoration.train_joint(folder, root / "joint", steps=1, batch=2, patch=32, seed=3)
    (root / "codec").mkdir()
    shutil.copy(root / "joint" / "reccnn_fast.weights.h5", root / "codec")
    restoration.train_on_codec(
        folder,
        root / "codec",
        coding(),
        steps=2,
        batch=2,
        patch=32,
        seed=5,
        validation=validation_regions(folder),
    )
    return root


@pytest.mark.slow
def test_both_stages_write_weights_that_load_and_serve(trained: Path) -> None:
    pixels = sample(24, 33, 3)
    for network, channels in (
        (comcnn.load(trained / "joint" / "comcnn.weights.h5"), 4),
        (reccnn.load(folder=trained / "joint"), 5),
        (reccnn.load(folder=trained / "codec"), 5),
    ):
        out = tiling.run(network, pixels, np.full((3, 5, channels), 0.1, np.float32))
        assert out.shape == pixels.shape
    before, after = (trained / stage / "reccnn_fast.weights.h5" for stage in ("joint", "codec"))
    assert before.read_bytes() != after.read_bytes()


def test_comcnn_trains_alone_too(folder: Path, tmp_path: Path) -> None:
    restoration.train_comcnn_alone(folder, tmp_path, steps=1, batch=2, patch=32)
    network = comcnn.load(tmp_path / "comcnn_alone.weights.h5")
    pixels = sample(24, 33, 3)
    assert tiling.run(network, pixels, np.full((3, 5, 4), 0.1, np.float32)).shape == pixels.shape


@pytest.mark.slow
def test_the_log_has_a_gain_for_every_rate_of_validation(trained: Path) -> None:
    (row,) = fitting.read_log(trained / "codec" / "codec-fast" / "log.csv")
    gains = [value for name, value in row.items() if name.startswith("gain_db_at_")]
    assert len(gains) == 5 and row[fitting.VALIDATION] == pytest.approx(np.mean(gains), abs=1e-6)


def test_a_network_that_changes_nothing_gains_nothing(folder: Path) -> None:
    gains = restoration.validation_gains(reccnn.build(), validation_regions(folder))
    assert gains == dict.fromkeys(gains, 0.0)


def test_validation_regions_have_the_rates_they_are_kept_under(folder: Path) -> None:
    found = validation_regions(folder)
    assert list(found) == sorted(found) and {len(regions) for regions in found.values()} == {3}
    errors = [
        [np.mean((region.photo.astype(float) - region.decoded) ** 2) for region in regions]
        for regions in found.values()
    ]
    assert (np.diff(errors, axis=0) < 0).all()


@pytest.mark.slow
def test_best_trains_on_the_regions_that_are_there(trained: Path, tmp_path: Path) -> None:
    there = dataclasses.replace(coding(), folder=trained / "codec" / "regions")
    nowhere = tmp_path / "nowhere"
    restoration.train_on_codec(
        nowhere, tmp_path, there, size="best", loss="relative", steps=1, batch=2, patch=32, seed=5
    )
    assert reccnn.load("best", tmp_path).sha256


@pytest.mark.parametrize("loss", restoration.LOSSES)
def test_losses_are_least_for_the_photo_itself(loss: str) -> None:
    photo = texture(64, 64, 3)[None].astype(np.float32) / 255
    worse = np.clip(photo + np.random.default_rng(0).normal(0, 0.05, photo.shape), 0, 1).astype(np.float32)
    values = [
        float(restoration.LOSSES[loss](photo, other, np.array([0.01], np.float32))[0])
        for other in (photo, 0.5 * (photo + worse), worse)
    ]
    assert np.isfinite(values).all() and values == sorted(values) and values[0] < values[1] < values[2]


def test_the_ms_ssim_loss_of_flat_patches_is_a_number() -> None:
    flat = np.full((1, 48, 48, 3), 0.7, np.float32)
    noise = np.random.default_rng(0).normal(0, 1e-4, flat.shape).astype(np.float32)
    loss = restoration.LOSSES["ms-ssim"](flat, flat + noise, np.array([0.01], np.float32))
    assert np.isfinite(loss).all()


def test_ms_ssim_as_a_loss_agrees_with_the_measure() -> None:
    first = texture(192, 208, 3)
    rng = np.random.default_rng(0)
    second = np.clip(first + rng.normal(0, 12, first.shape), 0, 255).astype(np.uint8)
    pair = [picture[None, ..., :1].repeat(3, -1).astype(np.float32) / 255 for picture in (first, second)]
    value = float(similarity.ms_ssim(*pair)[0])
    assert value == pytest.approx(ms_ssim(first[..., :1], second[..., :1]), abs=2e-3)
    assert float(similarity.ms_ssim(pair[0], pair[0])[0]) == pytest.approx(1, abs=1e-5)


def test_ms_ssim_wants_patches_as_large_as_its_window() -> None:
    patch = np.zeros((1, 10, 32, 3), np.float32)
    with pytest.raises(ValueError, match="11 pixels"):
        similarity.ms_ssim(patch, patch)
