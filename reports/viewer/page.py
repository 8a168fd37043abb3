"""Renders the page of `compare`: a single file that requests nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveate.reports.page import render_template, text_of
from foveate.reports.viewer.contents import ORIGINAL, ComparedPhoto, View, totals_of

_COMMAND = "foveate compress PHOTOS --output ARCHIVE"


def render_viewer(photos: Sequence[ComparedPhoto], left_out: Sequence[tuple[str, str]] = ()) -> str:
    """The page as HTML.

    Args:
      photos: at least one.
      left_out: names of photos that are not shown, each with the reason.
    """
    return render_template(
        "viewer.html",
        ["page.css", "viewer.css"],
        [text_of("viewer.js")],
        [_data(photo) for photo in photos],
        photos=photos,
        totals=totals_of(photos),
        left_out=left_out,
        original=ORIGINAL,
        places=[("all", "All photos"), *((f"photo-{at}", one.name) for at, one in enumerate(photos, 1))],
        favors=any(view.saliency for photo in photos for view in photo.views),
        has_peers=any(not version.flags for photo in photos for version in photo.versions),
    )


def _data(photo: ComparedPhoto) -> dict[str, Any]:
    """Data of a photo for the script, besides the elements of the page."""
    commands = [f"{_COMMAND} {version.flags}" if version.flags else "" for version in photo.versions]
    return {
        "names": [ORIGINAL, *(version.name for version in photo.versions)],
        "commands": ["", *commands],
        "mostBits": photo.most_bits,
        "views": [_view(view) for view in photo.views],
    }


def _view(view: View) -> dict[str, Any]:
    place = view.place
    return {
        "left": place.left,
        "top": place.top,
        "width": place.width,
        "height": place.height,
        "saliency": view.saliency,
        "bits": [None, *view.bits],
        "errors": [None, *view.errors],
        "blocks": [None, *([block.left, block.top, block.side, block.error] for block in view.blocks)],
    }
