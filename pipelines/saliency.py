"""Show what the networks find in photos, as pictures: objects, faces and writing.

Writes for each photo a gray PNG of its size, DIR/<relative path>.png: white is what matters most, black what
matters least. With --overlay, DIR/<relative path>.overlay.jpg beside it shows the map as colors over the
photo; with --channels there is a map of each structure beside it.

The maps are masks: retouch them if you know better, and let them decide where the bits go with
foveate compress SRC... --output DEST --roi masks:DIR
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam

from foveate.archive.roi_weights import RoiWeights
from foveate.archive.tables import table_text
from foveate.pictures.formats import PICTURE_EXTENSIONS
from foveate.pipelines.logs import user_log
from foveate.pipelines.running import engines, runner
from foveate.pipelines.running.arguments import (
    add_limits,
    add_roi_weights,
    limits_of,
    output_folder,
    parse_beam_flags,
)
from foveate.pipelines.running.status import WRONG_USAGE
from foveate.sandbox.client import Limits
from foveate.storage.listing import NothingFound
from foveate.storage.source import SourceFile
from foveate.transforms import progress, write_maps
from foveate.transforms.frames import DicomFrames, expand_frames
from foveate.transforms.map_saliency import FindStructures
from foveate.transforms.match import MatchSources
from foveate.transforms.read import KEPT, ReadPhotos
from foveate.transforms.steps import FAILURES
from foveate.transforms.write_maps import WriteMaps
from foveate.transforms.write_tables import WriteFailures

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `foveate saliency` takes to `parser`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a photo, a folder, a glob, or a URL (gs://, s3://)"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the maps: a folder or a URL")
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="also write the map over the photo, at most 2048 pixels per side",
    )
    parser.add_argument(
        "--channels",
        action="store_true",
        help="also write what the map is made of: DIR/<relative path>.objects.png, .faces.png, .writing.png",
    )
    add_roi_weights(parser)
    add_limits(parser)
    parser.add_argument(
        "--dicom-frames",
        choices=("keep", "first", "all"),
        default="keep",
        help="for DICOM files with several frames, as in compress: no map (default), a map of the first "
        "frame, or a map of each",
    )
    parser.epilog = (
        "What compress copies unchanged (animations, CMYK, RAW, ...) needs no map and is skipped.\n"
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
    )
    try:
        runner.set_up_filesystems(args.beam_flags)
        files = (
            runner.list_sources(options.sources, PICTURE_EXTENSIONS, options.output)
            if engines.is_local(args.beam_flags)
            else []
        )
    except NothingFound as error:
        user_log.error(f"foveate saliency: {error}")
        return WRONG_USAGE
    files = [frame for file in files for frame in expand_frames(file, options.dicom_frames)]
    if problem := _no_place_for_maps(options, files):
        user_log.error(f"foveate saliency: {problem}")
        return WRONG_USAGE
    job = runner.Job("Mapping", ("mapped", "skipped", "failed"), options.output, options.run_id)
    return runner.run_job(job, functools.partial(build, options=options), args.beam_flags, len(files))


def build(root: beam.Pipeline, counts: progress.Progress, options: SaliencyOptions) -> None:
    """Wires the pipeline: the beginning of compress, and then pictures."""
    matched = root | "Match sources" >> MatchSources(
        options.sources, PICTURE_EXTENSIONS, options.output, options.dicom_frames
    )
    photos = (
        matched.sources | "Spread paths" >> beam.Reshuffle() | "Read photos" >> ReadPhotos(options.limits)
    )
    salient = photos.good | "Map saliency" >> FindStructures(options.roi_weights)
    written = salient.good | "Write maps" >> WriteMaps(
        options.output, write_maps.Extras(options.overlay, options.channels), counts
    )
    photos[KEPT] | "Count skipped" >> beam.Map(write_maps.skip_kept, counts)
    (
        tuple(stage[FAILURES] for stage in (matched, photos, salient, written))
        | "All failures" >> beam.Flatten()
        | "Count failures" >> beam.Map(counts.fail)
        | "Write failures" >> WriteFailures(options.output, options.run_id)
    )


def _no_place_for_maps(options: SaliencyOptions, files: Sequence[SourceFile]) -> str:
    """Why the output cannot hold the maps, as a sentence; "" if it can."""
    output = options.output
    if "://" not in output and Path(output).is_file():
        return f"{output} is a file; --output names a folder"
    for source in options.sources:
        if _place(source.removeprefix("file://")) == _place(output):
            return f"{output} is the folder of the photos, where maps would be taken for photos; name another"
    photos = {_place(file.url) for file in files}
    for file in files:
        for url in write_maps.all_urls(output, file):
            if _place(url) in photos:
                return f"the map of {table_text(file.url)} would overwrite the photo {table_text(url)}"
    return ""


def _place(url: str) -> str:
    """One spelling for all spellings of a place."""
    return url.rstrip("/") if "://" in url else os.path.realpath(url)
