"""Files of any filesystem: finding, reading, writing whole.

Local files by themselves, gs:// and s3:// through `transforms.stores`, whatever else Beam knows through Beam.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import glob
import itertools
import os
import re
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems

from foveate.transforms.elements import SourceFile
from foveate.transforms.redaction import redacted
from foveate.transforms.steps import BadInput, CannotGoOn
from foveate.transforms.stores import (
    FileChanged,
    MayReplace,
    NotOursError,
    Store,
    StoredFile,
    read_up_to,
    store_of,
)

PRIVATE_FOLDER = "_foveate"  # tables and temporary files below an archive's root
_GLOB = "*?["
_TABLE_DEPTH = 4  # folders, from that of a run's table up to the archive: all may be new
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

    A local folder that cannot be listed is a file too: one that nobody can read, which its row will say.

    Raises:
      NothingFound: there is no such file or folder, or it holds no file with such an extension.
    """
    found = False
    for file, root in _candidates(source):
        unlisted, path = file.url.endswith("/"), file.url.rstrip("/")
        if root is None or unlisted or Path(path).suffix.lower() in extensions:
            base = root if root is not None else path.rpartition("/")[0]
            relative = path[len(base) :].lstrip("/") if base else path
            results = None if root is None else _path_below(output, root)
            if results is None or not relative.startswith(f"{results}/"):
                found = True
                yield SourceFile(
                    path, relative, file.size_bytes, file.modified, 0, file.generation, file.checksum
                )
    if not found:
        raise NothingFound(redacted(f"no such file, or no photo in it: {source}"))


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
    folder = folder.removeprefix("file://")
    root = folder.rstrip("/")
    if "://" not in folder:
        files = _listed_folder(folder)
        root = "" if Path(folder) == Path() else str(Path(folder))
    else:
        files = _list_url(f"{root}/")
    for file in files:
        if file.url.endswith("/"):
            continue
        yield ListedFile(file.url[len(root) :].lstrip("/"), file.size_bytes, version_of(file))


def _listed_folder(folder: str) -> Iterator[StoredFile]:
    try:
        if Path(folder).is_dir():
            yield from _local_folder(Path(folder))
    except OSError as error:
        raise NothingFound(_cannot_be("listed", folder, error)) from error


def find_file(url: str) -> ListedFile | None:
    """A file by its own name, None if there is none: nothing there, or a folder."""
    store = store_of(url)
    if store is not None:
        file = store.find(url.rstrip("/"))
    else:
        local = Path(url.removeprefix("file://"))
        file = next(_local_file(local), None) if "://" not in url or url.startswith("file://") else None
    return None if file is None else ListedFile(url.rpartition("/")[2], file.size_bytes, version_of(file))


def version_of(file: StoredFile) -> str:
    """What tells a file from another one under its name: see `ListedFile`."""
    return file.checksum or (f"changed:{file.modified!r}" if file.modified else "")


def list_private(folder: str) -> list[str]:
    """The urls of all files below a folder, in order, however private; none if there is no such folder.

    Raises:
      OSError: it cannot be listed.
    """
    if "://" not in folder:
        return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    store = store_of(folder)
    if store is not None:
        return sorted(file.url for file in store.list_below(f"{folder.rstrip('/')}/"))
    (found,) = FileSystems.match([f"{folder.rstrip('/')}/**"])
    return sorted(entry.path for entry in found.metadata_list)


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
        raise CannotGoOn(_cannot_be("used", folder, error)) from error


def _cannot_be(done: str, url: str, error: Exception) -> str:
    return redacted(f"{url} cannot be {done}: {error}")


def _candidates(source: str) -> Iterator[tuple[StoredFile, str | None]]:
    """Files, each with the root it was found under, or None for one named itself."""
    source = source.removeprefix("file://")
    if "://" not in source:
        try:
            yield from _local_candidates(source)
        except OSError as error:
            raise NothingFound(_cannot_be("listed", source, error)) from error
        return
    bare = source.rstrip("/")
    named = False
    try:
        store = store_of(source)
        file = store.find(bare) if store else None
        named = file is not None
        if file is not None:
            yield file, None
        if store is None and not _is_glob(source):  # Beam matches a name without wildcards as one file
            yield from ((found, None) for found in _list_beam(bare))
    except (BeamIOError, ValueError, OSError) as error:  # ValueError: an unknown kind of URL
        raise NothingFound(_cannot_be("listed", source, error)) from error
    below = False
    for found in _list_url(f"{bare}/") if store or not _is_glob(source) else ():
        below = True
        yield found, bare
    if _is_glob(source) and not named and not below:
        for found in _list_glob(source, store):
            yield found, _root(source)


def _list_url(prefix: str) -> Iterator[StoredFile]:
    """What lies below a URL that ends in a slash, but folders' placeholders and what is private."""
    try:
        store = store_of(prefix)
        files = store.list_below(prefix) if store else _list_beam(f"{prefix}**")
        yield from filter(_is_public, files)
    except (BeamIOError, ValueError, OSError) as error:
        raise NothingFound(_cannot_be("listed", prefix, error)) from error


def _list_glob(pattern: str, store: Store | None) -> Iterator[StoredFile]:
    """What a URL with wildcards matches; listed from the last thing before the first of them on."""
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
        raise NothingFound(_cannot_be("listed", pattern, error)) from error


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
        yield from ((file, None) for file in _local_file(path))
    elif _is_glob(source):
        # Not by pathlib, which wants a folder and a pattern below it.
        for match in sorted(glob.glob(source, recursive=True)):  # noqa: PTH207
            if Path(match).is_file() and f"/{PRIVATE_FOLDER}/" not in match:
                yield from ((file, _root(source)) for file in _local_file(Path(match)))


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
            yield from _local_file(Path(folder) / name)
    for error in unlisted:
        if isinstance(error, FileNotFoundError):  # deleted meanwhile
            continue
        if Path(error.filename) == path:
            raise error
        yield StoredFile(f"{error.filename}/", 0, 0.0)


def _local_file(path: Path) -> Iterator[StoredFile]:
    try:
        status = path.stat()
    except PermissionError:  # reading it will say so
        yield StoredFile(str(path), 0, 0.0)
    except OSError as error:  # deleted meanwhile, a dangling link, or one to itself
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
    else:
        if stat.S_ISREG(status.st_mode):  # a pipe or socket would never end
            yield StoredFile(str(path), status.st_size, status.st_mtime)


def _root(pattern: str) -> str:
    """The folder below which a glob's matches keep their paths: all before the first wildcard's part."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if any(c in part for c in _GLOB)), len(parts) - 1)
    return "/".join(parts[:first])


def join(root: str, relative: str) -> str:
    """A path below a folder or URL."""
    return f"{root.rstrip('/')}/{relative}"


class Unreadable(BadInput, OSError):  # noqa: N818
    """What its filesystem does not give, or what is no file; the message says why."""


def read_whole(url: str, most: int | None = None) -> bytes:
    """A file's bytes, exactly as they are stored.

    Raises:
      BadInput: there are more than `most` of them, whatever a listing said; no more are read.
      Unreadable: a local one that is a pipe or a device, or on a disk that fails.
    """
    store = store_of(url)
    data = store.read(url, most=most) if store is not None else _read(url, None if most is None else most + 1)
    return _not_more(data, most)


def read_source(source: SourceFile, most: int | None = None) -> bytes:
    """A source's bytes, of the version that was listed where its store numbers or signs versions.

    Raises:
      BadInput: it is another version by now; or as `read_whole`.
    """
    store = store_of(source.url)
    if store is None:
        return read_whole(source.url, most)
    listed = StoredFile(source.url, 0, 0.0, source.generation, source.checksum)
    try:
        return _not_more(store.read(source.url, listed, most=most), most)
    except FileChanged as error:
        raise BadInput("it changed after it was listed: run again") from error


def _not_more(data: bytes, most: int | None) -> bytes:
    if most is not None and len(data) > most:
        raise BadInput(f"the file has more than {most:,} bytes, the limit")
    return data


def _read(url: str, count: int | None = None) -> bytes:
    """The bytes of a file in no store of ours, at most so many."""
    if "://" in url and not url.startswith("file://"):
        with FileSystems.open(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
            return read_up_to(handle, count)
    try:
        # Without waiting: what was a file when it was listed and is a pipe by now would never open.
        descriptor = os.open(url.removeprefix("file://"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as local:
            status = os.fstat(descriptor)
            if not (
                stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            ):  # folders say so themselves
                raise Unreadable("it is no file, but a pipe or a device")
            return read_up_to(local, count, status.st_size + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError, Unreadable):
        raise
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG):  # there can be no such file
            raise FileNotFoundError(error.errno, os.strerror(error.errno), url) from error
        raise Unreadable(f"it cannot be read: {error.strerror}") from error


def read_head(url: str, count: int) -> bytes:
    """A file's first bytes, at most so many."""
    store = store_of(url)
    if store is not None:
        return store.read(url, first=count)
    return _read(url, count)


def read_if_there(url: str, most: int | None = None) -> bytes | None:
    """A file's bytes, None where there is no such file; raises as `read_whole`."""
    try:
        if "://" in url and store_of(url) is None and not FileSystems.exists(url):
            return None
        return read_whole(url, most)
    except FileNotFoundError:
        return None


def stored_version(url: str) -> str:
    """What a listing says of one file: see `ListedFile`; "" if it is not there."""
    store = store_of(url)
    if store is not None:
        file = store.find(url)
        return version_of(file) if file else ""
    return "" if "://" in url else "".join(version_of(file) for file in _local_file(Path(url)))


def delete_file(url: str) -> None:
    """Removes a file; no error if it is gone."""
    store = store_of(url)
    if store is not None:
        store.delete(url)
    elif "://" in url:
        FileSystems.delete([url])
    else:
        Path(url).unlink(missing_ok=True)


def write_whole(url: str, data: bytes, archive: str, may_replace: MayReplace | None = None) -> str:
    """Writes a file so that it is there whole or not at all; gives its version, as `ListedFile` has it.

    Object stores show an object when its upload is complete. A local file is written below the archive's
    private folder, brought to the disk, and moved to its name in one step.

    Args:
      url: where it goes.
      data: the bytes of it.
      archive: the root below which it lies.
      may_replace: asked, with the bytes that are there, whether another file may be replaced; None: always.
        A file of the same bytes is left as it is.

    Raises:
      BadInput: the filesystem does not take such a name, another run wrote the file at the same moment, or
        what is there may not be replaced.
      CannotGoOn: it takes no more files at all: it is full, read-only or gone.
    """
    try:
        store = store_of(url)
        if store is not None:
            return version_of(store.write(url, data, may_replace))
        if "://" in url:
            _check_replaced(url, data, may_replace)
            with FileSystems.create(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
                handle.write(data)
            return ""
        if not _check_replaced(url, data, may_replace):
            return stored_version(url)
        return _write_local(Path(url), data, temporary_folder(archive))
    except BadInput:
        raise
    except NotOursError as error:
        raise BadInput(f"there is another file at {url} already, and it is left as it is") from error
    except FileChanged as error:
        raise BadInput(f"another run writes {url} at the same time: run again") from error
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            raise BadInput(f"cannot be written to {url}: {error.strerror}") from error
        raise CannotGoOn(_cannot_be("written", url, error)) from error


def _check_replaced(url: str, data: bytes, may_replace: MayReplace | None) -> bool:
    """Whether there is anything to be written; raises NotOursError where what is there has to stay."""
    if may_replace is None:
        return True
    there = read_if_there(url)
    if there is not None and there != data and not may_replace(there):
        raise NotOursError(url)
    return there != data


def _write_local(target: Path, data: bytes, temporary: Path) -> str:
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    part = temporary / uuid.uuid4().hex
    try:
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            status = os.fstat(handle.fileno())
        part.replace(target)  # a move keeps the time of the last change
        for folder in (target.parent, *(folder.parent for folder in made)):
            _bring_names_to_disk(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return version_of(StoredFile(str(target), status.st_size, status.st_mtime))


def bring_to_disk(file: Path) -> None:
    """Writes what a system still holds of a local file; of a folder, the names in it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_durably(part: Path, target: Path) -> None:
    """Gives a local file its name, so that after a power cut it is there whole, or what was there before."""
    bring_to_disk(part)
    part.replace(target)
    for folder in itertools.islice(target.parents, _TABLE_DEPTH):
        _bring_names_to_disk(folder)


def _bring_names_to_disk(folder: Path) -> None:
    """After a power cut a file is where it was moved to only if its folder, too, has been written."""
    with contextlib.suppress(OSError):  # not every system or filesystem can do that with folders
        bring_to_disk(folder)


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
