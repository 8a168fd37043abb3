"""The training loop that all networks trained on patches share.

    batch (seed, step) ──▶ loss ──▶ gradients, clipped ──▶ optimizer ──▶ weights ──▶ averages
                                                                                  │
    every few steps:  checkpoint ◀── log line ◀── best weights so far ◀── validation

A batch depends on the seed and its step alone, and a checkpoint holds all that the next step needs. So a run
that is killed at any moment, and started again with the same command, ends with the same weights.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.training.optimizer import Optimizer, RelativeAdam

Batch = dict[str, NDArray[Any]]
LOG, CHECKPOINT, BEST = "log.csv", "checkpoint.npz", "best.npz"
VALIDATION = "validation_gain_db"  # the log's column by which the best weights are chosen

_WARM_UP = 200  # steps, or a fifth of all
_LARGEST_NORM = 1.0  # of all gradients together
_AHEAD = 4  # batches made while the network trains
_CHECKPOINT_SECONDS = 180.0  # at most, between two checkpoints


@dataclasses.dataclass(frozen=True)
class Course:
    """How long to train, and how fast.

    steps: in all.
    rate: the highest learning rate. It rises linearly at first, stays, and falls linearly to zero at the end.
    cooldown: the share of the steps in which it falls. Until then `steps` may still be changed.
    averaging: how much of the averaged weights is kept in each step.
    every: steps between two validations and log lines; checkpoints come more often where those take long.
    """

    steps: int
    rate: float
    cooldown: float = 0.3
    averaging: float = 0.999
    every: int = 1_000

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = (step + 1) / max(1, min(_WARM_UP, self.steps // 5))
        falling = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.rate * min(1.0, rising, falling)

    def reports_after(self, step: int) -> bool:
        """Whether there is a log line after this step."""
        return step % self.every == 0 or step == self.steps


@dataclasses.dataclass(frozen=True)
class Objective:
    """The networks to train, and the loss to minimize.

    networks: Keras models.
    measure: gives the means over a batch that the log shows, "loss" among them, which is minimized.
    optimizer: the class that updates the weights.
    """

    networks: Sequence[Any]
    measure: Callable[[dict[str, Any]], dict[str, Any]]
    optimizer: type[Optimizer] | type[RelativeAdam] = Optimizer


def fit(
    objective: Objective,
    make: Callable[[np.random.Generator], Batch],
    folder: Path,
    course: Course,
    seed: int,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Trains networks, and leaves their averaged weights in them: the best, or the last without validation.

    Args:
      objective: see there.
      make: the batch of a generator.
      folder: for `LOG`, `CHECKPOINT` and `BEST`; resumes from what it finds there.
      course: see there.
      seed: decides the batches.
      validate: figures of the networks as they are, `VALIDATION` among them: the higher the better.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _State(objective)
    progress = state.restored(folder / CHECKPOINT)
    log = _Log(folder / LOG, progress.step)
    advance = _advance(objective, state, course)
    clock = _Clock()
    for batch in _batches(make, seed, range(progress.step, course.steps)):
        measured = advance(batch, np.float32(course.rate_at(progress.step)), np.float32(progress.step))
        progress = progress.after_step(measured)
        if course.reports_after(progress.step):
            progress = progress.after_time(clock.lap())
            figures = state.validated(validate) if validate else {}
            if figures and figures[VALIDATION] > progress.best:
                progress = dataclasses.replace(progress, best=figures[VALIDATION])
                _write_arrays(folder / BEST, {str(i): v for i, v in enumerate(state.averaged())})
            log.add({**progress.means(course.every), **figures})
            progress = dataclasses.replace(progress, sums={})
            clock.lap()  # without validation
        elif not clock.is_checkpoint_due():
            continue
        progress = progress.after_time(clock.lap())
        state.save(folder / CHECKPOINT, progress)
        clock.checkpoint_written()
    state.finish(folder / BEST)


def mean_square(a: Any, b: Any) -> Any:
    """The squared error of each patch of two batches (batch, h, w, c): (batch,), never zero."""
    from keras import ops

    return ops.mean(ops.square(a - b), axis=(1, 2, 3)) + 1e-7


def gain_db(photo: Any, decoded: Any, restored: Any) -> Any:
    """By how many dB each restored patch is nearer to the photo than the decoded one: (batch,)."""
    from keras import ops

    ratio = ops.log(mean_square(photo, decoded)) - ops.log(mean_square(photo, restored))
    return 10.0 / np.log(10.0) * ratio


@dataclasses.dataclass(frozen=True)
class _Progress:
    """How far training is.

    step: steps done.
    cpu_seconds: processor time without validation.
    best: the best validation so far.
    sums: of what was measured in the steps since the last log line.
    """

    step: int = 0
    cpu_seconds: float = 0.0
    best: float = -np.inf
    sums: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def after_step(self, measured: Mapping[str, Any]) -> _Progress:
        sums = {name: self.sums.get(name, 0.0) + float(value) for name, value in measured.items()}
        return dataclasses.replace(self, step=self.step + 1, sums=sums)

    def after_time(self, cpu_seconds: float) -> _Progress:
        return dataclasses.replace(self, cpu_seconds=self.cpu_seconds + cpu_seconds)

    def means(self, every: int) -> dict[str, float]:
        """The columns of the log that training itself gives."""
        steps = (self.step - 1) % every + 1
        means = {name: value / steps for name, value in self.sums.items()}
        return {"step": self.step, "cpu_seconds": round(self.cpu_seconds, 1), **means}


class _Clock:
    """Processor time since the last lap, and wall time since the last checkpoint."""

    def __init__(self) -> None:
        self._lap = time.process_time()
        self._checkpoint = time.monotonic()

    def lap(self) -> float:
        now = time.process_time()
        seconds, self._lap = now - self._lap, now
        return seconds

    def is_checkpoint_due(self) -> bool:
        return time.monotonic() - self._checkpoint > _CHECKPOINT_SECONDS

    def checkpoint_written(self) -> None:
        self._checkpoint = time.monotonic()


class _State:
    """All that a step changes: weights, their averages and moments, statistics of normalization."""

    def __init__(self, objective: Objective) -> None:
        import tensorflow as tf

        networks = objective.networks
        variables = [variable.value for network in networks for variable in network.variables]
        trained = {id(v.value) for network in networks for v in network.trainable_variables}
        self.weights = [v for v in variables if id(v) in trained]
        self._statistics = [v for v in variables if id(v) not in trained]
        self.averages = [tf.Variable(weight, trainable=False) for weight in self.weights]
        self.optimizer = objective.optimizer(self.weights)

    def _all(self) -> dict[str, Any]:
        groups = {
            "weight": self.weights,
            "statistic": self._statistics,
            "moment": self.optimizer.moments,
            "average": self.averages,
        }
        return {f"{name}{i}": v for name, group in groups.items() for i, v in enumerate(group)}

    def save(self, path: Path, progress: _Progress) -> None:
        arrays = {name: variable.numpy() for name, variable in self._all().items()}
        text = json.dumps(dataclasses.asdict(progress)).encode()
        _write_arrays(path, {**arrays, "progress": np.frombuffer(text, np.uint8)})

    def restored(self, path: Path) -> _Progress:
        """Takes what a checkpoint holds, if there is one, and says how far it is."""
        if not path.exists():
            return _Progress()
        with np.load(path) as arrays:
            for name, variable in self._all().items():
                variable.assign(arrays[name])
            return _Progress(**json.loads(arrays["progress"].tobytes()))

    def averaged(self) -> list[NDArray[np.float32]]:
        return [average.numpy() for average in self.averages]

    def validated(self, validate: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """The figures of the networks with averaged weights."""
        kept = [weight.numpy() for weight in self.weights]
        _assign(self.weights, self.averaged())
        figures = validate()
        _assign(self.weights, kept)
        return figures

    def finish(self, best: Path) -> None:
        """Leaves the best averaged weights in the networks, or the last ones."""
        values = self.averaged()
        if best.exists():
            with np.load(best) as arrays:
                values = [arrays[str(i)] for i in range(len(values))]
        _assign(self.weights, values)


def _assign(variables: Sequence[Any], values: Sequence[NDArray[np.float32]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _advance(objective: Objective, state: _State, course: Course) -> Callable[..., dict[str, Any]]:
    """One step: (batch, learning rate, steps done before) -> the means over the batch."""
    import tensorflow as tf

    def update(gradients: Sequence[Any], rate: Any, step: Any) -> Any:
        state.optimizer.apply(gradients, rate, step)
        keep = tf.minimum(course.averaging, (1.0 + step) / (10.0 + step))
        for average, weight in zip(state.averages, state.weights, strict=True):
            average.assign_add((1.0 - keep) * (weight - average))
        return tf.constant(0.0)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator, unused-ignore]
    def advance(batch: dict[str, Any], rate: Any, step: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            measured = objective.measure(batch)
        gradients = tape.gradient(measured["loss"], state.weights)
        norm = tf.linalg.global_norm(gradients)
        scale = tf.minimum(1.0, _LARGEST_NORM / norm)
        # One bad batch must not spoil all weights.
        skipped = tf.cond(
            tf.math.is_finite(norm),
            lambda: update([scale * gradient for gradient in gradients], rate, step),
            lambda: tf.constant(1.0),
        )
        return {**measured, "skipped": skipped}

    return advance  # type: ignore[no-any-return, unused-ignore]


def _batches(make: Callable[[np.random.Generator], Batch], seed: int, steps: range) -> Iterator[Batch]:
    """The batches of some steps, in order, made on a thread while the network trains."""

    def of_step(step: int) -> Batch:
        return make(np.random.default_rng([seed, step]))

    with ThreadPoolExecutor(1) as thread:
        waiting = [thread.submit(of_step, step) for step in steps[:_AHEAD]]
        for step in steps:
            batch = waiting.pop(0).result()
            if step + _AHEAD in steps:
                waiting.append(thread.submit(of_step, step + _AHEAD))
            yield batch


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an .npz file so that there is always a whole one, the old or the new."""
    writing = path.with_suffix(".writing")
    with writing.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type, unused-ignore]
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)


class _Log:
    """A CSV file, one line per report; what is past the checkpoint is written again."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = [row for row in read_log(path) if row["step"] <= step] if path.exists() else []
        path.unlink(missing_ok=True)
        for row in kept:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row.keys())
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.7g}" for name, value in row.items()})


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a log, oldest first."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
