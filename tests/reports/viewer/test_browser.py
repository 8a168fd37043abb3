"""Tests the page of `compare` in a browser: slider, flipping, zoom, layers; keyboard and phone."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from foveate.reports.viewer.contents import compared
from foveate.reports.viewer.page import render_viewer
from foveate.sandbox.client import Limits
from tests.reports.browsers import Visit, flaws, visit
from tests.reports.viewer.photos import NAME, in_versions, small, small_crops

CLIP = "image => getComputedStyle(image).clipPath"
SCALE = "each => new DOMMatrix(getComputedStyle(each).transform).a"
SHIFT = "each => new DOMMatrix(getComputedStyle(each).transform).e"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    place = tmp_path_factory.mktemp("viewer") / "compare.html"
    with small_crops():
        large = compared(in_versions(325, 575, name="large.jpg"), Limits())
    place.write_text(render_viewer([small(), large], [("c.gif", "a reason")]), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def opened(browser: Any, page_file: pathlib.Path) -> Visit:
    return visit(browser, page_file)


@pytest.fixture
def first(opened: Visit) -> Any:
    """The small photo's viewer as it is after loading, its picture with the focus."""
    opened.page.reload()
    viewer = opened.page.locator(".viewer").first
    viewer.locator(".pane").focus()
    return viewer


def shown(viewer: Any) -> list[str]:
    """Names of the visible versions, from the left."""
    images = sorted(
        viewer.locator("img.version:visible").all(),
        key=lambda one: "left" not in str(one.get_attribute("class")),
    )
    return [str(image.get_attribute("alt")).partition(":")[0] for image in images]


def test_nothing_is_asked_of_the_network_or_complained_of(opened: Visit, first: Any) -> None:
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.complaints == []
    assert first.locator("h2").inner_text() == NAME
    sizes = first.locator("img.version:visible").evaluate_all("images => images.map(one => one.naturalWidth)")
    assert sizes == [300, 300]


def test_the_slider_is_moved_by_keys_and_by_hand(first: Any) -> None:
    page, slider, left = first.page, first.locator(".cut"), first.locator("img.version.left")
    assert shown(first) == ["Original", "1 bpp"]
    before = left.evaluate(CLIP)
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "40" and left.evaluate(CLIP) != before
    assert slider.get_attribute("aria-valuetext") == "40 % Original"
    first.locator(".pane").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert slider.input_value() == "42"
    handle, pane = first.locator(".handle").bounding_box(), first.locator(".pane").bounding_box()
    page.mouse.move(handle["x"] + 1, handle["y"] + 60)
    page.mouse.down()
    page.mouse.move(pane["x"] + 0.75 * pane["width"], handle["y"] + 60, steps=4)
    page.mouse.up()
    assert float(slider.input_value()) == pytest.approx(75, abs=1)


def test_versions_are_flipped_by_key_and_button(first: Any) -> None:
    page = first.page
    page.keyboard.down(" ")
    assert shown(first) == ["Original"] and not first.locator(".handle").is_visible()
    page.keyboard.up(" ")
    assert shown(first) == ["Original", "1 bpp"]
    page.keyboard.press("f")
    assert shown(first) == ["Original"]
    page.keyboard.press("f")
    assert shown(first) == ["1 bpp"]
    flip = first.locator("[data-act=flip]")
    flip.hover()
    page.mouse.down()
    assert shown(first) == ["Original"] and flip.get_attribute("aria-pressed") == "true"
    page.mouse.up()
    assert shown(first) == ["1 bpp"]
    first.locator(".pane").focus()
    page.keyboard.press("s")
    assert len(shown(first)) == 2


def test_any_two_versions_are_compared(first: Any) -> None:
    page = first.page
    page.keyboard.press("]")
    assert shown(first) == ["Original", "AVIF like 1 bpp"]
    assert not first.locator(".command").is_visible()
    page.keyboard.press("3")
    assert "--bpp 3" in first.locator(".command").inner_text()
    first.locator("[data-choice=left]").select_option(label="1 bpp")
    assert shown(first) == ["1 bpp", "3 bpp"]
    first.locator("[data-act=swap]").click()
    assert shown(first) == ["3 bpp", "1 bpp"]
    first.locator("tbody button", has_text="AVIF").click()
    assert shown(first) == ["3 bpp", "AVIF like 1 bpp"]
    first.locator("[data-choice=left]").select_option(label="AVIF like 1 bpp")
    assert shown(first) == ["AVIF like 1 bpp"]  # the same on both sides


def test_the_worst_block_is_shown_large_and_in_its_pixels(first: Any) -> None:
    picture, pane = first.locator(".picture:visible"), first.locator(".pane")
    first.locator("[data-act=worst]").click()
    assert picture.evaluate(SCALE) == 4
    assert (
        first.locator("img.version:visible").first.evaluate("one => getComputedStyle(one).imageRendering")
        == "pixelated"
    )
    box, frame = first.locator(".block").bounding_box(), pane.bounding_box()
    assert frame["x"] - 1 <= box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    assert "Worst block of 1 bpp" in first.locator(".said").inner_text()
    pane.focus()
    before = picture.evaluate(SHIFT)
    first.page.keyboard.press("ArrowRight")
    first.page.keyboard.press("ArrowLeft")
    first.page.keyboard.press("ArrowLeft")
    assert picture.evaluate(SHIFT) != before or before in (0, frame["width"] - 1200)
    for scale in (2, 1):
        first.page.keyboard.press("-")
        assert picture.evaluate(SCALE) == scale


def test_layers_are_drawn_over_the_gray_photo(first: Any) -> None:
    page, layers = first.page, first.locator("img.layer:visible")
    assert layers.count() == 0
    page.keyboard.press("l")
    assert layers.count() == 2 and "matters least" in first.locator(".ramp").inner_text()
    page.keyboard.press("l")
    assert layers.count() == 1 and "bits per pixel" in first.locator(".ramp").inner_text()
    gray = first.locator("img.version:visible").first.evaluate("one => getComputedStyle(one).filter")
    assert gray == "grayscale(1)"
    first.locator("label", has_text="Errors").click()
    assert layers.count() == 1
    first.locator("label", has_text="None").click()
    assert layers.count() == 0


def test_a_large_photo_has_places(opened: Visit) -> None:
    opened.page.reload()
    viewer = opened.page.locator(".viewer").nth(1)
    assert "--full" in viewer.locator(".lead").inner_text()
    assert viewer.locator("[data-place]").count() == viewer.locator("[data-frame]").count() >= 1
    viewer.locator(".pane").focus()
    opened.page.keyboard.press("p")
    frames = viewer.locator("[data-frame].shown")
    assert frames.count() == 1
    opened.page.keyboard.press("w")
    assert viewer.locator(".block:visible").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(
    browser: Any, page_file: pathlib.Path, width: int, scheme: str
) -> None:
    found = visit(browser, page_file, width=width, color_scheme=scheme)
    page = found.page
    page.locator("summary").first.click()
    page.locator("[data-act=worst]").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert flaws(page) == [] and found.complaints == []
    page.locator("label", has_text="Bits").first.click()
    assert flaws(page) == []


def test_a_phone_moves_the_picture_by_touch(browser: Any, page_file: pathlib.Path) -> None:
    page = visit(browser, page_file, width=390, has_touch=True, device_scale_factor=2).page
    viewer = page.locator(".viewer").first
    assert (
        viewer.locator(".picture:visible").evaluate(SCALE) == 0.5
    )  # a pixel of the photo is one of the screen
    viewer.locator("label", has_text="4×").tap()
    assert viewer.locator(".picture:visible").evaluate(SCALE) == 2
    assert viewer.locator(".pane").evaluate("pane => pane.style.touchAction") == "none"
    viewer.locator("label", has_text="Fit").tap()
    assert viewer.locator(".pane").evaluate("pane => pane.style.touchAction") == "pan-y"
