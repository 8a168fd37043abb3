"""Figures in prose are those that were measured, and README has no others."""

from __future__ import annotations

import re

import pytest

from docs import figures
from tests.docs.markdown import MARKED, OTHERS, ROOT, prose

SECTIONS = {
    "plain": {
        "tables": [
            {
                "caption": "BD-rate in PSNR against OpenJPEG",
                "head": ["bytes counted", "photos", "mean"],
                "rows": [["whole files", "47", "-0.87"], ["codestreams", "47", "-1.34"]],
            }
        ]
    },
    "visual": {
        "tables": [
            {
                "caption": "BD-rates against OpenJPEG",
                "head": ["codec", "BD-rate, SSIMULACRA 2, %", "at 0.5 bpp", "at 1 bpp"],
                "rows": [
                    ["OpenJPEG", "+0.0", "43.1", "66.7"],
                    ["Foveate, visual", "-20.0", "50.1", "71.1"],
                    ["JPEG", "+20.0", "36.0", "66.5"],
                    ["JPEG XL", "-30.0", "53.7", "73.6"],
                    ["AVIF", "-40.0", "58.5", "75.4"],
                ],
            }
        ]
    },
}
UNIT = r"(?: ?%| ?dB\b| (?:MP|megapixels) (?:an?|per) (?:core-)?(?:hour|second))"
FIGURE = re.compile(rf"\d(?:[\d,.]*\d)?{UNIT}(?!<!-- =)")


def test_every_marked_figure_is_the_measured_one() -> None:
    for page, text in figures.pages().items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, (
            f"{page}: python -m docs.generate writes it anew"
        )


def test_every_mark_stands_behind_a_figure() -> None:
    for page in figures.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(figures.MARKED.findall(text)) == text.count("<!-- ="), page
    elsewhere = [page for page in (*MARKED, *OTHERS) if page not in figures.PAGES]
    assert not [page for page in elsewhere if "<!-- =" in (ROOT / page).read_text(encoding="utf-8")]


def test_a_figure_is_the_tables_without_its_sign() -> None:
    page = "some 9.9 %<!-- =plain-smaller --> smaller, **16 %**<!-- =visual-smaller --> for the eye"
    expected = "some 0.9 %<!-- =plain-smaller --> smaller, **20 %**<!-- =visual-smaller --> for the eye"
    assert figures.filled(page, SECTIONS) == expected
    assert figures.filled(page, {}) == page  # what was not measured stays


def test_the_table_of_codecs_counts_bytes_by_ours() -> None:
    page = "before\n\n<!-- table: visual -->\nold\n<!-- /table -->\n\nafter"
    lines = figures.filled(page, SECTIONS).splitlines()
    assert "| JPEG | 150 % | 36.0 | 66.5 |" in lines
    assert "| **Foveate** | 100 % | 50.1 | 71.1 |" in lines
    assert lines[-1] == "after" and "old" not in lines
    assert figures.filled(page, {}) == page


@pytest.mark.parametrize(
    "page",
    ["1 %<!-- =nothing -->", "<!-- table: nothing -->\n<!-- /table -->", "0.9 %<!-- =best-smaller -->"],
)
def test_a_figure_that_there_is_not_is_an_error(page: str) -> None:
    sections = {**SECTIONS, "codecs": {"tables": []}}
    with pytest.raises(ValueError, match="has no"):
        figures.filled(page, sections)


def test_readme_has_no_figure_that_is_not_marked() -> None:
    text = re.sub(r"`[^`\n]+`", "", prose("README.md"))
    without_tables = re.sub(r"<!-- table: .*?<!-- /table -->", "", text, flags=re.DOTALL)
    assert not FIGURE.findall(without_tables)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("saves 12.5 % of it", 1),
        ("gains +0.7 dB, or 4,000 megapixels per core-hour", 2),
        ("12.5 %<!-- =best-smaller --> smaller", 0),
        ("800 MB to download, Python 3.12", 0),
    ],
)
def test_an_unmarked_figure_is_noticed(text: str, found: int) -> None:
    assert len(FIGURE.findall(text)) == found
