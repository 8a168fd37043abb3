"""Tests that figures in prose are those that were measured, and that README has no others."""

from __future__ import annotations

import re

import pytest

from docs import figures, generate
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
SOURCE = re.compile(r"<!-- figures of: (.+?) -->")
OTHER_SOURCES = {"development", "settings"}  # not to be repeated by a command; chosen, not measured
GENERATED = {"docs/benchmarks.md", "docs/benchmarks-saliency.md"} | {
    f"docs/{name}" for name in generate.pages()
}
PROSE = [page for page in (*MARKED, *OTHERS) if page not in GENERATED and page != "CONTRIBUTING.md"]


def without_source(text: str) -> list[str]:
    """The figures in a page's text that are neither marked nor in a section that states their source."""
    text = re.sub(r"<!-- table: .*?<!-- /table -->", "", text, flags=re.DOTALL)
    sections = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    plain = [re.sub(r"`[^`\n]+`", "", section) for section in sections if not SOURCE.search(section)]
    return [figure for section in plain for figure in FIGURE.findall(section)]


def test_every_marked_figure_is_the_measured_one() -> None:
    for page, text in figures.pages().items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, (
            f"{page}: python -m docs.generate writes it anew"
        )


def test_every_mark_follows_a_figure() -> None:
    for page in figures.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(figures.MARKED.findall(text)) == text.count("<!-- ="), page
    elsewhere = [page for page in (*MARKED, *OTHERS) if page not in figures.PAGES]
    assert not [page for page in elsewhere if "<!-- =" in (ROOT / page).read_text(encoding="utf-8")]


def test_every_figure_that_is_defined_is_used() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in figures.PAGES)
    assert {found["name"] for found in figures.MARKED.finditer(text)} == set(figures.FIGURES)


@pytest.mark.parametrize("page", PROSE)
def test_every_other_figure_is_of_a_section_that_says_where_it_comes_from(page: str) -> None:
    assert not without_source(prose(page))


@pytest.mark.parametrize("page", PROSE)
def test_the_commands_that_figures_come_from_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for source in SOURCE.findall((ROOT / page).read_text(encoding="utf-8")):
        words = source.split()
        is_target = words[0] == "make" and words[1] in targets
        is_module = words[:2] == ["python", "-m"] and (ROOT / f"{words[2].replace('.', '/')}.py").exists()
        assert source in OTHER_SOURCES or is_target or is_module, source


def test_a_figure_is_the_tables_without_its_sign() -> None:
    page = "some 9.9 %<!-- =plain-smaller --> smaller, **16 %**<!-- =visual-smaller --> for the eye"
    expected = "some 0.9 %<!-- =plain-smaller --> smaller, **20 %**<!-- =visual-smaller --> for the eye"
    assert figures.filled(page, SECTIONS) == expected
    assert figures.filled(page, {}) == page  # what was not measured stays


def test_the_table_of_codecs_counts_bytes_by_ours() -> None:
    page = "before\n\n<!-- table: visual -->\nold\n<!-- /table -->\n\nafter"
    lines = figures.filled(page, SECTIONS).splitlines()
    assert "| JPEG | 150% | 36.0 | 66.5 |" in lines
    assert "| **Foveate** | 100% | 50.1 | 71.1 |" in lines
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
    text = prose("README.md")
    assert not SOURCE.search(text) and not without_source(text)


def test_a_section_answers_for_its_own_figures_only() -> None:
    text = "# A\n\n<!-- figures of: settings -->\n\n5 %\n\n## B\n\n3 dB, `6 dB` and 7 %<!-- =b -->\n"
    assert without_source(text) == ["3 dB"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("saves 12.5% of it", 1),
        ("saves 12.5 % of it", 1),
        ("gains +0.7 dB, or 4,000 megapixels per core-hour", 2),
        ("12.5 %<!-- =best-smaller --> smaller", 0),
        ("800 MB to download, Python 3.12", 0),
    ],
)
def test_an_unmarked_figure_is_noticed(text: str, found: int) -> None:
    assert len(FIGURE.findall(text)) == found
