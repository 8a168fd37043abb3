"""Tests the page's text: complete, escaped, and without external resources."""

from __future__ import annotations

import html
import re

from foveate.reports.viewer.page import render_viewer
from tests.reports.viewer.photos import NAME, small


def test_names_are_escaped_and_nothing_comes_from_outside() -> None:
    text = render_viewer([small()], [("<script>alert(1)</script>", "a <b> reason")])
    assert NAME not in text and html.escape(NAME).replace("&#x27;", "&#39;") in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    for attribute in re.findall(r'(?:src|href)="([^"]{0,40})', text):
        assert attribute.startswith(("data:image/", "#"))
    assert "http" not in re.sub(r"http-equiv", "", re.sub(r'"data:[^"]*"', "", text))


def test_figures_and_commands_are_in_the_page() -> None:
    text = render_viewer([small()])
    version = small().versions[0]
    assert f"{version.score:.1f}" in text and f"{version.psnr_db:.2f}" in text
    assert "foveate compress PHOTOS --output ARCHIVE --bpp 1" in text
    assert "All photos" not in text and "Not compared" not in text
    assert "All photos" in render_viewer([small(), small()])
