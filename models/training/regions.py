"""Keeps coded regions of photos on disk, and draws patches from them for training."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.models.training.photos import random_patch
from foveate.models.wavelet import CELL

_ARRAYS = ("photo", "decoded", "noise", "error")
_CHUNK = 64  # regions between two notes of how many are done


@dataclasses.dataclass(frozen=True, eq=False)
class CodedRegion:
    """A part of a photo (n, n, 3), what the codec made of it, and RecCNN's noise map (n/8, n/8, c)."""

    photo: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    noise: NDArray[np.float32]


Coder = Callable[[NDArray[np.uint8], np.random.Generator], CodedRegion]


class StoreMismatch(ValueError):  # noqa: N818
    """A folder of coded regions that other settings made."""


@dataclasses.dataclass(frozen=True, eq=False)
class RegionStore:
    """Coded regions in memory-mapped files.

    photo, decoded: (count, n, n, 3) uint8.
    noise: (count, n/8, n/8, c) float32.
    error: (count,) float32, the mean squared error of the decoded region, as a share of the peak's square.
    """

    photo: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    noise: NDArray[np.float32]
    error: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.photo)

    def batch(self, size: int, patch: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Random patches, mirrored and turned at random: `photo`, `decoded` (size, patch, patch, 3) uint8;
        `noise` (size, patch/8, patch/8, c) float32; `error` (size,) float32, of their whole regions.
        """
        numbers = rng.integers(len(self), size=size)
        patches = [self._patch(number, patch, rng) for number in numbers]
        photo, decoded, noise = (np.stack(arrays) for arrays in zip(*patches, strict=True))
        return {"photo": photo, "decoded": decoded, "noise": noise, "error": self.error[numbers]}

    def _patch(self, number: int, patch: int, rng: np.random.Generator) -> list[NDArray[Any]]:
        window = _window(self.photo.shape[1], patch, rng)
        return [window.of(array[number]) for array in (self.photo, self.decoded, self.noise)]


@dataclasses.dataclass(frozen=True)
class _Window:
    """A patch of a region, in cells, and how it is mirrored and turned."""

    top: int
    left: int
    cells: int
    mirrored: tuple[bool, bool]
    transposed: bool

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The patch of a region's pixels (n, n, c) or noise map (n/8, n/8, c).

        Low-pass samples of all levels lie at even places. For them to do so in mirrored pixels as well, those
        are taken one pixel further on.
        """
        unit = CELL if array.dtype == np.uint8 else 1
        for axis, (start, mirrored) in enumerate(zip((self.top, self.left), self.mirrored, strict=True)):
            first = unit * start + (mirrored and unit > 1)
            array = array.swapaxes(0, axis)[first : first + unit * self.cells]
            array = (array[::-1] if mirrored else array).swapaxes(0, axis)
        return array.swapaxes(0, 1) if self.transposed else array


def _window(region: int, patch: int, rng: np.random.Generator) -> _Window:
    """A random patch of a region, with a number of pixels per side; one pixel is left for mirroring."""
    top, left = rng.integers((region - 1 - patch) // CELL + 1, size=2).tolist()
    mirror_y, mirror_x, transposed = (rng.random(3) < 0.5).tolist()
    return _Window(top, left, patch // CELL, (mirror_y, mirror_x), transposed)


def code_regions(
    photos: Callable[[], list[NDArray[np.uint8]]],
    coder: Coder,
    folder: Path,
    *,
    count: int,
    size: int,
    seed: int,
    origin: str,
) -> RegionStore:
    """A store of random coded regions (size, size, 3) of photos; the same for the same seed.

    What is there already is not coded again, also after an interruption.

    Args:
      photos: loads them; not called if all is there.
      coder: what to code with.
      folder: of the store.
      count, size, seed: see above.
      origin: what the regions depend on besides, in words: the photos, the coder.

    Raises:
      StoreMismatch: the folder holds regions of other settings.
    """
    settings: dict[str, Any] = {"count": count, "size": size, "seed": seed, "origin": origin}
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "regions.json"
    done = 0
    if note.exists():
        found = json.loads(note.read_text())
        done = found.pop("done")
        if found != settings:
            raise StoreMismatch(
                f"{folder} has regions of {found}, not {settings}: remove it or use another folder"
            )
    if done < count:
        _code_missing(photos(), coder, folder, settings, done)
    return RegionStore(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS))


def _code_missing(
    photos: list[NDArray[np.uint8]], coder: Coder, folder: Path, settings: dict[str, Any], done: int
) -> None:
    count, size = settings["count"], settings["size"]

    def code(number: int) -> CodedRegion:
        rng = np.random.default_rng([settings["seed"], number])
        return coder(random_patch(photos, size, rng), rng)

    channels = code(0).noise.shape[-1]
    shapes = {
        "photo": ((count, size, size, 3), np.uint8),
        "decoded": ((count, size, size, 3), np.uint8),
        "noise": ((count, size // CELL, size // CELL, channels), np.float32),
        "error": ((count,), np.float32),
    }
    arrays = {name: _array(folder / f"{name}.npy", *shape, fresh=not done) for name, shape in shapes.items()}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for first in range(done, count, _CHUNK):
            numbers = range(first, min(count, first + _CHUNK))
            for number, region in zip(numbers, pool.map(code, numbers), strict=True):
                arrays["photo"][number], arrays["decoded"][number] = region.photo, region.decoded
                arrays["noise"][number] = region.noise
                arrays["error"][number] = np.mean(
                    np.square((region.photo.astype(np.float32) - region.decoded) / np.float32(255))
                )
            for array in arrays.values():
                array.flush()
            _note(folder, {**settings, "done": numbers.stop})


def _array(path: Path, shape: tuple[int, ...], dtype: Any, *, fresh: bool) -> Any:
    if fresh:
        return np.lib.format.open_memmap(path, "w+", dtype, shape)
    return np.lib.format.open_memmap(path, "r+")


def _note(folder: Path, settings: dict[str, Any]) -> None:
    writing = folder / "regions.writing"
    writing.write_text(json.dumps(settings, indent=1))
    writing.replace(folder / "regions.json")
