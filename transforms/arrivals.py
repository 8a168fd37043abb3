"""Finds new and changed files in watched places, each version once.

    every interval: one listing ─▶ what is new, at rest and not up to date ─▶ SourceFiles

Beam's MatchContinuously would send every file of every listing through a shuffle into state of its own, and
keep that for ever. Here a listing is compared with the one before in memory (two numbers a file), a new
process knows from the archive's tables what is done, and only what arrives goes on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.periodicsequence import PeriodicImpulse, RebaseMode
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.utils.shared import Shared

from foveate.archive.names import claim_of, file_of, name_bytes
from foveate.archive.rows import Failure
from foveate.archive.up_to_date import ArchiveIndex
from foveate.storage.errors import BadInput
from foveate.storage.listing import NothingFound, find_files
from foveate.storage.source import SourceFile
from foveate.storage.stores import store_of
from foveate.transforms.frames import DicomFrames, expand_frames
from foveate.transforms.steps import FAILURES, failure

MOST_AT_ONCE = 100_000  # that one listing passes on; the next one has the others
_MANY = 1000  # new files for which it pays to read the archive's tables again


@dataclasses.dataclass(frozen=True)
class Watched:
    """The watched places, and how to tell what is up to date.

    `sources`, `extensions` and `archive` are as of `find_files`. A local file is taken when it was not
    changed for `rest_seconds`, or is the same in two listings. Without `trust_tables` every file is new at
    first.
    """

    sources: tuple[str, ...]
    extensions: frozenset[str]
    archive: str
    dicom_frames: DicomFrames
    settings_digest: str
    weights_digest: str
    rest_seconds: float
    trust_tables: bool = True


@dataclasses.dataclass(eq=False)
class Arrivals:
    """Remembers what it has passed on; `look` gives what came since."""

    watched: Watched
    more: bool = False  # whether the last look has left something that is ready for the next one
    _seen: dict[int, int] = dataclasses.field(default_factory=dict)  # versions by file, both as hashes
    _waiting: dict[int, int] = dataclasses.field(default_factory=dict)
    _looked: bool = False

    def look(self, now: float) -> Iterator[SourceFile | Failure]:
        """Lists what is new at a time (seconds since 1970); an unfinished look leaves no trace.

        A file whose place in the archive another one has is a `Failure`, once.

        Raises:
          NothingFound: a source cannot be listed.
          BadTable: one of the archive's tables is none.
        """
        seen: dict[int, int] = {}
        waiting: dict[int, int] = {}
        places: dict[int, int] = {}
        index = None if self._looked else self._index()
        passed = 0
        held: list[SourceFile] = []  # until it is known whether they are many
        self.more = False
        for file in self._listed():
            key, version = hash(file_of(file)), _version(file)
            if key in seen or key in waiting:  # named twice
                continue
            if not self._at_rest(file, now, key, version):
                waiting[key] = version
                continue
            if self._seen.get(key) == version:
                seen[key] = version
                places.setdefault(hash(claim_of(file.relative_path)), key)
                continue
            if passed + len(held) >= MOST_AT_ONCE:
                self.more = True
                continue
            seen[key] = version
            if places.setdefault(hash(claim_of(file.relative_path)), key) != key:
                error = BadInput(f"its place in the output, {file.relative_path}, is taken by another source")
                yield failure(file.url, "match", error)
                continue
            held += expand_frames(file, self.watched.dicom_frames)
            if index is None and len(held) >= _MANY:
                index = self._index()
            if index is not None:
                for source in self._not_done(held, index):
                    passed += 1
                    yield source
                held.clear()
        yield from held
        self._seen, self._waiting, self._looked = seen, waiting, True

    def _listed(self) -> Iterator[SourceFile]:
        """All files that are there; that there are none is no error."""
        for source in sorted(self.watched.sources):
            try:
                yield from find_files(source, self.watched.extensions, self.watched.archive)
            except NothingFound as error:
                if error.__cause__ is not None:
                    raise

    def _at_rest(self, file: SourceFile, now: float, key: int, version: int) -> bool:
        """Whether nobody is writing a file any more; objects appear when they are whole."""
        if file.generation or file.checksum or ("://" in file.url and store_of(file.url) is not None):
            return True
        unchanged = version in (self._waiting.get(key), self._seen.get(key))
        return unchanged or now - file.modified >= self.watched.rest_seconds

    def _index(self) -> ArchiveIndex | None:
        return ArchiveIndex.read(self.watched.archive) if self.watched.trust_tables else None

    def _not_done(self, sources: list[SourceFile], index: ArchiveIndex) -> Iterator[SourceFile]:
        for source in sources:
            try:
                done = index.up_to_date(source, self.watched.settings_digest, self.watched.weights_digest)
            except (OSError, BadInput):  # it cannot be read: the next step will say why
                done = None
            if done is None:
                yield source


def _version(file: SourceFile) -> int:
    return hash((file.size_bytes, file.modified, file.generation, file.checksum))


# ---------------------------------------------------------------- on engines that stream


@dataclasses.dataclass
class WatchSources(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Emits arrivals in watched places, for ever, as `SourceFile`s; outputs: "sources" (main) and "failures".

    Args:
      watched: what is looked at.
      seconds: between two listings.
      run_id: the run whose memory its workers share.
    """

    watched: Watched
    seconds: float
    run_id: str

    def expand(self, root: Any) -> Any:
        """Lists again and again, and passes each version of a file on once."""
        return (
            root
            | "Every interval" >> PeriodicImpulse(fire_interval=self.seconds, rebase=RebaseMode.REBASE_START)
            | "List arrivals" >> beam.ParDo(FindArrivals(self.watched, self.run_id))
            | "Take each version once" >> TakeOnce()
        )


class FindArrivals(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """An impulse → what has arrived since the one before.

    What a process remembers may be lost with it, and is dropped where a bundle fails: what is then found
    again is known by the archive's tables, or by `TakeOnce`.
    """

    def __init__(self, watched: Watched, run_id: str, clock: Callable[[], float] = time.time) -> None:
        self.watched, self.run_id, self.clock = watched, run_id, clock
        self.shared = Shared()
        self.memory: _Memory | None = None

    def setup(self) -> None:
        """Finds the memory of this process."""
        self.memory = self.shared.acquire(lambda: _Memory(Arrivals(self.watched)), self.run_id)

    def start_bundle(self) -> None:
        """Forgets what a bundle that did not end may have passed on in vain."""
        if self.memory is None:
            raise AssertionError("setup has not run")
        if self.memory.open:
            self.memory.arrivals = Arrivals(self.watched)
        self.memory.open = True

    def process(self, impulse: Any) -> Iterator[SourceFile | Failure]:
        """One listing."""
        if self.memory is None:
            raise AssertionError("setup has not run")
        yield from self.memory.arrivals.look(self.clock())

    def finish_bundle(self) -> None:
        """Nothing was in vain."""
        if self.memory is not None:
            self.memory.open = False


@dataclasses.dataclass
class _Memory:
    arrivals: Arrivals
    open: bool = False


class TakeOnce(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`SourceFile`s and `Failure`s → each version of a source once; outputs: "sources" (main), "failures"."""

    def expand(self, found: Any) -> Any:
        """Keys by url, and lets the engine's own state decide: it is kept with the job."""
        return (
            found
            | "Key by url" >> beam.Map(_keyed).with_output_types(tuple[bytes, Any])
            | "Pass new versions" >> beam.ParDo(_OncePerVersion()).with_outputs(FAILURES, main="sources")
        )


def _keyed(found: SourceFile | Failure) -> tuple[bytes, SourceFile | Failure]:
    frame = found.frame if isinstance(found, SourceFile) else 0
    return name_bytes(f"{frame}:{found.url}"), found


_VERSION = ReadModifyWriteStateSpec("version", beam.coders.BytesCoder())
_version_state = beam.DoFn.StateParam(_VERSION)


class _OncePerVersion(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    def process(
        self, keyed: tuple[bytes, SourceFile | Failure], version: Any = _version_state
    ) -> Iterator[Any]:
        _, found = keyed
        failed = isinstance(found, Failure)
        now = b"failed" if failed else repr(dataclasses.astuple(found)[2:]).encode()  # all but its names
        if version.read() != now:
            version.write(now)
            yield beam.pvalue.TaggedOutput(FAILURES, found) if failed else found
