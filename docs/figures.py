"""Figures in prose, and tables made of them, as benchmarks.json and benchmarks-saliency.json have them.

`0.9 %<!-- =plain-smaller -->` in a page is a figure of `FIGURES`: `python -m docs.generate` writes the number
before the comment anew. `<!-- table: visual -->` and `<!-- /table -->` enclose a table of `TABLES`. What a
section says that has not been measured stays as it stands. Where other figures of a section come from, a
comment says: `<!-- figures of: make bench-parts -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs.measured import (
    Cell,
    Column,
    Figure,
    Less,
    NotMeasured,
    Raw,
    Sections,
    Share,
    measured,
    number,
    table,
)

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/cloud.md",
    "docs/faq.md",
    "docs/how-it-works.md",
    "docs/index.md",
    "docs/saliency.md",
    "docs/settings.md",
    "models/weights/msroi.md",
    "models/weights/restoration.md",
    "models/weights/structures.md",
)
MARKED = re.compile(r"(?P<number>[\d,]*\d(?:\.\d+)?)(?P<unit>[^\d<\n]{0,40})<!-- =(?P<name>[\w-]+) -->")
_TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(<!-- /table -->)", re.DOTALL)

_BD_RATES = "Mean BD-rate against OpenJPEG"
_FAST, _BEST = "Foveate + RecCNN fast", "Foveate + RecCNN best"
_FILTERED = "Foveate + ComCNN, RecCNN best"
_CAMERA = ("camera", "`foveate compress`", "JPEGs as cameras write them")
_RUNS = ("runs", "Processor time of whole runs")
_SPEED = "Megapixels per second of processor time"
_RATES = ("0.125", "0.25", "0.5", "1", "2")
_SERVING = ("serving", "Speed of restoring")
_FOUND = "Test half: boxes in which the map is above 0.5"
_DEVELOPED = "Development half: boxes in which the map is above 0.5"
_FALSE = "Area above 0.5"
_COST = "dB of PSNR all over"


def _bd_rate(section: str, codec: str, figure: str, form: str = ".0f") -> Figure:
    return Figure(Cell(section, _BD_RATES, codec, figure), form)


def _gain(codec: str, bits_per_pixel: str, column: str = "PSNR") -> Cell:
    return Cell("gains", "Mean change", (codec, bits_per_pixel), column)


def _psnr(codec: str, bits_per_pixel: str) -> Cell:
    return Cell("codecs", "Mean PSNR at", codec, bits_per_pixel)


def _score(codec: str, bits_per_pixel: str) -> Cell:
    return Cell("codecs", "Mean SSIMULACRA 2 at", codec, bits_per_pixel)


def _place(row: str, column: str, form: str = ".2f") -> Figure:
    return Figure(Cell("places", "Mean of the map", row, column), form)


def _inside(map_: str) -> Less:
    return Less(Raw("bytes", ("db", f"--roi {map_}", "inside")), Raw("bytes", ("db", "--roi none", "inside")))


_HEADS, _WORDS = "heads, 17 boxes in 12 photos", "words written on 100 photos"
_WRITING = "writing, 20 boxes in 10 photos"

FIGURES = {
    "plain-smaller": Figure(Cell("plain", "BD-rate in PSNR", "whole files", "mean")),
    "best-smaller": _bd_rate("codecs", _BEST, "PSNR", ".1f"),
    "fast-smaller": _bd_rate("codecs", _FAST, "PSNR"),
    "avif-smaller": _bd_rate("codecs", "AVIF", "PSNR", ".1f"),
    "avif-similar-smaller": _bd_rate("codecs", "AVIF", "MS-SSIM"),
    "avif-ahead": Figure(Less(_psnr("AVIF", "0.5"), _psnr(_BEST, "0.5"))),
    "avif-score": Figure(_score("AVIF", "0.5")),
    "best-score": Figure(_score(_BEST, "0.5")),
    "favored-fast-smaller": _bd_rate("favored", _FAST, "PSNR-S"),
    "favored-best-smaller": _bd_rate("favored", _BEST, "PSNR-S"),
    "favored-avif-smaller": _bd_rate("favored", "AVIF", "PSNR-S"),
    "visual-smaller": Figure(
        Cell("visual", "BD-rates against OpenJPEG", "Foveate, visual", "BD-rate, SSIMULACRA 2, %"), ".0f"
    ),
    "visual-costs": Figure(Less(_psnr("Foveate", "0.5"), _psnr("Foveate, visual", "0.5"))),
    "quarter-inside": Figure(Cell("salient", "Mean PSNR in dB of 6 photos", "gain", "inside")),
    "quarter-outside": Figure(Cell("salient", "Mean PSNR in dB of 6 photos", "gain", "outside")),
    "small-inside": Figure(Raw("salient", ("gain_db", "small", "inside"))),
    "small-outside": Figure(Raw("salient", ("gain_db", "small", "outside"))),
    "fast-gain": Figure(_gain(_FAST, "0.5"), ".2f"),
    "best-gain": Figure(_gain(_BEST, "0.5"), ".2f"),
    "best-over-fast": Figure(Less(_gain(_BEST, "0.5"), _gain(_FAST, "0.5"))),
    "filter-gain": Figure(Less(_gain(_FILTERED, "0.5"), _gain(_BEST, "0.5")), ".2f"),
    "fast-unmarked": Figure(_gain(_FAST, "1", "unmarked PSNR"), ".3f"),
    "fast-unmarked-fine": Figure(_gain(_FAST, "2", "unmarked PSNR"), ".2f"),
    "best-unmarked-fine": Figure(_gain(_BEST, "2", "unmarked PSNR"), ".2f"),
    "fast-marked": Figure(_gain(_FAST, "2", "marked"), ".0f"),
    "best-marked": Figure(_gain(_BEST, "2", "marked"), ".0f"),
    "fast-speed": Figure(Cell(*_SERVING, "1 core: RecCNN fast, bfloat16", "megapixels per second")),
    "fast-speed-float32": Figure(Cell(*_SERVING, "1 core: RecCNN fast", "megapixels per second")),
    "fast-decodes": Figure(Cell(*_SERVING, "1 core: RecCNN fast, bfloat16", "decodes at 1 bpp"), ".0f"),
    "best-speed": Figure(Cell(*_SERVING, "1 core: RecCNN best, bfloat16", "megapixels per second")),
    "encode-half": Figure(Cell("encode", _SPEED, ("photo, 12 MP", "0.5 bpp"), "as one layer")),
    "encode-one": Figure(Cell("encode", _SPEED, ("photo, 12 MP", "1 bpp"), "as one layer")),
    "layers-cost": Figure(Raw("progressive", ("cost_percent",))),
    "lossless-more": Figure(Column("lossless", "Bytes of", "more, %"), ".2f"),
    "camera-saved": Figure(Cell(*_CAMERA, "bytes saved, %"), ".0f"),
    "camera-kept": Figure(Cell(*_CAMERA, "kept, %"), ".0f"),
    "camera-mean": Figure(Cell(*_CAMERA, "mean SSIMULACRA 2")),
    "camera-worst": Figure(Cell(*_CAMERA, "worst")),
    "camera-speed": Figure(Cell(*_CAMERA, "megapixels per core-hour"), ",.0f"),
    "camera-ratio": Figure(Cell("camera", "`--psnr 38`", _CAMERA[2], "source bytes over archive bytes")),
    "heads-map": _place(_HEADS, "inside"),
    "heads-whole": _place(_HEADS, "whole photo"),
    "heads-found": _place(_HEADS, "above 0.5", ".0f"),
    "writing-map": _place(_WRITING, "inside"),
    "writing-found": _place(_WRITING, "above 0.5", ".0f"),
    "words-map": _place(_WORDS, "inside"),
    "words-found": _place(_WORDS, "above 0.5", ".0f"),
    "calibrated": Figure(Cell("calibration", "All pixels", "0.7 to 0.8", "share that is salient"), ".2f"),
    "calibration-error": Figure(Raw("calibration", ("expected_calibration_error",)), ".3f"),
    "cropped": Figure(Raw("steadiness", ("cropped",)), ".3f"),
    "smaller": Figure(Raw("steadiness", ("smaller",)), ".3f"),
    "mirrored": Figure(Raw("steadiness", ("mirrored",)), ".3f"),
    "map-inside": Figure(_inside("msroi"), ".2f"),
    "mask-inside": Figure(_inside("masks:DIR"), ".2f"),
    "map-of-mask": Figure(Share(_inside("msroi"), _inside("masks:DIR")), ".0f"),
    "map-time": Figure(Raw("speed", ("maps",)), ".0f"),
    "map-share": Figure(Share(Raw("speed", ("maps",)), Raw("speed", ("layered",))), ".0f"),
    "faces-covered": Figure(Cell("structures", _FOUND, "faces, all", "own channel"), ".0f"),
    "faces-in-map": Figure(Cell("structures", _FOUND, "faces, all", "combined"), ".0f"),
    "words-covered": Figure(Cell("structures", _FOUND, "writing, all", "own channel"), ".0f"),
    "words-in-map": Figure(Cell("structures", _FOUND, "writing, all", "combined"), ".0f"),
    "words-covered-developing": Figure(Cell("structures", _DEVELOPED, "writing, all", "own channel"), ".0f"),
    "words-by-msroi": Figure(Cell("structures", _FOUND, "writing, all", "MS-ROI alone"), ".0f"),
    "heads-in-map": Figure(Cell("structures", _FOUND, "heads, all", "combined"), ".0f"),
    "heads-by-msroi": Figure(Cell("structures", _FOUND, "heads, all", "MS-ROI alone"), ".0f"),
    "false-faces": Figure(Cell("structures", _FALSE, "faces, test half", "mean")),
    "false-faces-worst": Figure(Cell("structures", _FALSE, "faces, test half", "worst"), ".0f"),
    "false-words": Figure(Cell("structures", _FALSE, "writing, test half", "mean"), ".2f"),
    "nothing-costs": Figure(Column("structures", _COST, "combined: mean", "photos"), ".2f"),
    "nothing-cost": Figure(Column("structures", _COST, "MS-ROI alone: mean", "photos"), ".2f"),
    "look-time": Figure(Cell("structures", "Processor time", "0.81", "faces and writing of that"), ".0f"),
}


def _visual_table(sections: Sections) -> list[str]:
    """Bytes for the same SSIMULACRA 2, and SSIMULACRA 2 at the same bytes, of all codecs."""
    wanted = {"JPEG": "JPEG", "OpenJPEG": "JPEG 2000 (OpenJPEG)", "Foveate, visual": "**Foveate**"}
    wanted |= {"JPEG XL": "JPEG XL", "AVIF": "AVIF"}
    rate = "BD-rate, SSIMULACRA 2, %"
    rows = {row["codec"]: row for row in table(sections, "visual", "BD-rates")}
    base = 1 + float(rows["Foveate, visual"][rate]) / 100
    lines = [
        "| | bytes, for the same score | score at 0.5 bits per pixel | at 1 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, shown in wanted.items():
        share = (1 + float(rows[name][rate]) / 100) / base
        lines.append(_row(shown, f"{100 * share:.0f}%", rows[name]["at 0.5 bpp"], rows[name]["at 1 bpp"]))
    return lines


def _rates_table(sections: Sections) -> list[str]:
    """Mean PSNR at a rate, of files as decoded and as restored."""
    lines = [
        "| | 0.25 bpp | 0.5 bpp | 1 bpp | 2 bpp |",
        "| --- | --- | --- | --- | --- |",
        "| size of 12 megapixels | 0.4 MB | 0.75 MB | 1.5 MB | 3 MB |",
    ]
    for name, codec in {"decoded": "Foveate", "restored": _FAST}.items():
        lines.append(_row(name, *(f"{_psnr(codec, rate).value(sections):.1f}" for rate in _RATES[1:])))
    return [
        *lines,
        _row("for", "thumbnails, proofs", "screens", "most archives", "prints, cautious archives"),
    ]


def _gains_table(sections: Sections) -> list[str]:
    """Decibels of PSNR that RecCNN adds."""
    lines = ["| bits per pixel | plain | `fast` | `best` |", "| --- | --- | --- | --- |"]
    for rate in _RATES:
        gains = (f"{_gain(codec, rate).value(sections):+.2f}" for codec in (_FAST, _BEST))
        lines.append(_row(rate, f"{_psnr('Foveate', rate).value(sections):.2f}", *gains))
    return lines


def _maps_table(sections: Sections) -> list[str]:
    """MS-ROI's maps beside others', against masks."""
    heads = ("MAE", "max F", "weighted F", "S", "AUC")
    lines = [
        "| maps | mean absolute error | max F | weighted F | S-measure | AUC-Judd |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return lines + [
        _row(row["maps"], *(row[head] for head in heads)) for row in table(sections, "maps", "Means over")
    ]


def _runs_table(sections: Sections) -> list[str]:
    """What whole runs take."""
    lines = ["| | megapixels per core-hour |", "| --- | ---: |"]
    return lines + [_row(*list(row.values())[:2]) for row in table(sections, *_RUNS)]


def _million_table(sections: Sections) -> list[str]:
    """What a million photos of 12 megapixels would take and cost."""
    rows = table(sections, *_RUNS)
    rates = {
        row["command"]: number(row["megapixels per core-hour"])
        for row in rows
        if "compress" in row["command"]
    }
    lines = [
        "| | core-hours | vCPU-hours | at 0.10 a vCPU-hour with its memory | 20 workers of 4 vCPUs |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for command in rates:
        hours = 12e6 / rates[command]
        cells = (f"{hours:,.0f}", f"{2 * hours:,.0f}", f"{0.2 * hours:,.0f}", f"{2 * hours / 80:,.0f} h")
        lines.append(_row(command, *cells))
    return lines


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


TABLES: dict[str, Callable[[Sections], list[str]]] = {
    "visual": _visual_table,
    "rates": _rates_table,
    "gains": _gains_table,
    "maps": _maps_table,
    "runs": _runs_table,
    "million": _million_table,
}


def filled(page: str, sections: Sections) -> str:
    """A page's text with every marked figure and table as the measurements have it.

    Raises:
      ValueError: a figure or table of no such name.
    """

    def figure(found: re.Match[str]) -> str:
        if found["name"] not in FIGURES:
            raise ValueError(f"docs/figures.py has no figure {found['name']}")
        shown = FIGURES[found["name"]].text(sections) or found["number"]
        return f"{shown}{found['unit']}<!-- ={found['name']} -->"

    def lines(found: re.Match[str]) -> str:
        if found["name"] not in TABLES:
            raise ValueError(f"docs/figures.py has no table {found['name']}")
        try:
            text = "\n".join(["", *TABLES[found["name"]](sections), "", ""])
        except NotMeasured:
            return found[0]
        return f"{found[1]}{text}{found[4]}"

    return _TABLE.sub(lines, MARKED.sub(figure, page))


def pages() -> dict[str, str]:
    """The pages that have figures: path in the repository, and text."""
    return {page: filled((ROOT / page).read_text(encoding="utf-8"), measured()) for page in PAGES}
