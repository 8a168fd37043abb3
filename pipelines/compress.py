"""Compress photos into an archive of region-weighted JPEG 2000 files.

Finds what matters in each photo, spends the bits there, and writes a standard JP2 file that any JPEG 2000
viewer opens, plus a row of figures in the metrics table. Photos that would not get smaller, or that should
not become JP2 files, are copied unchanged to keep the archive complete. Sources are never changed. Run the
same command again to process only what is new.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from foveate.archive import leases
from foveate.archive.claims import Claiming, clear_claims, others_alive
from foveate.archive.compact import compact, keep_journal, small_parts
from foveate.archive.journal import clear_journal
from foveate.archive.keys import BadKey
from foveate.archive.leases import wait_for_signs_of_life
from foveate.archive.left_photos import note_left
from foveate.archive.planning.plan import clear_plan, part_urls
from foveate.archive.planning.tasks import Asked
from foveate.archive.tables import BadTable
from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.compress_options import CompressOptions, add_arguments, parse_options
from foveate.pipelines.contradictions import contradiction
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, plans, runner
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.requests import RequestTally, say_requests
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.pipelines.shared_flags import parse_beam_flags
from foveate.storage.errors import CannotGoOn
from foveate.storage.listing import NothingFound
from foveate.transforms.claim_photos import LEFT, ClaimPhotos
from foveate.transforms.clean_jpeg import CleanJpegs
from foveate.transforms.encode import EncodeJpeg2000
from foveate.transforms.encode_prefiltered import EncodePrefiltered
from foveate.transforms.feeds import BatchFeed, PlanMade, Round, RoundFeed, StreamFeed
from foveate.transforms.keep_journal import KeepJournal
from foveate.transforms.map_saliency import MapSaliency
from foveate.transforms.measure import MeasureFiles
from foveate.transforms.prefilter import Prefilter
from foveate.transforms.progress import Progress
from foveate.transforms.read import KEPT, ReadPhotos
from foveate.transforms.read_masters import ReadMasters
from foveate.transforms.run_reccnn import RestoreCoded, SkipRestoring
from foveate.transforms.steps import FAILURES
from foveate.transforms.transcode import TranscodeJpeg2000
from foveate.transforms.write import CopyKept, WriteArchives
from foveate.transforms.write_failures import WriteFailures
from foveate.transforms.write_metrics import WriteMetrics, shards_for

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]

_MANY_PARTS = 400  # small files of the tables: some hundred runs


def build(
    root: beam.Pipeline,
    counts: Progress,
    options: CompressOptions,
    feed: PlanMade | RoundFeed | StreamFeed | None = None,
    claiming: Claiming | None = None,
) -> None:
    """Wires the pipeline: from paths to files and rows, with one outcome per photo.

    Without a feed, the workers make the plan first. Without `claiming`, no other run may use the archive.
    """
    settings, labels, encoder = options.settings, options.labels, options.encoder()
    if feed is None or isinstance(feed, PlanMade):
        feed = BatchFeed(feed or asked_of(options), options.dicom_frames, labels, counts)
    fed = root | "Find sources" >> feed
    stages = []

    sources = fed.sources
    if claiming is not None:
        claimed = sources | "Claim photos" >> ClaimPhotos(claiming, counts)
        sources = claimed.good
        stages.append(claimed)
        if isinstance(feed, RoundFeed):
            claimed[LEFT] | "Note what is left" >> beam.Map(note_left, feed.round.left)
    reading: Any = ReadPhotos(options.limits, settings.also + settings.drop, options.sidecars)
    coding: Any = EncodeJpeg2000(encoder)
    if settings.transcode:
        reading, coding = ReadMasters(options.limits), TranscodeJpeg2000(encoder)
    photos = sources | "Read photos" >> reading
    cleaned = photos
    if settings.clean_jpeg:
        cleaned = photos.good | "Clean JPEGs" >> CleanJpegs()
        stages.append(cleaned)
    salient = cleaned.good | "Map saliency" >> MapSaliency(settings, options.limits)
    plain = salient.good | "Encode JPEG 2000" >> coding
    coded = plain
    if settings.uses_comcnn:
        prefiltered = plain.good | "Prefilter" >> Prefilter(settings.comcnn == "on")
        coded = prefiltered.good | "Encode prefiltered" >> EncodePrefiltered(encoder)
        stages += [prefiltered, coded]
    measured_as_restored = options.reccnn is not None and settings.target.kind != "lossless"
    restore = RestoreCoded(options.reccnn, options.restore_all) if measured_as_restored else SkipRestoring()
    restored = coded.good | "Restore" >> restore
    archived = restored.good | "Measure" >> MeasureFiles(labels, options.score_all)
    written = archived.good | "Write archives" >> WriteArchives(labels, counts, options.replace_edited)
    kept = (photos[KEPT], plain[KEPT]) | "All kept" >> beam.Flatten()
    copied = kept | "Copy kept" >> CopyKept(labels, counts)

    stages += [photos, salient, plain, restored, archived, written, copied]
    rows = [written.good, copied.good]
    if not isinstance(feed, StreamFeed):  # a streaming engine keeps rows itself until they are in a table
        rows = [done | f"Keep journal {number}" >> KeepJournal(labels) for number, done in enumerate(rows)]
    table = (*fed.rows, *rows) | "All rows" >> beam.Flatten()
    failures = (
        (fed.failures, *(stage[FAILURES] for stage in stages))
        | "All failures" >> beam.Flatten()
        | "Count failures" >> beam.Map(counts.fail)
    )
    part = feed.round.name if isinstance(feed, RoundFeed) else ""
    shards = shards_for(feed.todo) if isinstance(feed, BatchFeed) else 1  # a watch writes many small tables
    table | "Write metrics" >> WriteMetrics(options.archive, options.run_id, shards, part)
    failures | "Write failures" >> WriteFailures(options.archive, options.run_id, part=part)
    for number, sink in enumerate(options.sinks):
        metrics_flag.write(sink, f"sink {number + 1}", (table, failures), labels, part)


def asked_of(options: CompressOptions) -> Asked:
    """What the run's plan is made for."""
    return Asked(
        sources=options.sources,
        extensions=options.extensions,
        archive=options.archive,
        settings_digest=options.labels.settings_digest,
        weights_digest=options.labels.weights_digest,
        trust_tables=options.trusts_tables,
        exclude=options.exclude,
        every_kind=options.sidecars,
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
    return start(options, args.beam_flags, dry_run=args.dry_run)


def start(options: CompressOptions, beam_flags: list[str], *, dry_run: bool) -> int:
    """Starts the run that the options ask for, or describes it (`dry_run`); returns the exit status."""
    try:
        if options.watch:
            watch = functools.partial(_watch, options, beam_flags)
            return run_alone(options.archive, beam_flags, watch)
        if dry_run:
            plans.dry_run(asked_of(options), options.run_id, options.dicom_frames, options.key)
            return OK
        compress = functools.partial(_compress, options, beam_flags)
        return run_alone(options.archive, beam_flags, compress)
    except (NothingFound, BadTable) as error:
        user_log.error(f"foveate {'transcode' if options.settings.transcode else 'compress'}: {error}")
        return WRONG_USAGE
    except CannotGoOn as error:  # the archive refuses a plan or a lease
        runner.say_failed(str(error))
        return RUN_FAILED


def _compress(options: CompressOptions, beam_flags: list[str]) -> int:
    """Plans and runs until nothing is left but what other live runs work on; returns the exit status.

    Raises:
      NothingFound: a source names nothing.
      BadTable: one of the archive's tables is unreadable.
    """
    if engines.only_describes(beam_flags):
        return _run(options, beam_flags, None, 0, _claiming(options, None), RequestTally())[0]
    if not runner.can_write_to(options.archive):
        return RUN_FAILED
    status, left = _compress_once(options, beam_flags)
    clear_claims(options.archive, options.run_id)  # its lease is gone, so no two runs wait for each other
    if left and status in (OK, SOME_FAILED):
        others = others_alive(options.archive, options.run_id)
        if wait_for_signs_of_life(options.archive, others) or not others:
            user_log.info("Another run has ended or was killed: looking for photos that it left")
            again = dataclasses.replace(options, run_id=runner.new_run_id(), plan="new")
            return max(status, _compress(again, beam_flags))
        user_log.info(f"{left} photos are left to other runs: {', '.join(sorted(others))}")
    return status


def _compress_once(options: CompressOptions, beam_flags: list[str]) -> tuple[int, int]:
    """Plans and runs; the exit status, and how many photos were left to other runs."""
    local = engines.is_local(beam_flags)
    # A run locks the local folder that it writes into, so no other run is alive there.
    alone = local and "://" not in options.archive
    tally = RequestTally()
    living: set[str] = set() if alone else leases.living_runs(options.archive)
    with leases.held(options.archive, options.run_id) as began:
        claiming = None if alone else _claiming(options, began, living)
        if not local:  # workers plan
            return _run(options, beam_flags, None, 0, claiming, tally)
        plan = plans.make(asked_of(options), options.run_id, options.dicom_frames, options.plan, living)
        parts = tuple(part_urls(options.archive, options.run_id))
        photos = plan.todo + plan.skipped.photos
        made = PlanMade(parts, plan.todo, plan.skipped)
        return _run(options, beam_flags, made, photos, claiming, tally)


def _claiming(options: CompressOptions, began: float | None, living: Iterable[str] = ()) -> Claiming:
    """What a run claims photos for; `began` is by the store's clock, None if only workers will know."""
    labels = options.labels
    return Claiming(
        archive=options.archive,
        run_id=options.run_id,
        settings_digest=labels.settings_digest,
        weights_digest=labels.weights_digest,
        key=options.key,
        since=began,
        living=frozenset(living),
        renews=began is None,
        has_masks=options.settings.mask_folder is not None,
    )


def _run(
    options: CompressOptions,
    beam_flags: list[str],
    plan: PlanMade | None,
    photos: int,
    claiming: Claiming | None,
    tally: RequestTally,
) -> tuple[int, int]:
    """Runs the plan; the exit status, and how many photos were left to other runs."""
    wire = functools.partial(build, options=options, feed=plan, claiming=claiming)
    status, counts = runner.run_counted(_job(options), wire, beam_flags, photos)
    if status in (OK, SOME_FAILED) and not engines.only_describes(beam_flags):
        if plan is None and not _keep_journal(options):
            return RUN_FAILED, counts.get("left", 0)
        clear_journal(options.archive, options.run_id)
        clear_plan(options.archive, options.run_id)
        _compact_if_many(options.archive)
        say_requests(tally.total(counts, beam_flags), options.run_id)
    return status, counts.get("left", 0)


def _keep_journal(options: CompressOptions) -> bool:
    """Keeps the journal of a run on an engine, which may have started several times; whether that worked."""
    try:
        keep_journal(options.archive, options.run_id)
    except (OSError, ValueError, CannotGoOn) as error:
        runner.say_failed(f"some rows could not be moved from the journal to the tables: {error}")
        return False
    return True


def _compact_if_many(archive: str) -> None:
    """Compacts the tables once many runs have left small files; a failure there does not fail this run."""
    try:
        if small_parts(archive) > _MANY_PARTS:
            compact(archive)
    except (OSError, ValueError, CannotGoOn) as error:
        user_log.warning(f"foveate: the tables could not be compacted: {error}")


def _job(options: CompressOptions) -> runner.Job:
    outcomes = ("compressed", "kept", "skipped", "failed")
    doing = "Transcoding" if options.settings.transcode else "Compressing"
    return runner.Job(doing, outcomes, options.archive, options.run_id)


def _watch(options: CompressOptions, beam_flags: list[str]) -> int:
    """Watches until told to stop; returns the exit status."""
    if options.watch is None:
        raise AssertionError("there is nothing to watch")
    if engines.is_local_runner(beam_flags):
        with leases.held(options.archive, options.run_id) as began:
            claiming = _claiming(options, began) if "://" in options.archive else None

            def wire(root: beam.Pipeline, counts: Progress, now: Round) -> None:
                mine = claiming
                if mine is not None and now.since is not None:
                    mine = dataclasses.replace(mine, since=now.since, living=frozenset())
                build(root, counts, options, RoundFeed(now), mine)

            return watching.run(_job(options), options.watched(), options.watch.seconds, wire, beam_flags)
    feed = StreamFeed(options.watched(), options.watch.seconds, options.watch.subscription, options.run_id)
    claiming = _claiming(options, None)
    wire_stream = functools.partial(build, options=options, feed=feed, claiming=claiming)
    return watching.run_streaming(_job(options), wire_stream, beam_flags)
