"""Show what JPEG 2000 files contain, Foveate's or any other: as text, JSON or a picture.

Lists boxes and markers, tiles and layers, where the bytes and bits went, and what Foveate recorded about the
source. Only --picture decodes the photo.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.io.filesystem import BeamIOError
from rich.console import Console

from foveate.archive.keys import ENDING, ArchiveKey, BadKey, read_stored
from foveate.archive.names import JPEG2000_EXTENSIONS
from foveate.archive.tables import open_whole
from foveate.codec.errors import BadCodestream
from foveate.codec.regions import Region
from foveate.pipelines import flag_types
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.logs import printable, user_log
from foveate.pipelines.running import runner
from foveate.pipelines.running.status import OK, RUN_FAILED, WRONG_USAGE
from foveate.pipelines.shared_flags import parse_beam_flags
from foveate.reports.inspection.examination import SCHEMA, Inspection, as_json, broken_as_json, examine
from foveate.reports.inspection.sheet import SheetFormat, render_sheet
from foveate.reports.inspection.terminal import print_inspection
from foveate.storage.errors import BadInput
from foveate.storage.files import join
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile

__all__ = ["add_arguments", "parse_beam_flags", "run"]

_EXTENSIONS = JPEG2000_EXTENSIONS | {ENDING}
_PICTURE_FORMATS: dict[str, SheetFormat] = {".png": "png", ".webp": "webp"}
_WIDTH_OF_A_PIPE = 120  # characters of a line where there is no terminal


class _Unusable(ValueError):  # noqa: N818
    """The arguments contradict each other; the message says how."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate inspect` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="FILE", help="a JPEG 2000 file, a folder of them, a glob or URL"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/inspect.md)")
    parser.add_argument(
        "--picture",
        metavar="OUT",
        help="also draw the photo, where its bits went, and its saliency map. OUT is a .png or .webp file, "
        "or a folder for several files",
    )
    parser.add_argument(
        "--region",
        type=flag_types.region,
        metavar="X,Y,W,H",
        help="show how many bytes a reader needs for this part of the picture (default: 512 x 512 pixels in "
        "the middle)",
    )
    add_key(parser, "the file with the key of encrypted files")
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 1 some files are broken or cannot be read, 2 wrong "
        "usage."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate inspect`; returns the exit status."""
    try:
        runner.set_up_filesystems(args.beam_flags)
        key = key_of(args)
        # Nothing is written where sources are looked for, unless pictures are.
        files = runner.list_sources(args.sources, _EXTENSIONS, args.picture or os.devnull)
        pictures = _picture_urls(files, args.picture)
    except (NothingFound, BadKey, _Unusable) as error:
        user_log.error(f"foveate inspect: {error}")
        return WRONG_USAGE
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)
    found: list[dict[str, Any]] = []
    problems = 0
    for number, (file, picture) in enumerate(zip(files, pictures, strict=True)):
        if number and not args.json:
            console.print()
        shown = Shown(key, picture, args.region)
        described, said = _inspect(file, shown, None if args.json else console)
        found.append(described)
        for problem in said:
            user_log.error(f"foveate inspect: {printable(file.url)}: {problem}")
        problems += len(said)
    if args.json:
        print(json.dumps({"schema": SCHEMA, "files": found}, indent=1))
    return RUN_FAILED if problems else OK


class Shown(NamedTuple):
    """Wishes for one file: its key if it is encrypted, where its picture goes, a region."""

    key: ArchiveKey | None
    picture: str | None
    region: Region | None


def _inspect(file: SourceFile, shown: Shown, console: Console | None) -> tuple[dict[str, Any], Sequence[str]]:
    """Prints one file to a console, if given, and draws it; returns its JSON and what is wrong with it."""
    name = printable(file.url)
    try:
        data = read_stored(file.url, shown.key)
        inspection = examine(name, data, shown.region)
    except (OSError, BeamIOError, BadCodestream, BadInput) as error:
        return broken_as_json(name, str(error)), [str(error)]
    if console is not None:
        print_inspection(inspection, console)
    problems = list(inspection.problems)
    if shown.picture is not None and not problems:
        problems += _draw(inspection, data, shown.picture)
    return as_json(inspection), problems


def _draw(inspection: Inspection, data: bytes, url: str) -> list[str]:
    """Writes a file's picture; returns what went wrong."""
    try:
        sheet, note = render_sheet(inspection, data, _PICTURE_FORMATS[Path(url).suffix.lower()])
        if "://" not in url:
            Path(url).parent.mkdir(parents=True, exist_ok=True)
        with open_whole(url) as handle:
            handle.write(sheet)
    except BadCodestream as error:
        return [f"no picture: {error}"]
    except (OSError, BeamIOError) as error:
        return [f"{url} cannot be written: {error}"]
    user_log.info(f"Wrote {printable(url)}{f' ({note})' if note else ''}")
    return []


def _picture_urls(files: Sequence[SourceFile], output: str | None) -> list[str | None]:
    """The url of each file's picture, or None."""
    if output is None:
        return [None] * len(files)
    output = output.removeprefix("file://")
    if Path(output).suffix.lower() in _PICTURE_FORMATS:
        if len(files) > 1:
            raise _Unusable(
                f"{output} is one picture, but there are {len(files)} files: give a folder instead"
            )
        return [output]
    if Path(output).is_file():
        raise _Unusable(f"{output} is a file; --picture must name a .png or .webp file or a folder")
    taken: dict[str, int] = {}
    urls: list[str | None] = []
    for file in files:
        count = taken[file.relative_path] = taken.get(file.relative_path, 0) + 1
        again = f".{count}" if count > 1 else ""  # two of the same name, from two folders
        urls.append(join(output, f"{file.relative_path}{again}.png"))
    return urls
