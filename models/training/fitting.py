"""What all training on patches shares: the loop with its schedule, log and checkpoints, and the batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS_PER_EPOCH = 250


def fit(model: Any, data: Any, folder: Path, steps: int, rate: float) -> None:
    """Adam, cosine schedule, averaged weights; a log, and a checkpoint each epoch to resume from."""
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, warmup_target=rate, warmup_steps=min(200, steps // 5)
    )
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0, use_ema=True, ema_momentum=0.999)
    model(data[0][0])  # builds it: resuming needs its variables
    model.compile(optimizer=optimizer, jit_compile=False)
    callbacks = [
        # Two of them: what ends the process while it writes one leaves the other.
        keras.callbacks.BackupAndRestore(folder / "checkpoint", double_checkpoint=True),
        keras.callbacks.CSVLogger(folder / "log.csv", append=True),
        # Other patches each epoch, also in the first one after a resumption.
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(data, "epoch", epoch)),
    ]
    model.fit(
        data,
        epochs=max(1, -(-steps // STEPS_PER_EPOCH)),
        steps_per_epoch=steps if steps < STEPS_PER_EPOCH else None,
        callbacks=callbacks,
        shuffle=False,  # they are random already, and a resumption finds them in the same order
        verbose=2,
    )


def mean_square(a: Any, b: Any) -> Any:
    """The squared error of each patch of two batches (batch, h, w, c): (batch,), never zero."""
    from keras import ops

    return ops.mean(ops.square(a - b), axis=(1, 2, 3)) + 1e-7


def track(metric: Any, photo: Any, decoded: Any, restored: Any, weight: Any = None) -> None:
    """Adds to a mean: by how many dB the restored patches are nearer to the photo than the decoded ones."""
    from keras import ops

    ratio = ops.log(mean_square(photo, decoded)) - ops.log(mean_square(photo, restored))
    metric.update_state(10.0 / np.log(10.0) * ratio, weight)


def dataset(make: Callable[[np.random.Generator], dict[str, NDArray[np.float32]]], seed: int) -> Any:
    """Batches for `fit`, the same for the same seed, made on threads while the network trains."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
            self.epoch = 0

        def __len__(self) -> int:
            return STEPS_PER_EPOCH

        def __getitem__(self, index: int) -> tuple[dict[str, NDArray[np.float32]]]:
            return (make(np.random.default_rng([seed, self.epoch, index])),)

    return Batches()
