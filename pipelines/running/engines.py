"""Where a pipeline runs, according to Beam's flags, and what that means for the process that starts it."""

from __future__ import annotations

import argparse
import functools
import os
import types
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner

LOCAL_RUNNER = "FnApiRunner"
_LOCAL_NAMES = ("", "direct", "fnapi")  # Beam takes names in any case, with or without "Runner"


def is_local_runner(beam_flags: Sequence[str]) -> bool:
    """Whether Beam's local runner runs the pipeline: by default, and for DirectRunner."""
    return _runner_name(_options(beam_flags)) in _LOCAL_NAMES


def local_runner(beam_flags: Sequence[str]) -> FnApiRunner:
    """Beam's local runner, made to pass flags on to its worker processes (such as a store's keys)."""
    given = PipelineOptions(list(beam_flags)).get_all_options(drop_default=True)
    info = beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused-retrieval-token")
    for name, value in given.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)  # they would come back as 2.0
        info.pipeline_options.update({name: str(value) if is_whole else value})
    return FnApiRunner(provision_info=ExtendedProvisionInfo(info))


def is_local(beam_flags: Sequence[str]) -> bool:
    """Whether photos are processed on this machine, whichever engine distributes them."""
    options = _options(beam_flags)
    environment = options["environment_type"]
    return (
        _runner_name(options) in _LOCAL_NAMES
        or environment == "LOOPBACK"
        or (_runner_name(options) == "prism" and environment is None)
    )


def works_in_this_process(beam_flags: Sequence[str]) -> bool:
    """Whether threads of this process do the work."""
    return is_local(beam_flags) and _options(beam_flags)["direct_running_mode"] != "multi_processing"


def only_describes(beam_flags: Sequence[str]) -> bool:
    """Whether the pipeline is only described, for a template's launcher to run later."""
    return bool(PipelineOptions(list(beam_flags)).view_as(GoogleCloudOptions).template_location)


def knows_more_flags(beam_flags: Sequence[str]) -> bool:
    """Whether unknown flags are allowed: a job server's engine and a template's launcher have their own."""
    return bool(_options(beam_flags)["job_endpoint"]) or only_describes(beam_flags)


def with_workers_paths(args: argparse.Namespace) -> argparse.Namespace:
    """A command's arguments, with absolute paths if workers run in other processes and folders."""
    if is_local(args.beam_flags):
        return args
    changed = argparse.Namespace(**vars(args))
    changed.sources = [absolute(source) for source in args.sources]
    changed.output = absolute(args.output)
    if vars(args).get("encrypt_key"):
        changed.encrypt_key = absolute(args.encrypt_key)
    roi = vars(args).get("roi")
    if roi and roi.startswith("masks:"):
        changed.roi = f"masks:{absolute(roi.removeprefix('masks:'))}"
    return changed


def absolute(path: str) -> str:
    """The absolute form of a local path; a URL is returned as it is."""
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 (pathlib would keep "..")


def cancel(result: Any) -> str:
    """Cancels the job of a pipeline result; returns what went wrong, or ""."""
    try:
        result.cancel()
    except Exception as error:  # each engine raises its own errors; the user must hear that the job continues
        return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    return ""


def _options(beam_flags: Sequence[str]) -> Mapping[str, Any]:
    return _parsed(tuple(beam_flags))


@functools.lru_cache(maxsize=4)
def _parsed(beam_flags: tuple[str, ...]) -> Mapping[str, Any]:
    """All of Beam's options; parsing them takes as long as a small photo."""
    return types.MappingProxyType(PipelineOptions(list(beam_flags)).get_all_options())


def _runner_name(options: Mapping[str, Any]) -> str:
    return (options["runner"] or "").lower().removesuffix("runner")
