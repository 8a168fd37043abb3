"""The flags that say how small or how good a file has to be: --quality, --bpp, --psnr, ..."""

from __future__ import annotations

import argparse
from typing import get_args

from foveate.archive.settings import DEFAULT_QUALITY, Target, TargetKind
from foveate.pipelines import flag_types

_VALUED_TARGETS: tuple[TargetKind, ...] = tuple(kind for kind in get_args(TargetKind) if kind != "lossless")


def add_targets(group: argparse._ArgumentGroup) -> None:
    """Adds the targets of `foveate compress`, of which at most one may be given."""
    one = group.add_mutually_exclusive_group()
    one.add_argument(
        "--quality",
        type=flag_types.score,
        metavar="Q",
        help="SSIMULACRA 2 score to reach, so that all photos look equally good: 90 is visually lossless, 80 "
        "is hard to tell from the source side by side, 70 is high quality, 50 medium",
    )
    add_byte_targets(one)
    one.add_argument(
        "--psnr",
        type=flag_types.positive,
        metavar="DB",
        help="the smallest file with a PSNR of at least DB dB",
    )
    one.add_argument(
        "--roi-psnr",
        type=flag_types.positive,
        metavar="DB",
        help="like --psnr, with errors weighted by saliency",
    )
    one.add_argument(
        "--ssim",
        type=flag_types.similarity,
        metavar="S",
        help="the smallest file with a structural similarity of at least S",
    )
    one.add_argument(
        "--slope",
        type=flag_types.positive,
        metavar="E",
        help="keep every coding pass that removes at least E squared error per byte (samples from 0 to 255): "
        "similar quality for all photos, without a search",
    )
    one.add_argument(
        "--jpeg-quality",
        type=flag_types.quality,
        metavar="Q",
        help="no more bytes than a JPEG of quality Q",
    )
    one.add_argument(
        "--lossless", action="store_true", help="keep every pixel bit for bit (reversible 5/3 wavelet)"
    )


def add_byte_targets(one: argparse._MutuallyExclusiveGroup) -> None:
    """Adds the flags that limit the bytes of a file."""
    one.add_argument(
        "--bpp",
        type=flag_types.positive,
        metavar="B",
        help="at most B bits per pixel, counting every byte of the file",
    )
    one.add_argument(
        "--ratio", type=flag_types.positive, metavar="R", help="at most 1/R of the source file's bytes"
    )


def target_of(args: argparse.Namespace) -> Target:
    """The target that a command line asks for."""
    if args.lossless:
        return Target("lossless", 0.0)
    for kind in _VALUED_TARGETS:
        value = getattr(args, kind.replace("-", "_"), None)  # transcode has not all of them
        if value is not None:
            return Target(kind, float(value))
    return Target("quality", DEFAULT_QUALITY)
