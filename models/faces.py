"""Finds and maps the faces in a photo, from some 24 pixels wide in a 12-megapixel photo.

    photo -> reduced -> whole, small and smaller --> large faces
                     -> tiles with skin in them -> small faces -> those in doubt once more, at full size

Most photos have large faces or none. Only tiles with skin colors are searched again: first the likeliest
quarter of them, and the rest only if faces have been found by then, since people are seldom alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.models import face_detector, looks
from foveate.models.array_files import file_sha256, read_arrays
from foveate.models.looks import Fine, Look
from foveate.models.quiet import quiet_import
from foveate.models.scaling import Pixels, scaled

WEIGHTS = Path(__file__).parent / "weights" / "faces.npz"
FIRST_SIDES = (128, 352)  # of the whole photo, longer side: for faces that fill it, and for smaller ones
FIRST_TILES = 2  # the least number that is searched again
TILE, OVERLAP = 384, 48
WINDOW = 96  # of the third look, pixels of the photo
HINT, LEAST, SURE = 0.12, 0.4, 0.7  # scores: worth a third look; counts from here on; counts fully
MOST_WINDOWS = 16
_SMALL = 24  # pixels of the fine view: faces that small gain from a third look
_SAME = 0.3  # share of two boxes' union that they have in common: one face
_HEAD = (1.7, 2.0)  # width and height of a head with its hair, in units of its face
_SKIN = ((80, 128), (132, 180))  # of Cb and Cr
_SKIN_STEP = 4  # samples of the fine view that are judged together
_LEAST_SKIN = 3  # places in a tile
_LEAST_DETAIL = 3.0  # standard deviation of luma in a tile
_GRAY = 128  # values that mean nothing to the networks


class Face(NamedTuple):
    """A face: its score in 0..1, and its box in pixels of the photo, which may reach beyond the edge."""

    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclasses.dataclass(frozen=True, eq=False)
class FaceFinder:
    """A loaded network: pictures (batch, H, W, 3) float32 in 0..255 in, "scores" and "boxes" out."""

    predict: Callable[[NDArray[np.float32]], Mapping[str, Any]]
    sha256: str  # of the weights file


def load(path: str | Path = WEIGHTS) -> FaceFinder:
    """The network with the weights at `path` (the shipped ones unless given).

    Raises FileNotFoundError, or ValueError for a file of another format version or with missing arrays.
    """
    with quiet_import():
        import tensorflow as tf

    try:
        network = face_detector.load(read_arrays(path))
    except KeyError as error:
        raise ValueError(f"{path}: the weights of the face network lack the array {error}") from error

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]  # TensorFlow is untyped
    def predict(pictures: Any) -> Any:
        found = network(pictures / 127.5 - 1.0, training=False)
        return {"scores": tf.sigmoid(found["scores"]), "boxes": found["boxes"]}

    return FaceFinder(predict, file_sha256(path))


def find_faces(finder: FaceFinder, pixels: Pixels, fine: Fine) -> list[Face]:
    """The faces of a photo (H, W, C), best first; `fine` is its `looks.fine_view`."""
    found = _found_in(finder, [looks.whole(fine, side) for side in FIRST_SIDES])
    likely = _likely_tiles(fine) if max(fine.picture.shape[:2]) > max(FIRST_SIDES) else []
    quarter = max(FIRST_TILES, -(-len(likely) // 4))
    found += _found_in(finder, likely[:quarter])
    if any(face.score > SURE for face in found):
        found += _found_in(finder, likely[quarter:])
    found = _distinct(found)
    if fine.factor > 1:
        found = _distinct(_looked_at_again(finder, pixels, found, _SMALL * fine.factor))
    return [face for face in found if confidence(face) > 0]


def confidence(face: Face) -> float:
    """How much a face counts, in 0..1."""
    return min(1.0, max(0.0, (face.score - LEAST) / (SURE - LEAST)))


def face_map(faces: Iterable[Face], photo: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Where heads are: (h, w) = `shape`, float32 in [0, 1], over a photo of (height, width) pixels.

    Ellipses around the faces, including hair and chin, as bright as they are certain.
    """
    result = np.zeros(shape, np.float32)
    tall, wide = (side / cells for side, cells in zip(photo, shape, strict=True))  # a cell in pixels
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) * tall
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) * wide
    for face in faces:
        across = max((face.right - face.left) / 2 * _HEAD[0], wide)
        down = max((face.bottom - face.top) / 2 * _HEAD[1], tall)
        center_x = (face.left + face.right) / 2
        center_y = (face.top + face.bottom) / 2 - (face.bottom - face.top) * 0.1
        distance = np.hypot((x - center_x) / across, (y - center_y) / down)
        edge = min(across / wide, down / tall)  # the ellipse's smaller half, in cells
        np.maximum(result, confidence(face) * np.clip((1 - distance) * edge + 0.5, 0, 1), out=result)
    return result


def _found_in(finder: FaceFinder, parts: Sequence[Look], least: float = HINT) -> list[Face]:
    faces: list[Face] = []
    for look, output in zip(parts, looks.run(finder.predict, parts, _GRAY), strict=True):
        faces += _decoded(look, output["scores"][..., 0], output["boxes"], least)
    return _distinct(faces)


def _decoded(
    look: Look, scores: NDArray[np.float32], boxes: NDArray[np.float32], least: float
) -> Iterator[Face]:
    """The faces of a look, in the photo's pixels."""
    for row, column in np.argwhere(scores > least).tolist():
        x, y, width, height = (float(value) for value in boxes[row, column, :4])
        x += (column + 0.5) * face_detector.CELL
        y += (row + 0.5) * face_detector.CELL
        if not (
            width > 1 and height > 1 and 0 <= y < look.picture.shape[0] and 0 <= x < look.picture.shape[1]
        ):
            continue
        yield Face(
            float(scores[row, column]),
            look.left + (x - width / 2) * look.scale_x,
            look.top + (y - height / 2) * look.scale_y,
            look.left + (x + width / 2) * look.scale_x,
            look.top + (y + height / 2) * look.scale_y,
        )


def _distinct(faces: Iterable[Face]) -> list[Face]:
    """The best detection of each face, best first."""
    kept: list[Face] = []
    for face in sorted(faces, reverse=True):
        if all(_overlap(face, other) < _SAME for other in kept):
            kept.append(face)
    return kept


def _overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((face.right - face.left) * (face.bottom - face.top) for face in (one, other))
    return width * height / (sum(areas) - width * height)


def _likely_tiles(fine: Fine) -> list[Look]:
    """The tiles that may contain a face, likeliest first: by skin color, or by detail in gray photos."""
    tiles = looks.tiles(fine, TILE, OVERLAP)
    step = _SKIN_STEP
    height, width = fine.picture.shape[:2]
    small = scaled(fine.picture, max(1, height // step), max(1, width // step)).astype(np.float32)
    luma = small @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = [128 + 0.564 * (small[..., 2] - luma), 128 + 0.713 * (small[..., 0] - luma)]  # Cb, Cr
    is_gray = all(float(np.abs(plane - 128).mean()) < 1 for plane in chroma)
    skin = np.ones(luma.shape, bool)
    for plane, (low, high) in zip(chroma, _SKIN, strict=True):
        skin &= (plane >= low) & (plane <= high)
    scored = []
    for number, tile in enumerate(tiles):
        top, left = (round(at / fine.factor / step) for at in (tile.top, tile.left))
        bottom, right = (start + TILE // step for start in (top, left))
        detail = float(luma[top:bottom, left:right].std())
        amount = int(skin[top:bottom, left:right].sum())
        if detail >= _LEAST_DETAIL and (is_gray or amount >= _LEAST_SKIN):
            scored.append((detail if is_gray else amount, -number, tile))
    return [tile for *_, tile in sorted(scored, key=lambda entry: entry[:2], reverse=True)]


def _looked_at_again(finder: FaceFinder, pixels: Pixels, faces: Sequence[Face], small: int) -> list[Face]:
    """The faces; small and uncertain ones get their score at full size."""
    unsure = [face for face in faces if face.score < SURE and face.right - face.left < small][:MOST_WINDOWS]
    rest = [face for face in faces if face not in unsure and face.score >= LEAST]
    windows = [_window(pixels, face) for face in unsure]
    for face, window, output in zip(unsure, windows, looks.run(finder.predict, windows, _GRAY), strict=True):
        seen = _decoded(window, output["scores"][..., 0], output["boxes"], HINT)
        rest += [again for again in seen if _overlap(again, face) > _SAME][:1]
    return rest


def _window(pixels: Pixels, face: Face) -> Look:
    """The part of the photo around a face, not scaled."""
    height, width = pixels.shape[:2]
    left = int(min(max((face.left + face.right - WINDOW) / 2, 0), max(width - WINDOW, 0)))
    top = int(min(max((face.top + face.bottom - WINDOW) / 2, 0), max(height - WINDOW, 0)))
    part = pixels[top : top + WINDOW, left : left + WINDOW]
    return Look(scaled(part, *part.shape[:2]), float(left), float(top))
