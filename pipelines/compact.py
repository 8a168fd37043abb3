"""Merge the many small table files of an archive into a few large ones.

Each nightly run leaves a few files below DEST/_foveate/, and a run that was killed leaves a journal. This
command merges them, sorted by path, without changing any row. It is safe while the archive is read and while
other runs are writing, whose files it leaves alone, and it may be killed at any time. `foveate compress` does
the same on its own once there are more than a few hundred files.
"""

from __future__ import annotations

import argparse

from foveate.archive.compact import compact
from foveate.pipelines.logs import user_log
from foveate.pipelines.running.runner import set_up_filesystems
from foveate.pipelines.running.status import OK, RUN_FAILED
from foveate.pipelines.shared_flags import output_folder, parse_beam_flags
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
