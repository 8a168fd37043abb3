"""The flags of `foveate compress` that select sources and say what to do with unusual ones."""

from __future__ import annotations

import argparse

from foveate.pipelines import flag_types


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Adds the flags to a group."""
    group.add_argument(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="skip what matches this pattern below a source: the name of a file or folder (drafts, '*.png') "
        "or, with a slash, a path relative to the source ('2019/raw/*'). May be repeated. Files named on the "
        "command line are never skipped",
    )
    group.add_argument(
        "--sidecars",
        choices=("leave", "copy"),
        default="leave",
        help="copy: also copy files that are not photos (.xmp, .aae, .mov, ...) into the archive, so that "
        "restore gives back whole folders; leave: only count them (default)",
    )
    group.add_argument(
        "--also",
        type=flag_types.on_demand,
        default=(),
        metavar="LIST",
        help="also compress these formats, which are otherwise kept unchanged: heic (HEIC and HEIF; needs "
        "foveate[heic]), jxl (JPEG XL), cmyk (CMYK JPEGs, converted to sRGB by their profile); separated by "
        "commas",
    )
    group.add_argument(
        "--drop",
        type=flag_types.dropped,
        default=(),
        metavar="LIST",
        help="drop these parts, which would otherwise cause a source to be kept unchanged: gain-maps (of "
        "HDR photos: what remains is the picture for standard screens). The column metadata_lost names what "
        "was dropped",
    )
    group.add_argument(
        "--dicom-frames",
        choices=("keep", "first", "all"),
        default="keep",
        help="what to do with DICOM files of several frames. keep: keep them unchanged (default); first: "
        "compress the first frame; all: compress each frame into a file of its own",
    )
