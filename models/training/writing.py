"""Fine-tunes the text network on writing of all kinds and directions, composed onto photos.

    python -m foveate.models.training.writing --photos DIR --fonts DIR --output DIR

The network that training starts from is the teacher: in what was photographed it is believed
(`written_views`), so what it finds is still found; in what was written onto the photos the truth is known.
Loss: cross-entropy plus 1 - Dice. The weights written are a blend of both networks: on real photos it is
better than either. A killed run resumes if the same command is run again.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import looks, text_detector, writing
from foveate.models.array_files import Arrays, read_arrays, write_arrays
from foveate.models.training import fitting
from foveate.models.training.optimizer import RelativeAdam
from foveate.models.training.photos import load_photos
from foveate.models.training.written_views import Predict, View, views, written

COURSE = fitting.Course(4_000, 1e-3, 0.6, 0.995, 50)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train.

    start: the weights to start from.
    views: of each photo, made once.
    batch: pictures in a step.
    side: of a picture, a multiple of 32.
    share: of what was trained, in the blend.
    """

    start: Path = writing.WEIGHTS
    views: int = 2
    batch: int = 3
    side: int = 384
    share: float = 0.5
    course: fitting.Course = COURSE
    seed: int = 0


def train(photos: Path, fonts: Path, output: Path, recipe: Recipe) -> None:
    """Writes `output`/writing.npz. Raises FileNotFoundError for a folder without photos or without fonts."""
    import keras

    groups = font_groups(fonts)
    start = read_arrays(recipe.start)
    network = text_detector.load(start)
    pool = _pool(network, photos, recipe)

    def make(generator: np.random.Generator) -> fitting.Batch:
        pictures = [written(pool, groups, recipe.side, generator) for _ in range(recipe.batch)]
        return {name: np.stack([picture[name] for picture in pictures]) for name in pictures[0]}

    logits = keras.Model(network.input, network.layers[-1].input)
    objective = fitting.Objective([network], lambda batch: measure(logits, batch), RelativeAdam)
    fitting.fit(objective, make, output, recipe.course, recipe.seed)
    write_arrays(output / writing.WEIGHTS.name, blended(start, arrays_of(network), recipe.share))


def font_groups(folder: Path) -> list[list[Path]]:
    """The fonts in each folder below (and in) a folder. Raises FileNotFoundError where there is none."""
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".ttf", ".otf", ".ttc", ".woff"):
            groups.setdefault(path.parent, []).append(path)
    if not groups:
        raise FileNotFoundError(f"no fonts (.ttf, .otf, .ttc, .woff) in {folder}")
    return list(groups.values())


def measure(logits: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """The loss of a batch and its parts; `logits` is the network without its last sigmoid."""
    import tensorflow as tf

    target, weight = batch["writing"], batch["weight"]
    raw = pixels(logits(batch["photo"], training=False))
    found = tf.sigmoid(raw)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(target, raw)
    cross = tf.reduce_sum(weight * entropy) / (tf.reduce_sum(target * weight) + 300.0)
    both = tf.reduce_sum(found * target * weight, (1, 2))
    either = tf.reduce_sum((tf.square(found) + tf.square(target)) * weight, (1, 2))
    dice = tf.reduce_mean(1 - (2 * both + 50.0) / (either + 50.0))
    hit = tf.reduce_sum(tf.minimum(found, target) * weight) / (tf.reduce_sum(target * weight) + 1.0)
    extra = tf.reduce_mean(tf.nn.relu(found - target) * weight)
    return {"loss": cross + dice, "cross": cross, "dice": dice, "hit": hit, "extra": extra}


def pixels(places: Any) -> Any:
    """The network's output (batch, h, w, 16) as the pixels that it stands for: (batch, 4 h, 4 w)."""
    import tensorflow as tf

    shape = tf.shape(places)
    rows, columns = shape[1], shape[2]
    quarters = tf.reshape(places, (-1, rows, columns, 2, 2, 2, 2))
    return tf.reshape(tf.transpose(quarters, (0, 1, 3, 5, 2, 4, 6)), (-1, 4 * rows, 4 * columns))


def arrays_of(network: Any) -> dict[str, NDArray[np.float32]]:
    """The network's weights under the names that `text_detector.load` takes them by."""
    return {
        f"{layer.name}/{weight.name}": np.asarray(weight)
        for layer in network.layers
        for weight in layer.weights
    }


def blended(start: Arrays, trained: Arrays, share: float) -> dict[str, NDArray[np.float32]]:
    """Arrays between two others: the share `share` of the way from `start` to `trained`."""
    return {
        name: (1 - share) * array.astype(np.float32) + share * trained[name].astype(np.float32)
        for name, array in start.items()
    }


def _pool(network: Any, photos: Path, recipe: Recipe) -> list[View]:
    predict = _predictor(network)
    generator = np.random.default_rng(recipe.seed)
    return [view for photo in load_photos(photos) for view in views(photo, predict, recipe.views, generator)]


def _predictor(network: Any) -> Predict:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]  # TensorFlow is untyped
    def predict(pictures: Any) -> Any:
        return {"writing": pixels(network(pictures, training=False))}

    def of_picture(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows, columns = picture.shape[:2]
        (output,) = looks.run(predict, [looks.Look(picture)], writing.GRAY)
        found: NDArray[np.float32] = output["writing"][:rows, :columns]
        return found

    return of_picture


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, or resumes training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--fonts", type=Path, required=True, metavar="DIR", help="fonts, in folders")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--start", type=Path, default=writing.WEIGHTS, metavar="FILE", help="weights")
    parser.add_argument("--steps", type=int, default=COURSE.steps)
    parser.add_argument("--rate", type=float, default=COURSE.rate)
    args = parser.parse_args(arguments)
    course = dataclasses.replace(COURSE, steps=args.steps, rate=args.rate)
    train(args.photos, args.fonts, args.output, Recipe(start=args.start, course=course))


if __name__ == "__main__":
    main()
