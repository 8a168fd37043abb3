"""Check every file of an archive against its checksums and the metrics table.

Reads each file, compares its size and checksum with its row and its record with its codestream and boxes, and
decodes it. Reports files that are missing, damaged, truncated, swapped or untracked. Changes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator

import apache_beam as beam
from rich.console import Console
from rich.table import Table

from foveate.archive.compactions import visible_urls
from foveate.archive.findings import Finding, Kind
from foveate.archive.keys import ArchiveKey, BadKey
from foveate.archive.names import JP2_ENDINGS
from foveate.archive.planning.findings_database import FindingsDatabase, open_findings
from foveate.archive.planning.verification import Checks, plan_checks, read_sums
from foveate.archive.tables import METRICS_FOLDER, BadTable, read_metrics
from foveate.pipelines import flag_types
from foveate.pipelines.key_flag import add_key, key_of
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.status import OK, RUN_FAILED, SOME_FAILED, WRONG_USAGE
from foveate.pipelines.shared_flags import add_limits, limits_of, output_folder, parse_beam_flags
from foveate.reports.figures import bytes_text, count_text
from foveate.reports.terminal import plain_text
from foveate.sandbox.client import Limits
from foveate.storage.files import delete_file, join
from foveate.storage.listing import NothingFound, find_file, list_folder, list_private
from foveate.transforms import progress, verify
from foveate.transforms.plan_checks import FINDINGS, PlanChecks
from foveate.transforms.steps import FAILURES
from foveate.transforms.write_findings import WriteFindings

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]

SCHEMA = 1
_SHOWN = 40  # findings in the terminal
_WIDTH_OF_A_PIPE = 120  # characters of a line where there is no terminal


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    """The options of a run; see `add_arguments`."""

    archive: str
    findings: str  # the folder of the table
    parts: tuple[str, ...] | None  # of the plan; None: a worker plans
    quick: bool
    recheck: int
    limits: Limits
    key: ArchiveKey | None

    @property
    def folder(self) -> str:
        """Where a worker leaves its plan."""
        return join(self.findings, "checks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate verify` takes to `parser`."""
    parser.add_argument(
        "archive", metavar="DEST", help="an archive, a folder in one, or a single file; a path or URL"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only compare listings with tables: finds files that are missing or untracked, or whose size or "
        "(in object stores) checksum is wrong",
    )
    parser.add_argument(
        "--recheck",
        type=flag_types.count,
        default=0,
        metavar="N",
        help="also measure N photos again, picked at random among those whose sources still exist",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="write the table of findings (Parquet) to this folder or URL; required when other machines do "
        "the work",
    )
    add_limits(parser)
    add_key(parser, "the file with the key of an encrypted archive; without it, only checksums are compared")
    parser.epilog = (
        "Other flags are Beam's. Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 something is "
        "wrong with the archive."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate verify`; returns the exit status."""
    local = engines.is_local(args.beam_flags)
    if not local:
        args.sources, args.output = [], args.output or ""
        args = engines.with_workers_paths(args)
        args.archive = engines.absolute(args.archive)
    with contextlib.ExitStack() as stack:
        try:
            runner.set_up_filesystems(args.beam_flags)
            archive = output_folder(args.archive)
            _require(archive)
            if not args.output and not local:
                raise NothingFound("on this engine, --output must name a place that its workers can write to")
            findings = _findings_folder(args.output, stack)
            checks = None
            if local:
                scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="foveate-verify-"))
                checks = plan_checks(archive, args.quick, args.recheck, scratch)
            options = VerifyOptions(
                archive=archive,
                findings=findings,
                parts=checks.parts if checks else None,
                quick=args.quick,
                recheck=args.recheck,
                limits=limits_of(args),
                key=key_of(args),
            )
        except (NothingFound, BadKey, BadTable) as error:
            user_log.error(f"foveate verify: {error}")
            return WRONG_USAGE
        wire = functools.partial(build, options=options)
        status, _ = runner.run_pipeline(wire, args.beam_flags, checks.files if checks else 0, "Verifying")
        if status not in (OK, SOME_FAILED):
            return status
        try:
            checks = checks or _cleared(options.folder)
            found = stack.enter_context(open_findings(options.findings, archive))
        except (OSError, BadTable) as error:
            user_log.error(f"foveate verify: the findings cannot be read: {error}")
            return RUN_FAILED
        _say(options, checks, found, as_json=args.json)
        if args.output:
            user_log.info(f"The table of findings: {options.findings}")
        return SOME_FAILED if found.counts(faults=True) else OK


def _require(archive: str) -> None:
    """Makes sure that there is something to verify.

    Raises:
      NothingFound: there is nothing, it cannot be listed, or it is not an archive.
      BadTable: a table is unreadable.
    """
    file = find_file(archive)
    files = iter([file] if file else list_folder(archive))
    first = next(files, None)
    if first is None and not read_metrics(archive, columns=["run_id"]).num_rows:
        raise NothingFound(f"no archive at {archive}")
    if first is None or any(each.path.endswith(JP2_ENDINGS) for each in itertools.chain([first], files)):
        return
    if not visible_urls(archive, METRICS_FOLDER, None):
        raise NothingFound(
            f"{archive} is not an archive: it has no tables (_foveate/) and no JP2 files; "
            "name the folder that foveate compress --output has written to"
        )


def _cleared(folder: str) -> Checks:
    """The totals that a worker has left; removes its plan, which is no longer needed."""
    checks = read_sums(folder)
    for url in list_private(folder):
        delete_file(url)
    return checks


def _findings_folder(output: str | None, stack: contextlib.ExitStack) -> str:
    """A new folder for a run's table, below `output` if given."""
    if not output:
        return stack.enter_context(tempfile.TemporaryDirectory(prefix="foveate-verify-"))
    return join(output_folder(output), f"run={runner.new_run_id()}")


def build(root: beam.Pipeline, counts: progress.Progress, options: VerifyOptions) -> None:
    """Wires the pipeline: joins the tables with a listing, then checks each file on its own."""
    planned = root | "Plan" >> PlanChecks(
        options.archive, options.parts, options.quick, options.recheck, options.folder
    )
    verified = planned.checks | "Verify files" >> verify.VerifyFiles(
        verify.Verifier(options.limits, options.key, counts)
    )
    failed = verified[FAILURES] | "Name failures" >> beam.Map(
        verify.unverified, options.archive, counts
    ).with_output_types(Finding)
    (
        (planned[FINDINGS], verified.good, failed)
        | "All findings" >> beam.Flatten()
        | "Write findings" >> WriteFindings(options.findings)
    )


# ---------------------------------------------------------------- what is said


def _say(options: VerifyOptions, checks: Checks, found: FindingsDatabase, *, as_json: bool) -> None:
    if as_json:
        _print_document(options, checks, found)
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)
    faults = found.counts(faults=True)
    if wrong := sum(faults.values()):
        table = Table(box=None, header_style="bold dim", pad_edge=False)
        for name in ("", "File", "What is wrong"):
            table.add_column(name, overflow="fold")
        for finding in found.in_order(min(wrong, _SHOWN)):
            table.add_row(finding.kind, plain_text(finding.path), plain_text(finding.detail))
        console.print(table)
        if wrong > _SHOWN:
            console.print(f"... and {count_text(wrong - _SHOWN)} more (--json or --output lists all)")
    for line in _summary(options, checks, faults, found.counts(faults=False)):
        console.print(line)


def _summary(
    options: VerifyOptions, checks: Checks, faults: dict[Kind, int], notes: dict[Kind, int]
) -> Iterator[str]:
    how = "listed and compared with the tables" if options.quick else "read"
    yield f"{count_text(checks.files)} files ({bytes_text(checks.bytes)}) {how}"
    names = (f"{count} {kind}" for kind, count in faults.items())
    yield f"Wrong: {', '.join(names)}" if faults else "Nothing is wrong" if checks.rows else "No damage found"
    if not checks.rows:
        yield (
            f"There are no tables at {plain_text(options.archive)}, so each JP2 file was only compared with "
            "its own record; missing files, and damage to files that were kept unchanged, cannot be found"
        )
    if notes.get("no_checksum"):
        yield (
            f"{count_text(notes['no_checksum'])} files have no checksum, which older versions did not write: "
            "they decode, but slight damage may go unnoticed (compress --force writes them again)"
        )
    if notes.get("locked"):
        yield (
            f"{count_text(notes['locked'])} encrypted files: only checksums compared; --encrypt-key checks "
            "what is inside"
        )


def _print_document(options: VerifyOptions, checks: Checks, found: FindingsDatabase) -> None:
    """Prints one JSON document, one finding at a time, since there may be millions."""
    faults = found.counts(faults=True)
    head = {
        "schema": SCHEMA,
        "archive": plain_text(options.archive),
        "quick": options.quick,
        "files": checks.files,
        "bytes": checks.bytes,
        "rows": checks.rows,
        "wrong": sum(faults.values()),
        "counts": faults | found.counts(faults=False),
    }
    print(json.dumps(head, indent=1).removesuffix("\n}") + ',\n "findings": [', end="")
    for number, finding in enumerate(found.in_order()):
        print(",\n " if number else "\n ", json.dumps(dataclasses.asdict(finding)), end="")
    print("]\n}")
