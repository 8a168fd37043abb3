"""Reads and writes files on a local disk, whole and synced."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import itertools
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from foveate.storage.object_store import StoredFile
from foveate.storage.source import SourceFile

_TABLE_DEPTH = 4  # folders, from that of a run's table up to the archive: all may be new


PRIVATE_FOLDER = "_foveate"  # tables and temporary files below an archive's root


def local_file(path: Path) -> Iterator[StoredFile]:
    """Yields a regular file as in a listing, and nothing for anything else."""
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


def write_local(target: Path, data: bytes, temporary: Path, like: SourceFile | None = None) -> str:
    """Writes a file below `temporary`, syncs it, and moves it to its name; returns its version.

    It gets the time of the last change of the file that it was made of, if that is given, and is never
    readable by more people than that, not even while it is written. So are folders that are made for it.
    """
    source = Path(like.url).absolute() if like is not None and "://" not in like.url else None
    rights = 0o666 if source is None else _rights(source)
    made = [folder for folder in target.parents if not folder.exists()]
    to_list = 0o666 if source is None or not made else _rights(source.parent)
    for folder in reversed(made):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700 | to_list | to_list >> 2 & 0o111)  # who may list a folder may enter it
    temporary.mkdir(parents=True, exist_ok=True)
    part = temporary / uuid.uuid4().hex
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(data)
            handle.flush()
            _widen(handle.fileno(), rights)
            if like is not None and (source is not None or like.modified > 0):
                with contextlib.suppress(OSError):
                    os.utime(handle.fileno(), (like.modified, like.modified))
            os.fsync(handle.fileno())
            status = os.fstat(handle.fileno())
        try:
            part.replace(target)  # a move keeps the time of the last change
        except FileNotFoundError:  # the folder was empty, and another run has removed it meanwhile
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        for folder in (target.parent, *(folder.parent for folder in made)):
            _bring_names_to_disk(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return StoredFile(str(target), status.st_size, status.st_mtime).version


def write_local_new(target: Path, data: bytes, temporary: Path) -> bool:
    """Like `write_local`, but only if there is no file of that name; returns whether it was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    part = temporary / uuid.uuid4().hex
    try:
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(part, target)
        except FileExistsError:
            return False
        except OSError:  # FAT and some network mounts have no hard links; what else is wrong comes up again
            if not _move_if_new(part, target):
                return False
        _bring_names_to_disk(target.parent)
        return True
    finally:
        part.unlink(missing_ok=True)


def _move_if_new(part: Path, target: Path) -> bool:
    """Gives a file its name unless that is taken; returns whether it did.

    A move would replace what is there, so whoever moves holds a lock: on a file that stays, since a lock on
    one that is removed keeps nobody out. A process that is killed lets go of it.
    """
    with target.with_name("lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return False
        part.replace(target)
        return True


def _rights(path: Path) -> int:
    """The permissions for a copy of a file or folder: those of everyone who can reach and read it.

    Those of a group count only where new files belong to the same one.
    """
    rights = 0o666
    with contextlib.suppress(OSError):  # it is gone meanwhile, or this filesystem knows no rights
        status = path.stat()
        rights &= stat.S_IMODE(status.st_mode) | 0o600
        if status.st_gid != os.getegid():
            rights &= ~0o060
        for folder in path.parents:
            above = folder.stat()
            if not above.st_mode & stat.S_IXOTH:
                is_of_group = above.st_mode & stat.S_IXGRP and above.st_gid == status.st_gid
                rights &= 0o660 if is_of_group else 0o600
    return rights


def _widen(descriptor: int, rights: int) -> None:
    """Gives an open file the permissions of new files, as far as they are among `rights`."""
    with contextlib.suppress(OSError):  # a filesystem without rights
        os.fchmod(descriptor, rights & ~_umask())


@functools.cache
def _umask() -> int:
    """The permissions that new files lack; the system reveals the mask only when it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def bring_to_disk(file: Path) -> None:
    """Syncs a local file, or the names in a folder."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_durably(part: Path, target: Path) -> None:
    """Renames a local file so that, after a power cut, either it or the old file is there whole."""
    bring_to_disk(part)
    part.replace(target)
    for folder in itertools.islice(target.parents, _TABLE_DEPTH):
        _bring_names_to_disk(folder)


def _bring_names_to_disk(folder: Path) -> None:
    """Syncs a folder: otherwise a moved file might not be in it after a power cut."""
    with contextlib.suppress(OSError):  # not every system or filesystem can do that with folders
        bring_to_disk(folder)


def temporary_folder(archive: str) -> Path:
    """The folder of unfinished local files, which are moved to their names when finished."""
    return Path(archive) / PRIVATE_FOLDER / "unfinished"


def clear_unfinished(archive: str) -> None:
    """Removes a killed run's unfinished files from a local archive, which one run at a time may write to."""
    if "://" in archive:
        return
    private = Path(archive) / PRIVATE_FOLDER
    for part in [*temporary_folder(archive).glob("*"), *private.glob("*/run=*/*.partial-*")]:
        part.unlink(missing_ok=True)
    for folder in (temporary_folder(archive), private):
        with contextlib.suppress(OSError):  # it is not there, or there are tables in it
            folder.rmdir()
