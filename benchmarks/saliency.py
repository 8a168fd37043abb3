"""Measures how well MS-ROI finds what matters, and what that gains: `python -m benchmarks.saliency FOLDER`.

FOLDER holds images/ and masks/ of the same stems, of photos that nothing was trained on. Prints a table for
each section; `--output DIR` also writes benchmarks-saliency.md, and the figures as benchmarks-saliency.json;
sections that were not run stay there as they were. `--sheets DIR` writes pictures of the best ten photos and
of the worst ten.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    saliency_bytes,
    saliency_maps,
    saliency_places,
    saliency_sheets,
    saliency_speed,
    saliency_structures,
)
from benchmarks.tables import Section, markdown, plain_text, section_from
from foveate.models import msroi
from foveate.models.training.salient_views import Pair, read_pairs

SECTIONS = ("maps", "calibration", "steadiness", "bytes", "places", "structures", "speed")
_NAME = "benchmarks-saliency"
_SHEETS = ("best", "worst")
_INTRODUCTION = """\
Made by `make bench-saliency PHOTOS=folder ARGS='--output docs --places photos build/places'`. `--only
maps,bytes` repeats those sections and leaves the others unchanged. The published figures are for 100 photos
from ECSSD, which were never trained on, and for labeled photos (those that `make places` fetches, and some
that it does not). For how the maps look, and where they fail, see [saliency.md](saliency.md)."""


def main(argv: Sequence[str] | None = None, show: Callable[[str], None] = print) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="holds images/ and masks/ of the same stems")
    parser.add_argument("--weights", type=Path, default=msroi.WEIGHTS)
    parser.add_argument("--count", type=int, help="only the first so many photos")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas: %(default)s")
    parser.add_argument(
        "--places",
        type=Path,
        nargs="+",
        default=[],
        help="folders with the photos of benchmarks/places.json: faces and writing",
    )
    parser.add_argument("--output", type=Path, help="a folder for the document")
    parser.add_argument("--sheets", type=Path, help="a folder for best.webp and worst.webp")
    args = parser.parse_args(argv)
    wanted = args.only.split(",")
    if not set(wanted) <= set(SECTIONS):
        parser.error(f"--only {args.only}: the sections are {', '.join(SECTIONS)}")
    pairs = read_pairs(args.folder / "images", args.folder / "masks")[: args.count]
    model = msroi.load(args.weights)
    found = []
    for section in measured(pairs, model, args, wanted):
        show(plain_text(section))
        found.append(section)
    if args.output:
        write(args.output, found)
    if args.sheets:
        args.sheets.mkdir(parents=True, exist_ok=True)
        for name, sheet in zip(_SHEETS, saliency_sheets.sheets(pairs, model), strict=True):
            sheet.save(args.sheets / f"{name}.webp", quality=70, method=6)


def measured(
    pairs: Sequence[Pair], model: msroi.MsRoi, args: argparse.Namespace, wanted: Sequence[str]
) -> Iterator[Section]:
    """The wanted sections in the order of `SECTIONS`."""
    if "maps" in wanted:
        yield saliency_maps.maps_section(pairs, model)
    if "calibration" in wanted:
        yield saliency_maps.calibration_section(pairs, model)
    if "steadiness" in wanted:
        yield saliency_maps.steadiness_section(pairs, model)
    if "bytes" in wanted:
        yield saliency_bytes.bytes_section(saliency_bytes.compared(pairs, model))
    if "places" in wanted:
        yield saliency_places.places_section(args.places, pairs, model)
    if "structures" in wanted:
        yield saliency_structures.structures_section(args.places)
    if "speed" in wanted:
        yield saliency_speed.speed_section(saliency_speed.timed(pairs[0][0], args.weights))


def write(folder: Path, found: Sequence[Section]) -> None:
    """The document and its figures, with what the folder has of other sections."""
    figures = folder / f"{_NAME}.json"
    folder.mkdir(parents=True, exist_ok=True)
    saved = json.loads(figures.read_text()) if figures.exists() else {}
    for section in found:
        saved[section.name] = dataclasses.asdict(section)
    figures.write_text(json.dumps({name: saved[name] for name in SECTIONS if name in saved}, indent=1) + "\n")
    lines = ["# Foveate's saliency maps, measured", "", _INTRODUCTION]
    for name in SECTIONS:
        if name in saved:
            lines += ["", markdown(section_from(saved[name])).rstrip()]
    (folder / f"{_NAME}.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
