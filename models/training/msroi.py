"""Trains MS-ROI's decoder on photos with object masks, with a frozen backbone.

The frozen features of a few views of each photo (`salient_views`) are worked out once. Each channel is
standardised; that is folded into the decoder's first convolutions when the weights are written. Loss: binary
cross-entropy plus soft intersection over union, each view alike.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import array_files, efficientnet, msroi
from foveate.models.array_files import Arrays
from foveate.models.training.compositions import Material
from foveate.models.training.salient_views import Mix, Pair, Plane, View, prepare, read_pairs, resized

F_BETA_SQUARED = 0.3  # precision counts more, as Achanta et al. 2009 and most after them
WEIGHT_DECAY = 1e-4
DROPOUT = 0.2
OVERLAP_WEIGHT = 0.3  # of the intersection over union: more makes maps bolder than they have reason to be
EMA_MOMENTUM = 0.998

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Score:
    """How well maps match masks: mean absolute error in [0, 1] (less is better), best F-measure (more is)."""

    mean_absolute_error: float
    max_f: float


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How to train.

    `backbone` is the pretrained classifier's .npz under its original names; None takes what is in the shipped
    weights. `seed` decides all that is drawn.
    """

    backbone: Path | None = None
    material: Material = dataclasses.field(default_factory=Material)
    mix: Mix = dataclasses.field(default_factory=Mix)
    steps: int = 6000
    batch: int = 8
    learning_rate: float = 1e-3
    seed: int = 0
    checkpoint_every: int = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of each feature channel."""

    mean: dict[str, Plane]
    deviation: dict[str, Plane]

    @classmethod
    def of(cls, views: Sequence[View]) -> Standardisation:
        """Over all places of all views."""
        means, deviations = {}, {}
        for name in views[0].features:
            mean, square = (
                np.mean([(view.features[name].astype(np.float64) ** power).mean((0, 1)) for view in views], 0)
                for power in (1, 2)
            )
            means[name] = mean.astype(np.float32)
            deviations[name] = np.sqrt(np.maximum(square - mean**2, 1e-6)).astype(np.float32)
        return cls(means, deviations)


def train(
    images: Path, masks: Path, output: Path, recipe: Recipe, validation: Path | None = None
) -> Score | None:
    """Train the decoder and write backbone, classifier and decoder to `output`.

    `images` and `masks` hold pictures of the same stems; a mask is white where the object is. `validation` is
    a folder with images/ and masks/ of its own, scored at every checkpoint and at the end (the returned
    score). An interrupted run resumes from its last checkpoint, next to `output`.
    """
    arrays = _backbone_arrays(recipe.backbone)
    views = prepare(arrays, read_pairs(images, masks), recipe.mix, recipe.material, recipe.seed)
    tests = [] if validation is None else read_pairs(validation / "images", validation / "masks")
    return _fit(arrays, views, tests, output, recipe)


def cross_validate(
    images: Path, masks: Path, output: Path, recipe: Recipe, divide: Callable[[int], list[list[int]]]
) -> list[Score]:
    """Train once for each part of the photos on all others, and score it on that part.

    `divide` makes the parts, indices of photos, from their count (`folds`, `held_out`). Features are worked
    out once for all. Writes weights like `output` with the part's number, and the scores so far beside them,
    so that an interrupted run can resume.
    """
    arrays = _backbone_arrays(recipe.backbone)
    pairs = read_pairs(images, masks)
    parts = divide(len(pairs))
    record = output.with_suffix(".scores.json")
    asked = {"parts": parts, "steps": recipe.steps, "seed": recipe.seed}
    saved = json.loads(record.read_text()) if record.exists() else {}
    scores = [Score(**score) for score in saved["scores"]] if saved.get("asked") == asked else []
    views = prepare(arrays, pairs, recipe.mix, recipe.material, recipe.seed)
    for number, part in list(enumerate(parts))[len(scores) :]:
        rest = [view for view in views if view.photo not in part]
        weights = output.with_stem(f"{output.stem}-{number + 1}")
        score = _fit(arrays, rest, [pairs[index] for index in part], weights, recipe)
        assert score is not None  # every part holds a photo
        scores.append(score)
        record.write_text(json.dumps({"asked": asked, "scores": [dataclasses.asdict(s) for s in scores]}))
    return scores


def folds(count: int, number: int, seed: int = 0) -> list[list[int]]:
    """`number` parts of near equal size of the photos 0 to `count` - 1, drawn at random.

    Raises ValueError for fewer than two parts or more than photos.
    """
    if not 2 <= number <= count:
        raise ValueError(f"{count} photos cannot be cross-validated in {number} parts")
    order = np.random.default_rng(seed).permutation(count)
    return [sorted(map(int, part)) for part in np.array_split(order, number)]


def held_out(count: int, share: float, seed: int = 0) -> list[list[int]]:
    """One part: the photos that are left to score on when a random `share` of them is trained on.

    Raises ValueError where one side would be empty.
    """
    trained = round(share * count)
    if not 0 < trained < count:
        raise ValueError(f"a share of {share:g} of {count} photos leaves one side empty")
    return [sorted(map(int, np.random.default_rng(seed).permutation(count)[trained:]))]


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of several parts' scores, each alike."""
    return Score(*(float(np.mean(column)) for column in zip(*map(dataclasses.astuple, scores), strict=True)))


def _fit(
    arrays: Arrays, views: Sequence[View], tests: Sequence[Pair], output: Path, recipe: Recipe
) -> Score | None:
    import keras

    keras.utils.set_random_seed(recipe.seed)
    standardisation = Standardisation.of(views)
    buckets = _buckets(views)
    decoder = _compiled(recipe.steps, recipe.learning_rate)
    checkpoint = output.with_suffix(".checkpoint.npz")
    score = None
    for step in range(_restore(decoder, checkpoint), recipe.steps):
        drawn = _draw(buckets, recipe.batch, np.random.default_rng((recipe.seed, step)))
        loss = decoder.train_on_batch(*_batch(drawn, standardisation))
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
            _save(decoder, checkpoint, step + 1)
            array_files.write_arrays(output, {**arrays, **_folded(decoder, standardisation)})
            score = evaluate(output, tests) if tests else None
            logger.info("step %d of %d: loss %.4f, score %s", step + 1, recipe.steps, float(loss), score)
    checkpoint.unlink(missing_ok=True)
    return score


def evaluate(weights: Path, pairs: Sequence[Pair]) -> Score:
    """Score the network with the weights at `weights` on photos and their masks."""
    model = msroi.load(weights)
    maps = msroi.saliency_maps(model, [photo for photo, _ in pairs])
    return score_maps(maps, [mask for _, mask in pairs])


def score_maps(maps: Sequence[Plane], masks: Sequence[Plane]) -> Score:
    """Compare maps (h, w) in [0, 1], stretched bilinearly over them, with masks (H, W) of 0 and 1.

    The F-measure (beta² = 0.3) is that of precision and recall averaged over the photos, at the best of 256
    thresholds, as is usual in the field.
    """
    errors, precision, recall = [], np.zeros(256), np.zeros(256)
    for saliency, mask in zip(maps, masks, strict=True):
        stretched = resized(saliency, *mask.shape).clip(0, 1)
        errors.append(float(np.abs(stretched - mask).mean()))
        levels = np.rint(stretched * 255).astype(np.intp).ravel()
        hits, all_found = (
            np.bincount(levels, weights, 256)[::-1].cumsum()[::-1] for weights in (mask.ravel(), None)
        )
        precision += np.where(all_found > 0, hits / np.maximum(all_found, 1), 1.0)
        recall += hits / max(float(mask.sum()), 1.0)
    precision, recall = precision / len(maps), recall / len(maps)
    f = (1 + F_BETA_SQUARED) * precision * recall / np.maximum(F_BETA_SQUARED * precision + recall, 1e-9)
    return Score(float(np.mean(errors)), float(f.max()))


def _backbone_arrays(backbone: Path | None) -> dict[str, NDArray[Any]]:
    if backbone is None:
        shipped = array_files.read_arrays(msroi.WEIGHTS)
        return {name: array for name, array in shipped.items() if not name.startswith("decoder/")}
    with np.load(backbone) as original:
        converted = efficientnet.convert(original)
    # what is shipped is float16, so the decoder learns on just that
    return {name: array.astype(np.float16) for name, array in converted.items()}


def _folded(decoder: Any, standardisation: Standardisation) -> dict[str, Plane]:
    """The decoder's (averaged) arrays, so that they take features as they come."""
    current = [np.array(variable) for variable in decoder.trainable_variables]
    decoder.optimizer.finalize_variable_values(decoder.trainable_variables)
    arrays = msroi.decoder_weights(decoder)
    for variable, value in zip(decoder.trainable_variables, current, strict=True):
        variable.assign(value)
    for name in msroi.DECODER:
        parts = [name, "cam"] if name == "stride32" else [name]
        mean = np.concatenate([standardisation.mean[part] for part in parts])
        deviation = np.concatenate([standardisation.deviation[part] for part in parts])
        kernel, bias = f"decoder/{name}_lateral/kernel", f"decoder/{name}_lateral/bias"
        arrays[kernel] = arrays[kernel] / deviation[:, None]
        arrays[bias] = arrays[bias] - np.einsum("hwio,i->o", arrays[kernel], mean)
    return arrays


def _buckets(views: Sequence[View]) -> list[list[View]]:
    """Views of equal size together: only those fit in one batch."""
    buckets: dict[tuple[int, ...], list[View]] = {}
    for view in views:
        buckets.setdefault(view.target.shape, []).append(view)
    return list(buckets.values())


def _draw(buckets: Sequence[Sequence[View]], batch: int, generator: np.random.Generator) -> list[View]:
    sizes = np.array([len(bucket) for bucket in buckets])
    bucket = buckets[generator.choice(len(buckets), p=sizes / sizes.sum())]
    return [bucket[index] for index in generator.integers(0, len(bucket), batch)]


def _batch(views: Sequence[View], standardisation: Standardisation) -> tuple[dict[str, Plane], Plane]:
    features = {}
    for name, mean in standardisation.mean.items():
        raw = np.stack([view.features[name] for view in views]).astype(np.float32)
        features[name] = (raw - mean) / standardisation.deviation[name]
    return features, np.stack([view.target for view in views]).astype(np.float32)


def _compiled(steps: int, learning_rate: float) -> Any:
    import keras

    decoder = msroi.build_decoder(DROPOUT)
    warm = max(1, steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100, max(1, steps - warm), alpha=0.01, warmup_target=learning_rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=WEIGHT_DECAY, clipnorm=1.0, use_ema=True, ema_momentum=EMA_MOMENTUM
    )
    optimizer.build(decoder.trainable_variables)
    decoder.compile(optimizer, loss)
    return decoder


def loss(target: Any, predicted: Any) -> Any:
    """Cross-entropy plus a share of one minus soft intersection over union, the mean over photos.

    `target` (batch, h, w, 2) holds mask and validity (0 in the padding), `predicted` (batch, h, w, 1) is in
    [0, 1].
    """
    from keras import ops

    mask, valid = target[..., 0], target[..., 1]
    odds = ops.clip(predicted[..., 0], 1e-6, 1 - 1e-6)
    entropy = -(mask * ops.log(odds) + (1 - mask) * ops.log(1 - odds))
    entropy = ops.sum(entropy * valid, axis=(1, 2)) / ops.sum(valid, axis=(1, 2))
    both = ops.sum(mask * odds * valid, axis=(1, 2))
    either = ops.sum((mask + odds) * valid, axis=(1, 2)) - both
    return ops.mean(entropy + OVERLAP_WEIGHT * (1 - (both + 1) / (either + 1)))


def _save(decoder: Any, checkpoint: Path, step: int) -> None:
    variables = [*decoder.variables, *decoder.optimizer.variables]
    partial = checkpoint.with_suffix(".partial.npz")
    values: dict[str, Any] = {f"v{index}": np.array(value) for index, value in enumerate(variables)}
    np.savez(partial, step=np.int64(step), **values)
    partial.replace(checkpoint)


def _restore(decoder: Any, checkpoint: Path) -> int:
    """Take up a checkpoint; the steps already made, 0 without one."""
    if not checkpoint.exists():
        return 0
    with np.load(checkpoint) as stored:
        for index, variable in enumerate([*decoder.variables, *decoder.optimizer.variables]):
            variable.assign(stored[f"v{index}"])
        return int(stored["step"])
