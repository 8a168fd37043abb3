"""Writing composed onto views of photos, and what is believed of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from foveate.models.training import written_views
from foveate.models.training.written_views import View, views, written


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    return [[pillows_font(tmp_path_factory.mktemp("fonts"))]]


def pillows_font(folder: Path) -> Path:
    """The font that comes with Pillow, as a file."""
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    path = folder / "pillow.ttf"
    path.write_bytes(font.font_bytes)
    return path


def plain_view(side: int = 90) -> View:
    """A gray photo in which the teacher finds nothing."""
    return View(
        np.full((side, side + 30, 3), 90, np.uint8),
        np.zeros((side, side + 30), np.uint8),
        np.ones((side, side + 30), np.bool_),
    )


def test_the_same_seed_gives_the_same_pictures(fonts: list[list[Path]]) -> None:
    for seed in range(12):
        one, other = (written([plain_view()], fonts, 128, np.random.default_rng(seed)) for _ in range(2))
        assert one["photo"].shape == (128, 128, 3)
        assert one["writing"].shape == one["weight"].shape == (128, 128)
        for name, values in one.items():
            assert values.dtype == np.float32
            assert values.min() >= 0
            assert values.max() <= (255 if name == "photo" else 1)
            np.testing.assert_array_equal(values, other[name])


def test_most_pictures_have_writing_and_some_have_none(fonts: list[list[Path]]) -> None:
    generator = np.random.default_rng(3)
    pictures = [written([plain_view()], fonts, 128, generator) for _ in range(40)]
    with_writing = sum(picture["writing"].max() > 0.5 for picture in pictures)
    assert 20 < with_writing < 38


def test_what_the_teacher_finds_only_when_turned_is_left_open() -> None:
    def teacher(picture: Any) -> Any:
        """Finds what is bright, in pictures that are wider than high."""
        is_level = picture.shape[1] > picture.shape[0]
        return (picture[..., 0] > 200).astype(np.float32) * is_level

    photo = np.zeros((200, 100, 3), np.uint8)
    photo[90:110, 40:60] = 255
    (view,) = views(photo, teacher, 1, np.random.default_rng(0))
    assert view.writing.max() == 0
    height, width = view.writing.shape
    assert not view.known[height // 2, width // 2]
    assert view.known[0, 0]

    (view,) = views(photo.transpose(1, 0, 2), teacher, 1, np.random.default_rng(0))
    assert view.writing.max() == 255
    assert view.known.all()


def test_what_the_teacher_finds_stays_found(fonts: list[list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_views, "_PLAIN_SHARE", 1.0)
    monkeypatch.setattr(written_views, "_CLUTTER_SHARE", 0.0)
    view = plain_view()
    view.writing[20:24, 30:70] = 204
    found = written([view], fonts, 128, np.random.default_rng(0))["writing"]
    assert found.max() == pytest.approx(0.8)
    assert (found > 0).sum() == 160


def test_writing_that_nobody_could_read_is_left_open(
    fonts: list[list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_views, "_PLAIN_SHARE", 0.0)
    monkeypatch.setattr(written_views, "_CLUTTER_SHARE", 0.0)
    monkeypatch.setattr(written_views, "_LEAST_SEEN", 1000)
    for seed in range(6):
        found = written([plain_view()], fonts, 128, np.random.default_rng(seed))
        assert not (found["weight"] * found["writing"] > 0.6).any()
