"""Figures in prose, and tables made of them, as docs/benchmarks.json has them.

`0.9 %<!-- =plain-smaller -->` in a page is a figure of `FIGURES`: `python -m docs.generate` writes the number
before the comment anew. `<!-- table: visual -->` and `<!-- /table -->` enclose a table of `TABLES`. What a
section says that has not been measured stays as it stands.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Sections = dict[str, Any]

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/faq.md", "docs/settings.md")
MARKED = re.compile(r"(?P<number>[\d,]*\d(?:\.\d+)?)(?P<unit>[^\d<\n]{0,40})<!-- =(?P<name>[\w-]+) -->")
_TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(<!-- /table -->)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A figure in a table of a section.

    caption: how the table's caption begins.
    row, column: first cell of the row, and head of the column; a row's may be its beginning.
    form: of the number without its sign, which is for the prose to say.
    """

    section: str
    caption: str
    row: str
    column: str
    form: str = ".1f"

    def text(self, sections: Sections) -> str | None:
        """The figure; None if the section was not measured.

        Raises:
          ValueError: the section has no such figure.
        """
        if self.section not in sections:
            return None
        for table in sections[self.section]["tables"]:
            if table["caption"].startswith(self.caption) and self.column in table["head"]:
                at = table["head"].index(self.column)
                for row in table["rows"]:
                    if row[0] == self.row:
                        return format(abs(float(row[at].replace(",", "").rstrip("%"))), self.form)
        raise ValueError(f"docs/benchmarks.json has no {self}")


_CODECS, _FAVORED = "Mean BD-rate against OpenJPEG", "Mean BD-rate against OpenJPEG"
_VISUAL = "BD-rates against OpenJPEG"
_CAMERA = "`foveate compress` with its default flags"
_CAMERAS = "JPEGs as cameras write them"
_BEST = "Foveate + RecCNN best"

FIGURES = {
    "plain-smaller": Cell("plain", "BD-rate in PSNR", "whole files", "mean"),
    "best-smaller": Cell("codecs", _CODECS, _BEST, "PSNR"),
    "fast-smaller": Cell("codecs", _CODECS, "Foveate + RecCNN fast", "PSNR", ".0f"),
    "avif-smaller": Cell("codecs", _CODECS, "AVIF", "PSNR"),
    "avif-similar-smaller": Cell("codecs", _CODECS, "AVIF", "MS-SSIM", ".0f"),
    "favored-fast-smaller": Cell("favored", _FAVORED, "Foveate + RecCNN fast", "PSNR-S", ".0f"),
    "favored-best-smaller": Cell("favored", _FAVORED, _BEST, "PSNR-S", ".0f"),
    "favored-avif-smaller": Cell("favored", _FAVORED, "AVIF", "PSNR-S", ".0f"),
    "visual-smaller": Cell("visual", _VISUAL, "Foveate, visual", "BD-rate, SSIMULACRA 2, %", ".0f"),
    "quarter-inside": Cell("salient", "Mean PSNR in dB of 6 photos", "gain", "inside"),
    "quarter-outside": Cell("salient", "Mean PSNR in dB of 6 photos", "gain", "outside"),
    "camera-saved": Cell("camera", _CAMERA, _CAMERAS, "bytes saved, %", ".0f"),
    "camera-kept": Cell("camera", _CAMERA, _CAMERAS, "kept, %", ".0f"),
    "camera-mean": Cell("camera", _CAMERA, _CAMERAS, "mean SSIMULACRA 2"),
    "camera-worst": Cell("camera", _CAMERA, _CAMERAS, "worst"),
    "camera-speed": Cell("camera", _CAMERA, _CAMERAS, "megapixels per core-hour", ",.0f"),
    "camera-ratio": Cell("camera", "`--psnr 38`", _CAMERAS, "source bytes over archive bytes"),
}


def _visual_table(sections: Sections) -> str | None:
    """Bytes for the same SSIMULACRA 2, and SSIMULACRA 2 at the same bytes, of all codecs."""
    if "visual" not in sections:
        return None
    (table,) = sections["visual"]["tables"]
    wanted = {"JPEG": "JPEG", "OpenJPEG": "JPEG 2000 (OpenJPEG)", "Foveate, visual": "**Foveate**"}
    wanted |= {"JPEG XL": "JPEG XL", "AVIF": "AVIF"}
    rows = {row[0]: dict(zip(table["head"], row, strict=True)) for row in table["rows"]}
    base = 1 + float(rows["Foveate, visual"]["BD-rate, SSIMULACRA 2, %"]) / 100
    lines = [
        "| | bytes, for the same score | score at 0.5 bits per pixel | at 1 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, shown in wanted.items():
        share = (1 + float(rows[name]["BD-rate, SSIMULACRA 2, %"]) / 100) / base
        cells = (shown, f"{100 * share:.0f} %", rows[name]["at 0.5 bpp"], rows[name]["at 1 bpp"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(["", *lines, "", ""])


TABLES: dict[str, Callable[[Sections], str | None]] = {"visual": _visual_table}


def filled(page: str, sections: Sections) -> str:
    """A page's text with every marked figure and table as the measurements have it.

    Raises:
      ValueError: a figure or table of no such name.
    """

    def figure(found: re.Match[str]) -> str:
        if found["name"] not in FIGURES:
            raise ValueError(f"docs/figures.py has no figure {found['name']}")
        number = FIGURES[found["name"]].text(sections) or found["number"]
        return f"{number}{found['unit']}<!-- ={found['name']} -->"

    def table(found: re.Match[str]) -> str:
        if found["name"] not in TABLES:
            raise ValueError(f"docs/figures.py has no table {found['name']}")
        text = TABLES[found["name"]](sections)
        return found[0] if text is None else f"{found[1]}{text}{found[4]}"

    return _TABLE.sub(table, MARKED.sub(figure, page))


@functools.cache
def measured() -> Sections:
    """The sections of docs/benchmarks.json."""
    sections: Sections = json.loads((ROOT / "docs" / "benchmarks.json").read_text())
    return sections


def pages() -> dict[str, str]:
    """The pages that have figures: path in the repository, and text."""
    return {page: filled((ROOT / page).read_text(encoding="utf-8"), measured()) for page in PAGES}
