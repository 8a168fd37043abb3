"""Command-line flags that several commands share."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from foveate.archive.roi_weights import DEFAULT_ROI_WEIGHTS
from foveate.models.reccnn import PRECISIONS
from foveate.pipelines import flag_types
from foveate.pipelines.running import engines
from foveate.sandbox.client import Limits
from foveate.storage.redaction import redacted


def parse_beam_flags(parser: argparse.ArgumentParser, flags: Sequence[str]) -> list[str]:
    """The flags that are not ours, if Beam knows them all; else a usage error: Beam ignores typing slips."""
    beams = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    pending = list(PipelineOptions.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if "_add_argparse_args" in vars(kind):
            with contextlib.suppress(argparse.ArgumentError):
                kind._add_argparse_args(beams)
    _, unknown = beams.parse_known_args(list(flags))
    if unknown and not engines.knows_more_flags(flags):
        parser.error(redacted(f"neither Foveate nor Beam knows {' '.join(unknown)}"))
    return list(flags)


def add_limits(group: argparse._ActionsContainer) -> None:
    """Adds the limits of one photo, the same for all commands: what compress takes, restore gives back."""
    default = Limits()
    group.add_argument(
        "--max-pixels",
        type=flag_types.positive_count,
        default=default.pixels,
        metavar="N",
        help="refuse larger photos, judging by their headers (default: %(default)s)",
    )
    group.add_argument(
        "--max-bytes",
        type=flag_types.positive_count,
        default=default.file_bytes,
        metavar="N",
        help="refuse larger files, without reading them (default: %(default)s)",
    )
    group.add_argument(
        "--photo-seconds",
        type=flag_types.positive,
        default=default.seconds,
        metavar="S",
        help="give up on a photo that takes more than S seconds to decode (default: %(default)g)",
    )
    group.add_argument(
        "--photo-memory",
        type=flag_types.positive,
        default=default.memory_gb,
        metavar="GB",
        help="give up on a photo that takes more than GB of memory to decode (default: %(default)g)",
    )


def add_roi_weights(group: argparse._ActionsContainer) -> None:
    """Adds what the structures are worth that the networks find."""
    group.add_argument(
        "--roi-weights",
        type=flag_types.roi_weights,
        default=DEFAULT_ROI_WEIGHTS,
        metavar="NAME=WEIGHT,...",
        help="what the structures that the networks find are worth, each from 0 (not looked for) to 10 "
        "(default: %(default)s). What counts most in a photo has all of the gain, the rest in proportion",
    )


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits that `add_limits` has read."""
    return Limits(args.max_pixels, args.max_bytes, args.photo_seconds, args.photo_memory)


def output_folder(text: str) -> str:
    """A folder or URL as --output names it, without a scheme for local ones and slashes at its end."""
    return text.removeprefix("file://").rstrip("/") or "/"


def add_reccnn(parser: argparse.ArgumentParser | argparse._ArgumentGroup, help_text: str) -> None:
    """Adds which reconstruction network is used, and how."""
    parser.add_argument("--reccnn", choices=("fast", "best", "off"), default="fast", help=help_text)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="number format inside RecCNN: bfloat16 is several times as fast on processors with AMX, and a "
        "few pixels differ by one level; auto uses it on such processors, float32 on others (default: auto)",
    )
