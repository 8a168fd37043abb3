"""Fetches the photos labeled for faces and writing: `python -m benchmarks.place_photos FOLDER`.

benchmarks/place_photos.csv names the author, license and half of each photo: nothing was chosen on the test
half, whose photos come from other sources than the development half's. Existing files are not fetched again.
Needs npm and mvn. Photos that are in no registry are not fetched: the validation photos of CID22 and CLIC
2025, and those that scikit-image has.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from benchmarks.packed_photos import fetched
from benchmarks.photo_sources import Kind, Package

SOURCES = Path(__file__).parent / "place_photos.csv"
HALVES = ("development", "test")
_FOLDERS: dict[Kind, str] = {"npm": "package"}  # where in a package its files are


@dataclasses.dataclass(frozen=True)
class PlacePhoto:
    """A labeled photo; `package` is None if it comes from no registry."""

    name: str
    half: Literal["development", "test"]
    package: Package | None
    member: str
    author: str
    license: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of its file, when fetched."""
        return f"{self.name}{Path(self.member).suffix.lower()}"


def main(argv: Sequence[str] | None = None) -> int:
    """Fetches what the folder lacks; returns 1 if anything is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.place_photos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the photos go: 65 MB")
    folder = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    problems = list(fetched(place_photos(), folder))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{folder}: {sum(1 for _ in folder.iterdir())} files")
    return 1 if problems else 0


def place_photos() -> list[PlacePhoto]:
    """All labeled photos, in the order of their names."""
    with SOURCES.open(newline="") as file:
        return [_photo(row) for row in csv.DictReader(file)]


def _photo(row: dict[str, str]) -> PlacePhoto:
    registry = cast(Kind, row["registry"])
    package = Package(registry, row["package"], _FOLDERS.get(registry, "")) if registry else None
    half = cast(Literal["development", "test"], row["half"])
    return PlacePhoto(row["name"], half, package, row["member"], row["author"], row["license"], row["sha256"])


if __name__ == "__main__":
    sys.exit(main())
