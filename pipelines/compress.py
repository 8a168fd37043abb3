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

from foveate.archive.journal import clear_journal
from foveate.archive.keys import BadKey, stored_name
from foveate.archive.names import archive_url
from foveate.archive.rows import MetricsRow
from foveate.archive.tables import BadTable, table_text
from foveate.archive.up_to_date import ArchiveIndex
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.compress_options import CompressOptions, add_arguments, contradiction, parse_options
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.arguments import parse_beam_flags
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import OK, SOME_FAILED, WRONG_USAGE
from foveate.storage.listing import NothingFound, other_kinds
from foveate.storage.source import SourceFile
from foveate.transforms.clean_jpeg import CleanJpegs
from foveate.transforms.encode import EncodeJpeg2000, EncodePrefiltered
from foveate.transforms.feeds import BatchFeed, Round, RoundFeed, StreamFeed
from foveate.transforms.frames import expand_frames
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
_SHOWN = 20  # photos that a dry run names


def build(
    root: beam.Pipeline,
    counts: Progress,
    options: CompressOptions,
    feed: BatchFeed | RoundFeed | StreamFeed | None = None,
) -> None:
    """Wires the pipeline: from paths to files and rows, every photo with one outcome."""
    settings, labels, encoder = options.settings, options.labels, options.encoder()
    fed = root | "Find sources" >> (feed or _batch(options, counts))
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
    written = archived.good | "Write archives" >> WriteArchives(labels, counts, options.replace_edited)
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


def _batch(options: CompressOptions, counts: Progress) -> BatchFeed:
    return BatchFeed(
        options.sources,
        PICTURE_EXTENSIONS,
        options.dicom_frames,
        options.labels,
        counts,
        options.trusts_tables,
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
    listed_here = args.dry_run or engines.is_local(args.beam_flags)
    try:
        files = (
            runner.list_sources(options.sources, PICTURE_EXTENSIONS, options.archive) if listed_here else []
        )
        files = [frame for file in files for frame in expand_frames(file, options.dicom_frames)]
        index = ArchiveIndex.read(options.archive) if args.dry_run else None
    except (NothingFound, BadTable) as error:
        user_log.error(f"foveate compress: {error}")
        return WRONG_USAGE
    if listed_here:
        _say_what_is_left_out(options)
    if index is not None:
        return _dry_run(options, files, index)
    compress = functools.partial(_compress, options, args.beam_flags, files)
    return run_alone(options.archive, args.beam_flags, compress)


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


def _compress(options: CompressOptions, beam_flags: list[str], files: list[SourceFile]) -> int:
    """Runs until all is done; returns the exit status."""
    wire = functools.partial(build, options=options)
    status = runner.run_job(_job(options), wire, beam_flags, files)
    if status in (OK, SOME_FAILED):
        clear_journal(options.archive, options.run_id)
    return status


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

        return watching.run(_job(options), options.watched(), options.watch.seconds, wire, beam_flags)
    feed = StreamFeed(options.watched(), options.watch.seconds, options.watch.subscription, options.run_id)
    wire_stream = functools.partial(build, options=options, feed=feed)
    return watching.run_streaming(_job(options), wire_stream, beam_flags)


def _dry_run(options: CompressOptions, files: list[SourceFile], index: ArchiveIndex) -> int:
    """Prints which photos would be compressed, without writing anything."""
    settings, weights = options.labels.settings_digest, options.labels.weights_digest
    todo = [
        file
        for file in files
        if not options.trusts_tables or index.up_to_date(file, settings, weights) is None
    ]
    for file in todo[:_SHOWN]:
        place = stored_name(archive_url(options.archive, file), options.key)
        print(f"{table_text(file.url)} -> {table_text(place)}")
    if len(todo) > _SHOWN:
        print(f"... and {len(todo) - _SHOWN} more")
    size = sum(file.size_bytes for file in todo) / 1e6
    print(f"{len(todo)} of {len(files)} photos ({size:.1f} MB) would be compressed, the rest are up to date")
    return OK
