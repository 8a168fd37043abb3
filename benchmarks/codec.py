"""Foveate's files against OpenJPEG's and other codecs', at equal bytes: `python -m benchmarks.codec PHOTOS`.

Prints a table for each section; `--output DIR` also writes benchmarks-codec.md, the figures as
benchmarks-codec.json, and images/codec-curves.svg there. Sections that were not run stay as they were in that
folder, so each can be repeated alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks import fidelity, lossless, progressive, salient, speed
from benchmarks.curve_plot import curves_svg
from benchmarks.kept import Kept
from benchmarks.photos import photo_paths
from benchmarks.tables import Section, markdown, plain_text, section_from

SECTIONS = ("plain", "ssim", "salient", "progressive", "lossless", "speed", "peers")
_NAME = "benchmarks-codec"
_PICTURE = "images/codec-curves.svg"
_INTRODUCTION = """\
Made by `make bench-codec PHOTOS=folder ARGS='--output docs'`. With `--only plain,speed` those sections are
repeated and the others stay as they were; `--keep FOLDER` keeps what other codecs did for the next run. What
Foveate publishes is of its 47 validation photos, on which nothing was trained: 41 of 512 x 512 pixels (CID22)
and 6 of some 2048 x 1300 (CLIC 2025).

Every byte of every file counts: Foveate's with its archive record, OpenJPEG's with the few boxes of its JP2.
OpenJPEG is taken at the better of its two rate controls for each photo, size and figure, interpolated to
exactly the same bytes."""

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Run:
    """The photos, and how to go through them."""

    paths: Sequence[Path]
    with_peers: Collection[Path]
    jobs: int
    kept: Kept

    def each(self, measure: Callable[[Path], Result]) -> list[Result]:
        """What each photo gives, in their order."""
        if self.jobs == 1:
            return [measure(path) for path in self.paths]
        with ProcessPoolExecutor(self.jobs) as pool:
            return list(pool.map(measure, self.paths))


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder of photos that nothing was trained on")
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas: %(default)s")
    parser.add_argument(
        "--peers-every", type=int, default=1, help="JPEG, WebP, AVIF, JPEG XL on every so-manyth photo only"
    )
    parser.add_argument("--jobs", type=int, default=1, help="photos measured at once, but for times")
    parser.add_argument(
        "--keep", type=Path, help="a folder to keep other codecs' figures in, for the next run"
    )
    parser.add_argument("--output", type=Path, help="a folder for the document and the picture")
    args = parser.parse_args(argv)
    wanted = args.only.split(",")
    if not set(wanted) <= set(SECTIONS):
        parser.error(f"--only {args.only}: the sections are {', '.join(SECTIONS)}")
    paths = photo_paths(args.photos, args.count) if args.photos.is_dir() else []
    if not paths:
        parser.error(f"{args.photos} holds no file")
    found = []
    for section in measured(
        Run(paths, frozenset(paths[:: args.peers_every]), args.jobs, Kept(args.keep)), wanted
    ):
        show(plain_text(section))
        found.append(section)
    if args.output:
        write(args.output, found)


def measured(run: Run, wanted: Sequence[str]) -> Iterator[Section]:
    """The wanted sections in the order of `SECTIONS`."""
    yield from _of_curves(run, wanted)
    if "salient" in wanted:
        yield salient.salient_section(run.each(functools.partial(salient.compared, kept=run.kept)))
    if "progressive" in wanted:
        progress = run.each(functools.partial(progressive.progress, kept=run.kept))
        yield progressive.progressive_section(progress)
    if "lossless" in wanted:
        yield lossless.lossless_section(run.each(lossless.sizes))
    if "speed" in wanted:
        photo, name = speed.giant(run.paths)
        yield speed.speed_section([speed.timed(photo, case) for case in speed.CASES], name)


def _of_curves(run: Run, wanted: Sequence[str]) -> Iterator[Section]:
    """The sections that share the photos' curves."""
    if "ssim" in wanted or "peers" in wanted:
        codecs: tuple[str, ...] = fidelity.CODECS
    elif "plain" in wanted:
        codecs = (fidelity.REFERENCE, "Foveate, psnr")
    else:
        return
    photos = run.each(
        functools.partial(fidelity.measured, codecs=codecs, with_peers=run.with_peers, kept=run.kept)
    )
    sections = {
        "plain": fidelity.plain_section, "ssim": fidelity.ssim_section, "peers": fidelity.peers_section,
    }  # fmt: skip
    for name, section in sections.items():
        if name in wanted:
            yield section(photos)


def write(folder: Path, found: Sequence[Section]) -> None:
    """The document, its figures and its picture, with what the folder has of other sections."""
    figures = folder / f"{_NAME}.json"
    saved = json.loads(figures.read_text()) if figures.exists() else {}
    for section in found:
        saved[section.name] = dataclasses.asdict(section)
    (folder / _PICTURE).parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps({name: saved[name] for name in SECTIONS if name in saved}, indent=1) + "\n")
    if "peers" in saved:
        (folder / _PICTURE).write_text(curves_svg(saved["peers"]["figures"]["curves"]))
    (folder / f"{_NAME}.md").write_text(document(saved))


def document(saved: dict[str, dict[str, object]]) -> str:
    """The document of all sections that there are."""
    lines = ["# Foveate's codec, measured", "", _INTRODUCTION]
    if "peers" in saved:
        lines += ["", f"![Mean PSNR and MS-SSIM of all codecs over bits per pixel]({_PICTURE})"]
    for name in SECTIONS:
        if name in saved:
            lines += ["", markdown(section_from(saved[name])).rstrip()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
