"""Compares Foveate's files with other codecs' at equal bytes: `python -m benchmarks PHOTOS`.

Prints a table for each section; `--output DIR` also writes benchmarks.md, the figures as benchmarks.json and
images/benchmarks-curves.svg there. Sections that were not run stay unchanged in that folder, so each can be
repeated alone. With `--keep DIR` an interrupted run can be resumed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks import (
    butteraugli,
    camera,
    codecs,
    encoding,
    fidelity,
    gains,
    jpegs,
    learned,
    lossless,
    plain,
    progressive,
    quality,
    runs,
    salient,
    serving,
    tuned,
)
from benchmarks.curve_plot import curves_svg
from benchmarks.fidelity import Wanted
from benchmarks.kept import Kept
from benchmarks.networks import Networks
from benchmarks.photos import LARGE_PIXELS, photo_paths, pixel_count
from benchmarks.tables import Section, markdown, plain_text, section_from

OF_CURVES = {  # sections that share the photos' curves, and the curves that they need
    "codecs": (codecs.codecs_section, Wanted(tuned=True, others=True, alike=True)),
    "favored": (gains.favored_section, Wanted(others=True, favored=True)),
    "gains": (gains.gains_section, Wanted(alike=True)),
    "plain": (plain.plain_section, Wanted()),
    "visual": (tuned.visual_section, Wanted(tuned=True, others=True)),
}
SECTIONS = (
    "codecs", "favored", "gains", "serving", "plain", "visual", "butteraugli", "quality", "salient",
    "learned", "progressive", "lossless", "encode", "jpegs", "camera", "runs",
)  # fmt: skip
_OF_ARCHIVES = ("jpegs", "camera", "runs")  # they write archives, and need to know where
_OF_CAMERAS = ("camera", "runs")  # they measure the photos of `make photos`
_NAME = "benchmarks"
_PICTURE = "images/benchmarks-curves.svg"
_SERVED = 2  # large photos whose restoring is timed
_ALT = "Mean SSIMULACRA 2, PSNR, MS-SSIM and PSNR-S of all codecs over bits per pixel"
_INTRODUCTION = """\
How Foveate's files compare with those of other codecs at equal bytes, what its networks add, and what runs
take. Some sections end with limits that were set before anything was measured, and say whether they are met.

Made by `make bench PHOTOS=folder ARGS='--output docs --keep cache'`. `--only plain,encode` repeats those
sections and leaves the others unchanged; `--keep` caches the results of other codecs and the networks, so
that an interrupted run can resume. The published figures are for our 47 validation photos, which were never
trained on: 41 of 512 x 512 pixels (CID22) and 6 of some 2048 x 1300 (CLIC 2025) or, where a table says so,
only for the first 41 (`--count 41`). The last three sections measure archives made by the command itself, the
last two on [other photos](photos.md) (`--cameras build/photos`).

Every byte of every file counts: Foveate's archive record, and the few boxes of OpenJPEG's JP2. For OpenJPEG,
the better of its two rate controls is used for each photo, size and figure, interpolated to exactly the same
bytes."""

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Run:
    """The photos, and how to process them."""

    paths: Sequence[Path]
    networks: Networks
    jobs: int
    kept: Kept
    cameras: Path | None = None  # the folder that `benchmarks.photo_set` makes

    def each(self, measure: Callable[[Path], Result]) -> list[Result]:
        """Results of each photo, in order."""
        if self.jobs == 1:
            return [measure(path) for path in self.paths]
        context = multiprocessing.get_context("spawn")  # processes that run networks cannot be forked
        with ProcessPoolExecutor(self.jobs, mp_context=context) as pool:
            return list(pool.map(measure, self.paths))


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder of photos that nothing was trained on")
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument(
        "--only",
        help=f"sections, by commas: {','.join(SECTIONS)} (default: all; {', '.join(_OF_ARCHIVES)} only "
        f"with --keep, {' and '.join(_OF_CAMERAS)} only with --cameras, butteraugli if it is installed)",
    )
    parser.add_argument(
        "--cameras", type=Path, help="the folder that `make photos` makes, for camera and runs"
    )
    parser.add_argument("--jobs", type=int, default=1, help="photos measured at once, but for times")
    parser.add_argument("--weights", type=Path, help="a folder of RecCNN's and ComCNN's weights")
    parser.add_argument("--keep", type=Path, help="a folder to keep figures in, for the next run")
    parser.add_argument("--output", type=Path, help="a folder for the document and the picture")
    args = parser.parse_args(argv)
    wanted = args.only.split(",") if args.only else _possible(args.keep, args.cameras)
    if not set(wanted) <= set(SECTIONS):
        parser.error(f"--only {args.only}: the sections are {', '.join(SECTIONS)}")
    if impossible := [name for name in wanted if name not in _possible(args.keep, args.cameras)]:
        parser.error(
            f"--only {','.join(impossible)}: archives need --keep, camera and runs --cameras, butteraugli "
            "its program (cargo install butteraugli-cli)"
        )
    paths = photo_paths(args.photos, args.count) if args.photos.is_dir() else []
    if not paths:
        parser.error(f"{args.photos} holds no file")
    networks = Networks(args.weights) if args.weights else Networks()
    found = []
    for section in measured(Run(paths, networks, args.jobs, Kept(args.keep), args.cameras), wanted):
        show(plain_text(section))
        found.append(section)
    if args.output:
        write(args.output, found)


def _possible(keep: Path | None, cameras: Path | None) -> list[str]:
    """The sections that can be measured with these folders."""
    return [
        name
        for name in SECTIONS
        if not (
            (name in _OF_ARCHIVES and keep is None)
            or (name in _OF_CAMERAS and cameras is None)
            or (name == "butteraugli" and not butteraugli.is_available())
        )
    ]


def measured(run: Run, wanted: Sequence[str]) -> Iterator[Section]:
    """The wanted sections."""
    yield from _of_curves(run, [name for name in OF_CURVES if name in wanted])
    if "serving" in wanted:
        large = [path for path in run.paths if pixel_count(path) >= LARGE_PIXELS] or run.paths
        yield serving.serving_section(serving.served(large[:_SERVED], run.networks))
    if "butteraugli" in wanted:
        distances = functools.partial(butteraugli.distances, kept=run.kept)
        yield butteraugli.butteraugli_section(run.each(distances))
    if "quality" in wanted:
        found = run.each(quality.reached)
        rates = quality.mean_rates(found)
        yield quality.quality_section(found, run.each(functools.partial(quality.of_rates, rates=rates)))
    if "salient" in wanted:
        yield salient.salient_section(run.each(functools.partial(salient.compared, kept=run.kept)))
    if "learned" in wanted:
        beside = functools.partial(learned.compared, available=run.networks, kept=run.kept)
        yield learned.learned_section(run.each(beside))
    if "progressive" in wanted:
        progress = run.each(functools.partial(progressive.progress, kept=run.kept))
        yield progressive.progressive_section(progress)
    if "lossless" in wanted:
        yield lossless.lossless_section(run.each(lossless.sizes))
    if "encode" in wanted:
        pictures = encoding.pictures(run.paths)
        losses = [loss for name, photo in pictures.items() for loss in encoding.stopped(name, photo)]
        times = [encoding.timed(name, photo) for name, photo in pictures.items()]
        yield encoding.encoding_section(times, losses)
    if "jpegs" in wanted:
        yield jpegs.jpegs_section(jpegs.jpeg_archives(run.paths, run.kept))
    if "camera" in wanted and run.cameras:
        yield camera.camera_section(camera.camera_sets(run.cameras, run.kept))
    if "runs" in wanted and run.cameras:
        yield runs.runs_section(runs.costs(run.cameras, run.kept))


def _of_curves(run: Run, names: Sequence[str]) -> Iterator[Section]:
    """The sections that share the photos' curves."""
    if not names:
        return
    needs = [dataclasses.astuple(OF_CURVES[name][1]) for name in names]
    needed = Wanted(*(any(need) for need in zip(*needs, strict=True)))
    photos = run.each(
        functools.partial(fidelity.measured, wanted=needed, available=run.networks, kept=run.kept)
    )
    for name in names:
        yield OF_CURVES[name][0](photos)


def write(folder: Path, found: Sequence[Section]) -> None:
    """The document, its figures and its picture, with what the folder has of other sections."""
    figures = folder / f"{_NAME}.json"
    saved = json.loads(figures.read_text()) if figures.exists() else {}
    for section in found:
        saved[section.name] = dataclasses.asdict(section)
    (folder / _PICTURE).parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps({name: saved[name] for name in SECTIONS if name in saved}, indent=1) + "\n")
    points = [point for section in saved.values() for point in section["figures"].get("curves", ())]
    if points:
        (folder / _PICTURE).write_text(curves_svg(points))
    (folder / f"{_NAME}.md").write_text(document(saved, bool(points)))


def document(saved: dict[str, dict[str, object]], has_picture: bool) -> str:
    """The document of all sections that there are."""
    lines = ["# Benchmarks", "", _INTRODUCTION]
    if has_picture:
        lines += ["", f"[![{_ALT}]({_PICTURE})]({_PICTURE})"]
    for name in SECTIONS:
        if name in saved:
            lines += ["", markdown(section_from(saved[name])).rstrip()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
