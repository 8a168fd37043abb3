"""The flags of `foveate compress` that say which sources are taken, and what becomes of unusual ones."""

from __future__ import annotations

import argparse

from foveate.pipelines import flag_types


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Adds the flags to a group."""
    group.add_argument(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="leave out what fits this pattern below a source: a name of a file or folder (drafts, '*.png'), "
        "or with a slash a path from the source on ('2019/raw/*'); may be repeated. Files that are named "
        "themselves are never left out",
    )
    group.add_argument(
        "--sidecars",
        choices=("leave", "copy"),
        default="leave",
        help="copy: copy files of other kinds (.xmp, .aae, .mov, ...) into the archive too, so that restore "
        "gives back whole folders; leave: only count them (default)",
    )
    group.add_argument(
        "--also",
        type=flag_types.on_demand,
        default=(),
        metavar="LIST",
        help="compress these too, which are kept unchanged otherwise: heic (HEIC and HEIF, with the extra "
        "foveate[heic]), jxl (JPEG XL), cmyk (JPEGs in printing inks, which become sRGB by their profile); "
        "separated by commas",
    )
    group.add_argument(
        "--drop",
        type=flag_types.dropped,
        default=(),
        metavar="LIST",
        help="compress pictures without these, though they keep a source unchanged otherwise: gain-maps (of "
        "HDR photos: what is left is the picture for screens of standard range); the loss is named in "
        "metadata_lost",
    )
    group.add_argument(
        "--dicom-frames",
        choices=("keep", "first", "all"),
        default="keep",
        help="for DICOM files with several frames: keep them unchanged (default), or compress the first "
        "frame, or each frame into a file of its own",
    )
