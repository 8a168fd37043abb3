"""Training of MS-ROI's decoder on photos with object masks; the backbone stays as it is.

The frozen features of a few views of each photo (whole, mirrored, cropped) are worked out once and held in
memory as float16, each channel standardised; the standardisation is folded into the decoder's first
convolutions when the weights are written. Loss: binary cross-entropy plus soft intersection over union,
each photo alike.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import efficientnet, msroi

Plane = NDArray[np.float32]
Image = NDArray[np.uint8]

F_BETA_SQUARED = 0.3  # precision counts more, as Achanta et al. 2009 and most after them
SMALLEST_CROP = 0.6  # of a side
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
class View:
    """One view's standardised features (float16), and its target: mask and validity (h, w, 2) in [0, 1]."""

    features: dict[str, NDArray[np.float16]]
    target: NDArray[np.float16]


@dataclasses.dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of each feature channel."""

    mean: dict[str, Plane]
    deviation: dict[str, Plane]


def train(
    images: Path,
    masks: Path,
    output: Path,
    *,
    backbone: Path | None = None,
    validation: Path | None = None,
    steps: int = 4000,
    batch: int = 8,
    views: int = 6,
    learning_rate: float = 1e-3,
    seed: int = 0,
    checkpoint_every: int = 500,
) -> Score | None:
    """Train the decoder and write backbone, classifier and decoder to `output`.

    `images` and `masks` hold pictures of the same stems; a mask is white where the object is. `backbone` is
    the pretrained classifier's .npz under its original names; None takes what is in the shipped weights.
    `validation` is a folder with images/ and masks/ of its own, scored at every checkpoint and at the end
    (the returned score). A run that was cut short goes on from its last checkpoint, beside `output`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    arrays = _backbone_arrays(backbone)
    pairs = read_pairs(images, masks)
    prepared, standardisation = _prepare(arrays, pairs, views, seed)
    buckets = _buckets(prepared)
    decoder = _compiled(steps, learning_rate)
    checkpoint = output.with_suffix(".checkpoint.npz")
    first = _restore(decoder, checkpoint)
    tests = [] if validation is None else read_pairs(validation / "images", validation / "masks")
    score = None
    for step in range(first, steps):
        generator = np.random.default_rng((seed, step))
        loss = decoder.train_on_batch(*_draw(buckets, batch, generator))
        if (step + 1) % checkpoint_every == 0 or step + 1 == steps:
            _save(decoder, checkpoint, step + 1)
            msroi.write_weights(output, {**arrays, **_folded(decoder, standardisation)})
            score = evaluate(output, tests) if tests else None
            logger.info("step %d of %d: loss %.4f, validation %s", step + 1, steps, float(loss), score)
    checkpoint.unlink(missing_ok=True)
    return score


def read_pairs(images: Path, masks: Path) -> list[tuple[Image, Plane]]:
    """Photos (H, W, 3) uint8 with their masks (H, W) float32 of 0 and 1, in the order of their names.

    Raises ValueError where a photo has no mask, where their sizes differ, or for an empty folder.
    """
    from PIL import Image as Pictures

    found = {path.stem: path for path in sorted(masks.iterdir())}
    pairs = []
    for path in sorted(images.iterdir()):
        if path.stem not in found:
            raise ValueError(f"{path.name} has no mask in {masks}")
        with Pictures.open(path) as photo, Pictures.open(found[path.stem]) as mask:
            if photo.size != mask.size:
                raise ValueError(f"{path.name} is {photo.size}, its mask {mask.size}")
            pairs.append((np.asarray(photo.convert("RGB")), np.asarray(mask.convert("L")) >= 128))
    if not pairs:
        raise ValueError(f"no photos in {images}")
    return [(photo, mask.astype(np.float32)) for photo, mask in pairs]


def evaluate(weights: Path, pairs: Sequence[tuple[Image, Plane]]) -> Score:
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
        stretched = _resized(saliency, *mask.shape).clip(0, 1)
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
        shipped = msroi.read_weights(msroi.WEIGHTS)
        return {name: array for name, array in shipped.items() if not name.startswith("decoder/")}
    with np.load(backbone) as original:
        converted = efficientnet.convert(original)
    # what is shipped is float16, so the decoder learns on just that
    return {name: array.astype(np.float16) for name, array in converted.items()}


def _prepare(
    arrays: efficientnet.Arrays, pairs: Sequence[tuple[Image, Plane]], views: int, seed: int
) -> tuple[list[View], Standardisation]:
    """Features of every view of every photo."""
    from keras import ops

    network = efficientnet.load(arrays)
    kernel, bias = (arrays[f"classifier/{part}"].astype(np.float32) for part in ("kernel", "bias"))
    raw = []
    for index, (photo, mask) in enumerate(pairs):
        generator = np.random.default_rng((seed, index))
        for number in range(views):
            small, target = _view(photo, mask, number, generator)
            features = dict(network.predict_on_batch(small[None]))
            features["cam"] = msroi.class_activation_map(features.pop("head"), kernel, bias)
            arrays16 = {
                name: ops.convert_to_numpy(value)[0].astype(np.float16) for name, value in features.items()
            }
            raw.append(View(arrays16, target))
        if (index + 1) % 100 == 0:
            logger.info("features of %d of %d photos", index + 1, len(pairs))
    return _standardised(raw)


def _view(photo: Image, mask: Plane, number: int, generator: np.random.Generator) -> tuple[Plane, Any]:
    """View `number` of a photo (whole, mirrored, then random crops) as padded thumbnail and target."""
    if number > 1:
        height, width = (int(side * generator.uniform(SMALLEST_CROP, 1)) + 1 for side in mask.shape)
        top = int(generator.integers(0, max(mask.shape[0] - height, 0) + 1))
        left = int(generator.integers(0, max(mask.shape[1] - width, 0) + 1))
        crop = np.s_[top : top + height, left : left + width]
        photo, mask = photo[crop], mask[crop]
    if number == 1 or (number > 1 and generator.random() < 0.5):
        photo, mask = photo[:, ::-1], mask[:, ::-1]
    small = msroi.thumbnail(photo)
    padded = msroi.pad(small)
    target = np.zeros((*(side // msroi.OUTPUT_STRIDE for side in padded.shape[:2]), 2), np.float16)
    height, width = (side // msroi.OUTPUT_STRIDE for side in small.shape[:2])
    target[:height, :width, 0] = _resized(mask, height, width)
    target[:height, :width, 1] = 1
    return padded, target


def _standardised(raw: list[View]) -> tuple[list[View], Standardisation]:
    means, deviations = {}, {}
    for name in raw[0].features:
        sums = [view.features[name].astype(np.float64).mean((0, 1)) for view in raw]
        squares = [np.square(view.features[name].astype(np.float64)).mean((0, 1)) for view in raw]
        mean = np.mean(sums, axis=0)
        means[name] = mean.astype(np.float32)
        deviations[name] = np.sqrt(np.maximum(np.mean(squares, axis=0) - mean**2, 1e-6)).astype(np.float32)
        for view in raw:
            view.features[name] = ((view.features[name] - means[name]) / deviations[name]).astype(np.float16)
    return raw, Standardisation(means, deviations)


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


def _draw(
    buckets: Sequence[Sequence[View]], batch: int, generator: np.random.Generator
) -> tuple[dict[str, Plane], Plane]:
    sizes = np.array([len(bucket) for bucket in buckets])
    bucket = buckets[generator.choice(len(buckets), p=sizes / sizes.sum())]
    chosen = [bucket[index] for index in generator.integers(0, len(bucket), batch)]
    features = {
        name: np.stack([view.features[name] for view in chosen]).astype(np.float32)
        for name in chosen[0].features
    }
    return features, np.stack([view.target for view in chosen]).astype(np.float32)


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


def _resized(plane: Plane, height: int, width: int) -> Plane:
    from PIL import Image as Pictures

    picture = Pictures.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(picture.resize((width, height), Pictures.Resampling.BILINEAR), np.float32)
