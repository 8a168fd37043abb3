"""Remembers on disk what a watch has seen, and compares each listing with the one before.

listing ─▶ spool ─▶ joined with the state of the last look ─▶ what is new, and the next state
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from foveate.archive.names import claim_of, file_of
from foveate.archive.planning.collect import columns_of, source_of
from foveate.archive.planning.first import Taken
from foveate.archive.planning.join import opened
from foveate.archive.planning.spool import Spool, Spooled, buckets_of
from foveate.archive.tables import table_text
from foveate.storage.source import SourceFile

_AT_ONCE = 1 << 13
_VERSION = "size, modified, generation, checksum"
_OF_SOURCE = ("url", "path", "size", "modified", "generation", "checksum", "raw")
# Of a file that is named twice the first counts. One that is only waiting was not passed on.
_COMPARED = f"""
CREATE TEMP TABLE compared AS
WITH once AS (
    SELECT * FROM watched QUALIFY row_number() OVER (PARTITION BY file, path ORDER BY number) = 1),
before AS (SELECT file, path, {_VERSION}, waiting FROM seen ANTI JOIN forgotten USING (file, path))
SELECT o.*,
    coalesce(({", ".join(f"o.{name}" for name in _VERSION.split(", "))})
        = ({", ".join(f"b.{name}" for name in _VERSION.split(", "))}), false) AS unchanged,
    (o.rests OR unchanged) AS ready,
    (unchanged AND NOT b.waiting) AS is_old
FROM once AS o LEFT JOIN before AS b USING (file, path)
"""
_NEW = """
SELECT * FROM compared WHERE ready AND NOT is_old ORDER BY number
"""
_OWNERS = """
SELECT * FROM compared SEMI JOIN (SELECT place FROM compared WHERE ready AND NOT is_old) USING (place)
WHERE is_old
"""
_STATE = f"SELECT path AS key, file, path, {_VERSION}, NOT ready AS waiting FROM compared"


@dataclasses.dataclass(frozen=True)
class Listed:
    """A listed file, and whether the listing itself shows that nobody is still writing it."""

    source: SourceFile
    rests: bool


class WatchState:
    """The files of the last finished look, in a temporary folder that is removed with this object."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="foveate-watch-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._seen: list[Spooled] = []
        self._forgotten: list[Spooled] = []
        self._next: list[Spooled] = []
        self._left = Spool(self._folder, "forgotten")

    def compare(self, listing: Iterable[Listed]) -> Iterator[SourceFile | Taken]:
        """Lists what is new or changed in a listing and at rest; in the listing's order if it is short.

        A new file whose place in an archive another one has is a `Taken`, once. Nothing is remembered of it
        all until `remember`.
        """
        self._clear(keep=(*self._seen, *self._forgotten))
        self._left = Spool(self._folder, "forgotten")
        spool = Spool(self._folder, "watched")
        spool.add(_rows(listing))
        spooled = [*spool.close(), *self._seen, *self._forgotten]
        state = Spool(self._folder, "seen")
        for bucket in buckets_of(spooled):
            with opened(spooled, bucket, ("watched", "seen", "forgotten")) as db:
                db.execute(_COMPARED)
                owners = {
                    claim_of(row["path"]): source_of(row | {"frame": 0})
                    for row in db.sql(_OWNERS).to_arrow_table().to_pylist()
                }
                for batch in db.sql(_NEW).to_arrow_reader(_AT_ONCE):
                    for row in batch.to_pylist():
                        source = source_of(row | {"frame": 0})
                        first = owners.setdefault(claim_of(row["path"]), source)
                        yield source if first is source else Taken(source, first)
                for batch in db.sql(_STATE).to_arrow_reader(_AT_ONCE):
                    state.add_table(pa.Table.from_batches([batch]).cast(state.given))
        self._next = state.close()

    def leave(self, source: SourceFile) -> None:
        """Makes a file from `compare` count as new again in the next look."""
        path = table_text(source.relative_path)
        self._left.add([(path, table_text(file_of(source)[0]), path)])

    def remember(self) -> None:
        """Makes the last comparison the basis of the next one."""
        self._seen, self._forgotten = self._next, self._left.close()
        self._clear(keep=(*self._seen, *self._forgotten))

    def _clear(self, keep: Iterable[Spooled]) -> None:
        names = {Path(file.url).name for file in keep}
        for path in Path(self._folder).iterdir():
            if path.name not in names:
                path.unlink()


def _rows(listing: Iterable[Listed]) -> Iterator[tuple[Any, ...]]:
    for number, (listed, source) in enumerate((listed, listed.source) for listed in listing):
        row = columns_of(source)
        place, name = row["path"], table_text(file_of(source)[0])
        yield (place, number, name, listed.rests, *(row[column] for column in _OF_SOURCE))


def few(found: Iterator[SourceFile], count: int) -> tuple[list[SourceFile], Iterator[SourceFile]]:
    """All sources if there are fewer than `count`, else none yet; and an iterator over the rest."""
    first = list(itertools.islice(found, count))
    return (first, iter(())) if len(first) < count else ([], itertools.chain(first, found))
