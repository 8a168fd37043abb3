"""Tests the report's page as text: one file, escaped names, charts with texts, and pictures if any."""

from __future__ import annotations

import functools
import html.parser
import json
import pathlib
import re

import numpy as np
import pytest

from foveate.reports import gallery
from foveate.reports.charts import months_chart
from foveate.reports.contents import GalleryPhoto, Group, PhotoFigures, Report
from foveate.reports.page import render_page
from foveate.reports.vega import vega_script
from tests.reports.archives import (
    EVIL,
    a_kept_row,
    a_row,
    compare_archives,
    report_on,
    write_archive,
    write_made_up,
)

HOSTILE = (EVIL, "</title><b>", "--><!--", "<i>&", "<b>.jpg", "<b>M6")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Reports on archives of so many photos, each made once."""

    @functools.cache
    def made(photos: int, reconstructed: bool = True) -> Report:
        root = tmp_path_factory.mktemp("archive") / "a"
        return report_on(write_made_up(root, photos, reconstructed=reconstructed))

    return made


def some_pictures(photo: PhotoFigures) -> gallery.GalleryPictures | None:
    if photo.relative_path == EVIL:
        raise FileNotFoundError(f"no {photo.source_url}")
    picture = np.zeros((1200, 1801, 3), np.uint8)
    return gallery.GalleryPictures(picture, picture, picture, picture[:640, :960], None)


class Page(html.parser.HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("photos", [0, 1, 3, 60])
def test_names_are_inert(make, photos: int) -> None:  # type: ignore[no-untyped-def]
    text = render_page(make(photos), some_pictures).replace(vega_script(), "")
    page = Page(text)
    assert len(page.all("script")) == (3 if photos else 2)
    assert not any(name in text for name in HOSTILE)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "/in/&lt;b&gt;.jpg" in text


def test_names_are_inert_in_a_comparison(tmp_path: pathlib.Path) -> None:
    archives = [write_made_up(tmp_path / name, 12, seed) for seed, name in enumerate(["<b>one", "two"])]
    text = render_page(compare_archives(*archives)).replace(vega_script(), "")
    assert "&lt;b&gt;one" in text and "&lt;script&gt;" in text
    assert not any(name in text for name in (*HOSTILE, "<b>one"))


def test_the_page_asks_the_network_for_nothing(make) -> None:  # type: ignore[no-untyped-def]
    text = render_page(make(60), some_pictures)
    page = Page(text.replace(vega_script(), ""))
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("data:", "#"))
    assert "url(" not in text.split("<style>")[1].split("</style>")[0]
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe-eval" not in policy


def test_charts_have_text_and_table_and_their_data_no_infinities(make) -> None:  # type: ignore[no-untyped-def]
    text = render_page(make(60))
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    specs = json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    page = Page(text)
    labels = {plot["data-chart"]: plot["aria-label"] for plot in page.all("div") if "data-chart" in plot}
    histograms = {"ssimulacra2", "compression_ratio", "bits_per_pixel", "psnr_db", "psnr_s_db"}
    histograms |= {"ssim", "ms_ssim"}
    assert set(specs) == set(labels) == histograms | {"scatter", "months"}
    assert "nine in ten" in (labels["psnr_db"] or "")
    assert len(page.all("details")) == len(specs)


def test_without_reconstruction_the_page_says_nothing_of_it(make) -> None:  # type: ignore[no-untyped-def]
    assert "estored by" not in render_page(make(9, False))


def test_pictures_are_embedded_small_with_a_text_each(make) -> None:  # type: ignore[no-untyped-def]
    picture = np.zeros((1200, 1801, 3), np.uint8)
    small = picture[:640, :960]
    states = gallery.GalleryPictures(picture, picture, picture, small, small, 2.5)
    page = Page(render_page(make(60), lambda photo: states))
    pictures = page.all("img")
    assert len(pictures) == 6 * (5 + 3)
    assert {(image["width"], image["height"]) for image in pictures} == {("960", "640"), ("400", "400")}
    labels = {(image["alt"] or "").partition(":")[0] for image in pictures}
    assert labels == {"Original", "Restored", "As archived", "Saliency", "Bits (bright"}
    assert len([each for each in page.all("input") if each["type"] == "range"]) == 6 * 2


def test_missing_pictures_become_text(make) -> None:  # type: ignore[no-untyped-def]
    text = render_page(make(1), some_pictures)
    assert "The pictures could not be read: no /in/&lt;script&gt;" in text
    assert "The pictures are not at hand." in render_page(make(1), lambda photo: None)


def test_without_the_source_there_is_no_detail_and_the_result_is_the_left_side() -> None:
    picture = np.zeros((500, 700, 3), np.uint8)
    states = gallery.GalleryPictures(None, picture, picture, picture, None)
    (entry,) = gallery.gallery_entries([GalleryPhoto("worst", typed_photo())], lambda photo: states)
    (stage,) = entry.stages
    assert stage.left is not None and stage.left.label == "Restored"
    assert [each.label for each in stage.right] == ["As archived", "Saliency"]


def typed_photo() -> PhotoFigures:
    """A photo of which only the name is known."""
    return PhotoFigures("a.jpg", "", "", "", "", "", None, 1, 1, *([None] * 19))


@pytest.mark.parametrize(("top", "left"), [(0, 0), (320, 208), (700, 1000)])
def test_the_detail_is_where_most_was_lost(top: int, left: int) -> None:
    original = np.full((801, 1303, 3), 100, np.uint8)
    result = original.copy()
    result[top : top + 100, left : left + 100] += 9
    y, x = gallery.worst_place(original, result, 400)
    assert 0 <= y <= 401 and 0 <= x <= 903
    lost = (result[y : y + 400, x : x + 400] != 100).any(2)
    assert lost.sum() == 100 * 100


def test_a_picture_of_another_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(h, w, 3\) uint8, not \(4, 5\) uint8"):
        gallery.shrink(np.zeros((4, 5), np.uint8))


def test_the_worst_photos_are_so_by_ssimulacra2_only_where_all_have_it(tmp_path: pathlib.Path) -> None:
    sharp = a_row("sharp.jpg", psnr_db=40.0, ssimulacra2=50.0)
    soft = a_row("soft.jpg", psnr_db=30.0, ssimulacra2=80.0)
    unscored = a_row("unscored.jpg", psnr_db=35.0)
    kept = a_kept_row("kept.jpg")
    scored = report_on(write_archive(tmp_path / "all", [soft, sharp, kept]))
    assert [photo.relative_path for photo in scored.worst] == ["sharp.jpg", "soft.jpg"]
    assert [shown.photo.relative_path for shown in scored.gallery] == ["sharp.jpg", "soft.jpg"]
    assert "best photos by SSIMULACRA 2" in render_page(scored, lambda photo: None)
    mixed = report_on(write_archive(tmp_path / "some", [soft, sharp, unscored]))
    assert [photo.relative_path for photo in mixed.worst] == ["soft.jpg", "unscored.jpg", "sharp.jpg"]
    assert "best photos by PSNR-S" in render_page(mixed, lambda photo: None)


def test_a_month_larger_after_than_before_saves_nothing() -> None:
    months = [Group(f"2024-0{n}", 1, 1, 0, 10, 20 * n, *([None] * 7)) for n in (1, 2)]
    chart = months_chart(months)
    assert chart.rows == (("Jan 2024", "10 B", "20 B"), ("Feb 2024", "10 B", "40 B"))
    assert min(value["g"] for value in chart.spec["data"]["values"]) == 0
