"""Report what an archive saved, and what that cost in quality, in the terminal, as JSON, or as a web page.

Several archives, or several runs of one, are compared. With --fail-if it serves as a check in scheduled jobs.

metrics and failures tables ─▶ aggregate ─▶ terminal | --json | report.html
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems
from rich.console import Console

from foveate.archive.tables import open_whole
from foveate.pipelines import flag_types
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.logs import user_log
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.pipelines.running.status import OK, WRONG_USAGE
from foveate.pipelines.shared_flags import parse_beam_flags
from foveate.reports.aggregate import PRICE_PER_GB_MONTH, aggregate
from foveate.reports.compare import compare
from foveate.reports.contents import Comparison, Report
from foveate.reports.document import schema_text, to_json
from foveate.reports.figures import gate_text
from foveate.reports.gallery import LoadGallery
from foveate.reports.gates import BadGate, Gate, check_names, judge, parse_gate
from foveate.reports.headlines import figure_names
from foveate.reports.page import render_page
from foveate.reports.pictures import gallery_loader
from foveate.reports.staging import Subject, staged
from foveate.reports.terminal import print_comparison, print_report

__all__ = ["add_arguments", "parse_beam_flags", "run"]

GATE_FAILED = 4
GALLERY_PHOTOS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `foveate report` takes to `parser`."""
    parser.add_argument(
        "archives",
        nargs="+",
        metavar="DEST",
        help="an archive that `foveate compress` wrote; several are compared with the first",
    )
    parser.add_argument(
        "--run",
        action="append",
        metavar="ID",
        help="report on this run only (default: the latest state of every photo); several runs are compared "
        "with the first",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="where to write the HTML page (default: DEST/_foveate/report.html, or ./report.html for remote, "
        "encrypted or compared archives; with --json, only where this flag says)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (docs/report.md) instead of tables")
    parser.add_argument(
        "--json-schema", action=_PrintSchema, nargs=0, help="print the JSON Schema of --json and exit"
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        type=_gate,
        metavar="CONDITION",
        help="exit with status 4 if this condition holds: a figure, a comparison and a number, such as "
        "'psnr_s.p05 < 34' or 'failed_share > 1%%'. May be repeated. --json lists all figures; in "
        "comparisons there is also change.NAME for each",
    )
    parser.add_argument(
        "--price",
        type=_price,
        default=PRICE_PER_GB_MONTH,
        metavar="P",
        help="the price of storing 10^9 bytes for a month, in any currency (default: %(default)s, roughly "
        "what object storage costs in US dollars)",
    )
    parser.add_argument(
        "--gallery",
        type=flag_types.count,
        default=GALLERY_PHOTOS,
        metavar="N",
        help="number of photos to show on the page: the worst, the best and some in the middle "
        "(default: %(default)s)",
    )
    add_key(parser, "the file with the key of an encrypted archive, for the page's pictures")
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 2 wrong usage or no such archive, 4 a --fail-if "
        "condition holds."
    )


def run(args: argparse.Namespace, load_gallery: LoadGallery | None = None) -> int:
    """Runs `foveate report`; returns the exit status.

    Args:
        args: the arguments that `add_arguments` defines.
        load_gallery: loads the pictures of a photo; by default from the archive.
    """
    set_up_filesystems(getattr(args, "beam_flags", ()))
    try:
        key = key_of(args)
        asked = asked_of(args.archives, args.run or [])
        check_names(args.fail_if, figure_names(len(asked) > 1))
        found = make_report(asked, args.gallery, args.price)
    except (OSError, ValueError) as error:
        user_log.error(f"foveate report: {error}")
        return WRONG_USAGE
    found = dataclasses.replace(found, gates=judge(args.fail_if, found.figures))
    if args.json:
        print(to_json(found))
    elif isinstance(found, Comparison):
        print_comparison(found, Console())
    else:
        print_report(found, Console())
    for gate in found.gates:
        user_log.error(f"foveate report: {gate_text(gate)}")
    if args.output or not args.json:
        place = args.output or default_output(asked, key is not None)
        if not _write_page(found, place, load_gallery or gallery_loader(key)):
            return WRONG_USAGE
    return GATE_FAILED if any(gate.failed for gate in found.gates) else OK


def asked_of(archives: Sequence[str], runs: Sequence[str]) -> list[Subject]:
    """The archives or runs to report on.

    Raises:
      ValueError: there are several archives, and runs too.
    """
    if len(archives) > 1 and runs:
        raise ValueError("compare either several archives or several runs (--run) of one archive, not both")
    if runs:
        return [Subject(archives[0], run) for run in runs]
    return [Subject(archive) for archive in archives]


def make_report(asked: Sequence[Subject], gallery_photos: int, price: float) -> Report | Comparison:
    """The report on one archive or run, or the comparison of several; raises as `staged` does."""
    with staged(asked) as db:
        reports = [
            aggregate(db, f"r{number}", one, gallery_photos, price) for number, one in enumerate(asked)
        ]
        return compare(db, reports) if len(reports) > 1 else reports[0]


def default_output(asked: Sequence[Subject], encrypted: bool = False) -> str:
    """Where the page goes by default: into a local archive, else into the current folder.

    An encrypted archive's page goes there too, since its storage should not see the pictures.
    """
    archive = asked[0].archive_url
    if len(asked) > 1 or encrypted or "://" in archive.removeprefix("file://"):
        return "report.html"
    return str(pathlib.Path(archive.removeprefix("file://")) / "_foveate" / "report.html")


def _write_page(found: Report | Comparison, url: str, load_gallery: LoadGallery) -> bool:
    """Writes the page; returns False and logs why if that fails."""
    page = render_page(found, load_gallery)
    try:
        with open_whole(url) as file:
            file.write(page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        user_log.error(f"foveate report: {url} cannot be written: {error}")
        return False
    shown = url if FileSystems.get_scheme(url) else pathlib.Path(url).resolve()
    user_log.info(f"Wrote {shown}")
    return True


class _PrintSchema(argparse.Action):
    """Prints the schema and exits, like --version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(schema_text(), end="")
        parser.exit()


def _gate(text: str) -> Gate:
    try:
        return parse_gate(text)
    except BadGate as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text}")
    return price
