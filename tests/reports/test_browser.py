"""Tests the report's page in a real browser: charts, keyboard, accessibility, and no network requests."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest

from foveate.reports.contents import GateResult, PhotoFigures
from foveate.reports.gallery import GalleryPictures
from foveate.reports.page import render_page
from tests.reports.archives import EVIL, compare_archives, report_on, write_made_up
from tests.reports.browsers import Visit, flaws, visit


def pictures(photo: PhotoFigures) -> GalleryPictures:
    if photo.relative_path == EVIL:
        raise FileNotFoundError(EVIL)
    down, across = np.mgrid[:500, :700]
    original = np.stack([down // 2, across // 3, (down + across) // 5], 2).astype(np.uint8)
    return GalleryPictures(original, original // 2, original + 9, original[:, ::-1].copy(), original, 2.5)


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("report")
    found = report_on(write_made_up(root / EVIL.replace("/", "|"), 12), gallery=12)
    gates = (GateResult("<b>x < 3", "x", 1.0, True), GateResult("y < 3", "y", None, False))
    place = root / "report.html"
    place.write_text(render_page(dataclasses.replace(found, gates=gates), pictures), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def report_visit(browser: Any, report_page: pathlib.Path) -> Visit:
    return visit(browser, report_page)


def test_every_chart_is_drawn_and_nothing_is_asked_or_complained_of(report_visit: Visit) -> None:
    page = report_visit.page
    assert page.locator("svg.marks").count() == 9
    assert page.locator(".plot", has_text="could not be drawn").count() == 0
    assert all(plot.bounding_box()["height"] > 150 for plot in page.locator(".plot svg").all())
    outside = [url for url in report_visit.requests if not url.startswith(("file:", "data:"))]
    assert outside == [] and report_visit.complaints == []
    assert page.evaluate("typeof window.vegaEmbed") == "function"


def test_names_are_shown_as_they_are(report_visit: Visit) -> None:
    page = report_visit.page
    assert page.locator("h3", has_text=EVIL).count() == 1
    assert page.locator("main b", has_text="x.jpg").count() == 0
    assert EVIL in page.locator(".photo .empty").inner_text()


def test_the_slider_moves_by_the_arrow_keys(report_visit: Visit) -> None:
    page = report_visit.page
    stage = page.locator(".stage").first
    slider = stage.locator("input[type=range]")
    clip = "e => getComputedStyle(e).clipPath"
    before = stage.locator("img.left").evaluate(clip)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "40"
    assert slider.get_attribute("aria-valuetext") == "40 % Original"
    assert stage.locator("img.left").evaluate(clip) != before
    page.keyboard.press("End")
    assert "0px" in stage.locator("img.left").evaluate(clip) or "0%" in stage.locator("img.left").evaluate(
        clip
    )


def test_the_gallery_is_walked_by_keyboard(report_visit: Visit) -> None:
    page = report_visit.page
    stage = page.locator(".stage").first
    stage.locator("input[type=range]").focus()
    page.keyboard.press("Tab")
    for label in ("As archived", "Saliency", "Bits (bright: 2.5 bpp)"):
        page.keyboard.press("ArrowRight")
        assert stage.locator("img[data-label]:visible").get_attribute("data-label") == label
        assert stage.locator(".side.right").inner_text() == label
    page.locator(".chart summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".chart details[open] table").first.is_visible()
    page.locator(".skip").focus()
    assert page.locator(".skip").bounding_box()["x"] >= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(report_visit: Visit, scheme: str) -> None:
    report_visit.page.emulate_media(color_scheme=scheme)
    assert flaws(report_visit.page) == []


def test_a_phone_shows_the_page_without_scrolling_sideways(browser: Any, report_page: pathlib.Path) -> None:
    page = visit(browser, report_page, width=360).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert not page.locator("fieldset").first.is_visible() and page.locator(".plot svg").first.is_visible()


def test_a_comparison_is_drawn_and_accessible(browser: Any, tmp_path: pathlib.Path) -> None:
    archives = [write_made_up(tmp_path / name, 30, seed) for seed, name in enumerate(("<b>old", "new"))]
    place = tmp_path / "page.html"
    place.write_text(render_page(compare_archives(*archives)), encoding="utf-8")
    opened = visit(browser, place, color_scheme="dark")
    assert opened.page.locator("svg.marks").count() == 7
    assert opened.complaints == [] and flaws(opened.page) == []
    opened.page.emulate_media(color_scheme="light")
    assert flaws(opened.page) == []
