"""Make a web page for choosing a quality by eye.

The page is a single file. It shows each photo beside each of its versions, with a slider, flipping, zoom,
the worst block, where the bits went, sizes and scores. With --beside, it adds other codecs at the same size.

Photos above two megapixels are shown as crops of 1024 x 1024 pixels, around the most salient and the worst
place; --full shows them whole.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError

from foveate.archive.roi_boxes import emit_boxes
from foveate.archive.roi_weights import DEFAULT_ROI_WEIGHTS
from foveate.archive.rows import KeptSource
from foveate.archive.settings import DEFAULT_QUALITY, CompressSettings, Target
from foveate.archive.tables import open_whole
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines import flag_types
from foveate.pipelines.allocation_flags import add_allocation, roi_of
from foveate.pipelines.logs import printable, user_log
from foveate.pipelines.running import runner
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.pipelines.shared_flags import add_limits, limits_of, parse_beam_flags
from foveate.pipelines.versions import Comparer
from foveate.reports.figures import bytes_text
from foveate.reports.viewer.contents import ComparedPhoto, compared
from foveate.reports.viewer.page import render_viewer
from foveate.storage.errors import CannotGoOn
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms.steps import attempt

__all__ = ["add_arguments", "parse_beam_flags", "run"]

QUALITIES = (40.0, 60.0, DEFAULT_QUALITY, 90.0)
_DEFAULTS = {
    "roi_weights": DEFAULT_ROI_WEIGHTS,
    "roi_gain": 12.0,
    "tune": "visual",
    "layers": 1,
    "tile_size": 0,
    "effort": "normal",
}
PHOTOS_SHOWN = 24  # a page of more would take too much of a browser's memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate compare` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="PHOTO", help="a photo, a folder, a glob, or a URL (gs://, s3://)"
    )
    parser.add_argument(
        "--output",
        default="compare.html",
        metavar="FILE",
        help="the page: a path or URL (default: %(default)s)",
    )
    versions = parser.add_argument_group("versions to compare")
    versions.add_argument(
        "--quality",
        type=flag_types.scores,
        metavar="LIST",
        help="values for compress --quality, separated by commas (default: "
        f"{','.join(f'{one:g}' for one in QUALITIES)}; none if --bpp is given)",
    )
    versions.add_argument(
        "--bpp",
        type=flag_types.rates,
        default=(),
        metavar="LIST",
        help="values for compress --comcnn off --bpp, separated by commas",
    )
    versions.add_argument(
        "--beside",
        type=flag_types.peers,
        default=(),
        metavar="LIST",
        help="other codecs to show, each with no more bytes than our version: jpeg, webp, avif, jpegxl, "
        "separated by commas; they take far longer than ours",
    )
    add_allocation(parser.add_argument_group("where the bits go"))
    shown = parser.add_argument_group("page")
    shown.add_argument(
        "--full", action="store_true", help="show each photo in full, however large the page becomes"
    )
    shown.add_argument(
        "--sample",
        type=flag_types.positive_count,
        metavar="N",
        help=f"show only N of the photos, evenly spread over their list; a page holds at most {PHOTOS_SHOWN}",
    )
    limits = parser.add_argument_group("reading")
    add_limits(limits)
    limits.add_argument(
        "--also",
        type=flag_types.on_demand,
        default=(),
        metavar="LIST",
        help="also read these formats, as in compress: heic, jxl, cmyk",
    )
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 1 no page was written, 2 wrong usage, 3 some "
        "photos failed (the page lists them, and shows the others)."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate compare`; returns the exit status."""
    output = args.output.removeprefix("file://")
    try:
        runner.set_up_filesystems(args.beam_flags)
        files = runner.list_sources(args.sources, PICTURE_EXTENSIONS, os.devnull)
    except NothingFound as error:
        return _refused(str(error))
    files = spread(files, args.sample or len(files))
    if problem := _problem(output, len(files)):
        return _refused(problem)
    try:
        shown, left_out, failed = _compare_all(files, comparer_of(args), full=args.full)
        if not shown:
            user_log.error("foveate compare: no photo could be compared, so no page was written")
            return RUN_FAILED
        page = render_viewer(shown, left_out).encode()
        _write(output, page)
    except (CannotGoOn, OSError, BeamIOError) as error:
        user_log.error(f"foveate compare: {output} cannot be written: {error}")
        return RUN_FAILED
    user_log.info(f"Wrote {output} ({bytes_text(len(page))}): open it in a browser")
    return SOME_FAILED if failed else OK


def _compare_all(
    files: Sequence[SourceFile], comparer: Comparer, *, full: bool
) -> tuple[list[ComparedPhoto], list[tuple[str, str]], int]:
    """The photos for the page, the names of the others with reasons, and how many of those failed."""
    shown: list[ComparedPhoto] = []
    left_out: list[tuple[str, str]] = []
    failed = 0
    for number, file in enumerate(files, 1):
        name = printable(file.relative_path)
        user_log.info(f"Comparing {name} ({number} of {len(files)})")
        done, failure = attempt(file.url, "compare", functools.partial(_compared, file, comparer, full))
        if isinstance(done, ComparedPhoto):
            shown.append(done)
            continue
        reason = failure.message if failure else f"compress keeps it unchanged: {done.detail}"
        user_log.log(logging.ERROR if failure else logging.WARNING, f"foveate compare: {name}: {reason}")
        left_out.append((name, reason))
        failed += failure is not None
    return shown, left_out, failed


def _compared(file: SourceFile, comparer: Comparer, full: bool) -> ComparedPhoto | KeptSource:
    found = comparer.compare(file)
    return found if isinstance(found, KeptSource) else compared(found, comparer.limits, full=full)


def comparer_of(args: argparse.Namespace) -> Comparer:
    """The comparer that arguments ask for."""
    qualities = args.quality or (() if args.bpp else QUALITIES)
    return Comparer(
        settings=CompressSettings(
            roi=roi_of(args),
            roi_gain_db=args.roi_gain,
            roi_weights=args.roi_weights,
            comcnn="off",
            tune=args.tune,
            layers=args.layers,
            effort=args.effort,
            also=args.also,
            access=args.access,
            tile_size=args.tile_size,
        ),
        targets=(*(Target("quality", q) for q in qualities), *(Target("bpp", rate) for rate in args.bpp)),
        flags=_flags(args),
        beside=args.beside,
        limits=limits_of(args),
    )


def _flags(args: argparse.Namespace) -> str:
    """The flags of compress that were given besides targets, as a shell takes them."""
    given: list[str] = []
    if args.roi not in (None, "msroi"):
        given += ["--roi", args.roi]
    for box in args.roi_box or ():
        given += ["--roi-box", emit_boxes([box])]
    for name, default in _DEFAULTS.items():
        value = getattr(args, name)
        if value != default:
            given += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    if args.access:
        given.append("--access")
    if args.also:
        given += ["--also", ",".join(args.also)]
    return shlex.join(given)


def spread(files: Sequence[SourceFile], count: int) -> list[SourceFile]:
    """`count` of the files, evenly spread over their order by name; all of them if there are fewer."""
    ordered = sorted(files, key=lambda file: file.relative_path)
    count = min(count, len(ordered))
    return [ordered[(2 * at + 1) * len(ordered) // (2 * count)] for at in range(count)]


def _problem(output: str, count: int) -> str:
    """Why the page cannot be made, as a sentence; "" if it can."""
    if Path(output).suffix.lower() not in (".html", ".htm"):
        return f"--output must name a page that ends in .html, not {output}"
    if "://" not in output and Path(output).is_dir():
        return f"{output} is a folder; --output must name a page (.html)"
    if count > PHOTOS_SHOWN:
        return f"{count} photos are too many for one page: give at most {PHOTOS_SHOWN}, or use --sample"
    return ""


def _refused(problem: str) -> int:
    user_log.error(f"foveate compare: {problem}")
    return WRONG_USAGE


def _write(url: str, page: bytes) -> None:
    """Writes the page, whole or not at all."""
    if "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
    with open_whole(url) as file:
        file.write(page)
