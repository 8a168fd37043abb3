"""Keeps measured figures, so that an interrupted run resumes and a repeated one is quick.

Figures are looked up by the photo's pixels and by a text that names everything else they depend on: a codec's
version and settings, the bytes of the file that was decoded, the SHA-256 of a network's weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import MEASURES, Curve, Point
from benchmarks.photos import Photo


@dataclasses.dataclass(frozen=True)
class Kept:
    """A folder of curves and maps; no folder keeps nothing."""

    folder: Path | None

    def curve(self, photo: Photo, what: str, measure: Callable[[], Curve]) -> Curve:
        """The curve of a photo, measured if it is not there.

        Args:
          photo: whose pixels are part of the name.
          what: names the codec, its version and all settings.
          measure: gives the curve.
        """
        path = self._path(photo, f"{what} {list(MEASURES)}", "json")
        if path and path.exists():
            return tuple(Point(**point) for point in json.loads(path.read_text()))
        found = measure()
        if path:
            _write(path, json.dumps([dataclasses.asdict(point) for point in found]).encode())
        return found

    def map(self, photo: Photo, what: str, measure: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Likewise the map of a photo, (h, w) float32."""
        path = self._path(photo, what, "f32")
        if path and path.exists():
            height, *samples = np.frombuffer(path.read_bytes(), np.float32)
            return np.array(samples, np.float32).reshape(int(height), -1)
        found = measure()
        if path:
            _write(path, np.float32(found.shape[0]).tobytes() + found.tobytes())
        return found

    def _path(self, photo: Photo, what: str, ending: str) -> Path | None:
        name = hashlib.sha256(f"{what} {photo.shape} ".encode() + photo.tobytes()).hexdigest()
        return self.folder and self.folder / f"{name}.{ending}"


def _write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, even if another process writes the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
