"""Selects the photos among listed files."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import functools
import os

from foveate.storage.object_store import Page
from foveate.storage.source import SourcePage

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
    """Whether a path below a root belongs to the system and is no photo: AppleDouble, thumbnails, bins."""
    parts = relative_path.split("/")
    return any(part.startswith(_SYSTEM_PREFIXES) or part in _SYSTEM_NAMES for part in parts)


_is_in_system = functools.lru_cache(1 << 10)(is_of_system)  # of a file's folder


def is_excluded(relative_path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path below a root, or a folder of it, matches one of the patterns (`*` matches slashes too).

    A pattern without a slash may be any name in the path, one with a slash has to begin at the root.
    """
    names = relative_path.split("/")
    folders = ["/".join(names[:depth]) for depth in range(1, len(names) + 1)] if patterns else []
    return any(
        any(fnmatch.fnmatchcase(name, pattern.strip("/")) for name in (folders if "/" in pattern else names))
        for pattern in patterns
    )


def ending_of_name(path: str) -> str:
    """A file name's extension in lower case, with its dot; "" for none, and for names that start with it."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which files of a folder or glob are sources.

    Args:
      extensions: which files are taken: lower case, with dot.
      output: where the results go: what lies there already is no source, even if it lies below one.
      exclude: patterns of paths that are left out (`is_excluded`).
      every_kind: take files whatever their endings.

    What is of the system (`is_of_system`) is left out, too. A file that is named itself is always taken.
    """

    extensions: frozenset[str]
    output: str
    exclude: tuple[str, ...] = ()
    every_kind: bool = False

    def named(self, page: Page) -> SourcePage:
        """The sources among files named on the command line."""
        urls = [url.rstrip("/") for url in page.urls]
        return _sources(page, urls, [url.rpartition("/")[2] for url in urls])

    def below(self, page: Page, root: str, other_kinds: collections.Counter[str] | None = None) -> SourcePage:
        """The sources among files below a root; counts those skipped for their extension, by extension.

        A folder that could not be listed, whose url ends in a slash, is a source.
        """
        results = _path_below(self.output, root)
        taken, urls, paths = [], [], []
        for url in page.urls:
            bare = url.rstrip("/")
            path = bare[len(root) :].lstrip("/") if root else bare
            kind = ending_of_name(bare)
            is_taken = not self._leaves_out(path, results)
            if is_taken and not self.every_kind and kind not in self.extensions and bare == url:
                is_taken = False
                if other_kinds is not None:
                    other_kinds[kind.removeprefix(".")] += 1
            taken.append(is_taken)
            if is_taken:
                urls.append(bare)
                paths.append(path)
        return _sources(page.chosen(taken), urls, paths)

    def _leaves_out(self, path: str, results: str | None) -> bool:
        folder, _, name = path.rpartition("/")
        return (
            _is_in_system(folder)
            or is_of_system(name)
            or (bool(self.exclude) and is_excluded(path, self.exclude))
            or (results is not None and path.startswith(f"{results}/"))
        )


def _sources(page: Page, urls: list[str], paths: list[str]) -> SourcePage:
    frames = (0,) * len(urls)
    return SourcePage(urls, paths, page.sizes, page.modified, frames, page.generations, page.checksums)


@functools.lru_cache
def _path_below(folder: str, root: str) -> str | None:
    """A folder's path below a root, or None if it is not below it."""
    if "://" in root or "://" in folder:
        prefix = f"{root.rstrip('/')}/"
        return folder.rstrip("/")[len(prefix) :] or None if folder.startswith(prefix) else None
    relative = os.path.relpath(folder, root or ".")
    return None if relative.partition("/")[0] in (".", "..") else relative
