"""Checks that the flags of `compress` and `transcode` can be combined, and that their folders are usable."""

from __future__ import annotations

import argparse
from pathlib import Path

from foveate.pipelines import metrics_flag, watching
from foveate.pipelines.compress_options import CompressOptions


def contradiction(args: argparse.Namespace, options: CompressOptions) -> str:
    """Why flags of `compress` cannot be combined, as a sentence; "" if they can."""
    if problem := of_running(args, options):
        return problem
    if args.comcnn == "on" and not options.settings.uses_comcnn:
        return "--comcnn on works only with --bpp, --ratio and --jpeg-quality"
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
    """The same for the flags that `transcode` shares, and for the folders that the options name."""
    if problem := watching.contradiction(args) or metrics_flag.contradiction(options.sinks, args.beam_flags):
        return problem
    if Path(options.archive).is_file():
        return f"{options.archive} is a file; --output must name the archive's folder"
    masks = options.settings.mask_folder
    if masks is not None and "://" not in masks and not Path(masks).is_dir():
        return f"no such mask folder: {masks}"
    return ""
