"""Figures that were measured before: what depends on no code of ours need not be measured again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.curves import Curve, Point
from benchmarks.photos import Photo


@dataclasses.dataclass(frozen=True)
class Kept:
    """A folder of curves, by photo and by what was done; no folder keeps nothing."""

    folder: Path | None

    def curve(self, photo: Photo, what: str, measure: Callable[[], Curve]) -> Curve:
        """The curve of a photo, measured if it is not there.

        Args:
          photo: whose pixels are part of the name.
          what: names the codec, its version and all settings.
          measure: gives the curve.
        """
        if self.folder is None:
            return measure()
        name = hashlib.sha256(f"{what} {photo.shape} ".encode() + photo.tobytes()).hexdigest()
        path = self.folder / f"{name}.json"
        if path.exists():
            return tuple(Point(**point) for point in json.loads(path.read_text()))
        found = measure()
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([dataclasses.asdict(point) for point in found]))
        return found
