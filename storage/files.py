"""Finds, reads and writes whole files on any filesystem.

Local files by themselves, gs:// and s3:// through `storage.stores`, whatever else Beam knows through Beam.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from foveate.storage.errors import BadInput, CannotGoOn, cannot_be
from foveate.storage.local_disk import local_file, temporary_folder, write_local, write_local_new
from foveate.storage.object_store import FileChanged, MayReplace, NotOursError, StoredFile, read_up_to
from foveate.storage.source import SourceFile
from foveate.storage.stores import store_of

_READS_AT_ONCE = 8  # of one object

# What a name can do to a filesystem; a full disk is nobody's photo's fault and ends the run.
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR}


def join(root: str, relative: str) -> str:
    """A path below a folder or URL."""
    return f"{root.rstrip('/')}/{relative}"


class Unreadable(BadInput, OSError):  # noqa: N818
    """A file that cannot be read, or is not a regular file; the message says why."""


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
        raise BadInput("it changed after it was listed; run again") from error


def _not_more(data: bytes, most: int | None) -> bytes:
    if most is not None and len(data) > most:
        raise BadInput(f"the file is larger than the limit of {most:,} bytes")
    return data


def _read(url: str, count: int | None = None, start: int = 0) -> bytes:
    """The bytes of a file outside our stores, at most `count` from `start`."""
    if "://" in url and not url.startswith("file://"):
        with FileSystems.open(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
            if start:
                handle.seek(start)
            return read_up_to(handle, count)
    try:
        # Without waiting: what was a file when it was listed and is a pipe by now would never open.
        descriptor = os.open(url.removeprefix("file://"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as local:
            status = os.fstat(descriptor)
            if not (
                stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            ):  # folders say so themselves
                raise Unreadable("not a regular file (pipe or device)")
            local.seek(start)
            return read_up_to(local, count, status.st_size + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError, Unreadable):
        raise
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG):  # there can be no such file
            raise FileNotFoundError(error.errno, os.strerror(error.errno), url) from error
        raise Unreadable(f"it cannot be read: {error.strerror}") from error


def read_head(url: str, count: int) -> bytes:
    """A file's first bytes, at most `count`."""
    store = store_of(url)
    if store is not None:
        return store.read(url, first=count)
    return _read(url, count)


def read_range(url: str, start: int, end: int, version: StoredFile | None = None) -> bytes:
    """A file's bytes from `start` to before `end`; fewer where it has no more.

    Raises:
      BadInput: it is no longer that `version`, as far as the storage knows; or as for `read_whole`.
    """
    store = store_of(url)
    try:
        if store is not None:
            return store.read(url, version, first=end, start=start)
        data = _read(url, end - start, start)
        if (
            version is not None
            and version.version
            and (now := stored_version(url)) != version.version
            and now
        ):
            raise FileChanged(url)
    except FileChanged as error:
        raise BadInput("it changed while being read; run again") from error
    return data


def reads_at_once(url: str) -> int:
    """How many threads may read ranges of one file: several of an object, which takes long to answer."""
    return _READS_AT_ONCE if store_of(url) is not None else 1


def size_of(url: str) -> int:
    """A file's length in bytes.

    Raises:
      FileNotFoundError: there is none.
    """
    store = store_of(url)
    if store is not None:
        found = store.find(url)
    elif "://" in url and not url.startswith("file://"):
        return int(FileSystems.match([url])[0].metadata_list[0].size_in_bytes)
    else:
        found = next(local_file(Path(url.removeprefix("file://"))), None)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    return found.size_bytes


def read_if_there(url: str, most: int | None = None) -> bytes | None:
    """A file's bytes, None where there is no such file; raises as `read_whole`."""
    try:
        if "://" in url and store_of(url) is None and not FileSystems.exists(url):
            return None
        return read_whole(url, most)
    except FileNotFoundError:
        return None


def stored_file(url: str) -> StoredFile | None:
    """One file as a listing shows it; None if it is not there, or in a place that only Beam knows."""
    store = store_of(url)
    if store is not None:
        return store.find(url)
    return None if "://" in url else next(local_file(Path(url)), None)


def stored_version(url: str) -> str:
    """A listing's version of one file: see `ListedFile`; "" if it is not there."""
    file = stored_file(url)
    return file.version if file else ""


def delete_file(url: str) -> None:
    """Removes a file; no error if it is gone."""
    store = store_of(url)
    if store is not None:
        store.delete(url)
    elif "://" in url:
        FileSystems.delete([url])
    else:
        Path(url).unlink(missing_ok=True)


def write_whole(
    url: str,
    data: bytes,
    archive: str,
    may_replace: MayReplace | None = None,
    like: SourceFile | None = None,
) -> str:
    """Writes a file so that it is there whole or not at all; gives its version, as `ListedFile` has it.

    Object stores show an object when its upload is complete. A local file is written below the archive's
    private folder, brought to the disk, and moved to its name in one step.

    Args:
      url: where it goes.
      data: the bytes of it.
      archive: the root below which it lies.
      may_replace: asked, with the bytes that are there, whether another file may be replaced; None: always.
        A file of the same bytes is left as it is.
      like: the file that it is made of, whose time and rights a local file takes over.

    Raises:
      BadInput: the filesystem does not take such a name, another run wrote the file at the same moment, or
        what is there may not be replaced.
      CannotGoOn: it takes no more files at all: it is full, read-only or gone.
    """
    try:
        store = store_of(url)
        if store is not None:
            return store.write(url, data, may_replace).version
        if "://" in url:
            _check_replaced(url, data, may_replace)
            with FileSystems.create(url, compression_type=CompressionTypes.UNCOMPRESSED) as handle:
                handle.write(data)
            return ""
        if not _check_replaced(url, data, may_replace):
            return stored_version(url)
        return write_local(Path(url), data, temporary_folder(archive), like)
    except BadInput:
        raise
    except NotOursError as error:
        raise BadInput(f"another file already exists at {url}, and was not replaced") from error
    except FileChanged as error:
        if read_if_there(url) == data:  # it wrote the same
            return stored_version(url)
        raise BadInput(f"another run is writing {url} at the same time; run again") from error
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            raise BadInput(f"cannot be written to {url}: {error.strerror}") from error
        raise CannotGoOn(cannot_be("written", url, error)) from error


def write_new(url: str, data: bytes, archive: str) -> bool:
    """Writes a file whole if there is none of its name; whether it did.

    Of several that try at the same time one succeeds. The bytes must be the writer's alone.

    Raises:
      BadInput, CannotGoOn: as `write_whole`.
    """
    if "://" not in url:
        try:
            return write_local_new(Path(url), data, temporary_folder(archive))
        except OSError as error:
            raise CannotGoOn(cannot_be("written", url, error)) from error
    try:
        write_whole(url, data, archive, may_replace=lambda there: False)
    except BadInput as error:
        if isinstance(error.__cause__, NotOursError | FileChanged):
            return False
        raise
    return True


def _check_replaced(url: str, data: bytes, may_replace: MayReplace | None) -> bool:
    """Whether there is anything to be written; raises NotOursError where what is there has to stay."""
    if may_replace is None:
        return True
    there = read_if_there(url)
    if there is not None and there != data and not may_replace(there):
        raise NotOursError(url)
    return there != data
