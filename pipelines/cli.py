"""The `foveate` command: finds the subcommand and hands over.

Only the module of the subcommand is imported, so that help is quick.
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
    "plan": "show what the plans of runs have left to do",
    "restore": "decode an archive (or any JPEG 2000 files), improved by the reconstruction network",
    "saliency": "show what the saliency network finds in photos, as pictures",
    "report": "report what an archive saved, and at what quality: terminal, JSON, HTML",
    "verify": "check every file of an archive against its checksums and the metrics table",
    "compact": "join the many small table files of an archive into few large ones",
    "keygen": "make a key for encrypting archives on storage that is not trusted",
    "compare": "compare photos at several qualities by eye, on a web page, and choose one",
    "inspect": "show what is in JPEG 2000 files, and where their bits went: text, JSON, picture",
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
        with contextlib.suppress(OSError):
            atexit._run_exitfuncs()  # they remove temporary folders, end helper processes, write logs out
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; the exit status: 0 well, 1 the run failed, 2 wrong usage, 3 some photos failed.

    An interrupt gives 130, and an output that nobody reads any more, or a full disk, 1.
    """
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a locale lacks must not end a command
            stream.reconfigure(errors="replace")
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("foveate: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        print("foveate: the output was closed before all was written", file=sys.stderr)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"foveate: not all could be written: {place}{error.strerror}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would fail again when it flushes at its end
    return RUN_FAILED


def _open_what_is_closed() -> None:
    """Opens standard streams that whoever started us has closed: a file would take their place."""
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
    """The module of a subcommand, and what parses its arguments."""
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
    """Prints the version, which is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"foveate {version('foveate')}\n")


def _top_parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="foveate",
        usage="foveate COMMAND [arguments]   (foveate COMMAND --help explains each)",
        description="Compress photo archives into standard JPEG 2000 files with the bits where people look,\n"
        "and restore them.\n\ncommands:\n" + lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


def entry() -> NoReturn:
    """The installed command."""
    end(main())


if __name__ == "__main__":
    entry()
