"""Files of any filesystem that Beam knows: finding, reading, writing whole."""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.elements import SourceFile
from transforms.steps import BadInput, CannotGoOn

PRIVATE_FOLDER = "_foveate"  # tables and temporary files below an archive's root
_GLOB = "*?["
# What a name can do to a filesystem; a full disk is nobody's photo's fault and ends the run.
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR}


class NothingFound(ValueError):  # noqa: N818
    """A source that does not exist."""


def find_files(source: str, extensions: frozenset[str], output: str) -> Iterator[SourceFile]:
    """The files that a command-line source names.

    Args:
      source: a file (whatever its name), a folder (searched with its sub-folders), a glob, or a URL.
      extensions: which files of a folder or glob are taken: lower case, with dot.
      output: where the results go: what lies there already is no source, even if it lies below one.

    Raises:
      NothingFound: there is no such file or folder, or it holds no file with such an extension.
    """
    found = False
    for path, root, size, modified in _candidates(source):
        if root is None or Path(path).suffix.lower() in extensions:
            base = root if root is not None else path.rpartition("/")[0]
            relative = path[len(base) :].lstrip("/") if base else path
            results = None if root is None else _path_below(output, root)
            if results is None or not relative.startswith(f"{results}/"):
                found = True
                yield SourceFile(path, relative, size, modified)
    if not found:
        raise NothingFound(f"no such file, or no photo in it: {source}")


@functools.lru_cache
def _path_below(folder: str, root: str) -> str | None:
    """A folder's path below a root, None where it is not below it."""
    if "://" in root or "://" in folder:
        prefix = f"{root.rstrip('/')}/"
        return folder.rstrip("/")[len(prefix) :] or None if folder.startswith(prefix) else None
    relative = os.path.relpath(folder, root or ".")
    return None if relative.partition("/")[0] in (".", "..") else relative


def list_folder(folder: str) -> Iterator[tuple[str, int]]:
    """(path below it, size in bytes) of every file of a folder, if there is one, but Foveate's own."""
    with contextlib.suppress(NothingFound):
        for path, root, size, _ in _candidates(folder):
            if root is not None:
                yield path[len(root) :].lstrip("/"), size


def _candidates(source: str) -> Iterator[tuple[str, str | None, int, float]]:
    """(path, root it was found under or None for a file named itself, size, modified)."""
    source = source.removeprefix("file://")
    if "://" not in source:
        yield from _local_candidates(source)
        return
    bare = source.rstrip("/")
    patterns = [source] if any(c in source for c in _GLOB) else [bare, bare + "/**"]
    for number, pattern in enumerate(patterns):
        try:
            matched = FileSystems.match([pattern])[0].metadata_list
        except (
            BeamIOError,
            ValueError,
        ) as error:  # ValueError: no such kind of URL, or its package is missing
            raise NothingFound(f"{source} cannot be listed: {error}") from error
        named = len(patterns) > 1 and number == 0
        root = None if named else _root(pattern)
        for entry in matched:
            if not entry.path.endswith("/") and f"/{PRIVATE_FOLDER}/" not in entry.path:
                yield entry.path, root, entry.size_in_bytes, entry.last_updated_in_seconds or 0.0


def _local_candidates(source: str) -> Iterator[tuple[str, str | None, int, float]]:
    path = Path(source)
    if path.is_dir():
        root = "" if path == Path() else str(path)  # paths below "." do not begin with it
        seen: set[str] = set()
        for folder, folders, names in os.walk(path, followlinks=True):
            if (real := os.path.realpath(folder)) in seen:  # a link back up
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if name != PRIVATE_FOLDER)
            for name in sorted(names):
                yield from _local_file(Path(folder) / name, root)
    elif path.exists():
        yield from _local_file(path, None)
    elif any(c in source for c in _GLOB):
        # Not by pathlib, which wants a folder and a pattern below it.
        for match in sorted(glob.glob(source, recursive=True)):  # noqa: PTH207
            if Path(match).is_file() and f"/{PRIVATE_FOLDER}/" not in match:
                yield from _local_file(Path(match), _root(source))


def _local_file(path: Path, root: str | None) -> Iterator[tuple[str, str | None, int, float]]:
    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, or a dangling link
        status = path.stat()
        if stat.S_ISREG(status.st_mode):  # a pipe or socket would never end
            yield str(path), root, status.st_size, status.st_mtime


def _root(pattern: str) -> str:
    """The folder below which a glob's matches keep their paths: all before the first wildcard's part."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if any(c in part for c in _GLOB)), len(parts) - 1)
    return "/".join(parts[:first])


def join(root: str, relative: str) -> str:
    """A path below a folder or URL."""
    return f"{root.rstrip('/')}/{relative}"


def read_whole(url: str) -> bytes:
    """A file's bytes, exactly as they are stored."""
    with FileSystems.open(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
        data: bytes = handle.read()
    return data


def read_if_there(url: str) -> bytes | None:
    """A file's bytes, None where there is no such file."""
    try:
        return read_whole(url) if FileSystems.exists(url) else None
    except FileNotFoundError:
        return None


def write_whole(url: str, data: bytes, archive: str) -> None:
    """Writes a file so that it is there whole or not at all.

    Object stores show an object when its upload is complete. A local file is written below the archive's
    private folder, brought to the disk, and moved to its name in one step.

    Raises:
      BadInput: the filesystem does not take such a name.
      CannotGoOn: it takes no more files at all: it is full, read-only or gone.
    """
    try:
        if "://" in url:
            with FileSystems.create(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
                handle.write(data)
        else:
            _write_local(Path(url), data, temporary_folder(archive))
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            raise BadInput(f"cannot be written to {url}: {error.strerror}") from error
        raise CannotGoOn(f"{url} cannot be written: {error}") from error


def _write_local(target: Path, data: bytes, temporary: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    part = temporary / uuid.uuid4().hex
    try:
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def temporary_folder(archive: str) -> Path:
    """Where unfinished local files lie until they are moved to their names."""
    return Path(archive) / PRIVATE_FOLDER / "unfinished"


def clear_unfinished(archive: str) -> None:
    """Removes what a killed run left unfinished in a local archive, to which one run at a time may write."""
    if "://" in archive:
        return
    private = Path(archive) / PRIVATE_FOLDER
    for part in [*temporary_folder(archive).glob("*"), *private.glob("*/run=*/*.partial-*")]:
        part.unlink(missing_ok=True)
    for folder in (temporary_folder(archive), private):
        with contextlib.suppress(OSError):  # it is not there, or there are tables in it
            folder.rmdir()
