"""Splits the listing of a large source into parts that can be listed at the same time.

A bucket is cut into ranges of names that begin at its folders, so that a part costs one call per thousand
objects however many folders there are. Local folders and globs are one part: a local walk follows links, and
must see all of them to visit no folder twice.
"""

from __future__ import annotations

import itertools

from foveate.storage.errors import cannot_be
from foveate.storage.listing import NothingFound, Part
from foveate.storage.stores import store_of

PARTS = 32
_LOOKED_AT = 10_000  # folders, at most, from which the cuts are chosen
_LEVELS = 4  # of folders below a source that are looked at until there are enough


def split_source(source: str, most: int = PARTS) -> list[Part]:
    """The parts of a command-line source, at most `most`, which together cover it.

    Raises:
      NothingFound: its store cannot be listed.
    """
    if "://" not in source or most < 2:
        return [Part(source)]
    try:
        cuts = _cuts(source, most)
    except (OSError, ValueError) as error:
        raise NothingFound(cannot_be("listed", source, error)) from error
    bounds = ["", *cuts, ""]
    return [Part(source, start, end) for start, end in itertools.pairwise(bounds)]


def _cuts(source: str, most: int) -> list[str]:
    """Urls of folders at which to split a listing, evenly spread."""
    store = store_of(source)
    if store is None:
        return []
    found = [f"{source.rstrip('/')}/"]
    for _ in range(_LEVELS):
        below = [folder for parent in found for folder in store.folders_below(parent, _LOOKED_AT)]
        if not below:
            break
        found = below
        if len(found) >= most:
            break
    inner = sorted(found)[1:]
    step = max(1, -(-len(inner) // (most - 1)))
    return inner[::step]
