"""`--watch` of compress and transcode: keeps running, and processes photos as they arrive.

Engines that stream run one pipeline without end. Beam's local runner does not stream, so here the same steps
run as one small pipeline after another in this process: list, work on what is new, write its rows, wait.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import glob
import itertools
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import apache_beam as beam

from foveate.archive.journal import clear_journal
from foveate.archive.rows import Failure
from foveate.archive.tables import BadTable
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms.arrivals import Arrivals, Watched
from foveate.transforms.feeds import Round
from foveate.transforms.left_photos import LeftPhotos
from foveate.transforms.progress import Progress

_PHOTOS = 500  # after so many a round ends: its rows are written, and places are listed again
_REPEATED = "foveate: stopping immediately"


@dataclasses.dataclass(frozen=True)
class Watch:
    """How places are watched: by a listing every so many seconds, or by what a subscription says."""

    seconds: float
    subscription: str | None

    @staticmethod
    def of(args: argparse.Namespace) -> Watch | None:
        """The watch that the arguments ask for; None for a run that ends by itself."""
        if not args.watch and not args.watch_subscription:
            return None
        return Watch(args.watch_interval, args.watch_subscription)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of watch mode."""
    group = parser.add_argument_group("watch mode")
    group.add_argument(
        "--watch",
        action="store_true",
        help="keep running: process photos as they arrive or change, until SIGINT or SIGTERM",
    )
    group.add_argument(
        "--watch-interval",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="list the sources every S seconds; process a local file once it has not changed for that long "
        "(default: %(default)g)",
    )
    group.add_argument(
        "--watch-subscription",
        type=_subscription,
        metavar="NAME",
        help="instead of listing, process what a bucket announces through the Pub/Sub subscription "
        "projects/PROJECT/subscriptions/NAME (Dataflow)",
    )


def contradiction(args: argparse.Namespace) -> str:
    """Why flags contradict each other, as a sentence; "" if they do not."""
    if Watch.of(args) is None:
        return ""
    if args.dry_run or args.force:
        return "a run that watches begins with what is not up to date: not with --force or --dry-run"
    if args.watch_subscription and engines.is_local_runner(args.beam_flags):
        return "--watch-subscription needs an engine that streams from Pub/Sub: --runner=DataflowRunner"
    if args.watch_subscription and any(not source.startswith("gs://") for source in args.sources):
        return "--watch-subscription is about buckets of Cloud Storage: sources are gs://..."
    for source in args.sources:
        if "://" not in source and not glob.has_magic(source) and not Path(source).exists():
            return f"there is no {source} to watch"
    return ""


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not {text}") from error
    if not 1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be from 1 second to 86400, a day, not {text}")
    return value


def _subscription(text: str) -> str:
    from apache_beam.io.gcp.pubsub import parse_subscription

    try:
        parse_subscription(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be projects/PROJECT/subscriptions/NAME, not {text}"
        ) from error
    return text


class Stop:
    """Told by SIGINT or SIGTERM; a second SIGINT interrupts what is being done."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.told = threading.Event()

    def tell(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        if self.told.is_set() and number == signal.SIGINT:
            user_log.info(_REPEATED)
            raise KeyboardInterrupt
        self.told.set()
        self.file.touch()
        user_log.info("foveate: stopping after the photos in progress")

    @contextlib.contextmanager
    def listening(self) -> Iterator[Stop]:
        """Handles the signals for a while."""
        before = {number: signal.signal(number, self.tell) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(
    job: runner.Job,
    watched: Watched,
    seconds: float,
    build: Callable[[beam.Pipeline, Progress, Round], None],
    beam_flags: list[str],
) -> int:
    """Works on what arrives, round by round, until it is told to stop; the exit status.

    Args:
      job: what is said of each round.
      watched: where photos arrive.
      seconds: between two listings.
      build: wires one round's pipeline.
      beam_flags: from `parse_beam_flags`.
    """
    arrivals, failed = Arrivals(watched), False
    with (
        tempfile.TemporaryDirectory(prefix="foveate-") as folder,
        Stop(Path(folder) / "stop").listening() as stop,
    ):
        left = LeftPhotos(job.output, job.run_id, str(Path(folder) / "left"))
        user_log.info(f"Watching {', '.join(watched.sources)} every {seconds:g} s; SIGINT or SIGTERM ends it")
        for number in itertools.count():
            try:
                status = _work_on_arrivals(job, arrivals, left, build, beam_flags, stop)
            except BadTable as error:
                user_log.error(f"foveate: the run failed: {error}")
                return RUN_FAILED
            except NothingFound as error:
                if number == 0:
                    user_log.error(f"foveate compress: {error}")
                    return WRONG_USAGE
                user_log.warning(f"foveate: {error}; trying again in {seconds:g} s")
                status = OK
            if status not in (OK, SOME_FAILED):
                return status
            failed |= status == SOME_FAILED
            if stop.told.wait(0 if arrivals.more else seconds):
                return SOME_FAILED if failed else OK
    raise AssertionError("a watch ends by being told so")


def run_streaming(
    job: runner.Job, build: Callable[[beam.Pipeline, Progress], None], beam_flags: list[str]
) -> int:
    """Runs one pipeline without end on an engine that can; the exit status.

    An interrupt and SIGTERM ask the engine to end the job.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        return runner.run_job(job, build, [*beam_flags, "--streaming"], 0)
    finally:
        signal.signal(signal.SIGTERM, before)


def _work_on_arrivals(
    job: runner.Job,
    arrivals: Arrivals,
    left: LeftPhotos,
    build: Callable[[beam.Pipeline, Progress, Round], None],
    beam_flags: list[str],
    stop: Stop,
) -> int:
    """One listing, and rounds until all that it found is done, and what other runs have not done."""
    began = time.time()
    found = list(arrivals.look(began))
    listed = {element.url for element in found}
    again = [source for source in _still_left(left) if source.url not in listed]
    result = OK
    for part, since in (*_parts(found, None), *_parts(again, began)):
        if stop.told.is_set():
            break
        now = Round(part, f"{time.time_ns() // 1_000_000}", str(stop.file), left.file, since)
        photos = sum(isinstance(found, SourceFile) for found in part)

        def wire(root: beam.Pipeline, counts: Progress, now: Round = now) -> None:
            build(root, counts, now)

        status = runner.run_job(job, wire, beam_flags, photos)
        if status not in (OK, SOME_FAILED):
            return status
        clear_journal(job.output, job.run_id)
        result = max(result, status)
    return result


def _parts(
    found: Sequence[SourceFile | Failure], since: float | None
) -> Iterator[tuple[tuple[SourceFile | Failure, ...], float | None]]:
    for start in range(0, len(found), _PHOTOS):
        yield tuple(found[start : start + _PHOTOS]), since


def _still_left(left: LeftPhotos) -> list[SourceFile]:
    try:
        return left.to_do()
    except OSError as error:
        user_log.warning(f"foveate: {error}; looking again later for what other runs have left")
        return []
