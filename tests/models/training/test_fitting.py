"""Tests the training loop on a small network: killed anywhere, it ends with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.models.training import fitting
from foveate.models.training.fitting import BEST, CHECKPOINT, LOG, VALIDATION, Batch, Course, Objective, fit

COURSE = Course(steps=10, rate=0.01, averaging=0.8, every=4)


def network() -> Any:
    """Two convolutions with normalization between them, the same each time."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    picture = layers.Input((None, None, 1))
    x = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(picture))
    return keras.Model(picture, layers.Conv2D(1, 3, padding="same")(x))


def objective(model: Any) -> Objective:
    from keras import ops

    def measure(batch: dict[str, Any]) -> dict[str, Any]:
        error = ops.mean(ops.square(model(batch["noisy"], training=True) - batch["clean"]))
        return {"loss": error, "error_twice": 2 * error}

    return Objective([model], measure)


def make(rng: np.random.Generator) -> Batch:
    clean = rng.random((2, 8, 8, 1), dtype=np.float32)
    return {"clean": clean, "noisy": clean + rng.normal(0, 0.1, clean.shape).astype(np.float32)}


def trained(
    folder: Path,
    course: Course = COURSE,
    make: Callable[[np.random.Generator], Batch] = make,
    validate: Callable[[Any], Mapping[str, float]] | None = None,
) -> list[NDArray[np.float32]]:
    """All variables after training in a folder."""
    model = network()
    fit(objective(model), make, folder, course, 3, None if validate is None else lambda: validate(model))
    return [np.array(variable) for variable in model.variables]


def killed_at(moment: int) -> Callable[[np.random.Generator], Batch]:
    """`make` that fails at a given call."""
    calls: list[None] = []

    def make_or_fail(rng: np.random.Generator) -> Batch:
        calls.append(None)
        if len(calls) == moment:
            raise RuntimeError("the power went")
        return make(rng)

    return make_or_fail


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[NDArray[np.float32]]]:
    """A folder with an uninterrupted training, and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, trained(folder)


@pytest.mark.parametrize("moment", [1, 3, 6, 9])
def test_killed_and_resumed_training_gives_the_same_weights_and_log(
    moment: int, whole: tuple[Path, list[NDArray[np.float32]]], tmp_path: Path
) -> None:
    folder, expected = whole
    with pytest.raises(RuntimeError, match="the power went"):
        trained(tmp_path, make=killed_at(moment))
    (tmp_path / "checkpoint.writing").write_bytes(b"half a checkpoint")
    for found, wanted in zip(trained(tmp_path), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    first, second = (fitting.read_log(each / LOG) for each in (folder, tmp_path))
    for row in first + second:
        del row["cpu_seconds"]
    assert first == second
    assert [row["step"] for row in first] == [4, 8, 10]


def test_lines_of_the_log_past_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    trained(tmp_path, Course(steps=4, rate=0.01, cooldown=0, every=4))
    checkpoint = (tmp_path / CHECKPOINT).read_bytes()
    longer = Course(steps=8, rate=0.01, cooldown=0, every=4)
    expected = trained(tmp_path, longer)
    (tmp_path / CHECKPOINT).write_bytes(checkpoint)
    for found, wanted in zip(trained(tmp_path, longer), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [row["step"] for row in fitting.read_log(tmp_path / LOG)] == [4, 8]


def test_training_reduces_the_loss_and_logs_all_that_is_measured(tmp_path: Path) -> None:
    trained(tmp_path, Course(steps=120, rate=0.03, every=40))
    rows = fitting.read_log(tmp_path / LOG)
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"]
    assert all(row["error_twice"] == pytest.approx(2 * row["loss"], rel=1e-4) for row in rows)
    seconds = [row["cpu_seconds"] for row in rows]
    assert seconds == sorted(seconds) and seconds[-1] > 0


def test_the_best_averaged_weights_are_kept(tmp_path: Path) -> None:
    gains = iter([1.0, 3.0, 2.0])
    seen: list[list[NDArray[np.float32]]] = []

    def validate(model: Any) -> Mapping[str, float]:
        seen.append([np.array(variable) for variable in model.trainable_variables])
        return {"gain_db_at_1": 0.5, VALIDATION: next(gains)}

    model = network()
    fit(objective(model), make, tmp_path, COURSE, 3, lambda: validate(model))
    for kept, second in zip(model.trainable_variables, seen[1], strict=True):
        np.testing.assert_array_equal(kept, second)
    assert (tmp_path / BEST).exists()
    assert [row[VALIDATION] for row in fitting.read_log(tmp_path / LOG)] == [1, 3, 2]


def test_validation_changes_nothing_about_training(
    whole: tuple[Path, list[NDArray[np.float32]]], tmp_path: Path
) -> None:
    gains = iter([1.0, 2.0, 3.0])
    found = trained(tmp_path, validate=lambda model: {VALIDATION: next(gains)})
    for one, other in zip(found, whole[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_averages_lag_behind_the_weights(tmp_path: Path) -> None:
    start = np.array(network().variables[0])
    moved = []
    for averaging in (0.0, 0.5):
        folder = tmp_path / str(averaging)
        found = trained(folder, Course(steps=8, rate=0.01, cooldown=0, averaging=averaging))
        with np.load(folder / CHECKPOINT) as arrays:
            moved.append(np.abs(found[0] - start).mean() / np.abs(arrays["weight0"] - start).mean())
    assert moved[0] == pytest.approx(1, abs=1e-3) and 0.3 < moved[1] < 0.97


def test_a_batch_without_a_finite_gradient_is_skipped(tmp_path: Path) -> None:
    def spoiled(rng: np.random.Generator) -> Batch:
        batch = make(rng)
        if rng.random() < 0.5:
            batch["clean"][0, 0, 0] = np.nan
        return batch

    found = trained(tmp_path, make=spoiled)
    assert all(np.isfinite(array).all() for array in found)
    assert 0 < sum(row["skipped"] for row in fitting.read_log(tmp_path / LOG)) < 3


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    course = Course(steps=1000, rate=2.0, cooldown=0.25)
    rates = [course.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01) and rates[199:750] == [2.0] * 551
    assert rates[800] == pytest.approx(1.6) and rates[999] == pytest.approx(0.008)
