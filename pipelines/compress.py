"""Compress photos into an archive of region-weighted JPEG 2000 files.

Finds what matters in each photo, moves the bits there, and writes a standard JP2 that any viewer opens, with
a row of figures per photo. What would not get smaller, or should not be a JP2, is copied unchanged, so that
the archive is complete. Sources are never changed. Run it again and it does only what is new.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import math
from pathlib import Path
from typing import Any

import apache_beam as beam

from foveate.archive.journal import clear_journal
from foveate.archive.keys import ArchiveKey, BadKey, stored_name
from foveate.archive.places import archive_url
from foveate.archive.roi_boxes import Box, emit_boxes, parse_box
from foveate.archive.rows import MetricsRow, RunLabels
from foveate.archive.settings import Comcnn, CompressSettings, Target
from foveate.archive.tables import BadTable, table_text
from foveate.archive.up_to_date import ArchiveIndex
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.logs import SAY
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.arguments import (
    add_limits,
    add_reccnn,
    limits_of,
    output_folder,
    parse_beam_flags,
)
from foveate.pipelines.running.key import add_key, key_of
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import OK, SOME_FAILED, WRONG_USAGE
from foveate.sandbox.client import Limits
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms import (
    arrivals,
    clean_jpeg,
    encode,
    map_saliency,
    measure,
    networks,
    prefilter,
    progress,
    read,
    run_reccnn,
    write,
)
from foveate.transforms.count_skipped import WriteSkipped
from foveate.transforms.elements import Photo
from foveate.transforms.frames import DicomFrames, expand_frames
from foveate.transforms.keep_journal import KeepJournal
from foveate.transforms.match import MatchSources
from foveate.transforms.read import KEPT
from foveate.transforms.skip_archived import ROWS, SIZES, SkipArchived
from foveate.transforms.steps import FAILURES, step
from foveate.transforms.write_tables import SHARDS, WriteFailures, WriteMetrics

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]

_MOST_LAYERS = 50  # a tile has at most 255 tile-parts, one a layer
_SHOWN = 20  # photos that a dry run names


@dataclasses.dataclass(frozen=True)
class CompressOptions:
    """What a run was asked for; see `add_arguments`."""

    sources: tuple[str, ...]
    archive: str
    settings: CompressSettings
    reccnn: str
    precision: str
    force: bool
    limits: Limits
    dicom_frames: DicomFrames
    run_id: str
    key: ArchiveKey | None = None
    watch: watching.Watch | None = None
    sinks: tuple[metrics_flag.Sink, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate compress` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a photo, a folder, a glob, or a URL (gs://, s3://)"
    )
    parser.add_argument("--output", required=True, metavar="DEST", help="the archive: a folder or a URL")
    target = parser.add_argument_group("how small, or how good (one of these; default --bpp 1)")
    one = target.add_mutually_exclusive_group()
    one.add_argument(
        "--bpp", type=_positive, metavar="B", help="at most B bits per pixel, all of the file counted"
    )
    one.add_argument(
        "--ratio", type=_positive, metavar="R", help="at most one R-th of the source file's bytes"
    )
    one.add_argument(
        "--psnr", type=_positive, metavar="DB", help="as small as a PSNR of at least DB decibels allows"
    )
    one.add_argument(
        "--roi-psnr",
        type=_positive,
        metavar="DB",
        help="likewise, every error counted by how much its place matters",
    )
    one.add_argument(
        "--ssim",
        type=_similarity,
        metavar="S",
        help="as small as a structural similarity of at least S allows",
    )
    one.add_argument(
        "--jpeg-quality", type=_quality, metavar="Q", help="at most the bytes of a JPEG of quality Q"
    )
    one.add_argument("--lossless", action="store_true", help="bit for bit (reversible 5/3 wavelet)")
    where = parser.add_argument_group("where the bits go")
    what = where.add_mutually_exclusive_group()
    what.add_argument(
        "--roi",
        type=_roi,
        metavar="WHAT",
        help="msroi: the saliency network (default); none: every place alike; masks:DIR: "
        "DIR/<relative path>.png, white matters",
    )
    what.add_argument(
        "--roi-box",
        type=_box,
        action="append",
        metavar="X,Y,W,H",
        help="instead: what is in this box of every photo (left, top, width, height; each in pixels of the "
        "upright photo, or in percent of its width or height: 10%%,200,50%%,300); may be repeated. A "
        "photo's edges cut it off; in a photo that no box reaches, all places are alike",
    )
    where.add_argument(
        "--roi-gain",
        type=_decibels,
        default=12.0,
        metavar="DB",
        help="how much more an error counts where it matters most (default: %(default)g dB)",
    )
    where.add_argument(
        "--tune",
        choices=("psnr", "ssim"),
        default="psnr",
        help="psnr: every error counts by its square (default); ssim: less where the picture hides it, and "
        "in colour",
    )
    where.add_argument(
        "--layers",
        type=_layers,
        default=1,
        metavar="N",
        help="quality layers, what matters first: a viewer can show a file that is still arriving, and a "
        "prefix of a file is a smaller file (default: %(default)s)",
    )
    where.add_argument(
        "--comcnn",
        choices=("auto", "on", "off"),
        default="auto",
        help="the preparing network: auto tries it on coarsely coded photos and keeps the better file "
        "(default; photos of more than 300 MB of samples would need too much memory), on takes it always",
    )
    add_reccnn(
        where,
        "measure what the reconstruction network will bring back: fast (default), best, which takes ten "
        "times as long, or off, which saves time, and then --comcnn is off too",
    )
    where.add_argument(
        "--clean-jpeg",
        action="store_true",
        help="take the artefacts out of JPEG sources first, with a network; all figures are then against the "
        "cleaned photo, and a column of the metrics says how far that is from the source",
    )
    work = parser.add_argument_group("what is done")
    work.add_argument(
        "--min-saving",
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="copy a photo unchanged unless this share of its bytes is saved (default: %(default)g)",
    )
    work.add_argument("--force", action="store_true", help="compress again what is up to date")
    work.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_limits(work)
    work.add_argument(
        "--dicom-frames",
        choices=("keep", "first", "all"),
        default="keep",
        help="of a DICOM file with several frames: keep it unchanged (default), or compress the first frame, "
        "or each into a file of its own",
    )
    add_key(
        work,
        "encrypt every file of the archive (AES-256-GCM) with the key in this file (`foveate keygen` makes "
        "one); restore, verify, inspect and report want it too. Names and the tables below _foveate/ stay "
        "readable, and without the key nothing else is, ever",
    )
    metrics_flag.add_arguments(work)
    watching.add_arguments(parser)
    parser.epilog = (
        "Other flags are Beam's (--runner, --direct_num_workers, --temp_location, ...).\n"
        "Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 some photos failed (see "
        "DEST/_foveate/failures)."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate compress`; returns the exit status."""
    try:
        runner.set_up_filesystems(args.beam_flags)  # the key may be in one of them
        options = _options(engines.with_workers_paths(args))
    except BadKey as error:
        SAY.error(f"foveate compress: {error}")
        return WRONG_USAGE
    if problem := _contradiction(args, options):
        SAY.error(f"foveate compress: {problem}")
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
        SAY.error(f"foveate compress: {error}")
        return WRONG_USAGE
    if index is not None:
        return _dry_run(options, files, index)
    compress = functools.partial(_compress, options, args.beam_flags, files)
    return run_alone(options.archive, args.beam_flags, compress)


def _compress(options: CompressOptions, beam_flags: list[str], files: list[SourceFile]) -> int:
    """Runs until all is done; the exit status."""
    job, wire = _job(options), functools.partial(build, options=options)
    status = runner.run_job(job, wire, beam_flags, files)
    if status in (OK, SOME_FAILED):
        clear_journal(options.archive, options.run_id)
    return status


def _job(options: CompressOptions) -> runner.Job:
    outcomes = ("compressed", "kept", "skipped", "failed")
    return runner.Job("Compressing", outcomes, options.archive, options.run_id)


def _watch(options: CompressOptions, beam_flags: list[str]) -> int:
    """Runs until it is told to end; the exit status."""
    if engines.is_local_runner(beam_flags) and options.watch:

        def wire(root: beam.Pipeline, counts: progress.Progress, now: watching.Round) -> None:
            build(root, counts, options, now)

        return watching.run(_job(options), _watched(options), options.watch.seconds, wire, beam_flags)
    return watching.run_streaming(_job(options), functools.partial(build, options=options), beam_flags)


def _watched(options: CompressOptions) -> arrivals.Watched:
    labels = _labels(options)
    return arrivals.Watched(
        sources=options.sources,
        extensions=PICTURE_EXTENSIONS,
        archive=options.archive,
        dicom_frames=options.dicom_frames,
        settings_digest=labels.settings_digest,
        weights_digest=labels.weights_digest,
        rest_seconds=options.watch.seconds if options.watch else 0.0,
        trust_tables=options.settings.mask_folder is None,  # the table does not know the masks
    )


def _feed(
    root: beam.Pipeline, counts: progress.Progress, options: CompressOptions, now: watching.Round | None
) -> tuple[Any, Any, list[Any]]:
    """The sources to work on, the failures on the way to them, and the rows of those that are up to date."""
    if now is not None:
        taken = root | "Take round" >> watching.TakeRound(now)
        return taken.good, taken[FAILURES], []
    if options.watch:
        found = root | "Watch" >> options.watch.feed(_watched(options), options.run_id)
        return found.sources, found[FAILURES], []
    matched = root | "Match sources" >> MatchSources(
        options.sources, PICTURE_EXTENSIONS, options.archive, options.dicom_frames
    )
    if options.force or options.settings.mask_folder is not None:  # the table does not know the masks
        return matched.sources, matched[FAILURES], []
    labels = _labels(options)
    fresh = matched.sources | "Skip archived" >> beam.ParDo(SkipArchived(labels)).with_outputs(
        ROWS, SIZES, main="sources"
    )
    rows = fresh[ROWS] | "Count skipped anew" >> beam.Map(counts.skip_row)
    sizes = fresh[SIZES] | "Count skipped" >> beam.Map(counts.skip)
    sizes | "Sum up skipped" >> WriteSkipped(options.archive, options.run_id, labels.foveate_version)
    return fresh.sources, matched[FAILURES], [rows]


def build(
    root: beam.Pipeline,
    counts: progress.Progress,
    options: CompressOptions,
    now: watching.Round | None = None,
) -> None:
    """Wires the pipeline: from paths to files and rows, every photo with one outcome."""
    settings = options.settings
    labels = _labels(options)
    weights = bytes.fromhex(labels.weights_digest)
    encoder = encode.Encoder(
        settings, weights, options.archive, not options.force, options.key, options.limits
    )
    sources, unmatched, rows = _feed(root, counts, options, now)
    photos = (
        sources
        | "Spread paths" >> beam.Reshuffle()
        | "Unless stopped" >> beam.Filter(watching.goes_on, now.stop if now else None)
        | "Read photos"
        >> step("read", _source_url, functools.partial(read.read_photo, limits=options.limits), KEPT)
    )
    cleaned, failed_cleaning = photos.good, []
    if settings.clean_jpeg:
        networked = cleaned | "Clean JPEGs" >> networks.RunNetwork(clean_jpeg.jpeg_handler())
        cleaned, failed_cleaning = networked.good, [networked[FAILURES]]
    salient = _map_saliency(cleaned, options)
    plain = salient.good | "Encode JPEG 2000" >> step(
        "encode", encode.url_of, functools.partial(encode.encode_plain, encoder=encoder), KEPT
    )
    coded, failed = _prepare(plain.good, settings, encoder)
    restored = _restore(coded, options)
    archived = restored.good | "Measure" >> step(
        "measure", measure.url_of, functools.partial(measure.measure_photo, run=labels)
    )
    written = archived.good | "Write archives" >> step(
        "write",
        write.url_of,
        functools.partial(write.write_archived, run=labels, progress=counts),
        output=MetricsRow,
    )
    copy = functools.partial(write.write_kept, run=labels, progress=counts)
    kept = (
        (photos[KEPT], plain[KEPT])
        | "All kept" >> beam.Flatten()
        | "Copy kept" >> step("copy", write.url_of, copy, output=MetricsRow)
    )
    done = (written.good, kept.good)
    if now is not None or options.watch is None:  # what streams is kept by its engine until it is in a table
        journal = KeepJournal(options.archive, options.run_id)
        done = (
            written.good | "Keep journal" >> beam.ParDo(journal).with_output_types(MetricsRow),
            kept.good | "Keep journal of copies" >> beam.ParDo(journal).with_output_types(MetricsRow),
        )
    failures = [unmatched, *failed_cleaning, *failed]
    failures += [part[FAILURES] for part in (photos, salient, plain, restored, archived, written, kept)]
    table = (*rows, *done) | "All rows" >> beam.Flatten()
    told = failures | "All failures" >> beam.Flatten() | "Count failures" >> beam.Map(counts.fail)
    part = now.name if now else ""
    shards = 1 if options.watch else SHARDS  # many small parts
    table | "Write metrics" >> WriteMetrics(options.archive, options.run_id, shards, part)
    told | "Write failures" >> WriteFailures(options.archive, options.run_id, part=part)
    for number, sink in enumerate(options.sinks):
        metrics_flag.write(sink, f"sink {number + 1}", table, told, options.archive, options.run_id, part)


def _source_url(source: SourceFile) -> str:
    return source.url


def _map_saliency(photos: Any, options: CompressOptions) -> Any:
    settings = options.settings
    if settings.roi == "msroi":
        return photos | "Map saliency" >> networks.RunNetwork(map_saliency.msroi_handler())
    work: Any = map_saliency.without_saliency
    if settings.boxes:
        work = functools.partial(map_saliency.with_boxes, boxes=settings.boxes)
    if settings.mask_folder is not None:
        work = functools.partial(map_saliency.with_mask, folder=settings.mask_folder, limits=options.limits)
    return photos | "Map saliency" >> step("saliency", _photo_url, work)


def _photo_url(photo: Photo) -> str:
    return photo.source.url


def _prepare(plain: Any, settings: CompressSettings, encoder: encode.Encoder) -> tuple[Any, list[Any]]:
    """ComCNN and the second encode where they are called for: coded photos, and what failed on the way."""
    if not settings.uses_comcnn:
        return plain, []
    compacted = plain | "Compact" >> networks.RunNetwork(prefilter.comcnn_handler(settings.comcnn == "on"))
    coded = compacted.good | "Encode compact" >> step(
        "encode compact", encode.url_of, functools.partial(encode.encode_compact, encoder=encoder)
    )
    return coded.good, [compacted[FAILURES], coded[FAILURES]]


def _restore(coded: Any, options: CompressOptions) -> Any:
    if options.reccnn == "off" or options.settings.target.kind == "lossless":
        return coded | "Skip RecCNN" >> step("skip RecCNN", run_reccnn.url_of, run_reccnn.without_reccnn)
    handler = run_reccnn.candidates_handler(options.reccnn, options.precision)
    return coded | "Restore" >> networks.RunNetwork(handler)


def _options(args: argparse.Namespace) -> CompressOptions:
    kind: Any = next(
        (k for k in ("bpp", "ratio", "psnr", "roi-psnr", "ssim", "jpeg-quality") if _given(args, k)), None
    )
    target = Target("bpp", 1.0)
    if kind:
        target = Target(kind, float(_given(args, kind)))
    elif args.lossless:
        target = Target("lossless", 0.0)
    comcnn: Comcnn = "off" if args.reccnn == "off" and args.comcnn == "auto" else args.comcnn
    roi = f"boxes:{emit_boxes(args.roi_box)}" if args.roi_box else args.roi or "msroi"
    key = key_of(args)
    settings = CompressSettings(
        target=target,
        roi=roi,
        roi_gain_db=args.roi_gain,
        comcnn=comcnn,
        min_saving=args.min_saving,
        tune=args.tune,
        layers=args.layers,
        key_id=key.key_id if key else "",
        clean_jpeg=args.clean_jpeg,
    )
    return CompressOptions(
        sources=tuple(args.sources),
        archive=output_folder(args.output),
        settings=settings,
        reccnn=args.reccnn,
        precision=args.precision,
        force=args.force,
        limits=limits_of(args),
        dicom_frames=args.dicom_frames,
        run_id=runner.new_run_id(),
        key=key,
        watch=watching.Watch.of(args),
        sinks=tuple(args.metrics or ()),
    )


def _given(args: argparse.Namespace, kind: str) -> Any:
    """The value of a target's option, None where it was not given."""
    return getattr(args, kind.replace("-", "_"))


def _contradiction(args: argparse.Namespace, options: CompressOptions) -> str:
    """What in a command line does not go together or is not there, as a sentence; "" if nothing."""
    if problem := watching.contradiction(args) or metrics_flag.contradiction(options.sinks, args.beam_flags):
        return problem
    if args.comcnn == "on" and not options.settings.uses_comcnn:
        return "--comcnn on goes with --bpp, --ratio and --jpeg-quality only"
    if args.clean_jpeg and args.lossless:
        return "--clean-jpeg changes photos: not with --lossless"
    if args.comcnn == "on" and args.reccnn == "off":
        return "--comcnn on wants RecCNN, which brings back what it leaves out: not with --reccnn off"
    if args.roi_psnr and args.roi == "none":
        return "--roi-psnr counts errors by where they matter: not with --roi none"
    if Path(options.archive).is_file():
        return f"{options.archive} is a file; --output names the archive's folder"
    masks = options.settings.mask_folder
    if masks is not None and "://" not in masks and not Path(masks).is_dir():
        return f"there is no folder of masks {masks}"
    return ""


def _labels(options: CompressOptions) -> RunLabels:
    return RunLabels(
        archive=options.archive,
        target=options.settings.target,
        settings_digest=options.settings.digest().hex(),
        weights_digest=_weights_digest(options).hex(),
        foveate_version=runner.version(),
        run_id=options.run_id,
        tune=options.settings.tune,
        key=options.key,
    )


def _weights_digest(options: CompressOptions) -> bytes:
    """Eight bytes for the weights of all networks that shape the archive's bytes; zeros if none does."""
    from foveate.models import comcnn, dncnn, msroi, reccnn, tiling

    settings = options.settings
    hashes = []
    if settings.clean_jpeg:
        hashes.append(tiling.weights_sha256(dncnn.WEIGHTS_FILE))
    if settings.roi == "msroi":
        hashes.append(msroi.weights_sha256())
    if settings.target.kind != "lossless":
        if settings.uses_comcnn:
            hashes.append(tiling.weights_sha256(comcnn.WEIGHTS_FILE))
        if options.reccnn != "off":
            hashes.append(tiling.weights_sha256(reccnn.weights_file(options.reccnn)))
    return hashlib.sha256("".join(hashes).encode()).digest()[:8] if hashes else bytes(8)


def _dry_run(options: CompressOptions, files: list[SourceFile], index: ArchiveIndex) -> int:
    """Says which photos would be compressed, without writing anything."""
    labels = _labels(options)
    every = options.force or options.settings.mask_folder is not None
    todo = [
        file
        for file in files
        if every or index.up_to_date(file, labels.settings_digest, labels.weights_digest) is None
    ]
    for file in todo[:_SHOWN]:
        place = stored_name(archive_url(options.archive, file), options.key)
        print(f"{table_text(file.url)} -> {table_text(place)}")
    if len(todo) > _SHOWN:
        print(f"... and {len(todo) - _SHOWN} more")
    size = sum(file.size_bytes for file in todo) / 1e6
    print(
        f"{len(todo)} of {len(files)} photos ({size:.1f} MB) would be compressed, the others are up to date"
    )
    return OK


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not {text}") from error


def _positive(text: str) -> float:
    value = _number(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _decibels(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 40:
        raise argparse.ArgumentTypeError(f"must be from 0 to 40 dB, not {text}")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be a share from 0 up to, not including, 1, not {text}")
    return value


def _similarity(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value


def _layers(text: str) -> int:
    value = _number(text)
    if not (1 <= value <= _MOST_LAYERS and value.is_integer()):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_LAYERS}, not {text}")
    return int(value)


def _quality(text: str) -> int:
    value = _number(text)
    if not (1 <= value <= 100 and value.is_integer()):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 100, not {text}")
    return int(value)


def _roi(text: str) -> str:
    if text not in ("msroi", "none") and not (text.startswith("masks:") and len(text) > 6):
        raise argparse.ArgumentTypeError(f"msroi, none or masks:FOLDER, not {text}")
    return text


def _box(text: str) -> Box:
    try:
        return parse_box(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
