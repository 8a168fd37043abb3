"""`foveate report`: what an archive holds, in the terminal, as JSON and as an HTML page.

metrics and failures tables ─▶ aggregate ─▶ terminal | --json | report.html
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from rich.console import Console

from pipelines.reporting.aggregate import REPORT_COLUMNS, Report, aggregate, to_json
from pipelines.reporting.gallery import LoadGallery
from pipelines.reporting.page import render_page
from pipelines.reporting.pictures import gallery_loader
from pipelines.reporting.terminal import print_report
from pipelines.running import parse_beam_flags, set_up_filesystems
from transforms.skipped import read_skipped
from transforms.tables import open_whole, read_failures, read_metrics

__all__ = ["add_arguments", "parse_beam_flags", "run"]

WRONG_USAGE = 2
GALLERY_PHOTOS = 6


class NoTables(ValueError):  # noqa: N818
    """There is no archive, or not that run of it; the message says what there is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `foveate report` takes to `parser`."""
    parser.add_argument("archive", metavar="DEST", help="an archive that `foveate compress` wrote")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the HTML page to write (default: DEST/_foveate/report.html, ./report.html if remote; "
        "with --json only on demand)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of tables")
    parser.add_argument("--run", metavar="ID", help="only this run (default: every photo's latest state)")
    parser.add_argument(
        "--gallery",
        type=int,
        default=GALLERY_PHOTOS,
        metavar="N",
        help="show N photos on the page, the worst, middle and best ones (default: %(default)s)",
    )


def run(args: argparse.Namespace, load_gallery: LoadGallery | None = None) -> int:
    """Report on an archive; the exit status: 0, or 2 where there is no archive, run or place to write.

    Args:
        args: what `add_arguments` parsed.
        load_gallery: gives the pictures of a photo; by default they are read from the archive.
    """
    set_up_filesystems(getattr(args, "beam_flags", ()))
    try:
        metrics, failures, skipped = read_tables(args.archive, args.run)
    except (OSError, ValueError) as error:
        print(f"foveate report: {error}", file=sys.stderr)
        return WRONG_USAGE
    report = aggregate(metrics, failures, args.archive, args.run, max(0, args.gallery), skipped)
    if args.json:
        print(to_json(report))
    else:
        print_report(report, Console())
    if args.output or not args.json:
        return _write_page(
            report, args.output or default_output(args.archive), load_gallery or gallery_loader()
        )
    return 0


def read_tables(archive_url: str, run_id: str | None = None) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The metrics, the failures and what was skipped, of all runs or of one, as `aggregate` takes them.

    Raises `NoTables` where there are none, `BadTable` for a broken one, `ValueError` for a run id that cannot
    be one or a URL that Beam does not know, `OSError` for what cannot be read.
    """
    metrics = read_metrics(archive_url, run_id, REPORT_COLUMNS)
    failures = read_failures(archive_url, run_id)
    skipped = read_skipped(archive_url, run_id)
    if not len(metrics) and not len(failures) and not len(skipped):
        raise NoTables(_nothing_there(archive_url, run_id))
    return metrics, failures, skipped


def default_output(archive_url: str) -> str:
    """Where the page goes unless said: into a local archive, or here for a remote one."""
    if "://" in archive_url.removeprefix("file://"):
        return "report.html"
    return str(pathlib.Path(archive_url.removeprefix("file://")) / "_foveate" / "report.html")


def _nothing_there(archive_url: str, run_id: str | None) -> str:
    known: set[str] = set()
    if run_id:
        tables: list[pa.Table] = [read_metrics(archive_url, columns=["run_id"]), read_failures(archive_url)]
        tables.append(read_skipped(archive_url))
        known = {run for table in tables for run in table.column("run_id").unique().to_pylist()}
    if known:
        return f"{archive_url} has no run {run_id!r}; it has {', '.join(sorted(known))}"
    return (
        f"there are no tables below {archive_url.rstrip('/')}/_foveate/; "
        "name the folder that `foveate compress --output` wrote to"
    )


def _write_page(report: Report, url: str, load_gallery: LoadGallery | None) -> int:
    page = render_page(report, load_gallery)
    try:
        with open_whole(url) as file:
            file.write(page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        print(f"foveate report: {url} cannot be written: {error}", file=sys.stderr)
        return WRONG_USAGE
    shown = url if FileSystems.get_scheme(url) else pathlib.Path(url).resolve()
    print(f"Wrote {shown}", file=sys.stderr)
    return 0
