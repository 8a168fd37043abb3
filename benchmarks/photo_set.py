"""Fetches and generates the photos for benchmarks of whole runs: `python -m benchmarks.photo_set FOLDER`.

published/ has freely licensed photos from Debian's and Maven's packages, byte for byte; camera/ has JPEGs
like those of cameras, made from twelve of these; other/ has scanned pages, screenshots, gray and 16-bit
pictures. Existing files are not fetched again. Needs apt-get with dpkg-deb (Debian, Ubuntu), and mvn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.camera_files import CAMERAS, camera_file
from benchmarks.other_files import other_files
from benchmarks.packed_photos import fetched
from benchmarks.photo_sources import GRAY_SCAN, PHOTOS, RENDERED
from benchmarks.photos import read_photo

_SCENE = "mountains"  # in what is made of a photo


def main(argv: Sequence[str] | None = None) -> int:
    """Fetches and makes what the folder lacks; returns 1 if anything is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photo_set",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the photos go: 150 MB")
    folder = parser.parse_args(argv).folder
    (folder / "published").mkdir(parents=True, exist_ok=True)
    problems = list(fetched((*PHOTOS, GRAY_SCAN), folder / "published"))
    for problem in problems:
        print(problem, file=sys.stderr)
    _make(folder)
    for part in ("published", "camera", "other"):
        files = [path for path in (folder / part).glob("*") if path.is_file()]
        print(
            f"{folder / part}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"
        )
    return 1 if problems else 0


def _make(folder: Path) -> None:
    """Makes the files that are derived from others, if these exist."""
    for part in ("camera", "other"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(RENDERED):
        for camera in CAMERAS:
            path, photo = (
                folder / "camera" / f"{name}-{camera.name}.jpg",
                folder / "published" / f"{name}.jpg",
            )
            if not path.exists() and photo.exists():
                with Image.open(photo) as image:
                    _write(path, camera_file(image.convert("RGB"), camera, seed))
    scene = folder / "published" / f"{_SCENE}.jpg"
    if scene.exists():
        for name, data in other_files(read_photo(scene)).items():
            _write(folder / "other" / name, data)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
