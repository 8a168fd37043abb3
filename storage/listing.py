"""Finds source files and lists folders on local disks and in object stores."""

from __future__ import annotations

import collections
import dataclasses
import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystem import BeamIOError, FileSystem
from apache_beam.io.filesystems import FileSystems

from foveate.storage.errors import CannotGoOn, cannot_be
from foveate.storage.local_disk import PRIVATE_FOLDER, local_file
from foveate.storage.object_store import Page, Store, StoredFile, pages_of
from foveate.storage.redaction import redacted
from foveate.storage.selection import Selection
from foveate.storage.source import SourceFile, SourcePage
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
    return NothingFound(redacted(f"no such file, or no photos in it: {source}"))


def find_part(
    part: Part,
    extensions: frozenset[str],
    output: str,
    other_kinds: collections.Counter[str] | None = None,
    exclude: tuple[str, ...] = (),
    *,
    every_kind: bool = False,
) -> Iterator[SourceFile]:
    """The files of a part of a source, one by one; as `find_pages`, with the fields of `Selection`."""
    selection = Selection(extensions, output, exclude, every_kind)
    for page in find_pages(part, selection, other_kinds):
        yield from page.files()


def find_pages(
    part: Part, selection: Selection, other_kinds: collections.Counter[str] | None = None
) -> Iterator[SourcePage]:
    """The files of a part of a source, some at a time; there may be none.

    Args:
      part: of which source, and from where to where.
      selection: which files of a folder or glob are taken.
      other_kinds: counts the files that are not taken for their endings, by these (no dot, "" for none).

    A local folder that cannot be listed is a file too: one that nobody can read, which its row will say.

    Raises:
      NothingFound: its place cannot be listed.
    """
    for page, root in _candidates(part):
        found = selection.named(page) if root is None else selection.below(page, root, other_kinds)
        if found.urls:
            yield found


@dataclasses.dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a folder: its path below it, and what tells whether it is still the one that was written.

    `version`: a checksum where the listing has one; of a local file the time it was changed; else "".
    """

    path: str
    size_bytes: int
    version: str


class ListedPage(NamedTuple):
    """Some files of a folder, column by column; a column for each field of `ListedFile`, in their order."""

    paths: Sequence[str]
    sizes: Sequence[int]
    versions: Sequence[str]


def list_folder(folder: str) -> Iterator[ListedFile]:
    """Every file of a folder, if there is one, but Foveate's own; from one listing.

    Raises:
      NothingFound: the folder's store cannot be listed.
    """
    for page in list_pages(Part(folder)):
        yield from map(ListedFile, *page)


def list_pages(part: Part) -> Iterator[ListedPage]:
    """A part of what `list_folder` gives, some files at a time."""
    folder = part.source.removeprefix("file://")
    root = folder.rstrip("/")
    if "://" not in folder:
        pages = pages_of(_listed_folder(folder))
        root = "" if Path(folder) == Path() else str(Path(folder))
    else:
        pages = _list_url(f"{root}/", part)
    for page in pages:
        page = page.chosen([not url.endswith("/") for url in page.urls])
        paths = [url[len(root) :].lstrip("/") for url in page.urls]
        yield ListedPage(paths, page.sizes, list(page.versions()))


def _listed_folder(folder: str) -> Iterator[StoredFile]:
    try:
        if Path(folder).is_dir():
            yield from _local_folder(Path(folder))
    except OSError as error:
        raise NothingFound(cannot_be("listed", folder, error)) from error


def find_file(url: str) -> ListedFile | None:
    """A file by its own name; None if there is nothing, or a folder."""
    store = store_of(url)
    if store is not None:
        file = store.find(url.rstrip("/"))
    else:
        local = Path(url.removeprefix("file://"))
        file = next(local_file(local), None) if "://" not in url or url.startswith("file://") else None
    return None if file is None else ListedFile(url.rpartition("/")[2], file.size_bytes, file.version)


def list_private(folder: str) -> list[str]:
    """The urls of all files below a folder, in order, including private ones; none if there is no folder.

    Raises:
      OSError: it cannot be listed.
    """
    if "://" not in folder:
        return sorted(str(path) for path in _private_paths(folder) if path.is_file())
    return sorted(file.url for file in list_private_files(folder))


def list_private_files(folder: str) -> list[StoredFile]:
    """The files that `list_private` names, with sizes and times.

    Raises:
      OSError: it cannot be listed.
    """
    if "://" not in folder:
        found = (local_file(path) for path in _private_paths(folder))
        return list(itertools.chain.from_iterable(found))
    store = store_of(folder)
    if store is not None:
        pages = store.list_below(f"{folder.rstrip('/')}/")
        return [file for page in pages for file in page.files()]
    return list(_list_beam(f"{folder.rstrip('/')}/**"))


def _private_paths(folder: str) -> Iterator[Path]:
    """All that is below a local folder but other folders; of those that vanish meanwhile, nothing."""

    def fail(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise error

    for place, _, names in os.walk(Path(folder), onerror=fail):
        yield from (Path(place, name) for name in names)


def check_destination(folder: str) -> None:
    """Makes sure that an output can be reached, before doing any work for it.

    Raises:
      CannotGoOn: it cannot; the message says why.
    """
    try:
        store = store_of(folder)
        if store is not None:
            next(store.list_below(f"{folder.rstrip('/')}/"), None)
    except (OSError, ValueError) as error:
        raise CannotGoOn(cannot_be("used", folder, error)) from error


def _candidates(part: Part) -> Iterator[tuple[Page, str | None]]:
    """Files, each page with the root it was found under, or None for one named itself."""
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
            yield Page.of([file]), None
        if store is None and not _is_glob(source):  # Beam matches a name without wildcards as one file
            yield Page.of(_list_beam(bare)), None
    except (BeamIOError, ValueError, OSError) as error:  # ValueError: an unknown kind of URL
        raise NothingFound(cannot_be("listed", source, error)) from error
    below = False
    for page in _list_url(f"{bare}/", part) if store or not _is_glob(source) else ():
        below = below or bool(page.urls)
        yield page, bare
    if _is_glob(source) and not named and not below:
        for page in _list_glob(source, store):
            yield page, _root(source)


def _list_url(prefix: str, part: Part) -> Iterator[Page]:
    """Lists files below a URL that ends in a slash, without folders' placeholders and private files."""
    try:
        store = store_of(prefix)
        pages = (
            store.list_below(prefix, part.start, part.end) if store else pages_of(_list_beam(f"{prefix}**"))
        )
        yield from map(_public, pages)
    except (BeamIOError, ValueError, OSError) as error:
        raise NothingFound(cannot_be("listed", prefix, error)) from error


def _list_glob(pattern: str, store: Store | None) -> Iterator[Page]:
    """Lists the files that match a URL with wildcards, from the folder before the first wildcard."""
    try:
        if store is None:
            yield from map(_public, pages_of(_list_beam(pattern)))
            return
        wanted = re.compile(FileSystem.translate_pattern(pattern))
        literal = "".join(itertools.takewhile(lambda character: character not in _GLOB, pattern))
        for page in store.list_below(literal):
            yield _public(page.chosen([wanted.match(url) is not None for url in page.urls]))
    except (BeamIOError, ValueError, OSError) as error:
        raise NothingFound(cannot_be("listed", pattern, error)) from error


def _list_beam(pattern: str) -> Iterator[StoredFile]:
    for entry in FileSystems.match([pattern])[0].metadata_list:
        yield StoredFile(entry.path, entry.size_in_bytes, entry.last_updated_in_seconds or 0.0)


def _is_glob(source: str) -> bool:
    return any(character in source for character in _GLOB)


def _public(page: Page) -> Page:
    private = f"/{PRIVATE_FOLDER}/"
    return page.chosen([not url.endswith("/") and private not in url for url in page.urls])


def _local_candidates(source: str) -> Iterator[tuple[Page, str | None]]:
    path = Path(source)
    if path.is_dir():
        root = "" if path == Path() else str(path)  # paths below "." do not begin with it
        yield from ((page, root) for page in pages_of(_local_folder(path)))
    elif path.exists():
        yield Page.of(local_file(path)), None
    elif _is_glob(source):
        # Not by pathlib, which wants a folder and a pattern below it.
        matches = map(Path, sorted(glob.glob(source, recursive=True)))  # noqa: PTH207
        found = (match for match in matches if match.is_file() and f"/{PRIVATE_FOLDER}/" not in str(match))
        files = itertools.chain.from_iterable(map(local_file, found))
        yield from ((page, _root(source)) for page in pages_of(files))


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
    """The folder that a glob's matches are relative to: everything before the first wildcard's component."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if any(c in part for c in _GLOB)), len(parts) - 1)
    return "/".join(parts[:first])
