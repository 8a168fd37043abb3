"""The --watch mode of compress and transcode: keeps running and processes photos as they arrive.

Streaming engines run one endless pipeline. Beam's local runner does not stream, so there the same steps run
as one small pipeline after another: list, process what is new, write its rows, wait.
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
from foveate.archive.left_photos import LeftPhotos
from foveate.archive.rows import Failure
from foveate.archive.tables import BadTable
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms.arrivals import Arrivals, Watched
from foveate.transforms.feeds import Round
from foveate.transforms.progress import Progress

_PHOTOS = 500  # per round; after each round, rows are written and sources listed again
_REPEATED = "foveate: stopping immediately"


@dataclasses.dataclass(frozen=True)
class Watch:
    """How sources are watched: by listing them every few seconds, or through a subscription."""

    seconds: float
    subscription: str | None

    @staticmethod
    def of(args: argparse.Namespace) -> Watch | None:
        """The watch that the arguments ask for; None for a run that ends on its own."""
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
        help="list the sources every S seconds, and process a local file once it has not changed for that "
        "long (default: %(default)g)",
    )
    group.add_argument(
        "--watch-subscription",
        type=_subscription,
        metavar="NAME",
        help="instead of listing, process the objects that a bucket announces through the Pub/Sub "
        "subscription projects/PROJECT/subscriptions/NAME (Dataflow only)",
    )


def contradiction(args: argparse.Namespace) -> str:
    """Why flags contradict each other, as a sentence; "" if they do not."""
    if Watch.of(args) is None:
        return ""
    if args.dry_run or args.force:
        return "--watch cannot be combined with --force or --dry-run"
    if args.watch_subscription and engines.is_local_runner(args.beam_flags):
        return "--watch-subscription needs an engine that reads Pub/Sub streams: add --runner=DataflowRunner"
    if args.watch_subscription and any(not source.startswith("gs://") for source in args.sources):
        return "--watch-subscription works with Cloud Storage only: all sources must be gs:// URLs"
    for source in args.sources:
        if "://" not in source and not glob.has_magic(source) and not Path(source).exists():
            return f"cannot watch {source}: it does not exist"
    return ""


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not {text}") from error
    if not 1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be from 1 to 86400 seconds (a day), not {text}")
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
    """Notes SIGINT or SIGTERM; a second SIGINT interrupts the work in progress."""

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
        """Handles the signals inside its block."""
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
    """Processes what arrives, round by round, until told to stop; returns the exit status.

    Args:
      job: describes each round.
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
        user_log.info(
            f"Watching {', '.join(watched.sources)} every {seconds:g} s; stop with SIGINT (Ctrl+C) or SIGTERM"
        )
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
    raise AssertionError("a watch ends only when told to")


def run_streaming(
    job: runner.Job, build: Callable[[beam.Pipeline, Progress], None], beam_flags: list[str]
) -> int:
    """Runs one endless pipeline on a streaming engine; returns the exit status.

    An interrupt or SIGTERM asks the engine to end the job.
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
    """Lists once, then runs rounds until all that was found, or left by other runs, is done."""
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
        user_log.warning(f"foveate: {error}; will look again later for what other runs have left")
        return []
