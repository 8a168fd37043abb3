"""The `foveate` command: finds the subcommand and runs it.

Only the module of that subcommand is imported, to keep help fast.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import difflib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from foveate.pipelines.logs import add_logging, format_in, set_up_logging
from foveate.pipelines.running.status import INTERRUPTED, RUN_FAILED, WRONG_USAGE

COMMANDS = {
    "compress": "compress photos into an archive of region-weighted JPEG 2000 files",
    "transcode": "cut or rearrange JPEG 2000 files without coding them again",
    "plan": "show the plans of unfinished runs and what they have left to do",
    "restore": "decode an archive or any JPEG 2000 files, and improve the result with a network",
    "saliency": "draw maps of what the networks find in photos",
    "report": "report how much an archive saved, and at what quality: terminal, JSON, HTML",
    "verify": "check every file of an archive against its checksums and the metrics table",
    "compact": "merge the many small table files of an archive into a few large ones",
    "keygen": "create a key for encrypting archives on untrusted storage",
    "compare": "make a web page for choosing a quality by eye",
    "inspect": "show what JPEG 2000 files contain and where their bits went: text, JSON, picture",
    "train": "train the networks",
}


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def end(status: int) -> NoReturn:
    """Ends the process with an exit status.

    After a run that was stopped or has failed, Python does not clean up its modules: the engine's threads
    still use them, and DuckDB's would print a page about the objects that are left. What is written is whole
    at any moment, so nothing is lost.
    """
    if status in (INTERRUPTED, RUN_FAILED):
        for flush in (sys.stdout.flush, sys.stderr.flush):
            with contextlib.suppress(OSError, ValueError):  # full, or closed by an engine
                flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads cut off in their work would complain
        with contextlib.suppress(BaseException):  # a second interrupt, too
            atexit._run_exitfuncs()  # remove temporary folders, end helper processes, write logs out
        os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns its exit status.

    0: all well; 1: the run failed, standard output was closed early, or a disk is full; 2: wrong usage;
    3: some photos failed; 130: interrupted.
    """
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters missing from a locale must not end a command
            stream.reconfigure(errors="replace")
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("foveate: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        print("foveate: standard output was closed before everything was written", file=sys.stderr)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"foveate: the output is incomplete: {place}{error.strerror}", file=sys.stderr)
    return RUN_FAILED


def _open_what_is_closed() -> None:
    """Opens standard streams that our parent process has closed: the next file opened would replace them."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    while nowhere <= 2:  # the lowest number that is free
        os.set_inheritable(nowhere, True)
        nowhere = os.open(os.devnull, os.O_RDWR)
    os.close(nowhere)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (for as long as we run)


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    top = _top_parser()
    if not arguments or arguments[0] not in COMMANDS:
        if arguments and not arguments[0].startswith("-"):
            top.error(_unknown(arguments[0]))
        top.parse_args(arguments or ["--help"])
        return WRONG_USAGE
    name, *rest = arguments
    set_up_logging(format_in(rest))
    module, parser = command(name)
    if hasattr(module, "parse_beam_flags"):
        parsed, unknown = parser.parse_known_args(rest)
        parsed.beam_flags = module.parse_beam_flags(parser, unknown)
    else:
        parsed = parser.parse_args(rest)
    set_up_logging(parsed.log_format, parsed.quiet)
    status: int = module.run(parsed)
    return status


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, 1)
    return f"no command {name!r}" + (f"; did you mean {near[0]}?" if near else "")


def command(name: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module of a subcommand, and its argument parser."""
    module = importlib.import_module(f"foveate.pipelines.{name}")
    parser = argparse.ArgumentParser(
        prog=f"foveate {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    add_logging(parser)
    return module, parser


class _Version(argparse.Action):
    """Prints the version, looked up only on request."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"foveate {version('foveate')}\n")


def _top_parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="foveate",
        usage="foveate COMMAND [arguments]   (see foveate COMMAND --help)",
        description="Compress photo archives into standard JPEG 2000 files that spend their bits where\n"
        "people look, and restore them.\n\ncommands:\n" + lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


def entry() -> NoReturn:
    """The installed command."""
    end(main())


if __name__ == "__main__":
    entry()
