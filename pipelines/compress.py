"""Compress photos into an archive of region-weighted JPEG 2000 files.

Finds what matters in each photo, spends the bits there, and writes a standard JP2 file that any viewer opens,
with a row of figures per photo. Photos that would not get smaller, or should not become JP2 files, are copied
unchanged, so that the archive is complete. Sources are never changed. Run the same command again to process
only what is new.
"""

from __future__ import annotations

import argparse
import functools

import apache_beam as beam

from foveate.archive import leases
from foveate.archive.compact import compact, small_parts
from foveate.archive.journal import clear_journal
from foveate.archive.keys import BadKey
from foveate.archive.planning.plan import clear_plan, part_urls
from foveate.archive.planning.tasks import Asked
from foveate.archive.rows import MetricsRow
from foveate.archive.tables import BadTable
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.compress_options import CompressOptions, add_arguments, contradiction, parse_options
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, plans, runner
from foveate.pipelines.running.arguments import parse_beam_flags
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.storage.errors import CannotGoOn
from foveate.storage.listing import NothingFound, other_kinds
from foveate.transforms.clean_jpeg import CleanJpegs
from foveate.transforms.encode import EncodeJpeg2000, EncodePrefiltered
from foveate.transforms.feeds import BatchFeed, PlanMade, Round, RoundFeed, StreamFeed
from foveate.transforms.keep_journal import KeepJournal
from foveate.transforms.map_saliency import MapSaliency
from foveate.transforms.measure import Measure
from foveate.transforms.prefilter import Prefilter
from foveate.transforms.progress import Progress
from foveate.transforms.read import KEPT, ReadPhotos
from foveate.transforms.run_reccnn import RestoreCoded, SkipRestoring
from foveate.transforms.steps import FAILURES
from foveate.transforms.write import CopyKept, WriteArchives
from foveate.transforms.write_tables import SHARDS, WriteFailures, WriteMetrics

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]

_KINDS_SHOWN = 8
_MANY_PARTS = 400  # small files of the tables: some hundred runs


def build(
    root: beam.Pipeline,
    counts: Progress,
    options: CompressOptions,
    feed: PlanMade | RoundFeed | StreamFeed | None = None,
) -> None:
    """Wires the pipeline: from paths to files and rows, every photo with one outcome.

    Without a plan or a feed workers plan first.
    """
    settings, labels, encoder = options.settings, options.labels, options.encoder()
    if feed is None or isinstance(feed, PlanMade):
        feed = BatchFeed(feed or asked_of(options), options.dicom_frames, labels, counts)
    fed = root | "Find sources" >> feed
    stages = []

    photos = fed.sources | "Read photos" >> ReadPhotos(options.limits, settings.also)
    cleaned = photos
    if settings.clean_jpeg:
        cleaned = photos.good | "Clean JPEGs" >> CleanJpegs()
        stages.append(cleaned)
    salient = cleaned.good | "Map saliency" >> MapSaliency(settings, options.limits)
    plain = salient.good | "Encode JPEG 2000" >> EncodeJpeg2000(encoder)
    coded = plain
    if settings.uses_comcnn:
        prefiltered = plain.good | "Prefilter" >> Prefilter(settings.comcnn == "on")
        coded = prefiltered.good | "Encode prefiltered" >> EncodePrefiltered(encoder)
        stages += [prefiltered, coded]
    measured_as_restored = options.reccnn is not None and settings.target.kind != "lossless"
    restore = RestoreCoded(options.reccnn) if measured_as_restored else SkipRestoring()
    restored = coded.good | "Restore" >> restore
    archived = restored.good | "Measure" >> Measure(labels, options.score_all)
    written = archived.good | "Write archives" >> WriteArchives(labels, counts)
    kept = (photos[KEPT], plain[KEPT]) | "All kept" >> beam.Flatten()
    copied = kept | "Copy kept" >> CopyKept(labels, counts)

    stages += [photos, salient, plain, restored, archived, written, copied]
    rows = [written.good, copied.good]
    if not isinstance(feed, StreamFeed):  # a streaming engine keeps rows itself until they are in a table
        rows = [
            done | f"Keep journal {number}" >> beam.ParDo(KeepJournal(labels)).with_output_types(MetricsRow)
            for number, done in enumerate(rows)
        ]
    table = (*fed.rows, *rows) | "All rows" >> beam.Flatten()
    failures = (
        (fed.failures, *(stage[FAILURES] for stage in stages))
        | "All failures" >> beam.Flatten()
        | "Count failures" >> beam.Map(counts.fail)
    )
    part = feed.round.name if isinstance(feed, RoundFeed) else ""
    shards = 1 if options.watch else SHARDS  # a watch writes many small tables
    table | "Write metrics" >> WriteMetrics(options.archive, options.run_id, shards, part)
    failures | "Write failures" >> WriteFailures(options.archive, options.run_id, part=part)
    for number, sink in enumerate(options.sinks):
        metrics_flag.write(sink, f"sink {number + 1}", (table, failures), labels, part)


def asked_of(options: CompressOptions) -> Asked:
    """What a run's plan is made for."""
    return Asked(
        sources=options.sources,
        extensions=PICTURE_EXTENSIONS,
        archive=options.archive,
        settings_digest=options.labels.settings_digest,
        weights_digest=options.labels.weights_digest,
        trust_tables=options.trusts_tables,
    )


# ---------------------------------------------------------------- running


def run(args: argparse.Namespace) -> int:
    """Runs `foveate compress`; returns the exit status."""
    try:
        runner.set_up_filesystems(args.beam_flags)  # the key may be in one of them
        options = parse_options(engines.with_workers_paths(args))
    except BadKey as error:
        user_log.error(f"foveate compress: {error}")
        return WRONG_USAGE
    if problem := contradiction(args, options):
        user_log.error(f"foveate compress: {problem}")
        return WRONG_USAGE
    if options.watch:
        watch = functools.partial(_watch, options, args.beam_flags)
        return run_alone(options.archive, args.beam_flags, watch)
    try:
        if args.dry_run or engines.is_local(args.beam_flags):
            _say_what_is_left_out(options)
        if args.dry_run:
            plans.dry_run(asked_of(options), options.run_id, options.dicom_frames, options.key)
            return OK
        compress = functools.partial(_compress, options, args.beam_flags)
        return run_alone(options.archive, args.beam_flags, compress)
    except (NothingFound, BadTable) as error:
        user_log.error(f"foveate compress: {error}")
        return WRONG_USAGE


def _say_what_is_left_out(options: CompressOptions) -> None:
    """Counts files of other kinds beside the photos, so that nobody takes the archive for more than it is."""
    try:
        kinds = other_kinds(options.sources, PICTURE_EXTENSIONS, options.archive)
    except OSError:  # it was listed a moment ago
        return
    if kinds:
        commonest = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
        shown = [f"{kinds[kind]:,} {kind or 'without ending'}" for kind in commonest[:_KINDS_SHOWN]]
        if len(commonest) > _KINDS_SHOWN:
            shown.append(f"{sum(kinds[kind] for kind in commonest[_KINDS_SHOWN:]):,} others")
        count = sum(kinds.values())
        files = "file" if count == 1 else "files"
        user_log.info(f"{count:,} {files} of other kinds left out: {', '.join(shown)}")


def _compress(options: CompressOptions, beam_flags: list[str]) -> int:
    """Plans and runs until all is done; returns the exit status.

    Raises:
      NothingFound: a source names nothing.
      BadTable: one of the archive's tables is none.
    """
    if not engines.is_local(beam_flags):  # workers plan
        return _run(options, beam_flags, None, 0)
    if not runner.can_write_to(options.archive):
        return RUN_FAILED
    # Who writes into a local folder has it locked: no other run there is alive.
    living = leases.living_runs(options.archive) if "://" in options.archive else set()
    with leases.held(options.archive, options.run_id):
        plan = plans.make(asked_of(options), options.run_id, options.dicom_frames, options.plan, living)
        parts = tuple(part_urls(options.archive, options.run_id))
        photos = plan.todo + plan.skipped.photos
        return _run(options, beam_flags, PlanMade(parts, plan.skipped), photos)


def _run(options: CompressOptions, beam_flags: list[str], plan: PlanMade | None, photos: int) -> int:
    """Does what is planned; returns the exit status."""
    wire = functools.partial(build, options=options, feed=plan)
    status = runner.run_job(_job(options), wire, beam_flags, photos)
    if status in (OK, SOME_FAILED):
        clear_journal(options.archive, options.run_id)
        clear_plan(options.archive, options.run_id)
        _compact_if_many(options.archive, beam_flags)
    return status


def _compact_if_many(archive: str, beam_flags: list[str]) -> None:
    """Compacts the tables once many runs have left small files; that it fails is no fault of this run."""
    if engines.only_describes(beam_flags):
        return
    try:
        if small_parts(archive) > _MANY_PARTS:
            compact(archive)
    except (OSError, ValueError, CannotGoOn) as error:
        user_log.warning(f"foveate: the tables could not be compacted: {error}")


def _job(options: CompressOptions) -> runner.Job:
    outcomes = ("compressed", "kept", "skipped", "failed")
    return runner.Job("Compressing", outcomes, options.archive, options.run_id)


def _watch(options: CompressOptions, beam_flags: list[str]) -> int:
    """Runs until it is told to stop; returns the exit status."""
    if options.watch is None:
        raise AssertionError("there is nothing to watch")
    if engines.is_local_runner(beam_flags):

        def wire(root: beam.Pipeline, counts: Progress, now: Round) -> None:
            build(root, counts, options, RoundFeed(now))

        with leases.held(options.archive, options.run_id):
            return watching.run(_job(options), options.watched(), options.watch.seconds, wire, beam_flags)
    feed = StreamFeed(options.watched(), options.watch.seconds, options.watch.subscription, options.run_id)
    wire_stream = functools.partial(build, options=options, feed=feed)
    return watching.run_streaming(_job(options), wire_stream, beam_flags)
