"""Finds the writing in a photo (signs, pages, labels, print, handwriting) and maps its lines.

    photo -> reduced -> whole, small --------------------------> lines
                     -> tiles in which that suspects writing --> smaller lines
                     -> whole, turned by a quarter ------------> lines that run up or down
                     -> whole, smaller ------------------------> lines that fill it

The network marks the core of a line, less than half as high as its letters, so that lines stay separate;
cores are grown back to lines in proportion to their thickness. It knows horizontal lines, even upside down,
so that one turned look is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.models import looks, text_detector
from foveate.models.array_files import file_sha256, read_arrays
from foveate.models.looks import Fine, Look
from foveate.models.quiet import quiet_import


class Direction(NamedTuple):
    """How to look for lines of one direction.

    side: longer side of the whole photo, pixels.
    turns: quarter turns of the photo beforehand, counterclockwise.
    thickest: half of the thickest core that counts as a line, in places: larger letters are objects, and fog
      looks like them.
    """

    side: int
    turns: int
    thickest: float


WEIGHTS = Path(__file__).parent / "weights" / "writing.npz"
LEVEL = Direction(544, 0, 10.0)
UPRIGHT = Direction(448, 1, 6.0)  # posts and stripes look like thick lines more often than beams do
LARGE = Direction(256, 0, 10.0)  # for letters that are too large for the first look
TILE, OVERLAP = 384, 32
SUSPECTED = 0.1  # probability that asks for a second look
CORE = 0.4  # probability that makes a core
SURE = 0.7  # mean probability of a core that counts for certain as writing
_LEAST_CORE = 3  # places
_THICK, _LEAST_LENGTH = (
    3.0,
    1.5,
)  # thicker cores must be longer than so many times that
_PLACE = 2  # pixels of a look each way: a quarter of the network's cell
_GROWTH = 4.0  # how far a core grows, in units of half its thickness: then lines of a block meet
GRAY = 128  # around what is not a multiple of the stride; it means nothing to the network


@dataclasses.dataclass(frozen=True, eq=False)
class WritingFinder:
    """A loaded network: pictures (batch, H, W, 3) float32 in 0..255 in, "writing" out."""

    predict: Callable[[NDArray[np.float32]], Mapping[str, Any]]
    sha256: str  # of the weights file


def load(path: str | Path = WEIGHTS) -> WritingFinder:
    """The network with the weights at `path` (the shipped ones unless given).

    Raises FileNotFoundError, or ValueError for a file of another format version or with missing arrays.
    """
    with quiet_import():
        import tensorflow as tf

    try:
        network = text_detector.load(read_arrays(path))
    except KeyError as error:
        raise ValueError(f"{path}: the weights of the text network lack the array {error}") from error

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]  # TensorFlow is untyped
    def predict(pictures: Any) -> Any:
        cells = network(pictures, training=False)
        shape = tf.shape(cells)
        quarters = tf.reduce_max(tf.reshape(cells, (-1, shape[1], shape[2], 4, 4)), -1)
        return {"writing": tf.nn.depth_to_space(quarters, 2)}

    return WritingFinder(predict, file_sha256(path))


def writing_map(
    finder: WritingFinder, fine: Fine, photo: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Where writing is: (h, w) = `shape`, float32 in [0, 1], over a photo of (height, width) pixels.

    `fine` is the photo's `looks.fine_view`.
    """
    result = np.zeros(shape, np.float32)
    cell = photo[0] / shape[0], photo[1] / shape[1]
    longer = max(fine.picture.shape[:2])
    first = looks.whole(fine, LEVEL.side)
    (suspected,) = _seen(finder, [first], LEVEL)
    _add_lines(result, first, suspected, cell, LEVEL)
    if longer > LEVEL.side:
        tiles = _suspicious_tiles(fine, first, suspected)
        quarter = -(-len(tiles) // 4)
        if _look_closer(finder, result, tiles[:quarter], cell, LEVEL):
            _look_closer(finder, result, tiles[quarter:], cell, LEVEL)
    _look_closer(finder, result, [looks.whole(fine, UPRIGHT.side)], cell, UPRIGHT)
    if longer > LARGE.side:
        _look_closer(finder, result, [looks.whole(fine, LARGE.side)], cell, LARGE)
    return result


def _seen(
    finder: WritingFinder, parts: Sequence[Look], direction: Direction
) -> Iterator[NDArray[np.float32]]:
    """The probability of writing at the places of each look: (h, w) in 0..1, turned back."""
    turned = [
        dataclasses.replace(part, picture=np.ascontiguousarray(np.rot90(part.picture, direction.turns)))
        for part in parts
    ]
    for part, output in zip(turned, looks.run(finder.predict, turned, GRAY), strict=True):
        rows, columns = (-(-side // _PLACE) for side in part.picture.shape[:2])
        yield np.rot90(output["writing"][:rows, :columns, 0], -direction.turns)


def _look_closer(
    finder: WritingFinder,
    result: NDArray[np.float32],
    tiles: Sequence[Look],
    cell: tuple[float, float],
    direction: Direction,
) -> bool:
    """Adds the lines in tiles to a map; returns whether there were any."""
    seen = _seen(finder, tiles, direction)
    found = [
        _add_lines(result, tile, lines, cell, direction) for tile, lines in zip(tiles, seen, strict=True)
    ]
    return any(found)


def _suspicious_tiles(fine: Fine, first: Look, suspected: NDArray[np.float32]) -> list[Look]:
    """The tiles in which the first look suspects writing, those with most of it first."""
    scored = []
    for number, tile in enumerate(looks.tiles(fine, TILE, OVERLAP)):
        height, width = tile.picture.shape[:2]
        top, bottom = (int(y / first.scale_y / _PLACE) for y in (tile.top, tile.top + height * tile.scale_y))
        left, right = (int(x / first.scale_x / _PLACE) for x in (tile.left, tile.left + width * tile.scale_x))
        amount = int((suspected[top : bottom + 1, left : right + 1] > SUSPECTED).sum())
        if amount:
            scored.append((amount, -number, tile))
    return [tile for *_, tile in sorted(scored, key=lambda entry: entry[:2], reverse=True)]


def _add_lines(
    result: NDArray[np.float32],
    look: Look,
    probability: NDArray[np.float32],
    cell: tuple[float, float],
    direction: Direction,
) -> bool:
    """Adds the findings of a look to a map of the photo; returns whether there were any."""
    lines = grown_lines(probability, direction.thickest)
    y, x = np.nonzero(lines)
    if not len(y):
        return False
    # Every place counts for the cell that contains it, and every cell for the place that contains its center,
    # since either may be the finer.
    step_y, step_x = _PLACE * look.scale_y, _PLACE * look.scale_x
    rows = np.minimum(((look.top + (y + 0.5) * step_y) / cell[0]).astype(int), result.shape[0] - 1)
    columns = np.minimum(((look.left + (x + 0.5) * step_x) / cell[1]).astype(int), result.shape[1] - 1)
    np.maximum.at(result, (rows, columns), lines[y, x])
    rows = np.floor(((np.arange(result.shape[0]) + 0.5) * cell[0] - look.top) / step_y).astype(int)
    columns = np.floor(((np.arange(result.shape[1]) + 0.5) * cell[1] - look.left) / step_x).astype(int)
    down, across = (
        np.flatnonzero((at >= 0) & (at < most)) for at, most in zip((rows, columns), lines.shape, strict=True)
    )
    part = np.ix_(down, across)
    result[part] = np.maximum(result[part], lines[np.ix_(rows[down], columns[across])])
    return True


def grown_lines(probability: NDArray[np.float32], thickest: float = LEVEL.thickest) -> NDArray[np.float32]:
    """Grows cores of lines to whole lines: (h, w) in 0..1 to (h, w), each line as bright as it is certain.

    Cores whose half thickness exceeds `thickest` places do not count.
    """
    from scipy import ndimage

    labels, count = ndimage.label(probability > CORE, np.ones((3, 3)))
    if not count:
        return np.zeros(probability.shape, np.float32)
    numbers = np.arange(count + 1)
    mean = ndimage.mean(probability, labels, numbers)
    certain = np.clip((mean - CORE) / (SURE - CORE), 0, 1)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    thickness = ndimage.maximum(ndimage.distance_transform_edt(labels > 0), labels, numbers)
    is_blob = (thickness > _THICK) & (area < _LEAST_LENGTH * (2 * thickness) ** 2)
    certain[(area < _LEAST_CORE) | (thickness > thickest) | is_blob] = 0
    certain[0] = 0
    reach = _GROWTH * np.maximum(thickness, 1.0)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    owner = labels[tuple(nearest)]
    lines: NDArray[np.float32] = np.where(distance <= reach[owner], certain[owner], 0).astype(np.float32)
    return lines
