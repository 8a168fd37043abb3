"""How a pipeline is run: Beam's options, the local runner with a display of its progress, the exit status."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from rich import progress as bars
from rich.console import Console

from foveate.pipelines import engines
from foveate.pipelines.engines import LOCAL_RUNNER
from foveate.pipelines.exhaustion import ended_where_threads_die
from foveate.pipelines.interrupts import noted_interrupts
from foveate.pipelines.logs import SAY, is_news, speaks_json
from foveate.pipelines.numbers import positive_count, positive_number
from foveate.transforms.elements import SourceFile
from foveate.transforms.files import NothingFound, check_destination, clear_unfinished, find_files
from foveate.transforms.isolation import Limits
from foveate.transforms.progress import Progress, read_progress
from foveate.transforms.redaction import redacted
from foveate.transforms.restore import PRECISIONS
from foveate.transforms.steps import NAMESPACE, CannotGoOn

OK, RUN_FAILED, WRONG_USAGE, SOME_FAILED = 0, 1, 2, 3
INTERRUPTED = 130  # as shells have it
_WORKER_BYTES = 3 << 30  # a photo of 200 megapixels with its networks
_LOST_WORKER = "Channel closed prematurely."  # what Beam says where one of several worker processes is killed
_LINE_SECONDS = 15  # between progress lines where there is no terminal


def version() -> str:
    """Foveate's version."""
    return importlib.metadata.version("foveate")


def new_run_id() -> str:
    """A name for a run that sorts by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


def parse_beam_flags(parser: argparse.ArgumentParser, flags: Sequence[str]) -> list[str]:
    """The flags that are not ours, if Beam knows them all; else a usage error: Beam ignores typing slips."""
    beams = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    pending = list(PipelineOptions.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if "_add_argparse_args" in vars(kind):
            with contextlib.suppress(argparse.ArgumentError):
                kind._add_argparse_args(beams)
    _, unknown = beams.parse_known_args(list(flags))
    if unknown and not engines.knows_more_flags(flags):
        parser.error(redacted(f"neither Foveate nor Beam knows {' '.join(unknown)}"))
    return list(flags)


def add_limits(group: argparse._ActionsContainer) -> None:
    """Adds the limits of one photo, the same for all commands: what compress takes, restore gives back."""
    default = Limits()
    group.add_argument(
        "--max-pixels",
        type=positive_count,
        default=default.pixels,
        metavar="N",
        help="refuse larger photos, from their headers (default: %(default)s)",
    )
    group.add_argument(
        "--max-bytes",
        type=positive_count,
        default=default.file_bytes,
        metavar="N",
        help="refuse larger files, without reading them (default: %(default)s)",
    )
    group.add_argument(
        "--photo-seconds",
        type=positive_number,
        default=default.seconds,
        metavar="S",
        help="give up a photo that takes longer to decode (default: %(default)g)",
    )
    group.add_argument(
        "--photo-memory",
        type=positive_number,
        default=default.memory_gb,
        metavar="GB",
        help="give up a photo that takes more memory to decode (default: %(default)g GB)",
    )


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits that `add_limits` has read."""
    return Limits(args.max_pixels, args.max_bytes, args.photo_seconds, args.photo_memory)


def output_folder(text: str) -> str:
    """A folder or URL as --output names it, without a scheme for local ones and slashes at its end."""
    return text.removeprefix("file://").rstrip("/") or "/"


def set_up_filesystems(beam_flags: Sequence[str]) -> None:
    """Lets Beam's filesystems know of credentials and endpoints before any pipeline is there."""
    FileSystems.set_options(PipelineOptions(list(beam_flags)))


def list_sources(sources: Sequence[str], extensions: frozenset[str], output: str) -> list[SourceFile]:
    """All files that the sources name, each url once; arguments as of `find_files`.

    Raises:
      NothingFound: one of them names nothing.
    """
    found = {
        (file.url if "://" in file.url else os.path.realpath(file.url), file.relative_path): file
        for source in sources
        for file in find_files(source, extensions, output)
    }
    if not found:
        raise NothingFound("no photo found")
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class Job:
    """What a person sees of a run: its verb, the outcomes that are counted, where results go, its name."""

    verb: str
    outcomes: tuple[str, ...]
    output: str
    run_id: str


def add_reccnn(parser: argparse.ArgumentParser | argparse._ArgumentGroup, help_text: str) -> None:
    """Adds which reconstruction network is used, and how."""
    parser.add_argument("--reccnn", choices=("fast", "best", "off"), default="fast", help=help_text)
    parser.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        default="float32",
        help="of its convolutions: bfloat16 is half again as fast on processors that have it, and a pixel "
        "here and there differs by one level (default: %(default)s)",
    )


def run_job(
    job: Job,
    build: Callable[[beam.Pipeline, Progress], None],
    beam_flags: Sequence[str],
    todo: Sequence[SourceFile],
) -> int:
    """Runs a pipeline into a place that it tidies before and after, and says what became of every photo.

    Args:
      job: what is said.
      build: wires the pipeline onto its root; its second argument counts photos.
      beam_flags: from `parse_beam_flags`.
      todo: the files that will be worked on, for the time left.

    Returns:
      The exit status.
    """
    try:
        if not engines.only_describes(beam_flags):  # workers' rights count, not the launcher's
            check_destination(job.output)
    except CannotGoOn as error:
        SAY.error(f"foveate: the run failed: {error}")
        return RUN_FAILED
    clear_unfinished(job.output)
    status, counts = run_pipeline(build, beam_flags, todo, job.verb)
    clear_unfinished(job.output)
    if engines.only_describes(beam_flags):
        return status
    if status in (OK, SOME_FAILED):
        said = f"{summary(counts, job.outcomes)}. See {job.output}"
        SAY.info(said, extra={"fields": {"run": job.run_id, "output": job.output, "counts": counts}})
        if counts.get("failed"):
            SAY.error(f"Why: {job.output}/_foveate/failures/run={job.run_id}/")
    return status


def run_pipeline(
    build: Callable[[beam.Pipeline, Progress], None],
    beam_flags: Sequence[str],
    todo: Sequence[SourceFile],
    verb: str,
) -> tuple[int, dict[str, int]]:
    """Runs a pipeline to its end, showing progress if it is local; the exit status, Foveate's counters."""
    for handler in logging.getLogger().handlers:  # a logger's own filter would not see its children's
        handler.addFilter(is_news)
    local = engines.is_local(beam_flags)
    flags = [*beam_flags, *(_local_flags(beam_flags) if engines.is_local_runner(beam_flags) else ())]
    result: Any = None
    with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
        file = str(Path(folder) / "progress") if local else None
        try:
            with contextlib.ExitStack() as stack:
                told = stack.enter_context(noted_interrupts())
                if local:
                    stack.enter_context(_display(Path(folder) / "progress", todo, verb))
                    stack.enter_context(ended_where_threads_die(_say_failed, RUN_FAILED))
                runner = engines.local_runner(flags) if engines.is_local_runner(flags) else None
                pipeline = beam.Pipeline(runner, options=PipelineOptions(flags))
                build(pipeline, Progress(file))
                result = pipeline.run()
                result.wait_until_finish()
                noted = _sums(Path(file)) if file else {}
        except KeyboardInterrupt:
            return _stopped(result, local)
        except Exception as error:  # Beam wraps whatever ended the run; it has to be said, and the status set
            if told.is_set():  # an engine in this terminal heard the interrupt as well, and was gone first
                return _stopped(result, local)
            if CannotGoOn.__name__ not in repr(error) and not isinstance(error, CannotGoOn):
                logging.getLogger("foveate").error("the run failed", exc_info=error)
            _say_failed(_cause(error))
            return RUN_FAILED, {}
    if engines.only_describes(beam_flags):
        return OK, {}
    if local and not engines.is_local_runner(beam_flags):  # Prism loses counts where it splits a bundle
        return (SOME_FAILED if noted.get("failed") else OK), noted
    totals: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:  # one a step: several steps count alike
        if counter.key.metric.namespace == NAMESPACE:
            name = counter.key.metric.name
            totals[name] = totals.get(name, 0) + int(counter.result or 0)
    return (SOME_FAILED if totals.get("failed") else OK), totals


def _stopped(result: Any, local: bool) -> tuple[int, dict[str, int]]:
    problem = engines.cancel(result) if result else ""
    if result and not local:  # what is worked on in this process ends with it; others can be asked
        asked = problem or "the engine is asked to end the job: see there"
        SAY.warning(f"foveate: {asked}")
    SAY.warning("foveate: stopped; the same command goes on where it was")
    return INTERRUPTED, {}


def _say_failed(why: str) -> None:
    SAY.error(f"foveate: the run failed: {why}")


def _sums(file: Path) -> dict[str, int]:
    """What a progress file says of a whole run, under the names of Beam's counters."""
    sums = {"source-bytes": 0, "archive-bytes": 0}
    for outcome, _, before, after in read_progress(file)[0]:
        sums[outcome] = sums.get(outcome, 0) + 1
        sums["source-bytes"] += before
        sums["archive-bytes"] += after
    return sums


def _cause(error: BaseException) -> str:
    """The sentence at the root of an error, without Beam's wrapping."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    text = str(root) or repr(root)
    if CannotGoOn.__name__ in text or isinstance(root, CannotGoOn):
        text = text.rpartition(f"{CannotGoOn.__name__}: ")[2].splitlines()[0]
        return text.partition(" [while running ")[0]
    if text == _LOST_WORKER:
        return "a worker process has ended, killed perhaps for its memory; the same command goes on"
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    return lines[-1] if lines else repr(root)


def _local_flags(beam_flags: Sequence[str]) -> list[str]:
    """The in-process runner on all cores: threads, since pixels are worked on outside Python's lock."""
    flags = [f"--runner={LOCAL_RUNNER}"]
    if not any(flag.startswith("--direct_running_mode") for flag in beam_flags):
        flags.append("--direct_running_mode=multi_threading")
    if not any(flag.startswith("--direct_num_workers") for flag in beam_flags):
        flags.append(f"--direct_num_workers={_worker_count()}")
    return flags


def _worker_count() -> int:
    """As many photos at once as there are cores for, and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not known on every system
        return cores
    return max(1, min(cores, memory // _WORKER_BYTES))


@contextlib.contextmanager
def _display(file: Path, todo: Sequence[SourceFile], verb: str) -> Iterator[None]:
    """Shows photos, megapixels, bytes saved and time left on standard error while its block runs."""
    if not SAY.isEnabledFor(logging.INFO):
        yield
        return
    console = Console(stderr=True)
    stop, tally = threading.Event(), _Tally(file, len(todo))
    if console.is_terminal and not speaks_json():
        thread = threading.Thread(target=_show_bar, args=(console, stop, tally, verb), daemon=True)
    else:
        thread = threading.Thread(target=_show_lines, args=(stop, tally, verb), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Tally:
    """What the progress file says so far; reads only what is new."""

    def __init__(self, file: Path, total: int) -> None:
        self.file, self.total, self.start = file, total, time.monotonic()
        self.offset = self.done = self.pixels = self.worked = self.saved = self.failed = 0

    def look(self) -> str:
        """Brings the sums up to date; megapixels, bytes saved, failures and time left, for the display."""
        lines, self.offset = read_progress(self.file, self.offset)
        for outcome, pixels, before, after in lines:
            self.done += 1
            self.pixels += pixels
            self.failed += outcome == "failed"
            if outcome in ("compressed", "kept"):
                self.worked += 1
                self.saved += before - after
        parts = [f"{self.pixels / 1e6:.1f} MP"]
        if self.worked:
            parts.append(f"{_bytes(self.saved)} saved")
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.total - self.done
        if self.done and left > 0:
            seconds = (time.monotonic() - self.start) / self.done * left
            parts.append(f"{datetime.timedelta(seconds=round(seconds))} left")
        return ", ".join(parts)

    def figures(self) -> dict[str, int]:
        """The sums, for log collectors."""
        return {
            "photos": self.done,
            "of": self.total,
            "failed": self.failed,
            "pixels": self.pixels,
            "bytes_saved": self.saved,
        }


def _show_bar(console: Console, stop: threading.Event, tally: _Tally, verb: str) -> None:
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.completed}/{task.total} photos, {task.fields[status]}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task(verb, total=tally.total, status="starting")
        while not stop.wait(0.5):
            status = tally.look()
            bar.update(task, completed=tally.done, status=status)
        status = tally.look()
        bar.update(task, completed=tally.done, status=status)


def _show_lines(stop: threading.Event, tally: _Tally, verb: str) -> None:
    while not stop.wait(_LINE_SECONDS):
        status = tally.look()
        said = f"{verb}: {tally.done}/{tally.total} photos, {status}"
        SAY.info(said, extra={"fields": {"progress": tally.figures()}})


def _bytes(count: float) -> str:
    sign, count = ("-" if count < 0 else ""), abs(count)
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{sign}{count:.0f} {unit}" if unit == "B" else f"{sign}{count:.1f} {unit}"
        count /= 1000
    return f"{sign}{count:.1f} TB"


def summary(counts: dict[str, int], outcomes: Sequence[str]) -> str:
    """One line that accounts for every photo: "12 compressed, 1 kept, 1 failed", and the bytes."""
    parts = [f"{counts[outcome]} {outcome}" for outcome in outcomes if counts.get(outcome)]
    line = ", ".join(parts) or "nothing to do"
    before, after = counts.get("source-bytes", 0), counts.get("archive-bytes", 0)
    return f"{line}; {_bytes(before)} became {_bytes(after)}" if before and after else line
