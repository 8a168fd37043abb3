"""The report's page: one file, inert names, pictures where there are any; and a real browser draws it."""

import dataclasses
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import typing

import numpy as np
import pyarrow as pa
import pytest

from pipelines.reporting import aggregate, gallery
from pipelines.reporting.charts import vega_script
from pipelines.reporting.page import render_page
from transforms import tables

EVIL = "<script>alert(1)</script>.jpg"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def a_report(photos: int, reconstructed: bool = True) -> aggregate.Report:
    schema = tables.metrics_schema()
    noise = np.random.default_rng(7).normal(0, 1, photos)
    names = [
        EVIL,
        "</title><b>x.jpg",
        "a/--><!--.jpg",
        *(f"trip/{number:07d}.jpg" for number in range(photos)),
    ]
    columns: dict[str, typing.Any] = {
        "relative_path": names[:photos],
        "source_url": [f"/in/{name}" for name in names[:photos]],
        "outcome": ["compressed"] * photos,
        "source_bytes": [4_000_000] * photos,
        "archive_bytes": [500_000] * photos,
        "width": [3001] * photos,
        "height": [2000] * photos,
        "finished": [0] * photos,
        "compression_ratio": 8 * 2 ** (0.3 * noise),
        "bits_per_pixel": 0.5 * 2 ** (0.3 * noise),
        "psnr_db": 37 + noise,
        "ssim": 0.96 + 0.005 * noise,
        "encode_seconds": np.full(photos, 2.0),
    }
    columns |= {"rec_psnr_db": 37.4 + noise} if reconstructed else {}
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.array(["<i>&"] * photos, pa.string())
        if field.type == pa.string()
        else pa.nulls(photos, field.type)
        for field in schema
    ]
    rows = pa.Table.from_arrays(arrays, names=schema.names)
    failed = {"url": "/in/<b>.jpg", "step": "read", "error_type": "BadImage", "message": "<b>", "time": "?"}
    return aggregate.aggregate(
        rows, pa.Table.from_pylist([failed | {"run_id": "r"}], tables.failures_schema())
    )


def some_pictures(photo: aggregate.PhotoFigures) -> gallery.GalleryPictures | None:
    if photo.relative_path == EVIL:
        raise FileNotFoundError(f"no {photo.source_url}")
    picture = np.zeros((1200, 1801, 3), np.uint8)
    return gallery.GalleryPictures(picture, picture[:20, :30], picture, None)


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


@pytest.mark.parametrize("photos", [0, 1, 3, 500])
def test_names_are_inert(photos: int) -> None:
    text = render_page(a_report(photos), some_pictures).replace(vega_script(), "")
    page = Page(text)
    assert len(page.all("script")) == (3 if photos else 2)
    assert not any(name in text for name in (EVIL, "</title><b>", "--><!--", "<i>&", "<b>.jpg"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "/in/&lt;b&gt;.jpg" in text


def test_the_page_asks_the_network_for_nothing() -> None:
    text = render_page(a_report(40), some_pictures)
    page = Page(text.replace(vega_script(), ""))
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in text.split("<style>")[1].split("</style>")[0]
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe-eval" not in policy


def test_the_page_stays_small_whatever_the_number_of_photos() -> None:
    assert len(render_page(a_report(5_000)).encode()) < 2_000_000


def test_charts_have_their_text_and_their_data_no_infinities() -> None:
    text = render_page(a_report(40))
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text)
    assert found
    specs = json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    labels = {
        plot["data-chart"]: plot["aria-label"] for plot in Page(text).all("div") if "data-chart" in plot
    }
    assert set(specs) == set(labels) == {"compression_ratio", "bits_per_pixel", "psnr_db", "ssim", "scatter"}
    assert "nine in ten" in (labels["psnr_db"] or "")


def test_without_reconstruction_the_page_says_nothing_of_it() -> None:
    assert "econstructed by" not in render_page(a_report(9, reconstructed=False))


def test_pictures_are_embedded_small_with_a_text_each() -> None:
    picture = np.zeros((1200, 1801, 3), np.uint8)
    states = gallery.GalleryPictures(picture, picture[:20, :30], picture, None)
    pictures = [
        image for image in Page(render_page(a_report(40), lambda photo: states)).all("img") if "src" in image
    ]
    assert len(pictures) == 6 * 3
    assert {(image["width"], image["height"]) for image in pictures} == {("960", "640"), ("30", "20")}
    assert {(image["alt"] or "").split()[0] for image in pictures} == {"Original", "Saliency", "Archived"}


def test_missing_pictures_become_text() -> None:
    text = render_page(a_report(1), some_pictures)
    assert "The pictures could not be read: no /in/&lt;script&gt;" in text
    assert "The pictures are not at hand." in render_page(a_report(1), lambda photo: None)


def test_a_picture_of_another_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(h, w, 3\) uint8, not \(4, 5\) uint8"):
        gallery.shrink(np.zeros((4, 5), np.uint8))


def browse(page: pathlib.Path, profile: pathlib.Path, *options: str) -> tuple[str, str]:
    """What the browser prints, and its console."""
    if BROWSER is None:
        if os.environ.get("FOVEATE_REQUIRE_TOOLS") == "1":
            pytest.fail("chromium is not on PATH, but FOVEATE_REQUIRE_TOOLS=1")
        pytest.skip("chromium is not on PATH")
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    quiet += [
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
    ]
    command = [BROWSER, *quiet, "--virtual-time-budget=5000", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


def test_a_browser_draws_every_chart_and_complains_of_nothing(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(a_report(60), some_pictures), encoding="utf-8")
    drawn, console = browse(page, tmp_path / "profile", "--dump-dom")
    assert console == ""
    assert len(re.findall(r"<svg[^>]*class=\"marks\"", drawn)) == 5
    assert "could not be drawn" not in drawn.split("<dialog")[0]


def test_a_browser_enlarges_a_picture_and_steps_through_its_states(tmp_path: pathlib.Path) -> None:
    text = render_page(dataclasses.replace(a_report(60), scatter=(), histograms=()), some_pictures)
    probe = (
        'document.querySelectorAll("[data-zoom]")[1].click();'
        'dialog.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));'
        'document.title = [dialog.open, dialog.querySelector("img").alt].join("|");'
    )
    policy_gone = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page = tmp_path / "report.html"
    page.write_text(policy_gone.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    drawn, console = browse(page, tmp_path / "profile", "--dump-dom")
    assert console == "" and "<title>true|Archived of " in drawn
