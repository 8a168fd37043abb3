"""Files on a local disk: looked at, written whole, and brought to the disk."""

from __future__ import annotations

import contextlib
import errno
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
    """A regular file as a listing would show it; nothing for what is not one, or is not there."""
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
    readable by more people than that.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    part = temporary / uuid.uuid4().hex
    try:
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            if like is not None:
                _resemble(handle.fileno(), like)
            os.fsync(handle.fileno())
            status = os.fstat(handle.fileno())
        part.replace(target)  # a move keeps the time of the last change
        for folder in (target.parent, *(folder.parent for folder in made)):
            _bring_names_to_disk(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return StoredFile(str(target), status.st_size, status.st_mtime).version


def write_local_new(target: Path, data: bytes, temporary: Path) -> bool:
    """Like `write_local`, but only where there is no file of that name yet; whether it was written."""
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
        _bring_names_to_disk(target.parent)
        return True
    finally:
        part.unlink(missing_ok=True)


def _resemble(descriptor: int, like: SourceFile) -> None:
    """Gives an open file the time of another one, and no rights that the other does not have."""
    if "://" not in like.url:
        with contextlib.suppress(OSError):  # it is gone meanwhile, or this filesystem knows no rights
            theirs = stat.S_IMODE(Path(like.url).stat().st_mode)
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & theirs | stat.S_IRUSR)
    if like.modified > 0:
        with contextlib.suppress(OSError):
            os.utime(descriptor, (like.modified, like.modified))


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
