"""MS-ROI: maps which places of a photo matter, whatever they show (multi-structure region of interest).

After Prakash, Moran, Garber, DiLillo, Storer, "Semantic Perceptual Image Compression using Deep Convolution
Networks" (2017): a classifier's feature maps show where each class is; those of all likely classes add up to
one map of every salient structure, without labels. Their map (section 3) is `class_activation_map`; here it
is one input of a small decoder, which sharpens it with the backbone's finer features.

    photo -> thumbnail -> EfficientNet-Lite0 (frozen) -> head -> class-activation map
                             |      |       |       |               |
                          stride 4  8       16      32 -------------+
                             |      |       |       |
              3×3 conv <- + <-up- + <-up- + <-up- 3×3 conv + context
                 |
              sigmoid -> saliency (h / 4, w / 4) in [0, 1]

The thumbnail is the whole photo: its longer side at most 320 samples, and at most 56 tiles of 32×32 in all,
so that a photo of any size costs at most 0.5 GMAC.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.models import efficientnet
from foveate.models.array_files import Arrays, file_sha256, read_arrays, set_layer_weights
from foveate.models.quiet import quiet_import
from foveate.models.scaling import check_pixels, scaled

if TYPE_CHECKING:
    import keras

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
SaliencyMap = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights" / "msroi.npz"
MAX_SIDE = 320
MAX_TILES = 56  # of 32×32 samples
OUTPUT_STRIDE = 4
LEVELS = 255  # maps are rounded to this many steps, so that they do not depend on the last bits of a float
BATCH = 8
DECODER = {"stride32": 64, "stride16": 64, "stride8": 40, "stride4": 24}  # channels at each resolution
CLASS_COUNT = 20  # how many likely classes make up the class-activation map
CLASS_THRESHOLD = 0.2  # of a class map's own peak; values below do not count


@dataclasses.dataclass(frozen=True, eq=False)
class MsRoi:
    """A loaded network: thumbnails (batch, H, W, 3) float32 in 0..255 in, "saliency" and "cam" maps out."""

    predict: Callable[[NDArray[np.float32]], Mapping[str, Any]]
    sha256: str  # of the weights file


def load(path: str | Path = WEIGHTS) -> MsRoi:
    """The network with the weights at `path` (the shipped ones unless given).

    Raises FileNotFoundError, or ValueError for a file of another format version or with missing arrays.
    """
    with quiet_import():
        import keras

    arrays = read_arrays(path)
    decoder = build_decoder()
    try:
        backbone = efficientnet.load(arrays)
        set_decoder_weights(decoder, arrays)
        classifier = [
            keras.ops.convert_to_tensor(arrays[f"classifier/{part}"], "float32")
            for part in ("kernel", "bias")
        ]
    except KeyError as error:
        raise ValueError(f"{path}: the weights of MS-ROI lack the array {error}") from error

    def predict(thumbnails: Any) -> dict[str, Any]:
        features = backbone(thumbnails, training=False)
        cam = class_activation_map(features.pop("head"), *classifier)
        return {"saliency": decoder({**features, "cam": cam}, training=False), "cam": cam}

    return MsRoi(_traced(predict), file_sha256(path))


def _traced(predict: Callable[[Any], dict[str, Any]]) -> Callable[[Any], Mapping[str, Any]]:
    """One graph for all sizes if TensorFlow runs it; unchanged if training uses another backend."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return predict
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, 3), tf.float32)]
    graph: Callable[[Any], Mapping[str, Any]] = tf.function(predict, input_signature=signature)
    return graph


def saliency(model: MsRoi, pixels: Pixels) -> SaliencyMap:
    """Maps how much each place of a photo matters.

    `pixels` is (H, W, C) uint8 or uint16, C in 1..4. Returns (h, w) float32 in [0, 1] in steps of 1/255: a
    quarter of the thumbnail's size, covering the whole photo in its own aspect ratio. Alpha blends the
    photo into gray. Raises ValueError for another shape or type.
    """
    return saliency_maps(model, [pixels])[0]


def saliency_maps(model: MsRoi, photos: Sequence[Pixels]) -> list[SaliencyMap]:
    """`saliency` of many photos of any sizes; padded thumbnails of the same size are run together."""
    return [
        (np.rint(level * LEVELS) / LEVELS).astype(np.float32) for level in _run(model, photos, "saliency")
    ]


def class_activation_maps(model: MsRoi, photos: Sequence[Pixels]) -> list[SaliencyMap]:
    """The plain class-activation maps of photos, (h, w) float32 in [0, 1], h and w at least 1.

    One sample for 32 samples of the thumbnail; the last row and column may reach beyond the photo.
    """
    return _run(model, photos, "cam")


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a photo's thumbnail: multiples of 4, the aspect ratio kept up to rounding."""
    most = MAX_SIDE // efficientnet.STRIDE
    grids = ((rows, min(most, MAX_TILES // rows)) for rows in range(1, most + 1))
    scale, rows, columns = max(
        (min(rows / height, columns / width) * efficientnet.STRIDE, rows, columns) for rows, columns in grids
    )
    return (
        _rounded(height * scale, rows * efficientnet.STRIDE),
        _rounded(width * scale, columns * efficientnet.STRIDE),
    )


def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """A photo (H, W, C) scaled to `thumbnail_size` by area averaging: (h, w, 3) float32 in 0..255.

    Gray becomes RGB; alpha blends into mid-gray (127, where the network sees nothing).
    """
    check_pixels(pixels)
    return scaled(pixels, *thumbnail_size(*pixels.shape[:2])).astype(np.float32)


def pad(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Continue a thumbnail's last row and column up to multiples of 32."""
    below, right = (-side % efficientnet.STRIDE for side in small.shape[:2])
    return np.pad(small, ((0, below), (0, right), (0, 0)), mode="edge")


def class_activation_map(head: Any, kernel: Any, bias: Any) -> Any:
    """Multi-structure map of the likeliest classes, as Prakash et al. 2017, section 3: (batch, h, w, 1) in
    [0, 1].

    `head` is the last features (batch, h, w, 1280) before pooling; `kernel` (1280, classes) and `bias`
    (classes,) are the classifier. Each class's map is cut off below a threshold and weighted by the root of
    the class's probability.
    """
    from keras import ops

    odds = ops.softmax(ops.mean(head, axis=(1, 2)) @ kernel + bias)
    likely, classes = ops.top_k(odds, CLASS_COUNT)
    filters = ops.take(ops.transpose(kernel), classes, axis=0)
    maps = ops.relu(ops.einsum("bhwc,bkc->bhwk", head, filters))
    maps = maps / (ops.max(maps, axis=(1, 2), keepdims=True) + 1e-6)
    maps = ops.relu(maps - CLASS_THRESHOLD) * ops.sqrt(likely)[:, None, None, :]
    total = ops.sum(maps, axis=-1, keepdims=True)
    return total / (ops.max(total, axis=(1, 2), keepdims=True) + 1e-6)


def build_decoder(dropout: float = 0.0) -> keras.Model:
    """The learned part: features of `efficientnet` and "cam" in, saliency (batch, H / 4, W / 4, 1) in [0,
    1] out.

    `dropout` is the share of feature channels that are dropped in training.
    """
    import keras

    channels = {**efficientnet.FEATURE_CHANNELS, "cam": 1}
    inputs = {name: keras.Input((None, None, count), name=name) for name, count in channels.items()}
    features = {name: keras.layers.SpatialDropout2D(dropout)(inputs[name]) for name in DECODER}
    features["stride32"] = keras.layers.Concatenate()([features["stride32"], inputs["cam"]])
    x = None
    for name, count in DECODER.items():
        level = keras.layers.Conv2D(count, 1, name=f"{name}_lateral")(features[name])
        if x is None:
            context = keras.layers.GlobalAveragePooling2D(keepdims=True)(level)
            coarser = keras.layers.Conv2D(count, 1, name=f"{name}_context")(context)
        else:
            narrow = keras.layers.Conv2D(count, 1, name=f"{name}_coarser")(x)
            coarser = keras.layers.UpSampling2D(2)(narrow)
        x = keras.layers.ReLU()(keras.layers.Add()([level, coarser]))
        x = keras.layers.Conv2D(count, 3, padding="same", activation="relu", name=f"{name}_mix")(x)
    result = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="saliency")(x)
    return keras.Model(inputs, result, name="msroi_decoder")


def decoder_weights(decoder: keras.Model) -> dict[str, NDArray[np.float32]]:
    """The decoder's arrays as "decoder/layer/kernel" and "decoder/layer/bias"."""
    return {
        f"decoder/{layer.name}/{part}": array
        for layer in decoder.layers
        for part, array in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }


def set_decoder_weights(decoder: keras.Model, arrays: Arrays) -> None:
    """The other half of `decoder_weights`. Raises KeyError for a missing array."""
    set_layer_weights(decoder, arrays, "decoder/")


def multiply_accumulates(height: int, width: int) -> int:
    """Multiply-accumulate operations for a photo of (height, width), including its padding."""
    rows, columns = (-(-side // efficientnet.STRIDE) for side in thumbnail_size(height, width))
    places = rows * columns
    total = efficientnet.multiply_accumulates(rows * efficientnet.STRIDE, columns * efficientnet.STRIDE)
    total += efficientnet.HEAD_CHANNELS * (efficientnet.CLASSES + CLASS_COUNT * places)
    coarser = 0
    for name, count in DECODER.items():
        lateral = efficientnet.FEATURE_CHANNELS[name] + (coarser == 0)
        narrowing = places // 4 * coarser * count if coarser else count**2  # that of the context at the top
        total += narrowing + places * count * (lateral + 9 * count)
        coarser, places = count, places * 4
    return total + places // 4 * 9 * coarser


def _run(model: MsRoi, photos: Sequence[Pixels], output: str) -> list[SaliencyMap]:
    smalls = [thumbnail(pixels) for pixels in photos]
    padded = [pad(small) for small in smalls]
    result: list[SaliencyMap] = [np.empty((0, 0), np.float32)] * len(photos)
    for group in _alike(padded):
        maps = np.asarray(model.predict(np.stack([padded[index] for index in group]))[output])[..., 0]
        stride = padded[group[0]].shape[0] // maps.shape[1]
        for index, whole in zip(group, maps, strict=True):
            height, width = (math.ceil(side / stride) for side in smalls[index].shape[:2])
            result[index] = whole[:height, :width].astype(np.float32)
    return result


def _alike(arrays: Sequence[NDArray[np.float32]]) -> Iterable[list[int]]:
    """Groups of at most `BATCH` indices of arrays of the same shape."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        groups.setdefault(array.shape, []).append(index)
    for group in groups.values():
        yield from (group[start : start + BATCH] for start in range(0, len(group), BATCH))


def _rounded(side: float, largest: int) -> int:
    return min(max(round(side / OUTPUT_STRIDE), 1) * OUTPUT_STRIDE, largest)
