"""Draw maps of what the networks find in photos: objects, faces and writing.

For each photo, writes a grayscale PNG of the same size, DIR/<relative path>.png: white matters most, black
matters least. With --overlay, also writes DIR/<relative path>.overlay.jpg, the photo with its map as colors;
with --channels, also writes one map per structure.

The maps can serve as masks: retouch them where you know better, then compress with
foveate compress SRC... --output DEST --roi masks:DIR
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam

from foveate.archive.planning.plan import clear_plan, read_part
from foveate.archive.planning.planner import make_plan
from foveate.archive.planning.tasks import Asked
from foveate.archive.roi_weights import RoiWeights
from foveate.archive.tables import table_text
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, plans, runner
from foveate.pipelines.running.status import WRONG_USAGE
from foveate.pipelines.shared_flags import (
    add_limits,
    add_roi_weights,
    limits_of,
    output_folder,
    parse_beam_flags,
)
from foveate.sandbox.client import Limits
from foveate.storage.listing import NothingFound, list_private
from foveate.storage.source import SourceFile
from foveate.transforms import progress, write_maps
from foveate.transforms.clear_plan import ClearPlan
from foveate.transforms.follow_plan import FollowPlan
from foveate.transforms.frames import DicomFrames, expand_page
from foveate.transforms.map_saliency import FindStructures
from foveate.transforms.plan_on_workers import PlanOnWorkers
from foveate.transforms.read import KEPT, ReadPhotos
from foveate.transforms.steps import FAILURES
from foveate.transforms.write_failures import WriteFailures
from foveate.transforms.write_maps import WriteMaps

__all__ = ["add_arguments", "build", "parse_beam_flags", "run"]


@dataclasses.dataclass(frozen=True)
class SaliencyOptions:
    """The options of a run; see `add_arguments`."""

    sources: tuple[str, ...]
    output: str
    overlay: bool
    channels: bool
    roi_weights: RoiWeights
    limits: Limits
    dicom_frames: DicomFrames
    run_id: str
    is_left_alone: bool = False  # nobody waits for the run's end

    def asked(self) -> Asked:
        """The request that the run's plan is made for."""
        return Asked(self.sources, PICTURE_EXTENSIONS, self.output, "", "", trust_tables=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate saliency` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a photo, a folder, a glob, or a URL (gs://, s3://)"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the maps: a folder or a URL")
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="also write the photo with its map as colors, at most 2048 pixels per side",
    )
    parser.add_argument(
        "--channels",
        action="store_true",
        help="also write one map per structure: DIR/<relative path>.objects.png, .faces.png, .writing.png",
    )
    add_roi_weights(parser)
    add_limits(parser)
    parser.add_argument(
        "--dicom-frames",
        choices=("keep", "first", "all"),
        default="keep",
        help="what to do with DICOM files of several frames, as in compress. keep: draw no map (default); "
        "first: draw a map of the first frame; all: draw one of each frame",
    )
    parser.epilog = (
        "Files that compress copies unchanged (animations, CMYK, RAW, ...) need no map and are skipped.\n"
        "Other flags are Beam's (--runner, --direct_num_workers, --temp_location, ...).\n"
        "Exit status: 0 all well, 1 the run failed, 2 wrong usage, 3 some photos failed (see "
        "DIR/_foveate/failures)."
    )


def run(args: argparse.Namespace) -> int:
    """Runs `foveate saliency`; returns the exit status."""
    args = engines.with_workers_paths(args)
    options = SaliencyOptions(
        sources=tuple(args.sources),
        output=output_folder(args.output),
        overlay=args.overlay,
        channels=args.channels,
        roi_weights=args.roi_weights,
        limits=limits_of(args),
        dicom_frames=args.dicom_frames,
        run_id=runner.new_run_id(),
        is_left_alone=engines.only_describes(args.beam_flags),
    )
    if problem := _no_folder_for_maps(options):
        user_log.error(f"foveate saliency: {problem}")
        return WRONG_USAGE
    job = runner.Job("Mapping", ("mapped", "skipped", "failed"), options.output, options.run_id)
    with contextlib.ExitStack() as stack:
        parts, photos = None, 0
        try:
            runner.set_up_filesystems(args.beam_flags)
            if engines.is_local(args.beam_flags):
                scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="foveate-plan-"))
                expand = functools.partial(expand_page, frames=options.dicom_frames)
                plan = make_plan(options.asked(), options.run_id, expand, scratch)
                plans.say_what_is_left_out(plan.other_kinds)
                parts, photos = tuple(list_private(scratch)), plan.todo
        except NothingFound as error:
            user_log.error(f"foveate saliency: {error}")
            return WRONG_USAGE
        if parts and (problem := _no_place_for_maps(options.output, parts)):
            user_log.error(f"foveate saliency: {problem}")
            return WRONG_USAGE
        if parts is None and not options.is_left_alone:
            stack.callback(clear_plan, options.output, options.run_id)
        wire = functools.partial(build, options=options, parts=parts)
        return runner.run_job(job, wire, args.beam_flags, photos)


def build(
    root: beam.Pipeline,
    counts: progress.Progress,
    options: SaliencyOptions,
    parts: Sequence[str] | None = None,
) -> None:
    """Wires the pipeline: the beginning of compress, and then pictures. Without a plan, workers make it."""
    if parts is None:
        plan = PlanOnWorkers(options.asked(), options.run_id, options.dicom_frames)
        planned = (root | "Plan" >> plan).parts
    else:
        planned = root | "Name parts" >> beam.Create(list(parts)).with_output_types(str)
    matched = planned | "Follow plan" >> FollowPlan(None, counts)
    photos = matched.sources | "Read photos" >> ReadPhotos(options.limits)
    salient = photos.good | "Map saliency" >> FindStructures(options.roi_weights)
    written = salient.good | "Write maps" >> WriteMaps(
        options.output, write_maps.Extras(options.overlay, options.channels), counts
    )
    skipped = photos[KEPT] | "Count skipped" >> beam.Map(write_maps.skip_kept, counts)
    failed = (
        tuple(stage[FAILURES] for stage in (matched, photos, salient, written))
        | "All failures" >> beam.Flatten()
        | "Count failures" >> beam.Map(counts.fail)
        | "Write failures" >> WriteFailures(options.output, options.run_id)
    )
    if options.is_left_alone:
        (written.good, skipped, failed) | "Clear plan" >> ClearPlan(options.output, options.run_id)


def _no_folder_for_maps(options: SaliencyOptions) -> str:
    """Why the output is no folder for maps, as a sentence; "" if it is one."""
    output = options.output
    if "://" not in output and Path(output).is_file():
        return f"{output} is a file; --output must name a folder"
    for source in options.sources:
        if _place(source.removeprefix("file://")) == _place(output):
            return f"{output} is the folder of the photos, where maps would be taken for photos; name another"
    return ""


def _no_place_for_maps(output: str, parts: Sequence[str]) -> str:
    """Why maps of what is planned cannot be written, as a sentence; "" if they can."""
    below = f"{_place(output)}/"
    places = (_place(file.url) for file in _planned(parts))
    in_the_way = {place for place in places if place.startswith(below) and place.endswith(write_maps.ENDINGS)}
    for file in _planned(parts) if in_the_way else ():
        for url in write_maps.all_urls(output, file):
            if _place(url) in in_the_way:
                return f"the map of {table_text(file.url)} would overwrite the photo {table_text(url)}"
    return ""


def _planned(parts: Sequence[str]) -> Iterator[SourceFile]:
    for part in parts:
        yield from (planned.source for planned in read_part(part))


def _place(url: str) -> str:
    """One spelling for all spellings of a place."""
    return url.rstrip("/") if "://" in url else os.path.realpath(url)
