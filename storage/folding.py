"""Folds names that some filesystems treat as equal: `Photo.jpg` and `photo.jpg`, é in two Unicode forms."""

from __future__ import annotations

import functools
import unicodedata
import uuid

from foveate.storage.local_disk import temporary_folder


def folded(name: str) -> str:
    """One key for names that differ only in case or Unicode normalization."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@functools.lru_cache
def folds_names(folder: str) -> bool:
    """Whether a folder takes such names for one: exFAT, SMB and macOS do, object stores do not.

    It is tried out with a file in the folder's private part; where none can be written, whoever writes the
    first photo will say so.
    """
    if "://" in folder:
        return False
    name = f"{uuid.uuid4().hex}-\u00e9"
    probe = temporary_folder(folder) / name
    others = (name.upper(), unicodedata.normalize("NFD", name))
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        found = any(probe.with_name(other).exists() for other in others)
        probe.unlink()
    except OSError:
        return False
    return found
