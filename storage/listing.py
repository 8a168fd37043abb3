"""Finds source files and lists folders on local disks and in object stores."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import functools
import glob
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, FileSystem
from apache_beam.io.filesystems import FileSystems

from foveate.storage.errors import CannotGoOn, cannot_be
from foveate.storage.local_disk import PRIVATE_FOLDER, local_file
from foveate.storage.object_store import Store, StoredFile
from foveate.storage.redaction import redacted
from foveate.storage.source import SourceFile
from foveate.storage.stores import store_of

_GLOB = "*?["


class NothingFound(ValueError):  # noqa: N818
    """A source that does not exist."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A lister's part of a source: the urls from `start` on and before `end`; "" for no such bound.

    `source` is a file (whatever its name), a folder (searched with its sub-folders), a glob, or a URL.
    """

    source: str
    start: str = ""
    end: str = ""


# What systems and programs leave in folders beside photos, photos by their names among it.
_SYSTEM_NAMES = (
    "@eaDir",
    "#recycle",
    "#snapshot",
    ".thumbnails",
    "$RECYCLE.BIN",
    "System Volume Information",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
)
_SYSTEM_PREFIXES = (".Trash", "._", ".Spotlight-", ".fseventsd")


def is_of_system(relative_path: str) -> bool:
    """Whether a path below a root is never a photo of a person: AppleDouble files, thumbnails, bins."""
    parts = relative_path.split("/")
    return any(part.startswith(_SYSTEM_PREFIXES) or part in _SYSTEM_NAMES for part in parts)


def is_excluded(relative_path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path below a root fits one of some patterns (`*` fits slashes too), or a folder of it does.

    A pattern without a slash may be any name in the path, one with a slash has to begin at the root.
    """
    names = relative_path.split("/")
    folders = ["/".join(names[:depth]) for depth in range(1, len(names) + 1)] if patterns else []
    return any(
        any(fnmatch.fnmatchcase(name, pattern.strip("/")) for name in (folders if "/" in pattern else names))
        for pattern in patterns
    )


def find_files(
    source: str,
    extensions: frozenset[str],
    output: str,
    other_kinds: collections.Counter[str] | None = None,
    *,
    every_kind: bool = False,
) -> Iterator[SourceFile]:
    """The files that a command-line source names; arguments as of `find_part`.

    Raises:
      NothingFound: there is no such file or folder, or it holds no file with such an extension.
    """
    found = False
    for file in find_part(Part(source), extensions, output, other_kinds, every_kind=every_kind):
        found = True
        yield file
    if not found:
        raise nothing_in(source)


def nothing_in(source: str) -> NothingFound:
    """The error for a source that names no file."""
    return NothingFound(redacted(f"no such file, or no photo in it: {source}"))


def find_part(
    part: Part,
    extensions: frozenset[str],
    output: str,
    other_kinds: collections.Counter[str] | None = None,
    exclude: tuple[str, ...] = (),
    *,
    every_kind: bool = False,
) -> Iterator[SourceFile]:
    """The files of a part of a source; there may be none.

    Args:
      part: of which source, and from where to where.
      extensions: which files of a folder or glob are taken: lower case, with dot.
      output: where the results go: what lies there already is no source, even if it lies below one.
      other_kinds: counts the files that are not taken for their endings, by these (no dot, "" for none).
      exclude: patterns of paths that are left out (`is_excluded`), unless they are named themselves.
      every_kind: take files whatever their endings.

    What is of the system (`is_of_system`) is left out, unless it is named itself. A local folder that cannot
    be listed is a file too: one that nobody can read, which its row will say.

    Raises:
      NothingFound: its place cannot be listed.
    """
    for file, root in _candidates(part):
        unlisted, path = file.url.endswith("/"), file.url.rstrip("/")
        base = root if root is not None else path.rpartition("/")[0]
        relative = path[len(base) :].lstrip("/") if base else path
        results = None if root is None else _path_below(output, root)
        if root is not None and (is_of_system(relative) or is_excluded(relative, exclude)):
            continue
        if results is not None and relative.startswith(f"{results}/"):
            continue
        kind = Path(path).suffix.lower()
        if root is None or unlisted or every_kind or kind in extensions:
            yield SourceFile(
                path, relative, file.size_bytes, file.modified, 0, file.generation, file.checksum
            )
        elif other_kinds is not None:
            other_kinds[kind.removeprefix(".")] += 1


@functools.lru_cache
def _path_below(folder: str, root: str) -> str | None:
    """A folder's path below a root, None where it is not below it."""
    if "://" in root or "://" in folder:
        prefix = f"{root.rstrip('/')}/"
        return folder.rstrip("/")[len(prefix) :] or None if folder.startswith(prefix) else None
    relative = os.path.relpath(folder, root or ".")
    return None if relative.partition("/")[0] in (".", "..") else relative


@dataclasses.dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a folder: its path below it, and what tells whether it is still the one that was written.

    `version`: a checksum where the listing has one; of a local file the time it was changed; else "".
    """

    path: str
    size_bytes: int
    version: str


def list_folder(folder: str) -> Iterator[ListedFile]:
    """Every file of a folder, if there is one, but Foveate's own; from one listing.

    Raises:
      NothingFound: the folder's store cannot be listed.
    """
    return list_part(Part(folder))


def list_part(part: Part) -> Iterator[ListedFile]:
    """A part of what `list_folder` gives."""
    folder = part.source.removeprefix("file://")
    root = folder.rstrip("/")
    if "://" not in folder:
        files = _listed_folder(folder)
        root = "" if Path(folder) == Path() else str(Path(folder))
    else:
        files = _list_url(f"{root}/", part)
    for file in files:
        if file.url.endswith("/"):
            continue
        yield ListedFile(file.url[len(root) :].lstrip("/"), file.size_bytes, file.version)


def _listed_folder(folder: str) -> Iterator[StoredFile]:
    try:
        if Path(folder).is_dir():
            yield from _local_folder(Path(folder))
    except OSError as error:
        raise NothingFound(cannot_be("listed", folder, error)) from error


def find_file(url: str) -> ListedFile | None:
    """A file by its own name, None if there is none: nothing there, or a folder."""
    store = store_of(url)
    if store is not None:
        file = store.find(url.rstrip("/"))
    else:
        local = Path(url.removeprefix("file://"))
        file = next(local_file(local), None) if "://" not in url or url.startswith("file://") else None
    return None if file is None else ListedFile(url.rpartition("/")[2], file.size_bytes, file.version)


def list_private(folder: str) -> list[str]:
    """The urls of all files below a folder, in order, however private; none if there is no such folder.

    Raises:
      OSError: it cannot be listed.
    """
    if "://" not in folder:
        return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(file.url for file in list_private_files(folder))


def list_private_files(folder: str) -> list[StoredFile]:
    """The files that `list_private` names, with sizes and times.

    Raises:
      OSError: it cannot be listed.
    """
    if "://" not in folder:
        found = (local_file(path) for path in Path(folder).rglob("*"))
        return list(itertools.chain.from_iterable(found))
    store = store_of(folder)
    if store is not None:
        return list(store.list_below(f"{folder.rstrip('/')}/"))
    return list(_list_beam(f"{folder.rstrip('/')}/**"))


def check_destination(folder: str) -> None:
    """Makes sure that a place for results can be reached, before any work is done for it.

    Raises:
      CannotGoOn: it cannot; the message says why.
    """
    try:
        store = store_of(folder)
        if store is not None:
            next(store.list_below(f"{folder.rstrip('/')}/"), None)
    except (OSError, ValueError) as error:
        raise CannotGoOn(cannot_be("used", folder, error)) from error


def _candidates(part: Part) -> Iterator[tuple[StoredFile, str | None]]:
    """Files, each with the root it was found under, or None for one named itself."""
    source = part.source.removeprefix("file://")
    if "://" not in source:
        try:
            yield from _local_candidates(source)
        except OSError as error:
            raise NothingFound(cannot_be("listed", source, error)) from error
        return
    bare = source.rstrip("/")
    named = False
    try:
        store = store_of(source)
        file = store.find(bare) if store and not part.start else None
        named = file is not None
        if file is not None:
            yield file, None
        if store is None and not _is_glob(source):  # Beam matches a name without wildcards as one file
            yield from ((found, None) for found in _list_beam(bare))
    except (BeamIOError, ValueError, OSError) as error:  # ValueError: an unknown kind of URL
        raise NothingFound(cannot_be("listed", source, error)) from error
    below = False
    for found in _list_url(f"{bare}/", part) if store or not _is_glob(source) else ():
        below = True
        yield found, bare
    if _is_glob(source) and not named and not below:
        for found in _list_glob(source, store):
            yield found, _root(source)


def _list_url(prefix: str, part: Part) -> Iterator[StoredFile]:
    """Lists files below a URL that ends in a slash, without folders' placeholders and private files."""
    try:
        store = store_of(prefix)
        files = store.list_below(prefix, part.start, part.end) if store else _list_beam(f"{prefix}**")
        yield from filter(_is_public, files)
    except (BeamIOError, ValueError, OSError) as error:
        raise NothingFound(cannot_be("listed", prefix, error)) from error


def _list_glob(pattern: str, store: Store | None) -> Iterator[StoredFile]:
    """Lists the files that match a URL with wildcards, from the folder before the first wildcard."""
    try:
        if store is None:
            yield from filter(_is_public, _list_beam(pattern))
            return
        wanted = re.compile(FileSystem.translate_pattern(pattern))
        literal = "".join(itertools.takewhile(lambda character: character not in _GLOB, pattern))
        for file in store.list_below(literal):
            if wanted.match(file.url) and _is_public(file):
                yield file
    except (BeamIOError, ValueError, OSError) as error:
        raise NothingFound(cannot_be("listed", pattern, error)) from error


def _list_beam(pattern: str) -> Iterator[StoredFile]:
    for entry in FileSystems.match([pattern])[0].metadata_list:
        yield StoredFile(entry.path, entry.size_in_bytes, entry.last_updated_in_seconds or 0.0)


def _is_glob(source: str) -> bool:
    return any(character in source for character in _GLOB)


def _is_public(file: StoredFile) -> bool:
    return not file.url.endswith("/") and f"/{PRIVATE_FOLDER}/" not in file.url


def _local_candidates(source: str) -> Iterator[tuple[StoredFile, str | None]]:
    path = Path(source)
    if path.is_dir():
        root = "" if path == Path() else str(path)  # paths below "." do not begin with it
        yield from ((file, root) for file in _local_folder(path))
    elif path.exists():
        yield from ((file, None) for file in local_file(path))
    elif _is_glob(source):
        # Not by pathlib, which wants a folder and a pattern below it.
        for match in sorted(glob.glob(source, recursive=True)):  # noqa: PTH207
            if Path(match).is_file() and f"/{PRIVATE_FOLDER}/" not in match:
                yield from ((file, _root(source)) for file in local_file(Path(match)))


def _local_folder(path: Path) -> Iterator[StoredFile]:
    """All files of a folder; of folders below it that cannot be listed, their names with a slash."""
    seen: set[str] = set()
    unlisted: list[OSError] = []
    for folder, folders, names in os.walk(path, followlinks=True, onerror=unlisted.append):
        if (real := os.path.realpath(folder)) in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name != PRIVATE_FOLDER)
        for name in sorted(names):
            yield from local_file(Path(folder) / name)
    for error in unlisted:
        if isinstance(error, FileNotFoundError):  # deleted meanwhile
            continue
        if Path(error.filename) == path:
            raise error
        yield StoredFile(f"{error.filename}/", 0, 0.0)


def _root(pattern: str) -> str:
    """The folder below which a glob's matches keep their paths: all before the first wildcard's part."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if any(c in part for c in _GLOB)), len(parts) - 1)
    return "/".join(parts[:first])
