"""The HTML page of a report: one file that holds all it needs and asks the network for nothing."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from pipelines.reporting import figures
from pipelines.reporting.aggregate import Report
from pipelines.reporting.charts import distribution_charts, scatter_chart, vega_script
from pipelines.reporting.gallery import GalleryEntry, LoadGallery, gallery_entries

HERE = pathlib.Path(__file__).parent


def render_page(report: Report, load_gallery: LoadGallery | None = None) -> str:
    """`report` as an HTML page.

    Args:
        report: the figures.
        load_gallery: gives the pictures of a photo; without it the page has no gallery.

    Every name is escaped, and the page's content security policy lets nothing run but its own two scripts.
    """
    entries = gallery_entries(report.gallery, load_gallery)
    return page_of(report, entries)


def page_of(report: Report, entries: Sequence[GalleryEntry]) -> str:
    """The page from its figures and pictures."""
    distributions = distribution_charts(report)
    scatter = scatter_chart(report.scatter) if report.scatter else None
    charts = [*distributions, scatter] if scatter else distributions
    taken = {"scatter", "gallery"}
    scripts = [vega_script(), _text("page.js")] if charts else [_text("page.js")]
    return _template().render(
        report=report,
        distributions=distributions,
        scatter=scatter,
        gallery=entries,
        specs=_script_json({chart.name: chart.spec for chart in charts}),
        style=Markup(_text("page.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        reconstructed=any(measure.mean_gain is not None for measure in report.measures),
        scatter_photos=len(report.scatter),
        **{
            field.name: getattr(report, field.name)
            for field in dataclasses.fields(report)
            if field.name not in taken
        },
    )


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: no network, no script but these."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _script_json(value: Any) -> Markup:
    """`value` as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


@functools.cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= figures.FILTERS
    return environment.from_string(_text("page.html"))
