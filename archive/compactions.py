"""Tells which table files count: a log of compactions, each of which replaced many files by one.

    DEST/_foveate/compactions/<number>.json: {"parts": [...], "replaced": [...]}, names below `_foveate/`

An entry is created only if no other has its number, so of two compactions at the same time one takes place.
From then on its parts count and what they replaced does not, whether or not it is deleted yet.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence

from foveate.storage.files import read_whole
from foveate.storage.listing import list_private
from foveate.storage.local_disk import PRIVATE_FOLDER

COMPACTIONS_FOLDER = "_foveate/compactions"
COMPACTED = "run=compacted-"  # how the folders of parts begin
_ATTEMPTS = 5


@dataclasses.dataclass(frozen=True)
class Compacted:
    """The newest entry of the log; its number is 0 if there is none.

    parts: names of files that hold rows of several runs.
    replaced: names of files whose rows are in parts.
    """

    number: int = 0
    parts: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()


def read_log(archive: str) -> Compacted:
    """The newest entry.

    Raises:
      ValueError: it is not what it should be.
      OSError: it cannot be read.
    """
    for attempt in range(_ATTEMPTS):
        numbers = _entries(archive)
        if not numbers:
            return Compacted()
        number = max(numbers)
        url = entry_url(archive, number)
        try:
            values = json.loads(read_whole(url))
            return Compacted(number, tuple(values["parts"]), frozenset(values["replaced"]))
        except FileNotFoundError:  # a newer one has taken its place
            if attempt == _ATTEMPTS - 1:
                raise
        except (KeyError, TypeError) as error:
            raise ValueError(f"{url} is not an entry of a log of compactions: {error}") from error
    raise AssertionError("unreachable")


def entry_url(archive: str, number: int) -> str:
    """The url of an entry."""
    return f"{root_of(archive)}/{COMPACTIONS_FOLDER}/{number:08}.json"


def root_of(archive: str) -> str:
    """The prefix that the urls of an archive's tables share."""
    return archive.removeprefix("file://").rstrip("/") or "/."


def name_of(url: str) -> str:
    """A table's name below `_foveate/`, from its url."""
    return url.replace("\\", "/").rpartition(f"/{PRIVATE_FOLDER}/")[2]


def visible_urls(archive: str, folder: str, run_id: str | None) -> list[str]:
    """The urls of a table's valid files; for one run, those in its folder and all compacted ones.

    Args:
      archive: its root.
      folder: "_foveate/metrics" or "_foveate/failures".
      run_id: None for all runs.
    """
    root = root_of(archive)
    place = f"{root}/{folder}" if run_id is None else f"{root}/{folder}/run={run_id}"
    before = read_log(archive)
    for _ in range(_ATTEMPTS):
        urls = list_private(place)
        after = read_log(archive)
        if after == before:
            break
        before = after
    parts = [name for name in after.parts if name.startswith(f"{folder.removeprefix('_foveate/')}/")]
    return sorted([*_counting(urls, after), *(f"{root}/{PRIVATE_FOLDER}/{name}" for name in parts)])


def is_compacted(url: str) -> bool:
    """Whether a file holds rows of several runs."""
    return f"/{COMPACTED}" in url.replace("\\", "/")


def _counting(urls: Sequence[str], log: Compacted) -> list[str]:
    return [url for url in urls if not is_compacted(url) and name_of(url) not in log.replaced]


def _entries(archive: str) -> list[int]:
    names = (url.rpartition("/")[2] for url in list_private(f"{root_of(archive)}/{COMPACTIONS_FOLDER}"))
    return [int(name.partition(".")[0]) for name in names if re.fullmatch(r"\d{8}\.json", name)]
