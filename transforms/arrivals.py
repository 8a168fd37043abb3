"""Finds new and changed files in watched places, each version once.

    every interval: one listing ─▶ what is new, at rest and not up to date ─▶ SourceFiles

Beam's MatchContinuously would send every file of every listing through a shuffle into state of its own, and
keep that for ever. Here a listing is compared with the one before on disk, a new process knows from the
archive's tables what is done, and only what arrives is passed on.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.periodicsequence import PeriodicImpulse, RebaseMode
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.utils.shared import Shared

from foveate.archive.names import name_bytes
from foveate.archive.planning.first import Taken
from foveate.archive.planning.planner import judge
from foveate.archive.planning.settle import is_up_to_date
from foveate.archive.planning.tasks import Asked
from foveate.archive.planning.watch_state import Listed, WatchState, few
from foveate.archive.rows import Failure
from foveate.storage.errors import BadInput
from foveate.storage.listing import Part, find_part
from foveate.storage.source import SourceFile
from foveate.storage.stores import store_of
from foveate.transforms.frames import DicomFrames, expand_frames, file_of_frame
from foveate.transforms.steps import FAILURES, failure

MOST_AT_ONCE = 100_000  # that one listing passes on; the next one has the others
_MANY = 1000  # new files for which it pays to read the archive's tables again


@dataclasses.dataclass(frozen=True)
class Watched:
    """The watched sources, and how to tell what is up to date.

    `sources`, `extensions` and `archive` are as of `find_files`, `exclude` and `every_kind` as of
    `find_part`. A local file is taken when it was not changed for `rest_seconds`, or is the same in two
    listings. Without `trust_tables` every file is new at first.
    """

    sources: tuple[str, ...]
    extensions: frozenset[str]
    archive: str
    dicom_frames: DicomFrames
    settings_digest: str
    weights_digest: str
    rest_seconds: float
    trust_tables: bool = True
    exclude: tuple[str, ...] = ()
    every_kind: bool = False


class Arrivals:
    """Remembers what it has passed on; `look` returns what is new since the last look.

    `more` says whether the last look has left something that is ready for the next one.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched, self.more = watched, False
        self._state = WatchState()
        self._looked = False

    def look(self, now: float) -> Iterator[SourceFile | Failure]:
        """Lists what is new at a time (seconds since 1970); an unfinished look leaves no trace.

        A file whose place in the archive another one has is a `Failure`, once.

        Raises:
          NothingFound: a source cannot be listed.
          BadTable: one of the archive's tables is unreadable.
        """
        self.more = False
        taken: list[Failure] = []
        new, many = few(self._new(now, taken), 0 if not self._looked else _MANY)
        passed = 0
        for source in itertools.chain(new, self._not_done(many)):
            if passed >= MOST_AT_ONCE:
                self.more = True
                self._state.leave(file_of_frame(source))
                continue
            passed += 1
            yield source
        yield from taken
        self._state.remember()
        self._looked = True

    def _new(self, now: float, taken: list[Failure]) -> Iterator[SourceFile]:
        """Lists what is new in the listing; failures go to `taken`."""
        for found in self._state.compare(Listed(file, self._rests(file, now)) for file in self._listed()):
            if isinstance(found, Taken):
                place = found.source.relative_path
                error = BadInput(f"its place in the output, {place}, is taken by another source")
                taken.append(failure(found.source.url, "match", error))
            else:
                yield from expand_frames(found, self.watched.dicom_frames)

    def _listed(self) -> Iterator[SourceFile]:
        """All existing files; it is no error if there are none."""
        for source in sorted(self.watched.sources):
            watched = self.watched
            yield from find_part(
                Part(source),
                watched.extensions,
                watched.archive,
                exclude=watched.exclude,
                every_kind=watched.every_kind,
            )

    def _rests(self, file: SourceFile, now: float) -> bool:
        """Whether nobody is still writing a file; objects only appear when they are complete."""
        if file.generation or file.checksum or ("://" in file.url and store_of(file.url) is not None):
            return True
        return now - file.modified >= self.watched.rest_seconds

    def _not_done(self, sources: Iterator[SourceFile]) -> Iterator[SourceFile]:
        """Sources that are not up to date according to the archive's tables, which are read once for all."""
        digests = self.watched.settings_digest, self.watched.weights_digest
        if not self.watched.trust_tables:
            yield from sources
            return
        asked = Asked(self.watched.sources, self.watched.extensions, self.watched.archive, *digests)
        for planned in judge(sources, asked):
            if planned.action != "taken" and not is_up_to_date(planned, self.watched.archive, *digests):
                yield planned.source


# ---------------------------------------------------------------- on engines that stream


@dataclasses.dataclass
class WatchSources(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Emits arrivals forever, as `SourceFile`s; outputs: "sources" (main) and "failures".

    Args:
      watched: what is looked at.
      seconds: between two listings.
      run_id: the run whose memory its workers share.
    """

    watched: Watched
    seconds: float
    run_id: str

    def expand(self, root: Any) -> Any:
        """Lists repeatedly, and passes each version of a file on once."""
        return (
            root
            | "Every interval" >> PeriodicImpulse(fire_interval=self.seconds, rebase=RebaseMode.REBASE_START)
            | "List arrivals" >> beam.ParDo(FindArrivals(self.watched, self.run_id))
            | "Take each version once" >> TakeOnce()
        )


class FindArrivals(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """An impulse → what has arrived since the previous one.

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
        """Forgets what an unfinished bundle may have passed on in vain."""
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
        """Keeps what this bundle has passed on."""
        if self.memory is not None:
            self.memory.open = False


@dataclasses.dataclass
class _Memory:
    arrivals: Arrivals
    open: bool = False


@dataclasses.dataclass
class TakeOnce(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """`SourceFile`s and `Failure`s → each version of a source once; outputs: "sources" (main), "failures"."""

    def expand(self, found: Any) -> Any:
        """Keys by url and uses the engine's own state, which is kept with the job."""
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
