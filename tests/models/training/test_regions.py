"""Tests coded regions on disk: they are coded once, even after an interruption, and patches fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.models.training import regions
from foveate.models.training.regions import CodedRegion, RegionStore, StoreMismatch, code_regions
from tests.streams import texture

SIDE = 64


class Coder:
    """Halves samples; remembers the regions it was given, and can fail at one of them."""

    def __init__(self, fails_at: int = -1) -> None:
        self.seen: list[bytes] = []
        self._fails_at = fails_at

    def __call__(self, region: NDArray[np.uint8], rng: np.random.Generator) -> CodedRegion:
        if len(self.seen) == self._fails_at:
            raise RuntimeError("the power went")
        self.seen.append(region.tobytes())
        noise = rng.random((SIDE // 8, SIDE // 8, 5), dtype=np.float32)
        return CodedRegion(region, region // 2, noise)


def photos() -> list[NDArray[np.uint8]]:
    return [texture(90, 120, 3)]


def coded(folder: Path, coder: Coder, count: int = 5, origin: str = "here") -> RegionStore:
    return code_regions(photos, coder, folder, count=count, size=SIDE, seed=4, origin=origin)


def test_regions_are_coded_once(tmp_path: Path) -> None:
    first = coded(tmp_path, Coder())
    again, idle = coded(tmp_path, second := Coder()), second.seen
    assert not idle and len(first) == len(again) == 5
    assert len({region.tobytes() for region in first.photo}) == 5
    for name in ("photo", "decoded", "noise", "error"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_the_error_is_that_of_the_decoded_region(tmp_path: Path) -> None:
    store = coded(tmp_path, Coder())
    errors = ((store.photo.astype(float) - store.decoded) ** 2).mean((1, 2, 3)) / 255**2
    np.testing.assert_allclose(store.error, errors, rtol=1e-5)


def test_interrupted_coding_ends_with_the_same_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_CHUNK", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    whole = coded(tmp_path / "whole", Coder())
    with pytest.raises(RuntimeError, match="the power went"):
        coded(tmp_path / "halves", Coder(fails_at=4))
    rest = Coder()
    halves = coded(tmp_path / "halves", rest)
    assert len(rest.seen) < 5
    for name in ("photo", "decoded", "noise", "error"):
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name))


def test_regions_of_other_settings_are_not_taken_for_these(tmp_path: Path) -> None:
    coded(tmp_path, Coder())
    for count, origin in ((6, "here"), (5, "there")):
        with pytest.raises(StoreMismatch, match="remove it"):
            coded(tmp_path, Coder(), count, origin)


def numbered() -> RegionStore:
    """A region whose pixels and cells say where they are: (row, column, 0)."""
    rows, columns = np.indices((SIDE, SIDE), np.uint8)
    photo = np.stack([rows, columns, np.zeros_like(rows)], -1)[None]
    noise = np.moveaxis(np.indices((SIDE // 8, SIDE // 8)), 0, -1)[None].astype(np.float32)
    return RegionStore(photo, 255 - photo, noise, np.array([0.5], np.float32))


def test_patches_of_photo_decoded_and_noise_map_show_the_same_place() -> None:
    batch = numbered().batch(64, 24, np.random.default_rng(0))
    assert batch["photo"].shape == (64, 24, 24, 3) and batch["noise"].shape == (64, 3, 3, 2)
    np.testing.assert_array_equal(batch["decoded"], 255 - batch["photo"])
    middles = batch["photo"][:, 4::8, 4::8, :2].astype(int) // 8
    np.testing.assert_array_equal(middles, batch["noise"])
    assert (batch["error"] == 0.5).all()


def test_patches_are_mirrored_and_turned_every_way() -> None:
    batch = numbered().batch(64, 24, np.random.default_rng(0))
    down = batch["photo"][:, 1, 0, :2].astype(int) - batch["photo"][:, 0, 0, :2]
    across = batch["photo"][:, 0, 1, :2].astype(int) - batch["photo"][:, 0, 0, :2]
    assert len({(*a, *b) for a, b in zip(down.tolist(), across.tolist(), strict=True)}) == 8


def test_low_pass_samples_stay_at_even_places_of_every_patch() -> None:
    batch = numbered().batch(64, 24, np.random.default_rng(0))
    assert not (batch["photo"][:, ::8, ::8] % 8).any()
    assert len(np.unique(batch["photo"][:, 0, 0], axis=0)) > 20
