"""Training on a few generated photos: the same seed trains the same, and what was interrupted goes on."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.models import comcnn, reccnn, tiling
from foveate.models.training import fitting, photos, regions, restoration, similarity
from foveate.pipelines.train import code_region
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


def test_photos_are_found_below_a_folder_in_order_and_as_colour(folder: Path) -> None:
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


def test_some_regions_are_prepared_and_say_so() -> None:
    preparing = comcnn.load()
    prepared = 0
    for seed in range(12):
        plain, other = (
            code_region(region(), np.random.default_rng(seed), network) for network in (None, preparing)
        )
        if other.noise[0, 0, 4]:
            prepared += 1
            assert (other.noise[..., 4] == 1).all() and (other.decoded != plain.decoded).any()
        else:
            np.testing.assert_array_equal(other.decoded, plain.decoded)
    assert 0 < prepared < 12


class Coder:
    """`code_region` that remembers the regions it was given."""

    def __init__(self) -> None:
        self.regions: list[bytes] = []

    def __call__(self, region: NDArray[np.uint8], rng: np.random.Generator) -> regions.CodedRegion:
        self.regions.append(region.tobytes())
        return code_region(region, rng)


def train_on_codec(photos: Path, output: Path, coder: Coder) -> None:
    """Three epochs of two steps, on top of what the joint stage left."""
    if not output.exists():
        output.mkdir()
        shutil.copy(output.parent / "joint" / "reccnn_fast.weights.h5", output)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "STEPS_PER_EPOCH", 2)
        restoration.train_on_codec(photos, output, coder, steps=6, batch=2, patch=32, regions=6, seed=5)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Coder]:
    """A folder where joint/ had one step of the joint stage, and codec/ six of the other with the coder."""
    root, coder = tmp_path_factory.mktemp("trained"), Coder()
    restoration.train_joint(folder, root / "joint", steps=1, batch=2, patch=32, seed=3)
    train_on_codec(folder, root / "codec", coder)
    return root, coder


@pytest.mark.slow
def test_both_stages_write_weights_that_load_and_serve(trained: tuple[Path, Coder]) -> None:
    root, _ = trained
    pixels = sample(24, 33, 3)
    for network, channels in (
        (comcnn.load(root / "joint" / "comcnn.weights.h5"), 4),
        (reccnn.load(folder=root / "joint"), 5),
        (reccnn.load(folder=root / "codec"), 5),
    ):
        out = tiling.run(network, pixels, np.full((3, 5, channels), 0.1, np.float32))
        assert out.shape == pixels.shape
    before, after = (root / stage / "reccnn_fast.weights.h5" for stage in ("joint", "codec"))
    assert before.read_bytes() != after.read_bytes()


def test_comcnn_trains_alone_too(folder: Path, tmp_path: Path) -> None:
    restoration.train_comcnn_alone(folder, tmp_path, steps=1, batch=2, patch=32)
    network = comcnn.load(tmp_path / "comcnn_alone.weights.h5")
    pixels = sample(24, 33, 3)
    assert tiling.run(network, pixels, np.full((3, 5, 4), 0.1, np.float32)).shape == pixels.shape


@pytest.mark.slow
def test_the_log_has_a_line_an_epoch(trained: tuple[Path, Coder]) -> None:
    root, _ = trained
    assert (root / "joint" / "joint" / "log.csv").read_text().count("\n") == 2
    assert (root / "codec" / "codec-fast" / "log.csv").read_text().count("\n") == 4


@pytest.mark.slow
def test_patches_are_of_as_many_regions_as_were_asked_for(trained: tuple[Path, Coder]) -> None:
    _, coder = trained
    assert len(coder.regions) == len(set(coder.regions)) == 6


def test_patches_of_coded_regions_fit_together() -> None:
    photo = texture(96, 96, 3)
    noise = np.arange(12 * 12 * 5, dtype=np.float32).reshape(12, 12, 5)
    coded = regions.CodedRegion(photo, 255 - photo, noise)
    (batch,) = restoration._coded_batches([coded], batch=4, patch=32, seed=2)[0]
    np.testing.assert_allclose(batch["decoded"], 1 - batch["photo"], atol=1e-6)
    for patch, cells in zip(batch["photo"], batch["noise"], strict=True):
        y, x = (int(cells[0, 0, 0]) // 5 // 12 * 8, int(cells[0, 0, 0]) // 5 % 12 * 8)
        np.testing.assert_allclose(patch * 255, photo[y : y + 32, x : x + 32], atol=1e-3)
    assert len({float(cells[0, 0, 0]) for cells in batch["noise"]}) > 1


def test_every_epoch_has_other_patches() -> None:
    coded = regions.CodedRegion(texture(256, 256, 3), texture(256, 256, 3), np.zeros((32, 32, 5), np.float32))
    batches = restoration._coded_batches([coded], batch=2, patch=32, seed=2)
    first = batches[0][0]["photo"]
    batches.epoch = 1
    assert (batches[0][0]["photo"] != first).any()


@pytest.mark.slow
def test_training_that_was_interrupted_goes_on_where_it_was(
    folder: Path, trained: tuple[Path, Coder], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = trained
    real = fitting.dataset

    def failing(make: Callable[[np.random.Generator], Any], seed: int) -> Any:
        made: list[None] = []

        def make_or_fail(rng: np.random.Generator) -> Any:
            made.append(None)
            if len(made) == 4:
                raise RuntimeError("the power went")
            return make(rng)

        return real(make_or_fail, seed)

    monkeypatch.setattr(restoration, "dataset", failing)
    # TensorFlow wraps what a thread that makes batches raised.
    with pytest.raises(Exception, match="the power went"):
        train_on_codec(folder, root / "halves", Coder())
    monkeypatch.setattr(restoration, "dataset", real)
    train_on_codec(folder, root / "halves", Coder())
    epochs = (root / "halves" / "codec-fast" / "log.csv").read_text().split()
    assert [line.partition(",")[0] for line in epochs] == ["epoch", "0", "1", "2"]
    networks = [reccnn.build(), reccnn.build()]
    for network, name in zip(networks, ("codec", "halves"), strict=True):
        network.load_weights(root / name / "reccnn_fast.weights.h5")
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_grown_network_computes_what_the_smaller_one_does_and_can_learn_more() -> None:
    import keras

    keras.utils.set_random_seed(0)
    smaller, larger = reccnn.build("fast"), reccnn.build("best")
    rng = np.random.default_rng(1)
    for weight in smaller.trainable_weights:
        weight.assign(rng.normal(0, 0.05, weight.shape))
    restoration.grow(smaller, larger, rng)
    decoded = texture(48, 64, 3)[None].astype(np.float32) / 255
    noise = rng.uniform(0.02, 0.2, (1, 6, 8, 5)).astype(np.float32)
    before = smaller([decoded, noise], training=False)
    assert np.abs(before - decoded).max() > 0.01
    np.testing.assert_allclose(larger([decoded, noise], training=False), before, atol=1e-5)
    new = larger.get_layer("block0_b").kernel[:, :, 32:, 32:]
    assert np.abs(new).mean() > 0.01


@pytest.mark.slow
def test_best_trains_from_the_weights_of_fast(trained: tuple[Path, Coder], tmp_path: Path) -> None:
    root, _ = trained
    folder = root.parent / "best"
    shutil.copytree(root / "joint", folder, ignore=shutil.ignore_patterns("joint"))
    image = tmp_path / "photo.png"
    Image.fromarray(texture(150, 150, 3)).save(image)
    restoration.train_on_codec(
        tmp_path, folder, code_region, size="best", loss="ms-ssim", steps=1, batch=2, patch=32, regions=2
    )
    assert reccnn.load("best", folder).receptive_field == 64


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
