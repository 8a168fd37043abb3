"""Runs pipelines: sets Beam's options, shows progress of local runs, and gives the exit status."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from foveate.pipelines.logs import is_relevant, user_log, without_printed_tracebacks
from foveate.pipelines.running import engines
from foveate.pipelines.running.display import progress_display, summary, total_counts
from foveate.pipelines.running.engines import LOCAL_RUNNER
from foveate.pipelines.running.exhaustion import exit_when_threads_exhausted
from foveate.pipelines.running.interrupts import noted_interrupts
from foveate.pipelines.running.status import INTERRUPTED, OK, RUN_FAILED, SOME_FAILED
from foveate.storage.errors import CannotGoOn
from foveate.storage.listing import NothingFound, check_destination, find_files
from foveate.storage.local_disk import clear_unfinished
from foveate.storage.source import SourceFile
from foveate.transforms.progress import Progress
from foveate.transforms.steps import NAMESPACE

_WORKER_BYTES = 3 << 30  # a photo of 200 megapixels with its networks
_LOST_WORKER = "Channel closed prematurely."  # what Beam says where one of several worker processes is killed


def version() -> str:
    """Foveate's version."""
    return importlib.metadata.version("foveate")


def new_run_id() -> str:
    """A name for a run that sorts by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


def set_up_filesystems(beam_flags: Sequence[str]) -> None:
    """Gives Beam's filesystems the credentials and endpoints before there is a pipeline."""
    FileSystems.set_options(PipelineOptions(list(beam_flags)))


def list_sources(sources: Sequence[str], extensions: frozenset[str], output: str) -> list[SourceFile]:
    """All files that the sources name, each url once; arguments as for `find_files`.

    Raises:
      NothingFound: one of them names nothing.
    """
    found = {
        (file.url if "://" in file.url else os.path.realpath(file.url), file.relative_path): file
        for source in sources
        for file in find_files(source, extensions, output)
    }
    if not found:
        raise NothingFound("no photos found")
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class Job:
    """Describes a run to its user: a verb, the outcomes to count, where results go, and the run's name."""

    verb: str
    outcomes: tuple[str, ...]
    output: str
    run_id: str


def run_job(
    job: Job,
    build: Callable[[beam.Pipeline, Progress], None],
    beam_flags: Sequence[str],
    photos: int,
) -> int:
    """Runs a pipeline, cleans up its output before and after, and logs what became of every photo.

    Args:
      job: describes the run.
      build: wires the pipeline onto its root; its second argument counts photos.
      beam_flags: from `parse_beam_flags`.
      photos: how many there are to process, for estimating the time left.

    Returns:
      The exit status.
    """
    return run_counted(job, build, beam_flags, photos)[0]


def run_counted(
    job: Job,
    build: Callable[[beam.Pipeline, Progress], None],
    beam_flags: Sequence[str],
    photos: int,
) -> tuple[int, dict[str, int]]:
    """Like `run_job`; also returns the number of photos by outcome."""
    # Where the pipeline is only described, workers' rights count, not the launcher's.
    if not engines.only_describes(beam_flags) and not can_write_to(job.output):
        return RUN_FAILED, {}
    clear_unfinished(job.output)
    status, counts = run_pipeline(build, beam_flags, photos, job.verb)
    clear_unfinished(job.output)
    if engines.only_describes(beam_flags):
        return status, counts
    if status in (OK, SOME_FAILED):
        said = f"{summary(counts, job.outcomes)}. See {job.output}"
        user_log.info(said, extra={"fields": {"run": job.run_id, "output": job.output, "counts": counts}})
        if counts.get("failed"):
            user_log.error(f"Reasons: {job.output}/_foveate/failures/run={job.run_id}/")
    return status, counts


def can_write_to(output: str) -> bool:
    """Whether the output can be written to; logs an error if not."""
    try:
        check_destination(output)
    except CannotGoOn as error:
        say_failed(str(error))
        return False
    return True


def run_pipeline(
    build: Callable[[beam.Pipeline, Progress], None],
    beam_flags: Sequence[str],
    photos: int,
    verb: str,
) -> tuple[int, dict[str, int]]:
    """Runs a pipeline to its end, showing progress if local; returns the exit status and our counters."""
    for handler in logging.getLogger().handlers:  # a logger's own filter would not see its children's
        handler.addFilter(is_relevant)
    local = engines.is_local(beam_flags)
    flags = [*beam_flags, *(_local_flags(beam_flags) if engines.is_local_runner(beam_flags) else ())]
    result: Any = None
    with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
        file = str(Path(folder) / "progress") if local else None
        try:
            with contextlib.ExitStack() as stack:
                told = stack.enter_context(noted_interrupts())
                if local:
                    stack.enter_context(without_printed_tracebacks())
                    stack.enter_context(progress_display(Path(folder) / "progress", photos, verb))
                    stack.enter_context(exit_when_threads_exhausted(say_failed, RUN_FAILED))
                runner = engines.local_runner(flags) if engines.is_local_runner(flags) else None
                pipeline = beam.Pipeline(runner, options=PipelineOptions(flags))
                build(pipeline, Progress(file))
                result = pipeline.run()
                result.wait_until_finish()
                noted = total_counts(Path(file)) if file else {}
        except KeyboardInterrupt:
            return _stopped(result, local)
        except Exception as error:  # Beam wraps whatever ended the run; it has to be said, and the status set
            if told.is_set():  # an engine in this terminal heard the interrupt as well, and was gone first
                return _stopped(result, local)
            if CannotGoOn.__name__ not in repr(error) and not isinstance(error, CannotGoOn):
                logging.getLogger("foveate").error("the run failed", exc_info=error)
            say_failed(_cause(error))
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
        asked = problem or "asked the engine to end the job: check there that it has"
        user_log.warning(f"foveate: {asked}")
    user_log.warning("foveate: stopped; run the same command again to resume")
    return INTERRUPTED, {}


def say_failed(why: str) -> None:
    """Logs why a run has failed."""
    user_log.error(f"foveate: the run failed: {why}")


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
        return "a worker process was killed, perhaps for lack of memory; run the same command again to resume"
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    return lines[-1] if lines else repr(root)


def _local_flags(beam_flags: Sequence[str]) -> list[str]:
    """Flags for the in-process runner on all cores, with threads: pixel work releases Python's lock."""
    flags = [f"--runner={LOCAL_RUNNER}"]
    if not any(flag.startswith("--direct_running_mode") for flag in beam_flags):
        flags.append("--direct_running_mode=multi_threading")
    if not any(flag.startswith("--direct_num_workers") for flag in beam_flags):
        flags.append(f"--direct_num_workers={_worker_count()}")
    return flags


def _worker_count() -> int:
    """How many photos to process at once, by cores and free memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not known on every system
        return cores
    return max(1, min(cores, memory // _WORKER_BYTES))
