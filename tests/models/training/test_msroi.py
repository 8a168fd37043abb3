from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.models import array_files, efficientnet, msroi
from foveate.models.training import msroi as training
from foveate.models.training.compositions import Material, read_material, with_cutout, with_writing
from foveate.models.training.salient_views import Mix, prepare, read_pairs
from foveate.pipelines import cli
from tests.models.test_msroi import original_arrays

FEW = training.Recipe(mix=Mix(1, 1, 0), steps=2, batch=2, checkpoint_every=2, learning_rate=3e-3)


def disc_photos(folder: Path, count: int) -> tuple[Path, Path]:
    """Photos of a bright disc on noise, and their masks."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    generator = np.random.default_rng(len(str(folder)))
    height, width = 60, 191
    for index in range(count):
        rows, columns = np.mgrid[:height, :width]
        center = generator.uniform(0.3, 0.7, 2) * (height, width)
        disc = (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < 20**2
        photo = generator.integers(0, 90, (height, width, 3))
        photo[disc] += (150, 120, 20)
        Image.fromarray(photo.astype(np.uint8)).save(images / f"{index}.png")
        Image.fromarray((disc * 255).astype(np.uint8)).save(masks / f"{index}.png")
    return images, masks


def star(side: int = 80) -> Any:
    """A cut-out: an opaque cross of one color on nothing."""
    cutout = np.zeros((side, side, 4), np.uint8)
    cutout[side // 3 : side // 2] = cutout[:, side // 3 : side // 2] = (250, 30, 40, 255)
    return cutout


def test_scores_by_hand() -> None:
    mask = np.zeros((4, 8), np.float32)
    mask[:, :4] = 1
    exact = training.score_maps([mask], [mask])
    assert exact.mean_absolute_error == 0
    assert exact.max_f == pytest.approx(1)
    half = training.score_maps([np.full((1, 1), 0.5, np.float32)], [mask])
    assert half.mean_absolute_error == 0.5
    assert half.max_f == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))


@pytest.mark.slow
def test_training_learns_and_resumes_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "backbone.npz", **original_arrays())
    images, masks = disc_photos(tmp_path / "train", 2)
    disc_photos(tmp_path / "validation", 1)
    recipe = dataclasses.replace(FEW, backbone=tmp_path / "backbone.npz", steps=4)
    whole = training.train(images, masks, tmp_path / "whole.npz", recipe, tmp_path / "validation")
    assert whole is not None
    assert not (tmp_path / "whole.checkpoint.npz").exists()

    write = array_files.write_arrays

    def write_then_fail(path: Any, arrays: Any) -> None:
        write(path, arrays)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(array_files, "write_arrays", write_then_fail)
        training.train(images, masks, tmp_path / "cut.npz", recipe, tmp_path / "validation")
    assert (tmp_path / "cut.checkpoint.npz").exists()
    resumed = training.train(images, masks, tmp_path / "cut.npz", recipe, tmp_path / "validation")
    assert resumed is not None
    assert resumed.mean_absolute_error == pytest.approx(whole.mean_absolute_error, abs=0.02)


@pytest.mark.slow
def test_training_without_a_backbone_starts_from_the_shipped_one(tmp_path: Path) -> None:
    images, masks = disc_photos(tmp_path, 2)
    output = tmp_path / "weights.npz"
    recipe = dataclasses.replace(FEW, steps=1, material=Material(cutouts=[star()]), mix=Mix(3, 1, 1))
    assert training.train(images, masks, output, recipe) is None
    trained, shipped = array_files.read_arrays(output), array_files.read_arrays(msroi.WEIGHTS)
    assert trained.keys() == shipped.keys()
    np.testing.assert_array_equal(trained["stem/kernel"], shipped["stem/kernel"])


def test_what_training_writes_gives_the_maps_that_it_saw(tmp_path: Path) -> None:
    """The standardisation of features is folded into the weights: both ways round they mean the same."""
    arrays = efficientnet.convert(original_arrays())
    images, masks = disc_photos(tmp_path, 2)
    views = prepare(arrays, read_pairs(images, masks), Mix(1, 0, 0), Material(), 0)
    standardisation = training.Standardisation.of(views)
    decoder = training._compiled(2, 1e-3)
    features, _ = training._batch(views, standardisation)
    expected = decoder(features, training=False)
    for variable, average in zip(
        decoder.trainable_variables, decoder.optimizer._model_variables_moving_average, strict=True
    ):
        average.assign(variable)
    plain = msroi.build_decoder()
    msroi.set_decoder_weights(plain, training._folded(decoder, standardisation))
    raw = {name: np.stack([view.features[name] for view in views]).astype(np.float32) for name in features}
    np.testing.assert_allclose(plain(raw), expected, atol=2e-3)


def test_a_photo_without_its_mask_is_named(tmp_path: Path) -> None:
    images, masks = disc_photos(tmp_path, 2)
    (masks / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.png has no mask"):
        read_pairs(images, masks)


def test_folds_contain_every_photo_once_and_are_nearly_equal() -> None:
    parts = training.folds(103, 10, seed=4)
    assert sorted(index for part in parts for index in part) == list(range(103))
    assert {len(part) for part in parts} == {10, 11}
    assert parts != training.folds(103, 10, seed=5)
    assert training.folds(103, 10, seed=4) == parts


def test_a_split_leaves_the_rest() -> None:
    (part,) = training.held_out(10, 0.7)
    assert len(set(part)) == 3
    assert part == sorted(part)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_folds_that_cannot_be_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="cannot be cross-validated"):
        training.folds(3, number)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.05])
def test_a_split_with_an_empty_side_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="leaves one side empty"):
        training.held_out(3, share)


@pytest.mark.slow
def test_cross_validation_scores_each_part_and_resumes_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks = disc_photos(tmp_path, 3)
    seen: list[tuple[set[int], int]] = []
    fit = training._fit

    def counted(arrays: Any, views: Any, tests: Any, *rest: Any) -> Any:
        seen.append(({view.photo for view in views}, len(tests)))
        return fit(arrays, views, tests, *rest)

    monkeypatch.setattr(training, "_fit", counted)

    def two_parts(count: int) -> list[list[int]]:
        assert count == 3
        return [[0], [1, 2]]

    output = tmp_path / "weights.npz"
    scores = training.cross_validate(images, masks, output, FEW, two_parts)
    assert seen == [({1, 2}, 1), ({0}, 2)]
    assert (tmp_path / "weights-1.npz").exists()
    assert (tmp_path / "weights-2.npz").exists()
    assert training.cross_validate(images, masks, output, FEW, two_parts) == scores
    assert len(seen) == 2
    mean = training.mean_score(scores)
    assert mean.max_f == pytest.approx((scores[0].max_f + scores[1].max_f) / 2)


def test_folds_and_split_are_options_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def instead(images: Path, masks: Path, output: Path, recipe: training.Recipe, divide: Any) -> Any:
        asked.append((recipe.steps, divide(10)))
        return [training.Score(0.1, 0.8), training.Score(0.3, 0.6)]

    monkeypatch.setattr(training, "cross_validate", instead)
    common = ["train", "msroi", "--photos", str(tmp_path), "--output", str(tmp_path), "--steps", "7"]
    assert cli.main([*common, "--folds", "5"]) == 0
    assert cli.main([*common, "--split", "0.7"]) == 0
    assert [(steps, [len(part) for part in parts]) for steps, parts in asked] == [(7, [2] * 5), (7, [3])]
    assert "mean_absolute_error=0.2" in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--folds", "1"), ("--folds", "0"), ("--split", "0"), ("--split", "1")])
def test_folds_and_splits_that_cannot_be_are_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    common = ["train", "msroi", "--photos", str(tmp_path), "--output", str(tmp_path / "out")]
    assert cli.main([*common, *option]) == 2
    assert not (tmp_path / "out").exists()


def test_writing_shows_in_the_photo_and_in_the_mask() -> None:
    photo, mask = np.full((120, 170, 3), 90, np.uint8), np.zeros((120, 170), np.float32)
    mask[:10, :10] = 1
    pages = 0
    for seed in range(20):
        written, found = with_writing(photo, mask, (), np.random.default_rng(seed))
        assert written.shape == photo.shape
        assert found.shape == mask.shape
        assert found.min() >= 0
        assert found.max() == 1
        changed = np.abs(written.astype(int) - 90).sum(-1) > 60
        if found[:10, :10].min() == 1:  # a photo, not a page
            assert found[changed].mean() > 0.35  # some of it is the plate around the words
            assert found[changed].mean() > 1.5 * found[~changed].mean()
            assert 0.01 < (found > 0.5).mean() < 0.95
        else:
            pages += 1
    assert 0 < pages < 10


def test_a_cutout_shows_in_the_photo_and_in_the_mask() -> None:
    photo, mask = np.full((120, 170, 3), 90, np.uint8), np.zeros((120, 170), np.float32)
    for seed in range(5):
        composed, found = with_cutout(photo, mask, [star()], np.random.default_rng(seed))
        red = composed[..., 0] > 200
        assert red.sum() > 50
        assert found[red].min() > 0.5
        assert found[~red & (composed == 90).all(-1)].max() < 0.05


def test_cutouts_without_transparency_and_small_ones_are_left_out(tmp_path: Path) -> None:
    Image.fromarray(star()).save(tmp_path / "star.png")
    Image.fromarray(star(20)).save(tmp_path / "small.png")
    Image.fromarray(star()[..., :3]).save(tmp_path / "opaque.png")
    material = read_material(None, tmp_path)
    assert [cutout.shape for cutout in material.cutouts] == [(80, 80, 4)]
    with pytest.raises(FileNotFoundError, match="no font"):
        read_material(tmp_path, None)
