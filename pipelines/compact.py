"""Put few large table files in an archive in the place of many small ones.

A nightly run leaves some files below DEST/_foveate/ each time, and one that was killed leaves a journal. This
joins them, sorted by path; rows stay as they are. It may run beside readers and beside runs, whose own files
it leaves alone, and be killed at any moment. `foveate compress` does the same by itself when there are more
than a few hundred.
"""

from __future__ import annotations

import argparse

from foveate.archive.compact import compact
from foveate.pipelines.logs import user_log
from foveate.pipelines.running.arguments import output_folder, parse_beam_flags
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.pipelines.running.status import OK, RUN_FAILED
from foveate.reports.figures import count_text
from foveate.storage.errors import CannotGoOn

__all__ = ["add_arguments", "parse_beam_flags", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate compact` takes to `parser`."""
    parser.add_argument("archive", metavar="DEST", help="an archive: a folder or a URL")
    parser.epilog = "Other flags are Beam's. Exit status: 0 all well, 1 the tables cannot be read or written."


def run(args: argparse.Namespace) -> int:
    """Runs `foveate compact`; returns the exit status."""
    set_up_filesystems(args.beam_flags)
    try:
        done = compact(output_folder(args.archive))
    except (OSError, ValueError, CannotGoOn) as error:  # BadTable and BadInput are values that are wrong
        user_log.error(f"foveate compact: {error}")
        return RUN_FAILED
    if not done.replaced:
        user_log.info("Nothing to compact")
    else:
        files, rows = count_text(done.replaced), count_text(done.rows)
        user_log.info(f"{files} files became {done.parts}, with {rows} rows of photos")
    return OK
