"""Flags of `compress` and `transcode` that cannot go together, and folders that cannot be one."""

from __future__ import annotations

import argparse
from pathlib import Path

from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.compress_options import CompressOptions


def contradiction(args: argparse.Namespace, options: CompressOptions) -> str:
    """Why a command line is contradictory or incomplete, as a sentence; "" if it is not."""
    if problem := of_running(args, options):
        return problem
    if args.comcnn == "on" and not options.settings.uses_comcnn:
        return "--comcnn on works with --bpp, --ratio and --jpeg-quality only"
    if args.clean_jpeg and args.lossless:
        return "--clean-jpeg changes photos, so it cannot be combined with --lossless"
    if args.comcnn == "on" and args.reccnn == "off":
        return (
            "--comcnn on needs RecCNN to recover what it removes, so it cannot be combined with --reccnn off"
        )
    if args.roi_psnr and args.roi == "none":
        return "--roi-psnr weights errors by saliency, so it cannot be combined with --roi none"
    return ""


def of_running(args: argparse.Namespace, options: CompressOptions) -> str:
    """Likewise, of the flags that `transcode` has too, and of the folders that options name."""
    if problem := watching.contradiction(args) or metrics_flag.contradiction(options.sinks, args.beam_flags):
        return problem
    if Path(options.archive).is_file():
        return f"{options.archive} is a file; --output names the archive's folder"
    masks = options.settings.mask_folder
    if masks is not None and "://" not in masks and not Path(masks).is_dir():
        return f"there is no mask folder {masks}"
    return ""
