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
    """The flags that are not ours if Beam knows them all, else a usage error: Beam itself ignores typos."""
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
    """Adds the limits per photo, the same for all commands: what compress accepts, restore can give back."""
    default = Limits()
    group.add_argument(
        "--max-pixels",
        type=flag_types.positive_count,
        default=default.pixels,
        metavar="N",
        help="reject photos of more than N pixels, judging by their headers (default: %(default)s)",
    )
    group.add_argument(
        "--max-bytes",
        type=flag_types.positive_count,
        default=default.file_bytes,
        metavar="N",
        help="reject files of more than N bytes, without reading them (default: %(default)s)",
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
        help="give up on a photo that takes more than GB gigabytes of memory to decode "
        "(default: %(default)g)",
    )


def add_roi_weights(group: argparse._ActionsContainer) -> None:
    """Adds --roi-weights."""
    group.add_argument(
        "--roi-weights",
        type=flag_types.roi_weights,
        default=DEFAULT_ROI_WEIGHTS,
        metavar="NAME=WEIGHT,...",
        help="weights of the structures that the networks find, each from 0 (do not look for it) to 10 "
        "(default: %(default)s). Whatever weighs most in a photo gets the full gain, the rest its share",
    )


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits that the flags of `add_limits` ask for."""
    return Limits(args.max_pixels, args.max_bytes, args.photo_seconds, args.photo_memory)


def output_folder(text: str) -> str:
    """The folder or URL that --output names, without `file://` and trailing slashes."""
    return text.removeprefix("file://").rstrip("/") or "/"


def add_reccnn(parser: argparse.ArgumentParser | argparse._ArgumentGroup, help_text: str) -> None:
    """Adds the flags of the reconstruction network."""
    parser.add_argument("--reccnn", choices=("fast", "best", "off"), default="fast", help=help_text)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="number format inside RecCNN. bfloat16: two to five times as fast on processors with AVX-512 "
        "BF16 or AMX, and a few pixels differ by one level; auto: bfloat16 on such processors, float32 on "
        "others (default)",
    )
