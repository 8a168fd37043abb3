"""Tests finding objects, faces and writing in photos, and combining them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from foveate.models import structures
from foveate.models.faces import Face, face_map
from foveate.models.structures import Structures, combine


@pytest.fixture(scope="module")
def finder() -> structures.StructureFinder:
    return structures.load()


def maps(objects: float, faces: float, writing: float) -> Structures:
    """A photo of six columns: one for each structure, and three of nothing."""
    columns = np.zeros((3, 1, 6), np.float32)
    columns[[0, 1, 2], 0, [0, 1, 2]] = objects, faces, writing
    return Structures(columns[0], columns[1], columns[2], ())


def astronaut(height: int, width: int, face: int, left: int, top: int) -> Any:
    """The astronaut, scaled until her face has a width of `face` pixels, in the middle of green noise."""
    scale = face / 85
    picture = Image.fromarray(data.astronaut()).crop((100, 20, 356, 276))
    small = picture.resize((round(256 * scale),) * 2, Image.Resampling.LANCZOS)
    photo = np.random.default_rng(0).integers(0, 50, (height, width, 3)).astype(np.uint8)
    photo[..., 1] += 60
    photo[top : top + small.height, left : left + small.width] = np.asarray(small)
    return photo


def with_words(height: int, width: int, size: int, left: int, top: int) -> Any:
    photo = Image.fromarray(np.full((height, width, 3), (60, 90, 60), np.uint8))
    ImageDraw.Draw(photo).text(
        (left, top), "Platform 4 departures", (255, 255, 255), ImageFont.load_default(size)
    )
    return np.asarray(photo)


@pytest.mark.parametrize(
    ("height", "width", "face"), [(1000, 900, 200), (700, 1000, 60), (1400, 2100, 40), (300, 200, 50)]
)
def test_a_face_is_found_where_it_is(
    finder: structures.StructureFinder, height: int, width: int, face: int
) -> None:
    left, top = round(0.1 * width), round(0.15 * height)
    found = structures.find(finder, astronaut(height, width, face, left, top))
    best = found.found_faces[0]
    x, y = (best.left + best.right) / 2, (best.top + best.bottom) / 2
    assert abs(x - left - 1.45 * face) < 0.5 * face and abs(y - top - 1.1 * face) < 0.6 * face
    rows, columns = found.faces.shape
    assert found.faces[int(y / height * rows), int(x / width * columns)] > 0.5


@pytest.mark.parametrize(("height", "width", "size"), [(480, 640, 30), (1500, 2000, 40), (2400, 1200, 36)])
def test_writing_is_found_where_it_is(
    finder: structures.StructureFinder, height: int, width: int, size: int
) -> None:
    left, top = width // 5, 2 * height // 3
    found = structures.find(finder, with_words(height, width, size, left, top))
    rows, columns = found.writing.shape
    lines = found.writing[int((top + 0.4 * size) / height * rows), int((left + size) / width * columns) :]
    assert lines[: int(6 * size / width * columns)].mean() > 0.7
    assert found.writing_share < 0.12
    assert found.writing[: int(rows * (top - 2 * size) / height)].max() == 0


def test_a_photo_of_nothing_has_neither_faces_nor_writing(finder: structures.StructureFinder) -> None:
    found = structures.find(finder, np.full((300, 400, 3), 90, np.uint8))
    assert found.found_faces == () and found.faces.max() == 0 and found.writing_share == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 1), (2500, 3, 4), (37, 53, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_shape_and_depth_has_maps_of_one_shape(
    finder: structures.StructureFinder, shape: tuple[int, int, int], dtype: Any
) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    found = structures.find(finder, pixels)
    expected = structures.map_shape(*shape[:2])
    for channel in (found.objects, found.faces, found.writing, combine(found)):
        assert channel.shape == expected and channel.dtype == np.float32
        assert 0 <= channel.min() <= channel.max() <= 1


def test_the_same_photo_has_the_same_maps(finder: structures.StructureFinder) -> None:
    photo = astronaut(400, 600, 80, 50, 60)
    first, second = (structures.find(finder, photo) for _ in range(2))
    for name in structures.NAMES:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_what_does_not_count_is_not_looked_for() -> None:
    finder = structures.load((1.0, 0.0, 0.0))
    assert finder.faces is None and finder.writing is None
    found = structures.find(finder, astronaut(300, 300, 80, 20, 20))
    assert found.faces.max() == 0 and found.objects.max() > 0
    assert structures.weights_sha256((1.0, 0.0, 0.0)) != structures.weights_sha256()


def test_structures_count_in_proportion_to_their_weights() -> None:
    combined = combine(maps(1, 1, 1), (1.0, 1.3, 1.2))
    np.testing.assert_allclose(combined[0, :3], [1 / 1.3, 1, 1.2 / 1.3], atol=1 / 255)


def test_objects_alone_have_all_of_the_gain() -> None:
    np.testing.assert_allclose(combine(maps(1, 0, 0), (1.0, 1.3, 1.2))[0, :3], [1, 0, 0])


def test_a_face_that_is_hardly_there_takes_nothing_from_objects() -> None:
    np.testing.assert_allclose(combine(maps(1, 0.1, 0), (1.0, 1.3, 1.2))[0, :3], [1, 0.13, 0], atol=1 / 255)


def test_a_page_is_looked_at_all_over() -> None:
    writing, nothing = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.float32)
    writing[:, :8] = 1
    assert combine(Structures(nothing, nothing, writing, ())).min() == 1
    writing[:, 2:] = 0
    np.testing.assert_array_equal(combine(Structures(nothing, nothing, writing, ())), writing)


def test_if_nothing_is_found_all_places_are_alike() -> None:
    assert combine(maps(0, 0, 0)).max() == 0


def test_a_map_that_cannot_decide_counts_for_nothing() -> None:
    decided = np.zeros((10, 10), np.float32)
    decided[3:6, 3:6] = 1
    np.testing.assert_array_equal(structures.settled(decided), decided)
    assert structures.settled(np.full((10, 10), 0.3, np.float32)).max() == 0
    assert structures.doubt(np.zeros((10, 10), np.float32)) == 1


def test_a_face_is_an_ellipse_as_bright_as_it_is_certain() -> None:
    drawn = face_map([Face(0.9, 100, 100, 200, 200)], (400, 400), (80, 80))
    assert drawn[28, 30] == 1 and drawn[20:40].max() == 1
    assert drawn[:, :10].max() == 0 and drawn[50:].max() == 0
    unsure = face_map([Face(0.55, 100, 100, 200, 200)], (400, 400), (80, 80))
    assert unsure.max() == pytest.approx(0.5)


def test_a_face_smaller_than_a_cell_is_not_lost() -> None:
    drawn = face_map([Face(0.9, 2000, 1000, 2024, 1024)], (6000, 8000), (240, 320))
    assert drawn.max() > 0.5 and (drawn > 0.5).sum() <= 6
