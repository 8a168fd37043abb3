"""Restore an archive: decode, reconstruct, and write photos with their metadata.

Reads the JP2 files that `foveate compress` wrote and those of others (.jp2, .j2k, ...). The reconstruction
network reads from each file's own packet headers how coarsely each part of the picture was coded. Files
that the archive kept unchanged are copied.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import tempfile
from pathlib import Path

import apache_beam as beam

from foveate.archive.keys import ArchiveKey, BadKey
from foveate.archive.planning.plan import clear_plan, plan_folder
from foveate.archive.planning.restore_plan import RestorePlan, plan_restore
from foveate.pictures.formats import PictureFormat
from foveate.pipelines import flag_types
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, plans, runner
from foveate.pipelines.running.lock import run_alone
from foveate.pipelines.running.status import WRONG_USAGE
from foveate.pipelines.shared_flags import (
    add_limits,
    add_reccnn,
    limits_of,
    output_folder,
    parse_beam_flags,
)
from foveate.storage.listing import NothingFound
from foveate.transforms import decode, progress
from foveate.transforms.clear_plan import ClearPlan
from foveate.transforms.decode import COPIES, DecodeJpeg2000
from foveate.transforms.name_restored import NameRestored
from foveate.transforms.run_reccnn import RecCnn, RestorePixels, halo_of
from foveate.transforms.steps import FAILURES
from foveate.transforms.write_failures import WriteFailures
from foveate.transforms.write_pictures import (
    CopyUnchanged,
    Output,
    WritePictures,
)

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]


@dataclasses.dataclass(frozen=True)
class RestoreOptions:
    """The options of a run; see `add_arguments`."""

    sources: tuple[str, ...]
    output: str
    file_format: PictureFormat
    reccnn: str
    precision: str
    extent: decode.Extent
    run_id: str
    key: ArchiveKey | None = None
    overwrite: bool = False
    is_left_alone: bool = False  # nobody waits for the run's end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate restore` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="an archive, a JPEG 2000 file, a folder, glob or URL"
    )
    parser.add_argument(
        "--output", required=True, metavar="DEST", help="where the photos go: a folder or a URL"
    )
    parser.add_argument(
        "--format",
        choices=("png", "tiff", "jpeg", "webp", "avif"),
        default="png",
        help="format of the restored photos. png, tiff and webp are lossless (webp has 8 bits only), jpeg "
        "and avif are not (default: %(default)s)",
    )
    add_reccnn(
        parser,
        "the reconstruction network. fast (default); best: takes ten times as long; off: do not use it",
    )
    parser.add_argument(
        "--reduce",
        type=flag_types.count,
        default=0,
        metavar="N",
        help="halve the width and height N times, decoding only as much as that needs (turns RecCNN off)",
    )
    parser.add_argument(
        "--layers",
        type=flag_types.positive_count,
        default=0,
        metavar="K",
        help="decode only the first K quality layers (default: all)",
    )
    parser.add_argument(
        "--region",
        type=flag_types.region,
        metavar="X,Y,W,H",
        help="restore only this part of each picture (left, top, width, height in full-size pixels), reading "
        "only what that takes: a fraction of files made with --access",
    )
    add_limits(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing files at DEST, but never a photo that the archive was made from (default: "
        "keep them, and count each photo that would replace one as failed)",
    )
    add_key(parser, "the file with the key of an encrypted archive")
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 some files "
        "failed (see DEST/_foveate/failures)."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate restore`; returns the exit status."""
    args = engines.with_workers_paths(args)
    try:
        runner.set_up_filesystems(args.beam_flags)
        key = key_of(args)
    except BadKey as error:
        user_log.error(f"foveate restore: {error}")
        return WRONG_USAGE
    options = RestoreOptions(
        sources=tuple(args.sources),
        output=output_folder(args.output),
        file_format=args.format,
        reccnn=args.reccnn,
        precision=args.precision,
        extent=decode.Extent(
            limits_of(args),
            args.reduce,
            args.layers,
            args.region,
            0 if args.region is None or args.reduce else halo_of(args.reccnn),
        ),
        run_id=runner.new_run_id(),
        key=key,
        overwrite=args.overwrite,
        is_left_alone=engines.only_describes(args.beam_flags),
    )
    if Path(options.output).is_file():
        user_log.error(f"foveate restore: {options.output} is a file; --output must name a folder")
        return WRONG_USAGE
    with contextlib.ExitStack() as stack:
        plan = None
        try:
            if engines.is_local(args.beam_flags):
                scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="foveate-plan-"))
                plan = plan_restore(options.sources, options.output, options.file_format, scratch)
                plans.say_what_is_left_out(plan.other_kinds)
        except NothingFound as error:
            user_log.error(f"foveate restore: {error}")
            return WRONG_USAGE
        if plan is None and not options.is_left_alone:
            stack.callback(clear_plan, options.output, options.run_id)
        outcomes = "restored", "copied unchanged", "failed"
        job = runner.Job("Restoring", outcomes, options.output, options.run_id)
        wire = functools.partial(build, options=options, plan=plan)
        work = functools.partial(runner.run_job, job, wire, args.beam_flags, plan.files if plan else 0)
        return run_alone(options.output, args.beam_flags, work)


def build(
    root: beam.Pipeline, counts: progress.Progress, options: RestoreOptions, plan: RestorePlan | None = None
) -> None:
    """Wires the pipeline: the mirror image of compress. Without a plan, a worker makes it."""
    output = Output(options.output, options.overwrite, counts)
    named = root | "Name restored files" >> NameRestored(
        plan,
        options.sources,
        options.output,
        options.file_format,
        plan_folder(options.output, options.run_id),
    )
    decoded = named.files | "Decode JPEG 2000" >> DecodeJpeg2000(options.extent, options.key)
    photos, restoring_failures = decoded.good, []
    if options.reccnn != "off" and not options.extent.reduce:
        restored = photos | "Restore" >> RestorePixels(RecCnn(options.reccnn, options.precision))
        photos, restoring_failures = restored.good, [restored[FAILURES]]
    written = photos | "Write pictures" >> WritePictures(output, options.file_format)
    copied = decoded[COPIES] | "Copy kept" >> CopyUnchanged(
        output, options.key, options.extent.limits.file_bytes
    )
    failed = (
        (*(stage[FAILURES] for stage in (named, decoded, written, copied)), *restoring_failures)
        | "All failures" >> beam.Flatten()
        | "Count failures" >> beam.Map(counts.fail)
        | "Write failures" >> WriteFailures(options.output, options.run_id)
    )
    if options.is_left_alone:
        ends = written.good, copied.good, failed
        ends | "Clear plan" >> ClearPlan(options.output, options.run_id)
