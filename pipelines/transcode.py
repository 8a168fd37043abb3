"""Make JPEG 2000 files smaller, or rearrange them for image servers, without re-encoding them.

Reads JP2 files and codestreams written by any program, and writes an archive like the one of `foveate
compress`: code-blocks are truncated as saliency and the target demand, packets are reordered, and all boxes
are carried over. With --lossless, every coding pass is kept.
"""

from __future__ import annotations

import argparse

from foveate.archive.keys import BadKey
from foveate.pipelines import compress, contradictions, flag_types, metrics_flag, watching
from foveate.pipelines.allocation_flags import add_arrangement, add_roi
from foveate.pipelines.compress_options import CompressOptions, options_of, settings_of
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, plans, runner
from foveate.pipelines.running.status import WRONG_USAGE
from foveate.pipelines.shared_flags import (
    add_limits,
    add_reccnn,
    parse_beam_flags,
)
from foveate.pipelines.target_flags import add_byte_targets

__all__ = ["add_arguments", "parse_beam_flags", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `foveate transcode` to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a JPEG 2000 file, a folder of them, a glob or URL"
    )
    parser.add_argument("--output", required=True, metavar="DEST", help="the archive: a folder or a URL")
    _add_targets(parser.add_argument_group("size or quality (one of these)"))
    group = parser.add_argument_group("where the bits go")
    add_roi(group)
    add_arrangement(group)
    group = parser.add_argument_group("processing")
    add_reccnn(group, "measure what the reconstruction network will recover: fast (default), best or off")
    group.add_argument(
        "--min-saving",
        type=flag_types.share,
        default=0.05,
        metavar="SHARE",
        help="keep a file unchanged unless this share of its bytes is saved (default: %(default)g); not with "
        "--lossless and --access, which rearrange all files",
    )
    plans.add_arguments(group)
    add_limits(group)
    add_key(group, "encrypt every file of the archive with the key in this file")
    metrics_flag.add_arguments(group)
    watching.add_arguments(parser)
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 some files "
        "failed (see DEST/_foveate/failures)."
    )


def _add_targets(group: argparse._ArgumentGroup) -> None:
    one = group.add_mutually_exclusive_group(required=True)
    add_byte_targets(one)
    one.add_argument(
        "--psnr",
        type=flag_types.positive,
        metavar="DB",
        help="the smallest file with a PSNR of at least DB dB, measured against the decoded source",
    )
    one.add_argument(
        "--slope",
        type=flag_types.positive,
        metavar="E",
        help="keep every coding pass that removes at least E squared error per byte (samples from 0 to 255)",
    )
    one.add_argument(
        "--lossless", action="store_true", help="keep every coding pass: pixels stay as they are, bit for bit"
    )


def parse_options(args: argparse.Namespace) -> CompressOptions:
    """The options that parsed arguments ask for.

    Raises:
      BadKey: the key file holds no key.
    """
    key = key_of(args)
    settings = settings_of(args, key, comcnn="off", transcode=True)
    return options_of(args, settings, key, dicom_frames="keep")


def run(args: argparse.Namespace) -> int:
    """Runs `foveate transcode`, a run of `compress` with other stages; returns the exit status."""
    try:
        runner.set_up_filesystems(args.beam_flags)  # the key may be in one of them
        options = parse_options(engines.with_workers_paths(args))
    except BadKey as error:
        user_log.error(f"foveate transcode: {error}")
        return WRONG_USAGE
    if problem := contradictions.of_running(args, options):
        user_log.error(f"foveate transcode: {problem}")
        return WRONG_USAGE
    return compress.start(options, args.beam_flags, dry_run=args.dry_run)
